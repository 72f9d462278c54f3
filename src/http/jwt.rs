//! Supabase's JWTs: signed with the project's HS256 secret, or by one of the public keys of a JWKS file.
//!
//! Every key goes with one algorithm, and a token is checked with the key's, never by its own word: a public key can so
//! never be taken for an HS256 secret. `exp` must be there and ahead, `nbf` behind, and `aud`, where there is one,
//! `authenticated`. The file is read once, at start.
//!
//! The tokens of our own login (`login.rs`) are signed and checked here too, with a key of their own.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::signature::{Error as Mismatch, Signer, Verifier};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::auth::{Caller, Role};

/// Clocks differ.
const LEEWAY_SECONDS: u64 = 30;

/// Longer is no token of Supabase's.
const BYTES_MAX: usize = 8192;

/// The keys that sign JWTs.
#[derive(Debug)]
pub struct Jwt {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    checks: DecodingKey,
}

/// A key set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON Web Key Set.
    #[error("not a JSON Web Key Set, {{\"keys\": […]}}")]
    Format(#[source] serde_json::Error),
    /// A key that nobody may sign with, or none at all.
    #[error("its keys must be public ones for ES256, RS256 or EdDSA")]
    Key,
}

#[derive(Deserialize)]
struct Claims {
    role: Option<String>,
    sub: Option<serde_json::Value>,
    aud: Option<serde_json::Value>,
}

impl Jwt {
    /// The keys of an HS256 secret and of a key set's text, either or both.
    pub fn new(secret: Option<&SecretString>, key_set: Option<&str>) -> Result<Self, KeySetError> {
        // One provider for the whole process; a second installation is refused and harmless.
        let _ = WITH_RING.install_default();
        let mut keys = Vec::new();
        if let Some(secret) = secret {
            let secret = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            keys.push(Key { id: None, algorithm: Algorithm::HS256, checks: secret });
        }
        if let Some(text) = key_set {
            let set: JwkSet = serde_json::from_str(text).map_err(KeySetError::Format)?;
            if set.keys.is_empty() {
                return Err(KeySetError::Key);
            }
            for jwk in &set.keys {
                keys.push(public(jwk).ok_or(KeySetError::Key)?);
            }
        }
        Ok(Self { keys })
    }

    /// A token's bearer; nothing when the token is not good.
    pub(super) fn caller(&self, token: &[u8]) -> Option<Caller> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let header = decode_header(token).ok()?;
        let candidates = self.keys.iter().filter(|key| key.algorithm == header.alg);
        let named = candidates.filter(|key| key.id.is_none() || header.kid.is_none() || key.id == header.kid);
        let claims = named.into_iter().find_map(|key| claims(token, key, true))?;
        let role = match claims.role.as_deref() {
            Some("service_role") => Role::Admin,
            // Only keys of the project itself come without an audience.
            Some("authenticated") if claims.aud.is_none() => return None,
            _ => Role::User,
        };
        let subject = claims.sub.as_ref().and_then(|sub| sub.as_str());
        let name = subject.filter(|sub| !sub.is_empty() && !sub.contains('\0')).or(claims.role.as_deref());
        Some(Caller { role, name: name.unwrap_or("a JWT").to_owned() })
    }

    /// Whether nothing but its time makes a token of one of these keys no good.
    pub(super) fn has_expired(&self, token: &[u8]) -> bool {
        token.len() <= BYTES_MAX
            && self.caller(token).is_none()
            && self.keys.iter().any(|key| claims(token, key, false).is_some())
    }
}

/// A token with these claims, signed with HS256.
pub(super) fn sign(secret: &SecretString, claims: &serde_json::Value) -> Option<String> {
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).ok()
}

fn claims(token: &[u8], key: &Key, is_timed: bool) -> Option<Claims> {
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_exp = is_timed;
    validation.validate_nbf = true;
    validation.set_audience(&["authenticated"]);
    let claims = decode::<Claims>(token, &key.checks, &validation).ok()?.claims;
    // An audience of another shape than a text or a list is not looked at by the library.
    let is_read = claims.aud.as_ref().is_none_or(|aud| aud.is_string() || aud.is_array());
    is_read.then_some(claims)
}

/// A public key with the one algorithm that goes with its kind.
fn public(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        _ => return None,
    };
    let said = jwk.common.key_algorithm.map(Algorithm::try_from).transpose().ok()?;
    let checks = DecodingKey::from_jwk(jwk).ok()?;
    said.is_none_or(|said| said == algorithm).then(|| Key { id: jwk.common.key_id.clone(), algorithm, checks })
}

/// jsonwebtoken leaves the arithmetic to others; ring is here already, for TLS. Only the tokens of our login are signed.
static WITH_RING: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library says how it is called")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::HS256 {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Hs256(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library says how it is called")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(WithRing { algorithm: *algorithm, key: key.clone() }))
}

struct Hs256(hmac::Key);

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Mismatch> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

struct WithRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for WithRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for WithRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let checked = match (self.algorithm, self.key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(key)) => by(&ECDSA_P256_SHA256_FIXED, key),
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => by(&ED25519, key),
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            _ => return Err(Mismatch::new()),
        };
        checked.map_err(|_| Mismatch::new())
    }
}
