//! Runs a program for an integration: bounded in time, in output and in what it may know, and never left behind.
//!
//! An argv array, never a shell. The environment is emptied first, then a short list of harmless variables passes, then
//! what the caller gives: the program never sees the database's address or another provider's secrets. It runs under a
//! [`super::guard`], in a process group of its own that ends with it, with the worker, or with the future that runs it.
//! At the time limit, or when the worker must stop, the group gets SIGTERM, 5 s later SIGKILL.
//!
//! It does not judge: an exit code of 0 is reported like any other.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::Limits;
use super::guard::{FEED_EVERY, Report};
use super::tail::Tail;

/// How long a program may tidy up after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// How long to go on reading, and waiting for the group to be gone, once the program has ended. Only a process that
/// left the group can make us wait so long.
const DRAIN: Duration = Duration::from_secs(1);

/// How much of each output stream is kept, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// What passes from the worker's environment, besides names that begin with one of [`PASSING_PREFIXES`].
const PASSING: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

const PASSING_PREFIXES: [&str; 5] = ["LC_", "NODE_", "npm_", "PLAYWRIGHT_", "XDG_"];

/// A program to run.
#[derive(Debug)]
pub struct Command {
    /// The program and its arguments; a name without a slash is looked up in PATH.
    pub argv: Vec<OsString>,
    /// The directory it runs in; the worker's own where there is none.
    pub dir: Option<PathBuf>,
    /// What it gets in its environment besides the variables that always pass.
    pub env: Vec<(&'static str, SecretString)>,
    /// How much of each output stream is kept: its end, for the last line decides.
    pub output_bytes_max: usize,
    /// The rowcall binary, which also is the guard: see [`own_binary`].
    pub guard: PathBuf,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// We stopped it at the time limit.
    TimedOut,
    /// We stopped it because the worker must stop.
    Interrupted,
    /// It never began.
    NotStarted(NotStarted),
}

/// Why a program never began.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// The system does not start it: not there, not executable.
    #[error("the program cannot be started ({0})")]
    Program(io::ErrorKind),
    /// Its directory is not there.
    #[error("the directory is not there")]
    Dir,
    /// The guard could not be started.
    #[error("the rowcall binary cannot be started as its guard ({0})")]
    Guard(io::ErrorKind),
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// The end of what it wrote on stdout.
    pub stdout: Tail,
    /// The end of what it wrote on stderr.
    pub stderr: Tail,
}

/// The path under which this binary starts itself once more.
pub fn own_binary() -> io::Result<PathBuf> {
    // Still this very binary after an upgrade has replaced the file, which a path by name would not be.
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// Whether a program could be started in a directory, told without starting it.
pub fn can_start(program: &str, dir: Option<&Path>) -> Result<(), NotStarted> {
    if dir.is_some_and(|dir| !dir.is_dir()) {
        return Err(NotStarted::Dir);
    }
    // What is relative is relative to where the program runs, entries of PATH too.
    let from = |path: &Path| dir.map_or_else(|| path.to_owned(), |dir| dir.join(path));
    let is_executable = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    let found = if program.contains('/') {
        is_executable(&from(Path::new(program)))
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| is_executable(&from(&folder).join(program)))
    };
    if found { Ok(()) } else { Err(NotStarted::Program(io::ErrorKind::NotFound)) }
}

impl Command {
    /// Runs the program to its end, to the time limit or until the worker must stop. When the future is dropped, the
    /// program is killed with all its children.
    pub async fn run(&self, limits: &Limits) -> Ran {
        let (mut stdout, mut stderr) = (Tail::new(self.output_bytes_max), Tail::new(self.output_bytes_max));
        let end = match self.spawn() {
            Ok((mut child, line)) => {
                let reading = join(stdout.fill(child.stdout.take()), stderr.fill(child.stderr.take()));
                match select(pin!(steer(child, line, limits)), pin!(reading)).await {
                    Either::Left((end, reading)) => {
                        // Whoever still holds a pipe now does not speak for the program.
                        let _ = timeout(DRAIN, reading).await;
                        end
                    }
                    Either::Right((_, steering)) => steering.await,
                }
            }
            Err(reason) => End::NotStarted(reason),
        };
        Ran { end, stdout, stderr }
    }

