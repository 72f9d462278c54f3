//! Short links: `GET /l/{slug}` sends visitors on. Public, under any Host, because a link is for everybody.
//!
//! Promises: a request writes nothing and rarely asks the database (`finder`); a link that is changed or disabled is so for
//! visitors within five seconds; nobody is sent to anything but an http or https address, whatever the row says; people's
//! clicks are counted and written in batches (`clicks`), bots, previews and HEAD are not.

mod clicks;
mod finder;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::App;
use super::body::Part;
use super::errors::Refusal;
use crate::link::{Prefix, is_slug};
use crate::store::Store;
use clicks::Clicks;
use finder::{Finder, Place};

/// For the index.
pub(super) const PATHS: [&str; 1] = ["GET /l/{slug}"];

/// A link is not where its page is; search engines shall not keep it.
const ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// What the handler shares.
#[derive(Debug, Clone)]
pub(super) struct Links {
    finder: Finder,
    clicks: Arc<Clicks>,
    store: Store,
    /// What stands before a slug, where that is known: nothing may lead there.
    pub(super) prefix: Option<Prefix>,
}

impl Links {
    /// Begins to look links up.
    pub(super) fn start(store: Store, prefix: Option<Prefix>) -> Self {
        Self { finder: Finder::start(store.clone(), prefix.clone()), clicks: Arc::default(), store, prefix }
    }

    /// Writes clicks now and then, and a last time at the end.
    pub(super) async fn keep_counting(self, end: CancellationToken) {
        self.clicks.keep(&self.store, &end).await;
    }
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/l/{slug}", get(follow))
}

/// `GET /l/{slug}`. Where it leads nowhere, a browser gets a page, and all else JSON.
async fn follow(State(app): State<App>, method: Method, headers: HeaderMap, Part(slug): Part<String>) -> Response {
    let mut response = match lead(&app, &method, &headers, slug).await {
        Ok(target) => (StatusCode::FOUND, [(LOCATION, &*target)]).into_response(),
        Err(refusal) if visitor::reads_html(&headers) => refusal.page(),
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(ROBOTS_TAG, HeaderValue::from_static("noindex"));
    response
}

/// Where the visitor goes, whose click counts.
async fn lead(app: &App, method: &Method, headers: &HeaderMap, slug: String) -> Result<Arc<str>, Refusal> {
    // What cannot be a slug is asked of nobody.
    let place = if is_slug(&slug) { app.links.finder.find(slug).await? } else { Place::Nowhere };
    match place {
        Place::Leads { key, target } => {
            if visitor::is_person(method, headers) {
                app.links.clicks.add(&key);
            }
            Ok(target)
        }
        Place::Over => Err(Refusal::gone("this link is not in use any more")),
        Place::Nowhere => Err(Refusal::not_found("there is no such link")),
    }
}
