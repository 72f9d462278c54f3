//! Document 1's functions: codes, orders, links and organizations are asked for, and looked at.

use serde_json::{Map, Value};
use tokio_postgres::types::Json;

use super::{Store, StoreError, json};

/// What may be asked for, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A new code; the payload names it.
    CodeCreate,
    /// Other terms of this code.
    CodeUpdate(&'a str),
    /// That this code is deleted.
    CodeDelete(&'a str),
    /// Another name of this code.
    CodeRename(&'a str),
    /// Another status, or other metadata, of the order with this key.
    OrderUpdate(&'a str),
    /// A new short link.
    LinkCreate,
    /// That an outside system is told of the organization with this key.
    OrganizationSync(&'a str),
}

impl Request<'_> {
    fn call(self) -> (&'static str, Option<String>) {
        let (sql, key) = match self {
            Self::CodeCreate => return ("select rowcall.request_code_create($1)", None),
            Self::LinkCreate => return ("select rowcall.request_link_create($1)", None),
            Self::CodeUpdate(code) => ("select rowcall.request_code_update($2, $1)", code),
            Self::CodeDelete(code) => ("select rowcall.request_code_delete($2, $1)", code),
            Self::CodeRename(code) => ("select rowcall.request_code_rename($2, $1)", code),
            Self::OrderUpdate(key) => ("select rowcall.request_order_update($2, $1)", key),
            Self::OrganizationSync(key) => ("select rowcall.request_organization_sync($2, $1)", key),
        };
        (sql, Some(key.to_owned()))
    }
}

impl Store {
    /// The `rowcall.request_…` of that meaning; what it answers.
    ///
    /// Their refusals: 22023 for missing and wrong fields, named in the detail; P0002 when there is no such row; RC409 when it is
    /// not as the request needs it.
    pub async fn request(&self, request: Request<'_>, payload: Map<String, Value>) -> Result<Value, StoreError> {
        const WHAT: &str = "ask for an action";
        let payload = Json(Value::Object(payload));
        match request.call() {
            (sql, None) => self.change(sql, &[&payload], WHAT).await,
            (sql, Some(key)) => self.change(sql, &[&payload, &key], WHAT).await,
        }
    }

    /// `rowcall.process_now()`: every worker looks now.
    pub async fn process_now(&self) -> Result<Value, StoreError> {
        self.change("select rowcall.process_now()", &[], "have everything looked at").await
    }

    /// `rowcall.request_check()`: the codes are compared with those in Fienta.
    pub async fn request_check(&self) -> Result<Value, StoreError> {
        self.change("select rowcall.request_check()", &[], "ask for a check").await
    }

    /// `rowcall.actions_status()`: how many requests are not done.
    pub async fn actions_status(&self) -> Result<Value, StoreError> {
        let rows = self.rows("select rowcall.actions_status()", &[], || "count the actions".to_owned()).await?;
        Ok(rows.first().and_then(json).unwrap_or_default())
    }

    /// `rowcall.actions_history(most)`: the last attempts, newest first.
    pub async fn actions_history(&self, most: i64) -> Result<Value, StoreError> {
        let sql = "select rowcall.actions_history($1)";
        let rows = self.rows(sql, &[&most], || "read the actions' history".to_owned()).await?;
        Ok(rows.first().and_then(json).unwrap_or_default())
    }

    /// `rowcall.monitoring_status()`: the workers, and how each queue is worked.
    pub async fn monitoring_status(&self) -> Result<Value, StoreError> {
        let rows = self.rows("select rowcall.monitoring_status()", &[], || "read the monitoring".to_owned()).await?;
        Ok(rows.first().and_then(json).unwrap_or_default())
    }
}
