//! What the site remembers: tickets, its clock, requests, and faults and edits to come.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FluentArgs;
use super::fault::Fault;
use super::ticket::Ticket;

/// Everything behind the fake.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) args: FluentArgs,
    pub(super) zone: TimeZone,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    file: File,
    tickets: Vec<Ticket>,
    /// The site's time of day; every edit takes a second.
    now: DateTime,
    requests: Vec<Value>,
    faults: VecDeque<Fault>,
    edits: VecDeque<Vec<Edit>>,
    sees_only: Option<i64>,
}

/// Something that people do to tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// A new ticket.
    Open,
    /// A ticket gets another title.
    Retitle(i64, String),
    /// A ticket gets other content.
    Rewrite(i64, String),
    /// A ticket gets another priority and product.
    Classify(i64, String, String),
    /// A ticket is closed.
    Close(i64),
    /// A ticket is gone.
    Delete(i64),
    /// A ticket's number is lost: the list tells 0.
    Spoil(i64),
    /// A ticket gets this status.
    Restate(i64, String),
    /// The site's clock is put to this time of day.
    SetClock(DateTime),
}

impl Site {
    pub(super) fn open(args: FluentArgs) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.state).with_context(|| format!("create {}", args.state.display()))?;
        let path = args.state.join("requests.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        let zone = TimeZone::get(&args.timezone).with_context(|| format!("the time zone {}", args.timezone))?;
        let number = i64::from(args.tickets);
        let inside = Inside {
            file,
            tickets: (1..=number).map(|id| Ticket::generated(id, number)).collect(),
            now: date(2026, 1, 1).at(9, 0, 0, 0),
            requests: Vec::new(),
            faults: VecDeque::new(),
            edits: VecDeque::new(),
            sees_only: None,
        };
        Ok(Self { args, zone, inside: Mutex::new(inside) })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.inside().requests.clone()
    }

    /// Writes down that a request came; then its edits happen.
    pub(super) fn note(&self, request: Value) {
        let inside = &mut *self.inside();
        // A log that cannot be written would only make the test that reads it fail.
        let _ = inside.file.write_all(format!("{request}\n").as_bytes());
        inside.requests.push(request);
        if let Some(edits) = inside.edits.pop_front() {
            inside.edit(&edits);
        }
    }

    pub(super) fn told(&self) -> Vec<Value> {
        self.visible().iter().map(|ticket| ticket.told(self.args.plugin, &self.zone)).collect()
    }

    /// The tickets that the user may see.
    pub(super) fn visible(&self) -> Vec<Ticket> {
        let inside = self.inside();
        let seen =
            inside.tickets.iter().filter(|ticket| inside.sees_only.is_none() || ticket.agent == inside.sees_only);
        seen.cloned().collect()
    }

    pub(super) fn limit_view(&self, agent: Option<i64>) {
        self.inside().sees_only = agent;
    }

    pub(super) fn edit(&self, edits: &[Edit]) {
        self.inside().edit(edits);
    }

    pub(super) fn edit_later(&self, edits: Vec<Edit>) {
        self.inside().edits.push_back(edits);
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.inside().faults.push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.inside().faults.clear();
    }

    /// Takes the oldest fault that is meant for this page, once.
    pub(super) fn take_fault(&self, page: u64) -> Option<Fault> {
        let faults = &mut self.inside().faults;
        let place = faults.iter().position(|fault| fault.page.is_none_or(|only| only == page))?;
        if faults[place].times > 1 {
            faults[place].times -= 1;
            return Some(faults[place].clone());
        }
        faults.remove(place)
    }
}

impl Inside {
    fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            self.now += 1.second();
            match edit {
                Edit::Open => self.open(),
                Edit::Retitle(id, title) => self.change(*id, |ticket, _| ticket.title.clone_from(title)),
                Edit::Rewrite(id, content) => self.change(*id, |ticket, _| ticket.content.clone_from(content)),
                Edit::Classify(id, priority, product) => self.change(*id, |ticket, _| {
                    ticket.priority.clone_from(priority);
                    ticket.product = Some(product.clone()).filter(|product| !product.is_empty());
                }),
                Edit::Close(id) => self.change(*id, |ticket, now| {
                    "closed".clone_into(&mut ticket.status);
                    ticket.resolved_at = Some(now);
                }),
                Edit::Delete(id) => self.tickets.retain(|ticket| ticket.id != *id),
                Edit::Spoil(id) => self.change(*id, |ticket, _| ticket.id = 0),
                Edit::Restate(id, status) => self.change(*id, |ticket, now| {
                    ticket.status.clone_from(status);
                    ticket.resolved_at = (status == "closed").then_some(now);
                }),
                Edit::SetClock(now) => self.now = *now,
            }
        }
    }

    fn open(&mut self) {
        let id = self.tickets.iter().map(|ticket| ticket.id).max().unwrap_or_default() + 1;
        let mut ticket = Ticket::generated(id, id);
        "new".clone_into(&mut ticket.status);
        (ticket.created_at, ticket.updated_at, ticket.resolved_at) = (self.now, self.now, None);
        self.tickets.push(ticket);
    }

    fn change(&mut self, id: i64, change: impl FnOnce(&mut Ticket, DateTime)) {
        let now = self.now;
        if let Some(ticket) = self.tickets.iter_mut().find(|ticket| ticket.id == id) {
            change(ticket, now);
            ticket.updated_at = now;
        }
    }
}
