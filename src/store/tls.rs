//! TLS to Postgres, with libpq's meaning of `sslmode` and `sslrootcert`.
//!
//! `disable`, `prefer` and `require` are as in libpq: the last two encrypt and do not verify. `verify-full` verifies the chain
//! and the host name, against `sslrootcert` or the system's roots. `verify-ca`, and with it `require` where there is an
//! `sslrootcert`, verifies the chain and not the name; without `sslrootcert` it is `verify-full`, for the system's authorities
//! sign for everybody. `sslrootcert` alone counts as `require`, and `sslrootcert=system` as `verify-full`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier,
};
use tokio_postgres::error::DbError;
use tokio_postgres_rustls_improved::MakeRustlsConnect;

/// How the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// Not at all: the connection is encrypted, its other end is not known.
    No,
    /// Chain and host name, against the system's roots.
    System,
    /// Chain and host name, against the authorities in this PEM file.
    Full(PathBuf),
    /// The chain alone, against the authorities in this PEM file.
    Authority(PathBuf),
}

/// A root certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or holds no certificate.
    #[error("sslrootcert: read certificates from {path}")]
    RootCert {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The system has no root certificates.
    #[error("sslmode=verify-full: this system has no root certificates; give sslrootcert")]
    NoRoots,
    /// The library refused the configuration.
    #[error("configure TLS")]
    Configure(#[source] rustls::Error),
}

/// A connector that checks the server as `verify` says.
pub fn connector(verify: &Verify) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Configure)?;
    let config = match verify {
        Verify::No => nameless(builder, None, provider),
        Verify::Authority(path) => nameless(builder, Some(roots_in(path)?), provider),
        Verify::System => builder.with_root_certificates(system_roots()?),
        Verify::Full(path) => builder.with_root_certificates(roots_in(path)?),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn nameless(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(Nameless { roots, provider }))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn roots_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |source| TlsError::RootCert { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
        roots.add(certificate.map_err(failed)?).map_err(TlsError::Configure)?;
    }
    if roots.is_empty() { Err(failed(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(roots) }
}

/// Asks for nobody's name: accepts any certificate, as libpq's `require` does, or any that one of the authorities signed, as
/// `verify-ca` does. Signatures are still checked.
#[derive(Debug)]
struct Nameless {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What mends a connection that TLS keeps from being made; nothing where it is something else.
pub fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<DbError>().is_some_and(asks_for_tls) {
            return Some(
                "sslmode=require, or rather verify-full with sslrootcert: the server lets nobody in without TLS",
            );
        }
        // A stream tells what TLS said as an error of its own.
        let inner_most = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let told = inner.downcast_ref().or_else(|| inner_most.and_then(|error| error.downcast_ref()));
        if let Some(told) = told {
            return Some(mend(told));
        }
        cause = inner.source();
    }
    None
}

/// Postgres' own words where `pg_hba.conf` has only `hostssl`, Supabase's and PgBouncer's.
fn asks_for_tls(answer: &DbError) -> bool {
    ["no encryption", "SSL connection is required", "SSL required"].iter().any(|words| answer.message().contains(words))
}

fn mend(told: &rustls::Error) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
    };
    match told {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "sslrootcert: the certificate of the authority that signed the server's (Supabase: download it, Project Settings → Database)"
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "renew the server's certificate; if it is valid, set this machine's clock"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "connect by a name that the certificate has (hostaddr=… says where that is); verify-ca does without the name"
        }
        _ => "correct sslmode and sslrootcert, or the server's certificate",
    }
}
