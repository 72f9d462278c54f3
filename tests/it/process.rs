//! Looking at processes and waiting for what they do.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const ROWCALL: &str = env!("CARGO_BIN_EXE_rowcall");

/// Looks until `look` sees something; panics after 45 s, naming what was waited for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(45), "waited for {what}");
        // Files and processes of others send no event: look at them often.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The number that a program wrote into a file, once it is there.
pub(crate) async fn pid_in(path: &Path) -> u32 {
    eventually("a process number", || fs::read_to_string(path).ok()?.trim().parse().ok()).await
}

/// Whether a process has ended; one that nobody has waited for yet counts as ended.
pub(crate) fn is_gone(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name in parentheses.
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// Waits until a process has ended.
pub(crate) async fn gone(pid: u32) {
    eventually("the end of a process", || is_gone(pid).then_some(())).await;
}
