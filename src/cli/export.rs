//! `rowcall export fulfillment`: all of it that a filter matches, as CSV, page by page onto standard output.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::print::print_bytes;
use super::store;
use crate::sheet;
use crate::store::export::{Filter, HEADINGS};

/// What to export.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Orders of data bundles and how they stand, oldest first
    Fulfillment(FulfillmentArgs),
}

/// Which fulfilments.
#[derive(Args)]
#[command(after_help = "Examples:
  rowcall export fulfillment --csv > fulfillment.csv
  rowcall export fulfillment --csv --status failed --from 2026-11-01 --to 2026-11-30")]
pub struct FulfillmentArgs {
    /// As CSV, which is the only format
    #[arg(long)]
    csv: bool,
    /// Of this status only: pending, processing, success, failed or unknown
    #[arg(long)]
    status: Option<String>,
    /// Of this telephone number only; its last nine digits count
    #[arg(long)]
    phone: Option<String>,
    /// Created from this day (UTC) or time on
    #[arg(long)]
    from: Option<String>,
    /// Created until the end of this day (UTC), or before this time
    #[arg(long)]
    to: Option<String>,
}

/// Not the number: it is somebody's.
impl std::fmt::Debug for FulfillmentArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FulfillmentArgs").field("status", &self.status).finish_non_exhaustive()
    }
}

pub(super) async fn run(command: ExportCommand) -> anyhow::Result<ExitCode> {
    let ExportCommand::Fulfillment(FulfillmentArgs { csv: _, status, phone, from, to }) = command;
    let filter = Filter::read(status.as_deref(), phone.as_deref(), from.as_deref(), to.as_deref())?;
    let mut export = store()?.export_fulfillment(filter);
    let mut headings = Some(&HEADINGS[..]);
    loop {
        let rows = export.next_page().await?;
        // The headings stand even over no rows.
        print_bytes(&sheet::page(headings.take(), rows.as_deref().unwrap_or_default())?)?;
        if rows.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}
