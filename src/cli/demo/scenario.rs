//! The scenario of `--once`: everything that can become of a row, as a person would ask for it.

use super::case::Want::{Gone, Is, There};
use super::case::{Case, Expected};

/// The first case: the codes that the others change.
pub(super) static CREATE: Case = Case {
    title: "Create: six codes at once; Fienta takes one at a time",
    fault: None,
    sql: "insert into codes (code, status, metadata) values
    ('MY-CODE',    'creating', '{\"discount_percent\": 25}'),
    ('WELCOME-10', 'creating', '{\"discount_percent\": 10}'),
    ('EARLY-BIRD', 'creating', '{\"discount_percent\": 15, \"max_uses\": 200}'),
    ('VIP-50',     'creating', '{\"discount_percent\": 50}'),
    ('FLAKY-30',   'creating', '{\"discount_percent\": 30}'),
    ('DOOMED-5',   'creating', '{\"discount_percent\": 5}');",
    meanwhile: None,
    must: "active, with created_in_fienta_at; each created once",
    rows: &[
        created("MY-CODE"),
        created("WELCOME-10"),
        created("EARLY-BIRD"),
        created("VIP-50"),
        created("FLAKY-30"),
        created("DOOMED-5"),
    ],
};

/// Those that take a while: asked for first, judged last.
pub(super) static SLOW: [Case; 2] = [
    Case {
        title: "Fails twice, then works",
        fault: Some("--kind fail --times 2 --code FLAKY-30"),
        sql: "update codes set status = 'updating', metadata = metadata || '{\"new_discount_percent\": 35}'
where code = 'FLAKY-30';",
        meanwhile: None,
        must: "active with the new discount after two failures that were tried again by themselves",
        rows: &[Expected {
            attempts: 2,
            metadata: &[
                ("discount_percent", Is("35")),
                ("new_discount_percent", Gone),
                ("updated_in_fienta_at", There),
                ("action_failed", Gone),
            ],
            history: &["retry", "retry", "done"],
            effects: &["update"],
            ..ACTIVE
        }
        .named("FLAKY-30")],
    },
    Case {
        title: "Fails for good, after four attempts",
        fault: Some("--kind fail --times 4 --code DOOMED-5"),
        sql: "update codes set status = 'deleting', metadata = metadata || '{\"action\": \"delete\"}'
where code = 'DOOMED-5';",
        meanwhile: None,
        must: "active again as before, with action_failed, action_error and failed_at; Fienta untouched",
        rows: &[Expected {
            attempts: 4,
            metadata: &[
                ("action_failed", Is("true")),
                ("action_error", There),
                ("failed_at", There),
                ("previous_status", Is("active")),
                ("deleted_in_fienta_at", Gone),
            ],
            error: Some("that was the last of 4 attempts"),
            history: &["retry", "retry", "retry", "failed"],
            ..ACTIVE
        }
        .named("DOOMED-5")],
    },
];

