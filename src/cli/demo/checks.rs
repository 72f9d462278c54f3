//! The monitoring: the queue `fienta_checks`, which compares the codes here with those of the fake Fienta, and changes nothing.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use super::fake::Fake;
use super::scene::{Scene, Step, Truth};
use super::system::{Effect, Script, Stage, System};

static SCRIPT: Script = Script {
    name: "Fienta",
    title: "Monitoring: the codes here and there",
    queue: "fienta_checks",
    given: include_str!("../../../sql/demo/checks/given.sql"),
    invite: include_str!("../../../sql/demo/checks/invite.sql"),
    look: include_str!("../../../sql/demo/checks/look.sql"),
    keys: Some(include_str!("../../../sql/demo/checks/keys.sql")),
    scenes: &SCENES,
    effects: "changes by comparing",
    faults: Some(("fail, crash, hang, garbage, …", "--kind fail --verb list")),
};

const CHECK: &str = "update fienta_checks set status = 'checking';";

/// How many codes differ, and what is told of the one that the scenes are about.
const fn drift(given: &'static [&'static str; 2]) -> Truth {
    Truth { name: "the drift", sql: include_str!("../../../sql/demo/checks/drift.sql"), given }
}

static SCENES: [Scene; 3] = [
    Scene {
        title: "A code that is active here and missing there",
        fault: None,
        steps: &[
            Step {
                when: "",
                told: None,
                sql: Some(
                    "insert into codes (code, status) values ('GHOST-5', 'active');
update fienta_checks set status = 'checking';",
                ),
                truths: &[drift(&["1", "missing_there"])],
            },
            Step {
                when: "what is true, a person decides:",
                told: None,
                sql: Some(
                    "update codes set status = 'deleted' where code = 'GHOST-5';
update fienta_checks set status = 'checking';",
                ),
                truths: &[drift(&["0", ""])],
            },
        ],
        must: "told by name, and nothing changed by it, here or there; gone from the next comparison on",
        keys: &["codes"],
        history: &["done", "done"],
        effects: &[],
    },
    Scene {
        title: "Customers use a code",
        fault: None,
        steps: &[Step {
            when: "",
            told: Some("redeem --code=WELCOME-10\nredeem --code=WELCOME-10"),
            sql: Some(CHECK),
            truths: &[Truth {
                name: "how often it was used",
                sql: "select status = 'checked' and usage @> '{\"WELCOME-10\": 2}' from fienta_checks",
                given: &[],
            }],
        }],
        must: "how often each was used is read back",
        keys: &["codes"],
        history: &["done"],
        effects: &[],
    },
    Scene {
        title: "Fienta does not answer",
        fault: Some("--kind fail --verb list"),
        steps: &[Step { when: "", told: None, sql: Some(CHECK), truths: &[drift(&["0", ""])] }],
        must: "asked again by itself, without a word of drift that nobody has seen",
        keys: &["codes"],
        history: &["retry", "done"],
        effects: &[],
    },
];

/// The fake, which runs when it is called.
#[derive(Debug)]
pub(super) struct Checks {
    fake: Fake,
}

impl Checks {
    pub(super) fn start(stage: &Stage) -> Self {
        Self { fake: Fake::new(stage.fienta.clone()) }
    }
}

impl System for Checks {
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

    fn tell<'a>(&'a self, _client: &'a Client, told: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            for words in told.lines() {
                self.fake.play(words).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn shown_as_told(&self, told: &str) -> String {
        told.lines().map(|words| format!("$ rowcall sandbox fienta --state … {words}")).collect::<Vec<_>>().join("\n")
    }

    /// A look changes nothing: what Fienta noted down is of the codes and the orders.
    fn effects(&self) -> Vec<Effect> {
        let others = ["create", "update", "rename", "delete", "orders"];
        let effects = self.fake.effects().unwrap_or_default().into_iter();
        let strange = effects.filter(|effect| !others.contains(&effect.verb.as_str()) || effect.code == "GHOST-5");
        strange.map(|effect| Effect { about: effect.code, what: effect.verb }).collect()
    }
}
