//! Settings: the environment, resolved and checked once. An error names the variable and says what it takes.
//!
//! Secrets are `SecretString`s from here on, so that no log and no debug output can show them.

mod databases;
mod fluent;
mod http;
mod providers;
mod links;
mod organizations;
mod crm;

pub use databases::{database, listen};

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::connections::Connections;
use crate::http::Settings as HttpSettings;
use crate::http::jwt::KeySetError;
use crate::integrations::command::own_binary;
use crate::integrations::crm as crms;
use crate::integrations::fienta;
use crate::integrations::fluent::Settings as FluentSettings;
use crate::integrations::monitor::{Monitor, MonitorError};
use crate::integrations::supplier::profile::ProfileError;
use crate::integrations::{organization, supplier, whatsapp};
use crate::link::Prefix;
use crate::store::connect::{AddressError, Database};
use crate::store::queues;

/// A variable that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no database to work beside.
    #[error(
        "DATABASE_URL is not set: give it the address of your database, such as \
         postgres://user:password@localhost:5432/app (or try `rowcall demo`, which brings its own)"
    )]
    NoDatabase,
    /// An address of a database cannot be used.
    #[error("{variable}")]
    Address {
        /// The variable.
        variable: &'static str,
        /// Why not.
        #[source]
        source: AddressError,
    },
    /// The monitor's address cannot be used.
    #[error("ROWCALL_MONITOR_URL")]
    Monitor(#[source] MonitorError),
    /// The path of this binary, which leads the programs that it runs, cannot be told.
    #[error("find the rowcall binary")]
    OwnBinary(#[source] std::io::Error),
    /// A secret cannot be used; it is not shown.
    #[error("{variable}: {expected}")]
    Secret {
        /// The variable.
        variable: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A file that a variable names cannot be read.
    #[error("{variable}: read {}", path.display())]
    File {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file of keys cannot be used.
    #[error("{variable}")]
    KeySet {
        /// The variable.
        variable: &'static str,
        /// Why not.
        #[source]
        source: KeySetError,
    },
    /// A supplier's profile cannot be used.
    #[error("{variable}")]
    Profile {
        /// The variable.
        variable: &'static str,
        /// Which key of it, and why not.
        #[source]
        source: ProfileError,
    },
    /// Anything else.
    #[error("{variable}={value:?}: {expected}")]
    Value {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it takes.
        expected: String,
    },
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Everything that a worker is told by its environment.
#[derive(Debug)]
pub struct Config {
    /// For claims, settles and policy.
    pub database: Database,
    /// For the bell; the same unless `LISTEN_DATABASE_URL` is set.
    pub listen: Database,
    /// How many connections to databases there may be.
    pub connections: Connections,
    /// How often to sweep.
    pub sweep: Duration,
    /// How long a shutdown may take.
    pub grace: Duration,
    /// Which queues this worker serves.
    pub queues: Vec<&'static str>,
    /// Who is told after every sweep.
    pub monitor: Option<Monitor>,
    /// The HTTP server; nothing where it is off.
    pub http: Option<HttpSettings>,
    /// The Fienta command.
    pub fienta: fienta::Settings,
    /// The provider of WhatsApp, and the agent.
    pub whatsapp: whatsapp::Settings,
    /// The CRMs.
    pub crm: crms::Settings,
    /// The supplier of data bundles.
    pub supplier: supplier::Settings,
    /// The site with FluentSupport.
    pub fluent: FluentSettings,
    /// What stands before the slugs of short links, as the world sees it; nothing where they are not served.
    pub links: Option<Prefix>,
    /// Who is told of organizations, and what.
    pub organizations: organization::Settings,
}

/// Where variables come from; the tests bring their own.
pub trait Environment {
    /// The value of a variable; empty counts as not set.
    fn get(&self, variable: &str) -> Option<String>;
}

/// The process's own environment.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok().filter(|value| !value.trim().is_empty())
    }
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, variable: &str) -> Option<String> {
        self(variable)
    }
}

/// `ROWCALL_LOG_FORMAT`: human on a terminal, JSON elsewhere.
pub fn log_format(environment: &impl Environment, terminal: bool) -> Result<LogFormat, ConfigError> {
    match environment.get("ROWCALL_LOG_FORMAT").as_deref() {
        None if terminal => Ok(LogFormat::Human),
        None | Some("json") => Ok(LogFormat::Json),
        Some("human") => Ok(LogFormat::Human),
        Some(other) => Err(value("ROWCALL_LOG_FORMAT", other, "human or json")),
    }
}

impl Config {
    /// Reads and checks every setting of a worker.
    pub fn read(environment: &impl Environment) -> Result<Self, ConfigError> {
        let database = database(environment)?;
        let listen = listen(environment)?.unwrap_or_else(|| database.clone());
        let whatsapp = providers::whatsapp(environment)?;
        let crm = crm::crm(environment)?;
        let supplier = providers::supplier(environment)?;
        let http = http::settings(environment, &whatsapp.meta, &crm, &supplier)?;
        Ok(Self {
            database,
            listen,
            connections: databases::connections(environment, http.is_some())?,
            sweep: seconds(environment, "ACTION_CHECK_INTERVAL", 30, 1..=3600)?,
            grace: seconds(environment, "ROWCALL_SHUTDOWN_GRACE", 30, 15..=3600)?,
            queues: served(environment)?,
            monitor: environment
                .get("ROWCALL_MONITOR_URL")
                .map(|address| Monitor::new(&address).map_err(ConfigError::Monitor))
                .transpose()?,
            http,
            fienta: fienta_settings(environment)?,
            crm,
            whatsapp,
            fluent: fluent::settings(environment)?,
            supplier,
            links: links::base_url(environment)?.as_ref().and_then(Prefix::new),
            organizations: organizations::settings(environment)?,
        })
    }
}

/// The settings of what is told of organizations.
pub fn organizations(environment: &impl Environment) -> Result<organization::Settings, ConfigError> {
    organizations::settings(environment)
}

fn fienta_settings(environment: &impl Environment) -> Result<fienta::Settings, ConfigError> {
    let command = environment.get("FIENTA_CLI").unwrap_or_else(|| "npx tsx src/cli.ts".to_owned());
    let argv = shell_words::split(&command)
        .ok()
        .filter(|argv| !argv.is_empty())
        .ok_or_else(|| value("FIENTA_CLI", &command, "a command with its arguments, quoted as in a shell"))?;
    let event_id = environment.get("FIENTA_EVENT_ID");
    if let Some(id) = event_id.as_deref().filter(|id| !id.bytes().all(|b| b.is_ascii_digit()) || id.len() > 20) {
        return Err(value("FIENTA_EVENT_ID", id, "the number of the event, such as 200100"));
    }
    Ok(fienta::Settings {
        argv,
        dir: environment.get("FIENTA_CLI_DIR").map(PathBuf::from),
        email: environment.get("FIENTA_EMAIL"),
        password: environment.get("FIENTA_PASSWORD").map(SecretString::from),
        event_id,
        guard: own_binary().map_err(ConfigError::OwnBinary)?,
    })
}

fn served(environment: &impl Environment) -> Result<Vec<&'static str>, ConfigError> {
    let all: Vec<&'static str> = queues::ALL.iter().map(|s| s.queue).collect();
    let Some(list) = environment.get("ROWCALL_QUEUES") else { return Ok(all) };
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            queues::named(name)
                .map(|s| s.queue)
                .ok_or_else(|| value("ROWCALL_QUEUES", name, &format!("a list of {}", all.join(", "))))
        })
        .collect()
}

