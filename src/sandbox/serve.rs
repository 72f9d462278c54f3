//! The server of every fake: one task a connection, which a handler can hang up on without an answer.

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Ends the connection that a request came by.
#[derive(Debug, Clone)]
pub(super) struct HangUp(CancellationToken);

impl HangUp {
    pub(super) fn hang_up(&self) {
        self.0.cancel();
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
