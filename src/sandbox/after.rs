//! What a request on which a fault was put still leads to: an effect or none, and an answer or none.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::Value;

use super::serve::HangUp;

/// What is left to do after a fault.
pub(super) enum Left {
    /// Whatever is done usually.
    Usual,
    /// The effect, and then this in place of the answer.
    EffectThen(After),
    /// This alone.
    Nothing(After),
}

/// What takes the place of an answer.
pub(super) enum After {
    Answer(Response<Body>),
    Hang,
    Close,
}

impl After {
    /// The answer, or none at all.
    pub(super) async fn happen(self, hang_up: &HangUp) -> Response<Body> {
        match self {
            Self::Answer(answer) => answer,
            Self::Hang => std::future::pending().await,
            Self::Close => {
                hang_up.hang_up();
                std::future::pending().await
            }
        }
    }
}

/// An answer: a string as it is, anything else as JSON.
pub(super) fn answer(status: u16, body: &Value, retry_after: Option<&str>) -> Response<Body> {
    let (kind, text) = match body {
        Value::String(text) => ("text/html", text.clone()),
        other => ("application/json", other.to_string()),
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if let Some(value) = retry_after.and_then(|text| header::HeaderValue::from_str(text).ok()) {
        answer.headers_mut().insert(header::RETRY_AFTER, value);
    }
    answer
}
