//! What the HTTP server hears and an integration reads: the one place where the two meet.

use crate::http::webhooks::supplier::{Call, ReadCalls, Unread};
use crate::integrations::supplier::callback::{self, Callbacks, Refused};
use crate::integrations::supplier::profile;
use crate::store::fulfillment::{Report, State};

/// Reads a supplier's calls by its profile.
#[derive(Debug)]
pub(super) struct SupplierCalls(pub(super) Callbacks);

impl ReadCalls for SupplierCalls {
    fn profile(&self) -> &str {
        self.0.supplier()
    }

    fn read(&self, call: &Call<'_>) -> Result<Vec<Report>, Unread> {
        let Call { headers, token, body, now } = *call;
        let told = self.0.read(&callback::Call { headers, token, body, now }).map_err(|refused| match refused {
            Refused::NoCallback => Unread::NoCallback,
            Refused::NotConfigured => Unread::NotConfigured("AT_ISHARE_API_SECRET"),
            Refused::NotProven => Unread::NotProven,
            Refused::NotReadable => Unread::NotReadable,
        })?;
        let state = match told.state {
            _ if !told.is_proven => State::Unproven,
            profile::State::Delivered => State::Delivered,
            profile::State::Failed => State::Failed,
            profile::State::Reversed => State::Reversed,
            profile::State::Pending => State::Pending,
        };
        Ok(vec![Report {
            profile: self.0.supplier().to_owned(),
            reference: told.reference.or(told.told_reference),
            provider_reference: told.provider_reference,
            state,
            code: told.code,
            text: told.text,
            at: None,
        }])
    }
}
