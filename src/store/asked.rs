//! A change with who asks for it, and by what its caller knows the request: the same request again gets the first answer.
//!
//! Promise: the change, who asked for it and the answer that is kept are one transaction. A caller who never heard the answer
//! repeats the request, and what was done is not done twice.

use postgres_types::Json;
use serde_json::Value;

use super::parameter::Given;
use super::pool::Link;
use super::{Store, StoreError};

/// Who asks, and for what.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who: what stands as `requested_by`. Nobody where nobody needs to say who they are; the database's role stands then.
    pub caller: Option<String>,
    /// The request's path, with its query.
    pub path: String,
    /// By what the caller knows the request, where it said so.
    pub key: Option<Key>,
}

/// By what a caller knows a request.
#[derive(Debug, Clone)]
pub struct Key {
    /// The caller's word.
    pub word: String,
    /// SHA-256 of the request's body.
    pub body_digest: Vec<u8>,
}

const BEGIN: &str = "select rowcall.begin_change($1, $2, $3, $4)";
const END: &str = "select rowcall.end_change($1, $2, $3, $4, $5)";

impl Store {
    /// The same store, for a change that this caller asks for.
    #[must_use]
    pub fn asked(mut self, asked: Asked) -> Self {
        self.asked = Some(asked);
        self
    }

    /// Runs one statement that changes something and answers JSON; where somebody asked for it, as they asked.
    pub(super) async fn change(&self, sql: &str, given: Given<'_>, what: &'static str) -> Result<Value, StoreError> {
        let change = async |connection: &mut Link| match &self.asked {
            None => Ok(connection.rows(sql, given).await?.first().and_then(super::json)),
            Some(asked) => change_on(connection, asked, sql, given).await,
        };
        Ok(self.on_connection(|| what.to_owned(), change).await?.unwrap_or_default())
    }
}

async fn change_on(
    connection: &mut Link,
    asked: &Asked,
    sql: &str,
    given: Given<'_>,
) -> Result<Option<Value>, tokio_postgres::Error> {
    let Asked { caller, path, key } = asked;
    let (word, digest) = (key.as_ref().map(|key| &key.word), key.as_ref().map(|key| &key.body_digest));
    let transaction = connection.transaction().await?;
    let begun = transaction.rows(BEGIN, &[caller, path, &word, &digest]).await?;
    if let Some(kept) = begun.first().and_then(super::json) {
        return Ok(Some(kept));
    }
    let answer = transaction.rows(sql, given).await?.first().and_then(super::json);
    if key.is_some() {
        let kept = Json(answer.clone().unwrap_or_default());
        transaction.rows(END, &[caller, path, &word, &digest, &kept]).await?;
    }
    transaction.commit().await?;
    Ok(answer)
}
