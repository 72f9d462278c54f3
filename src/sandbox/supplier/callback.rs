//! What the suppliers call back with: proven in each one's own way, forged, out of date, late, twice or never.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api::{self, Told};
use super::shop::Order;
use super::state::State;

/// What a forger signs with.
pub(super) const FORGED: &str = "another-secret";

/// A callback that follows what happens to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// How long after, in milliseconds.
    #[serde(default)]
    pub after_ms: u64,
    /// How often it is sent.
    #[serde(default = "one")]
    pub times: u32,
    /// Whether its proof holds.
    #[serde(default)]
    pub proof: Proof,
}

/// How a callback proves itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// As it should.
    #[default]
    Good,
    /// By another secret.
    Forged,
    /// Not at all.
    Missing,
}

fn one() -> u32 {
    1
}

impl Default for Callback {
    fn default() -> Self {
        Self { after_ms: 0, times: 1, proof: Proof::Good }
    }
}

/// Sends what follows a change of this order, each in its time.
pub(super) fn follow(state: &Arc<State>, order: &Order) {
    let Some(api) = api::named(order.supplier) else { return };
    let shared = state.args.callback.as_ref().map(|base| format!("{}/{}", base.trim_end_matches('/'), order.supplier));
    let Some(url) = order.wish.callback.clone().or(shared) else { return };
    let callbacks = state.inside().callbacks.clone();
    for callback in callbacks {
        let secret = match callback.proof {
            Proof::Good => Some(state.args.api_secret.as_str()),
            Proof::Forged => Some(FORGED),
            Proof::Missing => None,
        };
        let Some(told) = api.callback(order, &url, secret) else { return };
        let state = Arc::clone(state);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(callback.after_ms)).await;
            for _ in 0..callback.times {
                post(&state, &told).await;
            }
        });
    }
}

async fn post(state: &State, told: &Told) {
    let mut request = state.callbacks.post(&told.url).header("content-type", "application/json");
    for (name, value) in &told.headers {
        request = request.header(*name, value);
    }
    // Whether it arrives is for the receiver's tests to see.
    let _ = request.timeout(Duration::from_secs(10)).body(told.body.clone()).send().await;
}
