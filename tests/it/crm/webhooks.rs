//! What the fakes tell, which the receiver's tests rely on, and what of it is believed: signed or forged, once or twice,
//! in order or not; and Commerce7's orders asked for again.

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use rowcall::failure::Fault;
use rowcall::integrations::Integration as _;
use rowcall::integrations::crm::Crm;
use rowcall::job::Job;
use rowcall::notice::commerce7::Login;
use rowcall::notice::shopify::Secrets;
use rowcall::notice::{Notice, commerce7, shopify};
use rowcall::outcome::Verdict;
use rowcall::sandbox::crm::{CrmArgs, Fake, Fault as Script, Kind, Webhook};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{Commerce7, EMAIL, Which, add, assert_fault, limits, settings};

/// What came in.
type Inbox = Arc<Mutex<Vec<(HeaderMap, Vec<u8>)>>>;

struct Hooks {
    fake: Fake,
    crm: Crm,
    inbox: Inbox,
    _dir: tempfile::TempDir,
}

impl Hooks {
    async fn new() -> Self {
        let inbox = Inbox::default();
        let kept = Arc::clone(&inbox);
        let take = move |headers: HeaderMap, body: axum::body::Bytes| async move {
            kept.lock().unwrap().push((headers, body.to_vec()));
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let mut args = CrmArgs::new(dir.path().to_owned());
        args.commerce7_webhook = Some(url.clone());
        args.shopify_webhook = Some(url);
        let fake = Fake::start(args).await.unwrap();
        fake.seed(super::seed());
        let crm = Crm::new(settings(&fake.address()));
        Self { fake, crm, inbox, _dir: dir }
    }

    /// What of it is believed, in the order in which it came.
    fn believed(&self) -> Vec<Notice> {
        let login = Login::new("sandbox-hooks", &SecretString::from("sandbox-password"));
        let secrets = Secrets(vec![SecretString::from("sandbox-client-secret")]);
        let inbox = self.inbox.lock().unwrap();
        let read = inbox.iter().filter_map(|(headers, bytes)| {
            if headers.contains_key("x-shopify-topic") {
                secrets.have_signed(headers, bytes).then(|| shopify::read(headers, bytes).unwrap().unwrap())
            } else {
                login.is_shown(headers).then(|| commerce7::read(bytes, None).unwrap().unwrap())
            }
        });
        read.collect()
    }

    async fn fetch(&self, notice: &Notice) -> rowcall::outcome::Outcome {
        let payload = json!({
            "crm_type": "commerce7", "tenant": notice.tenant_or_shop, "order_id": notice.order_id,
            "webhook_id": notice.webhook_id, "event": notice.event, "credentials": null,
        });
        let payload = to_raw_value(&payload).unwrap();
        let job = Job { operation: "fetch_order".to_owned(), payload, ..add(Commerce7) };
        self.crm.execute(&job, &limits(std::time::Duration::from_secs(20))).await
    }
}

fn shopify_order(total: &str, updated_at: &str) -> Value {
    json!({
        "id": 5_678_901_234_567_i64, "total_price": total, "currency": "EUR", "financial_status": "paid",
        "updated_at": updated_at, "customer": {"id": 544_365_968, "email": EMAIL, "first_name": "Ama"},
    })
}

#[tokio::test]
async fn only_what_is_signed_is_believed_and_a_repeat_is_known_by_its_number() {
    let hooks = Hooks::new().await;
    let webhook = |total: &str| Webhook {
        crm_type: "shopify".to_owned(),
        tenant: "north".to_owned(),
        event: "orders/paid".to_owned(),
        order: shopify_order(total, "2026-03-01T10:00:00Z"),
        ..Webhook::default()
    };
    hooks
        .fake
        .tell(vec![
            Webhook { is_forged: true, ..webhook("9999.00") },
            Webhook { webhook_id: "delivery-1".to_owned(), repeats: 1, ..webhook("199.00") },
            webhook("199.00"),
        ])
        .await;
    assert_eq!(hooks.inbox.lock().unwrap().len(), 4);
    let believed = hooks.believed();
    assert!(believed.iter().all(|notice| notice.total.as_deref() == Some("199.00")), "{believed:?}");
    let ids: Vec<&str> = believed.iter().map(|notice| notice.webhook_id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[1]), (3, "delivery-1", "delivery-1"));
    assert_ne!(ids[2], "delivery-1");
    assert_eq!(believed[0].tenant_or_shop, "north");
}

