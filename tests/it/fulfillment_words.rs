//! What the rows of `fulfillment_logs` tell and are told: documented SQL, the operator's verbs, adoption, grants, the doctor.

use rowcall::failure::{Failure, Fault};
use rowcall::store::connect::Database;
use rowcall::store::migrate;
use rowcall::store::queues::FULFILLMENT_LOGS;
use serde_json::{Value, json};

use crate::actions_rows::Rows;
use crate::database::chain;
use crate::fulfillment_rows::{accepted, delivered, nobody_knows, not_done, refused};
use crate::scratch::Scratch;

const DOCUMENT: &str = include_str!("../../docs/fulfillment.md");

/// The SQL of the document that has this in it.
fn documented(words: &str) -> &'static str {
    let mut blocks = DOCUMENT.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(words)).unwrap_or_else(|| panic!("{words}"))
}

/// One order of every kind: waiting, running, accepted, delivered, failed with a retry, failed for good, out of attempts, unknown.
async fn one_of_each() -> (Rows, [String; 8]) {
    let rows = Rows::fulfillment().await;
    let mut orders = Vec::new();
    for nth in 0..8 {
        let order = rows.order(&format!("026123456{nth}")).await;
        if nth > 0 {
            let job = rows.claim_one().await;
            let final_one = || not_done(Failure::new(Fault::Item, "no such number"), "refused");
            match nth {
                1 => drop(job),
                2 => drop(rows.settle(job, accepted(Some("P2"))).await),
                3 => drop(rows.settle(job, delivered("P3")).await),
                4 => drop(rows.settle(job, refused()).await),
                5 => drop(rows.settle(job, final_one()).await),
                6 => {
                    rows.settle(job, refused()).await;
                    for _ in 0..2 {
                        rows.now_due(&order).await;
                        let job = rows.claim_one().await;
                        rows.settle(job, refused()).await;
                    }
                }
                _ => drop(rows.settle(job, nobody_knows()).await),
            }
        } else {
            rows.run("update fulfillment_logs set retry_after = now() + interval '1 hour'").await;
        }
        orders.push(order);
    }
    (rows, orders.try_into().unwrap())
}

#[tokio::test]
async fn every_sql_of_the_document_runs() {
    let (rows, _) = one_of_each().await;
    for block in DOCUMENT.split("```sql\n").skip(1) {
        rows.run(block.split("```").next().unwrap()).await;
    }
    assert_eq!(
        rows.text("select count(*) from fulfillment_logs where status = 'unknown'").await,
        "0",
        "it was resolved"
    );
    assert_eq!(
        rows.text(
            "select concat_ws(' ', max_attempts, retry_delays) from rowcall.queues where queue = 'fulfillment_logs'"
        )
        .await,
        "4 {00:05:00,00:15:00,01:00:00}"
    );
}

#[tokio::test]
async fn the_monitoring_sql_of_the_document_gives_true_answers() {
    let (rows, [_, _, _, _, retried, refused, ..]) = one_of_each().await;
    let all =
        documented("ORDER BY created_at DESC").trim().trim_end_matches(';').replace("SELECT *", "SELECT count(*)");
    assert_eq!(rows.text(all.split("ORDER BY").next().unwrap()).await, "8");
    let rate = documented("as rate").trim().trim_end_matches(';');
    assert_eq!(
        rows.text(&format!("select concat_ws(' ', total, success, rate) from ({rate}) as r")).await,
        "8 1 12.50"
    );
    let failed = documented("attempt_number < max_attempts").trim().trim_end_matches(';');
    let found = rows.text(&format!("select string_agg(order_id::text, ' ') from ({failed}) as f")).await;
    assert_eq!(found, format!("{retried} {refused}"), "who goes on by itself first; who has none left is not in it");
}

