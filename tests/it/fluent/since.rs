//! A sync since a day: what changed since then, and what is open, however old.

use rowcall::sandbox::fluent::Edit;
use serde_json::json;

use super::pull::asked;
use super::{World, job, number, read};

#[tokio::test]
async fn a_date_filter_takes_open_tickets_and_those_closed_since() {
    for has_words_of_its_own in [false, true] {
        let world = World::new(2000).await;
        if !has_words_of_its_own {
            world.fake.edit(&(1..=40).map(|nth| Edit::Close(nth * 50)).collect::<Vec<_>>());
        }
        let pulled = world.pull(json!({"date_filter": "2025-10-17"})).await;
        let found = read(&pulled);
        for ticket in world.fake.tickets() {
            let is_wanted = found.get(&number(&ticket["id"])).is_some_and(|ticket| ticket["is_wanted"] == true);
            let since = ticket["resolved_at"].as_str().is_some_and(|at| at >= "2025-10-17T00:00:00");
            assert_eq!(is_wanted, ticket["status"] != "closed" || since, "{ticket}");
        }
        assert_eq!(pulled.1["covered_from"], "2025-10-17");
        let lists = asked(&world);
        let pages = |wanted: &str| lists.iter().filter(|(by, status, _)| by == "id" && status == wanted).count();
        assert_eq!((pages("open"), pages("closed")), (8, 1));
        let all = if has_words_of_its_own { 20 } else { 0 };
        assert_eq!(pages("all"), all, "closed ones are not read to their end without need");
    }
}

#[tokio::test]
async fn an_open_ticket_that_slips_by_while_others_come_and_go_is_read_all_the_same() {
    let world = World::new(2000).await;
    world.fake.edit(&(1..=40).map(|nth| Edit::Close(nth * 50)).collect::<Vec<_>>());
    let asked_for = json!({"date_filter": "2025-12-31"});
    let before = world.fake.requests().len();
    let (parts, _) = world.pull(asked_for.clone()).await;
    // The first page of open tickets is read; then one of them is closed, and an old one is opened again.
    let nth = asked(&world)[before..].iter().position(|(_, status, _)| status == "open").unwrap();
    let first: Vec<i64> = parts[nth]["tickets"].as_array().unwrap().iter().map(|t| t["id"].as_i64().unwrap()).collect();
    for _ in 0..nth {
        world.fake.edit_between(Vec::new());
    }
    world.fake.edit_between(vec![Edit::Close(first[3]), Edit::Restate(50, "active".to_owned())]);
    let found = read(&world.pull(asked_for).await);
    for ticket in world.fake.tickets().iter().filter(|ticket| ticket["status"] != "closed") {
        assert!(found.contains_key(&number(&ticket["id"])), "{ticket}");
    }
}

#[tokio::test]
async fn a_list_of_open_tickets_that_was_left_for_long_is_begun_anew() {
    let world = World::new(2000).await;
    for (minutes, page) in [(1, 3), (6, 1)] {
        let mut payload =
            json!({"date_filter": "2025-12-31", "is_full": false, "cursor": null, "pages_read": 0, "covered": null});
        while payload["cursor"]["pass"] != "open" || payload["cursor"]["page"] != 3 {
            let result = world.execute(&job(&payload)).await.result.unwrap();
            payload["cursor"] = result["cursor"].clone();
            payload["pages_read"] = result["pages_read"].clone();
        }
        payload["cursor"]["open"]["read_at"] = json!(jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes));
        world.execute(&job(&payload)).await;
        assert_eq!(asked(&world).last().unwrap(), &("id".to_owned(), "open".to_owned(), page), "{minutes} min");
    }
}

#[tokio::test]
async fn a_sync_since_a_day_says_how_far_it_is() {
    let world = World::new(2000).await;
    let (parts, _) = world.pull(json!({"date_filter": "2025-10-17"})).await;
    for part in &parts {
        let (read, total) = (part["pages_read"].as_u64().unwrap(), part["pages_total"].as_u64().unwrap());
        assert!(read <= total, "{read} of {total}");
    }
    assert_eq!((&parts[0]["pages_total"], &parts[0]["tickets_total"]), (&json!(20), &json!(2000)));
}
