//! Everything may be run again: twice, after a lost answer, and after one whose look was lost too.

use rowcall::failure::Fault;
use rowcall::integrations::{Integration as _, Limits, Still};
use rowcall::outcome::Verdict;
use rowcall::sandbox::crm::{Fault as Script, Kind};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::{
    Commerce7, EMAIL, SHORT, Shopify, Which, World, add, add_silver, again, assert_fault, cancel, job, limits, upgrade,
};
use crate::process::eventually;

/// Every operation, with what must be there before and with the clubs that are left after it.
fn operations(which: Which) -> [(rowcall::job::Job, bool, &'static [&'static str]); 3] {
    [(add(which), false, &["gold"]), (cancel(which), true, &[]), (upgrade(which), true, &["gold"])]
}

async fn prepared(which: Which, operation: &str, is_member: bool) -> World {
    let world = World::new().await;
    match (is_member, operation) {
        (true, "upgrade_membership") => drop(world.done(&add_silver(which)).await),
        (true, _) => drop(world.done(&add(which)).await),
        _ => {}
    }
    world
}

fn clubs(world: &World, which: Which) -> Vec<String> {
    let mut all = world.member_of(which, EMAIL);
    if which == Shopify {
        assert_eq!(all.drain(..2).collect::<Vec<_>>(), ["vip", "Newsletter"], "the tags of others stay");
    }
    all
}

