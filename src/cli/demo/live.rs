//! The demo that a person plays with: says what runs and what to type, then shows what happens until Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio_postgres::Client;

use super::change::header;
use super::place::Place;
use super::style::{bold, dim, say, typed};
use super::system::System;
use super::tail::Tail;
use super::world::World;
use crate::sandbox::postgres::find_binaries;
use crate::worker::shutdown::Shutdown;

/// The sample codes. They come to Fienta as every code does: by a row that asks for it.
const SAMPLES: &str = "insert into codes (code, status, metadata) values
    ('MY-CODE', 'creating', '{\"discount_percent\": 25}'),
    ('SUMMER-20', 'creating', '{\"discount_percent\": 20, \"expires_at\": \"2030-08-31\"}'),
    ('WELCOME-10', 'creating', '{\"discount_percent\": 10, \"description\": \"For new customers\"}'),
    ('EARLY-BIRD', 'creating', '{\"discount_percent\": 15, \"max_uses\": 200}'),
    ('VIP-50', 'creating', '{\"discount_percent\": 50, \"max_uses\": 5}')";

const CREATE: &str =
    "insert into codes (code, status, metadata) values ('NEW-CODE', 'creating', '{\"discount_percent\": 25}');";

const PICTURE: &str = "   your update ──▶ your table ──bell──▶ worker ──calls──▶ the provider (here, a fake)
                       ▲                  │
                       └──── outcome ─────┘";

pub(super) async fn run(place: &Place, data: Option<&Path>, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    say(format!("{}  starting a private Postgres, fake providers, and the worker …", bold("rowcall demo")))?;
    let Some(world) = World::start(place, &shutdown).await? else { return Ok(ExitCode::SUCCESS) };
    let shown = tokio::select! {
        shown = show(&world, place) => shown,
        () = shutdown.closing.cancelled() => Ok(()),
    };
    let _ = say("\nEnding the worker and Postgres …");
    world.end().await?;
    shown?;
    let again = data.map(|data| format!(" --data {}", shell_words::quote(&data.to_string_lossy()))).unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rowcall"));
    say(format!(
        "Ended. The data was kept; start again with\n  {}",
        typed(&format!("{} demo{again}", program.display()))
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(world: &World, place: &Place) -> anyhow::Result<()> {
    let client = world.client().await?;
    let mut tail = Tail::start(world).await?;
    if world.is_new {
        say("\nPutting sample codes in: rows with the status \"creating\". The worker creates them in Fienta.\n")?;
        say(header())?;
        client.batch_execute(SAMPLES).await.context("put the sample codes in")?;
        tail.until_settled().await?;
    }
    welcome(world, &client, place).await?;
    tail.follow().await
}

async fn welcome(world: &World, client: &Client, place: &Place) -> anyhow::Result<()> {
    say(format!("\n{PICTURE}\n"))?;
    ask("Open a second terminal:", &format!("{} '{}'", psql(), world.url))?;
    codes(world, client).await?;
    for system in &world.systems {
        invite(system.as_ref(), client).await?;
    }
    heading("Everything")?;
    ask("Look over all queues:", "table rowcall.work;   table rowcall.history;")?;
    ask(
        "The same over HTTP:",
        &format!("curl -H 'Authorization: Bearer {}' http://{}/api/status", world.token, world.http),
    )?;
    say(dim(&format!(
        "For the demo, retries of codes come after 1, 2 and 4 s instead of 30 s and more, and one may take 3 s instead\n\
         of 180 s; that is set in rowcall.queues. The worker's log is {}\n\
         What the fakes noted down by themselves lies in {} and {}",
        place.log().display(),
        place.fienta().display(),
        place.fakes().display()
    )))?;
    Ok(say(format!("\n{}\n{}", bold("What happens, until Ctrl-C:"), header()))?)
}

async fn codes(world: &World, client: &Client) -> anyhow::Result<()> {
    let sql = "select c.code from codes as c where c.status = 'active' order by c.code <> 'MY-CODE', c.id limit 2";
    let active = client.query(sql, &[]).await.context("look for active codes")?;
    let active: Vec<String> = active.iter().map(|row| row.get(0)).collect();
    heading("Promo codes, at Fienta")?;
    match &active[..] {
        [] => ask("There is no active code; make one:", CREATE)?,
        [code, others @ ..] => {
            ask(&format!("Ask for something: delete {code}, as a frontend does"), &delete(code))?;
            if let Some(other) = others.first() {
                let short = format!("update codes set status = 'deleting' where code = '{}';", quote(other));
                ask("or in short; a trigger completes the request:", &short)?;
            }
        }
    }
    ask("Look:", "select code, status, attempts, error_message, metadata from codes;")?;
    ask(
        "Break the next operations (fail, crash, hang, commit-then-hang, slow, rate-limited, bad-login, …):",
        &world.fienta.fault_line("--kind fail --times 2"),
    )
}

/// What a person may type to set a system in motion, and where to look.
async fn invite(system: &dyn System, client: &Client) -> anyhow::Result<()> {
    let script = system.script();
    heading(script.title)?;
    let invited = client.query(script.invite, &[]).await;
    for row in invited.with_context(|| format!("look for what can be asked of {}", script.name))? {
        ask(row.get("what"), &row.get::<_, String>("line").replace("{fake}", &system.address()))?;
    }
    match script.faults {
        Some((kinds, fault)) => ask(&format!("Break the next ones ({kinds}):"), &system.fault_line(fault)),
        None => Ok(()),
    }
}

fn heading(title: &str) -> anyhow::Result<()> {
    Ok(say(format!("\n{}", bold(title)))?)
}

fn ask(what: &str, line: &str) -> anyhow::Result<()> {
    Ok(say(format!("{what}\n  {}", typed(line)))?)
}

/// What document 1's frontend sends, in SQL.
fn delete(code: &str) -> String {
    format!(
        "update codes set status = 'deleting', updated_at = now(), metadata = metadata || jsonb_build_object(\
         'action', 'delete', 'requested_at', now(), 'previous_status', status) where code = '{}';",
        quote(code)
    )
}

fn quote(text: &str) -> String {
    text.replace('\'', "''")
}

/// The psql to call: by its name when the shell finds it, else where it lies beside Postgres.
fn psql() -> String {
    let is_found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("psql").is_file()));
    let beside = find_binaries().map(|binaries| binaries.folder.join("psql")).ok().filter(|psql| psql.is_file());
    match beside {
        Some(psql) if !is_found => shell_words::quote(&psql.to_string_lossy()).into_owned(),
        _ => "psql".to_owned(),
    }
}
