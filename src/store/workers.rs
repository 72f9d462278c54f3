//! Workers: who lives, who is dead, and what is swept up after them.

use uuid::Uuid;

use super::{Store, StoreError};

/// What a worker says of itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The version of this build.
    pub version: &'static str,
    /// The queues that it serves and has the settings for.
    pub queues: Vec<String>,
}

impl Store {
    /// Makes a worker known under a fresh name, before it claims anything.
    pub async fn register(&self, id: Uuid, introduction: &Introduction) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/register.sql");
        let Introduction { host, pid, version, queues } = introduction;
        let pid = i32::try_from(*pid).unwrap_or_default();
        self.rows(SQL, &[&id, &host, &pid, &version, &queues], || "register this worker".to_owned()).await?;
        Ok(())
    }

    /// Says that the worker lives. Returns the workers that are dead, or nothing when this one itself was silent for so
    /// long that it counts as dead and must take a new name.
    pub async fn heartbeat(&self, id: Uuid, draining: bool) -> Result<Option<Vec<Uuid>>, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/heartbeat.sql");
        let rows = self.rows(SQL, &[&id, &draining], || "send the heartbeat".to_owned()).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Forgets a worker that holds nothing, and others that are long dead.
    pub async fn retire(&self, id: Uuid) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/retire.sql");
        self.rows(SQL, &[&id], || "retire this worker".to_owned()).await?;
        Ok(())
    }

    /// Whether another live worker serves the queue and has the settings for it.
    pub async fn served_elsewhere(&self, queue: &str, worker: Uuid) -> Result<bool, StoreError> {
        const SQL: &str = include_str!("../../sql/statements/served.sql");
        let rows = self.rows(SQL, &[&queue, &worker], || format!("look who serves {queue}")).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Removes history past its time, a batch at a time. Returns how many rows went.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        self.remove(include_str!("../../sql/statements/prune.sql"), "prune history").await
    }

    /// Removes answers past their time, a batch at a time. Returns how many rows went.
    pub async fn prune_answers(&self) -> Result<u64, StoreError> {
        self.remove(include_str!("../../sql/statements/prune_answers.sql"), "prune answers").await
    }

    async fn remove(&self, sql: &str, what: &'static str) -> Result<u64, StoreError> {
        self.on_connection(|| what.to_owned(), async |connection| connection.execute(sql).await).await
    }

    /// Mends bubbles that disagree with their actions. Returns how many.
    pub async fn repair_actions(&self) -> Result<i32, StoreError> {
        const SQL: &str = "select rowcall.repair_actions()";
        let rows = self.rows(SQL, &[], || "mend the bubbles of actions".to_owned()).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    }

    /// Sends a payload over the bell's channel.
    pub async fn ring(&self, payload: &str) -> Result<(), StoreError> {
        const SQL: &str = include_str!("../../sql/statements/ring.sql");
        self.rows(SQL, &[&payload], || "ring the bell".to_owned()).await?;
        Ok(())
    }
}
