//! Readiness: what a worker lets others in its process know of itself.
//!
//! The worker writes it, whoever answers for the process (`/readyz`) reads it, and neither knows the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by everybody who has a clone of it. At first nothing is ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    bell_works: AtomicBool,
    polls: AtomicBool,
    beat_at: Mutex<Option<Instant>>,
}

impl Readiness {
    /// Notes whether notifications arrive; returns what was known before.
    pub fn set_bell_works(&self, works: bool) -> bool {
        self.0.bell_works.swap(works, Ordering::Relaxed)
    }

    /// Whether notifications are known to arrive.
    pub fn bell_works(&self) -> bool {
        self.0.bell_works.load(Ordering::Relaxed)
    }

    /// Notes that there is no bell here, and cannot be: rows are looked for instead.
    pub fn set_polls(&self) {
        self.0.polls.store(true, Ordering::Relaxed);
    }

    /// Whether the worker does without a bell.
    pub fn polls(&self) -> bool {
        self.0.polls.load(Ordering::Relaxed)
    }

    /// Notes a heartbeat that came through, by when it was sent.
    pub fn beat(&self, sent_at: Instant) {
        *self.0.beat_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent_at);
    }

    /// How long ago the last heartbeat was sent that came through; nothing before the first.
    pub fn silence(&self) -> Option<Duration> {
        self.0.beat_at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }
}
