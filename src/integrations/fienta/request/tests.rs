//! What reaches the argv, and what is said where nothing does.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

fn job(payload: &str) -> Job {
    Job {
        queue: "codes",
        key: "1".to_owned(),
        generation: 1,
        token: Uuid::nil(),
        attempt: 1,
        max_attempts: 4,
        uncertain: false,
        operation: String::new(),
        payload: RawValue::from_string(payload.to_owned()).unwrap(),
    }
}

fn argv(status: &str, metadata: &str) -> String {
    let payload =
        format!(r#"{{"code": "A.b_C-1", "status": "{status}", "metadata": {metadata}, "new_code_taken": false}}"#);
    Request::of(&job(&payload)).unwrap_or_else(|wrong| panic!("{metadata}: {wrong}")).argv().join(" ")
}

fn wrong(payload: &Value) -> String {
    Request::of(&job(&payload.to_string())).expect_err(&payload.to_string()).to_string()
}

fn wrong_metadata(status: &str, metadata: &Value) -> String {
    wrong(&json!({"code": "A", "status": status, "metadata": metadata}))
}

#[test]
fn every_operation_has_its_flags() {
    for (status, metadata, expected) in [
        ("creating", "null", "create --code=A.b_C-1"),
        (
            "creating",
            r#"{"discount_percent": 20, "max_uses": 5}"#,
            "create --code=A.b_C-1 --discount-percent=20 --max-uses=5",
        ),
        ("creating", r#"{"discount_amount": 5.10}"#, "create --code=A.b_C-1 --discount-amount=5.10"),
        (
            "creating",
            r#"{"discount_amount": "5.00", "discount_percent": null}"#,
            "create --code=A.b_C-1 --discount-amount=5.00",
        ),
        (
            "creating",
            r#"{"discount_percent": "12.50", "max_uses": 5.0}"#,
            "create --code=A.b_C-1 --discount-percent=12.5 --max-uses=5",
        ),
        (
            "creating",
            r#"{"expires_at": "2026-12-31", "description": "--x 'y'"}"#,
            "create --code=A.b_C-1 --expires-at=2026-12-31 --description=--x 'y'",
        ),
        (
            "updating",
            r#"{"action": "update", "new_discount_percent": 30, "max_uses": "junk"}"#,
            "update --code=A.b_C-1 --new-discount-percent=30",
        ),
        (
            "updating",
            r#"{"new_expires_at": "2026-12-31T10:00:00.000Z", "new_description": ""}"#,
            "update --code=A.b_C-1 --new-expires-at=2026-12-31T10:00:00.000Z --new-description=",
        ),
        ("renaming", r#"{"new_code": "B"}"#, "rename --code=A.b_C-1 --new-code=B"),
        ("deleting", r#"{"action": null}"#, "delete --code=A.b_C-1"),
        ("deleting", r#"{"fienta_discount_id": 123456}"#, "delete --code=A.b_C-1 --discount-id=123456"),
        ("deleting", r#"{"fienta_discount_id": "a-1"}"#, "delete --code=A.b_C-1 --discount-id=a-1"),
    ] {
        assert_eq!(argv(status, metadata), expected);
    }
}

#[test]
fn what_is_wrong_is_said_in_terms_of_the_row() {
    let long = "y".repeat(501);
    for (status, metadata, start) in [
        ("deleting", json!([]), "metadata is []. Allowed is an object."),
        ("deleting", json!("x"), "metadata is \"x\"."),
        ("deleting", json!({"action": "x"}), "metadata.action is \"x\", which is unknown. Allowed are create,"),
        ("deleting", json!({"action": 5}), "metadata.action is 5, which is unknown."),
        (
            "deleting",
            json!({"action": "create"}),
            "metadata.action is \"create\", but status \"deleting\" asks for \"delete\".",
        ),
        ("deleting", json!({"fienta_discount_id": "../x"}), "metadata.fienta_discount_id is \"../x\"."),
        ("deleting", json!({"fienta_discount_id": 1.5}), "metadata.fienta_discount_id is 1.5."),
        ("creating", json!({"discount_percent": 0}), "metadata.discount_percent is 0. Allowed is a number above 0"),
        ("creating", json!({"discount_percent": 100.01}), "metadata.discount_percent is 100.01."),
        ("creating", json!({"discount_percent": "20%"}), "metadata.discount_percent is \"20%\"."),
        ("creating", json!({"discount_percent": 1e300}), "metadata.discount_percent is 1e+300."),
        ("creating", json!({"discount_amount": "-5"}), "metadata.discount_amount is \"-5\"."),
        ("creating", json!({"discount_amount": 5.005}), "metadata.discount_amount is 5.005."),
        ("creating", json!({"discount_amount": 5, "discount_percent": 5}), "metadata has both discount_percent and"),
        ("creating", json!({"max_uses": 0}), "metadata.max_uses is 0. Allowed is a whole number from 1"),
        ("creating", json!({"max_uses": 1.5}), "metadata.max_uses is 1.5."),
        ("creating", json!({"max_uses": 1_000_001}), "metadata.max_uses is 1000001."),
        ("creating", json!({"max_uses": [5]}), "metadata.max_uses is [5]."),
        ("creating", json!({"expires_at": "soon"}), "metadata.expires_at is \"soon\". Allowed is a date like"),
        ("creating", json!({"description": "a\nb"}), "metadata.description is \"a\\nb\"."),
        ("creating", json!({"description": long}), "metadata.description is \"yyyy"),
        ("updating", json!({}), "metadata has nothing to update: set at least one of new_discount_percent"),
        ("updating", json!({"new_max_uses": null, "max_uses": 5}), "metadata has nothing to update"),
        ("updating", json!({"new_max_uses": true}), "metadata.new_max_uses is true."),
        ("renaming", Value::Null, "metadata.new_code is missing. Allowed are 1 to 64 letters"),
        ("renaming", json!({"new_code": "--help"}), "metadata.new_code is \"--help\"."),
        ("renaming", json!({"new_code": "A"}), "metadata.new_code is \"A\", which is the code's present name."),
        ("created", Value::Null, "The status is \"created\", which asks for nothing. Allowed are creating,"),
    ] {
        let message = wrong_metadata(status, &metadata);
        assert!(message.starts_with(start), "{metadata}: {message}");
    }
}

#[test]
fn a_taken_new_code_is_refused() {
    let payload = json!({"code": "A", "status": "renaming", "metadata": {"new_code": "B"}, "new_code_taken": true});
    assert!(wrong(&payload).starts_with("metadata.new_code is \"B\", which another row has already."));
}

#[test]
fn a_wrong_code_is_refused_and_not_echoed_whole() {
    for code in [
        json!("-x"),
        json!(""),
        json!("a b"),
        json!("é"),
        json!(5),
        json!(null),
        json!("x".repeat(65)),
        json!("a\u{0}"),
    ] {
        let message = wrong(&json!({"code": code, "status": "deleting"}));
        assert!(message.starts_with("The code is "), "{message}");
    }
    assert!(wrong(&json!({"code": "x".repeat(10_000), "status": "deleting"})).len() < 250);
}

#[test]
fn a_wrong_value_is_shown_without_addresses() {
    let message = wrong_metadata("creating", &json!({"max_uses": "ask ama@example.com or +233 24 123 4567"}));
    assert!(message.starts_with("metadata.max_uses is \"ask ••• or •••\"."), "{message}");
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    for payload in ["null", "[]", "5", r#"{"new_code_taken": 5}"#] {
        assert!(Request::of(&job(payload)).is_err(), "{payload}");
    }
}

/// Values as a user may leave them: plausible, nearly right, and hostile.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..200i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{1,4}(\\.[0-9]{1,3})?".prop_map(Value::from),
        "-{0,2}[a-zA-Z0-9._=-]{0,70}".prop_map(Value::from),
        "20[2-3][0-9]-[01][0-9]-[0-3][0-9](T1[0-9]:00:00Z)?".prop_map(Value::from),
        "(create|update|rename|delete)".prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Value> {
    let key =
        "(new_)?(discount_percent|discount_amount|max_uses|expires_at|description|code)|fienta_discount_id|action";
    prop_oneof![
        9 => proptest::collection::hash_map(key, value(), 0..4).prop_map(|map| json!(map)),
        1 => value(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_reaches_the_argv_but_flags_with_their_value(
        code in prop_oneof![4 => "[A-Za-z0-9][A-Za-z0-9._-]{0,10}".prop_map(Value::from), 1 => value()],
        status in prop_oneof![9 => "(creat|updat|renam|delet)ing".prop_map(Value::from), 1 => value()],
        metadata in metadata(),
    ) {
        let payload = json!({"code": code, "status": status, "metadata": metadata, "new_code_taken": false});
        if let Ok(request) = Request::of(&job(&payload.to_string())) {
            let argv = request.argv();
            prop_assert!(["create", "update", "rename", "delete"].contains(&argv[0].as_str()));
            prop_assert!(argv[1].starts_with("--code="));
            for element in &argv[1..] {
                let (flag, value) = element.split_once('=').expect("a flag has a value");
                prop_assert!(flag.starts_with("--") && flag[2..].bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
                prop_assert!(!value.contains('\0'));
                if flag.ends_with("code") {
                    prop_assert!(value.len() <= 64 && !value.is_empty() && !value.starts_with(['-', '.', '_']));
                    prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                }
                if flag.ends_with("percent") || flag.ends_with("amount") || flag.ends_with("uses") {
                    prop_assert!(value.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !value.ends_with(".0"));
                }
            }
        }
    }

    #[test]
    fn what_is_said_stays_short(metadata in metadata(), status in "(creat|updat|renam|delet)ing") {
        let payload = json!({"code": "A", "status": status, "metadata": metadata});
        if let Err(wrong) = Request::of(&job(&payload.to_string())) {
            prop_assert!(wrong.to_string().chars().count() <= 300, "{wrong}");
        }
    }
}
