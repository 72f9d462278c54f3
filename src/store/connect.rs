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
}

impl Session {
    /// A statement of ours that takes longer than 30 s is stuck, and no transaction of ours rests.
    fn setup(self) -> &'static str {
        match self {
            Self::Worker => {
                // A plan made while a table was small must not read the whole of it when it has grown.
                "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '10s';
                 set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off"
            }
            Self::Operator => "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '10s'",
        }
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
            None | Some("prefer" | "allow") => (SslMode::Prefer, Verify::No),
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
                Box::pin(async move { client.batch_execute(session.setup()).await.map_err(HookError::Backend) })
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

/// Takes `sslmode` and `sslrootcert` out of a connection string; tokio-postgres knows only half of the one.
fn take_ssl(address: &str) -> (String, Ssl) {
    let mut ssl = Ssl::default();
    let mut keep = |key: &str, value: &str| {
        match key {
            "sslmode" => ssl.mode = Some(value.to_owned()),
            "sslrootcert" if value != "system" => ssl.root = Some(PathBuf::from(value)),
            "sslrootcert" => {}
            _ => return true,
        }
        false
    };
    let rest = if let Ok(mut url) = url::Url::parse(address) {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(k, v)| keep(k, v)).collect();
        url.set_query(None);
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url.to_string()
    } else {
        let words = address.split_whitespace().filter(|word| word.split_once('=').is_none_or(|(k, v)| keep(k, v)));
        words.collect::<Vec<_>>().join(" ")
    };
    (rest, ssl)
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
    fn a_password_is_never_printed() {
        let database = Database::parse("postgres://u:very-secret@h/db").unwrap();
        assert!(!format!("{database:?}").contains("very-secret"));
    }
}
