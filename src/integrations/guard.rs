//! The guard: a small process between the worker and the program that the worker runs.
//!
//! `rowcall guard -- argv…` leads a process group of its own, in which the program and its children live. Its stdin is a
//! socket to the worker, which feeds it a byte every two seconds. When the socket ends, because the worker has died, however
//! it died, or when nothing comes for ten seconds, because the worker is stopped, the guard kills the whole group. So no
//! program goes on working while another worker, to whom this one counts as dead after fifteen, repeats its job.
//!
//! When the program ends, the guard says on that socket how, and then kills what is left of the group, itself included.
//! The program has no access to the socket, so it cannot forge the report. SIGTERM to the group is for the program; the
//! guard outlives it, to report. A process that leaves the group (setsid) is not killed.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{getpgrp, getpid};
use tokio::signal::unix::{SignalKind, signal};

/// How often the worker feeds the guard, and how long the guard goes without.
pub(super) const FEED_EVERY: Duration = Duration::from_secs(2);
const HUNGER_MAX: Duration = Duration::from_secs(10);

/// How the program ended, as the guard reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// It ended by itself with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It could not be started; the number of the system's error.
    NotStarted(i32),
}

impl Report {
    /// Reads the line that [`Report::line`] wrote; `None` for anything else.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.strip_suffix('\n')?.split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "exited" => Some(Self::Exited(number)),
            "signalled" => Some(Self::Signalled(number)),
            "not-started" => Some(Self::NotStarted(number)),
            _ => None,
        }
    }

    fn line(self) -> String {
        match self {
            Self::Exited(code) => format!("exited {code}\n"),
            Self::Signalled(number) => format!("signalled {number}\n"),
            Self::NotStarted(errno) => format!("not-started {errno}\n"),
        }
    }
}

/// Runs the program under guard. It comes back only where the guard itself could not begin: with code 2 when it was not
/// started by a worker, with 1 when the system refuses something.
pub fn guard(argv: Vec<OsString>) -> ExitCode {
    // It is going to kill its group; a shell's or a test runner's group is not its own to kill.
    let worker = if getpgrp() == getpid() { worker().ok() } else { None };
    let Some(worker) = worker else {
        eprintln!("rowcall guard is started by the worker, with a socket as its stdin and a process group of its own");
        return ExitCode::from(2);
    };
    match watch(worker, argv) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("rowcall guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The socket to the worker, under a number that the program does not inherit.
fn worker() -> io::Result<UnixStream> {
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    worker.local_addr()?;
    Ok(worker)
}

fn watch(mut worker: UnixStream, argv: Vec<OsString>) -> io::Result<std::convert::Infallible> {
    // Handlers, not a blocked mask: a mask would be inherited by the program, a handler ends with its exec.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let _outlive_sigterm = signal(SignalKind::terminate())?;
    let _outlive_sigint = signal(SignalKind::interrupt())?;

    let mut food = worker.try_clone()?;
    food.set_read_timeout(Some(HUNGER_MAX))?;
    thread::spawn(move || {
        // The end of the socket, a broken one, and nothing for too long are all one: nobody is there who leads us.
        let mut fed = [0; 16];
        loop {
            match food.read(&mut fed) {
                Ok(bytes) if bytes > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        end_group();
    });

    let report = run(argv).unwrap_or_else(|error| Report::NotStarted(error.raw_os_error().unwrap_or_default()));
    // Where the worker is gone there is nobody to tell.
    let _ = worker.write_all(report.line().as_bytes());
    end_group()
}

fn run(argv: Vec<OsString>) -> io::Result<Report> {
    let mut argv = argv.into_iter();
    let program = argv.next().unwrap_or_default();
    Command::new(program).args(argv).stdin(Stdio::null()).spawn()?.wait().map(report)
}

fn report(status: ExitStatus) -> Report {
    match (status.code(), status.signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, number) => Report::Signalled(number.unwrap_or_default()),
    }
}

/// Kills the whole group, which the guard is part of.
fn end_group() -> ! {
    let _ = killpg(getpgrp(), Signal::SIGKILL);
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        for report in [Report::Exited(0), Report::Exited(75), Report::Signalled(9), Report::NotStarted(2)] {
            assert_eq!(Report::parse(&report.line()), Some(report));
        }
        for torn in ["", "exited", "exited 1", "exited x\n", "vanished 1\n"] {
            assert_eq!(Report::parse(torn), None, "{torn:?}");
        }
    }
}
