//! What the fakes remember: accepted messages, requests, buckets, faults to come, and when customers have written.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::WhatsAppArgs;
use super::fault::Fault;
use super::report::Report;
use crate::sandbox::bucket::{Bucket, Limit};

/// Everything behind the fakes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) args: WhatsAppArgs,
    pub(super) webhooks: reqwest::Client,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    file: File,
    log: Vec<Value>,
    requests: Vec<Value>,
    faults: VecDeque<Fault>,
    reports: Vec<Report>,
    last_inbound: HashMap<String, Timestamp>,
    sender_limit: Limit,
    pair_limit: Limit,
    senders: HashMap<&'static str, Bucket>,
    pairs: HashMap<String, Bucket>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) provider: &'static str,
    pub(super) message_id: String,
    pub(super) phone: String,
    pub(super) reference: Option<String>,
    /// `text` with the text, or `template` with the template's name, language and parameters.
    pub(super) content: (&'static str, Value),
}

/// Which bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Sender,
    Pair,
}

impl State {
    pub(super) fn open(args: WhatsAppArgs) -> Result<Self> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("create {}", args.state.display()))?;
        let path = args.state.join("messages.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        // One provider for the whole process; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let webhooks = reqwest::Client::builder().retry(reqwest::retry::never()).build().context("set up webhooks")?;
        let inside = Inside {
            file,
            log: Vec::new(),
            requests: Vec::new(),
            faults: VecDeque::new(),
            reports: Report::usual(),
            last_inbound: HashMap::new(),
            sender_limit: Limit { per_second: 80.0, burst: 80.0 },
            pair_limit: Limit { per_second: 1.0 / 6.0, burst: 45.0 },
            senders: HashMap::new(),
            pairs: HashMap::new(),
        };
        Ok(Self { args, webhooks, inside: Mutex::new(inside) })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<Value> {
        self.inside().log.clone()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    pub(super) fn note_request(&self, at: &str, body: &Value) {
        self.inside().requests.push(json!({"at": Timestamp::now(), "to": at, "body": body}));
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.inside().faults.push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.inside().faults.clear();
    }

    /// Takes the oldest fault that is meant for this request, once.
    pub(super) fn take_fault(&self, at: &str, phone: &str) -> Option<Fault> {
        let faults = &mut self.inside().faults;
        let place = faults.iter().position(|fault| fault.is_for(at, phone))?;
        if faults[place].times > 1 {
            faults[place].times -= 1;
            return Some(faults[place].clone());
        }
        faults.remove(place)
    }

    pub(super) fn reports(&self) -> Vec<Report> {
        self.inside().reports.clone()
    }

    pub(super) fn set_reports(&self, reports: Vec<Report>) {
        self.inside().reports = reports;
    }

    pub(super) fn note_inbound(&self, phone: &str, at: Timestamp) {
        self.inside().last_inbound.insert(phone.to_owned(), at);
    }

    /// Whether the customer has been silent for more than 24 hours; nobody knows of one who never wrote.
    pub(super) fn is_window_closed(&self, phone: &str) -> bool {
        let silent = self.inside().last_inbound.get(phone).map(|at| Timestamp::now().duration_since(*at));
        silent.is_some_and(|silent| silent.as_hours() >= 24)
    }

    pub(super) fn set_sender_limit(&self, limit: Limit) {
        let inside = &mut *self.inside();
        inside.sender_limit = limit;
        inside.senders.clear();
    }

    pub(super) fn set_pair_limit(&self, per_second: f64, burst: f64) {
        let inside = &mut *self.inside();
        inside.pair_limit = Limit { per_second, burst };
        inside.pairs.clear();
    }

    /// Takes a token from the recipient's bucket and from the sender's.
    pub(super) fn take_token(&self, provider: &'static str, phone: &str) -> Result<(), Empty> {
        let inside = &mut *self.inside();
        let (sender_limit, pair_limit) = (inside.sender_limit, inside.pair_limit);
        let pair = inside.pairs.entry(format!("{provider} {phone}")).or_insert_with(|| Bucket::full(pair_limit));
        if !pair.take(pair_limit, 1.0) {
            return Err(Empty::Pair);
        }
        let sender = inside.senders.entry(provider).or_insert_with(|| Bucket::full(sender_limit));
        if sender.take(sender_limit, 1.0) { Ok(()) } else { Err(Empty::Sender) }
    }

    /// Writes down that a message was accepted.
    pub(super) fn accept(&self, accepted: &Accepted) -> Result<()> {
        let (kind, content) = &accepted.content;
        let mut line = json!({
            "at": Timestamp::now(), "provider": accepted.provider, "message_id": accepted.message_id,
            "phone": accepted.phone, "reference": accepted.reference, "kind": kind,
        });
        line[kind] = content.clone();
        let inside = &mut *self.inside();
        // In one write, before the caller hears of it.
        inside.file.write_all(format!("{line}\n").as_bytes()).context("append to messages.jsonl")?;
        inside.log.push(line);
        Ok(())
    }
}
