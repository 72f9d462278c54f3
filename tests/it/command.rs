//! Guarded programs: bounded, without what they should not know, and never left behind.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcall::integrations::Limits;
use rowcall::integrations::command::{Command, End, NotStarted, OUTPUT_BYTES_MAX, Ran};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::process::{ROWCALL, gone, is_gone, pid_in};

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        dir: None,
        env: Vec::new(),
        output_bytes_max: OUTPUT_BYTES_MAX,
        guard: ROWCALL.into(),
    }
}

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

fn ample() -> Limits {
    limits(Duration::from_mins(1))
}

async fn sh(script: &str) -> Ran {
    command(&["sh", "-c", script]).run(&ample()).await
}

/// A program that leaves its number in a file and stays.
fn stays(pid_file: &Path) -> Command {
    let script = format!("echo $$ > '{}.new' && mv '{0}.new' '{0}'; exec sleep 300", pid_file.display());
    command(&["sh", "-c", &script])
}

fn kill_now(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn what_happened_is_told_apart() {
    assert_eq!(sh("exit 0").await.end, End::Exited(0));
    assert_eq!(sh("exit 75").await.end, End::Exited(75));
    assert_eq!(sh("exit 137").await.end, End::Exited(137), "no signal, though a shell would call it one");
    assert_eq!(sh("kill -KILL $$").await.end, End::Signalled(9));
    assert_eq!(sh("kill -TERM $$").await.end, End::Signalled(15));
    let not_started = |reason| End::NotStarted(reason);
    let missing = command(&["/no/such/program"]).run(&ample()).await;
    assert_eq!(missing.end, not_started(NotStarted::Program(ErrorKind::NotFound)));
    let unexecutable = command(&["/etc/passwd"]).run(&ample()).await;
    assert_eq!(unexecutable.end, not_started(NotStarted::Program(ErrorKind::PermissionDenied)));
    let nowhere = Command { dir: Some("/no/such/dir".into()), ..command(&["true"]) }.run(&ample()).await;
    assert_eq!(nowhere.end, not_started(NotStarted::Dir));
    let unguarded = Command { guard: "/no/such/rowcall".into(), ..command(&["true"]) }.run(&ample()).await;
    assert_eq!(unguarded.end, not_started(NotStarted::Guard(ErrorKind::NotFound)));
}

#[tokio::test]
async fn arguments_arrive_as_they_are_and_stdin_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", "pwd; printf '%s|' \"$@\"; cat", "sh", "--code=$HOME `id`", "", "-x", "--"];
    let ran = Command { dir: Some(dir.path().to_owned()), ..command(&argv) }.run(&ample()).await;
    let dir = dir.path().canonicalize().unwrap();
    assert_eq!(ran.stdout.text(), format!("{}\n--code=$HOME `id`||-x|--|", dir.display()));
}

#[tokio::test]
async fn the_program_cannot_speak_to_the_worker_for_the_guard() {
    let ran = sh("for fd in /proc/self/fd/*; do readlink $fd; done; readlink /proc/$$/fd/0 >&2").await;
    assert!(!ran.stdout.text().contains("socket:"), "{}", ran.stdout.text());
    assert_eq!(ran.stderr.text(), "/dev/null\n");
}

/// Runs a test of this binary in a process of its own, where it may be told apart by its environment or killed.
fn again(test: &str, name: &str, value: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("command::{test}"), "--exact"])
        .env(name, value)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn the_environment_of_the_worker_stays_with_the_worker() {
    let child = again("inner_environment", "DATABASE_URL", "postgres://secret@db/");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
}

#[tokio::test]
async fn inner_environment() {
    // Does its work in the process that the test above starts; elsewhere there is nothing to see.
    if std::env::var_os("DATABASE_URL").is_none() {
        return;
    }
    let given = ("FIENTA_EMAIL", SecretString::from("a@example.com"));
    let ran = Command { env: vec![given], ..command(&["env"]) }.run(&ample()).await;
    let text = ran.stdout.text();
    assert!(text.contains("FIENTA_EMAIL=a@example.com") && text.contains("PATH="), "{text}");
    assert!(!text.contains("DATABASE_URL") && !text.contains("CARGO"), "{text}");
}

