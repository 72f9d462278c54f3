//! Document 3: an order's fulfilment is looked at, triggered, tried again; and all of it is exported as a sheet.
//!
//! The lines of its log carry document 3's prefix, and an order's key as the database has it: what a caller calls an order could
//! be anything.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::stream::try_unfold;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::{error, info};

use crate::http::App;
use crate::http::asking::Asking;
use crate::http::body::{Asked, Object};
use crate::http::errors::Refusal;
use crate::sheet;
use crate::store::chain;
use crate::store::export::{Export, Filter, HEADINGS};

/// What the lines of its log are found by.
const PREFIX: &str = "[FULFILLMENT]";

/// Which order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(rename = "orderId")]
    order: Option<String>,
}

/// Which fulfilments to export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exported {
    status: Option<String>,
    phone: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// `GET /api/orders/fulfillment?orderId=…`: the order, its fulfilment, every attempt and every report.
pub(super) async fn status(
    State(app): State<App>,
    Asked(Wanted { order }): Asked<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let order = order.filter(|order| !order.is_empty()).ok_or_else(|| missing("orderId"))?;
    let status = app.store.fulfillment_status(&order).await?;
    status.map(Json).ok_or_else(|| Refusal::not_found("there is no such order"))
}

/// `POST /api/orders/fulfillment` with `{"action": "trigger" | "retry", "orderId": "…", "force"?: true, "note"?: "…"}`.
pub(super) async fn act(Asking(store): Asking, Object(body): Object) -> Result<(StatusCode, Json<Value>), Refusal> {
    let action = text(&body, "action")?.ok_or_else(|| missing("action"))?;
    let order = text(&body, "orderId")?.ok_or_else(|| missing("orderId"))?;
    let answer = match action {
        "trigger" => store.trigger_fulfillment(order).await?,
        "retry" => {
            let force = match body.get("force") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(force)) => *force,
                Some(_) => return Err(invalid("force must be true or false")),
            };
            store.retry_fulfillment(order, force, text(&body, "note")?).await?
        }
        _ => return Err(invalid("action must be trigger or retry")),
    };
    let known = answer["order"]["id"].as_str();
    let status = answer["fulfillment"]["status"].as_str();
    info!(prefix = PREFIX, action, order = known, status, "Fulfillment is asked for");
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `GET /api/orders/fulfillment/export.csv?status=&phone=&from=&to=`: everything that matches, as it is read.
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

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty()).map(String::as_str)),
        Some(_) => Err(invalid(&format!("{name} must be text"))),
    }
}

fn missing(name: &str) -> Refusal {
    invalid(&format!("{name} is missing"))
}

fn invalid(message: &str) -> Refusal {
    Refusal::bad_request("invalid", message)
}
