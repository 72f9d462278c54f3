//! What a sync reads of a list that moves, in both versions of the plugin.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use rowcall::failure::Fault;
use rowcall::integrations::Integration;
use rowcall::integrations::fluent::Fluent;
use rowcall::outcome::Verdict;
use rowcall::sandbox::fluent::{Edit, Version};
use serde_json::{Value, json};

use super::{World, first, job, number, read};
use crate::process::ROWCALL;

/// Which page of which list was asked for, in order.
pub(super) fn asked(world: &World) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let requests = world.fake.requests();
    requests.iter().map(|r| (text(&r["order_by"]), text(&r["status_type"]), r["page"].as_u64().unwrap())).collect()
}

fn titles(world: &World) -> BTreeMap<i64, String> {
    let title = |ticket: &Value| ticket["title"].as_str().unwrap().replace("&amp;", "&");
    world.fake.tickets().iter().map(|ticket| (number(&ticket["id"]), title(ticket))).collect()
}

fn read_titles(pulled: &(Vec<Value>, Value)) -> BTreeMap<i64, String> {
    read(pulled).into_iter().map(|(id, ticket)| (id, ticket["title"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn five_thousand_tickets_are_read_once_and_whole() {
    let world = World::new(5000).await;
    let pulled = world.pull(json!({})).await;
    assert_eq!(read_titles(&pulled), titles(&world));
    assert_eq!(world.fake.requests().len(), 52, "the first page, fifty by number, and the first page again");
    let (parts, end) = &pulled;
    let last = parts.last().unwrap();
    assert_eq!(
        (&last["pages_read"], &last["pages_total"], &last["tickets_total"]),
        (&json!(51), &json!(52), &json!(5000))
    );
    let newest = world.fake.tickets().iter().map(|t| t["updated_at"].as_str().unwrap().to_owned()).max().unwrap();
    let watermark: jiff::Timestamp = end["watermark"].as_str().unwrap().parse().unwrap();
    assert_eq!((watermark, &end["covered_from"], &end["since"]), (newest.parse().unwrap(), &Value::Null, &Value::Null));
}

#[tokio::test]
async fn both_versions_of_the_plugin_say_the_same() {
    let mut told = Vec::new();
    for plugin in [Version::One, Version::Two] {
        let world = World::with(
            450,
            |site| {
                site.plugin = plugin;
                site.timezone = "Europe/Tallinn".to_owned();
            },
            |_| {},
        )
        .await;
        told.push(read(&world.pull(json!({})).await));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].len(), 450);
}

#[tokio::test]
async fn a_ticket_is_told_in_the_words_of_the_database() {
    let world = World::with(30, |site| site.timezone = "America/New_York".to_owned(), |_| {}).await;
    let expected = json!({
        "id": 6, "is_wanted": true, "title": "Ticket 6 & more",
        "content": "Our form does not send. Could you & your team have a look?",
        "status": "closed", "priority": "", "client_priority": "normal", "product": "Scripts", "agent": "First2 Last",
        "customer": "First7 Last", "email": "person7@example.com", "responses": 6,
        "created_local": "2025-03-11 10:40:00", "created_at": "2025-03-11T14:40:00Z",
        "updated_at": "2025-03-16T19:54:00Z", "resolved_at": "2025-03-16T19:54:00Z",
    });
    assert_eq!(read(&world.pull(json!({})).await)[&6], expected);
}

#[tokio::test]
async fn what_moves_while_it_is_read_is_read_all_the_same() {
    for seed in 1..=6_i64 {
        let world = World::new(750).await;
        // After each of the first pages: one opened, some changed, and every other time some deleted, near the front and far
        // behind.
        for page in 1..=8_i64 {
            let spread = |step: i64| (seed * 131 + page * step) % 750 + 1;
            let mut edits =
                vec![Edit::Open, Edit::Retitle(spread(97), format!("changed {seed} {page}")), Edit::Close(spread(211))];
            if seed % 2 == 0 {
                edits.extend([spread(53), 751 - page * 3, spread(17)].map(Edit::Delete));
            }
            world.fake.edit_between(edits);
        }
        let pulled = world.pull(json!({})).await;
        let (found, there) = (read_titles(&pulled), titles(&world));
        for (id, title) in &there {
            assert_eq!(found.get(id), Some(title), "seed {seed}, ticket {id}");
        }
    }
}

#[tokio::test]
async fn a_page_that_slipped_by_is_read_again() {
    let world = World::new(500).await;
    // Fifty tickets of what is read already are gone before the next page comes, and nothing makes up for them.
    world.fake.edit_between(Vec::new());
    world.fake.edit_between((401..=450).map(Edit::Delete).collect());
    let pulled = world.pull(json!({})).await;
    let found = read_titles(&pulled);
    assert!(titles(&world).keys().all(|id| found.contains_key(id)));
    let pages: Vec<u64> = asked(&world).iter().filter(|(by, ..)| by == "id").map(|(.., page)| *page).collect();
    assert_eq!(pages, [1, 2, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn after_a_sync_only_what_changed_is_read() {
    let world = World::new(1000).await;
    let (_, end) = world.pull(json!({})).await;
    let covered = json!({"watermark": end["watermark"], "from": end["covered_from"]});
    let before = world.fake.requests().len();
    world.fake.edit(&[Edit::Open, Edit::Retitle(3, "changed".to_owned())]);
    let pulled = world.pull(json!({"covered": covered})).await;
    assert_eq!(world.fake.requests().len() - before, 1);
    let found = read_titles(&pulled);
    assert!(found.contains_key(&1001) && found[&3] == "changed", "{found:?}");
    assert!(pulled.1["watermark"].as_str() > end["watermark"].as_str());
    assert_eq!(pulled.1["covered_from"], Value::Null);
}

#[tokio::test]
async fn what_changed_in_the_hour_that_a_clock_repeats_is_not_lost() {
    // On 26 October 2025 the site's clock went from 04:00 back to 03:00.
    let clock = |time: &str| Edit::SetClock(time.parse().unwrap());
    let site = |site: &mut rowcall::sandbox::fluent::FluentArgs| {
        site.plugin = Version::One;
        site.timezone = "Europe/Tallinn".to_owned();
    };
    let world = World::with(0, site, |_| {}).await;
    world.fake.edit(&[clock("2025-10-26T03:10:00")]);
    world.fake.edit(&vec![Edit::Open; 150]);
    world.fake.edit(&[clock("2025-10-26T03:50:00"), Edit::Open]);
    let (_, end) = world.pull(json!({})).await;
    // Behind a page and a half of what was read, though it came later.
    world.fake.edit(&[clock("2025-10-26T03:05:00"), Edit::Open]);
    let pulled = world.pull(json!({"covered": {"watermark": end["watermark"], "from": null}})).await;
    assert!(read(&pulled).contains_key(&152));
}

#[tokio::test]
async fn a_ticket_from_the_future_keeps_nothing_from_the_next_syncs() {
    let world = World::new(10).await;
    world.fake.edit(&[Edit::SetClock("2099-01-01T00:00:00".parse().unwrap()), Edit::Open]);
    let (_, end) = world.pull(json!({})).await;
    assert!(end["watermark"].as_str().unwrap() < "2099");
}

#[tokio::test]
async fn a_day_begins_at_the_sites_midnight() {
    for (zone, id) in [("Europe/Tallinn", Some(1)), ("UTC", None)] {
        // 23:30 on the 16th in UTC is the 17th in Tallinn.
        let world = World::with(
            0,
            |site| site.timezone = "UTC".to_owned(),
            |settings| {
                settings.site_timezone = rowcall::integrations::fluent::time_zone(zone).unwrap();
            },
        )
        .await;
        world.fake.edit(&[Edit::SetClock("2025-10-16T23:30:00".parse().unwrap()), Edit::Open, Edit::Close(1)]);
        let pulled = world.pull(json!({"date_filter": "2025-10-17"})).await;
        let wanted = read(&pulled).into_iter().find(|(_, ticket)| ticket["is_wanted"] == true).map(|(id, _)| id);
        assert_eq!(wanted, id, "{zone}");
    }
}

#[tokio::test]
async fn a_plain_sync_goes_on_only_where_the_earlier_ones_reach() {
    let world = World::with(1000, |_| {}, |settings| settings.date_filter = Some("2025-06-01".parse().unwrap())).await;
    let covered = |from: Value| json!({"covered": {"watermark": "2025-12-20T00:00:00Z", "from": from}});
    for (what, asked, since, reaches) in [
        ("all is covered", covered(Value::Null), json!("2025-12-19T22:00:00Z"), Value::Null),
        ("enough is covered", covered(json!("2025-05-01")), json!("2025-12-19T22:00:00Z"), json!("2025-05-01")),
        ("less is covered", covered(json!("2025-11-01")), json!("2025-06-01T00:00:00Z"), json!("2025-06-01")),
        ("nothing is covered", json!({}), json!("2025-06-01T00:00:00Z"), json!("2025-06-01")),
    ] {
        let (_, end) = world.pull(asked).await;
        assert_eq!((&end["since"], &end["covered_from"]), (&since, &reaches), "{what}");
    }
    let mut asked = covered(json!("2025-11-01"));
    asked["date_filter"] = json!("2025-12-01");
    assert_eq!(world.pull(asked).await.1["covered_from"], "2025-11-01", "both together");
    let mut asked = covered(json!("2025-11-01"));
    asked["date_filter"] = json!("2025-12-24");
    assert_eq!(world.pull(asked).await.1["covered_from"], "2025-12-24", "there is a gap between them");
    let (_, end) = world.pull(json!({"is_full": true, "covered": covered(Value::Null)["covered"]})).await;
    assert_eq!((&end["since"], &end["covered_from"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_was_read_of_another_site_by_another_user_or_clock_covers_nothing() {
    let world = World::new(250).await;
    let fingerprint = |change: &dyn Fn(&mut rowcall::integrations::fluent::Settings)| {
        let mut settings = world.settings.clone();
        change(&mut settings);
        Fluent::new(settings).fingerprint().to_owned()
    };
    let same = fingerprint(&|settings| settings.password = Some("another application password".into()));
    let zone = |name: &'static str| rowcall::integrations::fluent::time_zone(name).unwrap();
    for (fingerprint, reads_on) in [
        (json!(same), true),
        (json!(fingerprint(&|settings| settings.api_url = "https://www.example.com".parse().ok())), false),
        (json!(fingerprint(&|settings| settings.username = Some("somebody else".into()))), false),
        (json!(fingerprint(&|settings| settings.site_timezone = zone("Europe/Tallinn"))), false),
        (json!(fingerprint(&|settings| settings.site_timezone = zone("UTC+2"))), false),
        (Value::Null, false),
    ] {
        let covered = json!({"watermark": "2026-01-01T00:00:00Z", "from": null, "fingerprint": fingerprint});
        let (_, end) = world.pull(json!({"covered": covered})).await;
        assert_eq!((end["since"].is_string(), end["note"].is_null()), (reads_on, reads_on), "{fingerprint} {end}");
        let (_, end) = world.pull(json!({"covered": covered, "date_filter": "2026-01-01"})).await;
        assert_eq!((&end["note"], &end["covered_from"] == "2026-01-01"), (&Value::Null, !reads_on), "{end}");
    }
}

#[tokio::test]
async fn a_ticket_that_cannot_be_read_is_left_out_and_told() {
    let world = World::new(250).await;
    world.fake.edit(&[Edit::Spoil(120)]);
    let pulled = world.pull(json!({})).await;
    assert_eq!(read(&pulled).len(), 249);
    let note = pulled.1["note"].as_str().unwrap();
    assert_eq!(note, "tickets without a number were left out: 1, the first of them at place 1 of page 1");
}

#[tokio::test]
async fn a_whole_list_at_once_is_refused() {
    let world = World::new(1).await;
    let tickets: Vec<Value> = (1..=100_000).map(|id| json!({"id": id})).collect();
    let body = json!({"tickets": {"current_page": 1, "last_page": 1, "data": tickets}});
    world
        .fake
        .fault(rowcall::sandbox::fluent::Fault::new(rowcall::sandbox::fluent::Kind::Answer { status: 200, body }));
    let outcome = world.execute(&first()).await;
    assert_eq!(outcome.fault, Some(Fault::Transient));
    assert!(outcome.error.unwrap().contains("answered with more than 1000"));
}

#[tokio::test]
async fn an_agent_who_sees_less_reads_less() {
    let world = World::new(400).await;
    world.fake.sees_only(Some(2));
    let found = read(&world.pull(json!({})).await);
    assert_eq!(found.len(), 100);
    world.fake.sees_only(Some(77));
    let (parts, end) = world.pull(json!({})).await;
    assert_eq!((parts.len(), &end["tickets"], &end["watermark"]), (0, &json!([]), &Value::Null));
}

#[tokio::test]
async fn plain_permalinks_and_the_address_of_the_api_are_taken() {
    let world = World::with(
        5,
        |_| {},
        |settings| {
            let url = settings.api_url.as_mut().unwrap();
            url.set_query(Some("rest_route=/"));
        },
    )
    .await;
    assert_eq!(read(&world.pull(json!({})).await).len(), 5);
    assert_eq!(world.fake.requests()[0]["is_plain"], true);
    assert!(std::fs::read_to_string(world.dir.path().join("requests.jsonl")).unwrap().contains("\"per_page\":100"));
}

#[tokio::test]
async fn a_cursor_in_other_words_begins_anew() {
    let world = World::new(250).await;
    let outcome = world
        .execute(&job(&json!({
            "date_filter": null, "is_full": false, "cursor": {"position": 3}, "pages_read": 3, "covered": null,
        })))
        .await;
    assert_eq!((outcome.verdict, outcome.result.unwrap()["pages_read"].clone()), (Verdict::Wait, json!(4)));
    assert_eq!(world.fake.requests()[0]["page"], 1);
}

#[tokio::test]
async fn hostile_html_stays_text() {
    let world = World::new(1).await;
    let html = "<script>fetch('//example.com')</script><a href=\"javascript:alert(1)\">Click</a> &lt;b&gt;\u{0}\u{202e}<svg/onload=alert(1)>";
    world
        .fake
        .edit(&[Edit::Rewrite(1, html.to_owned()), Edit::Retitle(1, "<b>Bold</b> &amp; \u{7}new\nline".to_owned())]);
    let ticket = read(&world.pull(json!({})).await)[&1].clone();
    assert_eq!((&ticket["content"], &ticket["title"]), (&json!("Click <b>"), &json!("Bold & new line")));
}

#[tokio::test]
async fn without_settings_syncs_wait_and_say_which() {
    let world = World::with(1, |_| {}, |settings| settings.password = None).await;
    assert!(world.fluent.ready().unwrap_err().contains("FLUENT_API_PASSWORD"));
    let outcome = world.execute(&first()).await;
    assert_eq!((outcome.fault, outcome.verdict), (Some(Fault::Configuration), Verdict::Wait));
    assert!(world.fake.requests().is_empty());
}

#[tokio::test]
async fn the_sandbox_prints_its_address_and_takes_orders() {
    let world = World::new(0).await;
    let mut command = std::process::Command::new(ROWCALL);
    command.args(["sandbox", "fluent", "--tickets", "120", "--plugin", "1", "--state"]).arg(world.dir.path());
    let mut sandbox = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(sandbox.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim().to_owned();
    let client = crate::web::client();
    for (path, order) in
        [("faults", json!({"kind": "maintenance", "page": 2})), ("edits", json!([{"close": 7}, "open", {"delete": 8}]))]
    {
        let order = crate::web::json(client.post(format!("{address}/_control/{path}")), &order);
        assert_eq!(order.send().await.unwrap().status(), 204, "{path}");
    }
    let mut settings = world.settings.clone();
    settings.api_url = Some(reqwest::Url::parse(&address).unwrap());
    let there = World { fluent: Fluent::new(settings), ..world };
    let outcome = there.execute(&first()).await;
    assert_eq!(outcome.result.unwrap()["tickets_total"], 120);
    let (_, tickets) = crate::web::told(client.get(format!("{address}/_control/tickets"))).await;
    assert!(
        tickets.as_array().unwrap().iter().any(|ticket| number(&ticket["id"]) == 7 && ticket["status"] == "closed")
    );
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
}