#[tokio::test]
async fn work_and_health_know_every_row_and_no_number() {
    let (rows, orders) = one_of_each().await;
    let work = rows
        .text("select string_agg(concat_ws(' ', w.label, w.state, w.attempts || '/' || w.max_attempts), ', ' order by l.phone_number)
               from rowcall.work as w join fulfillment_logs as l on l.id::text = w.key")
        .await;
    let expected = [
        (0_usize, "waiting 0/3"),
        (1, "running 0/3"),
        (2, "waiting 0/3"),
        (4, "waiting 1/3"),
        (5, "failed 1/3"),
        (6, "failed 3/3"),
        (7, "unknown 1/3"),
    ];
    let expected = expected.map(|(nth, state)| format!("1GB of order {} {state}", orders[nth]));
    assert_eq!(work, expected.join(", "));
    assert_eq!(rows.text("select count(*) from rowcall.work as w where w::text like '%2612345%'").await, "0");
    let health = "select concat_ws(' ', asked, running, waiting, failed, unknown, success_percent_24h)
        from rowcall.queue_health where queue = 'fulfillment_logs'";
    assert_eq!(rows.text(health).await, "0 1 3 2 1 25.0");
}

#[tokio::test]
async fn a_retry_does_what_each_row_needs_and_spends_no_money_twice() {
    let (rows, [waiting, running, taken, done, retried, refused, spent, unknown]) = one_of_each().await;
    let retry = |order: &str| format!("select rowcall.retry_fulfillment('{order}') ->> 'answer'");
    let no_worker = "; but no live worker serves fulfillment_logs: start one with rowcall run";
    rows.run("update rowcall.workers set draining = true").await;
    for (order, answer) in [
        (&waiting, format!("order {waiting} is tried now{no_worker}")),
        (&running, format!("order {running} is running; nothing to do")),
        (&taken, format!("order {taken} is looked up now{no_worker}")),
        (&retried, format!("order {retried} is tried now{no_worker}")),
        (&refused, format!("order {refused} is tried now{no_worker}")),
    ] {
        assert_eq!(rows.text(&retry(order)).await, answer);
    }
    assert!(rows.text(&retry(&unknown)).await.starts_with(&format!("order {unknown} is verified first")));
    let (code, message, _) = rows.refusal(&retry(&done)).await;
    assert_eq!(
        (code.as_str(), message),
        ("RC409", format!("order {done} is delivered: there is nothing to try again"))
    );
    let (code, message, _) = rows.refusal(&retry(&spent)).await;
    assert_eq!((code.as_str(), message), ("RC409", format!("all 3 attempts for order {spent} are spent")));
    for (order, standing) in
        [(&retried, "pending 2/3 pending"), (&refused, "pending 2/3 pending"), (&unknown, "pending 1/3 pending")]
    {
        assert_eq!(rows.standing(order).await, standing);
    }

    let mut seen: Vec<_> = rows
        .claim(10)
        .await
        .into_iter()
        .map(|job| {
            let payload: Value = job.payload().unwrap();
            (payload["phone_number"].as_str().unwrap().to_owned(), job.operation, job.attempt, job.uncertain)
        })
        .collect();
    seen.sort();
    let expected = [
        ("0", "purchase", 1, false),
        ("2", "look_up", 1, true),
        ("4", "purchase", 2, false),
        ("5", "purchase", 2, false),
        ("7", "purchase", 1, true),
    ];
    assert_eq!(
        seen,
        expected.map(|(nth, operation, attempt, uncertain)| (
            format!("026123456{nth}"),
            operation.to_owned(),
            attempt,
            uncertain
        ))
    );
}

#[tokio::test]
async fn force_takes_a_note_and_buys_what_is_spent_or_unknown_but_never_what_is_delivered() {
    let (rows, [_, running, _, done, _, _, spent, unknown]) = one_of_each().await;
    let force =
        |order: &str, note: &str| format!("select rowcall.retry_fulfillment('{order}', true, {note}) ->> 'answer'");
    for note in ["null", "' '"] {
        let (code, message, detail) = rows.refusal(&force(&spent, note)).await;
        assert_eq!(
            (code.as_str(), message.as_str(), detail.as_str()),
            ("22023", "say why it is forced", r#"["note"]"#)
        );
    }
    assert_eq!(rows.refusal(&force(&done, "'again'")).await.0, "RC409");
    assert!(rows.text(&force(&running, "'now'")).await.ends_with("is running; nothing to do"));
    assert!(rows.text(&force(&spent, "' topped up '")).await.starts_with(&format!("order {spent} is bought again")));
    assert!(rows.text(&force(&unknown, "'not in their book'")).await.contains("the customer gets it twice"));
    assert_eq!(rows.standing(&spent).await, "pending 1/3 pending");
    let kept = rows.log(&spent, "concat_ws('|', resolved_by = current_user, resolved_note)").await;
    assert_eq!(kept, "t|topped up");
    let history = "select settled_as || ' ' || (error like 'bought again by %: topped up') from rowcall.attempts
        where response ->> 'note' = 'topped up'";
    assert_eq!(rows.text(history).await, "superseded true");
    let jobs = rows.claim(10).await;
    let found: Vec<_> = jobs.iter().map(|job| (job.operation.as_str(), job.attempt, job.uncertain)).collect();
    assert_eq!(found, [("purchase", 1, false), ("purchase", 1, false)], "a person decided: not uncertain any more");
}

#[tokio::test]
async fn a_trigger_starts_what_has_no_row_and_nothing_twice() {
    let rows = Rows::fulfillment().await;
    rows.run(
        "alter table orders disable trigger user;
         insert into orders (network, phone_number, package, status) values
            ('AT-iShare', '0261234567', '1GB', 'paid'), ('MTN', '0261234567', '1GB', 'paid'), ('AT-iShare', '0261234568', '1GB', 'cancelled');
         alter table orders enable trigger user",
    )
    .await;
    let keys: Vec<String> = rows
        .client
        .query("select id::text from orders order by network desc, phone_number", &[])
        .await
        .unwrap()
        .iter()
        .map(|r| r.get(0))
        .collect();
    let [other, order, cancelled] = keys.try_into().unwrap();
    let trigger = |order: &str| format!("select rowcall.trigger_fulfillment('{order}')");
    let answer: Value = serde_json::from_str(&rows.text(&trigger(&order)).await).unwrap();
    assert_eq!(answer["answer"], format!("order {order} is asked for"));
    assert_eq!(
        (&answer["fulfillment"]["status"], &answer["order"]["fulfillment_status"]),
        (&json!("pending"), &json!("pending"))
    );
    assert!(rows.text(&trigger(&order)).await.contains("is asked for already"));
    assert_eq!(rows.text("select count(*) from fulfillment_logs").await, "1");
    for (order, code, words) in [
        (other.as_str(), "22023", "is of the network MTN, not AT-iShare"),
        (&cancelled, "RC409", "is cancelled, which does not count as paid"),
        ("00000000-0000-4000-8000-000000000000", "P0002", "there is no order"),
        ("'); drop table orders; --", "P0002", "there is no order"),
    ] {
        let (found, message, _) = rows.refusal(&trigger(&order.replace('\'', "''"))).await;
        assert!(found == code && message.contains(words), "{found} {message}");
    }
    let job = rows.claim_one().await;
    rows.settle(job, delivered("P")).await;
    assert_eq!(rows.refusal(&trigger(&order)).await.0, "RC409");
    assert_eq!(rows.refusal(&format!("select rowcall.retry_fulfillment('{other}')")).await.0, "P0002");
    rows.run(&format!("update orders set network = 'AT-iShare', fulfillment_status = 'success' where id = '{other}'"))
        .await;
    let (code, message, _) = rows.refusal(&trigger(&other)).await;
    assert!(code == "RC409" && message.contains("shows the fulfillment_status success of another system"), "{message}");
    assert_eq!(rows.text(&format!("select rowcall.fulfillment_status('{other}') -> 'fulfillment'")).await, "null");
    assert_eq!(rows.text("select rowcall.fulfillment_status('nothing')").await, "");
}

#[tokio::test]
async fn a_corrected_order_is_bought_by_a_retry() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("none").await;
    let retry = format!("select rowcall.retry_fulfillment('{order}') ->> 'answer'");
    let (code, message, _) = rows.refusal(&retry).await;
    assert!(code == "22023" && message.contains("the order's phone number is not one"), "{message}");
    rows.run("update orders set phone_number = '0261234567'").await;
    rows.text(&retry).await;
    let job = rows.claim_one().await;
    assert_eq!((job.attempt, job.payload::<Value>().unwrap()["phone_number"].clone()), (1, json!("0261234567")));
    rows.settle(job, refused()).await;
    rows.run("update orders set status = 'cancelled'").await;
    let (code, message, _) = rows.refusal(&retry).await;
    assert!(code == "RC409" && message.contains("it is not to be bought"), "{message}");
}

#[tokio::test]
async fn an_operator_retries_cancels_and_resolves_by_the_rows_key() {
    let (rows, [waiting, running, taken, done, retried, _, _, unknown]) = one_of_each().await;
    let verb = async |verb: &str, order: &str, more: &str| {
        let key = rows.log(order, "id").await;
        format!("select rowcall.{verb}('fulfillment_logs', '{key}'{more})")
    };
    for order in [&waiting, &retried] {
        assert_eq!(rows.text(&verb("cancel", order, "").await).await, format!("order {order} is not bought"));
        assert!(rows.standing(order).await.starts_with("failed 1/3"));
    }
    for (order, words) in
        [(&running, "may have been bought"), (&taken, "may have been bought"), (&done, "nothing to cancel")]
    {
        assert!(rows.refusal(&verb("cancel", order, "").await).await.1.contains(words));
    }
    assert!(rows.text(&verb("retry", &waiting, "").await).await.contains("is tried now"));
    let (_, message, _) = rows.refusal(&format!("select rowcall.retry('fulfillment_logs', '{done}')")).await;
    assert_eq!(message, format!("fulfillment_logs has no row with the key {done}"));
    let resolve = verb("resolve", &unknown, ", 'failed', 'not in their book'").await;
    assert_eq!(rows.text(&resolve).await, format!("order {unknown} is failed; it may be tried again"));
    assert!(rows.refusal(&resolve).await.1.contains("not unknown"));
    rows.text(&verb("retry", &unknown, "").await).await;
    let job =
        rows.claim(10).await.into_iter().find(|job| job.payload::<Value>().unwrap()["order_id"] == unknown.as_str());
    assert_eq!(job.map(|job| (job.attempt, job.uncertain)), Some((2, false)), "known not to be bought");
}

#[tokio::test]
async fn a_default_that_would_keep_orders_from_asking_is_refused_at_adoption() {
    let scratch = Scratch::empty().await;
    scratch.sql("create table orders (id uuid primary key, fulfillment_status text default 'none')").await;
    let database = Database::parse(&scratch.url).unwrap();
    let refusal = chain(&migrate::apply(&database).await.unwrap_err());
    assert!(refusal.contains("has a default") && refusal.contains("drop default"), "{refusal}");
    scratch.sql("alter table orders alter column fulfillment_status set default null").await;
    migrate::apply(&database).await.unwrap();
}

#[tokio::test]
async fn tables_that_were_there_are_adopted_and_nothing_of_theirs_is_bought() {
    let scratch = Scratch::empty().await;
    scratch
        .sql(
            "create table orders (id uuid primary key default gen_random_uuid(), user_id int, network varchar(50), phone_number varchar(20),
                package varchar(20), amount decimal(10,2), status varchar(20) default 'pending', fulfillment_status varchar(20) default 'pending');
             create table fulfillment_logs (
                id uuid primary key default gen_random_uuid(), order_id uuid references orders (id) on delete cascade, network varchar(50),
                phone_number varchar(20), status varchar(20) default 'pending' check (status in ('pending', 'processing', 'success', 'failed')),
                attempt_number int default 1, max_attempts int default 3, api_response jsonb, error_message text,
                retry_after timestamp, fulfilled_at timestamp, created_at timestamp default now(), updated_at timestamp default now());
             insert into orders (network, phone_number, package, amount, status)
                select 'AT-iShare', '026123456' || n, '1GB', 4.5, 'completed' from generate_series(1, 5) as n;
             insert into fulfillment_logs (order_id, network, phone_number, status, retry_after)
                select id, network, phone_number, (array['pending', 'processing', 'success', 'failed'])[right(phone_number, 1)::int],
                    now() from orders where phone_number < '0261234565'",
        )
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    let mut refused = Vec::new();
    while let Err(error) = migrate::apply(&database).await {
        let text = chain(&error);
        let hint = text.rsplit_once("(hint: ").unwrap().1;
        let hint = hint.strip_suffix(')').unwrap_or(hint).split(", or add").next().unwrap().to_owned();
        refused.push(text);
        assert!(refused.len() < 10, "{refused:?}");
        scratch.sql(&hint).await;
    }
    for (refusal, words) in refused.iter().zip([
        "attempt_number may be null",
        "max_attempts may be null",
        "retry_after is of type timestamp without time zone",
        "created_at is of type timestamp without time zone",
        "does not know the status unknown",
    ]) {
        assert!(refusal.contains(words), "{refusal}");
    }
    assert_eq!(refused.len(), 5);
    migrate::apply(&database).await.unwrap();

    let rows = Rows::of(&FULFILLMENT_LOGS, scratch).await;
    let found =
        "select string_agg(concat_ws(' ', l.status, o.fulfillment_status, l.retry_after), ', ' order by l.phone_number)
        from fulfillment_logs as l join orders as o on o.id = l.order_id";
    assert_eq!(rows.text(found).await, "unknown unknown, unknown unknown, success pending, failed pending");
    rows.run("update orders set status = 'archived'").await;
    assert!(rows.claim(10).await.is_empty(), "neither what another system left, nor an old order that is touched");
    assert_eq!(rows.text("select count(*) from fulfillment_logs").await, "4");
    let order = rows.order("0261234569").await;
    let job = rows.claim_one().await;
    assert_eq!(rows.settle(job, delivered("P")).await, "done");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
}

