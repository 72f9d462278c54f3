//! The Fienta integration against the faithful fake CLI, as a real program; the fake's own logs say what really happened.

use std::fs;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::integrations::fienta::{Fienta, Settings};
use rowcall::integrations::{Integration, Limits};
use rowcall::job::Job;
use rowcall::outcome::{Outcome, Verdict};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fake::{EMAIL, Fake, PASSWORD};
use crate::process::{ROWCALL, eventually, gone, is_gone, pid_in};

/// Long enough for the fake to take effect on a busy machine.
const SHORT: Duration = Duration::from_secs(4);

fn limits(timeout: Duration) -> Limits {
    Limits::new(timeout, CancellationToken::new())
}

fn job(status: &str, code: &str, metadata: &Value) -> Job {
    let payload = json!({"code": code, "status": status, "metadata": metadata, "new_code_taken": false});
    Job {
        queue: "codes",
        key: "1".to_owned(),
        generation: 1,
        token: Uuid::new_v4(),
        attempt: 1,
        max_attempts: 4,
        uncertain: false,
        operation: String::new(),
        payload: to_raw_value(&payload).unwrap(),
    }
}

fn uncertain(job: Job) -> Job {
    Job { uncertain: true, ..job }
}

/// The four operations on a code `A` with 20 %, and whether the code has to be there first.
fn operations() -> [(&'static str, Job, bool); 4] {
    [
        ("create", job("creating", "A", &json!({"action": "create", "discount_percent": 20, "max_uses": 5})), false),
        ("update", job("updating", "A", &json!({"action": "update", "new_discount_percent": 30})), true),
        ("rename", job("renaming", "A", &json!({"action": "rename", "new_code": "B"})), true),
        ("delete", job("deleting", "A", &json!({"action": "delete", "previous_status": "active"})), true),
    ]
}

fn read_back(outcome: &Outcome) -> bool {
    outcome.result.as_ref().is_some_and(|result| result["read_back"] == true)
}

fn assert_fault(outcome: &Outcome, fault: Fault, is_uncertain: bool) {
    assert_eq!(
        (outcome.fault, outcome.verdict, outcome.uncertain),
        (Some(fault), fault.verdict(), is_uncertain),
        "{outcome:?}"
    );
    let message = outcome.error.as_deref().unwrap();
    assert!(message.chars().count() <= 500 && !message.contains(EMAIL) && !message.contains(PASSWORD), "{message}");
}

#[tokio::test]
async fn every_operation_takes_effect_once_though_it_is_run_twice() {
    for (verb, job, is_there) in operations() {
        let fake = Fake::new();
        if is_there {
            fake.given("A", "20");
        }
        for run in ["first", "second"] {
            let outcome = fake.execute(&job).await;
            assert_eq!(outcome.verdict, Verdict::Done, "{verb}, {run}: {outcome:?}");
        }
        // An update sets what is set already; that is the one that may be seen twice.
        let expected = if verb == "update" { vec![verb; 2] } else { vec![verb] };
        assert_eq!(fake.effects(), expected);
    }
}

#[tokio::test]
async fn a_created_code_brings_its_place_back() {
    let fake = Fake::new();
    let outcome = fake.execute(&operations()[0].1).await;
    let expected = json!({"metadata": {
        "fienta_discount_id": "100001",
        "fienta_edit_url": "https://fienta.com/my/events/200100/discounts/100001/edit",
    }, "in_effect": {"action": "create", "code": "A"}});
    assert_eq!(outcome.result, Some(expected));
    assert_eq!(fake.runs(), ["create"]);
    let now = &fake.log("effects.jsonl")[0]["now"];
    assert_eq!((&now["discount_percent"], &now["max_uses"]), (&json!("20"), &json!("5")));
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_not_repeated() {
    for kind in ["commit-then-crash", "silent"] {
        for (verb, job, is_there) in operations() {
            let fake = Fake::new();
            fake.given("OTHER", "20");
            if is_there {
                fake.given("A", "20");
            }
            fake.fault(&[kind]);
            let outcome = fake.execute(&job).await;
            assert_eq!(outcome.verdict, Verdict::Done, "{kind} {verb}: {outcome:?}");
            assert!(read_back(&outcome), "{kind} {verb}: {outcome:?}");
            assert_eq!(
                (fake.effects(), fake.runs()),
                (vec![verb.to_owned()], vec![verb.to_owned(), "list".to_owned()])
            );
        }
    }
}

#[tokio::test]
async fn a_run_over_its_time_is_ended_and_read_back() {
    let fake = Fake::new();
    fake.given("OTHER", "20");
    fake.given("A", "20");
    fake.fault(&["commit-then-hang"]);
    let job = job("deleting", "A", &Value::Null);
    let outcome = Fienta::new(fake.settings()).execute(&job, &limits(SHORT)).await;
    assert!(outcome.verdict == Verdict::Done && read_back(&outcome), "{outcome:?}");
    assert_eq!(
        (fake.effects(), fake.runs()),
        (vec!["delete".to_owned()], vec!["delete".to_owned(), "list".to_owned()])
    );
}

#[tokio::test]
async fn what_proves_not_to_be_in_effect_is_tried_again() {
    for kind in ["false-success", "crash", "hang"] {
        let fake = Fake::new();
        fake.given("A", "20");
        fake.fault(&[kind]);
        let job = job("deleting", "A", &Value::Null);
        let outcome = Fienta::new(fake.settings()).execute(&job, &limits(SHORT)).await;
        assert_fault(&outcome, Fault::Transient, false);
        assert_eq!(fake.runs(), ["delete", "list"], "{kind}");
        assert!(fake.effects().is_empty() && fake.has("A"), "{kind}");
        assert_eq!(fake.execute(&job).await.verdict, Verdict::Done);
    }
}

#[tokio::test]
async fn an_uncertain_job_is_read_back_before_anything_else() {
    for (verb, job, is_there) in operations() {
        let fake = Fake::new();
        fake.given("OTHER", "20");
        if is_there {
            fake.given("A", "20");
        }
        let job = uncertain(job);
        let outcome = fake.execute(&job).await;
        assert_eq!((outcome.verdict, fake.runs()), (Verdict::Done, vec!["list".to_owned(), verb.to_owned()]));
        let outcome = fake.execute(&job).await;
        assert!(outcome.verdict == Verdict::Done && read_back(&outcome), "{verb}: {outcome:?}");
        assert_eq!(fake.runs(), ["list", verb, "list"]);
        assert_eq!(fake.effects(), [verb]);
    }
}

#[tokio::test]
async fn an_uncertain_job_is_not_run_while_it_cannot_be_read_back() {
    for (kind, fault) in [
        ("temporary", Fault::Transient),
        ("fail", Fault::Transient),
        ("rate-limited", Fault::Throttled),
        ("bad-login", Fault::Credentials),
        ("site-changed", Fault::Outage),
        ("crash", Fault::Outage),
        ("silent", Fault::Outage),
        ("commit-then-crash", Fault::Transient),
    ] {
        let fake = Fake::new();
        fake.given("A", "20");
        fake.fault(&[kind, "--verb", "list"]);
        let outcome = fake.execute(&uncertain(job("deleting", "A", &Value::Null))).await;
        assert_fault(&outcome, fault, true);
        assert_eq!(fake.runs(), ["list"], "{kind}");
    }
}

#[tokio::test]
async fn a_list_of_nothing_proves_no_absence() {
    let fake = Fake::new();
    fake.given("A", "20");
    fake.fault(&["commit-then-crash"]);
    let delete = job("deleting", "A", &Value::Null);
    assert_fault(&fake.execute(&delete).await, Fault::Transient, true);
    let outcome = fake.execute(&uncertain(delete)).await;
    assert_eq!((outcome.verdict, fake.effects()), (Verdict::Done, vec!["delete".to_owned()]), "{outcome:?}");
    assert_eq!(fake.runs(), ["delete", "list", "list", "delete"]);
    // Of a rename that may have been made, neither name is seen.
    let rename = job("renaming", "A", &json!({"new_code": "B"}));
    assert_fault(&Fake::new().execute(&uncertain(rename)).await, Fault::Transient, true);
}

#[tokio::test]
async fn a_lost_answer_stays_uncertain_where_the_list_fails_too() {
    let fake = Fake::new();
    fake.given("OTHER", "20");
    fake.given("A", "20");
    fake.fault(&["commit-then-crash"]);
    fake.fault(&["bad-login", "--verb", "list"]);
    let job = job("deleting", "A", &Value::Null);
    assert_fault(&fake.execute(&job).await, Fault::Credentials, true);
    let outcome = fake.execute(&uncertain(job)).await;
    assert!(outcome.verdict == Verdict::Done && read_back(&outcome), "{outcome:?}");
    assert_eq!((fake.effects(), fake.runs().len()), (vec!["delete".to_owned()], 3));
}

#[tokio::test]
async fn every_refusal_has_its_fault_and_no_effect() {
    for (kind, fault, is_uncertain) in [
        ("fail", Fault::Transient, false),
        ("temporary", Fault::Transient, false),
        ("rate-limited", Fault::Throttled, false),
        ("bad-login", Fault::Credentials, false),
        ("site-changed", Fault::Outage, true),
    ] {
        let fake = Fake::new();
        fake.given("A", "20");
        fake.fault(&[kind, "--seconds", "80"]);
        let outcome = fake.execute(&job("deleting", "A", &Value::Null)).await;
        assert_fault(&outcome, fault, is_uncertain);
        assert_eq!(outcome.delay, (kind == "rate-limited").then_some(Duration::from_secs(80)));
        assert_eq!((fake.runs(), fake.effects()), (vec!["delete".to_owned()], vec![]));
    }
}

#[tokio::test]
async fn noise_and_slowness_are_no_fault() {
    for arguments in [&["garbage"][..], &["slow", "--seconds", "1"]] {
        let fake = Fake::new();
        fake.fault(arguments);
        let outcome = fake.execute(&operations()[0].1).await;
        assert_eq!((outcome.verdict, fake.runs()), (Verdict::Done, vec!["create".to_owned()]), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_code_that_exists_with_other_terms_is_left_alone() {
    let fake = Fake::new();
    fake.given("A", "10");
    let outcome = fake.execute(&operations()[0].1).await;
    assert_fault(&outcome, Fault::Item, false);
    assert!(outcome.error.unwrap().starts_with("A exists in Fienta already, with another discount_percent;"));
    assert_eq!((fake.runs(), fake.effects()), (vec!["create".to_owned(), "list".to_owned()], vec![]));
}

#[tokio::test]
async fn a_code_that_is_not_there_cannot_be_changed() {
    for (verb, job, _) in operations() {
        let fake = Fake::new();
        let outcome = fake.execute(&job).await;
        match verb {
            "create" | "delete" => assert_eq!(outcome.verdict, Verdict::Done, "{verb}"),
            _ => {
                assert_fault(&outcome, Fault::Item, false);
                assert!(outcome.error.unwrap().starts_with("A is not in Fienta"));
            }
        }
    }
}

#[tokio::test]
async fn a_rename_onto_another_code_is_refused() {
    let fake = Fake::new();
    fake.given("A", "20");
    fake.given("B", "20");
    let outcome = fake.execute(&operations()[2].1).await;
    assert_fault(&outcome, Fault::Item, false);
    assert!(outcome.error.unwrap().starts_with("B exists in Fienta already"));
    assert!(fake.effects().is_empty());
}

#[tokio::test]
async fn a_delete_under_an_old_number_is_not_taken_for_done() {
    let fake = Fake::new();
    fake.given("A", "20");
    let old = job("deleting", "A", &json!({"fienta_discount_id": "7"}));
    let outcome = fake.execute(&old).await;
    assert_fault(&outcome, Fault::Item, false);
    assert!(fake.has("A"));
    assert_eq!(
        fake.execute(&job("deleting", "A", &json!({"fienta_discount_id": 100_001}))).await.verdict,
        Verdict::Done
    );
    assert_eq!(fake.execute(&old).await.verdict, Verdict::Done, "it is gone, under whatever number");
    assert_eq!(fake.effects(), ["delete"]);
}

#[tokio::test]
async fn what_is_wrong_on_the_row_never_reaches_the_cli() {
    let fake = Fake::new();
    for wrong in [
        job("deleting", "--help", &Value::Null),
        job("deleting", "-rf", &Value::Null),
        job("deleting", &"x".repeat(10_000), &Value::Null),
        job("renaming", "A", &json!({"new_code": "-B"})),
        job("deleting", "A", &json!({"action": "create"})),
        job("creating", "A", &json!("text")),
    ] {
        assert_fault(&fake.execute(&wrong).await, Fault::Item, false);
    }
    assert!(fake.runs().is_empty());
}

#[tokio::test]
async fn wrong_settings_spend_nothing_and_are_named() {
    let fake = Fake::new();
    fake.given("A", "20");
    let job = job("deleting", "A", &Value::Null);
    let good = || fake.settings();
    let missing = || vec!["/no/such/program".to_owned()];
    for (settings, fault, name) in [
        (Settings { argv: missing(), ..good() }, Fault::Configuration, "FIENTA_CLI "),
        (Settings { dir: Some("/no/such/dir".into()), ..good() }, Fault::Configuration, "FIENTA_CLI_DIR"),
        (Settings { event_id: Some("5".to_owned()), ..good() }, Fault::Configuration, "FIENTA_EVENT_ID"),
        (Settings { password: Some("wrong".into()), ..good() }, Fault::Credentials, "FIENTA_PASSWORD"),
        (Settings { password: None, ..good() }, Fault::Configuration, "FIENTA_PASSWORD"),
    ] {
        let outcome = Fienta::new(settings).execute(&job, &limits(Duration::from_mins(1))).await;
        assert_fault(&outcome, fault, false);
        let message = outcome.error.unwrap();
        assert!(message.contains(name) && message.contains("codes and orders wait until"), "{message}");
    }
    assert!(fake.effects().is_empty() && fake.has("A"));
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_runs() {
    let settings = Settings {
        argv: vec!["true".to_owned()],
        dir: None,
        email: Some(String::new()),
        password: None,
        event_id: None,
        guard: ROWCALL.into(),
    };
    let missing = Fienta::new(settings).ready().unwrap_err();
    assert_eq!(
        missing,
        "Fienta is not configured: codes and orders wait until FIENTA_EMAIL, FIENTA_PASSWORD, FIENTA_EVENT_ID is set."
    );
    assert_eq!(Fienta::new(Fake::new().settings()).ready(), Ok(()));
}

#[tokio::test]
async fn a_stopped_worker_leaves_an_uncertain_job_and_no_process() {
    let fake = Arc::new(Fake::new());
    fake.given("A", "20");
    fake.fault(&["spawn-child-then-hang"]);
    let limits = limits(Duration::from_mins(1));
    let stop = limits.stop.clone();
    let fienta = Fienta::new(fake.settings());
    let running = tokio::spawn(async move { fienta.execute(&job("deleting", "A", &Value::Null), &limits).await });
    let grandchild = pid_in(&fake.dir.path().join("grandchild.pid")).await;
    stop.cancel();
    assert_fault(&running.await.unwrap(), Fault::Interrupted, true);
    // SIGTERM does not end it, SIGKILL does; whoever inherits it buries it in its own time.
    eventually("the end of the grandchild", || is_gone(grandchild).then_some(())).await;
}

#[tokio::test]
async fn a_worker_that_stops_starts_nothing() {
    let fake = Fake::new();
    let limits = limits(Duration::from_mins(1));
    limits.stop.cancel();
    let outcome = Fienta::new(fake.settings()).execute(&operations()[0].1, &limits).await;
    assert_fault(&outcome, Fault::Interrupted, false);
    assert!(fake.runs().is_empty());
}

#[tokio::test]
async fn a_browser_left_behind_is_ended_and_does_not_hang_us() {
    let fake = Fake::new();
    fake.fault(&["spawn-child"]);
    let outcome = fake.execute(&operations()[0].1).await;
    assert_eq!(outcome.verdict, Verdict::Done, "{outcome:?}");
    gone(pid_in(&fake.dir.path().join("grandchild.pid")).await).await;
}

#[tokio::test]
async fn a_list_of_five_thousand_codes_is_read_whole() {
    let fake = Fake::new();
    fake.given("A", "20");
    let template = fs::read_to_string(fake.dir.path().join("codes/A.json")).unwrap();
    for n in 0..5000 {
        let code = format!("CODE-{n}");
        fs::write(
            fake.dir.path().join(format!("codes/{code}.json")),
            template.replace("\"A\"", &format!("\"{code}\"")),
        )
        .unwrap();
    }
    fake.fault(&["commit-then-crash"]);
    let outcome = fake.execute(&job("deleting", "CODE-2500", &Value::Null)).await;
    assert!(outcome.verdict == Verdict::Done && read_back(&outcome), "{outcome:?}");
    let outcome = fake.execute(&uncertain(job("creating", "CODE-4999", &json!({"discount_percent": 20})))).await;
    assert!(outcome.verdict == Verdict::Done && read_back(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let fake = Fake::new();
    let last = |output: &Output| -> Value {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.lines().count() > 1, "it chats before it answers: {text}");
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    };
    for (arguments, exit_code, kind) in [
        (&["create", "--code=A", "--discount-amount=5.00", "--json"][..], 0, Value::Null),
        (&["create", "--code=A", "--json"], 1, json!("exists")),
        (&["create", "--code=a b", "--json"], 2, json!("validation")),
        (&["update", "--code=B", "--new-max-uses=5", "--json"], 1, json!("not_found")),
        (&["list", "--event-id=200100", "--json"], 0, Value::Null),
        (&["list", "--event-id=5", "--json"], 2, json!("validation")),
    ] {
        let output = fake.cli(arguments);
        let answer = last(&output);
        assert_eq!((output.status.code(), &answer["error"]["kind"]), (Some(exit_code), &kind), "{arguments:?}");
        assert_eq!(answer["ok"], exit_code == 0);
    }
    assert_eq!(fake.cli(&["delete", "--code=A", "--force"]).status.code(), Some(2), "an unknown flag");
    assert_eq!(last(&fake.cli(&["list", "--json"]))["data"]["codes"][0]["discount_amount"], "5.00");
}

#[tokio::test]
async fn a_fault_happens_as_often_as_asked_and_to_whom_it_is_meant_for() {
    let fake = Fake::new();
    fake.fault(&["temporary", "--times", "2", "--code", "A"]);
    let create = |code: &str| fake.cli(&["create", &format!("--code={code}"), "--json"]).status.code();
    assert_eq!([create("B"), create("A"), create("A"), create("A")], [Some(0), Some(75), Some(75), Some(0)]);
    let ends = eventually("every run's end", || {
        let ends = fake.log("runs.jsonl").into_iter().filter(|line| line["event"] == "end").count();
        (ends == 4).then_some(ends)
    });
    assert_eq!(ends.await, 4);
}
