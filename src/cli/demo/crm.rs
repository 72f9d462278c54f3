//! Memberships: the queue `crm_sync_queue` behind paid orders and expiries, and fakes of Commerce7 and Shopify that tell of
//! orders by webhook.

use std::collections::HashMap;

use anyhow::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};
use crate::sandbox::crm::{CrmArgs, Fake, Person, Seed, ShopSeed, TenantSeed};

/// The tenant and the shop; both are called the same.
const NORTH: &str = "north";

static SCRIPT: Script = Script {
    name: "the CRMs",
    title: "Club memberships, in Commerce7 and Shopify",
    queue: "crm_sync_queue",
    given: include_str!("../../../sql/demo/crm/given.sql"),
    invite: include_str!("../../../sql/demo/crm/invite.sql"),
    look: include_str!("../../../sql/demo/crm/look.sql"),
    keys: None,
    scenes: &SCENES,
    effects: "changes of memberships in effects.jsonl",
    faults: Some(("accept-then-close, accept-then-hang, close, hang, …", r#"{"kind": "accept-then-close"}"#)),
};

/// A customer's e-mail address, their enrollments, whether they are a member, and how many changes the CRM was told.
const fn member(given: &'static [&'static str; 4]) -> Truth {
    Truth { name: "enrollments, membership, changes", sql: include_str!("../../../sql/demo/crm/member.sql"), given }
}

static SCENES: [Scene; 4] = [
    Scene {
        title: "A paid order in Shopify enrolls, a larger one upgrades",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: Some(
                    r#"[{"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "order": {"id": 1001,
"total_price": "150.00", "currency": "USD", "financial_status": "paid", "email": "ada@example.com"}}]"#,
                ),
                sql: None,
                truths: &[member(&["ada@example.com", "Silver active", "true", "1"])],
            },
            Step {
                when: "some weeks later:",
                told: Some(
                    r#"[{"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "order": {"id": 1002,
"total_price": "600.00", "currency": "USD", "financial_status": "paid", "email": "ada@example.com"}}]"#,
                ),
                sql: None,
                truths: &[member(&["ada@example.com", "Silver upgraded, Gold active", "true", "2"])],
            },
        ],
        must: "the tag of the tier; then the higher one's, and only then not the lower one's any more",
        keys: &["1", "2"],
        history: &["done", "done"],
        effects: &[
            ("ada@example.com", "tags-added Silver Club"),
            ("ada@example.com", "tags-added Gold Club"),
            ("ada@example.com", "tags-removed Silver Club"),
        ],
    },
    Scene {
        title: "The life of a member in Commerce7; the order is told falsely, and the cancellation's answer is lost",
        fault: Some(r#"{"kind": "accept-then-close", "call": "PUT /club-membership"}"#),
        steps: &[
            Step {
                when: "",
                told: Some(
                    r#"[{"crm_type": "commerce7", "tenant": "north", "event": "Order/Update", "lie": {"total": 9900},
"order": {"id": "order-1", "total": 60000, "paymentStatus": "Paid", "customer": {"emails": [{"email": "ben@example.com"}]}}}]"#,
                ),
                sql: None,
                truths: &[member(&["ben@example.com", "Gold active", "true", "1"])],
            },
            Step {
                when: "a year later; the schedule does this every night at 2:00 UTC",
                told: None,
                sql: Some(
                    "update enrollments set expires_at = now() - interval '1 second'
where customer_id = (select id from customers where email = 'ben@example.com');
select * from process_expired_enrollments();",
                ),
                truths: &[member(&["ben@example.com", "Gold expired", "false", "2"])],
            },
        ],
        must: "enrolled by what Commerce7 has; ended once, since rowcall looks before it would do anything again",
        keys: &["3", "4"],
        history: &["done", "done"],
        effects: &[("ben@example.com", "membership-created gold"), ("ben@example.com", "membership-cancelled gold")],
    },
    Scene {
        title: "A forged webhook, and a true one that comes twice",
        fault: None,
        steps: &[Step {
            when: "",
            told: Some(
                r#"[{"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "is_forged": true, "order": {"id": 1003,
"total_price": "900.00", "currency": "USD", "financial_status": "paid", "email": "cleo@example.com"}},
 {"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "repeats": 1, "order": {"id": 1004,
"total_price": "100.00", "currency": "USD", "financial_status": "paid", "email": "cleo@example.com"}}]"#,
            ),
            sql: None,
            truths: &[
                member(&["cleo@example.com", "Silver active", "true", "1"]),
                Truth {
                    name: "nothing is known of the forged order",
                    sql: "select not exists (select from crm_orders where crm_order_id = '1003')",
                    given: &[],
                },
            ],
        }],
        must: "the forged one is refused; the true one counts once, and reaches the tier by its last cent",
        keys: &["5"],
        history: &["done"],
        effects: &[("cleo@example.com", "tags-added Silver Club")],
    },
    Scene {
        title: "Bad input: Shopify knows nobody of this e-mail address",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: Some(
                    r#"[{"crm_type": "shopify", "tenant": "north", "event": "orders/paid", "order": {"id": 1005,
"total_price": "120.00", "currency": "USD", "financial_status": "paid", "email": "dan@example.org"}}]"#,
                ),
                sql: None,
                truths: &[Truth {
                    name: "the error says what is wrong",
                    sql: "select status = 'failed' and error_message like 'Shopify has no customer with this e-mail address;%' \
                          from crm_sync_queue where id = 6",
                    given: &[],
                }],
            },
            Step {
                when: "it was a slip of the pen:",
                told: None,
                sql: Some(
                    "update customers set email = 'dan@example.com' where email = 'dan@example.org';
select rowcall.retry('crm_sync_queue', '6');",
                ),
                truths: &[member(&["dan@example.com", "Silver active", "true", "1"])],
            },
        ],
        must: "failed at once, with words that say what to correct, and nobody else is tagged; done once it is corrected",
        keys: &["6"],
        history: &["failed", "done"],
        effects: &[("dan@example.com", "tags-added Silver Club")],
    },
];