#[tokio::test]
async fn a_table_that_cannot_be_kept_is_refused_with_what_mends_it() {
    for (tables, words) in [
        ("create table orders (id uuid primary key, amount double precision)", "public.orders.amount is of type double precision"),
        ("create table orders (id uuid, status text)", "public.orders.id is not unique"),
        ("create table orders (id uuid primary key); create table fulfillment_logs (id uuid primary key, order_id int)", "order_id is of type integer, rowcall needs uuid"),
        (
            "create table orders (id serial primary key); insert into orders default values;
             create table fulfillment_logs (id serial primary key, order_id int, network text, phone_number text, status text default 'success',
                attempt_number int not null default 1, max_attempts int not null default 3, api_response jsonb, error_message text,
                retry_after timestamptz, fulfilled_at timestamptz, created_at timestamptz default now());
             insert into fulfillment_logs (order_id) values (1), (1)",
            "has 2 rows of the order 1",
        ),
    ] {
        let scratch = Scratch::empty().await;
        scratch.sql(tables).await;
        let error = chain(&migrate::apply(&Database::parse(&scratch.url).unwrap()).await.unwrap_err());
        assert!(error.contains(words) && error.contains("hint: "), "{error}");
    }
}

#[tokio::test]
async fn an_adopted_orders_table_of_other_keys_works_whole() {
    let scratch = Scratch::empty().await;
    scratch
        .sql("create table orders (id serial primary key, status text not null default 'active', metadata jsonb)")
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    for _ in 0..2 {
        migrate::apply(&database).await.unwrap();
    }
    let rows = Rows::of(&FULFILLMENT_LOGS, scratch).await;
    rows.run("insert into orders (status, metadata) values ('updating', '{\"action\": \"update\"}')").await;
    let order = rows.order("0261234567").await;
    let job = rows.claim_one().await;
    let payload: Value = job.payload().unwrap();
    assert_eq!((&payload["order_id"], &payload["reference"]), (&json!(2), &json!("2")));
    rows.settle(job, accepted(None)).await;
    assert_eq!(rows.report("2", None, "delivered", None).await, "settled: success");
    assert_eq!(rows.standing(&order).await, "success 1/3 success");
    assert!(rows.text(&format!("select rowcall.fulfillment_status('{order}')")).await.contains("delivered"));
}

