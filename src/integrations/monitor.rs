//! The monitor: an address outside that is told after every sweep, so that somebody notices when no sweep happens.
//!
//! Nothing inside a machine can report that the machine is gone; services that alarm when a call stays away can.

use std::time::Duration;

use reqwest::{Client, Url};

use super::http;

/// Who is told.
#[derive(Debug, Clone)]
pub struct Monitor {
    client: Client,
    url: Url,
}

/// An address that cannot be used, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Not an http or https address.
    #[error("ROWCALL_MONITOR_URL must be an http or https address")]
    Address,
    /// TLS or the client could not be set up.
    #[error("set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No answer, or not a success. The address may carry a secret, so it is not told.
    #[error("tell the monitor")]
    Call(#[source] reqwest::Error),
}

impl Monitor {
    /// A monitor at this address.
    pub fn new(address: &str) -> Result<Self, MonitorError> {
        let url = Url::parse(address).map_err(|_| MonitorError::Address)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(MonitorError::Address);
        }
        let client = http::builder().timeout(Duration::from_secs(5)).build().map_err(MonitorError::Client)?;
        Ok(Self { client, url })
    }

    /// Tells it that all is well.
    pub async fn tell(&self) -> Result<(), MonitorError> {
        let answer = self.client.get(self.url.clone()).send().await;
        answer.and_then(reqwest::Response::error_for_status).map(drop).map_err(|e| MonitorError::Call(e.without_url()))
    }
}
