//! The integration tests: one binary, one file a step of the flow.

// clippy.toml allows this in `#[test]` functions; here the functions beside them are tests too.
#![allow(clippy::unwrap_used)]

mod private_cluster;
