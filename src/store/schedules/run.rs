//! A run: a schedule's statement in a session of its own, as the worker's role.
//!
//! Promises: an atomic statement and the record of its end commit together or not at all, and only while the run is ours; it
//! takes no longer than its timeout; nothing that it sets outlives it, for its session ends with it, or is made clean before
//! a pooler lends it to somebody else.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, End, Run, SETTLE};
use crate::store::connect::Database;
use crate::store::parameter::{Given, typed};
use crate::store::pooling::Pooling;
use crate::store::reconnect::Reconnect;
use crate::store::{ANSWER_MAX, Cause, chain};

/// How long to try for a connection.
const CONNECT_MAX: Duration = Duration::from_mins(1);

/// The server ends the statement at its timeout, each part of it; the whole of it is ended by us, so much later.
const OVERTIME: Duration = Duration::from_secs(2);

/// How long to wait for a statement to end that was told to.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// The longest result and the longest error that are kept.
const RESULT_MAX: usize = 500;
const ERROR_MAX: usize = 2000;

/// What a statement may leave in a session, for a pooler that lends it on.
const LEAVE: &str = "close all; unlisten *; deallocate all; discard temp; discard sequences; reset session authorization; reset all; \
                     select pg_advisory_unlock_all()";

const NEEDS_A_SESSION: &str = "not begun: it is not atomic, so it needs a session of its own, which a pooler in transaction mode does not \
                               lend; give LISTEN_DATABASE_URL a direct or session-mode address";

/// How a run ended, and whether that is written down already.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Whether it stands on the run's row, committed together with what the statement did.
    pub is_recorded: bool,
}

impl From<End> for Ended {
    fn from(end: End) -> Self {
        Self { end, is_recorded: false }
    }
}

/// A session of its own; it ends when it is dropped, whatever it does.
struct Session {
    client: Client,
    _driver: AbortOnDropHandle<()>,
}

/// Runs a statement until it ends, its time is over, or `stop` is cancelled.
pub async fn run(database: &Database, run: &Run, stop: &CancellationToken) -> Ended {
    let connected = tokio::select! {
        connected = connect(database) => connected,
        () = stop.cancelled() => return interrupted(run, true).into(),
    };
    let is_lent_on = database.pooling() == Some(Pooling::Transaction);
    if !run.atomic && is_lent_on {
        return End::Failed(NEEDS_A_SESSION.to_owned()).into();
    }
    let session = match connected {
        Ok(session) => session,
        Err(cause) => return End::Failed(format!("not begun: {}", in_words(&cause))).into(),
    };
    // Behind a pooler it is one transaction, which is made clean where it ends.
    let leave = if is_lent_on { LEAVE } else { "" };
    let executed = execute(database, &session.client, run, stop, leave).await;
    let ended = executed.unwrap_or_else(|cause| End::Failed(why(run, &cause)).into());
    if run.atomic && !ended.is_recorded {
        // Its locks go before its end is told. Where this is not answered, they go with the session.
        let _ = timeout(CANCEL_MAX, session.client.batch_execute(&format!("rollback; {leave}"))).await;
    }
    ended
}

async fn connect(database: &Database) -> Result<Session, Cause> {
    let (mut reconnect, give_up_at) = (Reconnect::default(), Instant::now() + CONNECT_MAX);
    loop {
        match in_time(database.connect()).await {
            Ok((client, connection)) => {
                let driver = tokio::spawn(async move {
                    // What it says of its end, its client is told too.
                    let _ = connection.await;
                });
                return Ok(Session { client, _driver: AbortOnDropHandle::new(driver) });
            }
            Err(cause) if Instant::now() >= give_up_at => return Err(cause),
            Err(_) => tokio::time::sleep(reconnect.next_delay()).await,
        }
    }
}

/// Everything but the statement itself is answered soon, or not at all.
async fn in_time<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Cause> {
    Ok(timeout(ANSWER_MAX, asked).await.map_err(|_| Cause::Silent)??)
}

async fn execute(
    database: &Database,
    client: &Client,
    run: &Run,
    stop: &CancellationToken,
    leave: &str,
) -> Result<Ended, Cause> {
    in_time(begin(client, run)).await?;
    let answer = match told(database, client, run, stop).await {
        Told::Answer(answer) => answer?,
        // The transaction ends with the session, and it was not told to commit.
        Told::Stopped => return Ok(interrupted(run, run.atomic).into()),
        Told::Late => return Ok(End::Failed(late(run)).into()),
    };
    if !run.atomic {
        return Ok(End::Done(answer).into());
    }
    if in_time(commit(client, run, &answer, leave)).await? {
        return Ok(Ended { end: End::Done(answer), is_recorded: true });
    }
    let reason = "it ended its own transaction, or reset its settings: write it without commit, rollback and reset all, or set \
                  rowcall.schedules.atomic to false; what it committed itself took effect";
    Ok(End::Failed(reason.to_owned()).into())
}

