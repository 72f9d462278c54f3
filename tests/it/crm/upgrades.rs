//! An upgrade is two steps that are remembered, in the order of the setting.

use rowcall::failure::Fault;
use rowcall::integrations::crm::UpgradeOrder;
use rowcall::sandbox::crm::{Fault as Script, Kind};
use serde_json::{Value, json};

use super::{Commerce7, EMAIL, Shopify, Which, World, add, add_silver, again, assert_fault, cancel, job, upgrade};

use UpgradeOrder::{AddFirst, CancelFirst};

async fn member(which: Which, order: UpgradeOrder) -> World {
    let world = World::with(|settings| settings.upgrade_order = order).await;
    world.done(&add_silver(which)).await;
    world
}

fn tiers(world: &World, which: Which) -> Vec<String> {
    world.member_of(which, EMAIL).into_iter().filter(|name| name == "gold" || name == "silver").collect()
}

#[tokio::test]
async fn the_order_of_the_steps_is_the_settings() {
    for which in Which::BOTH {
        for (order, effects) in [
            (AddFirst, ["membership-created", "membership-cancelled", "tags-added", "tags-removed"]),
            (CancelFirst, ["membership-cancelled", "membership-created", "tags-removed", "tags-added"]),
        ] {
            let world = member(which, order).await;
            world.done(&upgrade(which)).await;
            let log: Vec<Value> = world.fake.log()[1..].iter().map(|effect| effect["effect"].clone()).collect();
            let expected = if which == Commerce7 { &effects[..2] } else { &effects[2..] };
            assert_eq!(log, expected, "{which:?} {order:?}");
            assert_eq!(tiers(&world, which), ["gold"]);
        }
    }
}

#[tokio::test]
async fn a_step_that_is_done_is_remembered_when_the_other_fails() {
    for which in Which::BOTH {
        for (order, between) in [(AddFirst, vec!["silver", "gold"]), (CancelFirst, vec![])] {
            let world = member(which, order).await;
            let second = if order == AddFirst { "cancel_membership" } else { "add_membership" };
            let down = Kind::Answer { status: 503, body: json!("") };
            world.fake.fault(Script { times: 2, ..Script::new(down.clone()).at(which.change(second)) });
            if which == Shopify {
                world.fake.fault(Script::new(down).at("customer"));
            }
            let outcome = world.execute(&upgrade(which)).await;
            assert_fault(&outcome, Fault::Outage, "the second step");
            assert_eq!(tiers(&world, which), between, "{which:?} {order:?}");
            let result = outcome.result.unwrap();
            let (added, cancelled) = (&result["steps"]["new_membership_id"], &result["steps"]["cancelled_old_at"]);
            assert_eq!((added.is_string(), cancelled.is_string()), (order == AddFirst, order == CancelFirst));

            let next = again(&upgrade(which), &result);
            let mut outcome = world.execute(&next).await;
            while outcome.fault == Some(Fault::Outage) {
                outcome = world.execute(&next).await;
            }
            assert_eq!(outcome.fault, None, "{outcome:?}");
            assert_eq!(tiers(&world, which), ["gold"], "{which:?} {order:?}");
            let result = outcome.result.unwrap();
            assert!(
                result["steps"]["new_membership_id"].is_string() && result["steps"]["cancelled_old_at"].is_string()
            );
        }
    }
}

#[tokio::test]
async fn a_remembered_step_is_not_done_again_even_where_a_person_undid_it() {
    for which in Which::BOTH {
        let world = member(which, AddFirst).await;
        let steps = json!({"new_membership_id": "m-1", "cancelled_old_at": "2026-03-01T10:00:00Z"});
        let outcome = world.execute(&job(which, "upgrade_membership", |p| p["steps"] = steps.clone())).await;
        let result = outcome.result.unwrap();
        assert_eq!((outcome.fault, &result["steps"], &result["crm_membership_id"]), (None, &steps, &json!("m-1")));
        assert_eq!(tiers(&world, which), ["silver"], "nothing is done");
        let half = json!({"new_membership_id": "m-1", "cancelled_old_at": null});
        world.done(&job(which, "upgrade_membership", |p| p["steps"] = half)).await;
        assert_eq!(tiers(&world, which), Vec::<String>::new(), "only what is left to do");
    }
}

