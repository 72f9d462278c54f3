//! The tail: one line for each change of a row, as it happens.
//!
//! It listens to the same bell as the worker and looks by itself now and then, because a bell rings for requests and not
//! for outcomes. Between them it shows what the fakes noted down themselves. It only reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use jiff::{Timestamp, Zoned};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};

use super::change::{Change, aside};
use super::style::{green, say};
use super::system::System;
use super::world::World;

/// Between two looks without a bell.
const LOOK: Duration = Duration::from_millis(250);

/// Attempts are written by more than one hand, so their numbers may come to light in another order.
const LOOK_BACK: i64 = 100;

/// What is known of the rows.
pub(super) struct Tail<'a> {
    client: Client,
    bell: Arc<Notify>,
    /// By queue and key.
    known: HashMap<(String, String), Change>,
    looked_at: Option<Timestamp>,
    newest: i64,
    systems: &'a [Box<dyn System>],
    /// How many effects of each system have been shown.
    effects: Vec<usize>,
}

impl<'a> Tail<'a> {
    /// A tail that knows how everything stands now, and shows what comes from now on.
    pub(super) async fn start(world: &'a World) -> anyhow::Result<Self> {
        let (client, mut connection) = world.database.connect().await.context("connect to the demo's database")?;
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    ring.notify_one();
                }
            }
        });
        client.batch_execute("listen rowcall").await.context("listen to the bell")?;
        let systems = world.systems.as_slice();
        let effects = vec![0; systems.len()];
        let mut tail = Self { client, bell, known: HashMap::new(), looked_at: None, newest: 0, systems, effects };
        tail.look(|_| Ok(())).await?;
        Ok(tail)
    }

    /// Shows changes for ever.
    pub(super) async fn follow(&mut self) -> anyhow::Result<()> {
        loop {
            let _ = timeout(LOOK, self.bell.notified()).await;
            self.look(|line| Ok(say(line)?)).await?;
        }
    }

    /// Shows changes until no row has a request that is not settled.
    pub(super) async fn until_settled(&mut self) -> anyhow::Result<()> {
        loop {
            self.look(|line| Ok(say(line)?)).await?;
            if !self.known.values().any(Change::is_due) {
                return Ok(());
            }
            let _ = timeout(LOOK, self.bell.notified()).await;
        }
    }

    async fn look(&mut self, mut show: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
        const SQL: &str = include_str!("../../../sql/demo/changes.sql");
        let after = self.newest - LOOK_BACK;
        let rows = self.client.query(SQL, &[&self.looked_at, &after]).await.context("look at the rows")?;
        for row in &rows {
            self.looked_at = Some(row.get("looked_at"));
            let key = (row.get("queue"), row.get("key"));
            let change = Change::of(row)?;
            self.newest = self.newest.max(change.newest().unwrap_or_default());
            let before = self.known.remove(&key);
            for line in change.lines(before.as_ref()) {
                show(&line)?;
            }
            self.known.insert(key, change.remember(before));
        }
        for (system, shown) in self.systems.iter().zip(&mut self.effects) {
            let effects = system.effects();
            for effect in &effects[*shown..] {
                let line = format!("▸ {}, {}: {}", system.script().name, effect.about, effect.what);
                show(&aside(&Zoned::now().strftime("%H:%M:%S").to_string(), &line, green))?;
            }
            *shown = effects.len();
        }
        Ok(())
    }
}
