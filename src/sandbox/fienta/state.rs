//! The directory that plays Fienta: one file a code, so that an operation costs the same among 5,000 codes as among five.
//!
//! `codes/<CODE>.json` · `orders/<ID>.json` · `faults/` what coming runs shall do wrong · `effects.jsonl` one line for every real change ·
//! `runs.jsonl` one line when a run begins and one when it ends; a run that was killed has no end. The lock is held for a
//! change only, so the logs show whether the callers kept operations apart by themselves.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::Fault;

/// A code as the fake has it; the names are those of `list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) code: String,
    pub(super) id: String,
    pub(super) discount_percent: Option<String>,
    pub(super) discount_amount: Option<String>,
    pub(super) max_uses: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) description: Option<String>,
    pub(super) edit_url: String,
    #[serde(default)]
    pub(super) used: u64,
}

/// An order as the fake has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) status: String,
}

/// The state directory.
#[derive(Debug)]
pub(super) struct State {
    dir: PathBuf,
}

impl State {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        for part in ["codes", "orders", "faults"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps everybody else from changing anything until it is dropped.
    pub(super) fn lock(&self) -> Result<Flock<File>> {
        let path = self.dir.join("lock");
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .with_context(|| format!("lock {}", path.display()))
    }

    /// A setting of the fake: the content of a file that a test or a demo put there.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(name)).ok().map(|text| text.trim().to_owned())
    }

    pub(super) fn code(&self, code: &str) -> Result<Option<Entry>> {
        read_json(&self.code_path(code))
    }

    pub(super) fn codes(&self) -> Result<Vec<Entry>> {
        let mut codes = Vec::new();
        for path in self.files("codes")? {
            // It may be gone since the directory was read, as a code may since the page was loaded.
            codes.extend(read_json(&path)?);
        }
        Ok(codes)
    }

    pub(super) fn put(&self, code: &Entry) -> Result<()> {
        self.write_json(&self.code_path(&code.code), code)
    }

    pub(super) fn remove(&self, code: &str) -> Result<()> {
        let path = self.code_path(code);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    pub(super) fn order(&self, id: &str) -> Result<Option<Order>> {
        // What is no number of an order is no name of a file either.
        if id.contains(['/', '\\']) {
            return Ok(None);
        }
        read_json(&self.order_path(id))
    }

    pub(super) fn put_order(&self, order: &Order) -> Result<()> {
        self.write_json(&self.order_path(&order.id), order)
    }

    /// The next number of a discount. Call it under the lock.
    pub(super) fn next_id(&self) -> Result<String> {
        let id = self.setting("last_id").and_then(|id| id.parse().ok()).unwrap_or(100_000_u64) + 1;
        fs::write(self.dir.join("last_id"), id.to_string()).context("write last_id")?;
        Ok(id.to_string())
    }

    /// Notes a real change.
    pub(super) fn note_effect(&self, verb: &str, code: &str, now: &Value) -> Result<()> {
        self.append("effects.jsonl", &json!({"at": at(), "pid": process::id(), "verb": verb, "code": code, "now": now}))
    }

    /// Notes that a run began; the number is for [`State::run_ended`].
    pub(super) fn run_began(&self, verb: &str, code: Option<&str>) -> Result<String> {
        let run = uuid::Uuid::now_v7().to_string();
        let line = json!({
            "at": at(), "event": "start", "run": run, "pid": process::id(), "verb": verb, "code": code,
        });
        self.append("runs.jsonl", &line)?;
        Ok(run)
    }

    pub(super) fn run_ended(&self, run: &str, exit_code: u8) -> Result<()> {
        let line = json!({"at": at(), "event": "end", "run": run, "pid": process::id(), "exit_code": exit_code});
        self.append("runs.jsonl", &line)
    }

    /// Lets a fault happen to coming runs, after those that are queued already.
    pub(super) fn queue(&self, fault: &Fault) -> Result<()> {
        let _lock = self.lock()?;
        self.write_json(&self.dir.join("faults").join(format!("{}.json", uuid::Uuid::now_v7())), fault)
    }

    /// Takes the oldest fault that is meant for this run, once.
    pub(super) fn take_fault(&self, verb: &str, code: Option<&str>) -> Result<Option<Fault>> {
        // Without the lock first: as a rule there is none.
        if self.files("faults")?.is_empty() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        for path in self.files("faults")? {
            let Some(mut fault) = read_json::<Fault>(&path)? else { continue };
            if !fault.is_for(verb, code) {
                continue;
            }
            if fault.times > 1 {
                fault.times -= 1;
                self.write_json(&path, &fault)?;
            } else {
                fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
            }
            return Ok(Some(fault));
        }
        Ok(None)
    }

    fn code_path(&self, code: &str) -> PathBuf {
        self.dir.join("codes").join(format!("{code}.json"))
    }

    fn order_path(&self, id: &str) -> PathBuf {
        self.dir.join("orders").join(format!("{id}.json"))
    }

    /// The JSON files of a part of the directory, by name, which for faults is by age.
    fn files(&self, part: &str) -> Result<Vec<PathBuf>> {
        let dir = self.dir.join(part);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Replaces a file whole: nobody ever reads half of it.
    fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let new = self.dir.join(format!("new-{}", process::id()));
        fs::write(&new, serde_json::to_vec(value)?).with_context(|| format!("write {}", new.display()))?;
        fs::rename(&new, path).with_context(|| format!("write {}", path.display()))
    }

    /// Appends a line in one write, so that lines of several processes do not mix.
    fn append(&self, log: &str, line: &Value) -> Result<()> {
        let path = self.dir.join(log);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        file.write_all(format!("{line}\n").as_bytes()).with_context(|| format!("append to {}", path.display()))
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| format!("read {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Now, with a fixed number of digits, so that moments sort as text.
fn at() -> String {
    format!("{:.6}", Timestamp::now())
}