#[tokio::test]
async fn each_operation_twice_leaves_one_membership() {
    for which in Which::BOTH {
        for (job, is_member, left) in operations(which) {
            let world = prepared(which, &job.operation, is_member).await;
            let first = world.done(&job).await;
            let effects = world.fake.log().len();
            let second = world.done(&job).await;
            assert_eq!(clubs(&world, which), left, "{which:?} {}", job.operation);
            assert_eq!(world.fake.log().len(), effects, "{which:?} {}: the second changes nothing", job.operation);
            assert_eq!(first["crm_customer_id"], second["crm_customer_id"]);
            if which == Commerce7 {
                assert_eq!((&first["changed"], &second["changed"]), (&json!(true), &json!(false)));
            }
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_at_once() {
    for which in Which::BOTH {
        for kind in [
            Kind::AcceptThenHang,
            Kind::AcceptThenClose,
            Kind::AcceptThenAnswer { status: 500, body: json!("<html>") },
            Kind::AcceptThenAnswer { status: 502, body: json!({"errors": "Bad gateway"}) },
            Kind::AcceptThenAnswer { status: 408, body: json!("") },
            Kind::AcceptThenAnswer { status: 200, body: json!("<html>") },
            Kind::AcceptThenAnswer { status: 200, body: json!({}) },
            Kind::AcceptThenAnswer { status: 204, body: json!("") },
        ] {
            for (job, is_member, left) in operations(which) {
                let what = format!("{which:?} {} {kind:?}", job.operation);
                let world = prepared(which, &job.operation, is_member).await;
                world.fake.fault(Script::new(kind.clone()).at(which.change(&job.operation)));
                let outcome = world.execute_within(&job, SHORT).await;
                assert_eq!((outcome.verdict, outcome.uncertain), (Verdict::Done, false), "{what}: {outcome:?}");
                assert_eq!(clubs(&world, which), left, "{what}");
                world.done(&job).await;
                assert_eq!(clubs(&world, which), left, "{what}, again");
            }
        }
    }
}

#[tokio::test]
async fn where_the_look_is_lost_too_the_row_waits_and_the_next_attempt_leaves_one() {
    for which in Which::BOTH {
        for (job, is_member, left) in operations(which) {
            for (kind, effect) in [(Kind::AcceptThenClose, true), (Kind::Close, false)] {
                let what = format!("{which:?} {} {kind:?}", job.operation);
                let world = prepared(which, &job.operation, is_member).await;
                let before = clubs(&world, which);
                // The first look lists what there is; those after the change fail.
                let look = Script { times: 3, ..Script::new(Kind::Answer { status: 503, body: json!("") }) };
                world.fake.fault(Script::new(kind).at(which.change(&job.operation)));
                let skipped = usize::from(which == Commerce7);
                for _ in 0..skipped {
                    world.fake.fault(Script::new(Kind::Slow(1)).at(which.look()));
                }
                world.fake.fault(look.at(which.look()));
                let outcome = world.execute(&job).await;
                assert_fault(&outcome, Fault::Outage, &what);
                assert!(outcome.uncertain, "{what}");
                assert_eq!(clubs(&world, which) != before, effect, "{what}");
                // Only what is remembered goes into the next attempt.
                let next = again(&job, &outcome.result.unwrap());
                let mut last = world.execute(&next).await;
                while last.verdict == Verdict::Wait {
                    last = world.execute(&next).await;
                }
                assert_eq!((last.verdict, last.uncertain), (Verdict::Done, false), "{what}: {last:?}");
                assert_eq!(clubs(&world, which), left, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_success_with_errors_is_none_unless_it_took_effect() {
    let errors = json!({"errors": [{"field": "clubId", "message": "is closed"}]});
    for (kind, verdict, left) in [
        (Kind::Answer { status: 200, body: errors.clone() }, Verdict::Failed, vec![]),
        (Kind::AcceptThenAnswer { status: 200, body: errors }, Verdict::Done, vec!["gold"]),
    ] {
        let world = World::new().await;
        world.fake.fault(Script::new(kind).at("POST /club-membership"));
        let outcome = world.execute(&add(Commerce7)).await;
        assert_eq!((outcome.verdict, outcome.uncertain), (verdict, false), "{outcome:?}");
        assert_eq!(world.member_of(Commerce7, EMAIL), left);
        assert!(outcome.error.is_none_or(|error| error.contains("clubId: is closed")));
    }
}

#[tokio::test]
async fn a_cancellation_that_is_taken_and_not_done_is_tried_again() {
    let world = prepared(Commerce7, "cancel_membership", true).await;
    let membership = world.effects("membership-created")[0].clone();
    let shown = json!({
        "id": membership["membership_id"], "customerId": membership["customer_id"], "clubId": "gold", "status": "Active",
    });
    world.fake.fault(Script::new(Kind::Answer { status: 200, body: shown }).at("PUT /club-membership"));
    assert_fault(&world.execute(&cancel(Commerce7)).await, Fault::Transient, "still active");
    world.done(&cancel(Commerce7)).await;
}

#[tokio::test]
async fn every_membership_of_the_club_ends_and_none_of_another() {
    let world = World::new().await;
    world.done(&add_silver(Commerce7)).await;
    // Two in one club: somebody else has made the second, while the list did not show the first.
    world.done(&add(Commerce7)).await;
    let hidden = json!({"clubMemberships": [], "total": 0});
    world.fake.fault(Script::new(Kind::Answer { status: 200, body: hidden }).at("GET /club-membership"));
    world.done(&add(Commerce7)).await;
    assert_eq!(world.member_of(Commerce7, EMAIL), ["silver", "gold", "gold"]);
    world.done(&cancel(Commerce7)).await;
    assert_eq!(world.member_of(Commerce7, EMAIL), ["silver"]);
    assert!(world.effects("membership-cancelled").iter().all(|effect| effect["reason"] == "Other"));
}

#[tokio::test]
async fn an_earlier_doubt_stays_until_the_crm_has_shown_how_things_stand() {
    for which in Which::BOTH {
        for (kind, is_uncertain) in [(Kind::Answer { status: 503, body: json!("") }, true), (Kind::Slow(1), false)] {
            let world = World::new().await;
            let search = if which == Commerce7 { "GET /customer" } else { "customers" };
            world.fake.fault(Script::new(kind.clone()).at(search));
            let job = again(&add(which), &json!({}));
            let outcome = world.execute(&job).await;
            assert_eq!(
                (outcome.uncertain, outcome.verdict == Verdict::Wait),
                (is_uncertain, is_uncertain),
                "{which:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_look_whose_connection_breaks_is_made_once_more() {
    for (which, search) in [(Commerce7, "GET /customer"), (Shopify, "customers")] {
        let world = World::new().await;
        world.fake.fault(Script::new(Kind::Close).at(search));
        world.done(&add(which)).await;
        world.fake.fault(Script { times: 2, ..Script::new(Kind::Close).at(search) });
        let outcome = world.execute(&add(which)).await;
        assert_fault(&outcome, Fault::Outage, "twice is an outage");
        assert!(!outcome.uncertain);
    }
}

#[tokio::test]
async fn a_stop_before_the_first_call_calls_nobody() {
    for which in Which::BOTH {
        let world = World::new().await;
        let stop = CancellationToken::new();
        stop.cancel();
        let outcome = world.crm.execute(&add(which), &Limits::new(Duration::from_secs(20), stop)).await;
        assert_fault(&outcome, Fault::Interrupted, "stopped");
        assert!(!outcome.uncertain && world.fake.requests().is_empty());
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_change_waits_for_its_answer_and_else_leaves_a_doubt() {
    for which in Which::BOTH {
        for (kind, fault) in [(Kind::Slow(1000), None), (Kind::AcceptThenHang, Some(Fault::Interrupted))] {
            let world = World::new().await;
            world.fake.fault(Script::new(kind).at(which.change("add_membership")));
            let stop = CancellationToken::new();
            let limits = Limits::new(Duration::from_mins(10), stop.clone());
            let change = which.change("add_membership");
            let stopping = async {
                eventually("the change", || world.calls().iter().any(|call| call == change).then_some(())).await;
                stop.cancel();
            };
            let job = add(which);
            let (outcome, ()) = tokio::join!(world.crm.execute(&job, &limits), stopping);
            assert_eq!((outcome.fault, outcome.uncertain), (fault, fault.is_some()), "{which:?} {outcome:?}");
            world.done(&job).await;
            assert_eq!(clubs(&world, which), ["gold"]);
        }
    }
}

#[tokio::test]
async fn a_request_that_was_changed_meanwhile_changes_nothing_more() {
    for which in Which::BOTH {
        let world = World::new().await;
        world.done(&add_silver(which)).await;
        // An upgrade's first step still stands, its second does not.
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let still = Still::by(move || {
            let is_first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move { is_first })
        });
        let limits = Limits { still, ..limits(Duration::from_secs(20)) };
        let outcome = world.crm.execute(&upgrade(which), &limits).await;
        assert_fault(&outcome, Fault::Interrupted, "changed between the steps");
        assert!(!outcome.uncertain && outcome.result.unwrap()["steps"]["new_membership_id"].is_string());
        assert_eq!(
            (asked.load(Ordering::SeqCst), clubs(&world, which)),
            (2, vec!["silver".to_owned(), "gold".to_owned()])
        );
    }
}

#[tokio::test]
async fn somebody_elses_membership_in_a_list_is_not_touched() {
    let world = World::new().await;
    let foreign = json!({"clubMemberships": [
        {"id": "m-1", "customerId": "somebody-else", "clubId": "gold", "status": "Active"},
    ], "total": 1});
    for operation in ["add_membership", "cancel_membership"] {
        world.fake.fault(Script::new(Kind::Answer { status: 200, body: foreign.clone() }).at("GET /club-membership"));
        world.done(&job(Commerce7, operation, |_| {})).await;
    }
    assert_eq!(world.member_of(Commerce7, EMAIL), ["gold"], "made, as if the list were empty, and not cancelled by it");
    assert!(!world.calls().iter().any(|call| call.starts_with("PUT")), "{:?}", world.calls());
}
