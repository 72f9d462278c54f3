//! A row of `codes` as the demo shows it: what a person would look at, before and after.

use anyhow::Context;
use serde_json::{Map, Value};
use tokio_postgres::Client;

use super::fake::plain;
use super::table::Rows;

/// What the stamp adds to every request, and where Fienta keeps a code: they say nothing about the outcome.
const DULL: [&str; 4] = ["action", "requested_at", "fienta_discount_id", "fienta_edit_url"];

/// A code in the database.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) key: String,
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

/// How the attempts at rows of a queue ended that are newer than this one.
pub(super) async fn ended(client: &Client, queue: &str, keys: &[&str], after: i64) -> anyhow::Result<Vec<String>> {
    const SQL: &str = include_str!("../../../sql/demo/ended.sql");
    let rows = client.query(SQL, &[&queue, &keys, &after]).await;
    let rows = rows.with_context(|| format!("read the history of {queue} {}", keys.join(", ")))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn row(row: &tokio_postgres::Row) -> Row {
    let metadata: Value = row.get("metadata");
    Row {
        key: row.get("key"),
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

/// Rows before and after, as a table.
pub(super) fn table(before: &[Row], after: &[Row]) -> String {
    let names = ["code", "status", "attempts", "generation", "metadata"].map(str::to_owned);
    let shown = |rows: &[Row]| Rows {
        names: names.to_vec(),
        cells: rows.iter().map(Row::cells).collect(),
        errors: rows.iter().filter_map(|row| row.error_message.clone()).collect(),
    };
    super::table::table(&[("before", &shown(before)), ("after", &shown(after))])
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let (attempts, generation) = (self.attempts.to_string(), self.generation.to_string());
        vec![self.code.clone(), self.status.clone(), attempts, generation, metadata(&self.metadata)]
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
