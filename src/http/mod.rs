//! HTTP: the operator's functions, the documents' endpoints, health, the providers' webhooks, and short links.
//!
//! A handler reads a request, calls the SQL function of the same meaning, and answers what that said. Promises: bodies,
//! heads and answers are bounded in size and time; every failure is `{"error": {"code", "message", "hint"}}`; every answer
//! carries its request's id; nothing of a request but its method, its route and its id is logged.
//!
//! Layers of a request, from outside: observe (id, log line, headers) → panic to 500 → deadline → Host and Origin, where no
//! token is configured → authentication → who asks for a change, and its Idempotency-Key → handler. Invariant: nothing here knows the worker.

pub mod server;
pub mod auth;
pub mod jwt;
pub mod login;
pub mod webhooks;
mod origin;
mod observe;
mod errors;
mod body;
mod asking;
mod health;
mod api;
mod links;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::link::Prefix;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::store::connect::{Database, Session};
use auth::{Keys, Role};
use errors::Refusal;

/// What the server is told by the environment.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Who may call.
    pub keys: Keys,
    /// By what the providers' calls are known.
    pub webhooks: webhooks::Secrets,
    /// What stands before the slugs of short links, where that is known.
    pub links: Option<Prefix>,
    /// How much and how long.
    pub limits: Limits,
}

/// How much a request may bring, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the request's head, and for the pause between two requests of a connection.
    pub head: Duration,
    /// For the request's body.
    pub body: Duration,
    /// From the end of the head to the answer.
    pub answer: Duration,
    /// For the caller to take the next part of the answer.
    pub write: Duration,
    /// For a connection: an answer after this is its last.
    pub connection: Duration,
    /// For a connection's last answer too, however long it is and however slowly it is taken.
    pub connection_max: Duration,
    /// For what a request asks for and waits for; less than `answer`.
    pub wait: Duration,
    /// The largest body of a caller.
    pub body_bytes_max: usize,
    /// The largest body of a provider: Meta tells at most 3 MB at a time.
    pub webhook_bytes_max: usize,
    /// Webhooks' bodies at a time that are not small; more wait.
    pub large_webhooks_max: usize,
    /// Connections at a time; more wait to be accepted.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            write: Duration::from_secs(10),
            connection: Duration::from_mins(1),
            connection_max: Duration::from_hours(1),
            wait: Duration::from_secs(20),
            body_bytes_max: 1 << 20,
            webhook_bytes_max: 4 << 20,
            large_webhooks_max: 8,
            connections_max: 512,
        }
    }
}

/// What every handler may use.
#[derive(Debug, Clone)]
struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    readiness: Readiness,
    keys: Keys,
    webhooks: webhooks::Secrets,
    limits: Limits,
    /// Where the server really listens.
    address: SocketAddr,
    health: health::Health,
    /// Room for webhooks' bodies that are not small.
    large_webhooks: Arc<Semaphore>,
    links: links::Links,
}

impl App {
    fn new(settings: Settings, store: Store, readiness: Readiness) -> Self {
        let Settings { address, keys, webhooks, links, limits } = settings;
        let large_webhooks = Arc::new(Semaphore::new(limits.large_webhooks_max));
        let health = health::Health::default();
        let links = links::Links::start(store.clone(), links);
        Self(Arc::new(Inner { store, readiness, keys, webhooks, limits, address, health, large_webhooks, links }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// For the database to answer: longer than a statement may run there, shorter than a request may take.
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// What the server asks of the database, over connections of its own, so that no flood of requests keeps the worker from its
/// rows.
pub fn store(database: &Database, connections: usize) -> Store {
    Store::new(database.pool(connections, Session::Request)).with_answer_max(ANSWER_MAX)
}

/// Every route, behind what it needs.
fn router(app: &App) -> Router {
    let only = |role: Role| from_fn_with_state((app.clone(), role), auth::require);
    let open = Router::new()
        .route("/", get(index))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/api/auth/login", post(login::login))
        .merge(api::opens());
    // What a provider calls carries its own proof, and the Host under which the provider knows us. Links are for everybody.
    let here = open
        .merge(api::reads().route_layer(only(Role::Reader)))
        .merge(api::writes().route_layer(from_fn_with_state(app.clone(), asking::read)).route_layer(only(Role::Admin)))
        .route_layer(from_fn_with_state(app.clone(), origin::guard));
    layered(here.merge(webhooks::routes()).merge(links::routes()), app).with_state(app.clone())
}

/// What is around every route, and around what is none.
fn layered(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .fallback(async || Refusal::not_found("there is nothing at this path").hint("GET / lists what there is"))
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .layer(from_fn_with_state(app.clone(), deadline))
        .layer(CatchPanicLayer::custom(errors::panicked))
        .layer(from_fn(observe::observe))
}

/// A handler that takes too long is given up, and its statement with it; what that did meanwhile stays done.
async fn deadline(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refusal> {
    let answer = tokio::time::timeout(app.limits.answer, next.run(request)).await;
    answer.map_err(|_| Refusal::unavailable("timeout", "the answer took too long; whether it was done is not known", 5))
}

/// `GET /`: what there is.
async fn index() -> Json<Value> {
    let health = ["/livez", "/readyz"];
    Json(json!({
        "name": "rowcall", "health": health, "api": api::PATHS, "webhooks": webhooks::PATHS, "links": links::PATHS,
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;
    use crate::store::connect::STATEMENT_MAX;

    fn app(limits: Limits) -> App {
        let (keys, webhooks) = (Keys::default(), webhooks::Secrets::default());
        let settings =
            Settings { address: SocketAddr::from(([127, 0, 0, 1], 8000)), keys, webhooks, links: None, limits };
        let database = Database::parse("postgres://nobody@127.0.0.1:1/none").unwrap();
        App::new(settings, store(&database, 1), Readiness::default())
    }

    async fn told(routes: Router<App>, limits: Limits) -> (u16, Value) {
        let app = app(limits);
        let layered = layered(routes, &app).with_state(app);
        let answer = layered.oneshot(Request::get("/it").body(Body::empty()).unwrap()).await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"));
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&to_bytes(answer.into_body(), 1 << 20).await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing() {
        async fn broken() {
            panic!("the secret of +972501234567");
        }
        let (status, body) = told(Router::new().route("/it", get(broken)), Limits::default()).await;
        assert_eq!((status, &body["error"]["code"]), (500, &json!("internal")));
        assert!(!body.to_string().contains("secret"), "{body}");
    }

    #[test]
    fn a_statement_ends_before_its_request_is_given_up() {
        assert!(STATEMENT_MAX < ANSWER_MAX && ANSWER_MAX < Limits::default().answer);
    }

    #[test]
    fn no_request_that_keeps_its_own_bounds_is_cut_off_with_its_connection() {
        let Limits { head, answer, write, connection, connection_max, .. } = Limits::default();
        assert!(connection + head + answer + write < connection_max);
    }

    #[tokio::test]
    async fn a_handler_that_hangs_is_given_up() {
        let hangs = Router::new().route("/it", get(std::future::pending::<()>));
        let (status, body) = told(hangs, Limits { answer: Duration::ZERO, ..Limits::default() }).await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("timeout")));
    }
}
