//! The server: accepts connections, and ends with the worker.
//!
//! Promises: a taken port is an error at start; a client that sends nothing, or slowly, or does not read, is given up, and
//! none keeps a connection for ever; when closing starts, nothing more is accepted, what was asked is answered within the
//! grace period, and then clicks are written. HTTP/1 only: what terminates TLS in front of it speaks the rest.

use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::auth::Keys;
use super::links::Links;
use super::{App, Limits, Settings, router};
use crate::readiness::Readiness;
use crate::store::Store;

/// The largest head; hyper answers 431 beyond.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// When no connection can be taken, most often for want of file descriptors, wait this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that has its port, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: Limits,
    links: Links,
    closing: CancellationToken,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error(
        "{0} is taken by another program: give ROWCALL_HTTP_ADDR another port, or set ENABLE_MONITORING=false to do \
         without HTTP"
    )]
    Taken(SocketAddr),
    /// Whoever reaches it could do everything.
    #[error("{0} is reached from other machines, and there is no ROWCALL_API_TOKEN")]
    Open(SocketAddr),
    /// Anything else.
    #[error("listen at ROWCALL_HTTP_ADDR={address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: Error,
    },
}

impl Server {
    /// Takes the port. The server closes when `closing` is cancelled.
    pub async fn bind(
        settings: Settings,
        store: Store,
        readiness: Readiness,
        closing: CancellationToken,
    ) -> Result<Self, ListenError> {
        let address = settings.address;
        refuse_open(address, &settings.keys)?;
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => ListenError::Taken(address),
            _ => ListenError::Listen { address, source },
        })?;
        Self::on(listener, settings, store, readiness, closing)
    }

    /// The same at a port that was taken before, for whoever must tell others its address first.
    pub fn on(
        listener: TcpListener,
        settings: Settings,
        store: Store,
        readiness: Readiness,
        closing: CancellationToken,
    ) -> Result<Self, ListenError> {
        let Settings { address, limits, .. } = settings;
        let address = listener.local_addr().map_err(|source| ListenError::Listen { address, source })?;
        refuse_open(address, &settings.keys)?;
        let app = App::new(Settings { address, ..settings }, store, readiness);
        Ok(Self { listener, address, router: router(&app), limits, links: app.links.clone(), closing })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until closing starts, then answers what was asked, for at most `grace`.
    pub async fn run(self, grace: Duration) {
        info!(address = %self.address, "HTTP is served");
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let counted = CancellationToken::new();
        let counting = tokio::spawn(self.links.keep_counting(counted.clone()));
        loop {
            let accepted = tokio::select! {
                () = self.closing.cancelled() => break,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((stream, slot)) = accepted else { continue };
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(self.limits.write));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.head)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(Box::pin(stream)), service(&self.router, self.limits.connection));
            let connection = timeout(self.limits.connection_max, graceful.watch(connection));
            connections.spawn(async move {
                match connection.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(error = crate::store::chain(&error), "A connection ended early"),
                    Err(_) => debug!("A connection was cut off in its last answer"),
                }
                drop(slot);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        info!("HTTP closes: nothing more is accepted, what was asked is answered");
        if timeout(grace, graceful.shutdown()).await.is_err() {
            warn!(connections = connections.len(), "Some requests were not answered in time");
        }
        // Nobody follows a link any more: what was counted is written.
        counted.cancel();
        if let Err(error) = counting.await {
            warn!(%error, "The last clicks were not written");
        }
    }
}

fn refuse_open(address: SocketAddr, keys: &Keys) -> Result<(), ListenError> {
    if !address.ip().is_loopback() && keys.admin.is_none() {
        return Err(ListenError::Open(address));
    }
    Ok(())
}

/// The routes for one connection. An answer after `lifetime` is the last: whoever wants more connects anew, and waits for
/// room like everybody.
fn service(
    router: &Router,
    lifetime: Duration,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + use<> {
    let router = TowerToHyperService::new(router.clone());
    let until = Instant::now() + lifetime;
    service_fn(move |request| {
        let answer = router.call(request);
        async move {
            let mut answer = answer.await?;
            if Instant::now() >= until {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer)
        }
    })
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and whole; without this the last part of one may wait for the client.
            let _ = stream.set_nodelay(true);
            Some((stream, slot))
        }
        Err(error) => {
            debug!(%error, "A connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
