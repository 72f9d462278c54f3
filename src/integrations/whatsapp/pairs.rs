//! How often a provider has asked for patience with the contact of one reply: its pause grows with that.
//!
//! A pause spends no attempt, so the row does not count them. This memory is the worker's own and is lost with it; then
//! the pauses start short again, and the provider says so again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// More replies than that are not remembered; then all are forgotten.
const REPLIES_MAX: usize = 10_000;

/// The pauses of replies, by reference.
#[derive(Debug, Default)]
pub(super) struct Pairs(Mutex<HashMap<String, u32>>);

impl Pairs {
    /// The pauses so far.
    pub(super) fn pauses(&self, reference: &str) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(reference).copied().unwrap_or_default()
    }

    /// Notes how it went this time.
    pub(super) fn note(&self, reference: String, is_pause: bool) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_pause {
            pauses.remove(&reference);
            return;
        }
        if pauses.len() >= REPLIES_MAX {
            pauses.clear();
        }
        let count = pauses.entry(reference).or_default();
        *count = count.saturating_add(1);
    }
}