    /// Starts the guard; the socket to it is the program's life line.
    fn spawn(&self) -> Result<(Child, tokio::net::UnixStream), NotStarted> {
        if self.dir.as_ref().is_some_and(|dir| !dir.is_dir()) {
            return Err(NotStarted::Dir);
        }
        let refused = |error: io::Error| NotStarted::Guard(error.kind());
        let (ours, theirs) = UnixStream::pair().map_err(refused)?;
        let mut command = tokio::process::Command::new(&self.guard);
        command.arg0("rowcall").args(["guard", "--"]).args(&self.argv);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passes)));
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose_secret())));
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let child = command.spawn().map_err(refused)?;
        ours.set_nonblocking(true).map_err(refused)?;
        Ok((child, tokio::net::UnixStream::from_std(ours).map_err(refused)?))
    }
}

/// Whether a variable of the worker's environment is the program's business.
fn passes(name: &str) -> bool {
    PASSING.contains(&name) || PASSING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Waits for the guard's report, ends the program early where it must, and leaves nothing of the group behind.
async fn steer(mut child: Child, line: tokio::net::UnixStream, limits: &Limits) -> End {
    let (reader, writer) = line.into_split();
    let mut report = pin!(read_report(BufReader::new(reader)));
    // Kept to the end: where it is dropped, the socket ends and the guard with it.
    let mut feeding = pin!(feed(writer));
    let end = tokio::select! {
        report = &mut report => report,
        never = &mut feeding => match never {},
        () = sleep(limits.timeout) => End::TimedOut,
        () = limits.stop.cancelled() => End::Interrupted,
    };
    if matches!(end, End::TimedOut | End::Interrupted) {
        signal_group(&child, Signal::SIGTERM);
        let _ = timeout(GRACE, select(report, feeding)).await;
    }
    // The guard has not been waited for yet, so its number still means this group and no other.
    signal_group(&child, Signal::SIGKILL);
    let _ = timeout(DRAIN, child.wait()).await;
    end
}

/// Tells the guard every now and then that this worker is there; a guard that is gone is told in vain.
async fn feed(mut guard: OwnedWriteHalf) -> Infallible {
    let mut ticks = tokio::time::interval(FEED_EVERY);
    loop {
        ticks.tick().await;
        let _ = guard.write_all(b".").await;
    }
}

async fn read_report(mut line: BufReader<OwnedReadHalf>) -> End {
    let mut text = String::new();
    // A guard that was killed reports nothing; somebody's SIGKILL is what is known then.
    let _ = line.read_line(&mut text).await;
    match Report::parse(&text) {
        Some(Report::Exited(code)) => End::Exited(code),
        Some(Report::Signalled(number)) => End::Signalled(number),
        Some(Report::NotStarted(errno)) => {
            End::NotStarted(NotStarted::Program(io::Error::from_raw_os_error(errno).kind()))
        }
        None => End::Signalled(Signal::SIGKILL as i32),
    }
}

fn signal_group(guard: &Child, signal: Signal) {
    if let Some(group) = guard.id().and_then(|id| i32::try_from(id).ok()) {
        // The group may be gone already, which is what is wanted.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_it_would_run() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(can_start("sh", None), Ok(()));
        assert_eq!(can_start("sh", Some(folder.path())), Ok(()));
        assert_eq!(can_start("/bin/sh", Some(folder.path())), Ok(()));
        let missing = Err(NotStarted::Program(io::ErrorKind::NotFound));
        assert_eq!(can_start("no-such-program-anywhere", None), missing);
        assert_eq!(can_start("./cli", Some(folder.path())), missing);
        std::fs::write(folder.path().join("cli"), "#!/bin/sh\n").unwrap();
        assert_eq!(can_start("./cli", Some(folder.path())), missing, "it is not executable");
        std::fs::set_permissions(folder.path().join("cli"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        assert_eq!(can_start("./cli", Some(folder.path())), Ok(()));
        assert_eq!(can_start("sh", Some(Path::new("/does/not/exist"))), Err(NotStarted::Dir));
    }

    #[test]
    fn only_harmless_variables_pass() {
        for name in ["PATH", "HOME", "LC_ALL", "NODE_OPTIONS", "npm_config_cache", "https_proxy", "XDG_CACHE_HOME"] {
            assert!(passes(name), "{name}");
        }
        for name in ["DATABASE_URL", "LISTEN_DATABASE_URL", "WHATSAPP_ACCESS_TOKEN", "FIENTA_PASSWORD", "PATHS", ""] {
            assert!(!passes(name), "{name}");
        }
    }
}
