//! Addresses: what libpq and the poolers write into a connection string and tokio-postgres does not read.
//!
//! `sslmode` and `sslrootcert` have libpq's meaning; `pgbouncer`, which Prisma made usual and Supabase writes into its own
//! addresses, says whether a pooler in transaction mode is in between. Words that we would have to ignore are refused.

use std::path::PathBuf;

use super::tls::TlsError;

/// A connection string that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no connection string.
    #[error("not a Postgres connection string; write postgres://user:password@host:5432/database")]
    Parse(#[source] tokio_postgres::Error),
    /// libpq knows no such mode.
    #[error("sslmode={0} is not one of disable, prefer, require, verify-ca, verify-full")]
    SslMode(String),
    /// Neither yes nor no.
    #[error("pgbouncer={0} is neither true (a pooler in transaction mode is in between) nor false")]
    Pgbouncer(String),
    /// A login that is not built in; to ignore it would be to log in otherwise than was asked for.
    #[error("{0}: rowcall has no client certificate to show; leave it out, and log in with a password")]
    ClientCertificate(String),
    /// Certificates cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The words of an address that are ours to read.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// `sslmode`.
    pub(super) ssl_mode: Option<String>,
    /// `sslrootcert`, where that is a file.
    pub(super) ssl_root: Option<PathBuf>,
    /// `sslrootcert=system`.
    pub(super) is_system_root: bool,
    /// `pgbouncer`.
    pub(super) pgbouncer: Option<String>,
    /// A word of a login by certificate.
    pub(super) client_certificate: Option<String>,
}

impl Words {
    /// Keeps a word of the address when it is one of ours.
    fn takes(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sslmode" => self.ssl_mode = Some(value.to_owned()),
            "sslrootcert" if value != "system" => self.ssl_root = Some(PathBuf::from(value)),
            "sslrootcert" => self.is_system_root = true,
            "pgbouncer" => self.pgbouncer = Some(value.to_owned()),
            "sslcert" | "sslkey" | "sslpassword" => self.client_certificate = Some(key.to_owned()),
            _ => return false,
        }
        true
    }

    /// Whether a pooler in transaction mode is in between, where the address says it.
    pub(super) fn is_pooled(&self) -> Result<Option<bool>, AddressError> {
        match self.pgbouncer.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(AddressError::Pgbouncer(other.to_owned())),
        }
    }
}

/// Takes our words out of a connection string. All else stays as it was written: `url` knows no list of hosts, and writes a
/// space as a plus, which libpq does not read.
pub(super) fn take_words(address: &str) -> (String, Words) {
    let mut taken = Words::default();
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme));
    let rest = match address.rsplit_once('?') {
        Some((place, query)) if is_url => {
            let kept: Vec<&str> = query.split('&').filter(|pair| !takes_pair(&mut taken, pair)).collect();
            if kept.is_empty() { place.to_owned() } else { format!("{place}?{}", kept.join("&")) }
        }
        _ if is_url => address.to_owned(),
        _ => {
            let kept = words(address).into_iter().filter(|word| !taken.takes(word.key, &word.value));
            kept.map(|word| word.written).collect::<Vec<_>>().join(" ")
        }
    };
    (rest, taken)
}

/// Reads one `key=value` of a URL's query.
fn takes_pair(taken: &mut Words, pair: &str) -> bool {
    // A plus is a plus here, as in a path of a file.
    let pair = pair.replace('+', "%2B");
    url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, value)| taken.takes(&key, &value))
}

/// One `key = 'value'` of libpq's words, and how it was written.
struct Word<'a> {
    key: &'a str,
    value: String,
    written: &'a str,
}

/// Splits libpq's words: spaces may stand around `=`, quotes around a value, and a backslash before any character of it.
fn words(address: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut rest = address.trim_start();
    while !rest.is_empty() {
        let key_end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(key_end);
        let (value, left) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            // No word of libpq's: tokio-postgres says so.
            None => (String::new(), after),
        };
        found.push(Word { key, value, written: rest[..rest.len() - left.len()].trim_end() });
        rest = left.trim_start();
    }
    found
}

/// Reads a value, quoted or not, and what is left behind it.
fn value(text: &str) -> (String, &str) {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted.is_some() => return (value, &text[at + 1..]),
            c if c.is_whitespace() && quoted.is_none() => return (value, &text[at..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}
