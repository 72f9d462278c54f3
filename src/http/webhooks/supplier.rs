//! `/webhooks/supplier/{profile}`: how an order stands, in the words of whoever sells the bundles.
//!
//! Who proves what, and what the words mean, stands in the supplier's profile, which the integration reads; it is handed to the
//! server as something that reads calls. What it makes of them is told to the database.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;

use super::not_configured;
use crate::http::App;
use crate::http::body::{Asked, Part, Told};
use crate::http::errors::{Refusal, Refused};
use crate::store::fulfillment::Report;

/// What the lines of its log are found by.
const PREFIX: &str = "[FULFILLMENT]";

/// Reads a supplier's calls. Pure: it decides whether one proves itself, and what it says.
pub trait ReadCalls: std::fmt::Debug + Send + Sync {
    /// The profile whose calls it reads: the last part of the address.
    fn profile(&self) -> &str;

    /// What a call says, once it has proven itself.
    fn read(&self, call: &Call<'_>) -> Result<Vec<Report>, Unread>;
}

/// A supplier's call, as it came.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// `?token=` of its address.
    pub token: Option<&'a str>,
    /// Its body, untouched: a signature is over it.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// Nothing of what came is shown.
impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// Why a call is not believed, or not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// This supplier does not call.
    NoCallback,
    /// There is nothing to check it with, for want of this variable.
    NotConfigured(&'static str),
    /// Its proof is missing, wrong or too old.
    NotProven,
    /// It says nothing of an order.
    NotReadable,
}

/// What the address says beside the path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The proof of a supplier whose profile says `url_token`.
    token: Option<String>,
}

/// Take in how an order stands, from its supplier
///
/// The profile says how its supplier proves itself, in which headers and words; of one that does not, a call makes us look, and
/// settles nothing.
#[utoipa::path(
    post,
    path = "/webhooks/supplier/{profile}",
    operation_id = "hearSupplier",
    tag = "webhooks",
    security(("supplierSignature" = []), ("supplierToken" = []), ("supplierBasic" = []), ()),
    params(("profile" = String, Path, description = "The name of `AT_ISHARE_PROFILE`"), Query),
    request_body(description = "As the supplier writes it", content = Value),
    responses(
        (status = 200, description = "All of it is written, or will never be"),
        (status = 400, description = "The body does not name an order", body = Refused),
        (status = 401, description = "The proof is missing, wrong or too old", body = Refused),
        (status = 404, description = "No supplier of this name calls here", body = Refused),
        (
            status = 503,
            description = "There is nothing to check it with yet; or the database is away or busy",
            body = Refused,
            headers(("Retry-After" = u32, description = "Seconds until it may do"))
        )
    )
)]
pub(super) async fn receive(
    State(app): State<App>,
    Part(profile): Part<String>,
    Asked(Query { token }): Asked<Query>,
    headers: HeaderMap,
    told: Told,
) -> Result<StatusCode, Refusal> {
    let supplier = app.webhooks.supplier.as_ref().ok_or_else(|| not_configured("AT_ISHARE_PROFILE"))?;
    let unknown =
        || Refusal::not_found("no supplier of this name calls here").hint("it must be that of AT_ISHARE_PROFILE");
    if supplier.profile() != profile {
        return Err(unknown());
    }
    let call = Call { headers: &headers, token: token.as_deref(), body: &told.bytes, now: Timestamp::now() };
    let reports = supplier.read(&call).map_err(|unread| match unread {
        Unread::NoCallback => unknown(),
        Unread::NotConfigured(variable) => not_configured(variable),
        Unread::NotProven => Refusal::unauthenticated("the proof of this call is missing, wrong or too old")
            .hint("the profile says how its supplier proves itself; the secret is AT_ISHARE_API_SECRET"),
        Unread::NotReadable => Refusal::bad_request("invalid_report", "the body does not name an order"),
    })?;
    for answer in app.store.record_reports(&reports).await? {
        info!(prefix = PREFIX, supplier = profile, answer, "A supplier told how an order stands");
    }
    Ok(StatusCode::OK)
}
