//! What a provider is: which request sends a message, and what its answer means.

use std::fmt;

use super::reception::Reception;
use super::request::{ApprovedTemplate, Phone};
use crate::integrations::http::{Answer, Request};
use crate::integrations::quote::Private;

/// What differs between the providers.
pub(super) trait Provider: fmt::Debug + Send + Sync {
    /// The word on the row: meta, infobip.
    fn name(&self) -> &'static str;

    /// The setting that has the provider's address.
    fn address_setting(&self) -> &'static str;

    /// The settings without which nothing can be sent.
    fn missing(&self) -> Vec<&'static str>;

    /// The request that sends the message; or the setting that makes it impossible.
    fn request(&self, message: &Message<'_>) -> Result<Request, &'static str>;

    /// What the answer to it means.
    fn read(&self, answer: &Answer, this: &Try, private: &Private) -> Reception;
}

/// One message about to be sent.
pub(super) struct Message<'a> {
    pub(super) to: &'a Phone,
    pub(super) content: Content<'a>,
    /// Comes back in the delivery report.
    pub(super) reference: &'a str,
}

#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Text(&'a str),
    Template(&'a ApprovedTemplate),
}

/// Which try an answer belongs to.
pub(super) struct Try {
    /// The job's attempt, from 1.
    pub(super) attempt: i32,
    /// How often the provider has asked for patience with this contact since the last answer of another kind.
    pub(super) pair_pauses: u32,
}
