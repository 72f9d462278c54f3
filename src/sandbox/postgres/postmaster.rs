//! Whether a server is running on a data directory already.
//!
//! `postmaster.pid` alone does not tell: after a `kill -9` or a power cut it names a process that is gone, or by now another
//! program. So the process must also be there and have been started on this very directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

/// A server that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: Pid,
    pub(super) port: u16,
}

impl Postmaster {
    /// The server that runs on this data directory, if any.
    pub(super) fn on(pgdata: &Path) -> Option<Self> {
        Self::noted(pgdata).filter(|postmaster| is_postmaster(postmaster.pid, pgdata))
    }

    /// Removes the pid file of a server that is gone when its number belongs to another process now, or to its own zombie:
    /// Postgres would take either for a running server. In all other cases Postgres itself sees that the file is stale. Other
    /// processes of the dead server keep the shared memory, which the new one finds by the directory, not by this file.
    pub(super) fn forget_stale(pgdata: &Path) -> std::io::Result<()> {
        match Self::noted(pgdata) {
            Some(noted) if exists(noted.pid) && !is_postmaster(noted.pid, pgdata) => {
                fs::remove_file(pgdata.join("postmaster.pid"))
            }
            _ => Ok(()),
        }
    }

    /// The lines of `postmaster.pid` are the process id, the data directory, the start time and the port.
    fn noted(pgdata: &Path) -> Option<Self> {
        let text = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid: i32 = lines.next()?.trim().parse().ok()?;
        let port = lines.nth(2)?.trim().parse().ok()?;
        // Zero and negative numbers address process groups.
        (pid > 0).then(|| Self { pid: Pid::from_raw(pid), port })
    }
}

fn exists(pid: Pid) -> bool {
    !matches!(signal::kill(pid, None), Err(Errno::ESRCH))
}

fn is_postmaster(pid: Pid, pgdata: &Path) -> bool {
    let pgdata = pgdata.to_string_lossy();
    if Path::new("/proc/self/cmdline").exists() {
        // Empty for a zombie.
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return arguments.split(|byte| *byte == 0).any(|argument| argument == pgdata.as_bytes());
    }
    let listed = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains(&format!(" -D {pgdata} ")))
}
