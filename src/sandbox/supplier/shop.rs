//! What every supplier does behind its own words: take an order, take the money, deliver or not, and perhaps take it back.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::callback;
use super::state::State;

/// What a hundred megabytes cost, in pesewas.
const PESEWAS_PER_100_MB: u64 = 45;

/// How coming orders end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How long after the purchase, in milliseconds; 0 is before its answer.
    #[serde(default)]
    pub after_ms: u64,
    /// How.
    pub end: End,
}

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The bundle reaches the number.
    Delivered,
    /// It does not, and the money comes back.
    Failed,
    /// Not at all.
    Never,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { after_ms: 0, end: End::Delivered }
    }
}

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    Processing,
    Delivered,
    Failed,
    Reversed,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) reference: Option<String>,
    /// E.164's digits.
    pub(super) phone: String,
    pub(super) mb: u64,
    /// Where this order's callbacks go, if the purchase says so.
    pub(super) callback: Option<String>,
}

/// An order that was taken.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) supplier: &'static str,
    pub(super) id: String,
    pub(super) wish: Wish,
    pub(super) pesewas: u64,
    pub(super) standing: Standing,
}

/// What a supplier makes of a reference that it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It knows none, and sells again.
    Again,
    /// It is the first order.
    Same,
    /// It refuses.
    Refused,
}

/// Why an order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Wallet,
    Duplicate,
    /// The reference is another number's, or another bundle's.
    Conflict,
}

impl Order {
    pub(super) fn shown(&self) -> Value {
        json!({
            "supplier": self.supplier, "order_id": self.id, "reference": self.wish.reference, "phone": self.wish.phone,
            "mb": self.wish.mb, "pesewas": self.pesewas, "standing": self.standing,
        })
    }

    /// Whether it goes by this number of the supplier's, or by this reference.
    pub(super) fn is(&self, key: &str) -> bool {
        self.id == key || self.wish.reference.as_deref() == Some(key)
    }
}

/// What an order costs: `GHS 4.50`, without a float.
pub(super) fn cedis(pesewas: u64) -> String {
    format!("{}.{:02}", pesewas / 100, pesewas % 100)
}

/// Takes an order and sees to its delivery; and whether it is one that was taken before.
pub(super) fn buy(
    state: &Arc<State>,
    supplier: &'static str,
    repeat: Repeat,
    wish: Wish,
) -> Result<(Order, bool), Refusal> {
    let (order, delivery) = {
        let inside = &mut *state.inside();
        let known = inside.orders.iter().find(|order| {
            repeat != Repeat::Again && order.supplier == supplier && order.wish.reference == wish.reference
        });
        match known {
            Some(_) if repeat == Repeat::Refused => return Err(Refusal::Duplicate),
            Some(order) if (&order.wish.phone, order.wish.mb) == (&wish.phone, wish.mb) => {
                return Ok((order.clone(), true));
            }
            Some(_) => return Err(Refusal::Conflict),
            None => {}
        }
        let pesewas = wish.mb * PESEWAS_PER_100_MB / 100;
        inside.wallet = inside.wallet.checked_sub(pesewas).ok_or(Refusal::Wallet)?;
        let id = format!("TX-{}", uuid::Uuid::now_v7().simple());
        let order = Order { supplier, id, wish, pesewas, standing: Standing::Processing };
        inside.orders.push(order.clone());
        (order, inside.delivery)
    };
    let standing = match delivery.end {
        End::Delivered => Standing::Delivered,
        End::Failed => Standing::Failed,
        End::Never => return Ok((order, false)),
    };
    if delivery.after_ms == 0 {
        let order = move_to(state, &order.id, standing).unwrap_or(order);
        return Ok((order, false));
    }
    let (state, id) = (Arc::clone(state), order.id.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(delivery.after_ms)).await;
        move_to(&state, &id, standing);
    });
    Ok((order, false))
}

/// The order of a supplier that goes by this.
pub(super) fn find(state: &State, supplier: &str, key: &str) -> Option<Order> {
    state.inside().orders.iter().find(|order| order.supplier == supplier && order.is(key)).cloned()
}

/// Takes back what was delivered; whether there was such.
pub(super) fn reverse(state: &Arc<State>, key: &str) -> bool {
    advance(state, key, Standing::Delivered, Standing::Reversed)
}

/// Delivers what was taken and not delivered; whether there was such.
pub(super) fn deliver(state: &Arc<State>, key: &str) -> bool {
    advance(state, key, Standing::Processing, Standing::Delivered)
}

fn advance(state: &Arc<State>, key: &str, from: Standing, to: Standing) -> bool {
    let stands = |order: &&Order| order.is(key) && order.standing == from;
    let id = state.inside().orders.iter().find(stands).map(|order| order.id.clone());
    id.and_then(|id| move_to(state, &id, to)).is_some()
}

/// Changes how an order stands, with what that means for book and wallet, and tells it.
fn move_to(state: &Arc<State>, id: &str, standing: Standing) -> Option<Order> {
    let order = {
        let inside = &mut *state.inside();
        let order = inside.orders.iter_mut().find(|order| order.id == id)?;
        order.standing = standing;
        let order = order.clone();
        match standing {
            Standing::Delivered => inside.write("delivered", &order),
            Standing::Reversed => inside.write("reversed", &order),
            Standing::Failed | Standing::Processing => {}
        }
        if standing != Standing::Delivered {
            inside.wallet = inside.wallet.saturating_add(order.pesewas);
        }
        order
    };
    callback::follow(state, &order);
    Some(order)
}
