//! The queues that this build knows, each with its two texts: rows to jobs, outcomes to rows.

/// The statements of a queue. Their parameters and columns are the same for every queue.
#[derive(Debug)]
pub struct Statements {
    /// The queue's name, which is its table's.
    pub queue: &'static str,
    /// `$1` limit, `$2` worker, `$3` token, `$4` lease in seconds, `$5` rows to pass over → the columns of a
    /// [`crate::job::Job`], its token last.
    pub claim: &'static str,
    /// Ten arrays of outcomes → `key`, `settled_as`.
    pub settle: &'static str,
    /// `$1` key, `$2` generation, `$3` token → whether this claim still stands for this request.
    pub stands: &'static str,
    /// No parameter → the seconds until a row comes due that nobody settled lately, or null. For queues whose claims put
    /// rows off; others have their alarms from what they settle.
    pub next: Option<&'static str>,
}

/// Promo codes: `public.codes`.
pub static CODES: Statements = Statements {
    queue: "codes",
    claim: include_str!("../../sql/queues/codes/claim.sql"),
    settle: include_str!("../../sql/queues/codes/settle.sql"),
    stands: include_str!("../../sql/queues/codes/stands.sql"),
    next: None,
};

/// Replies to approved, denied and edited actions: `public.actions`. Its serial key is the contact.
pub static ACTIONS: Statements = Statements {
    queue: "actions",
    claim: include_str!("../../sql/queues/actions/claim.sql"),
    settle: include_str!("../../sql/queues/actions/settle.sql"),
    stands: include_str!("../../sql/queues/actions/stands.sql"),
    next: Some(include_str!("../../sql/queues/actions/next.sql")),
};

/// Data bundles for paid orders: `public.fulfillment_logs`, one row an order. Its serial key is the telephone number.
pub static FULFILLMENT_LOGS: Statements = Statements {
    queue: "fulfillment_logs",
    claim: include_str!("../../sql/queues/fulfillment_logs/claim.sql"),
    settle: include_str!("../../sql/queues/fulfillment_logs/settle.sql"),
    stands: include_str!("../../sql/queues/fulfillment_logs/stands.sql"),
    next: Some(include_str!("../../sql/queues/fulfillment_logs/next.sql")),
};

/// Orders whose status is changed at Fienta too: `public.orders`. They share the codes' account.
pub static ORDERS: Statements = Statements {
    queue: "orders",
    claim: include_str!("../../sql/queues/orders/claim.sql"),
    settle: include_str!("../../sql/queues/orders/settle.sql"),
    stands: include_str!("../../sql/queues/orders/stands.sql"),
    next: None,
};

/// Monitoring: `public.fienta_checks`, one row. The codes here are compared with those in Fienta.
pub static FIENTA_CHECKS: Statements = Statements {
    queue: "fienta_checks",
    claim: include_str!("../../sql/queues/fienta_checks/claim.sql"),
    settle: include_str!("../../sql/queues/fienta_checks/settle.sql"),
    stands: include_str!("../../sql/queues/fienta_checks/stands.sql"),
    next: None,
};

/// Short links: `public.links`.
pub static LINKS: Statements = Statements {
    queue: "links",
    claim: include_str!("../../sql/queues/links/claim.sql"),
    settle: include_str!("../../sql/queues/links/settle.sql"),
    stands: include_str!("../../sql/queues/links/stands.sql"),
    next: None,
};

/// Organizations that an outside system is told of: `public.organizations`.
pub static ORGANIZATIONS: Statements = Statements {
    queue: "organizations",
    claim: include_str!("../../sql/queues/organizations/claim.sql"),
    settle: include_str!("../../sql/queues/organizations/settle.sql"),
    stands: include_str!("../../sql/queues/organizations/stands.sql"),
    next: None,
};

/// Every queue of this build.
pub static ALL: [&Statements; 7] =
    [&CODES, &ACTIONS, &FULFILLMENT_LOGS, &ORDERS, &FIENTA_CHECKS, &LINKS, &ORGANIZATIONS];

/// The queue of that name.
pub fn named(queue: &str) -> Option<&'static Statements> {
    ALL.into_iter().find(|s| s.queue == queue)
}
