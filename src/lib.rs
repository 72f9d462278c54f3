//! Rowcall: the row is the job.
//!
//! A person changes a row in their own Postgres table; triggers stamp the request and ring a bell; the worker claims the
//! row, runs the external operation and writes the outcome back on the row. `ARCHITECTURE.md` tells the whole flow.
//!
//! The modules stand in reading order: the words, the database, the outside world, the flow, what a person runs.

pub mod job;
pub mod outcome;
pub mod failure;
pub mod queue;
pub mod retry;
pub mod rate;
pub mod schedule;
pub mod readiness;
pub mod connections;
pub mod notice;
pub mod sheet;
pub mod link;
pub mod order;

pub mod config;

pub mod store;

pub mod integrations;
pub mod sandbox;

pub mod worker;

pub mod http;

pub mod cli;