const ROLES: &str = "do $$ begin
    if to_regrole('anon') is null then create role anon nologin; end if;
    if to_regrole('authenticated') is null then create role authenticated nologin; end if;
    if to_regrole('service_role') is null then create role service_role nologin bypassrls; end if;
    exception when others then null;
end $$;";

#[tokio::test]
async fn a_browser_sees_what_a_policy_shows_and_asks_for_no_bundle() {
    let scratch = Scratch::empty().await;
    scratch.sql(ROLES).await;
    scratch
        .sql(
            "create publication supabase_realtime;
             alter default privileges in schema public grant all on tables to anon, authenticated, service_role",
        )
        .await;
    let database = Database::parse(&scratch.url).unwrap();
    migrate::apply(&database).await.unwrap();
    let rows = Rows::of(&FULFILLMENT_LOGS, scratch).await;
    let published = "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables where pubname = 'supabase_realtime'";
    assert_eq!(
        rows.text(published).await,
        "actions codes crm_sync_queue enrollments fluent_sync_status fulfillment_logs links messages orders organizations"
    );
    rows.run(
        "create policy own_orders on orders to authenticated using (true) with check (true);
         create policy own_logs on fulfillment_logs to authenticated using (true) with check (true)",
    )
    .await;
    rows.run("set role service_role; set request.jwt.claims = '{\"sub\":\"shop-7\"}'").await;
    let order = rows.order("0261234567").await;
    rows.run("update orders set phone_number = '0261234568'; update fulfillment_logs set updated_at = now()").await;
    rows.run("reset role; set role authenticated").await;
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending");
    assert_eq!(rows.log(&order, "requested_by").await, "shop-7");
    for refused in [
        "insert into orders (network, phone_number, package) values ('AT-iShare', '0261234567', '1GB')",
        "update orders set fulfillment_status = 'success'",
        "update orders set status = 'paid'",
        "insert into fulfillment_logs (order_id) select id from orders",
        "update fulfillment_logs set status = 'pending'",
        "update fulfillment_logs set claim_token = null",
        "delete from fulfillment_logs",
        "select * from rowcall.supplier_reports",
        "select * from rowcall.fulfillment_settings",
        "select rowcall.retry_fulfillment('x', true, 'y')",
        "select rowcall.supplier_report('d', 'x', null, 'delivered', null, null, null)",
    ] {
        assert_eq!(rows.refusal(refused).await.0, "42501", "{refused}");
    }
    rows.run("reset role; set role anon").await;
    for table in ["orders", "fulfillment_logs"] {
        assert_eq!(rows.refusal(&format!("select * from {table}")).await.0, "42501");
    }
}

