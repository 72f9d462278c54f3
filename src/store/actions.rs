//! Document 2's functions: an action is answered, and looked at.

use serde_json::Value;
use tokio_postgres::types::Json;

use super::{Store, StoreError, json};

impl Store {
    /// `rowcall.submit_action_feedback(payload)`; what it answers.
    ///
    /// Its refusals: 22023 for missing and wrong fields, named in the detail; P0002 when there is no such action; RC409 when
    /// it is answered already.
    pub async fn submit_action_feedback(&self, payload: Value) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.submit_action_feedback($1::jsonb)";
        self.change(SQL, &[&Json(payload)], "submit an action's feedback").await
    }

    /// `rowcall.action_details(id)`: the action, its reply, every attempt; nothing when there is no such action.
    pub async fn action_details(&self, id: i64) -> Result<Option<Value>, StoreError> {
        const SQL: &str = "select rowcall.action_details($1::bigint)";
        let rows = self.rows(SQL, &[&id], || "read an action".to_owned()).await?;
        Ok(rows.first().and_then(json))
    }
}
