//! A database a test, cloned from a migrated template: channels are per database, so nobody hears another's bell.
//!
//! `DATABASE_URL` names a superuser's database on a throw-away server. nextest runs every test in a process of its own,
//! so the template is kept on the server under the fingerprint of the schema, and made under an advisory lock. A test's
//! database goes when the test ends; one that a killed test left behind goes when a template is made.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use rowcall::store::connect::{Database, Session};
use rowcall::store::{Store, migrate};
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{AsyncMessage, Client};
use url::Url;
use uuid::Uuid;

/// How long to wait for what must happen. Generous: it is only ever reached by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// One template is made at a time ("template" in ASCII).
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

/// A database that this old belongs to no test that still runs.
const STALE: Duration = Duration::from_hours(1);

/// A database of its own for a test; it goes when the test ends.
pub(crate) struct TestDatabase {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl TestDatabase {
    /// A migrated database with no rows.
    pub(crate) async fn new() -> Self {
        let template = template().await;
        Self::create(&format!("template {template}")).await
    }

    /// A database with nothing in it.
    pub(crate) async fn empty() -> Self {
        Self::create("template template0").await
    }

    async fn create(of: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let name = format!("rowcall_test_{now}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        connect(&server_address()).await.batch_execute(&format!("create database {name} {of}")).await.unwrap();
        let client = connect(&address(&name)).await;
        Self { name, client }
    }

    pub(crate) fn address(&self) -> String {
        address(&self.name)
    }

    pub(crate) fn database(&self) -> Database {
        Database::parse(&self.address()).unwrap()
    }

    /// The same database, as somebody who may log in with a password of the same name.
    pub(crate) fn database_as(&self, role: &str) -> Database {
        let mut url = Url::parse(&self.address()).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(role)).unwrap();
        Database::parse(url.as_str()).unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.database().pool(4, Session::Worker))
    }

    /// Another connection, with a transaction of its own.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.address()).await
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        run(&self.client, sql).await;
    }

    /// The one value that a query gives.
    pub(crate) async fn get<T: FromSqlOwned>(&self, sql: &str) -> T {
        get(&self.client, sql).await
    }

    /// The first column of all rows that a query gives.
    pub(crate) async fn all<T: FromSqlOwned>(&self, sql: &str) -> Vec<T> {
        let rows = self.client.query(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {}", chain(&e)));
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What the database answers to a statement that it must refuse.
    pub(crate) async fn refusal(&self, sql: &str) -> String {
        refusal(&self.client, sql).await
    }

    /// Lifts what makes the shipped queue slow on purpose: its bound, its rate and its long delays.
    pub(crate) async fn fast(&self) {
        self.run(
            "update rowcall.queues
             set cluster_slots = null, rate_per_second = null, slots = 8, retry_delays = '{20 milliseconds}'",
        )
        .await;
    }

    /// Rows `CODE-1` to `CODE-<number>` that ask to be created.
    pub(crate) async fn ask(&self, number: i32) {
        self.run(&format!(
            "insert into codes (code, status, metadata)
             select 'CODE-' || n, 'creating', '{{\"discount_percent\": 20}}' from generate_series(1, {number}) as n"
        ))
        .await;
    }

    /// One more row that asks to be created.
    pub(crate) async fn ask_more(&self, code: &str) {
        self.run(&format!(
            "insert into codes (code, status, metadata) values ('{code}', 'creating', '{{\"discount_percent\": 20}}')"
        ))
        .await;
    }

    /// Active rows `CODE-1` to `CODE-<number>`, of which nothing is asked.
    pub(crate) async fn active(&self, number: i32) {
        self.run(&format!("insert into codes (code) select 'CODE-' || n from generate_series(1, {number}) as n")).await;
    }

    /// Waits until a condition in SQL holds; else tells how the rows stand.
    pub(crate) async fn eventually(&self, fact: &str, condition: &str) {
        self.within(PATIENCE, fact, condition).await;
    }

    // A condition in SQL has no event to wait for: look at it often, and fail with what was seen.
    pub(crate) async fn within(&self, patience: Duration, fact: &str, condition: &str) {
        let began = Instant::now();
        while !self.get::<Option<bool>>(&format!("select {condition}")).await.unwrap_or_default() {
            let late = began.elapsed() > patience;
            assert!(!late, "waited {patience:?} for this: {fact}\n{}", self.standing().await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a condition holds, and pushes what it waits for now and then.
    pub(crate) async fn nudged(&self, nudge: &str, fact: &str, condition: &str) {
        let began = Instant::now();
        while !self.get::<Option<bool>>(&format!("select {condition}")).await.unwrap_or_default() {
            assert!(began.elapsed() < PATIENCE, "waited for this: {fact}\n{}", self.standing().await);
            self.run(nudge).await;
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
    }

    /// Waits until no row asks for anything any more.
    pub(crate) async fn all_ended(&self) {
        self.eventually(
            "every request has ended",
            "not exists (select from codes where status in ('creating', 'updating', 'deleting', 'renaming'))",
        )
        .await;
    }

    /// How many attempts ended so.
    pub(crate) async fn settled_as(&self, settled_as: &str) -> i64 {
        self.get(&format!("select count(*) from rowcall.attempts where settled_as = '{settled_as}'")).await
    }

    /// All of the codes as one text, to see whether anything at all changed.
    pub(crate) async fn image(&self) -> String {
        self.get("select string_agg(c::text, E'\\n' order by c.id) from codes as c").await
    }

    async fn standing(&self) -> String {
        let part = |sql: &'static str| async move { self.all::<String>(sql).await.join("\n") };
        format!(
            "rows:\n{}\nhistory:\n{}\nworkers:\n{}\ntargets:\n{}",
            part("select c::text from codes as c order by c.id limit 12").await,
            part("select a::text from rowcall.attempts as a order by a.id desc limit 20").await,
            part("select w::text from rowcall.workers as w").await,
            part("select t::text from rowcall.targets as t").await,
        )
    }

    /// Ends connections of the worker, those whose last statement is like this one, by the server's hand. Returns how many.
    pub(crate) async fn cut(&self, statement: &str) -> i64 {
        self.get(&format!(
            "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and application_name = 'rowcall' and query like '{statement}'"
        ))
        .await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // This blocks a thread of the test. Those that use a database have several: the server waits for a worker that is
        // in the middle of connecting, and that must go on meanwhile.
        let name = std::mem::take(&mut self.name);
        let drop = async move {
            let gone = format!("drop database if exists {name} with (force)");
            // What is left behind by a server that is gone is not worth a second panic.
            if let Ok(client) = Database::parse(&server_address()).unwrap().client().await {
                let _ = client.batch_execute(&gone).await;
            }
        };
        let _ = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(drop);
        })
        .join();
    }
}

/// Hears every ring of a database.
pub(crate) struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
    client: Client,
}

impl Ear {
    pub(crate) async fn on(database: &TestDatabase) -> Self {
        let (client, mut connection) = database.database().connect().await.unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut messages = poll_fn(move |cx| connection.poll_message(cx));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    ear.lock().unwrap().push(notification.payload().to_owned());
                }
            }
        });
        client.batch_execute("listen rowcall").await.unwrap();
        Self { heard, client }
    }

    /// What rings next.
    pub(crate) async fn next(&self) -> Vec<String> {
        crate::process::eventually("a ring", || {
            let heard = std::mem::take(&mut *self.heard.lock().unwrap());
            (!heard.is_empty()).then_some(heard)
        })
        .await
    }

    /// Everything that rang since the last call. Rings come in the order of commits, so a last one of our own ends it.
    pub(crate) async fn heard(&self) -> Vec<String> {
        let end = Uuid::new_v4().to_string();
        self.client.execute("select pg_notify('rowcall', $1)", &[&end]).await.unwrap();
        crate::process::eventually("the last ring", || {
            let mut heard = self.heard.lock().unwrap();
            (heard.last() == Some(&end)).then(|| {
                heard.pop();
                std::mem::take(&mut *heard)
            })
        })
        .await
    }
}