#[tokio::test]
async fn an_adopted_table_takes_from_browsers_what_would_buy_or_forge() {
    let scratch = Scratch::empty().await;
    scratch.sql(ROLES).await;
    scratch.sql("create table orders (id uuid primary key default gen_random_uuid(), status text, note text); grant all on orders to authenticated").await;
    migrate::apply(&Database::parse(&scratch.url).unwrap()).await.unwrap();
    let rows = Rows::of(&FULFILLMENT_LOGS, scratch).await;
    rows.run("set role authenticated; insert into orders (network, phone_number, package, note) values ('AT-iShare', '0261234567', '1GB', 'mine')").await;
    assert_eq!(rows.refusal("update orders set fulfillment_status = 'success'").await.0, "42501");
    rows.run("reset role").await;
    let asked = "select concat_ws(' ', o.note, l.status, l.requested_by) from fulfillment_logs as l join orders as o on o.id = l.order_id";
    assert_eq!(
        rows.text(asked).await,
        "mine pending authenticated",
        "its users let browsers order, so a browser's order is bought"
    );
}

#[tokio::test]
async fn the_doctor_finds_an_order_without_its_row_and_one_that_shows_another_step() {
    let rows = Rows::fulfillment().await;
    let order = rows.order("0261234567").await;
    let problems = || {
        let found = rows.scratch.rowcall(&["doctor", "--json"]).json();
        let found: Vec<Value> = found.as_array().unwrap().iter().filter(|f| f["state"] == "problem").cloned().collect();
        found.into_iter().filter(|f| f["check"] == "queue fulfillment_logs").collect::<Vec<_>>()
    };
    assert!(problems().is_empty(), "{:?}", problems());
    for (damage, words) in [
        ("delete from fulfillment_logs", "has no row in public.fulfillment_logs"),
        ("update orders set fulfillment_status = 'success'", "shows success, and its fulfilment is pending"),
        ("delete from rowcall.fulfillment_settings", "has no row, so no order counts as paid"),
        ("alter table orders disable row level security", ""),
    ] {
        rows.run(damage).await;
        if words.is_empty() {
            let said = rows.scratch.rowcall(&["doctor", "--json"]);
            assert!(said.out.contains("it is off for public.orders"), "{said:?}");
            continue;
        }
        let found = problems();
        assert!(found.len() == 1 && found[0]["found"].as_str().unwrap().contains(words), "{found:?}");
        match found[0]["mend"].as_str().unwrap() {
            "rowcall migrate" => drop(rows.scratch.rowcall(&["migrate"]).well()),
            sql => rows.run(sql).await,
        }
        assert!(problems().is_empty());
    }
    assert_eq!(rows.standing(&order).await, "pending 1/3 pending");
    rows.report("of another shop", None, "delivered", None).await;
    rows.run("update rowcall.supplier_reports set told_at = now() - interval '2 hours'").await;
    assert!(rows.scratch.rowcall(&["doctor"]).out.contains("suppliers told 1 times of orders that are not known here"));
}
