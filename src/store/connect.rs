//! Where the database is, and how connections to it are made.
//!
//! Two strings by design: the pool may go through a pooler, the bell must not. Dead peers are noticed by keepalives and
//! time-outs; tokio-postgres' own defaults would wait for hours.

use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::tls::{TlsError, Verify, connector};

/// How a connection's session is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// For the worker: the same few statements for ever, each planned once.
    Worker,
    /// For a person's questions, each planned for what it asks.
    Operator,
    /// The same for requests over HTTP, whose callers neither wait for long nor always to the end.
    Request,
}

/// A statement of a request ends sooner than the request does.
pub(crate) const STATEMENT_MAX: Duration = Duration::from_secs(20);

impl Session {
    /// A statement of ours that takes longer than 30 s is stuck, and no transaction of ours rests.
    fn setup(self) -> String {
        let (statement_max, rest) = match self {
            // A plan made while a table was small must not read the whole of it when it has grown.
            Self::Worker => (30, "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off"),
            Self::Operator => (30, ""),
            // A statement ends with its connection. Not every system under a server can look for that.
            Self::Request => (
                STATEMENT_MAX.as_secs(),
                "do $$ begin
                     set client_connection_check_interval = '1s';
                 exception when others then null;
                 end $$",
            ),
        };
        format!("set statement_timeout = '{statement_max}s'; set idle_in_transaction_session_timeout = '10s'; {rest}")
    }
}

/// Where one database is.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A connection string that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no connection string.
    #[error("not a Postgres connection string; write postgres://user:password@host:5432/database")]
    Parse(#[source] tokio_postgres::Error),
    /// libpq knows no such mode.
    #[error("sslmode={0} is not one of disable, prefer, require, verify-ca, verify-full")]
    SslMode(String),
    /// Certificates cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Database {
    /// Reads a connection string: a URL, or libpq's `key=value` words, with `sslmode` and `sslrootcert` as libpq has them.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let (address, ssl) = take_ssl(address);
        let mut config: Config = address.parse().map_err(AddressError::Parse)?;
        let verified = ssl.root.map_or(Verify::System, Verify::File);
        let (mode, verify) = match ssl.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Verify::No),
            None => (config.get_ssl_mode(), Verify::No),
            Some("prefer" | "allow") => (SslMode::Prefer, Verify::No),
            Some("require") => (SslMode::Require, if verified == Verify::System { Verify::No } else { verified }),
            Some("verify-ca" | "verify-full") => (SslMode::Require, verified),
            Some(other) => return Err(AddressError::SslMode(other.to_owned())),
        };
        config
            .ssl_mode(mode)
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15));
        if config.get_application_name().is_none() {
            config.application_name("rowcall");
        }
        Ok(Self { config, tls: connector(&verify)? })
    }

    /// The name of the database, for messages.
    pub fn name(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres")
    }

    /// Where it is, for messages: hosts and ports, no password.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(nth, host)| {
            let host = match host {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            };
            format!("{host}:{}", ports.get(nth).or(ports.first()).unwrap_or(&5432))
        });
        hosts.collect::<Vec<_>>().join(", ")
    }

    /// Whether one of its hosts is reached by this port.
    pub fn has_port(&self, port: u16) -> bool {
        self.config.get_ports().contains(&port)
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// A pool of at most `size` connections; none is made before it is needed.
    pub fn pool(&self, size: usize, session: Session) -> Pool {
        let manager = Manager::from_config(
            self.config.clone(),
            self.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(Duration::from_secs(5)),
                create: Some(Duration::from_secs(10)),
                recycle: Some(Duration::from_secs(2)),
            })
            .post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move { client.batch_execute(&session.setup()).await.map_err(HookError::Backend) })
            }))
            .build()
            .expect("a pool with a runtime builds")
    }

    /// A connection of its own, with the half that must be driven.
    pub async fn connect(
        &self,
    ) -> Result<(Client, Connection<Socket, impl TlsStream + Unpin + Send + use<>>), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// Asks the server to end what a connection of this database runs.
    pub async fn cancel(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        client.cancel_token().cancel_query(self.tls.clone()).await
    }

    /// A connection of its own, driven in the background until it is dropped. It hears no bell.
    pub async fn client(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.connect().await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = super::chain(&error), "A connection to the database ended");
            }
        });
        Ok(client)
    }
}

#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<PathBuf>,
}

impl Ssl {
    /// Keeps a word of the address when it is one of ours.
    fn takes(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" if value != "system" => self.root = Some(PathBuf::from(value)),
            "sslrootcert" => {}
            _ => return false,
        }
        true
    }
}