/// The others, one after the other.
pub(super) static CASES: [Case; 7] = [
    Case {
        title: "Update: a new discount and a new limit",
        fault: None,
        sql: "update codes set status = 'updating', metadata = metadata ||
    '{\"action\": \"update\", \"new_discount_percent\": 12, \"new_max_uses\": 500}'
where code = 'WELCOME-10';",
        meanwhile: None,
        must: "active, the new values applied, no new_* left, updated_in_fienta_at",
        rows: &[Expected {
            metadata: &[
                ("discount_percent", Is("12")),
                ("max_uses", Is("500")),
                ("new_discount_percent", Gone),
                ("new_max_uses", Gone),
                ("updated_in_fienta_at", There),
            ],
            history: &["done"],
            effects: &["update"],
            ..ACTIVE
        }
        .named("WELCOME-10")],
    },
    Case {
        title: "Rename",
        fault: None,
        sql: "update codes set status = 'renaming', metadata = metadata || '{\"new_code\": \"LAST-MINUTE\"}'
where code = 'EARLY-BIRD';",
        meanwhile: None,
        must: "the old row deleted with renamed_to, a new active row with the same terms",
        rows: &[
            Expected {
                status: "deleted",
                metadata: &[("renamed_to", Is("LAST-MINUTE")), ("deleted_in_fienta_at", There)],
                history: &["done"],
                effects: &["rename"],
                ..ACTIVE
            }
            .named("EARLY-BIRD"),
            Expected {
                metadata: &[
                    ("discount_percent", Is("15")),
                    ("max_uses", Is("200")),
                    ("renamed_from", Is("EARLY-BIRD")),
                    ("created_in_fienta_at", There),
                    ("renamed_to", Gone),
                    ("new_code", Gone),
                ],
                ..ACTIVE
            }
            .named("LAST-MINUTE"),
        ],
    },
    Case {
        title: "Delete, as the React example of document 1 does it",
        fault: None,
        sql: "update codes set status = 'deleting', updated_at = now(), metadata = jsonb_build_object(
    'action', 'delete', 'requested_at', now(), 'previous_status', status)
where code = 'MY-CODE';",
        meanwhile: None,
        must: "deleted, with deleted_in_fienta_at",
        rows: &[Expected {
            status: "deleted",
            metadata: &[("deleted_in_fienta_at", There), ("previous_status", Is("active"))],
            history: &["done"],
            effects: &["delete"],
            ..ACTIVE
        }
        .named("MY-CODE")],
    },
    Case {
        title: "Bad input: a discount of 500 %",
        fault: None,
        sql: "insert into codes (code, status, metadata) values ('TOO-GOOD', 'creating', '{\"discount_percent\": 500}');",
        meanwhile: None,
        must: "failed at once, with words that say what is wrong and what is allowed; Fienta not asked",
        rows: &[Expected {
            status: "failed",
            attempts: 1,
            metadata: &[("action_failed", Is("true")), ("created_in_fienta_at", Gone)],
            error: Some("metadata.discount_percent is 500. Allowed is a number above 0 and up to 100"),
            history: &["failed"],
            ..ACTIVE
        }
        .named("TOO-GOOD")],
    },
    Case {
        title: "Changed by the user while it runs",
        fault: Some("--kind slow --seconds 1 --code VIP-50"),
        sql: "update codes set status = 'updating', metadata = metadata || '{\"new_discount_percent\": 60}'
where code = 'VIP-50';",
        meanwhile: Some(
            "update codes set status = 'updating', metadata = metadata || '{\"new_discount_percent\": 40}'
where code = 'VIP-50';",
        ),
        must: "the first outcome superseded; the newest request, 40, is what row and Fienta end with",
        rows: &[Expected {
            metadata: &[("discount_percent", Is("40")), ("new_discount_percent", Gone)],
            history: &["superseded", "done"],
            effects: &["update", "update"],
            ..ACTIVE
        }
        .named("VIP-50")],
    },
    Case {
        title: "Times out, though it took effect",
        fault: Some("--kind commit-then-hang --code SPRING-15"),
        sql: "insert into codes (code, status, metadata) values ('SPRING-15', 'creating', '{\"discount_percent\": 15}');",
        meanwhile: None,
        must: "active: rowcall asked Fienta, found it done, and did not do it twice",
        rows: &[created("SPRING-15")],
    },
    Case {
        title: "Times out without an effect",
        fault: Some("--kind hang --code AUTUMN-15"),
        sql: "insert into codes (code, status, metadata) values ('AUTUMN-15', 'creating', '{\"discount_percent\": 15}');",
        meanwhile: None,
        must: "active: rowcall asked Fienta, found nothing, and tried again",
        rows: &[Expected { attempts: 1, history: &["retry", "done"], ..created("AUTUMN-15") }],
    },
];

/// An active row that nothing happened to.
const ACTIVE: Expected =
    Expected { code: "", status: "active", attempts: 0, metadata: &[], error: None, history: &[], effects: &[] };

const fn created(code: &'static str) -> Expected {
    Expected {
        code,
        metadata: &[("created_in_fienta_at", There), ("action_failed", Gone)],
        history: &["done"],
        effects: &["create"],
        ..ACTIVE
    }
}

impl Expected {
    const fn named(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}

/// Every case, in the order in which they are judged.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    std::iter::once(&CREATE).chain(&CASES).chain(&SLOW)
}
