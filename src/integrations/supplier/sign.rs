//! Signatures: HMAC over a text, as hexadecimal digits or base64, and their check in constant time.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Which digest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// HMAC-SHA256.
    #[default]
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// The signature of these parts, one after another. HMAC takes a key of any length; nothing, if it did not.
pub(super) fn sign(algorithm: Algorithm, secret: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    fn over<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(secret).ok()?;
        for part in parts {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().to_vec())
    }
    match algorithm {
        Algorithm::Sha256 => over::<Hmac<Sha256>>(secret, parts),
        Algorithm::Sha512 => over::<Hmac<Sha512>>(secret, parts),
    }
}

/// Whether two byte strings are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

pub(super) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}

pub(super) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => {
            let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
            is_hex.then(|| (0..text.len()).step_by(2).map(byte).collect())?
        }
        Encoding::Base64 => STANDARD.decode(text).ok(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signatures_are_the_known_ones() {
        // A vector of GitHub's, and RFC 4231's second.
        let signature = sign(Algorithm::Sha256, b"It's a Secret to Everybody", &[b"Hello, ", b"World!"]).unwrap();
        assert_eq!(hex(&signature), "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
        let signature = sign(Algorithm::Sha512, b"Jefe", &[b"what do ya want for nothing?"]).unwrap();
        assert!(hex(&signature).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"));
    }

    #[test]
    fn what_is_encoded_is_decoded_and_the_rest_is_not() {
        for encoding in [Encoding::Hex, Encoding::Base64] {
            assert_eq!(decode(encoding, &encode(encoding, b"\x00\xffx")).as_deref(), Some(&b"\x00\xffx"[..]));
            for text in ["0", "zz", "é", "+1"] {
                assert_eq!(decode(encoding, text), None, "{text}");
            }
        }
        assert!(same(b"ab", b"ab") && !same(b"ab", b"ac") && !same(b"ab", b"abc"));
    }
}
