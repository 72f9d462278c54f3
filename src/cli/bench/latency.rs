//! `rowcall bench latency`: from just before a user's committed update to the start of the operation.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use futures_util::future::BoxFuture;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::mpsc;

use super::Scratch;
use crate::integrations::{Integration, Limits};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::store::queues::CODES;
use crate::worker::shutdown::Shutdown;
use crate::worker::{self, Service};

/// How often to measure.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// Updates to make, one after the other
    #[arg(long, default_value_t = 1000)]
    samples: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An operation that tells when it was started.
#[derive(Debug)]
struct Stopwatch(mpsc::UnboundedSender<Instant>);

impl Integration for Stopwatch {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn execute<'a>(&'a self, _job: &'a Job, _limits: &'a Limits) -> BoxFuture<'a, Outcome> {
        let _ = self.0.send(Instant::now());
        Box::pin(std::future::ready(Outcome::done(None)))
    }
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
pub(super) async fn run(scratch: &Scratch, args: LatencyArgs) -> anyhow::Result<()> {
    let client = &scratch.client;
    client
        .execute(
            "insert into codes (code) select 'CODE-' || n from generate_series(0, $1::bigint) as n",
            &[&args.samples],
        )
        .await?;
    client.batch_execute("update rowcall.queues set cluster_slots = null, rate_per_second = null, slots = 10").await?;
    client.batch_execute("vacuum analyze codes").await?;
    let (sender, mut started) = mpsc::unbounded_channel();
    let shutdown = Shutdown::default();
    let services = vec![Service { statements: &CODES, integration: Arc::new(Stopwatch(sender)) }];
    let worker = tokio::spawn(worker::run(scratch.settings(), services, shutdown.clone()));

    let update = client
        .prepare(
            "update codes set status = 'deleting', metadata = metadata || '{\"action\": \"delete\"}' where id = $1",
        )
        .await?;
    // The first one waits for the worker to be up and is not counted.
    client.execute(&update, &[&1_i64]).await?;
    started.recv().await.context("the worker ended")?;
    let mut histogram = Histogram::<u64>::new(3)?;
    for id in 2..=args.samples + 1 {
        let before = Instant::now();
        client.execute(&update, &[&id]).await?;
        let at = started.recv().await.context("the worker ended")?;
        histogram.record(u64::try_from(at.duration_since(before).as_micros()).unwrap_or(u64::MAX))?;
    }
    shutdown.closing.cancel();
    worker.await??;

    let ms = |quantile| std::time::Duration::from_micros(histogram.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    if args.json {
        let figures = json!({
            "samples": args.samples, "p50_ms": ms(0.5), "p90_ms": ms(0.9), "p99_ms": ms(0.99), "max_ms": ms(1.0),
        });
        println!("{figures}");
    } else {
        println!(
            "{} updates: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            args.samples,
            ms(0.5),
            ms(0.9),
            ms(0.99),
            ms(1.0)
        );
    }
    Ok(())
}
