//! What is bought of what stands in a row, and what is refused.

use serde_json::json;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::*;
use crate::integrations::supplier::profile::shipped;

const ORDER: &str = "0190c2a4-7b1e-7c3d-8f00-00000000002a";

fn profile(more: &str) -> Profile {
    let text = shipped("spfastit").unwrap().replacen("idempotent", &format!("{more}\nidempotent"), 1);
    Profile::parse(&text).unwrap()
}

/// One whose purchases tell the amount too.
fn telling_amounts() -> Profile {
    let fields = "fields = { pesewas = \"${amount_minor}\",";
    Profile::parse(&shipped("spfastit").unwrap().replacen("fields = {", fields, 1)).unwrap()
}

fn order(change: impl FnOnce(&mut Value)) -> Result<Order, Wrong> {
    let mut payload = json!({
        "order_id": ORDER, "reference": ORDER, "phone_number": "+233261234567", "package": "1GB", "amount": "4.50",
        "network": "AT-iShare", "provider_reference": null, "accepted_at": null, "looks": 0,
        "created_at": "2026-01-31T12:00:00.5+00:00", "now": "2026-01-31T12:01:00.5+00:00",
    });
    change(&mut payload);
    Order::of(&job("purchase", &payload))
}

fn job(operation: &str, payload: &Value) -> Job {
    Job {
        queue: "fulfillment_logs",
        key: "17".to_owned(),
        generation: 1,
        token: Uuid::nil(),
        attempt: 1,
        max_attempts: 3,
        uncertain: false,
        operation: operation.to_owned(),
        payload: to_raw_value(payload).unwrap(),
    }
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |change: fn(&mut Value)| order(change).and_then(|order| order.purchase(&profile(""))).err().unwrap();
    assert_eq!(wrong(|p| p["phone_number"] = json!("+16505551234")), Wrong::Number);
    assert_eq!(wrong(|p| p["phone_number"] = json!("  ")), Wrong::NoNumber);
    assert_eq!(wrong(|p| p["phone_number"] = json!(null)), Wrong::NoNumber);
    assert_eq!(wrong(|p| p["package"] = json!(null)), Wrong::NoPackage);
    assert_eq!(wrong(|p| p["package"] = json!("big")), Wrong::Package);
    assert_eq!(wrong(|p| p["package"] = json!("1.5MB")), Wrong::Inexact);
    assert_eq!(wrong(|p| p["reference"] = json!(7)), Wrong::Payload);
    assert_eq!(wrong(|p| *p = json!([])), Wrong::Payload);
    let other = Order::of(&job("refund", &json!({}))).err();
    assert_eq!(other, Some(Wrong::Operation("refund".to_owned())));
}

#[test]
fn a_profile_may_have_its_own_words_for_networks_and_packages() {
    let profile = profile("networks = { AT-iShare = \"at\" }\npackages = { 1GB = 17 }");
    let purchase = order(|p| p["package"] = json!("1 gb")).unwrap().purchase(&profile).ok().unwrap();
    assert_eq!((purchase.value(Place::Network), purchase.value(Place::Package)), (Some(json!("at")), Some(json!(17))));
    let wrong = |change: fn(&mut Value)| order(change).unwrap().purchase(&profile).err().unwrap();
    assert_eq!(wrong(|p| p["network"] = json!("MTN")), Wrong::Network);
    assert_eq!(wrong(|p| p["network"] = json!(null)), Wrong::Network);
    assert_eq!(wrong(|p| p["package"] = json!("2GB")), Wrong::UnknownPackage);
}

#[test]
fn money_is_exact() {
    let both = |json: &str| Amount::parse(json).map(|amount| (amount.decimal, amount.minor));
    for (json, decimal, minor) in [
        ("\"4.50\"", "4.50", 450),
        ("4.50", "4.50", 450),
        ("4.5000", "4.5000", 450),
        ("4", "4", 400),
        ("0.07", "0.07", 7),
        ("\"999999999999.99\"", "999999999999.99", 99_999_999_999_999),
        ("9007199254740993", "", 0),
        ("0.1e1", "", 0),
        ("-1", "", 0),
        ("\"1.\"", "", 0),
        ("\"\"", "", 0),
        ("true", "", 0),
    ] {
        assert_eq!(both(json), (!decimal.is_empty()).then(|| (decimal.to_owned(), minor)), "{json}");
    }
    let purchase = order(|_| {}).unwrap().purchase(&telling_amounts()).ok().unwrap();
    assert_eq!(
        (purchase.value(Place::Amount), purchase.value(Place::AmountMinor)),
        (Some(json!("4.50")), Some(json!(450)))
    );
}

#[test]
fn an_amount_that_nobody_is_told_fails_no_order() {
    for amount in [json!("4.125"), json!(4.125), json!("free"), json!(-1)] {
        let order = order(|p| p["amount"] = amount.clone()).unwrap();
        assert!(order.purchase(&profile("")).is_ok(), "{amount}");
        assert_eq!(order.purchase(&telling_amounts()).err(), Some(Wrong::Amount), "{amount}");
    }
    // Signed is told.
    let signing = "[signing]\nover = \"fields\"\nfields = [\"${amount}\"]\nheader = \"x-sig\"\n[volume]";
    let text = shipped("spfastit").unwrap().replacen("[volume]", signing, 1);
    let (text, _) = text.split_once("[look_up]").unwrap();
    let text = text.replace("provider_reference", "success_means = \"delivered\"\nprovider_reference");
    let signed = order(|p| p["amount"] = json!("4.125")).unwrap().purchase(&Profile::parse(&text).unwrap());
    assert_eq!(signed.err(), Some(Wrong::Amount));
}

#[test]
fn a_reference_fits_its_supplier_or_is_refused() {
    let spfastit = profile("");
    assert_eq!(order(|_| {}).unwrap().reference(&spfastit).as_deref(), Ok(ORDER));
    let wrong = order(|p| p["reference"] = json!("two words")).unwrap().reference(&spfastit);
    assert_eq!(wrong, Err(Wrong::Reference));
    let hubnet = Profile::load("hubnet").unwrap();
    assert_eq!(order(|_| {}).unwrap().reference(&hubnet).unwrap().len(), 25);
    assert_eq!(order(|p| p["reference"] = json!("17")).unwrap().reference(&hubnet), Err(Wrong::Reference));
}

#[test]
fn times_are_the_databases() {
    let accepted = order(|p| p["accepted_at"] = json!("2026-01-31T12:00:50.5+00:00")).unwrap();
    assert_eq!((accepted.accepted_for(), accepted.doubted_for()), (Some(Duration::from_secs(10)), Duration::ZERO));
    let doubted = order(|p| p["doubted_at"] = json!("2026-01-31T12:00:40.5+00:00")).unwrap();
    assert_eq!((doubted.accepted_for(), doubted.doubted_for()), (None, Duration::from_secs(20)));
}

#[test]
fn a_suppliers_number_is_told_back_only_if_it_is_harmless() {
    for (text, is_plain) in [("TX-1/2?x", true), ("..", false), ("", false), ("a b", false), ("é", false), ("7", true)]
    {
        assert_eq!(plain_reference(text).is_some(), is_plain, "{text:?}");
    }
    assert_eq!(plain_reference(&"x".repeat(129)), None);
}
