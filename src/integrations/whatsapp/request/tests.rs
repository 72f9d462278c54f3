//! What is sent of what stands in a row, and what is refused.

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

fn payload(change: impl FnOnce(&mut Value)) -> Result<Payload, Wrong> {
    let mut payload = json!({
        "action_id": 17, "action_type": "refund_request", "outcome": "approved", "language": "en",
        "contact": {"phone": "+1 650-555-1234", "name": "Ama", "last_inbound_at": "2026-01-31T12:00:00.5+00:00"},
        "text": "Great news!", "user_response": null, "details": null, "approved_template": null, "missing": null,
    });
    change(&mut payload);
    Payload::of(&job("reply", &payload))
}

fn job(operation: &str, payload: &Value) -> Job {
    Job {
        queue: "actions",
        key: "17".to_owned(),
        generation: 1,
        token: Uuid::nil(),
        attempt: 1,
        max_attempts: 8,
        uncertain: false,
        operation: operation.to_owned(),
        payload: to_raw_value(payload).unwrap(),
    }
}

#[test]
fn phone_numbers_are_international() {
    for (text, digits) in [
        ("+16505551234", Some("16505551234")),
        ("16505551234", Some("16505551234")),
        (" +1 (650) 555-12.34 ", Some("16505551234")),
        ("+123456789012345", Some("123456789012345")),
        ("+1234567890123456", None),
        ("+123456", None),
        ("0241234567", None),
        ("+0241234567", None),
        ("++16505551234", None),
        ("1650555+1234", None),
        ("+1650555123x", None),
        ("+١٦٥٠٥٥٥١٢٣٤", None),
        ("", None),
    ] {
        assert_eq!(Phone::parse(text).as_ref().map(Phone::digits), digits, "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |change: fn(&mut Value)| {
        payload(change).and_then(|payload| payload.phone().and_then(|_| payload.text())).unwrap_err()
    };
    assert_eq!(wrong(|p| p["contact"]["phone"] = json!("0241234567")), Wrong::Phone);
    assert_eq!(wrong(|p| p["contact"]["phone"] = json!("  ")), Wrong::NoPhone);
    assert_eq!(wrong(|p| p["contact"]["phone"] = Value::Null), Wrong::NoPhone);
    assert_eq!(wrong(|p| p["contact"] = Value::Null), Wrong::Payload);
    assert_eq!(wrong(|p| p["text"] = json!("é".repeat(4097))), Wrong::TooLong(4097));
    assert_eq!(wrong(|p| p["text"] = json!(" \u{0}\n ")).to_string().matches("response_templates").count(), 1);
    let missing = wrong(|p| {
        p["text"] = Value::Null;
        p["missing"] = json!("give templates a value for {{amount}}.");
    });
    assert_eq!(
        missing.to_string(),
        "There is no text to send: give templates a value for {{amount}}; then use rowcall.retry."
    );
    assert!(matches!(Payload::of(&job("delete", &json!({}))), Err(Wrong::Operation(_))));
}

#[test]
fn the_longest_text_is_taken_and_hostile_text_stays_text() {
    let text = |text: &str| payload(|p| p["text"] = json!(text)).and_then(|payload| payload.text()).unwrap();
    assert_eq!(text(&"🙂".repeat(4096)).chars().count(), 4096);
    assert_eq!(text(" a\r\nb\tc\u{7}\u{1b}[31m\u{85} "), "a\nb\tc[31m");
    let json_like = r#"","to":"16505550000","x":"{{name}} \u0000"#;
    assert_eq!(text(json_like), json_like);
}

#[test]
fn the_window_is_24_hours_and_unknown_is_open() {
    let now: Timestamp = "2026-02-01T12:00:01Z".parse().unwrap();
    let is_closed = |at: Value| payload(|p| p["contact"]["last_inbound_at"] = at).unwrap().is_window_closed(now);
    assert!(is_closed(json!("2026-01-31T12:00:00+00:00")));
    assert!(!is_closed(json!("2026-01-31T12:00:02.123456+00:00")));
    assert!(!is_closed(json!("2026-02-01T13:00:00+00:00")));
    assert!(!is_closed(Value::Null));
}

#[test]
fn what_postgres_can_hold_and_rust_cannot_fails_no_row() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for details in ["1e400", &format!("[{}]", "9".repeat(400)), &deep, "{\"a\": \"\\ud800\"}", "null"] {
        let text = format!(r#"{{"action_type": "x", "outcome": "approved", "contact": {{}}, "details": {details}}}"#);
        let job = Job { payload: RawValue::from_string(text).unwrap(), ..job("reply", &Value::Null) };
        let payload = Payload::of(&job).unwrap();
        assert_eq!(payload.details.as_deref().map_or("null", RawValue::get), details);
    }
    let now: Timestamp = "2026-02-01T12:00:01Z".parse().unwrap();
    for at in ["infinity", "-infinity", "0044-03-15T12:00:00+00:00 BC", "294276-12-31T00:00:00+00:00", ""] {
        let payload = payload(|p| p["contact"]["last_inbound_at"] = json!(at)).unwrap();
        assert!(!payload.is_window_closed(now), "{at}");
    }
}

#[test]
fn template_parameters_are_one_line() {
    let template = ApprovedTemplate {
        name: "action_update".to_owned(),
        language: "en_US".to_owned(),
        parameters: vec!["Order\n\t42     ok".to_owned(), "b\u{0}".to_owned()],
    };
    let sendable = template.sendable();
    assert_eq!(sendable.parameters, ["Order 42 ok", "b"]);
    assert_eq!(sendable.shown(), "[action_update en_US]: Order 42 ok · b");
}
