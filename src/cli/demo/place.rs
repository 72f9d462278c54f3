//! Where a demo keeps its things, and that it is alone there.
//!
//! `postgres/` the cluster, `fienta/` what plays Fienta, `fakes/` what the other fakes note down, `log` what the worker says,
//! `lock` who is here. `--once` has all of
//! these once more in `once/`, so that it can play beside a demo that a person uses.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::discreet;
use crate::sandbox::postgres::make_folders;

/// The folder of one demo, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    /// Whether the data of the last time counts.
    pub(super) is_kept: bool,
    _lock: File,
}

impl Place {
    /// The folder of the demo that a person uses: what is there stays.
    pub(super) fn kept(data: &Path) -> anyhow::Result<Self> {
        Self::take(data, true)
    }

    /// The folder of `--once`: what the fakes had at the last time is thrown away.
    pub(super) fn fresh(data: &Path) -> anyhow::Result<Self> {
        let place = Self::take(&data.join("once"), false)?;
        for folder in [place.fienta(), place.fakes()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", folder.display()));
                }
                _ => {}
            }
        }
        Ok(place)
    }

    fn take(folder: &Path, is_kept: bool) -> anyhow::Result<Self> {
        let opening = || format!("open the folder {}", folder.display());
        let folder = std::path::absolute(folder).with_context(opening)?;
        make_folders(&folder).with_context(opening)?;
        let lock = lock(&folder)?;
        let place = Self { folder, is_kept, _lock: lock };
        place.start_log()?;
        Ok(place)
    }

    /// The cluster's folder.
    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The state of the fake Fienta.
    pub(super) fn fienta(&self) -> PathBuf {
        self.folder.join("fienta")
    }

    /// Where the other fakes have a folder each.
    pub(super) fn fakes(&self) -> PathBuf {
        self.folder.join("fakes")
    }

    /// What the worker says, since this start.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The log goes into a file, so that it does not garble what a person reads.
    fn start_log(&self) -> anyhow::Result<()> {
        let path = self.log();
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("rowcall=info,warn"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Mutex::new(file));
        let log = log.with_ansi(false).with_target(false).finish().with(discreet());
        log.try_init().map_err(|error| anyhow::anyhow!("start the log: {error}"))
    }
}

/// Takes the lock of a folder, and notes in it who has it. It ends with the process, however that ends.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut lock = opened.with_context(|| format!("open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {
            let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
            noted.with_context(|| format!("write {}", path.display()))?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            bail!(
                "a demo runs in {} already (process {}); watch that one, end it with Ctrl-C, or name another folder with --data",
                folder.display(),
                pid.trim()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}
