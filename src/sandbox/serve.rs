//! The server: one task a connection, which a handler can hang up on without an answer.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::state::State;
use super::{agent, control, infobip, meta};

/// Ends the connection that a request came by.
#[derive(Debug, Clone)]
pub(super) struct HangUp(CancellationToken);

impl HangUp {
    pub(super) fn hang_up(&self) {
        self.0.cancel();
    }
}

/// Serves until the end.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>, end: CancellationToken) {
    let router = Router::new()
        .route("/{version}/{phone_number_id}/messages", post(meta::send))
        .route("/whatsapp/1/message/{kind}", post(infobip::send))
        .route("/agent/v1/chat/completions", post(agent::complete))
        .route("/_control/log", get(control::log))
        .route("/_control/requests", get(control::requests))
        .route("/_control/faults", post(control::fault).delete(control::forget_faults))
        .route("/_control/reports", post(control::reports))
        .route("/_control/inbound", post(control::inbound))
        .route("/_control/limits", post(control::limits))
        .with_state(state);
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
