//! A database of its own for a test, on the server of `DATABASE_URL`, and the real binary beside it.

use std::process::{Command, Output, Stdio};

use rowcall::store::connect::Database;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::Client;
use url::Url;
use uuid::Uuid;

use crate::database::template;
use crate::process::ROWCALL;

/// A database that goes with the test.
pub(crate) struct Scratch {
    pub(crate) url: String,
    server: String,
    name: String,
    fienta: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// What it printed, when it went well.
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// What it complained, when it refused.
    pub(crate) fn refusal(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        self.err
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

impl Scratch {
    pub(crate) async fn empty() -> Self {
        Self::create("").await
    }

    async fn create(of: &str) -> Self {
        let server = std::env::var("DATABASE_URL").expect("bin/test runs the tests, and gives them DATABASE_URL");
        let name = format!("it_{}", Uuid::new_v4().simple());
        let mut url = Url::parse(&server).unwrap();
        url.set_path(&name);
        client(&server).await.batch_execute(&format!("create database {name} {of}")).await.unwrap();
        Self { url: url.into(), server, name, fienta: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn migrated() -> Self {
        let template = template().await;
        Self::create(&format!("template {template}")).await
    }

    pub(crate) async fn client(&self) -> Client {
        client(&self.url).await
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs SQL on the server's own database.
    pub(crate) async fn server_sql(&self, sql: &str) {
        client(&self.server).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Ends every connection and lets none in.
    pub(crate) async fn shut(&self) {
        let name = self.name();
        self.server_sql(&format!("alter database {name} allow_connections false")).await;
        self.server_sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"))
            .await;
    }

    /// Lets connections in again.
    pub(crate) async fn reopen(&self) {
        self.server_sql(&format!("alter database {} allow_connections true", self.name())).await;
    }

    /// The address of another database of the same server.
    pub(crate) fn elsewhere(&self) -> &str {
        &self.server
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The one value that a query gives, as text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// A command in an environment in which everything is configured.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ROWCALL);
        command.args(arguments).stdin(Stdio::null()).env_clear().env("DATABASE_URL", &self.url);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("FIENTA_CLI", format!("{ROWCALL} sandbox fienta --state {}", self.fienta.path().display()));
        command.envs([
            ("FIENTA_EMAIL", "owner@example.com"),
            ("FIENTA_PASSWORD", "secret"),
            ("FIENTA_EVENT_ID", "200100"),
            ("WHATSAPP_API_URL", "http://127.0.0.1:9/v25.0"),
            ("WHATSAPP_PHONE_NUMBER_ID", "106540352242922"),
            ("WHATSAPP_ACCESS_TOKEN", "a-token-of-a-test"),
            // It does not call back, so a server may be open.
            ("AT_ISHARE_PROFILE", "codecraft"),
            ("AT_ISHARE_API_URL", "http://127.0.0.1:9/v1"),
            ("AT_ISHARE_API_KEY", "a-key-of-a-test"),
            ("AT_ISHARE_API_SECRET", "a-secret-of-a-test"),
            ("COMMERCE7_API_URL", "http://127.0.0.1:9/v1"),
            ("COMMERCE7_APP_ID", "an-app-of-a-test"),
            ("COMMERCE7_KEY", "a-key-of-a-test"),
            ("SHOPIFY_API_URL", "http://127.0.0.1:9/{shop}/graphql.json"),
            ("SHOPIFY_ACCESS_TOKEN", "a-token-of-a-test"),
            ("FLUENT_API_URL", "http://127.0.0.1:9"),
            ("FLUENT_API_USERNAME", "agent"),
            ("FLUENT_API_PASSWORD", "abcd EFGH 1234 ijkl MNOP 5678"),
            ("LINKS_BASE_URL", "http://localhost:8000"),
            ("ORGANIZATION_SYNC_URL", "https://sync.example.com/hook"),
            ("ORGANIZATION_SYNC_SECRET", rowcall::sandbox::webhook::SECRET),
            // Tests run side by side, and there is one port 8000.
            ("ENABLE_MONITORING", "false"),
        ]);
        command
    }

    pub(crate) fn rowcall(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }
}

async fn client(url: &str) -> Client {
    Database::parse(url).unwrap().client().await.unwrap()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("drop database if exists {} with (force)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { client(&server).await.batch_execute(&drop).await })
        });
        // A database that stays costs a little room; a panic while another one unwinds would hide that one.
        let _ = dropping.join();
    }
}