pub(crate) async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", chain(&e)));
}

pub(crate) async fn get<T: FromSqlOwned>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {}", chain(&e))).get(0)
}

/// Everything that an error says, the database's words and hints included: what a log must not tell, a test wants to read.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        if let Some(hint) = inner.downcast_ref::<tokio_postgres::error::DbError>().and_then(|answer| answer.hint()) {
            text.push_str(" (hint: ");
            text.push_str(hint);
            text.push(')');
        }
        cause = inner.source();
    }
    text
}

pub(crate) async fn refusal(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => panic!("not refused: {sql}"),
        Err(error) => chain(&error),
    }
}

fn server_address() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is a superuser's URL on a throw-away server; bin/test brings one")
}

fn address(database: &str) -> String {
    let mut url = Url::parse(&server_address()).expect("DATABASE_URL is a URL");
    url.set_path(database);
    url.into()
}

async fn connect(address: &str) -> Client {
    let mut url = Url::parse(address).unwrap();
    url.query_pairs_mut().append_pair("application_name", "test");
    Database::parse(url.as_str()).unwrap().client().await.unwrap_or_else(|e| panic!("connect: {}", chain(&e)))
}

/// The migrated template of this build, made when it is not there.
pub(crate) async fn template() -> String {
    let fingerprint = Uuid::new_v5(&Uuid::NAMESPACE_OID, migrate::script().as_bytes()).simple();
    let name = format!("rowcall_template_{fingerprint}");
    let server = connect(&server_address()).await;
    let known = format!("select exists (select from pg_database where datname = '{name}')");
    if get(&server, &known).await {
        return name;
    }
    server.execute("select pg_advisory_lock($1)", &[&TEMPLATE_LOCK]).await.unwrap();
    if !get::<bool>(&server, &known).await {
        drop_leftovers(&server).await;
        // Under another name until it is whole, for the maker may be killed.
        run(&server, "create database rowcall_template_unfinished template template0").await;
        migrate::apply(&Database::parse(&address("rowcall_template_unfinished")).unwrap()).await.unwrap();
        // It comes every quarter of an hour, which may be in the middle of any test.
        let often = "update rowcall.schedules set cron = '@yearly' where name = 'check-fienta-codes'";
        run(&connect(&address("rowcall_template_unfinished")).await, often).await;
        // The migration's connection ends a moment after its client.
        let rename = format!("alter database rowcall_template_unfinished rename to {name}");
        let began = Instant::now();
        while let Err(error) = server.batch_execute(&rename).await {
            assert!(began.elapsed() < PATIENCE, "{}", chain(&error));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    name
}

async fn drop_leftovers(server: &Client) {
    let stale = format!(
        "select datname::text from pg_database
         where datname like 'rowcall\\_template\\_%'
            or (datname like 'rowcall\\_test\\_%'
                and split_part(datname, '_', 3)::bigint < extract(epoch from now()) - {})",
        STALE.as_secs()
    );
    for row in server.query(&stale, &[]).await.unwrap() {
        run(server, &format!("drop database if exists {} with (force)", row.get::<_, String>(0))).await;
    }
}