#[tokio::test]
async fn what_comes_out_of_order_tells_when_it_was() {
    let hooks = Hooks::new().await;
    let webhook = |event: &str, updated_at: &str, after_ms| Webhook {
        crm_type: "shopify".to_owned(),
        tenant: "north".to_owned(),
        event: event.to_owned(),
        order: shopify_order("199.00", updated_at),
        after_ms,
        ..Webhook::default()
    };
    hooks
        .fake
        .tell(vec![
            webhook("orders/paid", "2026-03-01T10:00:00Z", 50),
            webhook("orders/cancelled", "2026-03-02T10:00:00Z", 0),
        ])
        .await;
    let believed = hooks.believed();
    let events: Vec<&str> = believed.iter().map(|notice| notice.event.as_str()).collect();
    assert_eq!(events, ["orders/cancelled", "orders/paid"]);
    assert!(believed[0].at > believed[1].at);
}

fn order() -> Value {
    json!({
        "id": "7d3c-order", "orderNumber": 1004, "customerId": null, "total": 19905, "paymentStatus": "Paid",
        "updatedAt": "2026-03-01T10:00:00.000Z",
    })
}

#[tokio::test]
async fn commerce7_is_asked_again_and_its_answer_counts() {
    let hooks = Hooks::new().await;
    let customer = hooks.fake.world()["commerce7"]["north"][0]["id"].clone();
    let mut order = order();
    order["customerId"] = customer.clone();
    let webhook = Webhook {
        crm_type: "commerce7".to_owned(),
        tenant: "north".to_owned(),
        event: "Order/Update".to_owned(),
        order,
        ..Webhook::default()
    };
    let lie = json!({"total": 999_900, "paymentStatus": "Paid"});
    hooks.fake.tell(vec![Webhook { is_forged: true, ..webhook.clone() }, Webhook { lie, repeats: 1, ..webhook }]).await;
    let believed = hooks.believed();
    assert_eq!((believed.len(), believed[0].total.as_deref()), (2, Some("9999.00")), "the login is right");
    assert_eq!(believed[0].webhook_id, believed[1].webhook_id);
    let outcome = hooks.fetch(&believed[0]).await;
    assert_eq!((outcome.verdict, outcome.target.as_deref()), (Verdict::Done, Some("commerce7:north")));
    let notice = &outcome.result.unwrap()["notice"];
    assert_eq!((&notice["total"], &notice["financial_state"]), (&json!("199.05"), &json!("paid")));
    assert_eq!((&notice["customer"]["email"], &notice["customer"]["id"]), (&json!(EMAIL), &customer));
    assert_eq!((&notice["webhook_id"], &notice["event"]), (&json!(believed[0].webhook_id), &json!("order/update")));
    assert_eq!(notice["crm_type"], "commerce7");
}

#[tokio::test]
async fn an_order_that_is_not_there_is_nothing_to_act_on() {
    let hooks = Hooks::new().await;
    let webhook = Webhook {
        crm_type: "commerce7".to_owned(),
        tenant: "north".to_owned(),
        event: "Order/Create".to_owned(),
        order: order(),
        ..Webhook::default()
    };
    hooks.fake.tell(vec![webhook]).await;
    let mut notice = hooks.believed().remove(0);
    let down = Script::new(Kind::Answer { status: 500, body: json!("") });
    hooks.fake.fault(down.at("GET /order"));
    assert_fault(&hooks.fetch(&notice).await, Fault::Outage, "down");
    let other = Script::new(Kind::Answer { status: 200, body: json!({"id": "another", "total": 1}) });
    hooks.fake.fault(other.at("GET /order"));
    assert_fault(&hooks.fetch(&notice).await, Fault::Item, "another order");
    let outcome = hooks.fetch(&notice).await;
    assert_eq!(outcome.result.unwrap()["notice"]["customer"], json!(null), "of nobody");
    for id in ["gone", "../customer", ""] {
        notice.order_id = Some(id.to_owned());
        // It may be shown a moment later.
        let fault = if id == "gone" { Fault::Transient } else { Fault::Item };
        assert_fault(&hooks.fetch(&notice).await, fault, id);
    }
    notice.tenant_or_shop = "nobody".to_owned();
    notice.order_id = Some("gone".to_owned());
    assert_fault(&hooks.fetch(&notice).await, Fault::Credentials, "an unknown tenant");
    let payload =
        json!({"crm_type": "shopify", "shop": "north", "order_id": "1", "webhook_id": "w", "event": "orders/paid"});
    let payload = to_raw_value(&payload).unwrap();
    let job = Job { operation: "fetch_order".to_owned(), payload, ..add(Which::Shopify) };
    assert_fault(&hooks.crm.execute(&job, &limits(super::SHORT)).await, Fault::Item, "Shopify's are signed");
}
