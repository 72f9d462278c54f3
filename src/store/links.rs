//! Short links as visitors meet them: looked up many at a time, and their clicks added up.

use std::collections::HashMap;
use std::time::Duration;

use super::policies::seconds;
use super::{Store, StoreError};

/// Where a link leads. Its debug output does not say.
#[derive(Clone, PartialEq)]
pub struct Found {
    /// The row's key.
    pub key: String,
    /// As its owner wrote it.
    pub target_url: String,
    /// The domain's own word.
    pub status: String,
    /// For how long yet; zero when it is over, `None` when that never comes.
    pub expires_in: Option<Duration>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("key", &self.key).field("status", &self.status).finish_non_exhaustive()
    }
}

impl Store {
    /// The links of these slugs; a slug that no link has is left out.
    pub async fn find_links(&self, slugs: &[&str]) -> Result<HashMap<String, Found>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/find_links.sql");
        let rows = self.rows(SQL, &[&slugs], || format!("look {} links up", slugs.len())).await?;
        let found = |row: &tokio_postgres::Row| Found {
            key: row.get("key"),
            target_url: row.get("target_url"),
            status: row.get("status"),
            expires_in: row.get::<_, Option<f64>>("expires_in").map(seconds),
        };
        Ok(rows.iter().map(|row| (row.get("slug"), found(row))).collect())
    }

    /// Adds clicks to links, by key. Returns the keys of rows that somebody holds locked.
    pub async fn count_clicks(&self, clicks: &[(&str, i64)]) -> Result<Vec<String>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/count_clicks.sql");
        let (keys, numbers): (Vec<&str>, Vec<i64>) = clicks.iter().copied().unzip();
        let rows = self.rows(SQL, &[&keys, &numbers], || format!("count the clicks on {} links", keys.len())).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
