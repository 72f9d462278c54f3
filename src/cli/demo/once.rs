//! `rowcall demo --once`: plays the scenario, shows each row before and after, and judges.
//!
//! What a case waits for is asked of the database, never slept for. The cases that fail on purpose take a while between
//! their attempts, so they are asked for first and judged last.

use std::process::ExitCode;

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::case::{Asked, Case, Judged};
use super::place::Place;
use super::scenario::{CASES, CREATE, SLOW};
use super::scene::{self, Played};
use super::style::{bold, dim, green, red, say, typed, wrap};
use super::system::System;
use super::world::{POLICY, World};
use super::{row, summary};
use crate::worker::shutdown::Shutdown;

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub(super) async fn run(place: &Place, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    say(format!("{}  a private Postgres, fake providers, and the real worker", bold("rowcall demo --once")))?;
    let Some(world) = World::start(place, &shutdown).await? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let played = tokio::select! {
        played = play(&world) => Some(played),
        () = shutdown.closing.cancelled() => None,
    };
    world.end().await?;
    let Some(played) = played else { return Ok(ExitCode::from(INTERRUPTED)) };
    let Verdicts { count, failed } = played?;
    let seconds = began.elapsed().as_secs_f64();
    if failed == 0 {
        say(format!("\n{}  {count} of {count} as they must be, in {seconds:.1} s", bold(&green("PASS"))))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format!("\n{}  {failed} of {count} not as they must be, in {seconds:.1} s", bold(&red("FAIL"))))?;
    say(format!("      what the worker said: {}", place.log().display()))?;
    Ok(ExitCode::FAILURE)
}

/// Plays everything.
async fn play(world: &World) -> anyhow::Result<Verdicts> {
    let client = world.client().await?;
    // No scene is about what happens at night.
    let pause = "select rowcall.pause_schedule(s.name, 'the demo plays') from rowcall.schedules as s";
    client.batch_execute(pause).await.context("pause the schedules")?;
    let mut play = Play { world, client: &client, nth: 0, verdicts: Verdicts::default() };
    let (at_fienta, others): (Vec<_>, Vec<_>) =
        world.systems.iter().map(AsRef::as_ref).partition(|system: &&dyn System| system.is_at_fienta());
    // The other systems wait for nobody: they are played meanwhile, and shown after the codes.
    let ((), scenes) = tokio::try_join!(play.codes(), scenes(world, &others))?;
    for (system, played) in others.into_iter().zip(scenes) {
        play.scenes(system, &played, "; played while Fienta was busy")?;
    }
    for system in at_fienta {
        let played = scene::play(system, world.client().await?).await?;
        play.scenes(system, &played, "")?;
    }
    say(format!("\n{}", bold("At the end, by what the fakes themselves noted down")))?;
    for (what, faults) in summary::judge(world, &client).await? {
        play.verdict(&what, &faults)?;
    }
    for system in &world.systems {
        let (count, faults) = scene::total(system.as_ref());
        let what = format!("{count} {}, each exactly as often as it must be", system.script().effects);
        play.verdict(&what, &faults)?;
    }
    Ok(play.verdicts)
}

/// Plays the scenes of these systems side by side.
async fn scenes(world: &World, systems: &[&dyn System]) -> anyhow::Result<Vec<Vec<Played>>> {
    let each = systems.iter().map(async |system| scene::play(*system, world.client().await?).await);
    try_join_all(each).await
}

/// How much was judged.
#[derive(Debug, Default)]
struct Verdicts {
    count: usize,
    failed: usize,
}

/// The scenario as far as it has come.
struct Play<'a> {
    world: &'a World,
    client: &'a Client,
    nth: usize,
    verdicts: Verdicts,
}

impl Play<'_> {
    async fn codes(&mut self) -> anyhow::Result<()> {
        heading("Promo codes, at Fienta", "codes")?;
        say("For the demo, retries come after 1, 2 and 4 s instead of 30 s and more, and an operation may take 3 s:")?;
        show_sql(POLICY)?;
        self.case(&CREATE).await?;

        let mut slow = Vec::new();
        say(format!("\n{}", bold("Asked for now, looked at when they have ended: their retries take a while")))?;
        for case in &SLOW {
            say(dim(&format!("   -- {}", case.title)))?;
            show_asking(case)?;
            slow.push(case.ask(self.world, self.client).await?);
        }
        for case in &CASES {
            self.case(case).await?;
        }
        for asked in slow {
            self.title(asked.case.title)?;
            self.judge(&asked).await?;
        }
        Ok(())
    }

    async fn case(&mut self, case: &'static Case) -> anyhow::Result<()> {
        self.title(case.title)?;
        show_asking(case)?;
        let asked = case.ask(self.world, self.client).await?;
        self.judge(&asked).await
    }

    fn title(&mut self, title: &str) -> anyhow::Result<()> {
        self.nth += 1;
        Ok(say(format!("\n{}", bold(&format!("{:>2} {title}", self.nth))))?)
    }

    async fn judge(&mut self, asked: &Asked) -> anyhow::Result<()> {
        let Judged { after, story, faults } = asked.judge(self.world, self.client).await?;
        say(row::table(&asked.before, &after))?;
        self.verdict(asked.case.must, &faults)?;
        Ok(say(dim(&format!("         {story}")))?)
    }

    fn scenes(&mut self, system: &dyn System, played: &[Played], when: &str) -> anyhow::Result<()> {
        let script = system.script();
        heading(&format!("{}{when}", script.title), script.queue)?;
        for played in played {
            self.title(played.scene.title)?;
            if let Some(fault) = played.scene.fault {
                say(dim(&format!("   {}", system.shown_as_fault(fault))))?;
            }
            for step in played.scene.steps {
                if !step.when.is_empty() {
                    say(dim(&format!("   {}", step.when)))?;
                }
                if let Some(told) = step.told {
                    for line in system.shown_as_told(told).lines() {
                        say(dim(&format!("   {line}")))?;
                    }
                }
                show_sql(step.sql.unwrap_or_default())?;
            }
            say(&played.table)?;
            for effect in &played.effects {
                let name = dim(&format!("{:<13}", script.name));
                say(format!("    {name}  {}: {}", effect.about, effect.what))?;
            }
            self.verdict(played.scene.must, &played.faults)?;
            say(dim(&format!("         history: {}", played.history.join(", "))))?;
        }
        Ok(())
    }

    fn verdict(&mut self, must: &str, faults: &[String]) -> anyhow::Result<()> {
        let word = if faults.is_empty() { green("PASS") } else { red("FAIL") };
        say(format!("   {}  {must}", bold(&word)))?;
        for line in faults.iter().flat_map(|fault| wrap(fault, 90)) {
            say(format!("         {}", red(&line)))?;
        }
        self.verdicts.count += 1;
        self.verdicts.failed += usize::from(!faults.is_empty());
        Ok(())
    }
}

/// Begins the part of a queue.
fn heading(title: &str, queue: &str) -> anyhow::Result<()> {
    Ok(say(format!("\n{}  {}", bold(&format!("━━ {title}")), dim(&format!("queue {queue}"))))?)
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