async fn begin(client: &Client, run: &Run) -> Result<(), tokio_postgres::Error> {
    const SQL: &str = include_str!("../../../sql/statements/begin_run.sql");
    let milliseconds = run.timeout.as_millis().min(i32::MAX.unsigned_abs().into()).to_string();
    if run.atomic {
        client.batch_execute("begin").await?;
    }
    client.query_typed_one(SQL, &typed(&[&run.id.to_string(), &milliseconds, &run.atomic])).await?;
    Ok(())
}

/// Commits what the statement did together with the record of it. `false`, and nothing of it, when the run is not ours any
/// more, or its transaction is not the one that was begun.
async fn commit(client: &Client, run: &Run, answer: &Answer, leave: &str) -> Result<bool, tokio_postgres::Error> {
    // The statement may have taken another role for itself.
    client.batch_execute("reset role").await?;
    let Answer { rows, result } = answer;
    let given: Given<'_> = &[&run.id, &run.token, &"done", rows, result, &None::<String>, &true];
    let settled = client.query_typed(SETTLE, &typed(given)).await?;
    if settled.is_empty() {
        return Ok(false);
    }
    client.batch_execute(&format!("{leave}; commit")).await?;
    Ok(true)
}

/// What came of a statement.
enum Told {
    Answer(Result<Answer, tokio_postgres::Error>),
    Stopped,
    Late,
}

async fn told(database: &Database, client: &Client, run: &Run, stop: &CancellationToken) -> Told {
    let mut statement = std::pin::pin!(answer(client, &run.statement));
    let otherwise = tokio::select! {
        answer = &mut statement => return Told::Answer(answer),
        () = stop.cancelled() => Told::Stopped,
        () = sleep_until(Instant::now() + run.timeout + OVERTIME) => Told::Late,
    };
    let _ = timeout(CANCEL_MAX, cancel(database, client, run)).await;
    match timeout(CANCEL_MAX, statement).await {
        // It came to its end before it could be told.
        Ok(Ok(answer)) => Told::Answer(Ok(answer)),
        Ok(Err(_)) | Err(_) => otherwise,
    }
}

/// Tells a statement to end. A pooler may lose the protocol's own request, so behind one it is asked for in SQL.
async fn cancel(database: &Database, client: &Client, run: &Run) -> Result<(), tokio_postgres::Error> {
    const SQL: &str = include_str!("../../../sql/statements/cancel_run.sql");
    if database.pooling() != Some(Pooling::Transaction) {
        return database.cancel(client).await;
    }
    database.client().await?.execute_typed(SQL, &typed(&[&run.id.to_string()])).await?;
    Ok(())
}

/// Sends one or more statements; of what they return, only an excerpt is kept.
async fn answer(client: &Client, statement: &str) -> Result<Answer, tokio_postgres::Error> {
    let mut messages = std::pin::pin!(client.simple_query_raw(statement).await?);
    let (mut answer, mut first) = (Answer::default(), None);
    while let Some(message) = messages.next().await {
        match message? {
            SimpleQueryMessage::Row(row) if first.is_none() => {
                let columns = row.columns().iter().enumerate().map(|(nth, column)| (column.name(), row.get(nth)));
                first = Some(excerpt(columns));
            }
            SimpleQueryMessage::CommandComplete(rows) => {
                answer = Answer { rows: i64::try_from(rows).ok(), result: first.take() };
            }
            _ => {}
        }
    }
    Ok(answer)
}

/// A row on one line: its value, or `name=value, …` where it has several.
fn excerpt<'a>(columns: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let is_one = columns.len() == 1;
    let words = columns.map(|(name, value)| {
        let value = value.unwrap_or("null");
        if is_one { value.to_owned() } else { format!("{name}={value}") }
    });
    cut(words.collect::<Vec<_>>().join(", "), RESULT_MAX)
}

fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn interrupted(run: &Run, is_undone: bool) -> End {
    let effect =
        if run.atomic || is_undone { "nothing of it took effect" } else { "whether it took effect is not known" };
    End::Interrupted { reason: format!("its worker had to stop; {effect}"), is_undone }
}

fn late(run: &Run) -> String {
    format!(
        "it took longer than its timeout of {} s and was ended; rowcall.schedules.timeout can be longer",
        run.timeout.as_secs()
    )
}

/// Why a statement failed.
fn why(run: &Run, cause: &Cause) -> String {
    match answer_of(cause) {
        Some(answer)
            if *answer.code() == SqlState::QUERY_CANCELED && answer.message().contains("statement timeout") =>
        {
            late(run)
        }
        Some(_) => in_words(cause),
        None if run.atomic => format!("{}; nothing of it took effect", in_words(cause)),
        None => format!("{}; whether it took effect is not known", in_words(cause)),
    }
}

fn answer_of(cause: &Cause) -> Option<&DbError> {
    match cause {
        Cause::Postgres(error) => error.as_db_error(),
        Cause::Pool(_) | Cause::Silent => None,
    }
}

/// What the database said in full, for its row and never for a log: it may quote what it found.
fn in_words(cause: &Cause) -> String {
    let Some(answer) = answer_of(cause) else { return chain(cause) };
    let mut text = format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
    for (what, words) in [("detail", answer.detail()), ("hint", answer.hint())] {
        if let Some(words) = words {
            let _ = write!(text, "; {what}: {words}");
        }
    }
    cut(text, ERROR_MAX)
}
