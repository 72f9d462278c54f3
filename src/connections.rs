//! Connections: how many of them each part of a worker's process may hold, where somebody says how many there are.
//!
//! A pooler lends few sessions, and refuses whoever asks for one more. The heartbeat and the bell have one each whatever
//! happens; the rest is shared by the rows, the requests over HTTP and the statements of schedules, none of which holds one
//! while it waits for another.

use std::ops::RangeInclusive;

/// At least one for each part; more than the most of these is of no use.
pub const RANGE: RangeInclusive<u32> = 5..=200;

/// For the heartbeat and the bell.
const ALWAYS: usize = 2;

/// Requests at a time that ask the database.
const REQUESTS_MAX: usize = 5;

/// Statements of schedules that one worker runs at a time.
const RUNS_MAX: usize = 10;

/// How many connections each part may hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// For claims, settles, policy, breakers and rates; as many as are of use where nobody says.
    pub rows: Option<usize>,
    /// For requests over HTTP.
    pub requests: usize,
    /// For the statements of schedules, one each.
    pub runs: usize,
}

impl Default for Connections {
    /// As many as are of use.
    fn default() -> Self {
        Self { rows: None, requests: REQUESTS_MAX, runs: RUNS_MAX }
    }
}

impl Connections {
    /// Shares `most` among the parts; without HTTP its share is the rows'.
    pub fn shared(most: u32, serves_http: bool) -> Self {
        let most = usize::try_from(most.clamp(*RANGE.start(), *RANGE.end())).unwrap_or(usize::MAX);
        let rest = most - ALWAYS;
        let requests = if serves_http { (rest / 4).clamp(1, REQUESTS_MAX) } else { 0 };
        let runs = (rest / 4).clamp(1, RUNS_MAX);
        Self { rows: Some(rest - requests - runs), requests, runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_goes_without_and_no_more_are_shared_than_there_are() {
        for most in RANGE {
            for serves_http in [true, false] {
                let Connections { rows, requests, runs } = Connections::shared(most, serves_http);
                let rows = rows.unwrap();
                assert_eq!(rows + requests + runs + ALWAYS, most as usize);
                assert!(rows >= 1 && runs >= 1 && (requests >= 1) == serves_http, "{most}");
            }
        }
        assert_eq!(Connections::shared(15, true), Connections { rows: Some(7), requests: 3, runs: 3 });
    }
}
