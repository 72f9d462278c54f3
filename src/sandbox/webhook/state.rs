//! What the receiver remembers: what it heard, every request, the faults to come, and its secrets.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::WebhookArgs;
use super::fault::Fault;

/// Everything behind the receiver.
#[derive(Debug)]
pub(super) struct State(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    file: File,
    log: Vec<Value>,
    requests: Vec<Value>,
    faults: VecDeque<Fault>,
    secrets: Vec<String>,
}

impl State {
    pub(super) fn open(args: &WebhookArgs) -> Result<Self> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("create {}", args.state.display()))?;
        let path = args.state.join("heard.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        let secrets = args.secrets.clone();
        let inside = Inside { file, log: Vec::new(), requests: Vec::new(), faults: VecDeque::new(), secrets };
        Ok(Self(Mutex::new(inside)))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<Value> {
        self.inside().log.clone()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    pub(super) fn note_request(&self, request: &Value) {
        self.inside().requests.push(request.clone());
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        self.inside().secrets.clone()
    }

    pub(super) fn know(&self, secrets: Vec<String>) {
        self.inside().secrets = secrets;
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.inside().faults.push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.inside().faults.clear();
    }

    /// Takes the oldest fault that is meant for this path, once.
    pub(super) fn take_fault(&self, path: &str) -> Option<Fault> {
        let faults = &mut self.inside().faults;
        let place = faults.iter().position(|fault| fault.is_at(path))?;
        if faults[place].times > 1 {
            faults[place].times -= 1;
            return Some(faults[place].clone());
        }
        faults.remove(place)
    }

    /// Writes down what was told, unless its id was heard before.
    pub(super) fn hear(&self, path: &str, id: &str, body: &[u8]) -> Result<()> {
        let inside = &mut *self.inside();
        if inside.log.iter().any(|line| line["id"] == id) {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let line = json!({"at": Timestamp::now(), "path": path, "id": id, "body": body});
        // In one write, before the caller hears of it.
        inside.file.write_all(format!("{line}\n").as_bytes()).context("append to heard.jsonl")?;
        inside.log.push(line);
        Ok(())
    }
}
