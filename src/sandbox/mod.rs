//! What the demo, the tests and the benchmarks run against instead of the real world.
//!
//! Everything here is a real process or a real socket on this machine, kept as close to its original as the tests can
//! tell. Nothing here is used by a worker in production.

pub mod postgres;
