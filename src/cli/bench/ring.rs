//! `rowcall bench ring`: what the triggers cost the users' own updates.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::Scratch;

/// How to write.
#[derive(Debug, Args)]
pub struct RingArgs {
    /// Connections that write at a time
    #[arg(long, default_value_t = 16)]
    writers: i32,
    /// How long to write in each of the ways
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The ways to write: what is switched on.
const WAYS: [(&str, &str); 3] = [
    ("none", "alter table codes disable trigger user"),
    (
        "stamp",
        "alter table codes enable trigger user; alter table codes disable trigger _900_ring_update;
         alter table codes disable trigger _900_ring_insert",
    ),
    ("stamp_and_ring", "alter table codes enable trigger user"),
];

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
pub(super) async fn run(scratch: &Scratch, args: RingArgs) -> anyhow::Result<()> {
    let client = &scratch.client;
    let rows = i64::from(args.writers) * 100;
    client
        .execute("insert into codes (code) select 'CODE-' || n from generate_series(1, $1::bigint) as n", &[&rows])
        .await?;
    // A listener, as in life: without one, notifying costs less.
    let listener = scratch.database.client().await?;
    listener.batch_execute("listen rowcall").await?;
    let mut figures = serde_json::Map::new();
    for (way, switch) in WAYS {
        client.batch_execute(switch).await?;
        client.batch_execute("vacuum analyze codes").await?;
        let rate = write(scratch, &args).await?;
        if !args.json {
            println!("{way:>15}: {rate:.0} updates/s");
        }
        figures.insert(way.to_owned(), json!(rate.round()));
    }
    if args.json {
        println!("{}", json!({ "writers": args.writers, "updates_per_second": figures }));
    }
    Ok(())
}

/// Updates a second over all writers, each update a transaction that asks for something.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
async fn write(scratch: &Scratch, args: &RingArgs) -> anyhow::Result<f64> {
    let began = Instant::now();
    let end = began + Duration::from_secs(args.seconds);
    let mut writers = Vec::new();
    for writer in 0..i64::from(args.writers) {
        let client = scratch.database.client().await?;
        writers.push(tokio::spawn(async move {
            let update = client
                .prepare(
                    "update codes
                     set status = 'deleting', metadata = jsonb_build_object('action', 'delete', 'requested_at', $2::bigint)
                     where id = $1",
                )
                .await?;
            let mut done = 0_i64;
            while Instant::now() < end {
                client.execute(&update, &[&(writer * 100 + done % 100 + 1), &done]).await?;
                done += 1;
            }
            Ok::<_, tokio_postgres::Error>(done)
        }));
    }
    let mut done = 0;
    for writer in writers {
        done += writer.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}
