//! Document 4's functions: webhooks of CRMs are taken in, jobs are run by hand, one row of the queue is run now.

use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSqlOwned, Json};

use super::parameter::Given;
use super::{Store, StoreError};
use crate::notice::Notice;
use crate::notice::shopify::Secrets;

/// A row of `crm_sync_queue` that was asked to run now.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// The row's key, of whatever type.
    key: Value,
    /// When, as the database writes it.
    asked_at: String,
    /// What keeps it from running, in words.
    pub held_up: Option<String>,
}

/// How such a row stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// `pending`, `processing`, `completed` or `failed`.
    pub status: String,
    /// Why it is not done.
    pub error_message: Option<String>,
    /// When the next attempt is due.
    pub retry_in_seconds: Option<u32>,
    /// Whether an attempt has ended since it was asked for.
    pub has_ended: bool,
}

impl Store {
    /// `rowcall.hear_crm(notice)`: what was made of it, in words; nothing while no client has the account.
    pub async fn hear_crm(&self, notice: &Notice) -> Result<Option<String>, StoreError> {
        const SQL: &str = "select rowcall.hear_crm($1::jsonb)";
        let what = || format!("take in {} of {}", notice.event, notice.crm_type.as_str());
        let rows = self.rows(SQL, &[&Json(notice)], what).await?;
        Ok(first::<Option<String>>(&rows).flatten())
    }

    /// `rowcall.crm_webhook_secret(shop)`: what signs this shop's webhooks, where its client has a secret of its own.
    pub async fn shopify_secrets(&self, shop: &str) -> Result<Option<Secrets>, StoreError> {
        const SQL: &str = "select rowcall.crm_webhook_secret($1)";
        let rows = self.rows(SQL, &[&shop], || "look for the secret of a shop".to_owned()).await?;
        Ok(first::<Option<String>>(&rows).flatten().as_deref().and_then(Secrets::read))
    }

    /// `rowcall.run_cron(action, job)`: the job's counts. 22023 for an action or a job that is none.
    pub async fn run_cron(&self, action: Option<&str>, job: Option<&str>) -> Result<Value, StoreError> {
        const SQL: &str = "select rowcall.run_cron($1, $2)";
        self.change(SQL, &[&action, &job], "run a job by hand").await
    }

    /// `rowcall.cron_status()`: the jobs, their last runs, and the queue's counts.
    pub async fn cron_status(&self) -> Result<Value, StoreError> {
        self.json("select rowcall.cron_status()", &[], "read the jobs").await
    }

    /// `rowcall.start_crm_sync(payload)`. 22023 for a payload that is not of the row, P0002 for a row that is not there.
    pub async fn start_crm_sync(&self, payload: Value) -> Result<Option<Started>, StoreError> {
        const SQL: &str = "select rowcall.start_crm_sync($1::jsonb)";
        let started = self.change(SQL, &[&Json(payload)], "run a row of crm_sync_queue now").await?;
        Ok(Started::deserialize(started).ok())
    }

    /// `rowcall.crm_sync_outcome(key, asked_at)`: how it stands, read and as it is told; nothing when the row is gone.
    pub async fn crm_sync_outcome(&self, started: &Started) -> Result<Option<(Standing, Value)>, StoreError> {
        const SQL: &str = "select rowcall.crm_sync_outcome($1, $2::text::timestamptz)";
        let key = started.key.as_str().map_or_else(|| started.key.to_string(), str::to_owned);
        let told = self.json(SQL, &[&key, &started.asked_at], "look at a row of crm_sync_queue").await?;
        Ok(Standing::deserialize(&told).ok().map(|standing| (standing, told)))
    }

    async fn json(&self, sql: &str, given: Given<'_>, what: &str) -> Result<Value, StoreError> {
        let rows = self.rows(sql, given, || what.to_owned()).await?;
        Ok(first::<Option<Json<Value>>>(&rows).flatten().map(|Json(value)| value).unwrap_or_default())
    }
}

fn first<T: FromSqlOwned>(rows: &[Row]) -> Option<T> {
    rows.first().map(|row| row.get(0))
}
