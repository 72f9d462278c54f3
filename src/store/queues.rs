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
    /// Whether its operations only read, so that one whose outcome cannot be written may be done again.
    pub only_reads: bool,
}

/// Promo codes: `public.codes`.
pub static CODES: Statements = Statements {
    queue: "codes",
    claim: include_str!("../../sql/queues/codes/claim.sql"),
    settle: include_str!("../../sql/queues/codes/settle.sql"),
    stands: include_str!("../../sql/queues/codes/stands.sql"),
    next: None,
    only_reads: false,
};

/// Replies to approved, denied and edited actions: `public.actions`. Its serial key is the contact.
pub static ACTIONS: Statements = Statements {
    queue: "actions",
    claim: include_str!("../../sql/queues/actions/claim.sql"),
    settle: include_str!("../../sql/queues/actions/settle.sql"),
    stands: include_str!("../../sql/queues/actions/stands.sql"),
    next: Some(include_str!("../../sql/queues/actions/next.sql")),
    only_reads: false,
};

/// Data bundles for paid orders: `public.fulfillment_logs`, one row an order. Its serial key is the telephone number.
pub static FULFILLMENT_LOGS: Statements = Statements {
    queue: "fulfillment_logs",
    claim: include_str!("../../sql/queues/fulfillment_logs/claim.sql"),
    settle: include_str!("../../sql/queues/fulfillment_logs/settle.sql"),
    stands: include_str!("../../sql/queues/fulfillment_logs/stands.sql"),
    next: Some(include_str!("../../sql/queues/fulfillment_logs/next.sql")),
    only_reads: false,
};

/// Changes of memberships in the CRMs: `public.crm_sync_queue`. Its serial key is the customer; clients take turns.
pub static CRM_SYNC_QUEUE: Statements = Statements {
    queue: "crm_sync_queue",
    claim: include_str!("../../sql/queues/crm_sync_queue/claim.sql"),
    settle: include_str!("../../sql/queues/crm_sync_queue/settle.sql"),
    stands: include_str!("../../sql/queues/crm_sync_queue/stands.sql"),
    next: Some(include_str!("../../sql/queues/crm_sync_queue/next.sql")),
    only_reads: false,
};

/// Orders that a webhook told of and that are read at their CRM: `public.crm_orders`.
pub static CRM_ORDERS: Statements = Statements {
    queue: "crm_orders",
    claim: include_str!("../../sql/queues/crm_orders/claim.sql"),
    settle: include_str!("../../sql/queues/crm_orders/settle.sql"),
    stands: include_str!("../../sql/queues/crm_orders/stands.sql"),
    next: Some(include_str!("../../sql/queues/crm_orders/next.sql")),
    only_reads: false,
};

/// Syncs with FluentSupport: `public.fluent_sync_status`, whose tickets become `public.requests`.
pub static FLUENT: Statements = Statements {
    queue: "fluent_sync_status",
    claim: include_str!("../../sql/queues/fluent_sync_status/claim.sql"),
    settle: include_str!("../../sql/queues/fluent_sync_status/settle.sql"),
    stands: include_str!("../../sql/queues/fluent_sync_status/stands.sql"),
    next: None,
    only_reads: true,
};

/// Orders whose status is changed at Fienta too: `public.orders`. They share the codes' account.
pub static ORDERS: Statements = Statements {
    queue: "orders",
    claim: include_str!("../../sql/queues/orders/claim.sql"),
    settle: include_str!("../../sql/queues/orders/settle.sql"),
    stands: include_str!("../../sql/queues/orders/stands.sql"),
    next: None,
    only_reads: false,
};

/// Monitoring: `public.fienta_checks`, one row. The codes here are compared with those in Fienta.
pub static FIENTA_CHECKS: Statements = Statements {
    queue: "fienta_checks",
    claim: include_str!("../../sql/queues/fienta_checks/claim.sql"),
    settle: include_str!("../../sql/queues/fienta_checks/settle.sql"),
    stands: include_str!("../../sql/queues/fienta_checks/stands.sql"),
    next: None,
    only_reads: true,
};

/// Short links: `public.links`.
pub static LINKS: Statements = Statements {
    queue: "links",
    claim: include_str!("../../sql/queues/links/claim.sql"),
    settle: include_str!("../../sql/queues/links/settle.sql"),
    stands: include_str!("../../sql/queues/links/stands.sql"),
    next: None,
    only_reads: false,
};

/// Organizations that an outside system is told of: `public.organizations`.
pub static ORGANIZATIONS: Statements = Statements {
    queue: "organizations",
    claim: include_str!("../../sql/queues/organizations/claim.sql"),
    settle: include_str!("../../sql/queues/organizations/settle.sql"),
    stands: include_str!("../../sql/queues/organizations/stands.sql"),
    next: None,
    only_reads: false,
};

/// Every queue of this build.
pub static ALL: [&Statements; 10] = [
    &CODES,
    &ACTIONS,
    &FULFILLMENT_LOGS,
    &CRM_SYNC_QUEUE,
    &CRM_ORDERS,
    &FLUENT,
    &ORDERS,
    &FIENTA_CHECKS,
    &LINKS,
    &ORGANIZATIONS,
];

/// The queue of that name.
pub fn named(queue: &str) -> Option<&'static Statements> {
    ALL.into_iter().find(|s| s.queue == queue)
}
