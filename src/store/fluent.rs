//! Document 5's functions: a sync is started and looked at, and its tickets are listed.

use jiff::civil::Date;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::{Store, StoreError, json};

impl Store {
    /// `rowcall.start_fluent_sync(date_filter, is_full)`; the key of the sync, which may have been asked for before.
    ///
    /// Its refusal: 22023 for a day that lies ahead.
    pub async fn start_fluent_sync(&self, date_filter: Option<Date>, is_full: bool) -> Result<String, StoreError> {
        const SQL: &str = "select to_jsonb(rowcall.start_fluent_sync($1::date, $2::boolean))";
        self.said(SQL, &[&date_filter, &is_full], "start a sync with FluentSupport").await
    }

    /// `rowcall.fluent_sync(key)`: how a sync stands; nothing when there is no such sync.
    pub async fn fluent_sync(&self, key: &str) -> Result<Option<Value>, StoreError> {
        const SQL: &str = "select rowcall.fluent_sync($1)";
        let rows = self.rows(SQL, &[&key], || format!("read sync {key}")).await?;
        Ok(rows.first().and_then(json))
    }

    /// `rowcall.fluent_status()`: the last sync, and the last one that worked.
    pub async fn fluent_status(&self) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.fluent_status()";
        let rows = self.rows(SQL, &[], || "read the last sync".to_owned()).await?;
        Ok(rows.first().and_then(json).unwrap_or_default())
    }

    /// `rowcall.fluent_ticket_list(asked)`: a page of tickets with their requests.
    ///
    /// Its refusal: 22023 for a page that cannot be.
    pub async fn fluent_ticket_list(&self, asked: Value) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.fluent_ticket_list($1::jsonb)";
        let rows = self.rows(SQL, &[&Json(asked)], || "list the tickets of FluentSupport".to_owned()).await?;
        Ok(rows.first().and_then(json).unwrap_or_default())
    }
}
