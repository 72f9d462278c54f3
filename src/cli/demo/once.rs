//! `rowcall demo --once`: plays the scenario, shows each row before and after, and judges.
//!
//! What a case waits for is asked of the database, never slept for. The cases that fail on purpose take a while between
//! their attempts, so they are asked for first and judged last.

use std::process::ExitCode;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::case::{Asked, Case, Judged};
use super::place::Place;
use super::scenario::{self, CASES, CREATE, SLOW};
use super::style::{bold, dim, green, red, say, typed, wrap};
use super::world::{POLICY, World};
use super::{row, summary};
use crate::worker::shutdown::Shutdown;

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(super) async fn run(place: &Place, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    say(format!("{}  a private Postgres, a fake Fienta, and the real worker", bold("rowcall demo --once")))?;
    let Some(world) = World::start(place, &shutdown).await? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let played = tokio::select! {
        played = play(&world) => Some(played),
        () = shutdown.closing.cancelled() => None,
    };
    world.end().await?;
    let Some(played) = played else { return Ok(ExitCode::from(INTERRUPTED)) };
    let failed = played?;
    let count = scenario::all().count() + summary::COUNT;
    let seconds = began.elapsed().as_secs_f64();
    if failed == 0 {
        say(format!("\n{}  {count} of {count} as they must be, in {seconds:.1} s", bold(&green("PASS"))))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format!("\n{}  {failed} of {count} not as they must be, in {seconds:.1} s", bold(&red("FAIL"))))?;
    say(format!("      what the worker said: {}", place.log().display()))?;
    Ok(ExitCode::FAILURE)
}

/// Plays everything. Returns how much is not as it must be.
async fn play(world: &World) -> anyhow::Result<usize> {
    let client = world.client().await?;
    say("For the demo, retries come after 1, 2 and 4 s instead of 30 s and more, and an operation may take 3 s:")?;
    show_sql(POLICY)?;
    let mut play = Play { world, client: &client, nth: 0, failed: 0 };
    play.case(&CREATE).await?;

    let mut slow = Vec::new();
    say(format!("\n{}", bold("Asked for now, looked at when they have ended: their retries take a while")))?;
    for case in &SLOW {
        say(dim(&format!("   -- {}", case.title)))?;
        show_asking(case)?;
        slow.push(case.ask(world, &client).await?);
    }
    for case in &CASES {
        play.case(case).await?;
    }
    for asked in slow {
        play.title(asked.case)?;
        play.judge(&asked).await?;
    }
    say(format!("\n{}", bold("At the end, by what Fienta itself noted down")))?;
    for (what, faults) in summary::judge(world, &client).await? {
        play.verdict(&what, &faults)?;
    }
    Ok(play.failed)
}

/// The scenario as far as it has come.
struct Play<'a> {
    world: &'a World,
    client: &'a Client,
    nth: usize,
    failed: usize,
}

impl Play<'_> {
    async fn case(&mut self, case: &'static Case) -> anyhow::Result<()> {
        self.title(case)?;
        show_asking(case)?;
        let asked = case.ask(self.world, self.client).await?;
        self.judge(&asked).await
    }

    fn title(&mut self, case: &Case) -> anyhow::Result<()> {
        self.nth += 1;
        Ok(say(format!("\n{}", bold(&format!("{:>2} {}", self.nth, case.title))))?)
    }

    async fn judge(&mut self, asked: &Asked) -> anyhow::Result<()> {
        let Judged { after, story, faults } = asked.judge(self.world, self.client).await?;
        say(row::table(&asked.before, &after))?;
        self.verdict(asked.case.must, &faults)?;
        Ok(say(dim(&format!("         {story}")))?)
    }

    fn verdict(&mut self, must: &str, faults: &[String]) -> anyhow::Result<()> {
        let word = if faults.is_empty() { green("PASS") } else { red("FAIL") };
        say(format!("   {}  {must}", bold(&word)))?;
        for line in faults.iter().flat_map(|fault| wrap(fault, 90)) {
            say(format!("         {}", red(&line)))?;
        }
        self.failed += usize::from(!faults.is_empty());
        Ok(())
    }
}

/// Shows what a person would type.
fn show_asking(case: &Case) -> anyhow::Result<()> {
    if let Some(words) = case.fault {
        say(dim(&format!("   $ rowcall sandbox fienta --state … fault {words}")))?;
    }
    show_sql(case.sql)?;
    if let Some(sql) = case.meanwhile {
        say(dim("   while it runs:"))?;
        show_sql(sql)?;
    }
    Ok(())
}

fn show_sql(sql: &str) -> anyhow::Result<()> {
    for line in sql.lines() {
        say(format!("   {}", typed(line)))?;
    }
    Ok(())
}
