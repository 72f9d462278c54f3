//! What the operations do to the state, and what they answer.

use std::env;
use std::io::{self, Write as _};

use anyhow::Result;
use serde_json::{Value, json};

use super::state::{Entry, Order, State};
use super::{Common, Verb};

/// What a run answers.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is done.
    Yes { code: Option<String>, data: Value },
    /// It is not.
    No { exit_code: u8, code: Option<String>, error: Value },
}

impl Reply {
    /// A refusal of a kind that the contract names, about a code.
    pub(super) fn no(kind: &str, code: Option<&str>, message: &str) -> Self {
        let exit_code = if kind == "validation" { 2 } else { 1 };
        Self::No { exit_code, code: code.map(str::to_owned), error: json!({"kind": kind, "message": message}) }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Yes { .. } => 0,
            Self::No { exit_code, .. } => *exit_code,
        }
    }

    /// Prints it, for a person or as one line of JSON. Whoever reads may be gone.
    pub(super) fn print(&self, as_json: bool) {
        let line = match self {
            Self::Yes { code, data } if as_json => json!({"ok": true, "code": code, "data": data}).to_string(),
            Self::No { code, error, .. } if as_json => json!({"ok": false, "code": code, "error": error}).to_string(),
            Self::Yes { data, .. } => format!("Done: {data}"),
            Self::No { error, .. } => format!("Failed: {error}"),
        };
        let _ = writeln!(io::stdout(), "Closing the browser\n{line}");
    }
}

/// Logs in and does what is asked.
pub(super) fn reply(state: &State, verb: &Verb) -> Result<Reply> {
    let event = match log_in(state, verb.common()) {
        Ok(event) => event,
        Err(refusal) => return Ok(refusal),
    };
    let _lock = state.lock()?;
    match verb {
        Verb::Create { code, discount_percent, discount_amount, max_uses, expires_at, description, .. } => {
            let terms = Entry {
                code: code.clone(),
                discount_percent: discount_percent.clone(),
                discount_amount: discount_amount.clone(),
                max_uses: max_uses.clone(),
                expires_at: expires_at.clone(),
                description: description.clone(),
                ..Entry::default()
            };
            create(state, &event, terms)
        }
        Verb::Update {
            code,
            new_discount_percent,
            new_discount_amount,
            new_max_uses,
            new_expires_at,
            new_description,
            ..
        } => {
            let Some(mut now) = state.code(code)? else { return Ok(not_found(code)) };
            if new_discount_percent.is_some() || new_discount_amount.is_some() {
                now.discount_percent.clone_from(new_discount_percent);
                now.discount_amount.clone_from(new_discount_amount);
            }
            let others = [
                (&mut now.max_uses, new_max_uses),
                (&mut now.expires_at, new_expires_at),
                (&mut now.description, new_description),
            ];
            for (value, new) in others {
                if new.is_some() {
                    value.clone_from(new);
                }
            }
            state.put(&now)?;
            changed(state, "update", code, &now)
        }
        Verb::Rename { code, new_code, .. } => rename(state, code, new_code),
        Verb::Delete { code, discount_id, .. } => delete(state, code, discount_id.as_deref()),
        Verb::List { .. } => Ok(Reply::Yes { code: None, data: json!({"codes": state.codes()?}) }),
        Verb::Orders { id, status, .. } => order(state, id, status.as_deref()),
        Verb::Redeem { .. } | Verb::Buy { .. } | Verb::Fault(_) | Verb::Linger => {
            Ok(Reply::no("validation", None, "no operation"))
        }
    }
}

