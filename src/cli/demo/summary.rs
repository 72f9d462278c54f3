//! The last verdicts of `--once` on the codes, by what the fake Fienta noted down itself.
//!
//! It knows nothing of rowcall and its database, so it is the witness for what really happened.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;

use super::fake::{Discount, Run, plain};
use super::row::{self, Row};
use super::scenario;
use super::world::World;

/// The rest that Fienta is given between two operations.
const SPACING: SignedDuration = SignedDuration::from_millis(500);

/// A verdict: what was looked at, and what is not as it must be.
type Verdict = (String, Vec<String>);

pub(super) async fn judge(world: &World, client: &Client) -> anyhow::Result<[Verdict; 3]> {
    // Orders have scenes of their own.
    let of_codes = world.fienta.effects()?.into_iter().filter(|effect| effect.verb != "orders");
    let found = of_codes.map(|effect| (effect.code, effect.verb));
    let codes: BTreeSet<&str> = scenario::all().flat_map(|case| case.rows).map(|row| row.code).collect();
    let rows = row::rows(client, &codes.into_iter().collect::<Vec<_>>()).await?;
    Ok([effects(found), agree(&rows, &world.fienta.codes()?), apart(&world.fienta.runs()?)])
}

/// Every effect as often as it must be, and no other.
fn effects(found: impl Iterator<Item = (String, String)>) -> Verdict {
    let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for row in scenario::all().flat_map(|case| case.rows) {
        for verb in row.effects {
            counts.entry((row.code.to_owned(), (*verb).to_owned())).or_default().0 += 1;
        }
    }
    let mut total = 0;
    for effect in found {
        counts.entry(effect).or_default().1 += 1;
        total += 1;
    }
    let faults = counts
        .into_iter()
        .filter(|(_, (must, is))| must != is)
        .map(|((code, verb), (must, is))| format!("{code}: {verb} took effect {is} times, must be {must}"));
    (format!("{total} effects on codes in effects.jsonl, each exactly as often as it must be"), faults.collect())
}

/// Every active code is in Fienta with its row's terms, and nothing else is there.
fn agree(rows: &[Row], discounts: &[Discount]) -> Verdict {
    let mut faults = Vec::new();
    for row in rows {
        let discount = discounts.iter().find(|discount| discount.code == row.code);
        let Some(discount) = discount.filter(|_| row.status == "active") else {
            if discount.is_some() != (row.status == "active") {
                faults.push(format!("{}: the row is {}, Fienta says otherwise", row.code, row.status));
            }
            continue;
        };
        for key in ["discount_percent", "max_uses"] {
            let (in_row, in_fienta) = (row.metadata.get(key).map(plain), discount.term(key));
            if in_row != in_fienta {
                faults.push(format!("{}: {key} is {in_row:?}, in Fienta {in_fienta:?}", row.code));
            }
        }
    }
    let unknown = discounts.iter().filter(|discount| rows.iter().all(|row| row.code != discount.code));
    faults.extend(unknown.map(|discount| format!("{}: in Fienta without a row", discount.code)));
    ("table and Fienta agree on every code and its terms".to_owned(), faults)
}

/// The runs of the CLI were one at a time, with their rest between them.
fn apart(runs: &[Run]) -> Verdict {
    let mut ended: Option<Timestamp> = None;
    let mut faults = Vec::new();
    let mut count = 0;
    for run in runs {
        if run.event == "end" {
            ended = Some(run.at);
            continue;
        }
        count += 1;
        if let Some(rest) = ended.map(|ended| run.at.duration_since(ended)).filter(|rest| *rest < SPACING) {
            faults.push(format!("a run began {rest:#} after the one before"));
        }
    }
    (format!("{count} runs of the CLI, one at a time, 0.5 s or more apart"), faults)
}
