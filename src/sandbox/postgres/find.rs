//! Where the Postgres binaries of this machine are.
//!
//! Package managers put them in folders that no `PATH` names, one folder a major version. A folder counts when it holds
//! `postgres` and `initdb` and its `postgres --version` answers 14 or newer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, iter};

/// Older versions are no longer maintained, and their `initdb` lacks options that we use.
const MAJOR_MIN: u32 = 14;

/// Folders with one subfolder a major version: the parent, and what the subfolder's name begins with.
const VERSIONED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

const INSTALL: &str =
    if cfg!(target_os = "macos") { "brew install postgresql@17" } else { "apt-get install postgresql" };

/// A folder with the programs of one Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `initdb` and `postgres`.
    pub folder: PathBuf,
    /// The major version, 14 or newer.
    pub major: u32,
}

/// No Postgres here that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None at all, or only older ones.
    #[error("no Postgres {MAJOR_MIN} or newer on this machine: {INSTALL}")]
    Nothing,
    /// The data belongs to a version that is gone; another cannot read it.
    #[error("the data in {} was made by Postgres {major}, which is not on this machine: install it, or remove that folder", data.display())]
    Major {
        /// The version that made the data.
        major: u32,
        /// Where the data is.
        data: PathBuf,
    },
}

/// The first Postgres 14 or newer in `PATH`, where `pg_config` points, or where package managers put it, newest first.
pub fn find_binaries() -> Result<Binaries, FindError> {
    find_in(folders())
}

/// The first Postgres 14 or newer in these folders.
pub fn find_in(folders: impl IntoIterator<Item = PathBuf>) -> Result<Binaries, FindError> {
    candidates(folders).next().ok_or(FindError::Nothing)
}

/// The Postgres that can read data made by this major version.
pub(super) fn find_major(major: u32, data: &Path) -> Result<Binaries, FindError> {
    candidates(folders())
        .find(|binaries| binaries.major == major)
        .ok_or_else(|| FindError::Major { major, data: data.to_owned() })
}

impl Binaries {
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

fn candidates(folders: impl IntoIterator<Item = PathBuf>) -> impl Iterator<Item = Binaries> {
    folders.into_iter().filter_map(|folder| {
        let found = Binaries { major: 0, folder };
        let major = found.initdb().is_file().then(|| version(&found.postgres()))??;
        (major >= MAJOR_MIN).then_some(Binaries { major, ..found })
    })
}

/// Lazy, so that `pg_config` runs only when `PATH` did not answer.
fn folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
    in_path
        .into_iter()
        .chain(iter::once_with(pg_config).flatten())
        .chain(VERSIONED.into_iter().flat_map(|(parent, prefix)| newest_first(Path::new(parent), prefix)))
}

fn pg_config() -> Option<PathBuf> {
    let folder = output(Command::new("pg_config").arg("--bindir"))?;
    Some(PathBuf::from(folder.trim()))
}

fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = leading_number(name.to_str()?.strip_prefix(prefix)?)?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(postgres: &Path) -> Option<u32> {
    output(Command::new(postgres).arg("--version"))?.split_whitespace().find_map(leading_number)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9.6", "pgsql-17", "pgsql-15", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = newest_first(parent.path(), "pgsql-");
        let expected = ["pgsql-17", "pgsql-15", "pgsql-9.6"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_beta_has_a_version_too() {
        assert_eq!(leading_number("19beta1"), Some(19));
        assert_eq!(leading_number("(PostgreSQL)"), None);
    }
}
