//! The bell: a connection of its own that hears LISTEN/NOTIFY and wakes the lanes.
//!
//! It is a hint. Whatever is missed while it is away is looked for when it is back, and a self-test over the ordinary
//! pool tells whether notifications arrive at all: through a transaction pooler they silently do not. Until they do, every
//! lane is woken once a second. Where such a pooler is known, nobody listens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_postgres::AsyncMessage;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::Worker;
use crate::store::chain;
use crate::store::connect::Database;
use crate::store::pooling::Pooling;
use crate::store::reconnect::Reconnect;

/// How often the bell is tested, and how long a ring may take.
const TEST_EVERY: Duration = Duration::from_secs(10);
const TEST_MAX: Duration = Duration::from_secs(2);

/// Without a working bell, look this often.
const POLL_EVERY: Duration = Duration::from_secs(1);

const NO_BELL: &str = "A pooler in transaction mode carries no notifications, so rows are looked for once a second; give \
                       LISTEN_DATABASE_URL a direct or session-mode address (see `rowcall doctor`)";

/// Listens until the worker closes, reconnecting for ever.
pub(super) async fn run(worker: Arc<Worker>, database: Database) {
    if database.pooling() == Some(Pooling::Transaction) {
        // To listen there would leave a server process listening that is somebody else's by then.
        worker.readiness.set_polls();
        warn!("{NO_BELL}");
        return;
    }
    let mut reconnect = Reconnect::default();
    let mut broken = false;
    loop {
        let Err(error) = listen(&worker, &database, &mut reconnect, &mut broken).await else { return };
        worker.readiness.set_bell_works(false);
        if !broken {
            warn!(error = chain(&error), "The bell's connection is gone; polling until it is back");
        }
        broken = true;
        tokio::time::sleep(reconnect.next_delay()).await;
    }
}

/// Wakes every lane once a second while the bell does not work.
pub(super) async fn poll(worker: Arc<Worker>) {
    let mut ticks = tokio::time::interval(POLL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !worker.bell_works() {
            worker.wake_all();
        }
    }
}

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error("listen")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the server closed the connection")]
    Closed,
}

async fn listen(
    worker: &Worker,
    database: &Database,
    reconnect: &mut Reconnect,
    broken: &mut bool,
) -> Result<(), Unheard> {
    let (client, mut connection) = database.connect().await?;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        let mut messages = poll_fn(move |cx| connection.poll_message(cx));
        while let Some(message) = messages.next().await {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    let _end = AbortOnDrop(driver);
    client.batch_execute("listen rowcall").await?;
    // Rings between the last connection and this LISTEN were lost.
    worker.reload.notify_one();
    worker.wake_all();
    reconnect.reset();
    if std::mem::take(broken) {
        info!("The bell's connection is back");
    }

    let mut ticks = tokio::time::interval(TEST_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut test: Option<Test> = None;
    let mut reported = false;
    loop {
        let overdue = test.as_ref().map(|t| t.due_at);
        tokio::select! {
            () = worker.shutdown.closing.cancelled() => return Ok(()),
            message = heard.recv() => match message {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    let payload = notification.payload();
                    if test.as_ref().is_some_and(|t| t.nonce == payload) {
                        test = None;
                        if !worker.readiness.set_bell_works(true) {
                            info!("The bell works");
                            reported = false;
                        }
                    } else {
                        dispatch(worker, payload);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Unheard::Closed),
            },
            _ = ticks.tick() => {
                let nonce = format!("?{}", Uuid::new_v4());
                let due_at = Instant::now() + TEST_MAX;
                match worker.store.ring(&nonce).await {
                    Ok(()) => test = Some(Test { nonce, due_at }),
                    Err(error) => debug!(error = error.chain(), "The bell could not be tested"),
                }
            }
            () = tokio::time::sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                test = None;
                worker.readiness.set_bell_works(false);
                if !std::mem::replace(&mut reported, true) {
                    warn!("Notifications do not arrive, so rows are looked for once a second; give LISTEN_DATABASE_URL a direct or session-mode address (see `rowcall doctor`)");
                }
            }
        }
    }
}

struct Test {
    nonce: String,
    due_at: Instant,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A queue's name wakes its lane, `schedules` the scheduler; `*` means the policies and everything.
fn dispatch(worker: &Worker, payload: &str) {
    if payload == "*" {
        // It wakes every lane when the policies are read, and not before: a pause counts for the very next look.
        worker.reload.notify_one();
        worker.schedules.wake();
    } else if payload == "schedules" {
        worker.schedules.wake();
    } else if let Some(lane) = worker.lanes.get(payload) {
        lane.wake();
    }
}
