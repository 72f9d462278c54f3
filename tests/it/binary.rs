//! A worker as it is in real life: a `rowcall run` process beside the database, with the fake Fienta CLI.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::database::TestDatabase;
use crate::fake::{EMAIL, EVENT_ID, Fake, PASSWORD};
use crate::process::{ROWCALL, eventually};

/// A running `rowcall run`; it is killed when the test ends.
pub(crate) struct Binary {
    child: Child,
    log: TempDir,
}

impl Binary {
    /// Starts it, and waits until it works.
    pub(crate) async fn start(database: &TestDatabase, fake: &Fake) -> Self {
        Self::start_with(database, fake, &[]).await
    }

    /// The same, with other settings.
    pub(crate) async fn start_with(database: &TestDatabase, fake: &Fake, settings: &[(&str, &str)]) -> Self {
        let binary = Self::spawn(database, fake, settings);
        binary.logged("Worker started").await;
        binary
    }

    pub(crate) fn spawn(database: &TestDatabase, fake: &Fake, settings: &[(&str, &str)]) -> Self {
        Self::spawn_at(&database.address(), fake, settings)
    }

    /// Beside the database of an address.
    pub(crate) fn spawn_at(address: &str, fake: &Fake, settings: &[(&str, &str)]) -> Self {
        let log = tempfile::tempdir().unwrap();
        let stderr = File::create(log.path().join("log")).unwrap();
        let mut command = Command::new(ROWCALL);
        command
            .arg("run")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", address)
            .env("FIENTA_CLI", format!("'{ROWCALL}' sandbox fienta --state '{}'", fake.dir.path().display()))
            .env("FIENTA_EMAIL", EMAIL)
            .env("FIENTA_PASSWORD", PASSWORD)
            .env("FIENTA_EVENT_ID", EVENT_ID)
            .env("ACTION_CHECK_INTERVAL", "3600")
            .env("ROWCALL_SHUTDOWN_GRACE", "15")
            .env("RUST_LOG", "rowcall=debug")
            // Tests run side by side, and there is one port 8000.
            .env("ENABLE_MONITORING", "false")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        Self { child: command.spawn().unwrap(), log }
    }

    /// Everything that it logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log.path().join("log")).unwrap()).into_owned()
    }

    /// Waits until it has logged this.
    pub(crate) async fn logged(&self, words: &str) {
        eventually(&format!("the words {words:?} in the worker's log"), || self.log().contains(words).then_some(()))
            .await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the worker", || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let beginning = log.char_indices().rev().nth(8000).map_or(0, |(at, _)| at);
            eprintln!("the worker's log ends so:\n{}", &log[beginning..]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
