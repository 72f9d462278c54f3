//! Webhooks: what providers tell. Each proves itself by its own means before anything of it is read; what cannot prove
//! itself changes nothing.
//!
//! An answer of 200 says that all of it is written or will never be; a database that is away is a 503, after which the
//! provider repeats. Without its secret a webhook answers 503 too, so that what is told meanwhile comes again.

mod crm;
mod commerce7;
mod shopify;
mod infobip;
mod meta;
pub mod supplier;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Token;
use super::errors::Refusal;
use crate::notice::{commerce7 as commerce7_notice, shopify as shopify_notice};

/// By what providers' calls are known.
#[derive(Debug, Default)]
pub struct Secrets {
    /// `WHATSAPP_APP_SECRET`: signs what Meta tells.
    pub app_secret: Option<SecretString>,
    /// `WHATSAPP_PHONE_NUMBER_ID`: what Meta tells of another number is not ours.
    pub phone_number_id: Option<String>,
    /// `WHATSAPP_VERIFY_TOKEN`: shown by Meta when the webhook is set up.
    pub verify_token: Option<Token>,
    /// `INFOBIP_WEBHOOK_SECRET`: shown by Infobip with every call.
    pub infobip: Option<Token>,
    /// `COMMERCE7_WEBHOOK_USER`, `COMMERCE7_WEBHOOK_PASSWORD`: shown by Commerce7 with every call.
    pub commerce7: Option<commerce7_notice::Login>,
    /// `COMMERCE7_APP_ID`: what our own changes are known by.
    pub commerce7_app: Option<String>,
    /// `SHOPIFY_WEBHOOK_SECRET`: signs what Shopify tells.
    pub shopify: Option<shopify_notice::Secrets>,
    /// Reads what the supplier of `AT_ISHARE_PROFILE` tells.
    pub supplier: Option<Arc<dyn supplier::ReadCalls>>,
}

impl Secrets {
    /// Whether any webhook is to be called, beside the supplier's, whose settings know it.
    pub(crate) fn is_any(&self) -> bool {
        let whatsapp = self.app_secret.is_some() || self.verify_token.is_some() || self.infobip.is_some();
        whatsapp || self.commerce7.is_some() || self.shopify.is_some()
    }
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(meta::verify, meta::receive))
        .routes(routes!(infobip::receive))
        .routes(routes!(commerce7::receive))
        .routes(routes!(shopify::receive))
        .routes(routes!(supplier::receive))
}

fn not_configured(variable: &str) -> Refusal {
    Refusal::unavailable("not_configured", "this webhook has no secret yet", 60).hint(format!("set {variable}"))
}

/// A text of a provider's, without the one character that Postgres has no room for.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| text.replace('\0', "\u{fffd}"))
}

/// The elements of a list; none of anything else.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The customer's number as digits.
fn digits(value: &Value) -> Option<String> {
    let digits: String = value.as_str()?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// Seconds since 1970, which Meta writes as a text.
fn seconds(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Timestamp::from_second(seconds).ok()
}
