//! `rowcall hash-password`: makes the hash that the settings keep in place of a password.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::ensure;

use super::print::print;
use crate::http::login::hash;

/// So few characters are guessed.
const CHARS_MIN: usize = 8;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    if std::io::stdin().is_terminal() {
        eprint!("Password (it is shown while you type): ");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    ensure!(
        password.chars().count() >= CHARS_MIN,
        "a password has at least {CHARS_MIN} characters; give it on standard input"
    );
    print(&format!("{}\n", hash(password)?))?;
    Ok(ExitCode::SUCCESS)
}
