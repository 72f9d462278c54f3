//! What the fakes of HTTP APIs share: a server with one task a connection, on which a handler can hang up without an answer.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Ends the connection that a request came by.
#[derive(Debug, Clone)]
pub(super) struct HangUp(CancellationToken);

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

impl HangUp {
    pub(super) fn hang_up(&self) {
        self.0.cancel();
    }
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

/// Serves until the end.
pub(super) async fn serve(listener: TcpListener, router: Router, end: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let ended = end.child_token();
        let hang_up = HangUp(ended.clone());
        let router = router.clone();
        let service = tower_service(router, hang_up);
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // What goes wrong on a connection is the caller's to notice.
                _ = connection => {}
                () = ended.cancelled() => {}
            }
        });
    }
}

fn tower_service(
    router: Router,
    hang_up: HangUp,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    TowerToHyperService::new(router.layer(axum::Extension(hang_up)))
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

/// HMAC-SHA256 in hexadecimal digits.
pub(super) fn hmac_hex(secret: &str, message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is taken");
    mac.update(message);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_known_one() {
        // A vector of GitHub's, whose webhooks are signed the same way.
        assert_eq!(
            hmac_hex("It's a Secret to Everybody", b"Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
