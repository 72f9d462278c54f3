//! What the fakes remember: who is there, what was changed, requests, and faults to come.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::CrmArgs;
use super::control::Limits;
use super::fault::Fault;
use super::world::{Seed, Shop, Tenant};
use crate::sandbox::bucket::{Bucket, Limit};

/// Commerce7's own limit: a hundred calls a minute.
const CALLS: Limit = Limit { per_second: 100.0 / 60.0, burst: 100.0 };

/// Shopify's for the least plan.
const POINTS: Limit = Limit { per_second: 100.0, burst: 2000.0 };

/// Everything behind the fakes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) args: CrmArgs,
    pub(super) webhooks: reqwest::Client,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
pub(super) struct Inside {
    file: File,
    log: Vec<Value>,
    requests: Vec<Value>,
    faults: VecDeque<Fault>,
    pub(super) tenants: BTreeMap<String, Tenant>,
    pub(super) shops: BTreeMap<String, Shop>,
    pub(super) calls: Limit,
    pub(super) points: Limit,
    /// What a refusal of Commerce7's for too many calls says, if it says anything.
    pub(super) retry_after: Option<String>,
    customers: u64,
}

impl State {
    pub(super) fn open(args: CrmArgs) -> Result<Self> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("create {}", args.state.display()))?;
        let path = args.state.join("effects.jsonl");
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
            tenants: BTreeMap::new(),
            shops: BTreeMap::new(),
            calls: CALLS,
            points: POINTS,
            retry_after: None,
            customers: 544_365_967,
        };
        Ok(Self { args, webhooks, inside: Mutex::new(inside) })
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seed(&self, seed: Seed) {
        let inside = &mut *self.inside();
        for seed in seed.commerce7 {
            let made = || seed.tenant(Bucket::full(inside.calls));
            let tenant = inside.tenants.entry(seed.tenant.clone()).or_insert_with(made);
            tenant.clubs.extend(seed.clubs.iter().cloned());
            seed.customers.iter().for_each(|person| tenant.admit(person));
        }
        for seed in seed.shopify {
            let made = || seed.shop(Bucket::full(inside.points));
            let shop = inside.shops.entry(seed.shop.clone()).or_insert_with(made);
            for person in &seed.customers {
                inside.customers += 1;
                shop.admit(person, inside.customers);
            }
        }
    }

    pub(super) fn log(&self) -> Vec<Value> {
        self.inside().log.clone()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    pub(super) fn note_request(&self, tenant: &str, call: &str, query: &str, body: &Value) {
        let line = json!({"at": Timestamp::now(), "tenant": tenant, "call": call, "query": query, "body": body});
        self.inside().requests.push(line);
    }

    pub(super) fn world(&self) -> Value {
        let inside = self.inside();
        let tenants: BTreeMap<_, _> = inside.tenants.iter().map(|(name, tenant)| (name, tenant.shown())).collect();
        let shops: BTreeMap<_, _> = inside.shops.iter().map(|(name, shop)| (name, shop.shown())).collect();
        json!({"commerce7": tenants, "shopify": shops})
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.inside().faults.push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.inside().faults.clear();
    }

    /// Takes the oldest fault that is meant for this request, once.
    pub(super) fn take_fault(&self, tenant: &str, call: &str) -> Option<Fault> {
        let faults = &mut self.inside().faults;
        let place = faults.iter().position(|fault| fault.is_for(tenant, call))?;
        if faults[place].times > 1 {
            faults[place].times -= 1;
            return Some(faults[place].clone());
        }
        faults.remove(place)
    }

    pub(super) fn set_access(&self, name: &str, is_open: bool) {
        let inside = &mut *self.inside();
        inside.tenants.get_mut(name).into_iter().for_each(|tenant| tenant.is_open = is_open);
        inside.shops.get_mut(name).into_iter().for_each(|shop| shop.is_open = is_open);
    }

    pub(super) fn set_limits(&self, limits: &Limits) {
        let inside = &mut *self.inside();
        inside.calls = limits.commerce7.unwrap_or(inside.calls);
        inside.points = limits.shopify.unwrap_or(inside.points);
        inside.retry_after.clone_from(&limits.retry_after);
        inside.tenants.values_mut().for_each(|tenant| tenant.bucket = Bucket::full(inside.calls));
        inside.shops.values_mut().for_each(|shop| shop.bucket = Bucket::full(inside.points));
    }
}

impl Inside {
    /// Writes down what was changed, in one write, before the caller hears of it.
    pub(super) fn effect(&mut self, tenant: &str, mut effect: Value) {
        effect["at"] = json!(Timestamp::now());
        effect["tenant"] = json!(tenant);
        if self.file.write_all(format!("{effect}\n").as_bytes()).is_ok() {
            self.log.push(effect);
        }
    }
}
