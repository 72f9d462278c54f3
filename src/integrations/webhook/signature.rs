//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, one for every secret that is valid now.
//!
//! A secret is `whsec_` and 24 to 64 random bytes in base64. While it is being replaced, the old and the new one both sign,
//! so that receivers may change over in their own time.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;

use super::endpoint::Endpoint;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";

/// What signs.
#[derive(Debug, Clone)]
pub struct Secret {
    key: SecretSlice<u8>,
    /// As it was written, so that nobody who repeats it gets it onto a row.
    text: SecretString,
}

/// Not a secret of Standard Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one or more secrets, separated by spaces or commas, each whsec_ and 24 to 64 random bytes in base64")]
pub struct NoSecret;

impl Secret {
    /// Reads one secret.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NoSecret)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| NoSecret)?;
        if !(24..=64).contains(&key.len()) {
            return Err(NoSecret);
        }
        Ok(Self { key: key.into(), text: text.into() })
    }

    /// Reads all secrets of a setting; at least one.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NoSecret> {
        let parts = text.split([',', ' ', '\t', '\n', '\r']).filter(|part| !part.is_empty());
        let secrets: Vec<Self> = parts.map(Self::parse).collect::<Result<_, _>>()?;
        if secrets.is_empty() { Err(NoSecret) } else { Ok(secrets) }
    }

    /// The secret of an endpoint that stands on a row: made of this one, so that who knows it can sign for nobody else, and
    /// nothing has to be kept.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> Self {
        let mut mac = self.mac();
        mac.update(b"endpoint ");
        mac.update(endpoint.url().as_str().as_bytes());
        let key = mac.finalize().into_bytes().to_vec();
        let text = format!("{PREFIX}{}", BASE64_STANDARD.encode(&key));
        Self { key: key.into(), text: text.into() }
    }

    /// As a receiver's library takes it.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.key.expose_secret()).expect("HMAC takes keys of any length")
    }

    /// As it was written, and without its beginning.
    pub(super) fn texts(&self) -> [&str; 2] {
        let text = self.text.expose_secret();
        [text, text.strip_prefix(PREFIX).unwrap_or(text)]
    }

    /// What is computed over one message, to be finished by signing or by comparing in constant time.
    pub fn over(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// The header `webhook-signature`.
pub(super) fn sign(secrets: &[Secret], id: &str, timestamp: &str, body: &[u8]) -> String {
    let signature = |secret: &Secret| {
        let bytes = secret.over(id, timestamp, body).finalize().into_bytes();
        format!("v1,{}", BASE64_STANDARD.encode(bytes))
    };
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrations::webhook::Place;

    fn secret(bytes: &[u8]) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(bytes))
    }

    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        // printf 'organizations:7:1.1674087231.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:6b6b…6b -binary | base64
        let secrets = Secret::parse_all(&secret(&[b'k'; 24])).unwrap();
        let signed = sign(&secrets, "organizations:7:1", "1674087231", br#"{"a":1}"#);
        assert_eq!(signed, "v1,g9ZeKJYBS+x+ZZtuhkueWcHogZrKYEQQdnlLJXtTcRM=");
    }

    #[test]
    fn an_endpoint_of_a_row_has_a_secret_of_its_own() {
        // printf 'endpoint https://example.com/hook' | openssl dgst -sha256 -mac HMAC -macopt hexkey:6b6b…6b -binary | base64
        let secret = Secret::parse(&secret(&[b'k'; 24])).unwrap();
        let of = |url: &str| secret.of(&Endpoint::parse(url, Place::Column("sync_url"), false).unwrap());
        let text = |url: &str| of(url).text().expose_secret().to_owned();
        let own = text("https://example.com/hook");
        assert_eq!(own, "whsec_em2ae5dUEWwY/h4iqlCRTrZVZzkwXcsAyBxb1nv0ebY=");
        assert_eq!(own, text(" HTTPS://Example.com:443/hook#part"));
        assert!(own != text("https://example.com/hook2") && Secret::parse(&own).is_ok());
        assert_eq!(
            sign(&[of("https://example.com/hook")], "a", "1", b""),
            sign(&[Secret::parse(&own).unwrap()], "a", "1", b"")
        );
    }

    #[test]
    fn every_secret_signs_and_nothing_else_is_one() {
        let both = format!("{},\n {}", secret(&[1; 24]), secret(&[2; 64]));
        let signed = sign(&Secret::parse_all(&both).unwrap(), "a", "1", b"");
        assert_eq!(signed.split(' ').filter(|part| part.starts_with("v1,")).count(), 2, "{signed}");
        let short = secret(&[1; 23]);
        let long = secret(&[1; 65]);
        let half = format!("{} hidden", secret(&[1; 24]));
        for text in ["", " , ", "hidden", "whsec_", "whsec_hidden!", &secret(&[1; 24])[6..], &short, &long, &half] {
            assert_eq!(Secret::parse_all(text).unwrap_err(), NoSecret, "{text}");
        }
        assert!(!format!("{:?}", Secret::parse_all(&both)).contains("AQEB"));
    }
}
