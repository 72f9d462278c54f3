//! The orders at Fienta: the queue `orders`, and the fake CLI that codes have too.

use anyhow::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::fake::{Fake, plain};
use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};

/// What customers have ordered there. Of the last sample in `given.sql`, Fienta knows nothing.
const SOLD: [&str; 4] = ["T-1001", "T-1002", "T-1003", "T-1004"];

static SCRIPT: Script = Script {
    name: "Fienta",
    title: "Orders, at Fienta",
    queue: "orders",
    given: include_str!("../../../sql/demo/orders/given.sql"),
    invite: include_str!("../../../sql/demo/orders/invite.sql"),
    look: include_str!("../../../sql/demo/orders/look.sql"),
    keys: Some(include_str!("../../../sql/demo/orders/keys.sql")),
    scenes: &SCENES,
    effects: "changes of orders in effects.jsonl",
    faults: Some(("fail, crash, hang, commit-then-crash, silent, …", "--kind commit-then-crash --verb orders")),
};

/// A customer, and the status of what they ordered.
const fn stands(given: &'static [&'static str; 2]) -> Truth {
    Truth { name: "the order", sql: include_str!("../../../sql/demo/orders/stands.sql"), given }
}

static SCENES: [Scene; 4] = [
    Scene {
        title: "Another status, there as here",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some(
                "update orders set status = 'updating', metadata = metadata || '{\"new_status\": \"completed\"}'
where customer = 'ada';",
            ),
            truths: &[stands(&["ada", "completed"])],
        }],
        must: "completed, with updated_in_fienta_at; Fienta has changed it once",
        keys: &["ada"],
        history: &["done"],
        effects: &[("T-1001", "completed")],
    },
    Scene {
        title: "It takes effect, and its answer is lost",
        fault: Some("--kind commit-then-crash --verb orders --code T-1002"),
        steps: &[Step {
            when: "",
            told: None,
            sql: Some(
                "update orders set status = 'updating', metadata = metadata || '{\"new_status\": \"refunded\"}'
where customer = 'ben';",
            ),
            truths: &[stands(&["ben", "refunded"])],
        }],
        must: "refunded: rowcall asked how the order stands, and did not refund it twice",
        keys: &["ben"],
        history: &["done"],
        effects: &[("T-1002", "refunded")],
    },
    Scene {
        title: "Only the metadata: nobody is called",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some(
                "update orders set status = 'updating', metadata = metadata || '{\"new_metadata\": {\"seat\": \"B7\"}}'
where customer = 'cleo';",
            ),
            truths: &[
                stands(&["cleo", "pending"]),
                Truth {
                    name: "the metadata has it",
                    sql: "select metadata ->> 'seat' = 'B7' from orders where customer = 'cleo'",
                    given: &[],
                },
            ],
        }],
        must: "pending as before, with the new metadata; Fienta untouched",
        keys: &["cleo"],
        history: &["done"],
        effects: &[],
    },
    Scene {
        title: "Fienta knows no such order",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some(
                    "update orders set status = 'updating', metadata = metadata || '{\"new_status\": \"cancelled\"}'
where customer = 'dan';",
                ),
                truths: &[Truth {
                    name: "it is as before, and says why",
                    sql: "select status = 'pending' and metadata @> '{\"action_failed\": true}' and error_message like \
                          'The order T-9999 is not in Fienta. Give its number there%' from orders where customer = 'dan'",
                    given: &[],
                }],
            },
            Step {
                when: "with the right number:",
                told: None,
                sql: Some(
                    "update orders set metadata = metadata || '{\"fienta_order_id\": \"T-1004\"}' where customer = 'dan';
select rowcall.retry('orders', id::text) from orders where customer = 'dan';",
                ),
                truths: &[stands(&["dan", "cancelled"])],
            },
        ],
        must: "failed at once with the status before, and with words that say what to correct; then cancelled",
        keys: &["dan"],
        history: &["failed", "done"],
        effects: &[("T-1004", "cancelled")],
    },
];

/// The fake, which runs when it is called.
#[derive(Debug)]
pub(super) struct Orders {
    fake: Fake,
}

impl Orders {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let fake = Fake::new(stage.fienta.clone());
        for id in SOLD.into_iter().filter(|id| !fake.has_order(id)) {
            fake.play(&format!("buy --id={id}")).await.context("let customers order at the fake Fienta")?;
        }
        Ok(Self { fake })
    }
}

impl System for Orders {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        // Those of the codes.
        Vec::new()
    }

    fn address(&self) -> String {
        self.fake.line("")
    }

    fn is_at_fienta(&self) -> bool {
        true
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        self.fake.fault(fault).boxed()
    }

    fn fault_line(&self, fault: &str) -> String {
        self.fake.fault_line(fault)
    }

    fn shown_as_fault(&self, fault: &str) -> String {
        format!("$ rowcall sandbox fienta --state … fault {fault}")
    }

    fn effects(&self) -> Vec<Effect> {
        let effects = self.fake.effects().unwrap_or_default().into_iter().filter(|effect| effect.verb == "orders");
        effects.map(|effect| Effect { about: effect.code, what: plain(&effect.now["status"]) }).collect()
    }
}
