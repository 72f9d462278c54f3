//! The demo that a person plays with: says what runs and what to type, then shows what happens until Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio_postgres::Client;

use super::place::Place;
use super::style::{bold, dim, say, typed};
use super::tail::{HEADER, Tail};
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

const PICTURE: &str = "   your update ──▶ table codes ──bell──▶ worker ──runs──▶ fake Fienta
                        ▲                  │
                        └──── outcome ─────┘";

pub(super) async fn run(place: &Place, data: Option<&Path>, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    say(format!("{}  starting a private Postgres, a fake Fienta, and the worker …", bold("rowcall demo")))?;
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
    let mut tail = Tail::start(&world.database).await?;
    if world.is_new {
        say("\nPutting sample codes in: rows with the status \"creating\". The worker creates them in Fienta.\n")?;
        say(dim(HEADER))?;
        client.batch_execute(SAMPLES).await.context("put the sample codes in")?;
        tail.until_settled().await?;
    }
    welcome(world, &client, place).await?;
    tail.follow().await
}

async fn welcome(world: &World, client: &Client, place: &Place) -> anyhow::Result<()> {
    let sql = "select c.code from codes as c where c.status = 'active' order by c.code <> 'MY-CODE', c.id limit 2";
    let active = client.query(sql, &[]).await.context("look for active codes")?;
    let active: Vec<String> = active.iter().map(|row| row.get(0)).collect();
    say(format!("\n{PICTURE}\n"))?;
    ask("Open a second terminal:", &format!("{} '{}'", psql(), world.url))?;
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
    ask("Look:", "select code, status, attempts, error_message, metadata from codes;   table rowcall.history;")?;
    ask(
        "Break the next operations (fail, crash, hang, commit-then-hang, slow, rate-limited, bad-login, …):",
        &world.fienta.fault_line("--kind fail --times 2"),
    )?;
    say(dim(&format!(
        "For the demo, retries come after 1, 2 and 4 s instead of 30 s and more, and an operation may take 3 s\n\
         instead of 180 s; that is set in rowcall.queues. The worker's log is {}",
        place.log().display()
    )))?;
    Ok(say(format!("\n{}\n{}", bold("What happens, until Ctrl-C:"), dim(HEADER)))?)
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
