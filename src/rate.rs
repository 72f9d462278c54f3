//! How often operations may start on a target, over all workers.
//!
//! The reservation itself is one atomic statement on `rowcall.targets` (GCRA: one timestamp a target); here are its words.

/// A sustained rate and the burst that it tolerates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Operations a second, sustained.
    pub per_second: f64,
    /// Operations that may start at once after a pause.
    pub burst: i32,
}
