//! TLS to Postgres, with libpq's meaning of `sslmode` and `sslrootcert`.
//!
//! `disable` and `prefer` and `require` are as in libpq: the last two encrypt and do not verify. `verify-ca` and
//! `verify-full` verify the chain and the host name, against `sslrootcert` or the system's roots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

/// How the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// Not at all: the connection is encrypted, its other end is not known.
    No,
    /// Chain and host name, against the system's roots.
    System,
    /// Chain and host name, against the authorities in this PEM file.
    File(PathBuf),
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
        Verify::No => builder.dangerous().with_custom_certificate_verifier(Arc::new(Encrypt(provider))),
        Verify::System => builder.with_root_certificates(system_roots()?),
        Verify::File(path) => builder.with_root_certificates(roots_in(path)?),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
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

/// Accepts any certificate, as libpq's `require` does; signatures are still checked.
#[derive(Debug)]
struct Encrypt(Arc<CryptoProvider>);

impl ServerCertVerifier for Encrypt {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
