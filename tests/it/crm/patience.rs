//! Throttles: nothing is lost, no attempt is spent, and what the CRM says about its patience is kept to.

use std::time::{Duration, Instant};

use rowcall::failure::Fault;
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::crm::{Fault as Script, Kind, Limit, Limits, Seed, ShopSeed, TenantSeed};
use serde_json::json;

use super::{Commerce7, Shopify, Which, World, add, assert_fault, job, person};

fn near(outcome: &Outcome, seconds: f64) {
    let (delay, asked) = (outcome.delay.unwrap(), Duration::from_secs_f64(seconds));
    assert!((asked..=asked.mul_f64(1.1)).contains(&delay), "{asked:?}: {outcome:?}");
}

#[tokio::test]
async fn patience_is_kept_as_long_as_asked() {
    for (which, usual) in [(Commerce7, 60.0), (Shopify, 2.0)] {
        for (asked, seconds) in [
            (Some("30"), 30.0),
            (Some("0"), if which == Commerce7 { 1.0 } else { 0.0 }),
            (Some("999999"), 3600.0),
            (Some("soon"), usual),
            (None, usual),
        ] {
            let world = World::new().await;
            let retry_after = asked.map(str::to_owned);
            world.fake.fault(Script { retry_after, ..Script::new(Kind::Answer { status: 429, body: json!("") }) });
            let outcome = world.execute(&add(which)).await;
            assert_fault(&outcome, Fault::Throttled, "429");
            near(&outcome, seconds);
        }
    }
}

#[tokio::test]
async fn shopifys_own_arithmetic_says_how_long() {
    let throttled = |requested: serde_json::Value, status: serde_json::Value| {
        json!({
            "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
            "extensions": {"cost": {"requestedQueryCost": requested, "actualQueryCost": null, "throttleStatus": status}},
        })
    };
    let status =
        |available: i64| json!({"maximumAvailable": 1000.0, "currentlyAvailable": available, "restoreRate": 50.0});
    for (body, seconds) in [
        (throttled(json!(752), status(2)), 15.0),
        (throttled(json!(10), status(-40)), 1.0),
        (throttled(json!(10), status(500)), 0.0),
        (throttled(json!(null), status(2)), 2.0),
        (throttled(json!(10), json!(null)), 2.0),
        (throttled(json!(10), json!({"maximumAvailable": 1, "currentlyAvailable": 0, "restoreRate": 0})), 2.0),
    ] {
        let world = World::new().await;
        world.fake.fault(Script::new(Kind::Answer { status: 200, body: body.clone() }).at("customers"));
        let outcome = world.execute(&add(Shopify)).await;
        assert_fault(&outcome, Fault::Throttled, &body.to_string());
        near(&outcome, seconds);
    }
}

/// Jobs of so many customers of `north`, all at once.
fn crowd(world: &World, which: Which, many: usize) -> Vec<Job> {
    let email = |nth: usize| format!("m{nth}.serwaa@example.com");
    let customers: Vec<_> = (0..many).map(|nth| person(&email(nth))).collect();
    world.fake.seed(Seed {
        commerce7: vec![TenantSeed {
            tenant: "north".to_owned(),
            customers: customers.clone(),
            ..TenantSeed::default()
        }],
        shopify: vec![ShopSeed { shop: "north".to_owned(), customers, ..ShopSeed::default() }],
    });
    (0..many).map(|nth| job(which, "add_membership", |p| p["customer"]["email"] = json!(email(nth)))).collect()
}

/// Runs them as workers would, each again when it was told to come; how often each waited.
async fn run_all(world: &World, jobs: &[Job]) -> usize {
    let each = jobs.iter().map(|job| async {
        let mut waits = 0;
        loop {
            let outcome = world.execute(job).await;
            if outcome.verdict == Verdict::Done {
                return waits;
            }
            assert_fault(&outcome, Fault::Throttled, "a wait, and nothing but waits");
            waits += 1;
            tokio::time::sleep(outcome.delay.unwrap()).await;
        }
    });
    futures_util::future::join_all(each).await.into_iter().sum()
}

#[tokio::test]
async fn a_storm_of_throttles_ends_with_nothing_lost_and_nothing_twice() {
    for (which, many, calls_least) in [(Commerce7, 8, 5), (Shopify, 30, 2)] {
        let world = World::with(|settings| settings.commerce7.calls_per_minute = 1200).await;
        let jobs = crowd(&world, which, many);
        // Less than the integration believes, so that the CRM itself must refuse; Shopify's says what it has.
        world.fake.limits(&Limits {
            commerce7: Some(Limit { per_second: 14.0, burst: 6.0 }),
            shopify: Some(Limit { per_second: 150.0, burst: 60.0 }),
            retry_after: Some("0".to_owned()),
        });
        let waits = run_all(&world, &jobs).await;
        assert!(waits > 0, "{which:?}: there was a storm");
        let made = world.effects(if which == Commerce7 { "membership-created" } else { "tags-added" });
        assert_eq!(made.len(), many, "{which:?}");
        let (calls, least) = (world.calls().len(), many * calls_least);
        // Commerce7's word about how long to wait is not true here.
        assert!(calls < 4 * least, "{which:?}: {calls} calls where {least} would do");
    }
}

#[tokio::test]
async fn a_tenant_is_not_called_more_often_than_its_rate() {
    let world = World::with(|settings| settings.commerce7.calls_per_minute = 600).await;
    let jobs = crowd(&world, Commerce7, 15);
    let began = Instant::now();
    // The fake would refuse any that comes too soon: ten at once, and ten a second, with a little for the clocks.
    world.fake.limits(&Limits {
        commerce7: Some(Limit { per_second: 10.5, burst: 12.0 }),
        shopify: None,
        retry_after: None,
    });
    run_all(&world, &jobs).await;
    let calls = world.calls().len();
    assert_eq!(calls, 15 * 5, "none was refused in the middle and made again");
    assert!(began.elapsed() >= Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(world.effects("membership-created").len(), 15);
}
