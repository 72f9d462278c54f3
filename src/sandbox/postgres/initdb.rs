//! The first start: makes the data directory.
//!
//! `initdb` works in a folder beside the real one, which takes its place when it is whole, so that an interrupted first
//! start leaves nothing behind that looks like a cluster.

use std::io;
use std::path::Path;
use std::process::Stdio;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use tokio::process::Command;

use super::account::Account;
use super::find::Binaries;
use super::folder::{Folder, FolderError};

/// The superuser of every cluster.
pub(super) const ROLE: &str = "rowcall";

/// The data directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitdbError {
    /// The password has no place.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folders could not be prepared, or the program not be run.
    #[error("run initdb for {data}")]
    Run {
        /// The cluster's folder.
        data: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program said no.
    #[error("initdb for {data} failed; it said:\n{said}")]
    Refused {
        /// The cluster's folder.
        data: String,
        /// Its own words.
        said: String,
    },
}

/// Makes `pgdata` in the folder: UTF-8, the C locale, one superuser with a new password.
pub(super) async fn initdb(
    folder: &Folder,
    binaries: &Binaries,
    account: Option<&Account>,
    durable: bool,
) -> Result<(), InitdbError> {
    let data = folder.path().display().to_string();
    let failed = |source| InitdbError::Run { data: data.clone(), source };
    let fresh = folder.path().join("pgdata.new");
    prepare(&fresh, account).map_err(failed)?;
    folder.write_password(account)?;

    let mut command = Command::new(binaries.initdb());
    command.arg("--pgdata").arg(&fresh).arg("--pwfile").arg(folder.password_file());
    command.args(["--username", ROLE, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
    command.arg("--no-instructions").args((!durable).then_some("--no-sync"));
    // The caller's own folder may be closed to the account.
    command.current_dir(folder.path()).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true).process_group(0);
    if let Some(account) = account {
        account.run(&mut command);
    }
    let output = command.output().await.map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(InitdbError::Refused { data, said });
    }
    fs::rename(&fresh, folder.pgdata()).map_err(failed)
}

fn prepare(fresh: &Path, account: Option<&Account>) -> io::Result<()> {
    if fresh.exists() {
        fs::remove_dir_all(fresh)?;
    }
    DirBuilder::new().mode(0o700).create(fresh)?;
    account.map_or(Ok(()), |account| account.own(fresh))
}