#[tokio::test]
async fn an_upgrade_from_nothing_or_from_the_same_only_adds() {
    for which in Which::BOTH {
        let world = World::new().await;
        for previous in [json!(null), json!({"crm_club_id": "gold", "tag": "GOLD"})] {
            world.done(&job(which, "upgrade_membership", |p| p["previous_club"] = previous)).await;
            assert_eq!(tiers(&world, which), ["gold"], "{which:?}");
        }
        // Not a member of what it leaves: there is nothing to cancel.
        world.done(&upgrade(which)).await;
        assert_eq!(tiers(&world, which), ["gold"], "{which:?}");
    }
}

#[tokio::test]
async fn the_new_membership_goes_where_the_old_one_went() {
    let world = member(Commerce7, CancelFirst).await;
    world.done(&upgrade(Commerce7)).await;
    let made: Vec<Value> = world
        .fake
        .requests()
        .into_iter()
        .filter(|request| request["call"] == "POST /club-membership")
        .map(|request| request["body"].clone())
        .collect();
    for name in ["billToCustomerAddressId", "shipToCustomerAddressId", "customerCreditCardId", "orderDeliveryMethod"] {
        assert!(made[0][name].is_string() && made[0][name] == made[1][name], "{name}");
    }
    let lookups = world.fake.requests().iter().filter(|request| request["call"] == "GET /customer").count();
    assert_eq!(lookups, 4, "a search each, and the address and the card of the first alone");
}

#[tokio::test]
async fn a_member_who_comes_back_is_a_member_again() {
    for which in Which::BOTH {
        let world = World::new().await;
        for _ in 0..2 {
            world.done(&add(which)).await;
            assert_eq!(tiers(&world, which), ["gold"]);
            world.done(&cancel(which)).await;
            assert_eq!(tiers(&world, which), Vec::<String>::new());
        }
    }
}

/// The tier has moved to another club or tag since the customer joined.
#[tokio::test]
async fn what_was_made_is_what_is_ended() {
    for which in Which::BOTH {
        let world = World::new().await;
        let made = world.done(&add_silver(which)).await["crm_membership_id"].clone();
        let leave = job(which, "cancel_membership", |payload| payload["membership_id"] = made.clone());
        let result = world.done(&leave).await;
        assert_eq!((tiers(&world, which), &result["crm_membership_id"]), (vec![], &made), "{which:?}");
        // Its answer was lost: it is over, and that is known.
        world.done(&leave).await;

        let made = world.done(&add_silver(which)).await["crm_membership_id"].clone();
        let moved = |payload: &mut Value| {
            payload["membership_id"] = made.clone();
            payload["previous_club"] = json!({"crm_club_id": "bronze", "tag": "bronze"});
        };
        world.done(&job(which, "upgrade_membership", moved)).await;
        assert_eq!(tiers(&world, which), ["gold"], "{which:?}");
    }
    let world = World::new().await;
    let unknown = |payload: &mut Value| payload["membership_id"] = json!("00000000-0000-4000-8000-000000000000");
    let outcome = world.execute(&job(Commerce7, "cancel_membership", unknown)).await;
    assert_fault(&outcome, Fault::Item, "it is gone, and nobody knows how");
    assert_eq!(world.fake.log(), Vec::<Value>::new());
    world.done(&add(Commerce7)).await;
    world.done(&job(Commerce7, "cancel_membership", unknown)).await;
    assert_eq!(tiers(&world, Commerce7), Vec::<String>::new(), "another of the club was there to be ended");
}
