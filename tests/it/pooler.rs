//! A PgBouncer in transaction mode before the tests' server, with so few processes that they really are shared.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{Uid, User};
use rowcall::store::connect::Database;
use tempfile::TempDir;
use tokio_postgres::Client;
use url::Url;

use crate::process::eventually;

/// Server processes for each database.
pub(crate) const PROCESSES: usize = 3;

/// A running PgBouncer; it ends with the test.
pub(crate) struct Pooler {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Pooler {
    /// One before the server of this address, which tells the only user that it lets in.
    pub(crate) async fn before(server: &str) -> Self {
        Self::with(server, "").await
    }

    /// The same, with more lines of configuration.
    pub(crate) async fn with(server: &str, more: &str) -> Self {
        let url = Url::parse(server).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        // Nothing else is told this port; between this and PgBouncer's start it is free for a moment.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| folder.path().join(name);
        let user = format!("\"{}\" \"{}\"\n", url.username(), url.password().unwrap_or_default());
        fs::write(path("users"), user).unwrap();
        let (host, behind) = (url.host_str().unwrap(), url.port().unwrap_or(5432));
        let configuration = format!(
            "[databases]\n* = host={host} port={behind}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {PROCESSES}\nmax_client_conn = 300\n{more}",
            path("users").display()
        );
        fs::write(path("pgbouncer.ini"), configuration).unwrap();
        let mut command = Command::new(binary());
        command.arg(path("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(path("log")).unwrap());
        // It refuses to run as root, as Postgres does.
        if Uid::effective().is_root() {
            let nobody = User::from_name("nobody").unwrap().unwrap();
            command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
        }
        let pooler = Self { child: command.spawn().unwrap(), port, folder };
        eventually("a PgBouncer that listens", || pooler.log().contains("process up").then_some(())).await;
        pooler
    }

    /// The same address through it.
    pub(crate) fn through(&self, address: &str) -> String {
        let mut url = Url::parse(address).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PgBouncer's log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    let found = folders.map(|folder| folder.join("pgbouncer")).find(|file| file.exists());
    found.expect("bin/test installs pgbouncer, or says what to install")
}

/// Looks at every server process behind a pooler, each held by a transaction meanwhile.
pub(crate) async fn each_process(through: &str, sql: &str) -> Vec<String> {
    let address = Url::parse_with_params(through, [("application_name", "test"), ("pgbouncer", "true")]).unwrap();
    let mut clients: Vec<Client> = Vec::new();
    let mut said = Vec::new();
    for _ in 0..PROCESSES {
        let client = Database::parse(address.as_str()).unwrap().client().await.unwrap();
        client.batch_execute("begin").await.unwrap();
        let row = client.query_typed_one(&format!("select pg_backend_pid(), ({sql})::text"), &[]).await.unwrap();
        said.push((row.get::<_, i32>(0), row.get::<_, Option<String>>(1).unwrap_or_default()));
        clients.push(client);
    }
    said.sort();
    said.dedup_by_key(|(process, _)| *process);
    assert_eq!(said.len(), PROCESSES, "each held another process");
    said.into_iter().map(|(_, said)| said).collect()
}
