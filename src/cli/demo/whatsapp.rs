//! The replies to customers: the queue `actions`, and a fake of Meta's Cloud API.

use anyhow::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};
use crate::sandbox::whatsapp::{Fake, Report, WhatsAppArgs};

/// What becomes of a message, and after how many milliseconds: late enough to see what a row does that knows nothing.
const REPORTS: [(&str, u64); 3] = [("sent", 4000), ("delivered", 4000), ("read", 6000)];

static SCRIPT: Script = Script {
    name: "WhatsApp",
    title: "Replies to customers, over WhatsApp",
    queue: "actions",
    given: include_str!("../../../sql/demo/whatsapp/given.sql"),
    invite: include_str!("../../../sql/demo/whatsapp/invite.sql"),
    look: include_str!("../../../sql/demo/whatsapp/look.sql"),
    keys: None,
    scenes: &SCENES,
    effects: "messages in messages.jsonl",
    faults: Some(("accept-then-close, accept-then-hang, close, hang, …", r#"{"kind": "accept-then-close"}"#)),
};

/// An action's key, its reply, its bubble, and how many messages were sent for it.
const fn replied(given: &'static [&'static str; 4]) -> Truth {
    Truth {
        name: "the reply, its bubble, and the messages sent",
        sql: include_str!("../../../sql/demo/whatsapp/replied.sql"),
        given,
    }
}

static SCENES: [Scene; 6] = [
    Scene {
        title: "Approved: the customer is told",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some("update actions set status = 'approved' where id = 1;"),
            truths: &[replied(&["1", "sent", "Sent", "1"])],
        }],
        must: "sent, in the words of the template for refunds; exactly one message; the bubble says Sent",
        keys: &["1"],
        history: &["done"],
        effects: &[("+12025550101", "Great news! Your refund request has been approved.")],
    },
    Scene {
        title: "Edited: in the operator's own words",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some(
                "update actions set status = 'edited', user_response = 'We can do 15 % until Sunday.'
where id = 2;",
            ),
            truths: &[replied(&["2", "sent", "Sent", "1"])],
        }],
        must: "sent, and those words arrive",
        keys: &["2"],
        history: &["done"],
        effects: &[("+12025550102", "Here is what we can offer you. We can do 15 % until Sunday.")],
    },
    Scene {
        title: "The message goes out, its answer is lost",
        fault: Some(r#"{"kind": "accept-then-close", "phone": "12025550103"}"#),
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some("update actions set status = 'approved' where id = 3;"),
                // What the conversation was told stays, however soon the report comes.
                truths: &[Truth {
                    name: "the conversation says Needs a look",
                    sql: "select count(*) = 1 from messages where message_type = 'action_status_update' and \
                          metadata @> '{\"action_id\": 3, \"reply_status\": \"unknown\", \"state\": \"Needs a look\"}'",
                    given: &[],
                }],
            },
            Step {
                when: "then WhatsApp's delivery report comes",
                told: None,
                sql: None,
                truths: &[replied(&["3", "sent", "Sent", "1"])],
            },
        ],
        must: "unknown, and nothing sent again; settled by the delivery report; exactly one message",
        keys: &["3"],
        history: &["unknown", "done"],
        effects: &[("+12025550103", "Your order has been changed as you asked.")],
    },
    Scene {
        title: "Two for one customer; the second is denied after all before it is sent",
        fault: Some(r#"{"kind": {"slow": 3000}, "phone": "12025550104"}"#),
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some("update actions set status = 'approved' where id in (4, 5);"),
                truths: &[Truth {
                    name: "the first reply is on its way",
                    sql: "select state = 'running' from rowcall.work where queue = 'actions' and key = '4'",
                    given: &[],
                }],
            },
            Step {
                when: "while the first is on its way, and the second waits its turn:",
                told: None,
                sql: Some("update actions set status = 'denied' where id = 5;"),
                truths: &[replied(&["4", "sent", "Sent", "1"]), replied(&["5", "sent", "Sent", "1"])],
            },
        ],
        must: "in the order asked for; of the second, only the denial goes out",
        keys: &["4", "5"],
        history: &["done", "done"],
        effects: &[
            ("+12025550104", "Great news! Your refund request has been approved."),
            ("+12025550104", "Thank you for telling us. We have looked into it and see it differently."),
        ],
    },
    Scene {
        title: "Approved by mistake: denied after it was sent",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some("update actions set status = 'approved' where id = 6;"),
                truths: &[replied(&["6", "sent", "Sent", "1"])],
            },
            Step {
                when: "once that is sent:",
                told: None,
                sql: Some("update actions set status = 'denied' where id = 6;"),
                truths: &[replied(&["6", "sent", "Sent", "2"])],
            },
        ],
        must: "a second, correct message follows the first",
        keys: &["6"],
        history: &["done", "done"],
        effects: &[
            ("+12025550105", "Good news! Your discount has been approved."),
            ("+12025550105", "We cannot offer this discount at the moment."),
        ],
    },
    Scene {
        title: "Bad input: a customer without a telephone number",
        fault: None,
        steps: &[Step {
            when: "",
            told: None,
            sql: Some("update actions set status = 'approved' where id = 7;"),
            truths: &[
                replied(&["7", "failed", "Failed", "0"]),
                Truth {
                    name: "the error says what is missing",
                    sql: "select error_message like 'The contact has no phone number; enter one in contacts%' from actions where id = 7",
                    given: &[],
                },
            ],
        }],
        must: "failed at once, with words that say what is missing and where to enter it; nothing sent",
        keys: &["7"],
        history: &["failed"],
        effects: &[],
    },
];

/// The running fake.
#[derive(Debug)]
pub(super) struct WhatsApp {
    fake: Fake,
    args: WhatsAppArgs,
}

impl WhatsApp {
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let args = WhatsAppArgs {
            webhook: Some(format!("http://{}/webhooks/whatsapp", stage.http)),
            // Nobody else on this machine can tell the demo what became of a message.
            app_secret: Uuid::new_v4().to_string(),
            ..WhatsAppArgs::new(stage.folder.join("whatsapp"))
        };
        let fake = Fake::start(args.clone()).await.context("start the fake WhatsApp")?;
        let report =
            |(status, after_ms): (&str, u64)| Report { status: status.to_owned(), after_ms, times: 1, code: None };
        fake.reports(REPORTS.map(report).to_vec());
        Ok(Self { fake, args })
    }
}

impl System for WhatsApp {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WHATSAPP_API_URL", format!("{}/v25.0", self.fake.address())),
            ("WHATSAPP_PHONE_NUMBER_ID", self.args.phone_number_id.clone()),
            ("WHATSAPP_ACCESS_TOKEN", self.args.access_token.clone()),
            ("WHATSAPP_APP_SECRET", self.args.app_secret.clone()),
        ]
    }

    fn address(&self) -> String {
        self.fake.address()
    }

    fn fault<'a>(&'a self, fault: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.fake
                .fault(serde_json::from_str(fault).with_context(|| format!("the fake WhatsApp takes no {fault}"))?);
            Ok(())
        }
        .boxed()
    }

    fn effects(&self) -> Vec<Effect> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message = |line: &Value| line.get("text").or_else(|| line.get("template")).map(text).unwrap_or_default();
        let log = self.fake.log();
        log.iter().map(|line| Effect { about: format!("+{}", text(&line["phone"])), what: message(line) }).collect()
    }
}