/// The running fakes.
#[derive(Debug)]
pub(super) struct Crm {
    fake: Fake,
    args: CrmArgs,
}

impl Crm {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let webhook = |name: &str| Some(format!("http://{}/webhooks/{name}", stage.http));
        let args = CrmArgs {
            commerce7_webhook: webhook("commerce7"),
            shopify_webhook: webhook("shopify"),
            // Nobody else on this machine can tell the demo of orders.
            webhook_password: Uuid::new_v4().to_string(),
            webhook_secret: Uuid::new_v4().to_string(),
            ..CrmArgs::new(stage.folder.join("crm"))
        };
        let fake = Fake::start(args.clone()).await.context("start the fake CRMs")?;
        fake.seed(seed());
        Ok(Self { fake, args })
    }

    /// Customers' e-mail addresses by their ids.
    fn emails(&self) -> HashMap<String, String> {
        let world = self.fake.world();
        let customers = ["commerce7", "shopify"].into_iter().filter_map(|crm| world[crm][NORTH].as_array()).flatten();
        customers.map(|customer| (text(&customer["id"]), text(&customer["email"]))).collect()
    }
}

impl System for Crm {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let (address, args) = (self.fake.address(), &self.args);
        vec![
            ("COMMERCE7_API_URL", format!("{address}/v1")),
            ("COMMERCE7_APP_ID", "sandbox-app".to_owned()),
            ("COMMERCE7_KEY", "sandbox-key".to_owned()),
            ("COMMERCE7_WEBHOOK_USER", args.webhook_user.clone()),
            ("COMMERCE7_WEBHOOK_PASSWORD", args.webhook_password.clone()),
            ("SHOPIFY_API_URL", format!("{address}/{{shop}}/admin/api/2026-01/graphql.json")),
            ("SHOPIFY_ACCESS_TOKEN", "sandbox-access-token".to_owned()),
            ("SHOPIFY_WEBHOOK_SECRET", args.webhook_secret.clone()),
        ]
    }

    fn address(&self) -> String {
        self.fake.address()
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake.fault(serde_json::from_str(fault).with_context(|| format!("the fake CRMs take no {fault}"))?);
            Ok(())
        }
        .boxed()
    }

    fn tell<'a>(&'a self, _client: &'a Client, told: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let webhooks = serde_json::from_str(told).with_context(|| format!("the fake CRMs tell no {told}"))?;
            self.fake.tell(webhooks).await;
            Ok(())
        }
        .boxed()
    }

    fn effects(&self) -> Vec<Effect> {
        let emails = self.emails();
        let effect = |line: &Value| {
            let tags = line["tags"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
            let about = emails.get(&text(&line["customer_id"])).cloned().unwrap_or_default();
            let of = if tags.is_empty() { text(&line["club_id"]) } else { tags };
            Effect { about, what: format!("{} {of}", text(&line["effect"])) }
        };
        self.fake.log().iter().map(effect).collect()
    }
}

/// Whom the CRMs know. Their ids are the same at every start, as those that a kept database remembers.
fn seed() -> Seed {
    let person = |name: &str| Person {
        id: format!("customer-{name}"),
        email: format!("{name}@example.com"),
        ..Person::default()
    };
    let clubs = ["silver", "gold"].map(str::to_owned).to_vec();
    let tenant =
        TenantSeed { tenant: NORTH.to_owned(), clubs, customers: vec![person("ben")], ..TenantSeed::default() };
    let customers = ["ada", "cleo", "dan"].map(person).to_vec();
    Seed {
        commerce7: vec![tenant],
        shopify: vec![ShopSeed { shop: NORTH.to_owned(), customers, ..ShopSeed::default() }],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
