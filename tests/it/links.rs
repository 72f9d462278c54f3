//! Short links as rows: asked for, minted, refused, and taken back.

use std::sync::Arc;

use reqwest::Url;
use rowcall::integrations::Integration;
use rowcall::integrations::shortlink::ShortLinks;
use rowcall::link::Prefix;
use rowcall::store::migrate;
use rowcall::store::queues::LINKS;
use serde_json::{Value, json};

use crate::database::{self, Ear, TestDatabase, chain};
use crate::worker::{Scripted, TestWorker};

const BASE: &str = "https://go.example.com";

const ROW: &str = "select to_jsonb(l) from links as l order by id limit 1";

pub(crate) fn worker(db: &TestDatabase) -> TestWorker {
    with(db, Arc::new(ShortLinks::new(Prefix::new(&Url::parse(BASE).unwrap()))))
}

fn with(db: &TestDatabase, integration: Arc<dyn Integration>) -> TestWorker {
    TestWorker::of(&LINKS, db.settings(), integration)
}

pub(crate) async fn all_ended(db: &TestDatabase) {
    db.eventually("every link has ended", "not exists (select from links where status = 'creating')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_becomes_a_short_link() {
    let db = TestDatabase::new().await;
    let _worker = worker(&db);
    db.run(
        "set request.jwt.claims = '{\"sub\": \"7f3a\"}';
         insert into links (target_url, metadata) values ('https://example.com/a?b=c', '{\"campaign\": \"spring\"}')",
    )
    .await;
    all_ended(&db).await;
    let row: Value = db.get(ROW).await;
    let slug = row["slug"].as_str().unwrap();
    assert!(slug.len() == 11 && slug.bytes().all(|b| b"0123456789abcdefghjkmnpqrstvwxyz".contains(&b)), "{slug}");
    assert_eq!((&row["status"], &row["short_url"]), (&json!("active"), &json!(format!("{BASE}/l/{slug}"))));
    assert_eq!(
        (&row["requested_by"], &row["error_message"], &row["clicks"]),
        (&json!("7f3a"), &json!(null), &json!(0))
    );
    let metadata = &row["metadata"];
    assert_eq!((&metadata["action"], &metadata["campaign"]), (&json!("create"), &json!("spring")));
    assert!(metadata["requested_at"].is_string() && metadata["link_created_at"].is_string(), "{metadata}");
    let history = "select array_agg(concat_ws(' ', queue, key, generation, attempt, settled_as)) from rowcall.attempts";
    assert_eq!(db.get::<Vec<String>>(history).await, ["links 1 1 1 done"]);
    assert_eq!(db.get::<i64>("select count(*) from rowcall.work").await, 0);

    // Asked for once more, it is what it was.
    db.run("update links set status = 'creating'").await;
    all_ended(&db).await;
    let again: Value = db.get(ROW).await;
    assert_eq!((&again["slug"], &again["metadata"]["previous_status"]), (&row["slug"], &json!("active")));
    assert_eq!(db.get::<i64>("select count(*) from rowcall.slugs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_links_get_the_same_slug_though_letters_run_short() {
    let db = TestDatabase::new().await;
    db.fast().await;
    // Sixty-four slugs for sixty-two links, two of which are taken by people, and four that mint at the same time.
    db.run(
        "create or replace function rowcall.random_slug() returns text language sql volatile as $$
             select substr('abcdefgh', 1 + (random() * 8)::integer % 8, 1) || substr('abcdefgh', 1 + (random() * 8)::integer % 8, 1)
         $$;
         insert into links (target_url, slug, status) values ('https://example.com', 'aa', 'active');
         insert into links (target_url, slug) values ('https://example.com', 'ab');
         insert into links (target_url) select 'https://example.com/' || n from generate_series(1, 60) as n",
    )
    .await;
    let _workers = (worker(&db), worker(&db));
    all_ended(&db).await;
    let rows = "select array_agg(status || ' ' || number order by status) from
        (select status, count(distinct slug) as number from links group by status) as s";
    assert_eq!(db.get::<Vec<String>>(rows).await, ["active 62"]);
    assert!(db.get::<bool>("select bool_and(short_url like '%/l/' || slug) from links where id > 1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_is_not_given_away_again_when_its_link_is_gone() {
    let db = TestDatabase::new().await;
    db.run(
        "create or replace function rowcall.random_slug() returns text language sql volatile as
             $$ select substr('xy', 1 + (random() * 2)::integer % 2, 1) $$;
         insert into links (target_url) values ('https://example.com/1')",
    )
    .await;
    let _worker = worker(&db);
    all_ended(&db).await;
    let first: String = db.get("select slug from links").await;
    db.run("delete from links; insert into links (target_url) values ('https://example.com/2')").await;
    all_ended(&db).await;
    assert_ne!(db.get::<String>("select slug from links").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn slugs_are_random_whole() {
    let db = TestDatabase::new().await;
    // Of every letter at every place about as many, and nothing twice.
    let seen: Value = db
        .get(
            "with slugs as (select rowcall.random_slug() as slug from generate_series(1, 20000))
             select jsonb_build_object(
                 'slugs', (select count(distinct slug) from slugs), 'places', count(*), 'fewest', min(n), 'most', max(n)
             )
             from (select p, substr(slug, p, 1), count(*) as n from slugs, generate_series(1, 11) as p group by 1, 2) as c",
        )
        .await;
    assert_eq!((&seen["slugs"], &seen["places"]), (&json!(20000), &json!(11 * 32)));
    assert!(seen["fewest"].as_i64().unwrap() > 450 && seen["most"].as_i64().unwrap() < 820, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_web_address_fails_with_clear_words() {
    let db = TestDatabase::new().await;
    let _worker = worker(&db);
    for (target, words) in [
        ("javascript:alert(document.cookie)", "begins with javascript: and a link leads to http and https only"),
        ("data:text/html;base64,PHNjcmlwdD4=", "begins with data:"),
        ("java\nscript:alert(1)", "is no address"),
        ("", "is empty"),
        ("example.com/page", "is no address"),
        ("https://example.com/\r\nSet-Cookie: a=b", "is no address"),
        ("https://bank.example:443@evil.example/", "has a user or a password"),
        ("https://go.example.com/l/abc", "is a short link of this very place"),
        (&format!("https://example.com/{}", "x".repeat(200_000)), "is 200020 bytes long"),
    ] {
        db.run("delete from links; truncate rowcall.attempts").await;
        let sql = "insert into links (target_url) values ($1)";
        db.client.execute(sql, &[&target]).await.unwrap();
        all_ended(&db).await;
        let row: Value = db.get(ROW).await;
        let message = row["error_message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("target_url") && message.len() < 300, "{message}");
        assert_eq!((&row["status"], &row["attempts"], &row["slug"]), (&json!("failed"), &json!(1), &json!(null)));
        let metadata = &row["metadata"];
        assert_eq!((&metadata["action_failed"], &metadata["action_error"]), (&json!(true), &json!(message)));
        assert!(metadata["failed_at"].is_string(), "{metadata}");
        assert_eq!(db.settled_as("failed").await, 1, "nothing is tried twice");
    }
    let work: Value = db.get("select to_jsonb(w) from rowcall.work as w").await;
    assert_eq!(
        (&work["queue"], &work["state"], &work["needs_person"]),
        (&json!("links"), &json!("failed"), &json!(true))
    );
    let health: Value = db.get("select to_jsonb(h) from rowcall.queue_health as h where queue = 'links'").await;
    assert_eq!((&health["failed"], &health["asked"]), (&json!(1), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_of_ones_own_is_kept_and_must_be_one_that_can_be_served() {
    let db = TestDatabase::new().await;
    let _worker = worker(&db);
    db.run("insert into links (target_url, slug) values ('https://example.com', 'Spring_Sale-25')").await;
    all_ended(&db).await;
    assert_eq!(db.get::<String>("select short_url from links").await, format!("{BASE}/l/Spring_Sale-25"));
    assert!(
        db.refusal("insert into links (target_url, slug) values ('x', 'Spring_Sale-25')").await.contains("duplicate")
    );
    assert!(db.refusal("update links set slug = 'a/../b'").await.contains("links_slug_can_be_served"));
    // A table that was there before rowcall may hold anything.
    db.run("alter table links drop constraint links_slug_can_be_served; update links set slug = 'a/b', status = 'creating'").await;
    all_ended(&db).await;
    assert!(db.get::<String>("select error_message from links").await.contains("slug can be 64 letters, digits"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_metadata_is_kept_as_it_is_and_harms_nobody() {
    let db = TestDatabase::new().await;
    let _worker = worker(&db);
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    for metadata in [
        "{\"action\": \"explode\", \"previous_status\": [1], \"requested_at\": 7}".to_owned(),
        format!("{{\"huge\": \"{}\"}}", "x".repeat(2_000_000)),
        format!("{{\"deep\": {deep}}}"),
    ] {
        db.run("delete from links").await;
        let insert = "insert into links (target_url, metadata) values ('https://example.com', $1::text::jsonb)";
        db.client.execute(insert, &[&metadata]).await.unwrap();
        all_ended(&db).await;
        assert_eq!(db.get::<String>("select status from links").await, "active");
    }
    for metadata in ["[1]", "\"x\"", "7"] {
        let refusal = db.refusal(&format!("update links set metadata = '{metadata}'")).await;
        assert!(refusal.contains("links_metadata_is_object"), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_target_while_it_is_made_is_another_request() {
    let db = TestDatabase::new().await;
    let held = Scripted::held();
    let _worker = with(&db, held.clone());
    db.run("insert into links (target_url) values ('https://example.com/1')").await;
    held.begun(1).await;
    db.run("update links set target_url = 'https://example.com/2'").await;
    held.release(2);
    all_ended(&db).await;
    assert_eq!(db.all::<String>("select settled_as from rowcall.attempts order by id").await, ["superseded", "done"]);
    assert_eq!(held.seen().iter().map(|seen| seen.generation).collect::<Vec<_>>(), [1, 2]);
    // Afterwards it is an edit like any other.
    db.run("update links set target_url = 'https://example.com/3', metadata = '{}'").await;
    assert_eq!(db.get::<String>("select status || generation from links").await, "active2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_verbs_know_links() {
    let db = TestDatabase::new().await;
    let ear = Ear::on(&db).await;
    db.run("insert into links (target_url, status) values ('javascript:1', 'creating'), ('https://example.com', 'creating')").await;
    assert_eq!(ear.heard().await, ["links"]);
    assert!(db.get::<String>("select rowcall.retry('links', '1')").await.starts_with("link #1 is tried now"));
    assert_eq!(db.get::<String>("select rowcall.cancel('links', '2')").await, "link #2 is failed");
    let cancelled: Value = db.get("select metadata from links where id = 2").await;
    assert!(cancelled["cancelled_at"].is_string() && cancelled["cancelled_by"].is_string(), "{cancelled}");
    let worker = worker(&db);
    all_ended(&db).await;
    for (call, words) in [
        ("cancel('links', '1')", "link #1 is failed: there is nothing to cancel"),
        ("resolve('links', '1', 'done', 'I looked')", "link #1 is failed, not unknown"),
        ("retry('links', '77')", "links has no row with the key 77"),
        ("cancel('links', '1; drop table links')", "links has no row with the key 1; drop table links"),
    ] {
        let refusal = db.refusal(&format!("select rowcall.{call}")).await;
        assert!(refusal.contains(words), "{refusal}");
    }
    db.run("update links set target_url = 'https://example.com/mended' where id = 1").await;
    for id in [1, 2] {
        let answer: String = db.get(&format!("select rowcall.retry('links', '{id}')")).await;
        assert_eq!(answer, format!("link #{id} is asked for again"));
    }
    all_ended(&db).await;
    assert_eq!(db.get::<i64>("select count(*) from links where status = 'active' and error_message is null").await, 2);
    assert!(db.get::<bool>("select not bool_or(metadata ? 'action_failed') from links").await);
    let slug: String = db.get("select slug from links where id = 1").await;
    let refusal = db.refusal(&format!("select rowcall.retry('links', '{slug}')")).await;
    assert!(refusal.contains(&format!("the link {slug} has the key 1")), "{refusal}");
    worker.stop().await;

    // What was active before goes on when a new request is taken back.
    db.run("update links set status = 'creating' where id = 1").await;
    assert_eq!(db.get::<String>("select rowcall.cancel('links', '1')").await, format!("{slug} is active"));
    db.run("update links set status = 'disabled' where id = 1").await;
    assert_eq!(db.get::<i64>("select count(*) from rowcall.work").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_links_wait_and_say_so() {
    let db = TestDatabase::new().await;
    let _worker = with(&db, Arc::new(ShortLinks::new(None)));
    db.run("insert into links (target_url) values ('https://example.com')").await;
    db.eventually(
        "it waits and spends nothing",
        "attempts = 0 and error_message like '%until LINKS_BASE_URL is set%' and claim_token is null from links",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_links_that_was_there_is_adopted_or_refused_with_what_mends_it() {
    let db = TestDatabase::empty().await;
    db.run(
        "create table links (id uuid primary key default gen_random_uuid(), target text not null, clicks integer);
         insert into links (target) values ('https://example.com')",
    )
    .await;
    let mut refused = Vec::new();
    while let Err(error) = migrate::apply(&db.database()).await {
        let text = chain(&error);
        refused.push(text.clone());
        assert!(refused.len() < 5, "{refused:?}");
        if text.contains("no column target_url") {
            assert!(text.contains("rename column … to target_url"), "{text}");
            db.run("alter table links rename column target to target_url").await;
        } else {
            let hint = text.rsplit_once("(hint: ").unwrap().1.trim_end_matches(')');
            db.run(hint).await;
        }
    }
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[1].contains("public.links.clicks is of type integer"), "{refused:?}");
    migrate::apply(&db.database()).await.unwrap();
    assert_eq!(db.all::<String>("select table_name from rowcall.adopted").await, ["links"]);
    // What comes is made; nothing is asked of what was there, and it can be.
    assert_eq!(
        db.get::<String>("insert into links (target_url) values ('https://example.com/new') returning status").await,
        "creating"
    );
    db.run("delete from links where status = 'creating'").await;
    assert_eq!(db.get::<String>("select status || generation from links").await, "active0");
    let _worker = worker(&db);
    db.run("update links set status = 'creating'").await;
    all_ended(&db).await;
    assert!(db.get::<bool>("select short_url is not null and clicks is null from links").await);
    let key: String = db.get("select id::text from links").await;
    db.store().count_clicks(&[(&key, 3)]).await.unwrap();
    assert_eq!(db.get::<i64>("select clicks from links").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_asks_for_links_and_writes_nothing_of_the_workers() {
    let db = TestDatabase::new().await;
    for role in ["anon", "authenticated", "service_role bypassrls"] {
        db.run(&format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        ))
        .await;
    }
    migrate::apply(&db.database()).await.unwrap();
    db.run(
        "insert into links (target_url, status, metadata) values ('https://example.com', 'active', '{\"owner\": \"7f3a\"}');
         insert into organizations (name, metadata) values ('Acme', '{\"owner\": \"7f3a\"}');
         create policy own on links to authenticated using (metadata ->> 'owner' = '7f3a');
         create policy own on organizations to authenticated using (metadata ->> 'owner' = '7f3a')",
    )
    .await;
    let browser = db.connect().await;
    database::run(
        &browser,
        "set role authenticated; set request.jwt.claims = '{\"sub\": \"7f3a\"}';
         insert into links (target_url, expires_at, metadata) values ('https://example.com/2', now() + interval '1 day', '{\"owner\": \"7f3a\"}');
         update links set status = 'disabled', updated_at = now() where status = 'active';
         update organizations set status = 'syncing', metadata = metadata || '{\"action\": \"sync\"}'",
    )
    .await;
    let asked = "select array_agg(concat_ws(' ', status, generation, requested_by) order by 1) from (
        select status, generation, requested_by from links union all select status, generation, requested_by from organizations) as r";
    assert_eq!(db.get::<Vec<String>>(asked).await, ["creating 1 7f3a", "disabled 0", "syncing 1 7f3a"]);
    let workers = [
        ("attempts", "0"),
        ("max_attempts", "9"),
        ("generation", "7"),
        ("next_retry_at", "now()"),
        ("error_message", "'x'"),
        ("claim_token", "null"),
        ("claimed_by", "null"),
        ("claimed_until", "null"),
        ("requested_by", "'x'"),
        ("requested_at", "now()"),
    ];
    let of_links =
        [("slug", "'mine'"), ("short_url", "'x'"), ("clicks", "7"), ("last_clicked_at", "now()"), ("id", "7")];
    let of_organizations = [("synced_at", "now()"), ("sync_url", "'https://evil.example'"), ("id", "7")];
    for (table, filler, own) in
        [("links", "target_url", &of_links[..]), ("organizations", "name", &of_organizations[..])]
    {
        for (column, value) in workers.iter().chain(own) {
            for statement in [
                format!("update {table} set {column} = {value}"),
                format!("insert into {table} ({filler}, {column}) values ('https://example.com', {value})"),
            ] {
                let refusal = database::refusal(&browser, &statement).await;
                assert!(refusal.contains("permission denied"), "{statement}: {refusal}");
            }
        }
        assert!(database::refusal(&browser, &format!("delete from {table}")).await.contains("permission denied"));
    }
    database::run(&browser, "reset role; set role anon").await;
    for table in ["links", "organizations"] {
        assert!(database::refusal(&browser, &format!("select * from {table}")).await.contains("permission denied"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_hear_of_links_and_organizations() {
    let db = TestDatabase::new().await;
    db.run("create publication supabase_realtime").await;
    migrate::apply(&db.database()).await.unwrap();
    let tables = "select tablename::text from pg_publication_tables where pubname = 'supabase_realtime' order by 1";
    let tables = db.all::<String>(tables).await;
    assert!(["links", "organizations"].iter().all(|table| tables.iter().any(|t| t == table)), "{tables:?}");
}
