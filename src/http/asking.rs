//! Who asks for a change, and its `Idempotency-Key`: read here once, for every request that changes something.
//!
//! The key is any word of 1 to 255 visible characters, bare or in quotes as the IETF's draft writes it. It counts for this
//! caller and this path for a day. What is answered is kept with the change itself (`src/store/asked.rs`), so a refusal, which
//! changed nothing, is kept by nobody: the same request is looked at anew.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::App;
use super::auth::Caller;
use super::body;
use super::errors::Refusal;
use crate::store::Store;
use crate::store::asked::{Asked, Key};

/// The header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 255;

/// The store, as this request's caller asks it for a change.
pub(super) struct Asking(pub(super) Store);

impl FromRequestParts<App> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        // Every route that changes something is behind `read`.
        let asked = parts.extensions.get::<Asked>().cloned().ok_or_else(Refusal::internal)?;
        Ok(Self(app.store.clone().asked(asked)))
    }
}

/// Reads who asks, and by which key.
pub(super) async fn read(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refusal> {
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone());
    if caller.is_none() && !app.keys.is_open() {
        return Err(Refusal::internal());
    }
    let path = request.uri().path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str).to_owned();
    let (mut request, key) = match key(request.headers())? {
        None => (request, None),
        Some(word) => {
            let (parts, bytes) = body::whole(request, &app).await?;
            let body_digest = Sha256::digest(&bytes).to_vec();
            (Request::from_parts(parts, Body::from(bytes)), Some(Key { word, body_digest }))
        }
    };
    request.extensions_mut().insert(Asked { caller, path, key });
    Ok(next.run(request).await)
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = all.next() else { return Ok(None) };
    let word = first
        .to_str()
        .ok()
        .map(str::trim)
        .map(|word| word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word));
    let is_word = |word: &&str| (1..=KEY_CHARS_MAX).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic());
    match (word.filter(is_word), all.next()) {
        (Some(word), None) => Ok(Some(word.to_owned())),
        _ => Err(Refusal::bad_request(
            "invalid_idempotency_key",
            format!("Idempotency-Key must be one word of 1 to {KEY_CHARS_MAX} visible ASCII characters"),
        )
        .hint("a UUID does well")),
    }
}
