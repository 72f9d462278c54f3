//! What fills `crm_sync_queue`: enrollments that expire, and orders that enroll, upgrade or are recorded. The rule, table-wise,
//! however late, often and in whatever order it is told.

mod expiry;
mod orders;
mod reads;
mod users;

use serde_json::{Value, json};

use crate::crm_rows::Crm;

/// What Shopify tells of order 1001: a paid order of 120.00 USD by one customer, unless said otherwise.
pub(crate) fn notice(webhook: &str, change: &Value) -> Value {
    let mut notice = json!({
        "crm_type": "shopify", "tenant_or_shop": "one", "webhook_id": webhook, "event": "orders/paid", "order_id": "1001",
        "customer": {"id": "c-1", "email": "ama@example.com", "first_name": "Ama", "last_name": "Mensah"},
        "total": "120.00", "currency": "USD", "financial_state": "paid", "at": "2026-03-01T10:00:00Z",
    });
    for (field, value) in change.as_object().unwrap() {
        notice[field] = value.clone();
    }
    notice
}

impl Crm {
    /// Tells a notice; what was made of it.
    pub(crate) async fn hear(&self, webhook: &str, change: Value) -> String {
        hear(&self.db.client, &notice(webhook, &change)).await
    }

    /// Everything that was asked of the CRM, in order.
    pub(crate) async fn asked(&self) -> String {
        self.text(
            "select string_agg(concat_ws(' ', q.action_type, o.name, s.name), ', ' order by q.id)
             from crm_sync_queue as q join club_stages as s on s.id = q.stage_id left join club_stages as o on o.id = q.old_stage_id",
        )
        .await
    }

    /// The enrollments, in order.
    pub(crate) async fn enrollments(&self) -> String {
        self.text("select string_agg(concat_ws(' ', s.name, e.status), ', ' order by e.id) from enrollments as e join club_stages as s on s.id = e.stage_id").await
    }
}

pub(crate) async fn hear(client: &tokio_postgres::Client, notice: &Value) -> String {
    let told = client.query_one("select rowcall.hear_crm($1::text::jsonb)", &[&notice.to_string()]).await;
    let said: Option<String> = told.unwrap_or_else(|error| panic!("{notice}: {error:?}")).get(0);
    said.unwrap_or_else(|| "nobody's".to_owned())
}
