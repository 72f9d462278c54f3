//! When nobody can tell whether a bundle was bought it is not bought again; when it certainly was not, it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::integrations::{Integration as _, Limits, Still};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use rowcall::sandbox::supplier::{At, Fault as Script, Kind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{LONG, SHORT, World, ago, assert_accepted, assert_fault, fit_for_a_row, job, names, purchase, state};
use crate::process::eventually;

/// After each of these the bundle may have been bought.
fn lost() -> [Kind; 5] {
    let then = |status, body| Kind::AcceptThenAnswer { status, body };
    [
        Kind::AcceptThenHang,
        Kind::AcceptThenClose,
        then(200, json!("<html>Bad gateway</html>")),
        then(200, json!({"whatever": 1})),
        then(502, json!("<html>Bad gateway</html>")),
    ]
}

fn uncertain(change: impl FnOnce(&mut Value)) -> Job {
    Job { uncertain: true, attempt: 2, ..job("purchase", change) }
}

fn purchases(world: &World) -> usize {
    world.fake.requests().iter().filter(|request| request["for"] == "purchase").count()
}

#[tokio::test]
async fn without_references_a_lost_answer_is_unknown_and_bought_once() {
    for name in ["codecraft", "hubnet"] {
        for kind in lost() {
            let world = World::new(name).await;
            world.fake.fault(Script::new(kind.clone()));
            let outcome = world.execute_within(&purchase(), SHORT).await;
            assert_eq!(
                (outcome.verdict, state(&outcome)),
                (Verdict::Unknown, "unknown"),
                "{name} {kind:?}: {outcome:?}"
            );
            assert!(outcome.uncertain);
            fit_for_a_row(&outcome);
            // An error page tells of an outage, so that the others wait rather than end so too.
            let is_outage = matches!(kind, Kind::AcceptThenAnswer { status: 502, .. });
            assert_eq!(outcome.fault.unwrap().opens_breaker(), is_outage, "{kind:?}");
            // The next attempt is told, and buys nothing.
            let outcome = world.execute(&uncertain(|_| {})).await;
            assert_fault(&outcome, Fault::Unknowable, "uncertain");
            assert_eq!((world.fake.book().len(), world.fake.requests().len()), (1, 1), "{name} {kind:?}");
        }
    }
}

#[tokio::test]
async fn where_the_supplier_can_be_asked_by_reference_a_lost_answer_is_looked_up() {
    for kind in lost() {
        let world = World::new("at-ishare").await;
        world.fake.fault(Script::new(kind.clone()));
        let outcome = world.execute_within(&purchase(), SHORT).await;
        assert_eq!((outcome.verdict, state(&outcome)), (Verdict::Done, "delivered"), "{kind:?}: {outcome:?}");
        assert_eq!((world.fake.book().len(), purchases(&world)), (1, 1));
    }
}

#[tokio::test]
async fn what_the_supplier_does_not_find_is_looked_up_again_and_never_bought() {
    for kind in [Kind::Hang, Kind::Close] {
        let world = World::new("at-ishare").await;
        world.fake.fault(Script::new(kind.clone()));
        let outcome = world.execute_within(&purchase(), SHORT).await;
        assert_eq!((outcome.verdict, state(&outcome)), (Verdict::Wait, "in_doubt"), "{kind:?}: {outcome:?}");
        assert!(outcome.uncertain && outcome.delay.is_some());
        fit_for_a_row(&outcome);
        // As often as the row asks, until a day is over.
        for (age, verdict) in [(60, Verdict::Wait), (23 * 3600, Verdict::Wait), (24 * 3600, Verdict::Unknown)] {
            let outcome = world.execute(&uncertain(|payload| payload["doubted_at"] = ago(age))).await;
            assert_eq!((outcome.verdict, outcome.uncertain), (verdict, true), "{age}: {outcome:?}");
            assert_eq!(
                verdict == Verdict::Unknown,
                outcome.error.unwrap().contains("rowcall.retry_fulfillment with force")
            );
        }
        assert_eq!((world.fake.book().len(), purchases(&world)), (0, 1));
    }
}

