//! Where the database is, and how connections to it are made.
//!
//! Two strings by design: the pool may go through a pooler, the bell must not. Dead peers are noticed by keepalives and
//! time-outs; tokio-postgres' own defaults would wait for hours.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

pub use super::address::AddressError;
use super::address::take_words;
use super::pool::{Pool, Terms};
use super::pooling::{POOLER_PORT, Pooling};
use super::tls::{Verify, connector};

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
    /// What is set, by `set` or `set local`. A statement of ours that takes longer than 30 s is stuck, and no transaction of
    /// ours rests.
    pub(super) fn setup(self, set: &str) -> String {
        let (statement_max, rest) = match self {
            // A plan made while a table was small must not read the whole of it when it has grown.
            Self::Worker => (
                30,
                format!("; {set} plan_cache_mode = force_generic_plan; {set} enable_seqscan = off; {set} jit = off"),
            ),
            Self::Operator => (30, String::new()),
            Self::Request => (STATEMENT_MAX.as_secs(), String::new()),
        };
        format!("{set} statement_timeout = '{statement_max}s'; {set} idle_in_transaction_session_timeout = '10s'{rest}")
    }

    /// What a session of our own is set up with.
    fn kept(self) -> String {
        // A statement ends with its connection. Not every system under a server can look for that; and a pooler's connection
        // is not the caller's.
        const ENDS_WITH_US: &str = "do $$ begin
                 set client_connection_check_interval = '1s';
             exception when others then null;
             end $$";
        match self {
            Self::Worker | Self::Operator => self.setup("set"),
            Self::Request => format!("{}; {ENDS_WITH_US}", self.setup("set")),
        }
    }
}

/// Where one database is.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
    /// How long a server process is ours, where that is known.
    pooling: Option<Pooling>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads a connection string: a URL, or libpq's `key=value` words, with `sslmode` and `sslrootcert` as libpq has them.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let (address, words) = take_words(address);
        let is_pooled = words.is_pooled()?;
        if let Some(word) = words.client_certificate {
            return Err(AddressError::ClientCertificate(word));
        }
        let mut config: Config = address.parse().map_err(AddressError::Parse)?;
        let (mode, verify) = match (words.ssl_mode.as_deref(), words.ssl_root) {
            (Some("disable"), _) => (SslMode::Disable, Verify::No),
            // As in libpq: whoever names the system's authorities wants them asked.
            (None | Some("prefer" | "allow" | "require"), None) if words.is_system_root => {
                (SslMode::Require, Verify::System)
            }
            (None, None) => (config.get_ssl_mode(), Verify::No),
            (Some("prefer" | "allow"), _) => (SslMode::Prefer, Verify::No),
            (Some("require"), None) => (SslMode::Require, Verify::No),
            // Without a mode, more than libpq does, whose `prefer` would ask nobody.
            (None | Some("require" | "verify-ca"), Some(root)) => (SslMode::Require, Verify::Authority(root)),
            // The authorities of the system sign for everybody, so without the name nothing would be known.
            (Some("verify-ca" | "verify-full"), None) => (SslMode::Require, Verify::System),
            (Some("verify-full"), Some(root)) => (SslMode::Require, Verify::Full(root)),
            (Some(other), _) => return Err(AddressError::SslMode(other.to_owned())),
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
        let has_its_port = config.get_ports().contains(&POOLER_PORT);
        let is_pooled = is_pooled.or(has_its_port.then_some(true));
        let pooling = is_pooled.map(|is| if is { Pooling::Transaction } else { Pooling::Session });
        Ok(Self { config, tls: connector(&verify)?, pooling })
    }

    /// How long a server process is ours, where that is known.
    pub fn pooling(&self) -> Option<Pooling> {
        self.pooling
    }

    /// The same address, with what is known of it.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Option<Pooling>) -> Self {
        self.pooling = pooling;
        self
    }

    /// Whether it is the same address, whatever is known of it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.config == other.config
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

    /// The same server, another database.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// A pool of at most `size` connections; none is made before it is needed.
    ///
    /// An operator asks once and goes, so nothing is kept for one. Else sessions are used as ours unless they are known not to be.
    pub fn pool(&self, size: usize, session: Session) -> Pool {
        let is_kept = session != Session::Operator && self.pooling != Some(Pooling::Transaction);
        let terms = Arc::new(Terms::new(is_kept, session));
        let manager = Manager::from_config(
            self.config.clone(),
            self.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let (hooked, setup) = (Arc::clone(&terms), session.kept());
        let hook = Hook::async_fn(move |client, _| {
            let setup = hooked.is_kept().then(|| setup.clone());
            Box::pin(async move {
                match setup {
                    Some(setup) => client.batch_execute(&setup).await.map_err(HookError::Backend),
                    None => Ok(()),
                }
            })
        });
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(Duration::from_secs(5)),
                create: Some(Duration::from_secs(10)),
                recycle: Some(Duration::from_secs(2)),
            })
            .post_create(hook)
            .build()
            .expect("a pool with a runtime builds");
        Pool { connections, terms }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tls::TlsError;

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
    fn whoever_names_an_authority_has_it_asked() {
        let mode = |query: &str| {
            Database::parse(&format!("postgres://u@h/db?{query}")).map(|database| database.config.get_ssl_mode())
        };
        for query in ["sslrootcert=system", "sslmode=require&sslrootcert=system", "sslrootcert=system&sslmode=prefer"] {
            assert_eq!(mode(query).unwrap(), SslMode::Require, "{query}");
        }
        // It is read, with a mode or without one.
        for query in ["sslrootcert=/does/not/exist.crt", "sslmode=require&sslrootcert=/does/not/exist.crt"] {
            assert!(matches!(mode(query), Err(AddressError::Tls(TlsError::RootCert { .. }))), "{query}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let database = Database::parse("postgres://u:very-secret@h/db").unwrap();
        assert!(!format!("{database:?}").contains("very-secret"));
    }
}