#[tokio::test]
async fn a_flood_is_cut_and_does_not_block() {
    let ran = sh("head -c 20000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero >&2; echo; echo last").await;
    assert_eq!(ran.end, End::Exited(0));
    assert_eq!(ran.stdout.text().len(), OUTPUT_BYTES_MAX);
    assert_eq!(ran.stderr.text().len(), OUTPUT_BYTES_MAX);
    assert_eq!(ran.stdout.last_line().as_deref(), Some("last"));
}

#[tokio::test]
async fn a_child_that_outlives_the_program_is_killed_and_does_not_hang_us() {
    let ran = sh("(trap '' TERM; exec sleep 300) & echo $!; exit 3").await;
    assert_eq!(ran.end, End::Exited(3));
    gone(ran.stdout.text().trim().parse().unwrap()).await;
}

#[tokio::test]
async fn a_child_that_left_the_group_does_not_hang_us() {
    let began = Instant::now();
    let ran = sh("setsid sh -c 'echo $$; exec sleep 60' & sleep 0.2; exit 0").await;
    assert_eq!(ran.end, End::Exited(0));
    assert!(began.elapsed() < Duration::from_secs(30), "its pipe was waited for");
    kill_now(ran.stdout.text().trim().parse().unwrap());
}

#[tokio::test]
async fn the_time_limit_lets_a_program_tidy_up() {
    let script = "trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let ran = command(&["sh", "-c", script]).run(&limits(Duration::from_secs(2))).await;
    assert_eq!(ran.end, End::TimedOut);
    assert_eq!(ran.stdout.last_line().as_deref(), Some("tidy"));
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed_after_its_grace() {
    let began = Instant::now();
    let script = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let ran = command(&["sh", "-c", script]).run(&limits(Duration::from_secs(1))).await;
    assert_eq!(ran.end, End::TimedOut);
    assert!(began.elapsed() >= Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(is_gone(ran.stdout.text().trim().parse().unwrap()));
}

#[tokio::test]
async fn a_stop_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let (command, limits) = (stays(&pid_file), ample());
    let stop = limits.stop.clone();
    let running = tokio::spawn(async move { command.run(&limits).await });
    let pid = pid_in(&pid_file).await;
    stop.cancel();
    assert_eq!(running.await.unwrap().end, End::Interrupted);
    assert!(is_gone(pid));
}

#[tokio::test]
async fn a_dropped_future_takes_its_program_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let command = stays(&pid_file);
    let running = tokio::spawn(async move { command.run(&ample()).await });
    let pid = pid_in(&pid_file).await;
    running.abort();
    gone(pid).await;
}

#[tokio::test]
async fn a_worker_killed_with_9_takes_its_program_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let mut worker = again("inner_worker", "ROWCALL_TEST_PID_FILE", pid_file.to_str().unwrap());
    let pid = pid_in(&pid_file).await;
    assert!(!is_gone(pid));
    worker.kill().unwrap();
    worker.wait().unwrap();
    gone(pid).await;
}

#[tokio::test]
async fn inner_worker() {
    // Does its work in the processes that the tests around it start.
    let Some(pid_file) = std::env::var_os("ROWCALL_TEST_PID_FILE") else { return };
    stays(Path::new(&pid_file)).run(&ample()).await;
}

#[tokio::test]
async fn a_guard_killed_with_9_leaves_no_program_behind() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let command = stays(&pid_file);
    let running = tokio::spawn(async move { command.run(&ample()).await });
    let pid = pid_in(&pid_file).await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let guard = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    kill_now(guard);
    assert_eq!(running.await.unwrap().end, End::Signalled(9));
    gone(pid).await;
}

#[tokio::test]
async fn a_guard_that_no_worker_started_refuses() {
    let output = std::process::Command::new(ROWCALL).args(["guard", "--", "echo", "hello"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
}

#[tokio::test]
async fn many_run_side_by_side() {
    let ran = futures_util::future::join_all((0..20).map(|n| async move { (n, sh(&format!("exit {n}")).await.end) }));
    for (n, end) in ran.await {
        assert_eq!(end, End::Exited(n));
    }
}

#[tokio::test]
async fn a_worker_that_is_stopped_takes_its_program_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let mut worker = again("inner_worker", "ROWCALL_TEST_PID_FILE", pid_file.to_str().unwrap());
    let program = pid_in(&pid_file).await;
    let id = Pid::from_raw(i32::try_from(worker.id()).unwrap());
    kill(id, Signal::SIGSTOP).unwrap();
    gone(program).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
}
