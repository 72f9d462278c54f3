//! The integration tests: one binary; a file a step of the flow, a file an integration.

#![allow(clippy::unwrap_used, reason = "what helps a test is a test, which the lint does not see")]

mod migrate;
mod adopt;
mod rls;
mod supabase;
mod stamp;
mod ring;
mod claim;
mod execute;
mod settle;
mod heartbeat;
mod sweep;
mod schedules;
mod schedule_times;
mod schedule_runs;
mod bell;
mod pooled;
mod tls;
mod policy;
mod breaker;
mod shutdown;
mod verbs;
mod codes;
mod orders;
mod requests;
mod fienta_checks;
mod links;
mod links_served;
mod organizations;
mod chaos;
mod privacy;
mod review;

mod operator;
mod schedules_operator;
mod actions_rows;
mod actions_words;
mod actions_doubts;
mod actions_load;
mod actions_flow;
mod fulfillment_rows;
mod fulfillment_reports;
mod fulfillment_words;
mod fulfillment_http;
mod fulfillment_clock;
mod crm_rows;
mod crm_rules;
mod crm_flow;
mod fulfillment_flow;
mod fulfillment_faults;
mod fulfillment_load;
mod doctor;
mod demo;

mod command;
mod fienta;
mod whatsapp;
mod supplier;
mod crm;
mod fluent;
mod webhook;
mod private_cluster;

mod http_auth;
mod http_limits;
mod http_health;
mod http_api;
mod http_actions;
mod http_webhooks;
mod http_crm;
mod http_run;
mod web;

mod sql;
mod layering;

mod database;
mod scratch;
mod worker;
mod binary;
mod pooler;
mod fake;
mod sandbox;
mod process;
