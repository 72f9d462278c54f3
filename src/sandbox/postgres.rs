//! A private Postgres, run from the binaries that are on this machine.
//!
//! The demo, the tests and the benchmarks start it, use it and end it. Its data outlives it: the next start finds the same
//! databases under the same URL. It listens on 127.0.0.1 only and asks for a password.
//!
//! It installs nothing and upgrades nothing, and it is no place for data that anybody would miss.

mod find;
mod account;
mod folder;
mod postmaster;
mod initdb;
mod server;
mod cluster;
mod start;
mod run;

pub use account::{AccountError, default_data};
pub use cluster::{Cluster, ClusterError, Options};
pub use find::{Binaries, FindError, find_binaries, find_in};
pub use folder::FolderError;
pub(crate) use folder::make_folders;
pub use initdb::InitdbError;
pub use run::{PostgresArgs, run_with_cluster};
pub use server::ServerError;
