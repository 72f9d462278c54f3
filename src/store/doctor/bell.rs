//! Doctor: whether notifications arrive, and whether a pooler stands in the way.
//!
//! A transaction pooler hands each statement to any of its server connections: LISTEN succeeds and nothing is ever heard.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use super::Finding;
use crate::store::chain;
use crate::store::connect::Database;
use crate::store::parameter::typed;
use crate::store::pooling::Pooling;

/// How long a ring may take, as the worker itself allows.
const RING_MAX: Duration = Duration::from_secs(2);

const BACKEND: &str = include_str!("../../../sql/statements/backend.sql");

/// What was heard of a ring.
enum Heard {
    Ring,
    /// Nothing came in [`RING_MAX`]; the listening connection was to the database of this name.
    Nothing(String),
}

const LISTEN_ADDRESS: &str =
    "LISTEN_DATABASE_URL: a direct or session-mode address of the same database, often the one with port 5432";

/// Listens on `listen`, rings over `client`, and tells whether it was heard.
pub async fn bell(client: &Client, listen: &Database, is_own_address: bool) -> Finding {
    let address = if is_own_address { "LISTEN_DATABASE_URL" } else { "DATABASE_URL" };
    // To listen there would leave a server process listening that is somebody else's by then.
    if listen.look_for_pooler().await.is_ok_and(|pooling| pooling == Pooling::Transaction) {
        return Finding::problem(
            "bell",
            format!(
                "{address} goes through a pooler in transaction mode, which carries no notifications, so workers look once a \
                 second"
            ),
            LISTEN_ADDRESS,
        );
    }
    match ring(client, listen).await {
        Ok(Heard::Ring) => Finding::ok("bell", format!("a notification arrives over {address}")),
        Ok(Heard::Nothing(there)) => match client.query_typed_one(BACKEND, &[]).await {
            Ok(row) if row.get::<_, &str>("database") != there => Finding::problem(
                "bell",
                format!("LISTEN_DATABASE_URL is the database {there}, and notifications stay in theirs"),
                format!("LISTEN_DATABASE_URL: the same database, {}", row.get::<_, &str>("database")),
            ),
            _ => Finding::problem(
                "bell",
                format!(
                    "no notification arrives over {address} within {} s, so workers look once a second; a pooler in \
                     transaction mode is in the way",
                    RING_MAX.as_secs()
                ),
                LISTEN_ADDRESS,
            ),
        },
        Err(error) => Finding::problem(
            "bell",
            format!("{address} cannot be listened on: {}", chain(&error)),
            format!("{address}: an address that connects; without it workers look once a second"),
        ),
    }
}

async fn ring(client: &Client, listen: &Database) -> Result<Heard, tokio_postgres::Error> {
    const RING: &str = include_str!("../../../sql/statements/ring.sql");
    let (listener, mut connection) = listen.connect().await?;
    let nonce = format!("?{}", Uuid::new_v4());
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        let mut messages = poll_fn(move |cx| connection.poll_message(cx));
        while let Some(message) = messages.next().await {
            if let Ok(AsyncMessage::Notification(notification)) = message
                && sender.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    let result = async {
        listener.batch_execute("listen rowcall").await?;
        let there = listener.query_typed_one(BACKEND, &[]).await?.get("database");
        client.execute_typed(RING, &typed(&[&nonce])).await?;
        let rang = timeout(RING_MAX, async {
            while let Some(payload) = heard.recv().await {
                if payload == nonce {
                    return true;
                }
            }
            false
        });
        Ok(if rang.await.unwrap_or_default() { Heard::Ring } else { Heard::Nothing(there) })
    };
    let result = result.await;
    driver.abort();
    result
}

/// Whether the statements of one client reach different server processes.
pub async fn pooler(database: &Database) -> Finding {
    let is_said = if database.pooling().is_some() { "by its port, or as it says itself, " } else { "" };
    match database.look_for_pooler().await {
        Ok(Pooling::Session) => Finding::ok(
            "pooler",
            format!("{is_said}DATABASE_URL goes to the server, or through a pooler in session mode"),
        ),
        Ok(Pooling::Transaction) => Finding::note(
            "pooler",
            format!(
                "{is_said}DATABASE_URL goes through a pooler in transaction mode: nothing is prepared or set in a session, which \
                 costs a little, and no bell is heard through it"
            ),
            Some("a direct or session-mode address, if there is one; else LISTEN_DATABASE_URL for the bell".to_owned()),
        ),
        Err(error) => super::unchecked("pooler", &error),
    }
}
