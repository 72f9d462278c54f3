//! The private Postgres: real processes in folders of their own.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use rowcall::sandbox::postgres::{Cluster, ClusterError, FindError, Options, find_binaries, find_in};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls};

/// A folder that the unprivileged user of a root process can enter.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn quick(folder: &TempDir) -> Options {
    Options { durable: false, ..Options::new(folder.path().join("cluster")) }
}

/// A client, and the task that ends when its connection does.
async fn connect(url: &str) -> (Client, JoinHandle<Result<(), Error>>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    (client, tokio::spawn(connection))
}

async fn number(client: &Client, sql: &str) -> i32 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_stopped_cluster_starts_again_with_its_data_and_its_url() {
    let folder = open_folder();
    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    cluster.create_database_if_missing("it's \"odd\"").await.unwrap();
    cluster.create_database_if_missing("it's \"odd\"").await.unwrap();
    let url = cluster.url("it's \"odd\"");
    let (client, _) = connect(&url).await;
    client.batch_execute("create table kept as select 7 as n").await.unwrap();
    cluster.stop().await.unwrap();
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err(), "a stopped server answers nobody");

    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    assert_eq!(cluster.url("it's \"odd\""), url);
    let (client, _) = connect(&url).await;
    assert_eq!(number(&client, "select n from kept").await, 7);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_start_uses_the_running_server_and_leaves_it_running() {
    let folder = open_folder();
    // Both at once, on an empty folder: one makes the data, the other waits for it.
    let (first, second) = tokio::join!(Cluster::start(quick(&folder)), Cluster::start(quick(&folder)));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.owned(), second.owned());
    assert_eq!((first.pid(), first.url("postgres")), (second.pid(), second.url("postgres")));

    let (owner, guest) = if first.owned() { (first, second) } else { (second, first) };
    guest.stop().await.unwrap();
    let (client, _) = connect(&owner.url("postgres")).await;
    assert_eq!(number(&client, "select 1").await, 1);
    owner.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_server_without_fsync_is_refused_to_who_asks_for_a_durable_one() {
    let folder = open_folder();
    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    let durable = Options { durable: true, ..quick(&folder) };
    assert!(matches!(Cluster::start(durable).await, Err(ClusterError::NotDurable { .. })));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_starts_again_over_its_stale_pid_file() {
    let folder = open_folder();
    let killed = Cluster::start(quick(&folder)).await.unwrap();
    let url = killed.url("postgres");
    let (_client, gone) = connect(&url).await;
    kill(Pid::from_raw(killed.pid()), Signal::SIGKILL).unwrap();
    assert!(folder.path().join("cluster/pgdata/postmaster.pid").exists());

    // Nobody has waited for the killed process yet, so that its number still exists, as a zombie.
    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    assert!(cluster.owned());
    assert_ne!(cluster.pid(), killed.pid());
    assert!(gone.await.unwrap().is_err(), "the old server's connection is cut");
    let (client, _) = connect(&url).await;
    assert_eq!(number(&client, "select 1").await, 1);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_another_program_is_stale() {
    let folder = open_folder();
    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    cluster.stop().await.unwrap();
    // The number of the dead server belongs to another process of Postgres's own user by now: to this test, or, as root,
    // to a program run as that user.
    let pgdata = folder.path().join("cluster/pgdata");
    let other = Sleeper::run_by_owner_of(&pgdata);
    let noted = format!("{}\n{}\n1\n5432\n\n127.0.0.1\n", other.0.id(), pgdata.display());
    fs::write(pgdata.join("postmaster.pid"), noted).unwrap();

    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    assert!(cluster.owned());
    cluster.stop().await.unwrap();
}

/// A program that does nothing, and ends with the test however that ends.
struct Sleeper(Child);

impl Sleeper {
    fn run_by_owner_of(folder: &Path) -> Self {
        let owner = fs::metadata(folder).unwrap();
        let mut command = Command::new("sleep");
        if Uid::effective().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Self(command.arg("600").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_dropped_cluster_ends_its_server() {
    let folder = open_folder();
    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    let (_client, gone) = connect(&cluster.url("postgres")).await;
    drop(cluster);
    assert!(gone.await.unwrap().is_err(), "the server cuts its connections when it shuts down");
    // The next start waits for the end of the old server, whatever it meets.
    Cluster::start(quick(&folder)).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_start_says_what_the_server_said() {
    let folder = open_folder();
    Cluster::start(quick(&folder)).await.unwrap().stop().await.unwrap();
    fs::write(folder.path().join("cluster/pgdata/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let error = Cluster::start(quick(&folder)).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn data_of_a_version_that_is_gone_is_left_alone() {
    let folder = open_folder();
    let pgdata = folder.path().join("cluster/pgdata");
    fs::create_dir_all(&pgdata).unwrap();
    fs::write(pgdata.join("PG_VERSION"), "13\n").unwrap();
    let error = Cluster::start(quick(&folder)).await.unwrap_err();
    assert!(matches!(error, ClusterError::Find(FindError::Major { major: 13, .. })), "{error}");
}

#[tokio::test]
async fn the_password_is_for_its_owner_alone() {
    let folder = open_folder();
    Cluster::start(quick(&folder)).await.unwrap().stop().await.unwrap();
    let password = fs::metadata(folder.path().join("cluster/password")).unwrap();
    assert_eq!(password.mode() & 0o777, 0o600);
}

#[test]
fn a_version_older_than_14_is_passed_over() {
    let old = fake_postgres("postgres (PostgreSQL) 13.22");
    let real = find_binaries().unwrap();
    let found = find_in([old.path().to_owned(), PathBuf::from("/nonexistent"), real.folder.clone()]).unwrap();
    assert_eq!(found, real);
    let error = find_in([old.path().to_owned()]).unwrap_err().to_string();
    assert!(error.contains("install postgresql") && !error.contains('\n'), "{error}");
}

#[test]
fn a_fake_of_version_14_is_taken() {
    let fake = fake_postgres("postgres (PostgreSQL) 14rc1");
    assert_eq!(find_in([fake.path().to_owned()]).unwrap().major, 14);
}

/// A folder with an `initdb`, and a `postgres` that answers so to `--version`.
fn fake_postgres(version: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in ["postgres", "initdb"] {
        let path = folder.path().join(program);
        fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// `rowcall sandbox postgres --data … -- sh -c <script>`
fn beside_postgres(folder: &TempDir, script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowcall"));
    command.args(["sandbox", "postgres", "--data"]).arg(folder.path().join("cluster"));
    command.args(["--", "sh", "-c", script]).stdin(Stdio::null());
    command
}

#[tokio::test]
async fn a_command_runs_beside_the_cluster_and_its_exit_code_is_ours() {
    let folder = open_folder();
    let output = beside_postgres(&folder, "echo $DATABASE_URL; exit 7").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let url = String::from_utf8(output.stdout).unwrap();
    assert!(url.ends_with("/rowcall\n"), "{url}");
    assert!(tokio_postgres::connect(url.trim(), NoTls).await.is_err(), "the cluster ended with the command");
}

#[test]
fn sigterm_is_forwarded_to_the_command() {
    let folder = open_folder();
    let script = "sleep 600 & trap 'kill $!; exit 9' TERM; echo ready; wait";
    let mut rowcall = beside_postgres(&folder, script).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(rowcall.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(Pid::from_raw(i32::try_from(rowcall.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(rowcall.wait().unwrap().code(), Some(9));
    assert!(!folder.path().join("cluster/pgdata/postmaster.pid").exists(), "the cluster ended too");
}

#[tokio::test]
async fn a_server_that_outlived_its_killed_owner_is_used_again() {
    let folder = open_folder();
    // `cat` ends with this test, because its input does.
    let mut command = beside_postgres(&folder, "echo $DATABASE_URL; exec cat");
    let mut rowcall = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(rowcall.stdout.take().unwrap()).read_line(&mut url).unwrap();
    rowcall.kill().unwrap();
    rowcall.wait().unwrap();

    let cluster = Cluster::start(quick(&folder)).await.unwrap();
    assert!(!cluster.owned());
    assert_eq!(cluster.url("rowcall"), url.trim());
    let (_client, gone) = connect(url.trim()).await;
    kill(Pid::from_raw(cluster.pid()), Signal::SIGINT).unwrap();
    assert!(gone.await.unwrap().is_err(), "the server that this test left behind ends");
}
