//! The folder of one cluster: what lies in it, and who may start it.
//!
//! `pgdata/` is Postgres's own; `password`, `port` and `log` lie beside it, so that the URL stays the same from run to run.
//! When root runs us the folder stays root's and only `pgdata`, `password` and `log` are given away.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use super::account::Account;

/// Ports that neither Linux nor macOS hands out by itself, so that ours is still free the next time.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Past this size the log begins anew at the next start.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// How much of the end of the log an error may quote.
const TAIL_BYTES: u64 = 2_000;

/// The folder of one cluster.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// Something in the cluster's folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct FolderError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FolderError {
    pub(super) fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

impl Folder {
    /// Opens the folder, and makes it where it is missing.
    pub(super) fn open(root: &Path) -> Result<Self, FolderError> {
        let open = || {
            make_folders(&std::path::absolute(root)?)?;
            root.canonicalize()
        };
        Ok(Self { root: open().map_err(FolderError::of("open the folder", root))? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.root.join("password")
    }

    /// Waits until nobody else is starting this cluster; `None` when that lasts past the deadline. The lock ends with the
    /// file, and so with the process, however that ends.
    pub(super) async fn lock(&self, deadline: Instant) -> Result<Option<File>, FolderError> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(FolderError::of("open the lock", &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(FolderError::of("lock", &path)(error)),
            }
        }
    }

    /// The major version that made the data; `None` before the first start.
    pub(super) fn major(&self) -> Result<Option<u32>, FolderError> {
        self.number("pgdata/PG_VERSION")
    }

    /// The password of the superuser.
    pub(super) fn password(&self) -> Result<SecretString, FolderError> {
        let path = self.password_file();
        let text = fs::read_to_string(&path).map_err(FolderError::of("read the password in", &path))?;
        Ok(SecretString::from(text.trim()))
    }

    /// Chooses a password, and keeps it where only its owner can read it.
    pub(super) fn write_password(&self, account: Option<&Account>) -> Result<(), FolderError> {
        let path = self.password_file();
        let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
        let write = || {
            let mut file = private(&path, account, OpenOptions::new().truncate(true))?;
            writeln!(file, "{password}")
        };
        write().map_err(FolderError::of("write the password to", &path))
    }

    /// The port of the last run when it is free, else a new one that is.
    pub(super) fn port(&self) -> Result<u16, FolderError> {
        let path = self.root.join("port");
        let last = self.number("port")?.and_then(|port| u16::try_from(port).ok());
        let fresh = std::iter::repeat_with(|| rand::random_range(PORTS)).take(100);
        let port = last.into_iter().chain(fresh).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        let port =
            port.ok_or_else(|| FolderError::of("find a free port for", &path)(io::ErrorKind::AddrInUse.into()))?;
        fs::write(&path, format!("{port}\n")).map_err(FolderError::of("write the port to", &path))?;
        Ok(port)
    }

    /// The log, to be written at its end, and how long it is now.
    pub(super) fn open_log(&self, account: Option<&Account>) -> Result<(File, u64), FolderError> {
        let path = self.log();
        let open = || {
            let file = private(&path, account, OpenOptions::new().append(true))?;
            if file.metadata()?.len() > LOG_BYTES_MAX {
                file.set_len(0)?;
            }
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        open().map_err(FolderError::of("open the log", &path))
    }

    /// What the log says since it was `from` bytes long: its end, in whole lines.
    pub(super) fn log_tail(&self, from: u64) -> Result<String, FolderError> {
        let path = self.log();
        let read = || {
            let mut file = File::open(&path)?;
            let start = from.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let cut = if start > from { text.find('\n').map_or(0, |end| end + 1) } else { 0 };
            Ok(text[cut..].trim_end().to_owned())
        };
        read().map_err(FolderError::of("read the log", &path))
    }

    fn number(&self, name: &str) -> Result<Option<u32>, FolderError> {
        let path = self.root.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::of("read", &path)(error)),
        }
    }
}

/// Makes a folder and the missing ones above it. Root's can be entered by everybody, whatever the umask, because Postgres
/// runs as somebody else; `pgdata` itself is closed.
pub(crate) fn make_folders(folder: &Path) -> io::Result<()> {
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    let missing: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(folder) {
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(mode))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a file that only its owner can read, and gives it to the account.
fn private(path: &Path, account: Option<&Account>, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.create(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    if let Some(account) = account {
        account.own(path)?;
    }
    Ok(file)
}
