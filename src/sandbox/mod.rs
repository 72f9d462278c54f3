//! What the demo, the tests and the benchmarks run against instead of the real world.
//!
//! A private Postgres, and faithful fakes of providers with faults on request and an independent log of what really took
//! effect. Everything here is a real process on this machine; nothing here is used by a worker in production.

pub mod fienta;
pub mod whatsapp;
pub mod crm;
pub mod supplier;
pub mod fluent;
pub mod webhook;
pub mod postgres;
mod server;
mod bucket;