fn seconds(
    environment: &impl Environment,
    variable: &'static str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    let Some(text) = environment.get(variable) else { return Ok(Duration::from_secs(default)) };
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number
        .map(Duration::from_secs)
        .ok_or_else(|| value(variable, &text, &format!("whole seconds from {} to {}", range.start(), range.end())))
}

fn switch(environment: &impl Environment, variable: &'static str, default: bool) -> Result<bool, ConfigError> {
    let Some(text) = environment.get(variable) else { return Ok(default) };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(value(variable, &text, "true or false")),
    }
}

fn whole(
    environment: &impl Environment,
    variable: &'static str,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, ConfigError> {
    let Some(text) = environment.get(variable) else { return Ok(default) };
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| value(variable, &text, &format!("a whole number from {} to {}", range.start(), range.end())))
}

fn value(variable: &'static str, value: &str, expected: &str) -> ConfigError {
    let value = value.chars().take(80).collect();
    ConfigError::Value { variable, value, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::read(&move |variable: &str| pairs.iter().find(|(k, _)| k == variable).map(|(_, v)| v.clone()))
    }

    #[test]
    fn an_error_names_the_variable_and_what_it_takes() {
        let url = ("DATABASE_URL", "postgres://u@localhost/app");
        for (variable, value, expected) in [
            ("ACTION_CHECK_INTERVAL", "soon", "whole seconds from 1 to 3600"),
            ("ACTION_CHECK_INTERVAL", "0", "whole seconds from 1 to 3600"),
            ("ROWCALL_QUEUES", "codes,nothing", "codes"),
            ("FIENTA_EVENT_ID", "--help", "the number of the event"),
            ("FIENTA_CLI", "'unclosed", "quoted as in a shell"),
            ("ROWCALL_MONITOR_URL", "file:///etc/passwd", "http or https"),
            ("LISTEN_DATABASE_URL", "not an address", "LISTEN_DATABASE_URL"),
            ("LISTEN_DATABASE_URL", "postgres://u@h/db?pgbouncer=maybe", "neither true"),
            ("LISTEN_DATABASE_URL", "host=h sslcert=/c.pem sslkey=/k.pem", "no client certificate"),
            ("ROWCALL_CONNECTIONS_MAX", "4", "a whole number from 5 to 200"),
            ("ROWCALL_CONNECTIONS_MAX", "many", "a whole number from 5 to 200"),
            ("WHATSAPP_PROVIDER", "telegram", "meta or infobip"),
            ("WHATSAPP_API_URL", "ftp://example.com", "http or https"),
            ("WHATSAPP_PHONE_NUMBER_ID", "+1 650", "in digits"),
            ("WHATSAPP_ACCESS_TOKEN", "two words", "white space"),
            ("INFOBIP_SENDER", "0241234567", "with its country code"),
            ("AGENT_API_URL", "https://example.com/v1", "AGENT_MODEL"),
            ("AT_ISHARE_PROFILE", "nobody", "at-ishare, codecraft, spfastit, hubnet, xpress"),
            ("AT_ISHARE_PROFILE", "/does/not/exist.toml", "read /does/not/exist.toml"),
            ("AT_ISHARE_API_URL", "example.com", "http or https"),
            ("AT_ISHARE_API_URL", "https://u:p@example.com", "without a password"),
            ("AT_ISHARE_CALLBACK_URL", "https://example.com/?x=1", "without ?"),
            ("AT_ISHARE_API_KEY", "two words", "white space"),
            ("AT_ISHARE_API_SECRET", "é", "no header can carry"),
            ("FLUENT_API_URL", "example.com", "http or https"),
            ("FLUENT_API_URL", "http://support.example.com", "an https address"),
            ("FLUENT_API_URL", "http://203.0.113.7", "an https address"),
            ("FLUENT_API_URL", "http://[2001:db8::7]", "an https address"),
            ("FLUENT_DATE_FILTER", "17.10.2025", "such as 2025-10-17"),
            ("FLUENT_SITE_TIMEZONE", "Mars/Olympus", "such as Europe/Tallinn"),
            ("LINKS_BASE_URL", "go.example.com", "an http or https address"),
            ("LINKS_BASE_URL", "https://go.example.com/?to=", "an http or https address"),
            ("ORGANIZATION_SYNC_URL", "http://example.com/", "must begin with https://"),
            ("ORGANIZATION_SYNC_URL", "https://a:b@example.com/", "without a user"),
            ("ORGANIZATION_SYNC_SECRET", "hunter2", "24 to 64 random bytes"),
            ("ORGANIZATION_SYNC_COLUMNS", "id,,name", "separated by commas"),
            ("ROWCALL_WEBHOOK_LOOPBACK", "perhaps", "true or false"),
        ] {
            let error = read(&[url, (variable, value)]).unwrap_err();
            let text = crate::store::chain(&error);
            assert!(text.contains(variable) && text.contains(expected) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn without_a_database_the_error_says_what_to_do() {
        assert!(read(&[]).unwrap_err().to_string().contains("rowcall demo"));
    }

    #[test]
    fn defaults_are_those_of_the_documents() {
        let config = read(&[("DATABASE_URL", "postgres://u@localhost/app")]).unwrap();
        assert_eq!(config.sweep, Duration::from_secs(30));
        assert_eq!(config.fienta.argv, ["npx", "tsx", "src/cli.ts"]);
        let queues = [
            "codes",
            "actions",
            "fulfillment_logs",
            "crm_sync_queue",
            "crm_orders",
            "fluent_sync_status",
            "orders",
            "fienta_checks",
            "links",
            "organizations",
        ];
        assert_eq!(config.queues, queues);
        assert_eq!(config.supplier.profile.name, "at-ishare");
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let secrets = [
            "FIENTA_PASSWORD",
            "WHATSAPP_ACCESS_TOKEN",
            "WHATSAPP_APP_SECRET",
            "WHATSAPP_VERIFY_TOKEN",
            "INFOBIP_API_KEY",
            "AGENT_API_KEY",
            "AT_ISHARE_API_KEY",
            "AT_ISHARE_API_SECRET",
            "FLUENT_API_USERNAME",
            "FLUENT_API_PASSWORD",
        ];
        let token = "hidden-hidden-hidden";
        let mut pairs = vec![
            ("DATABASE_URL", "postgres://u:hidden@localhost/app"),
            ("AGENT_API_URL", "https://agent.example.com/v1"),
            ("AGENT_MODEL", "small"),
            ("ROWCALL_API_TOKEN", token),
            ("ORGANIZATION_SYNC_URL", "https://example.com/?key=hidden"),
            ("ORGANIZATION_SYNC_SECRET", "whsec_hiddenhiddenhiddenhiddenhiddenhidden"),
        ];
        pairs.extend(secrets.map(|variable| (variable, "hidden")));
        let config = read(&pairs).unwrap();
        assert!(config.whatsapp.agent.is_some());
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
