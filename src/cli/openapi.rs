//! `rowcall openapi`: what the HTTP API is, for generators of clients and for linters. It needs no database.

use std::process::ExitCode;

use super::print::print;
use crate::http::document;

/// Prints the document.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    print(&format!("{}\n", document()))?;
    Ok(ExitCode::SUCCESS)
}
