//! When nobody can tell whether a message went out it is not sent again; when it certainly did not, it is.

use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::integrations::{Integration as _, Limits, Still};
use rowcall::job::Job;
use rowcall::outcome::Verdict;
use rowcall::sandbox::whatsapp::{Fault as Script, Kind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Infobip, Meta, SHORT, TEXT, World, assert_fault, assert_parked, fit_for_a_row, limits, plain, with_approved,
};
use crate::process::eventually;

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_message_is_sent_once() {
    for provider in [Meta, Infobip] {
        for (kind, accepted) in [
            (Kind::AcceptThenHang, 1),
            (Kind::AcceptThenClose, 1),
            (Kind::AcceptThenAnswer { status: 200, body: json!("<html>") }, 1),
            (Kind::AcceptThenAnswer { status: 200, body: json!({"messages": []}) }, 1),
            (Kind::AcceptThenAnswer { status: 202, body: json!("") }, 1),
            (Kind::Hang, 0),
            (Kind::Close, 0),
        ] {
            let world = World::new(provider).await;
            world.fake.fault(Script::new(kind.clone()));
            let outcome = world.execute_within(&plain(), SHORT).await;
            let is_lost = !matches!(kind, Kind::AcceptThenAnswer { .. });
            assert_eq!(outcome.verdict, Verdict::Unknown, "{kind:?}");
            assert_eq!(outcome.fault.unwrap().opens_breaker(), is_lost, "{kind:?}: others wait where nobody answers");
            fit_for_a_row(&outcome);
            assert!(outcome.uncertain);
            assert_eq!(outcome.result, Some(json!({"text": TEXT, "made_by": "template"})));
            assert_eq!((world.fake.log().len(), world.fake.requests().len()), (accepted, 1), "{kind:?}");
            // The next attempt is told, and sends nothing.
            let outcome = world.execute(&Job { uncertain: true, attempt: 2, ..plain() }).await;
            assert_fault(&outcome, Fault::Unknowable, "uncertain");
            assert_eq!(world.fake.requests().len(), 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn an_error_page_after_the_request_parks_the_row_and_holds_the_others_back() {
    for provider in [Meta, Infobip] {
        for status in [500, 502, 503, 504] {
            let world = World::new(provider).await;
            let body = json!("<html>Bad gateway</html>");
            world.fake.fault(Script::new(Kind::AcceptThenAnswer { status, body }));
            let outcome = world.execute(&plain()).await;
            assert_eq!(outcome.verdict, Verdict::Unknown, "{status}: {outcome:?}");
            assert!(outcome.fault.unwrap().opens_breaker(), "{status}: {outcome:?}");
            fit_for_a_row(&outcome);
            assert_eq!(world.fake.log().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_uncertain_job_is_not_sent_again_whatever_else_is_wrong() {
    for provider in [Meta, Infobip] {
        let world = World::with(provider, |settings| settings.meta.access_token = None).await;
        let outcome = world.execute(&Job { uncertain: true, ..plain() }).await;
        assert_fault(&outcome, Fault::Unknowable, "uncertain");
        assert!(outcome.uncertain && world.fake.requests().is_empty());
    }
}

#[tokio::test]
async fn the_doubt_about_an_approved_template_names_the_template() {
    let world = World::new(Meta).await;
    world.fake.fault(Script::code(400, 131_047));
    world.fake.fault(Script::new(Kind::AcceptThenClose));
    let outcome = world.execute(&with_approved()).await;
    assert_parked(&outcome, "the second message");
    assert_eq!(outcome.result.unwrap()["made_by"], "approved_template");
    assert_eq!(world.fake.log().len(), 1);
}

#[tokio::test]
async fn where_no_connection_is_made_replies_wait() {
    for provider in [Meta, Infobip] {
        // Nobody listens at the first, the second has no name, and the third speaks no TLS.
        let gone = World::new(provider).await;
        let port_gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = gone.fake.address().replace("http:", "https:");
        for address in [format!("http://127.0.0.1:{port_gone}"), "http://nowhere.invalid".to_owned(), tls] {
            let world = World::with(provider, |settings| *settings = super::settings(provider, &address)).await;
            let outcome = world.execute(&plain()).await;
            assert_fault(&outcome, Fault::Outage, &address);
            assert!(!outcome.uncertain && outcome.error.unwrap().contains("nothing was sent"));
        }
        assert_eq!(gone.fake.requests(), Vec::<Value>::new());
        // The same job goes out once there is a way.
        assert_eq!(gone.execute(&plain()).await.verdict, Verdict::Done);
    }
}

#[tokio::test]
async fn a_request_that_is_run_twice_is_accepted_twice_so_nothing_here_may_repeat_it() {
    // The providers have no idempotency key: this is why a doubt is not repeated.
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        for _ in 0..2 {
            assert_eq!(world.execute(&plain()).await.verdict, Verdict::Done);
        }
        let references: Vec<Value> = world.fake.log().iter().map(|line| line["reference"].clone()).collect();
        assert_eq!(references, [json!("actions:17:2"), json!("actions:17:2")]);
    }
}

#[tokio::test]
async fn a_stop_before_the_request_leaves_the_reply_unsent() {
    let world = World::new(Meta).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let outcome = world.whatsapp.execute(&plain(), &Limits::new(Duration::from_secs(20), stop)).await;
    assert_fault(&outcome, Fault::Interrupted, "stopped");
    assert!(!outcome.uncertain && world.fake.requests().is_empty());
}

#[tokio::test]
async fn a_stop_in_the_middle_waits_for_the_answer() {
    let world = World::new(Meta).await;
    world.fake.fault(Script::new(Kind::Slow(1000)));
    let stop = CancellationToken::new();
    let limits = Limits::new(Duration::from_secs(20), stop.clone());
    let job = plain();
    let stopping = async {
        eventually("the request", || (!world.fake.requests().is_empty()).then_some(())).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(world.whatsapp.execute(&job, &limits), stopping);
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_outlasts_the_stop_is_unknown() {
    let world = World::new(Meta).await;
    world.fake.fault(Script::new(Kind::AcceptThenHang));
    let stop = CancellationToken::new();
    let limits = Limits::new(Duration::from_mins(10), stop.clone());
    let job = plain();
    let stopping = async {
        eventually("the message", || (!world.fake.log().is_empty()).then_some(())).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(world.whatsapp.execute(&job, &limits), stopping);
    assert_fault(&outcome, Fault::Unknowable, "stopped while waiting");
}

#[tokio::test]
async fn a_request_that_was_changed_meanwhile_is_not_sent() {
    for provider in [Meta, Infobip] {
        let world = World::new(provider).await;
        let mut limits = limits(Duration::from_secs(20));
        limits.still = Still::by(|| Box::pin(std::future::ready(false)));
        let outcome = world.whatsapp.execute(&plain(), &limits).await;
        assert_fault(&outcome, Fault::Interrupted, "changed before");
        assert!(outcome.unasked && !outcome.uncertain && world.fake.requests().is_empty());
    }
}
