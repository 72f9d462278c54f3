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

/// How long a ring may take, as the worker itself allows.
const RING_MAX: Duration = Duration::from_secs(2);

const BACKEND: &str = include_str!("../../../sql/statements/backend.sql");

/// What was heard of a ring.
enum Heard {
    Ring,
    /// Nothing came in [`RING_MAX`]; the listening connection was to the database of this name.
    Nothing(String),
}

/// Listens on `listen`, rings over `client`, and tells whether it was heard.
pub async fn bell(client: &Client, listen: &Database, is_own_address: bool) -> Finding {
    let address = if is_own_address { "LISTEN_DATABASE_URL" } else { "DATABASE_URL" };
    match ring(client, listen).await {
        Ok(Heard::Ring) => Finding::ok("bell", format!("a notification arrives over {address}")),
        Ok(Heard::Nothing(there)) => match client.query_one(BACKEND, &[]).await {
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
                "LISTEN_DATABASE_URL: a direct or session-mode address of the same database, often the one with port 5432",
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
        let there = listener.query_one(BACKEND, &[]).await?.get("database");
        client.execute(RING, &[&nonce]).await?;
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
///
/// A pooler gives the connection that was used last to whoever comes next: another client takes it and holds it in a
/// transaction, and the first one, if it is pooled, gets another.
pub async fn pooler(client: &Client, database: &Database) -> Finding {
    match is_pooled(client, database).await {
        Ok(false) if database.has_port(6543) => Finding::note(
            "pooler",
            "port 6543 is that of poolers in transaction mode, though none was noticed",
            Some("see the bell below; if it does not arrive, set LISTEN_DATABASE_URL".to_owned()),
        ),
        Ok(false) => Finding::ok("pooler", "DATABASE_URL goes to the server, or through a pooler in session mode"),
        Ok(true) => Finding::note(
            "pooler",
            "DATABASE_URL goes through a pooler in transaction mode, which is good for rows and deaf for the bell",
            Some(
                "LISTEN_DATABASE_URL: a direct address; PgBouncer: 1.21 or newer with max_prepared_statements > 0"
                    .to_owned(),
            ),
        ),
        Err(error) => super::unchecked("pooler", &error),
    }
}

async fn is_pooled(client: &Client, database: &Database) -> Result<bool, tokio_postgres::Error> {
    let pid = |row: tokio_postgres::Row| row.get::<_, i32>("pid");
    let mut other = database.client().await?;
    let first = pid(client.query_one(BACKEND, &[]).await?);
    let held = other.transaction().await?;
    let taken = pid(held.query_one(BACKEND, &[]).await?);
    // A pooler with a single server connection has none left for the first client.
    let Ok(second) = timeout(RING_MAX, client.query_one(BACKEND, &[])).await else { return Ok(true) };
    Ok(first != pid(second?) || taken == first)
}
