//! The integration tests: one binary, a file a subject.

#![allow(clippy::unwrap_used, reason = "what helps a test is a test, which the lint does not see")]

mod command;
mod fienta;
mod process;
