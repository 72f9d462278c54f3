//! The data bundles: the queue `fulfillment_logs`, and fakes of their suppliers, of which the default one is used.

use anyhow::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};
use crate::sandbox::supplier::{Delivery, End, Fake, SupplierArgs};

/// The supplier whose profile the demo uses.
const PROFILE: &str = "at-ishare";

/// How long a bundle takes: long enough to see that an order which was accepted is not delivered.
const DELIVERY_MS: u64 = 1500;

static SCRIPT: Script = Script {
    name: "the supplier",
    title: "Data bundles, for paid orders of AT-iShare",
    queue: "fulfillment_logs",
    given: include_str!("../../../sql/demo/supplier/given.sql"),
    invite: include_str!("../../../sql/demo/supplier/invite.sql"),
    look: include_str!("../../../sql/demo/supplier/look.sql"),
    keys: Some(include_str!("../../../sql/demo/supplier/keys.sql")),
    scenes: &SCENES,
    effects: "bundles in book.jsonl",
    faults: Some(("accept-then-close, accept-then-hang, close, hang, …", r#"{"kind": "accept-then-close"}"#)),
};

/// A number, its orders, and the attempts of the last one.
const fn fulfilled(given: &'static [&'static str; 3]) -> Truth {
    Truth {
        name: "the orders, their rows and their attempts",
        sql: include_str!("../../../sql/demo/supplier/fulfilled.sql"),
        given,
    }
}

static SCENES: [Scene; 6] = [
    Scene {
        title: "Paid: its bundle is bought, and delivered",
        fault: None,
        steps: &[
            Step {
                when: "",
                sql: Some(
                    "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', '+233260000101', '1GB', 4.50);",
                ),
                told: None,
                truths: &[Truth {
                    name: "accepted, and the order says processing",
                    sql: "select o.fulfillment_status = 'processing' and l.accepted_at is not null from orders as o \
                          join fulfillment_logs as l on l.order_id = o.id where o.phone_number = '+233260000101'",
                    given: &[],
                }],
            },
            Step {
                when: "accepted is not delivered; then the supplier's signed callback comes",
                sql: None,
                told: None,
                truths: &[fulfilled(&["+233260000101", "1", "1"])],
            },
        ],
        must: "processing, then success with fulfilled_at, on the order too; one bundle",
        keys: &["+233260000101"],
        history: &["wait", "done"],
        effects: &[("+233260000101", "1000 MB delivered")],
    },
    Scene {
        title: "The same again within ten minutes",
        fault: None,
        steps: &[Step {
            when: "",
            sql: Some(
                "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', '026 000 0102', '2GB', 9.00), ('AT-iShare', '+233260000102', '2GB', 9.00);",
            ),
            told: None,
            truths: &[
                Truth {
                    name: "the second is marked",
                    sql: "select count(*) = 1 from fulfillment_logs where duplicate_of is not null and status = 'success' \
                          and phone_number in ('026 000 0102', '+233260000102')",
                    given: &[],
                },
                fulfilled(&["026 000 0102", "1", "1"]),
                fulfilled(&["+233260000102", "1", "1"]),
            ],
        }],
        must: "one after the other, for they are one number; both done, the second marked for a person to see",
        keys: &["026 000 0102", "+233260000102"],
        history: &["wait", "done", "wait", "done"],
        effects: &[("+233260000102", "2000 MB delivered"), ("+233260000102", "2000 MB delivered")],
    },
    Scene {
        title: "The bundle is bought, the answer is lost",
        fault: Some(r#"{"kind": "accept-then-close", "phone": "233260000103"}"#),
        steps: &[Step {
            when: "",
            sql: Some(
                "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', '+233260000103', '500MB', 2.25);",
            ),
            told: None,
            truths: &[fulfilled(&["+233260000103", "1", "1"])],
        }],
        must: "never bought blindly again: the supplier's word settles it; one bundle",
        keys: &["+233260000103"],
        history: &["wait", "done"],
        effects: &[("+233260000103", "500 MB delivered")],
    },
    Scene {
        title: "Refused for the moment, then bought",
        fault: Some(
            r#"{"kind": {"answer": {"status": 200, "body": {"success": false, "code": "out_of_stock", "error": "Out of stock"}}}, "phone": "233260000104"}"#,
        ),
        steps: &[Step {
            when: "",
            sql: Some(
                "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', '+233260000104', '1GB', 4.50);",
            ),
            told: None,
            truths: &[fulfilled(&["+233260000104", "1", "2"])],
        }],
        must: "an error in the body of an HTTP 200 is no success; the second attempt is",
        keys: &["+233260000104"],
        history: &["retry", "wait", "done"],
        effects: &[("+233260000104", "1000 MB delivered")],
    },
    Scene {
        title: "Bad input: an order for a number that is none",
        fault: None,
        steps: &[Step {
            when: "",
            sql: Some(
                "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', 'ask Ama', '1GB', 4.50);",
            ),
            told: None,
            truths: &[Truth {
                name: "failed, with words that say what is wrong",
                sql: "select l.status = 'failed' and o.fulfillment_status = 'failed' \
                      and l.error_message like 'the order''s phone number is not one: correct it%' \
                      from orders as o join fulfillment_logs as l on l.order_id = o.id where o.phone_number = 'ask Ama'",
                given: &[],
            }],
        }],
        must: "the order is taken all the same; its fulfilment failed in the same transaction, and says why; nothing asked",
        keys: &["ask Ama"],
        history: &[],
        effects: &[],
    },
    Scene {
        title: "The wallet is empty",
        fault: Some(
            r#"{"kind": {"answer": {"status": 402, "body": {"success": false, "code": "insufficient_balance", "error": "Insufficient balance"}}}, "phone": "233260000105"}"#,
        ),
        steps: &[
            Step {
                when: "",
                sql: Some(
                    "insert into orders (network, phone_number, package, amount)
values ('AT-iShare', '+233260000105', '1GB', 4.50);",
                ),
                told: None,
                truths: &[Truth {
                    name: "the supplier's breaker is open, and the row says why",
                    sql: "select state = 'waiting' and reason is not null from rowcall.work as w join fulfillment_logs as l \
                          on w.queue = 'fulfillment_logs' and w.key = l.id::text where l.phone_number = '+233260000105'",
                    given: &[],
                }],
            },
            Step {
                when: "then it is topped up",
                sql: None,
                told: None,
                truths: &[fulfilled(&["+233260000105", "1", "1"])],
            },
        ],
        must: "the supplier rests, the row waits and says why, no attempt is spent; it goes on by itself",
        keys: &["+233260000105"],
        history: &["wait", "wait", "done"],
        effects: &[("+233260000105", "1000 MB delivered")],
    },
];

/// The running fakes.
#[derive(Debug)]
pub(super) struct Supplier {
    fake: Fake,
    args: SupplierArgs,
}

impl Supplier {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let args = SupplierArgs {
            callback: Some(format!("http://{}/webhooks/supplier", stage.http)),
            // Nobody else on this machine can tell the demo what became of an order.
            api_secret: Uuid::new_v4().to_string(),
            ..SupplierArgs::new(stage.folder.join("supplier"))
        };
        let fake = Fake::start(args.clone()).await.context("start the fake supplier")?;
        fake.delivery(Delivery { after_ms: DELIVERY_MS, end: End::Delivered });
        Ok(Self { fake, args })
    }
}

impl System for Supplier {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AT_ISHARE_PROFILE", PROFILE.to_owned()),
            ("AT_ISHARE_API_URL", format!("{}/{PROFILE}", self.fake.address())),
            ("AT_ISHARE_API_KEY", self.args.api_key.clone()),
            ("AT_ISHARE_API_SECRET", self.args.api_secret.clone()),
        ]
    }

    fn address(&self) -> String {
        self.fake.address()
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake
                .fault(serde_json::from_str(fault).with_context(|| format!("the fake supplier takes no {fault}"))?);
            Ok(())
        }
        .boxed()
    }

    fn effects(&self) -> Vec<Effect> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let effect = |line: &Value| Effect {
            about: format!("+{}", text(&line["phone"])),
            what: format!("{} MB {}", line["mb"], text(&line["what"])),
        };
        self.fake.book().iter().map(effect).collect()
    }
}
