//! A change of an order: what its new metadata must not have.
//!
//! Who describes the request and who runs it ask here; `rowcall.order_faults` in `sql/functions/faults.sql` says the same.

/// Keys that belong to the request itself, so that a change of metadata cannot set them.
pub const RESERVED: [&str; 13] = [
    "action",
    "requested_at",
    "request_method",
    "previous_status",
    "new_status",
    "new_metadata",
    "action_failed",
    "action_error",
    "failed_at",
    "updated_in_fienta_at",
    "reached_status",
    "failed_request",
    "cancelled_request",
];
