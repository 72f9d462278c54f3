//! The integration tests: one binary; a file a step of the flow, a file an integration.

#![allow(clippy::unwrap_used, reason = "what helps a test is a test, which the lint does not see")]

mod private_cluster;
mod demo;
mod command;
mod fienta;
mod operator;
mod doctor;
mod http_auth;
mod http_limits;
mod http_health;
mod http_api;
mod http_webhooks;
mod http_run;
mod web;
mod scratch;
mod process;
