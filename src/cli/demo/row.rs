//! A row of `codes` as the demo shows it: what a person would look at, before and after.

use anyhow::Context;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde_json::{Map, Value};
use tokio_postgres::Client;

use super::fake::plain;
use super::style::{WIDTH, dim, wrap};

/// What the stamp adds to every request, and where Fienta keeps a code: they say nothing about the outcome.
const DULL: [&str; 4] = ["action", "requested_at", "fienta_discount_id", "fienta_edit_url"];

/// How wide a line of an error may be.
const ERROR_CHARS: usize = 80;

/// A code in the database.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) code: String,
    pub(super) status: String,
    pub(super) attempts: i32,
    pub(super) generation: i32,
    pub(super) metadata: Map<String, Value>,
    pub(super) error_message: Option<String>,
    /// A request stands that is not settled.
    pub(super) is_due: bool,
    /// A worker holds it.
    pub(super) is_running: bool,
}

/// The rows of these codes, in this order; those that are not there are left out.
pub(super) async fn rows(client: &Client, codes: &[&str]) -> anyhow::Result<Vec<Row>> {
    const SQL: &str = include_str!("../../../sql/demo/rows.sql");
    let rows = client.query(SQL, &[&codes]).await.with_context(|| format!("look at {}", codes.join(", ")))?;
    Ok(rows.iter().map(row).collect())
}

/// How the attempts at a code ended that are newer than this one.
pub(super) async fn ended(client: &Client, code: &str, after: i64) -> anyhow::Result<Vec<String>> {
    const SQL: &str = include_str!("../../../sql/demo/ended.sql");
    let rows = client.query(SQL, &[&code, &after]).await.with_context(|| format!("read the history of {code}"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn row(row: &tokio_postgres::Row) -> Row {
    let metadata: Value = row.get("metadata");
    Row {
        code: row.get("code"),
        status: row.get("status"),
        attempts: row.get("attempts"),
        generation: row.get("generation"),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
        error_message: row.get("error_message"),
        is_due: row.get("is_due"),
        is_running: row.get("is_running"),
    }
}

/// Rows before and after, as a table, with their errors below it: words need the whole width.
pub(super) fn table(before: &[Row], after: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH - 4);
    let names = ["", "code", "status", "attempts", "generation", "metadata"];
    table.set_header(names.map(|name| Cell::new(name).add_attribute(Attribute::Dim)));
    if before.is_empty() {
        table.add_row([Cell::new("before"), Cell::new("(no row)").add_attribute(Attribute::Dim)]);
    }
    for (when, rows) in [("before", before), ("after", after)] {
        for (nth, row) in rows.iter().enumerate() {
            table.add_row([
                Cell::new(if nth == 0 { when } else { "" }),
                Cell::new(&row.code),
                Cell::new(&row.status).fg(colour(&row.status)),
                Cell::new(row.attempts),
                Cell::new(row.generation),
                Cell::new(metadata(&row.metadata)),
            ]);
        }
    }
    let mut lines: Vec<String> = table.lines().map(|line| format!("   {}", line.trim_end())).collect();
    for error in after.iter().filter_map(|row| row.error_message.as_deref()) {
        for (nth, line) in wrap(error, ERROR_CHARS).iter().enumerate() {
            lines.push(format!("    {}  {line}", dim(if nth == 0 { "error_message" } else { "             " })));
        }
    }
    lines.join("\n")
}

fn colour(status: &str) -> Color {
    match status {
        "active" => Color::Green,
        "failed" | "unknown" => Color::Red,
        "deleted" => Color::Grey,
        _ => Color::Yellow,
    }
}

/// The metadata in short: moments by their time of day, the error not a second time.
fn metadata(metadata: &Map<String, Value>) -> String {
    let pairs = metadata.iter().filter(|(key, _)| !DULL.contains(&key.as_str())).map(|(key, value)| {
        let value = plain(value);
        let time = value.split_once('T').map(|(_, time)| time).filter(|_| key.ends_with("_at"));
        match (key.as_str(), time) {
            ("action_error", _) => "action_error = error_message".to_owned(),
            (_, Some(time)) => format!("{key} {}", time.get(..8).unwrap_or(time)),
            _ => format!("{key} {value}"),
        }
    });
    pairs.collect::<Vec<_>>().join("\n")
}
