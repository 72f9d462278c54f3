//! `rowcall bench links`: visitors of short links, over HTTP and on the same machine; every click must be counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Scratch;
use crate::http::auth::Keys;
use crate::http::server::Server;
use crate::http::{self, Limits, Settings, webhooks};
use crate::readiness::Readiness;

/// How many visitors come.
#[derive(Debug, Args)]
pub struct LinksArgs {
    /// Visits to make
    #[arg(long, default_value_t = 100_000)]
    visits: u64,
    /// Visitors at a time, each with a connection of its own
    #[arg(long, default_value_t = 32)]
    visitors: u64,
    /// Links that they visit, in turn
    #[arg(long, default_value_t = 1000)]
    links: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A person's, as far as anybody can tell.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// As many as a worker gives its HTTP server.
const DATABASE_CONNECTIONS: usize = 5;

const COMMITS: &str = "select xact_commit from pg_stat_database where datname = current_database()";

/// Longer than it takes until the last clicks are written.
const END_MAX: Duration = Duration::from_secs(10);

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
pub(super) async fn run(scratch: &Scratch, args: LinksArgs) -> anyhow::Result<()> {
    // Somebody may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = &scratch.client;
    client
        .execute(
            "insert into links (slug, status, target_url)
             select 'l' || n, 'active', 'https://example.com/' || n from generate_series(0, $1::bigint - 1) as n",
            &[&args.links],
        )
        .await?;
    client.batch_execute("vacuum analyze links").await?;
    let settings = Settings {
        address: ([127, 0, 0, 1], 0).into(),
        keys: Keys::default(),
        webhooks: webhooks::Secrets::default(),
        links: None,
        limits: Limits::default(),
    };
    let (readiness, closing) = (Readiness::default(), CancellationToken::new());
    let server =
        Server::bind(settings, http::store(&scratch.database, DATABASE_CONNECTIONS), readiness, closing.clone())
            .await?;
    let address = server.address();
    let serving = tokio::spawn(server.run(END_MAX));

    let commits: i64 = client.query_one(COMMITS, &[]).await?.get(0);
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let visitors = (0..args.visitors).map(|_| {
        let next = Arc::clone(&next);
        let (visits, links) = (args.visits, args.links.unsigned_abs());
        tokio::spawn(async move {
            let browser = Client::builder().redirect(Policy::none()).user_agent(BROWSER).no_proxy().build()?;
            let mut waits = Histogram::<u64>::new(3)?;
            loop {
                let visit = next.fetch_add(1, Ordering::Relaxed);
                if visit >= visits {
                    return anyhow::Ok(waits);
                }
                let asked = Instant::now();
                let answer = browser.get(format!("http://{address}/l/l{}", visit % links)).send().await?;
                ensure!(answer.status() == 302, "a visitor got {}", answer.status());
                waits.record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX))?;
            }
        })
    });
    let visitors: Vec<_> = visitors.collect();
    let mut waits = Histogram::<u64>::new(3)?;
    for visitor in visitors {
        waits.add(visitor.await??)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    closing.cancel();
    serving.await.context("the server ended")?;
    let counted: i64 = client.query_one("select sum(clicks)::bigint from links", &[]).await?.get(0);
    ensure!(counted.unsigned_abs() == args.visits, "{counted} clicks were counted, of {}", args.visits);
    let commits = client.query_one(COMMITS, &[]).await?.get::<_, i64>(0) - commits;

    let ms = |quantile| Duration::from_micros(waits.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "it is shown to a person")]
    let rate = args.visits as f64 / seconds;
    if args.json {
        println!(
            "{}",
            json!({
                "visits": args.visits, "seconds": seconds, "per_second": rate, "transactions": commits,
                "p50_ms": ms(0.5), "p99_ms": ms(0.99), "max_ms": ms(1.0),
            })
        );
    } else {
        println!(
            "{} visits in {seconds:.2} s: {rate:.0} a second, p50 {:.2} ms, p99 {:.2} ms; all counted, in {commits} transactions",
            args.visits,
            ms(0.5),
            ms(0.99),
        );
    }
    Ok(())
}
