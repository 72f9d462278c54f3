//! How the demo looks: colours on a terminal, none elsewhere or when `NO_COLOR` is set.

use std::io::{self, Write};
use std::sync::LazyLock;

use comfy_table::Color;

use crate::cli::print::is_coloured;

static COLOURED: LazyLock<bool> = LazyLock::new(is_coloured);

/// How wide a line may be.
pub(super) const WIDTH: u16 = 100;

/// Prints lines at once. It fails when nobody reads any more.
pub(super) fn say(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref())?;
    out.flush()
}

pub(super) fn bold(text: &str) -> String {
    paint("1", text)
}

pub(super) fn dim(text: &str) -> String {
    paint("2", text)
}

pub(super) fn green(text: &str) -> String {
    paint("32", text)
}

pub(super) fn red(text: &str) -> String {
    paint("31", text)
}

/// What a person types.
pub(super) fn typed(text: &str) -> String {
    paint("36", text)
}

/// A status, or a word for how an attempt ended, in the colour of how it stands. `text` may be padded.
pub(super) fn status(text: &str) -> String {
    match colour(text.trim()) {
        Color::Green => green(text),
        Color::Red => red(text),
        Color::Grey => dim(text),
        _ => paint("33", text),
    }
}

/// The colour of how a status stands.
pub(super) fn colour(status: &str) -> Color {
    match status {
        "active" | "done" | "sent" | "Sent" | "success" => Color::Green,
        "failed" | "Failed" | "unknown" | "Needs a look" => Color::Red,
        "deleted" | "—" => Color::Grey,
        _ => Color::Yellow,
    }
}

fn paint(code: &str, text: &str) -> String {
    if *COLOURED { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Breaks a text into lines of at most `width` characters, at spaces where there are some.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line from the beginning");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
