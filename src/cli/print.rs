//! What goes to the terminal: standard output without a panic at a closed pipe, tables, and words for lengths of time.
//!
//! Colours only on a terminal, and never with `NO_COLOR`. What comes from rows is shown without its control characters, so
//! that nobody's text can steer the terminal.

use std::io::{ErrorKind, IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};

/// Writes to standard output. A reader that went away, as `head` does, is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// The same for what is text already as bytes.
pub(super) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Whether standard output is a terminal that may be coloured.
pub(super) fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The colours of a word outside of a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paint {
    Green,
    Yellow,
    Red,
}

/// A word in a colour, where colours are welcome.
pub(super) fn paint(word: &str, colour: Paint) -> String {
    if !is_coloured() {
        return word.to_owned();
    }
    let code = match colour {
        Paint::Green => 32,
        Paint::Yellow => 33,
        Paint::Red => 31,
    };
    format!("\x1b[{code}m{word}\x1b[0m")
}

/// A table without borders, as wide as the terminal; elsewhere as wide as it needs.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    if is_coloured() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(headings.iter().map(|heading| Cell::new(heading.to_uppercase()).add_attribute(Attribute::Dim)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table's lines, without the blanks at their ends.
pub(super) fn lines(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// A cell coloured by a state's word.
pub(super) fn state_cell(state: &str) -> Cell {
    let cell = Cell::new(state);
    match state {
        "open" | "alive" | "done" | "ok" => cell.fg(Color::Green),
        "running" => cell.fg(Color::Cyan),
        "waiting" | "paused" | "draining" | "retry" | "wait" | "lost" | "note" | "unread" | "interrupted"
        | "refused" | "missed" => cell.fg(Color::Yellow),
        "failed" | "unknown" | "dead" | "breaker open" | "problem" | "overdue" | "failing" | "broken" => {
            cell.fg(Color::Red)
        }
        _ => cell,
    }
}

/// Text from a row, on one line and without control characters.
pub(super) fn plain(text: &str) -> String {
    let words = text.split_whitespace().map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>());
    words.collect::<Vec<_>>().join(" ")
}

/// The same, or nothing.
pub(super) fn plain_or_none(text: Option<&str>) -> String {
    text.map(plain).unwrap_or_default()
}

/// RFC 3339 as it stands in the database, in the reader's time zone.
pub(super) fn local(moment: &str) -> String {
    match moment.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => moment.to_owned(),
    }
}

/// A length of time in words, rounded as people say it: `346 ms`, `42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`.
pub(super) fn in_words(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds.max(0.0) * 1000.0);
    }
    if seconds < 9.95 {
        return format!("{} s", format!("{seconds:.1}").trim_end_matches(".0"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and far below 2⁶⁴")]
    let whole = seconds.round() as u64;
    let two = |major: u64, unit: &str, minor: u64, small: &str| {
        if minor == 0 { format!("{major} {unit}") } else { format!("{major} {unit} {minor} {small}") }
    };
    match whole {
        0..120 => format!("{whole} s"),
        120..3600 => format!("{} min", whole / 60),
        3600..86_400 => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        for (seconds, words) in [
            (-1.0, "0 ms"),
            (0.0, "0 ms"),
            (0.346, "346 ms"),
            (1.0, "1 s"),
            (1.26, "1.3 s"),
            (9.96, "10 s"),
            (100.0, "100 s"),
            (150.0, "2 min"),
            (3600.0, "1 h"),
            (12_000.0, "3 h 20 min"),
            (187_200.0, "2 d 4 h"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn a_rows_text_cannot_steer_the_terminal() {
        assert_eq!(plain("red \u{1b}[31malert\nnext\u{7}"), "red [31malert next");
    }
}