#[tokio::test]
async fn an_order_in_doubt_goes_on_as_soon_as_the_look_up_tells() {
    let world = World::new("at-ishare").await;
    // The purchase took effect, and neither its answer nor the first look-up came through.
    world.fake.fault(Script::new(Kind::AcceptThenClose));
    world.fake.fault(Script::new(Kind::Close).of_look_up());
    let outcome = world.execute(&purchase()).await;
    assert_eq!((outcome.verdict, state(&outcome)), (Verdict::Wait, "in_doubt"), "{outcome:?}");
    assert_eq!(world.execute(&uncertain(|_| {})).await.verdict, Verdict::Done);
    assert_eq!((world.fake.book().len(), purchases(&world)), (1, 1));
}

#[tokio::test]
async fn where_an_order_is_one_for_each_reference_it_is_sent_again() {
    for name in ["spfastit", "xpress"] {
        for kind in lost() {
            let world = World::new(name).await;
            world.never_deliver();
            // Nor can it be looked up just now.
            world.fake.fault(Script::new(kind.clone()));
            world.fake.fault(Script { at: At::LookUp, ..Script::new(Kind::Close) });
            let outcome = world.execute_within(&purchase(), SHORT).await;
            let is_outage = matches!(kind, Kind::AcceptThenAnswer { status: 502, .. });
            let fault = if is_outage { Fault::Outage } else { Fault::Transient };
            assert_fault(&outcome, fault, &format!("{name} {kind:?}"));
            assert!(outcome.uncertain && state(&outcome) == "in_doubt");
            assert_accepted(&world.execute(&uncertain(|_| {})).await, name);
            assert_eq!(world.fake.orders().len(), 1, "{name} {kind:?}");
        }
    }
}

#[tokio::test]
async fn after_the_window_of_a_reference_nothing_is_sent_again() {
    let world = World::new("xpress").await;
    let outcome = world.execute(&uncertain(|payload| payload["doubted_at"] = ago(24 * 3600))).await;
    assert_eq!((outcome.verdict, outcome.fault), (Verdict::Unknown, Some(Fault::Unknowable)), "the window is over");
    let outcome = world.execute(&uncertain(|payload| payload["created_at"] = json!(null))).await;
    assert_fault(&outcome, Fault::Unknowable, "who knows when it began?");
    assert!(world.fake.requests().is_empty());
    // The other supplier keeps its references for ever.
    let world = World::new("spfastit").await;
    assert_accepted(&world.execute(&uncertain(|payload| payload["doubted_at"] = ago(90 * 86_400))).await, "spfastit");
}

#[tokio::test]
async fn an_order_that_waited_for_a_day_has_its_first_doubt_now() {
    for (name, verdict) in [("at-ishare", Verdict::Wait), ("xpress", Verdict::Retry), ("spfastit", Verdict::Retry)] {
        let world = World::new(name).await;
        world.fake.fault(Script::new(Kind::Close));
        let old = |payload: &mut Value| payload["created_at"] = ago(30 * 3600);
        let outcome = world.execute(&job("purchase", old)).await;
        assert_eq!((outcome.verdict, state(&outcome)), (verdict, "in_doubt"), "{name}: {outcome:?}");
        // The next attempt is told since when.
        let recent = |payload: &mut Value| {
            old(payload);
            payload["doubted_at"] = ago(60);
        };
        let next = world.execute(&uncertain(recent)).await;
        assert!(next.verdict == Verdict::Wait, "{name}: {next:?}");
        assert_eq!(world.fake.orders().len(), usize::from(name != "at-ishare"), "{name}");
    }
}

#[tokio::test]
async fn an_order_that_the_supplier_knows_already_is_looked_up_and_not_bought() {
    let world = World::new("at-ishare").await;
    assert_eq!(world.execute(&purchase()).await.verdict, Verdict::Done);
    // The row forgot, as after a restore from a backup.
    let again = world.execute(&purchase()).await;
    assert_eq!((again.verdict, state(&again)), (Verdict::Done, "delivered"), "{again:?}");
    assert_eq!(world.fake.book().len(), 1);

    let world = World::new("hubnet").await;
    assert_accepted(&world.execute(&purchase()).await, "the first");
    let again = world.execute(&purchase()).await;
    assert_fault(&again, Fault::Unknowable, "it cannot be asked");
    assert!(again.error.unwrap().contains("Duplicate reference"));
    assert_eq!(world.fake.book().len(), 1);
}

