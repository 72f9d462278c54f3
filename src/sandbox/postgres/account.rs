//! As whom Postgres runs, and where its data lies by default.
//!
//! Postgres refuses to run as root. A root process therefore gives it the account `postgres`, else `nobody`; everybody else
//! runs it as themselves.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nix::unistd::{Gid, Uid, User, chown};
use tokio::process::Command;

/// The accounts that root may lend to Postgres, in this order.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// An unprivileged account of this machine.
#[derive(Debug, Clone)]
pub(super) struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// Postgres has no account or no folder to run in.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// We are root, and there is nobody else.
    #[error("Postgres refuses to run as root, and this machine has neither the user postgres nor nobody")]
    Nobody,
    /// We are not root, and do not know where our own data goes.
    #[error("neither XDG_DATA_HOME nor HOME is set; name a folder with --data")]
    Homeless,
    /// The account cannot reach its data.
    #[error("the user {user} may not enter {}, so Postgres cannot run below it; name another folder with --data", folder.display())]
    Closed {
        /// The account.
        user: String,
        /// The first folder on the way that is closed to it.
        folder: PathBuf,
    },
}

/// Where the data of the sandbox `name` lies unless somebody says otherwise: `/var/lib/rowcall/<name>` for root, else
/// `rowcall/<name>` in the user's own data folder.
pub fn default_data(name: &str) -> Result<PathBuf, AccountError> {
    if Uid::effective().is_root() {
        return Ok(Path::new("/var/lib/rowcall").join(name));
    }
    let absolute = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .ok_or(AccountError::Homeless)?;
    Ok(home.join("rowcall").join(name))
}

impl Account {
    /// The account to lend to Postgres for the data in `pgdata`: the one that owns it already, so that a user `postgres`
    /// who arrives later changes nothing. `None` unless we are root.
    pub(super) fn lent(pgdata: &Path) -> Result<Option<Self>, AccountError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let owner = fs::metadata(pgdata).ok().map(|found| Uid::from_raw(found.uid())).filter(|uid| !uid.is_root());
        let user = owner
            .and_then(|uid| User::from_uid(uid).ok().flatten())
            .or_else(|| UNPRIVILEGED.iter().find_map(|name| User::from_name(name).ok().flatten()))
            .ok_or(AccountError::Nobody)?;
        Ok(Some(Self { name: user.name, uid: user.uid, gid: user.gid }))
    }

    /// Runs the command as this account, in no other group.
    pub(super) fn run(&self, command: &mut Command) {
        command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
    }

    /// Makes this account the owner of `path`.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        Ok(chown(path, Some(self.uid), Some(self.gid))?)
    }

    /// Fails when `folder` or one above it cannot be entered by this account. Access lists beyond the mode are not seen.
    pub(super) fn enters(&self, folder: &Path) -> Result<(), AccountError> {
        match folder.ancestors().find(|ancestor| !self.may_enter(ancestor)) {
            Some(closed) => Err(AccountError::Closed { user: self.name.clone(), folder: closed.to_owned() }),
            None => Ok(()),
        }
    }

    fn may_enter(&self, folder: &Path) -> bool {
        let Ok(found) = fs::metadata(folder) else { return false };
        let execute = match found {
            ref folder if folder.uid() == self.uid.as_raw() => 0o100,
            ref folder if folder.gid() == self.gid.as_raw() => 0o010,
            _ => 0o001,
        };
        found.mode() & execute != 0
    }
}
