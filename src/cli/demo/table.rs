//! Rows as a person would look at them, before and after, as a table with their errors below: words need the whole width.

use anyhow::Context;
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use tokio_postgres::Client;

use super::style::{WIDTH, colour, dim, wrap};
use crate::cli::print::is_coloured;

/// How wide a line of an error may be.
const ERROR_CHARS: usize = 80;

/// Rows at one moment.
#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    pub(super) names: Vec<String>,
    pub(super) cells: Vec<Vec<String>>,
    pub(super) errors: Vec<String>,
}

impl Rows {
    /// What a query of texts gives for these keys; its column `error_message` is told apart from the others.
    pub(super) async fn look(client: &Client, sql: &str, keys: &[&str]) -> anyhow::Result<Self> {
        let looking = || format!("look at {}", keys.join(", "));
        let statement = client.prepare(sql).await.with_context(looking)?;
        let found = client.query(&statement, &[&keys]).await.with_context(looking)?;
        let names = statement.columns().iter().map(tokio_postgres::Column::name);
        let (errors, names): (Vec<_>, Vec<_>) = names.partition(|name| *name == "error_message");
        let mut rows = Self { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() };
        for row in &found {
            let text = |name: &str| row.try_get::<_, Option<String>>(name).with_context(|| format!("read {name}"));
            let cells = names.iter().map(|name| Ok(text(name)?.unwrap_or_default()));
            rows.cells.push(cells.collect::<anyhow::Result<_>>()?);
            for name in &errors {
                rows.errors.extend(text(name)?);
            }
        }
        Ok(rows)
    }
}

/// The rows at some moments, each with its word: the first one how it was before.
pub(super) fn table(moments: &[(&str, &Rows)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH - 4);
    if !is_coloured() {
        table.force_no_tty();
    }
    let names = moments.first().map(|(_, rows)| rows.names.as_slice()).unwrap_or_default();
    let heading = std::iter::once("").chain(names.iter().map(String::as_str));
    table.set_header(heading.map(|name| Cell::new(name).add_attribute(Attribute::Dim)));
    for (when, rows) in moments {
        if rows.cells.is_empty() {
            table.add_row([Cell::new(when), Cell::new("(no row)").add_attribute(Attribute::Dim)]);
        }
        for (nth, cells) in rows.cells.iter().enumerate() {
            let shown = names.iter().zip(cells).map(|(name, cell)| match name.as_str() {
                "status" | "reply_status" | "bubble" => Cell::new(cell).fg(colour(cell)),
                _ => Cell::new(cell),
            });
            table.add_row(std::iter::once(Cell::new(if nth == 0 { when } else { "" })).chain(shown));
        }
    }
    let mut lines: Vec<String> = table.lines().map(|line| format!("   {}", line.trim_end())).collect();
    let errors = moments.iter().skip(1).flat_map(|(_, rows)| &rows.errors);
    for error in errors {
        for (nth, line) in wrap(error, ERROR_CHARS).iter().enumerate() {
            lines.push(format!("    {}  {line}", dim(if nth == 0 { "error_message" } else { "             " })));
        }
    }
    lines.join("\n")
}
