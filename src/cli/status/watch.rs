//! `rowcall status --watch`: the same, again and again. A lost connection is said and survived.
//!
//! Nothing flickers: the cursor goes home and the new text overwrites the old one, line by line.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::show;
use crate::cli::print::print;
use crate::store::Store;

const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";

/// Shows the status every `every` until Ctrl-C.
pub(super) async fn run(store: &Store, every: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let is_screen = !json && std::io::stdout().is_terminal();
    let mut last = String::new();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    if is_screen {
        print("\x1b[2J")?;
    }
    loop {
        let look = async {
            ticks.tick().await;
            store.status().await
        };
        let result = tokio::select! {
            _ = &mut stop => break,
            result = look => result,
        };
        if json {
            print(&match &result {
                Ok(status) => format!("{}\n", serde_json::to_string(status)?),
                Err(error) => format!("{}\n", json!({ "error": error.chain() })),
            })?;
            continue;
        }
        let head = match &result {
            Ok(status) => {
                last = show::status(status);
                format!("{}, every {} s, Ctrl-C ends it", now(), every.as_secs())
            }
            Err(error) if last.is_empty() => format!("{}: {}; trying again", now(), error.chain()),
            Err(error) => format!("{}: {}; trying again, this is the last that was seen", now(), error.chain()),
        };
        print(&if is_screen { screen(&head, &last) } else { format!("{head}\n\n{last}\n") })?;
    }
    if is_screen {
        print("\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

/// One redraw, no taller than the terminal, so that it never scrolls.
fn screen(head: &str, body: &str) -> String {
    let (width, height) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
    let head: String = head.chars().filter(|c| !c.is_control()).take(width).collect();
    let all: Vec<&str> = [head.as_str(), ""].into_iter().chain(body.lines()).collect();
    let shown = if all.len() < height { all.len() } else { height.saturating_sub(2) };
    let mut text = HOME.to_owned();
    for line in &all[..shown] {
        text.push_str(line);
        text.push_str(CLEAR_LINE);
    }
    if shown < all.len() {
        let _ = write!(text, "… {} more lines", all.len() - shown);
        text.push_str("\x1b[K");
    }
    text.push_str(CLEAR_REST);
    text
}
