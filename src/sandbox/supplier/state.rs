//! What the fakes remember: the wallet, orders, the book, requests, and what is to happen.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::SupplierArgs;
use super::callback::Callback;
use super::fault::{At, Fault};
use super::shop::{Delivery, Order};

/// Everything behind the fakes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) args: SupplierArgs,
    pub(super) callbacks: reqwest::Client,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
pub(super) struct Inside {
    file: File,
    book: Vec<Value>,
    requests: Vec<Value>,
    faults: VecDeque<Fault>,
    pub(super) orders: Vec<Order>,
    pub(super) wallet: u64,
    pub(super) delivery: Delivery,
    pub(super) callbacks: Vec<Callback>,
}

impl State {
    pub(super) fn open(args: SupplierArgs) -> Result<Self> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("create {}", args.state.display()))?;
        let path = args.state.join("book.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        // One provider for the whole process; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let callbacks =
            reqwest::Client::builder().retry(reqwest::retry::never()).build().context("set up callbacks")?;
        let inside = Inside {
            file,
            book: Vec::new(),
            requests: Vec::new(),
            faults: VecDeque::new(),
            orders: Vec::new(),
            wallet: args.wallet,
            delivery: Delivery::default(),
            callbacks: vec![Callback::default()],
        };
        Ok(Self { args, callbacks, inside: Mutex::new(inside) })
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn book(&self) -> Vec<Value> {
        self.inside().book.clone()
    }

    pub(super) fn orders(&self) -> Vec<Value> {
        self.inside().orders.iter().map(Order::shown).collect()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    pub(super) fn note_request(&self, supplier: &str, at: At, content: &Value) {
        let line = json!({"at": Timestamp::now(), "supplier": supplier, "for": at, "content": content});
        self.inside().requests.push(line);
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.inside().faults.push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.inside().faults.clear();
    }

    /// Takes the oldest fault that is meant for this request, once.
    pub(super) fn take_fault(&self, at: At, phone: Option<&str>) -> Option<Fault> {
        let faults = &mut self.inside().faults;
        let place = faults.iter().position(|fault| fault.is_for(at, phone))?;
        if faults[place].times > 1 {
            faults[place].times -= 1;
            return Some(faults[place].clone());
        }
        faults.remove(place)
    }

    pub(super) fn set_delivery(&self, delivery: Delivery) {
        self.inside().delivery = delivery;
    }

    pub(super) fn set_callbacks(&self, callbacks: Vec<Callback>) {
        self.inside().callbacks = callbacks;
    }

    pub(super) fn wallet(&self) -> u64 {
        self.inside().wallet
    }

    pub(super) fn top_up(&self, pesewas: u64) {
        let wallet = &mut self.inside().wallet;
        *wallet = wallet.saturating_add(pesewas);
    }
}

impl Inside {
    /// Writes down what happened to a number.
    pub(super) fn write(&mut self, what: &str, order: &Order) {
        let mut line = order.shown();
        line["at"] = json!(Timestamp::now());
        line["what"] = json!(what);
        // In one write, before anybody hears of it. Where it cannot be written, what is in memory still tells.
        let _ = self.file.write_all(format!("{line}\n").as_bytes());
        self.book.push(line);
    }
}