/// Checks the login and the event, as the site does before anything else.
fn log_in(state: &State, common: Option<&Common>) -> Result<String, Reply> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let password = variable("FIENTA_PASSWORD");
    let is_right = match state.setting("password") {
        Some(right) => password.as_ref() == Some(&right),
        None => password.is_some(),
    };
    if variable("FIENTA_EMAIL").is_none() || !is_right {
        return Err(Reply::no("auth", None, "Invalid e-mail address or password"));
    }
    println!("Logged in");
    let event = common.and_then(|common| common.event_id.clone()).or_else(|| variable("FIENTA_EVENT_ID"));
    match (event, state.setting("event_id")) {
        (Some(event), Some(only)) if event != only => Err(no_event(&format!("Event {event} is not yours"))),
        (Some(event), _) => Ok(event),
        (None, _) => Err(no_event("No event: give --event-id or FIENTA_EVENT_ID")),
    }
}

fn no_event(message: &str) -> Reply {
    let error = json!({"kind": "validation", "field": "event-id", "message": message});
    Reply::No { exit_code: 2, code: None, error }
}

fn not_found(code: &str) -> Reply {
    Reply::no("not_found", Some(code), &format!("No discount code {code}"))
}

fn is_valid(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn changed(state: &State, verb: &str, code: &str, now: &Entry) -> Result<Reply> {
    state.note_effect(verb, code, &json!(now))?;
    println!("Saved {}", now.code);
    Ok(Reply::Yes { code: Some(now.code.clone()), data: json!({"id": now.id, "edit_url": now.edit_url}) })
}

fn create(state: &State, event: &str, mut new: Entry) -> Result<Reply> {
    if !is_valid(&new.code) {
        return Ok(Reply::no("validation", None, "The code has characters that are not allowed"));
    }
    if state.code(&new.code)?.is_some() {
        return Ok(Reply::no("exists", Some(&new.code), "The discount code exists already"));
    }
    new.id = state.next_id()?;
    new.edit_url = format!("https://fienta.com/my/events/{event}/discounts/{}/edit", new.id);
    state.put(&new)?;
    changed(state, "create", &new.code, &new)
}

fn rename(state: &State, code: &str, new_code: &str) -> Result<Reply> {
    let Some(mut now) = state.code(code)? else { return Ok(not_found(code)) };
    if !is_valid(new_code) {
        return Ok(Reply::no("validation", Some(code), "The new code has characters that are not allowed"));
    }
    if state.code(new_code)?.is_some() {
        return Ok(Reply::no("exists", Some(new_code), "The new discount code exists already"));
    }
    new_code.clone_into(&mut now.code);
    state.put(&now)?;
    state.remove(code)?;
    changed(state, "rename", code, &now)
}

fn delete(state: &State, code: &str, discount_id: Option<&str>) -> Result<Reply> {
    let now = state.code(code)?.filter(|now| discount_id.is_none_or(|id| id == now.id));
    let Some(now) = now else { return Ok(not_found(code)) };
    state.remove(code)?;
    state.note_effect("delete", code, &Value::Null)?;
    println!("Deleted {}", now.code);
    Ok(Reply::Yes { code: Some(now.code), data: json!({}) })
}

/// A customer uses a code.
pub(super) fn redeem(state: &State, code: &str) -> Result<()> {
    let _lock = state.lock()?;
    let Some(mut now) = state.code(code)? else { anyhow::bail!("no discount code {code}") };
    now.used += 1;
    state.put(&now)
}

/// A customer orders.
pub(super) fn buy(state: &State, id: &str, status: &str) -> Result<()> {
    let _lock = state.lock()?;
    state.put_order(&Order { id: id.to_owned(), status: status.to_owned() })
}

/// Shows an order, with a status gives it that first.
fn order(state: &State, id: &str, status: Option<&str>) -> Result<Reply> {
    let Some(mut now) = state.order(id)? else {
        return Ok(Reply::no("not_found", Some(id), &format!("No order {id}")));
    };
    if let Some(status) = status {
        if status.is_empty() || !status.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return Ok(Reply::no("validation", Some(id), "There is no such status of an order"));
        }
        status.clone_into(&mut now.status);
        state.put_order(&now)?;
        state.note_effect("orders", id, &json!(now))?;
        println!("Saved order {id}");
    }
    Ok(Reply::Yes { code: None, data: json!(now) })
}
