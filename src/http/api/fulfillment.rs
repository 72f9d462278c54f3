//! Document 3: an order's fulfilment is looked at, triggered, tried again; and all of it is exported as a sheet.
//!
//! The lines of its log carry document 3's prefix, and an order's key as the database has it: what a caller calls an order could
//! be anything.

mod schemas;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::stream::try_unfold;
use serde::Deserialize;
use serde_json::Value;
use tracing::{error, info};
use utoipa::IntoParams;

pub(super) use self::schemas::rules;
use self::schemas::{Act, Acted, ExportedStatus, Fulfillment, Since};
use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object, text};
use crate::http::errors::{Refusal, Refused};
use crate::sheet;
use crate::store::chain;
use crate::store::export::{Export, Filter, HEADINGS};

/// What the lines of its log are found by.
const PREFIX: &str = "[FULFILLMENT]";

/// Which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The order's key.
    #[serde(rename = "orderId")]
    #[param(required = true, min_length = 1)]
    order: Option<String>,
}

/// Which fulfilments to export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Exported {
    /// With this status only.
    #[param(inline, value_type = Option<ExportedStatus>)]
    status: Option<String>,
    /// To this number only, of at least nine digits.
    #[param(pattern = "^\\s*$|([0-9][^0-9]*){9}")]
    phone: Option<String>,
    /// Since this day or time.
    #[param(inline, value_type = Option<Since>)]
    from: Option<String>,
    /// Before the end of this day, or before this time.
    #[param(inline, value_type = Option<Since>)]
    to: Option<String>,
}

/// An order, its fulfilment, every attempt and every report
#[utoipa::path(
    get,
    path = "/api/orders/fulfillment",
    operation_id = "getFulfillment",
    tag = "fulfillment",
    params(Wanted),
    responses(
        (status = 200, description = "How it stands", body = Fulfillment),
        (status = 404, description = "There is no such order", body = Refused)
    )
)]
pub(super) async fn status(
    State(app): State<App>,
    Asked(Wanted { order }): Asked<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let order = order.filter(|order| !order.is_empty()).ok_or_else(|| missing("orderId"))?;
    let status = app.store.fulfillment_status(&order).await?;
    status.map(Json).ok_or_else(|| Refusal::not_found("there is no such order"))
}

/// Buy an order's bundle, or try it again
#[utoipa::path(
    post,
    path = "/api/orders/fulfillment",
    operation_id = "fulfill",
    tag = "fulfillment",
    request_body = Act,
    responses(
        (status = 202, description = "It is asked for", body = Acted),
        (status = 404, description = "There is no such order, or nothing to try again", body = Refused),
        (
            status = 409,
            description = "It is over, spent or not to be bought; or a request with this `Idempotency-Key` is being answered",
            body = Refused
        )
    )
)]
pub(super) async fn act(Asking(store): Asking, Object(body): Object) -> Result<(StatusCode, Json<Value>), Refusal> {
    let action = text(&body, "action")?.ok_or_else(|| missing("action"))?;
    let order = text(&body, "orderId")?.ok_or_else(|| missing("orderId"))?;
    let note = text(&body, "note")?;
    let force = match body.get("force") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(force)) => *force,
        Some(_) => return Err(invalid("force must be true or false")),
    };
    let answer = match action {
        "trigger" => store.trigger_fulfillment(order).await?,
        "retry" => store.retry_fulfillment(order, force, note).await?,
        _ => return Err(invalid("action must be trigger or retry")),
    };
    let known = answer["order"]["id"].as_str();
    let status = answer["fulfillment"]["status"].as_str();
    info!(prefix = PREFIX, action, order = known, status, "Fulfillment is asked for");
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Fulfilments as a sheet, as they are read
#[utoipa::path(
    get,
    path = "/api/orders/fulfillment/export.csv",
    operation_id = "exportFulfillment",
    tag = "fulfillment",
    params(Exported),
    responses((
        status = 200,
        description = "A sheet with a line of headings",
        body = String,
        content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A name for the file"))
    ))
)]
pub(super) async fn export(
    State(app): State<App>,
    Asked(Exported { status, phone, from, to }): Asked<Exported>,
) -> Result<impl IntoResponse, Refusal> {
    let filter = Filter::read(status.as_deref(), phone.as_deref(), from.as_deref(), to.as_deref());
    let filter = filter.map_err(|wrong| Refusal::bad_request("invalid_query", wrong.to_string()))?;
    let mut export = app.store.export_fulfillment(filter);
    // What goes wrong before the first page is a refusal; later, the connection is broken off, so that no half sheet looks whole.
    let rows = export.next_page().await?.unwrap_or_default();
    let first = sheet::page(Some(&HEADINGS), &rows).map_err(|_| Refusal::internal())?;
    let pages = try_unfold((Some(first), export), next_page);
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"fulfillment.csv\""),
    ];
    Ok((headers, Body::from_stream(pages)))
}

/// A page that is read only when the client has taken the one before.
async fn next_page(
    (ready, mut export): (Option<Vec<u8>>, Export),
) -> Result<Option<(Vec<u8>, (Option<Vec<u8>>, Export))>, csv::Error> {
    if let Some(page) = ready {
        return Ok(Some((page, (None, export))));
    }
    match export.next_page().await {
        Ok(Some(rows)) => Ok(Some((sheet::page(None, &rows)?, (None, export)))),
        Ok(None) => Ok(None),
        Err(error) => {
            error!(prefix = PREFIX, error = chain(&error), "An export was broken off");
            Err(std::io::Error::other("the database does not answer").into())
        }
    }
}

fn missing(name: &str) -> Refusal {
    invalid(&format!("{name} is missing"))
}

fn invalid(message: &str) -> Refusal {
    Refusal::bad_request("invalid", message)
}
