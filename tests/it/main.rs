//! The integration tests: one binary; a file a step of the flow, a file an integration.

#![allow(clippy::unwrap_used, reason = "what helps a test is a test, which the lint does not see")]

mod private_cluster;
mod demo;
mod command;
mod fienta;
mod whatsapp;
mod operator;
mod doctor;
mod scratch;
mod process;