#[tokio::test]
async fn where_no_connection_is_made_orders_wait() {
    for name in names() {
        // Nobody listens at the first, the second has no name, and the third speaks no TLS.
        let gone = World::new(name).await;
        let port_gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = gone.fake.address().replace("http:", "https:");
        for address in [format!("http://127.0.0.1:{port_gone}"), "http://nowhere.invalid".to_owned(), tls] {
            let world = World::with(name, |settings| {
                *settings = super::settings(settings.profile.clone(), &address);
            })
            .await;
            let outcome = world.execute(&purchase()).await;
            assert_fault(&outcome, Fault::Outage, &address);
            assert!(!outcome.uncertain && outcome.error.unwrap().contains("nothing was sent"));
            // What was in doubt before, still is.
            if name == "spfastit" {
                assert!(world.execute(&uncertain(|_| {})).await.uncertain);
            }
        }
        assert_eq!(gone.fake.requests(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_refusal_ends_no_doubt() {
    // An earlier attempt may have bought the bundle; the order cannot fail for what comes after.
    let world = World::new("spfastit").await;
    world.fake.fault(Script::new(Kind::Answer { status: 400, body: json!({"message": "Invalid number"}) }));
    let outcome = world.execute(&uncertain(|_| {})).await;
    assert_fault(&outcome, Fault::Unknowable, "refused");
    let outcome = world.execute(&uncertain(|payload| payload["phone_number"] = json!(null))).await;
    assert_fault(&outcome, Fault::Unknowable, "no number any more");
    let outcome = world.execute(&uncertain(|payload| *payload = json!([]))).await;
    assert_fault(&outcome, Fault::Unknowable, "not to be read");
    assert!(outcome.uncertain);
}

#[tokio::test]
async fn the_supplier_that_met_a_fault_of_its_own_is_not_believed() {
    let world = World::new("codecraft").await;
    let body = json!({"status": 500, "message": "Something went wrong"});
    world.fake.fault(Script::new(Kind::AcceptThenAnswer { status: 200, body }));
    assert_fault(&world.execute(&purchase()).await, Fault::Unknowable, "code 500 in a 200");
    assert_eq!(world.fake.book().len(), 1);
}

#[tokio::test]
async fn a_success_counts_only_with_the_status_of_one() {
    let body = json!({"status": 200, "message": "Order placed successfully"});
    for (status, fault) in [(500, Fault::Outage), (202, Fault::Unknowable)] {
        let world = World::new("codecraft").await;
        let body = if status == 500 { body.clone() } else { json!("{\"status\":200") };
        world.fake.fault(Script::new(Kind::AcceptThenAnswer { status, body }));
        let outcome = world.execute(&purchase()).await;
        assert_eq!((outcome.verdict, outcome.fault), (Verdict::Unknown, Some(fault)), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_reference_that_the_supplier_gives_to_another_order_is_not_sent_again() {
    let world = World::new("xpress").await;
    assert_accepted(&world.execute(&purchase()).await, "the first");
    let other = world.execute(&job("purchase", |payload| payload["phone_number"] = json!("0271234567"))).await;
    assert_fault(&other, Fault::Unknowable, "the conflict");
    assert_eq!((state(&other), world.fake.book().len()), ("unknown", 1));
}

#[tokio::test]
async fn an_order_that_went_to_another_supplier_is_not_bought_here() {
    // Somebody has changed AT_ISHARE_PROFILE meanwhile; its references may have another form, too.
    for name in names() {
        let world = World::new(name).await;
        let elsewhere = |payload: &mut Value| {
            payload["supplier"] = json!("gone");
            payload["accepted_at"] = ago(60);
        };
        for (what, job) in [("in doubt", uncertain(elsewhere)), ("accepted", job("look_up", elsewhere))] {
            let outcome = world.execute(&job).await;
            assert_fault(&outcome, Fault::Unknowable, &format!("{name}, {what}"));
            assert!(outcome.error.unwrap().contains("gone") && outcome.result.unwrap()["supplier"] == "gone");
        }
        let short = |payload: &mut Value| {
            payload["reference"] = json!("two words");
            payload["accepted_at"] = ago(60);
        };
        assert_fault(
            &world.execute(&job("look_up", short)).await,
            Fault::Unknowable,
            "what was accepted does not fail",
        );
        assert!(world.fake.requests().is_empty());
        // Nothing is left of it at the other one: this one sells.
        let fresh = world.execute(&job("purchase", |payload| payload["supplier"] = json!("gone"))).await;
        assert!(fresh.fault.is_none() && fresh.result.unwrap()["supplier"] == name);
    }
}

#[tokio::test]
async fn a_stop_before_the_request_leaves_the_bundle_unbought() {
    for name in names() {
        let world = World::new(name).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let outcome = world.supplier.execute(&purchase(), &Limits::new(LONG, stop)).await;
        assert_fault(&outcome, Fault::Interrupted, name);
        assert!(!outcome.uncertain && world.fake.requests().is_empty());
    }
}

#[tokio::test]
async fn an_order_that_is_cancelled_while_it_waits_for_its_turn_is_not_bought() {
    let world = World::with("codecraft", |settings| {
        settings.profile.rate.per_s = 1000;
        settings.profile.rate.concurrency = 1;
    })
    .await;
    // The one before it is answered after a while, and has the only turn until then.
    world.fake.fault(Script::new(Kind::Slow(1500)));
    let stands = Arc::new(AtomicBool::new(true));
    let mut limits = Limits::new(LONG, CancellationToken::new());
    let asked = Arc::clone(&stands);
    limits.still = Still::by(move || {
        let stands = asked.load(Ordering::SeqCst);
        Box::pin(async move { stands })
    });
    let (ahead, behind) = (purchase(), purchase());
    let waits = async {
        eventually("the request", || (!world.fake.requests().is_empty()).then_some(())).await;
        tokio::join!(world.supplier.execute(&behind, &limits), async {
            // By now it has begun, and waits.
            tokio::task::yield_now().await;
            stands.store(false, Ordering::SeqCst);
        })
    };
    let (ahead, (behind, ())) = tokio::join!(world.execute(&ahead), waits);
    assert_accepted(&ahead, "the one ahead");
    assert_fault(&behind, Fault::Interrupted, "the one behind");
    assert_eq!(world.fake.orders().len(), 1);
}

/// Stops the worker as soon as the purchase is in the book.
async fn stopped_after_the_effect(name: &str) -> (World, Outcome) {
    let world = World::new(name).await;
    world.fake.fault(Script::new(Kind::AcceptThenHang));
    let stop = CancellationToken::new();
    let limits = Limits::new(Duration::from_mins(10), stop.clone());
    let job = purchase();
    let stopping = async {
        eventually("the bundle", || (!world.fake.book().is_empty()).then_some(())).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(world.supplier.execute(&job, &limits), stopping);
    (world, outcome)
}

#[tokio::test]
async fn a_stop_while_the_answer_is_awaited_leaves_a_doubt() {
    for (name, verdict) in [("codecraft", Verdict::Unknown), ("at-ishare", Verdict::Wait), ("spfastit", Verdict::Wait)]
    {
        let (world, outcome) = stopped_after_the_effect(name).await;
        assert_eq!((outcome.verdict, outcome.uncertain), (verdict, true), "{name}: {outcome:?}");
        fit_for_a_row(&outcome);
        world.execute(&uncertain(|_| {})).await;
        assert_eq!(world.fake.book().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_waits_for_the_answer() {
    let world = World::new("codecraft").await;
    world.fake.fault(Script::new(Kind::Slow(1000)));
    let stop = CancellationToken::new();
    let limits = Limits::new(LONG, stop.clone());
    let job = purchase();
    let stopping = async {
        eventually("the request", || (!world.fake.requests().is_empty()).then_some(())).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(world.supplier.execute(&job, &limits), stopping);
    assert_accepted(&outcome, "codecraft");
}