/// Takes `sslmode` and `sslrootcert` out of a connection string; tokio-postgres knows only half of the one. All else stays
/// as it was written: `url` knows no list of hosts, and writes a space as a plus, which libpq does not read.
fn take_ssl(address: &str) -> (String, Ssl) {
    let mut ssl = Ssl::default();
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme));
    let rest = match address.rsplit_once('?') {
        Some((place, query)) if is_url => {
            let kept: Vec<&str> = query.split('&').filter(|pair| !takes_pair(&mut ssl, pair)).collect();
            if kept.is_empty() { place.to_owned() } else { format!("{place}?{}", kept.join("&")) }
        }
        _ if is_url => address.to_owned(),
        _ => {
            let kept = words(address).into_iter().filter(|word| !ssl.takes(word.key, &word.value));
            kept.map(|word| word.written).collect::<Vec<_>>().join(" ")
        }
    };
    (rest, ssl)
}

/// Reads one `key=value` of a URL's query.
fn takes_pair(ssl: &mut Ssl, pair: &str) -> bool {
    // A plus is a plus here, as in a path of a file.
    let pair = pair.replace('+', "%2B");
    url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, value)| ssl.takes(&key, &value))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_is_read_as_libpq_reads_it() {
        let mode = |address: &str| Database::parse(address).map(|d| d.config.get_ssl_mode());
        assert_eq!(mode("postgres://u:p@localhost/db").unwrap(), SslMode::Prefer);
        assert_eq!(mode("postgres://u:p@localhost/db?sslmode=disable").unwrap(), SslMode::Disable);
        assert_eq!(mode("host=localhost user=u sslmode=require").unwrap(), SslMode::Require);
        assert!(
            matches!(mode("postgres://h/db?sslmode=verify-fully"), Err(AddressError::SslMode(m)) if m == "verify-fully")
        );
        let missing = mode("postgres://h/db?sslmode=verify-full&sslrootcert=/does/not/exist.crt");
        assert!(matches!(missing, Err(AddressError::Tls(TlsError::RootCert { .. }))));
    }

    #[test]
    fn other_words_of_the_address_are_kept() {
        let database = Database::parse("postgres://u:p%40ss@h:6543/db?application_name=mine&sslmode=disable").unwrap();
        assert_eq!(database.config.get_application_name(), Some("mine"));
        assert_eq!(database.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(database.name(), "db");
    }

    #[test]
    fn sslmode_counts_for_a_list_of_hosts_too() {
        let hosts = "postgres://u:p@h1:1,h2:2/db";
        let parse = |query: &str| Database::parse(&format!("{hosts}{query}"));
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("?sslmode=require", SslMode::Require),
            ("?application_name=a&sslmode=verify%2Dfull", SslMode::Require),
            ("?sslmode=disable&target_session_attrs=read-write", SslMode::Disable),
        ] {
            let database = parse(query).unwrap();
            assert_eq!(database.config.get_ssl_mode(), mode, "{query}");
            assert_eq!((database.place(), database.name()), ("h1:1, h2:2".to_owned(), "db"), "{query}");
        }
        assert!(matches!(parse("?sslmode=verify-fully"), Err(AddressError::SslMode(_))));
        let missing = parse("?sslmode=verify-full&sslrootcert=/does/not+exist.crt");
        assert!(
            matches!(missing, Err(AddressError::Tls(TlsError::RootCert { path, .. })) if path.ends_with("not+exist.crt"))
        );
    }

    #[test]
    fn sslmode_counts_with_spaces_and_quotes_around_it() {
        for address in [
            "host=h user=u sslmode = require",
            "sslmode= require host=h user=u",
            "host=h sslmode ='require' user=u",
            "  host = h\tsslmode\n=\nrequire   user=u ",
            "host=h user=u sslmode=requ\\ire",
            "host=h user=u password='sslmode=disable' sslmode=require",
        ] {
            let database = Database::parse(address).unwrap_or_else(|e| panic!("{address}: {e}"));
            assert_eq!(database.config.get_ssl_mode(), SslMode::Require, "{address}");
            assert_eq!((database.place(), database.config.get_user()), ("h:5432".to_owned(), Some("u")), "{address}");
        }
        assert!(Database::parse("host=h sslmode").is_err());
    }

    #[test]
    fn values_of_the_address_stay_as_they_were_written() {
        let words = Database::parse("host=h user=u password='a  b\\' c' sslmode=disable options='-c x=1'").unwrap();
        assert_eq!(words.config.get_password(), Some(&b"a  b' c"[..]));
        assert_eq!(words.config.get_options(), Some("-c x=1"));
        let url = Database::parse("postgres://u@h/db?options=-c%20x%3D1&sslmode=disable").unwrap();
        assert_eq!(url.config.get_options(), Some("-c x=1"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let database = Database::parse("postgres://u:very-secret@h/db").unwrap();
        assert!(!format!("{database:?}").contains("very-secret"));
    }
}
