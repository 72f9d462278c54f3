//! Authentication: who calls, and whether they may.
//!
//! A bearer token, HTTP Basic with the token as its password, a JWT of Supabase or of our own login. Tokens are kept as
//! digests and compared in constant time; none is logged. Without any of them, this server listens to its own machine only, and
//! whoever is there may do everything.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::App;
use super::errors::Refusal;
use super::jwt::Jwt;
use super::login::Login;
use super::origin::refuse_foreign;

/// What a caller may do; each role may also do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A person who signed in with Supabase: nothing here. What they may do, the database says (docs/supabase.md).
    User,
    /// Look.
    Reader,
    /// Look and change.
    Admin,
}

/// Who calls, once that is known.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) role: Role,
    /// What is kept of who changed something: the JWT's subject, or which token it was.
    pub(super) name: String,
}

/// A secret that somebody must show.
pub struct Token([u8; 32]);

impl Token {
    /// Keeps the secret's digest.
    pub fn new(secret: &SecretString) -> Self {
        Self(Sha256::digest(secret.expose_secret()).into())
    }

    /// Whether this is it, in a time that tells nothing about it.
    pub fn is(&self, shown: &[u8]) -> bool {
        Sha256::digest(shown).as_slice().ct_eq(&self.0).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// Who may call.
#[derive(Debug, Default)]
pub struct Keys {
    /// `ROWCALL_API_TOKEN`.
    pub admin: Option<Token>,
    /// `ROWCALL_READ_TOKEN`.
    pub reader: Option<Token>,
    /// `SUPABASE_JWT_SECRET`, `SUPABASE_JWKS_FILE`.
    pub jwt: Option<Jwt>,
    /// `ROWCALL_ADMIN_EMAIL`, `ROWCALL_ADMIN_PASSWORD_HASH`.
    pub login: Option<Login>,
}

impl Keys {
    /// Whether nobody needs to say who they are.
    pub fn is_open(&self) -> bool {
        self.admin.is_none() && self.reader.is_none() && self.jwt.is_none() && self.login.is_none()
    }

    fn caller(&self, shown: &Shown) -> Option<Caller> {
        // Both are compared always, so that the time does not tell which one was closer.
        let is = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.is(shown.secret()));
        match (is(&self.admin), is(&self.reader), shown) {
            (true, _, _) => Some(Caller { role: Role::Admin, name: "api token".to_owned() }),
            (_, true, _) => Some(Caller { role: Role::Reader, name: "read token".to_owned() }),
            (_, _, Shown::Bearer(token)) => {
                let of_login = self.login.as_ref().and_then(|login| login.caller(token));
                of_login.or_else(|| self.jwt.as_ref()?.caller(token))
            }
            (_, _, Shown::Basic(_)) => None,
        }
    }

    /// Why what is shown is not taken.
    fn refusal(&self, shown: &Shown) -> Refusal {
        if let (Shown::Bearer(token), Some(login)) = (shown, &self.login)
            && login.has_expired(token)
        {
            return Refusal::forbidden("token_expired", "this token's time is over").hint("log in again");
        }
        Refusal::unauthenticated("this token is not taken")
    }
}

/// The role of whoever sends these headers; nothing where they show nothing that is taken.
pub(super) fn role_of(keys: &Keys, headers: &HeaderMap) -> Option<Role> {
    if keys.is_open() { Some(Role::Admin) } else { keys.caller(&Shown::read(headers)?).map(|caller| caller.role) }
}

/// What a request shows.
pub(super) enum Shown {
    Bearer(Vec<u8>),
    /// Of HTTP Basic, the password; any user will do.
    Basic(Vec<u8>),
}

impl Shown {
    /// What stands in the one `Authorization` header.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (all.next(), all.next()) else { return None };
        let (scheme, shown) = header.to_str().ok()?.split_once(' ')?;
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(shown.as_bytes().to_vec()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = BASE64_STANDARD.decode(shown).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some(Self::Basic(pair[colon + 1..].to_vec()))
    }

    pub(super) fn secret(&self) -> &[u8] {
        match self {
            Self::Bearer(secret) | Self::Basic(secret) => secret,
        }
    }
}

/// Lets through who has at least this role, and says so to what comes after: `asking` keeps who changes something.
pub(super) async fn require(
    State((app, least)): State<(App, Role)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if app.keys.is_open() {
        return Ok(next.run(request).await);
    }
    let shown = Shown::read(request.headers())
        .ok_or_else(|| Refusal::unauthenticated("say who you are").hint("Authorization: Bearer <token>"))?;
    let caller = app.keys.caller(&shown).ok_or_else(|| app.keys.refusal(&shown))?;
    if matches!(shown, Shown::Basic(_)) {
        refuse_foreign(request.method(), request.headers())?;
    }
    if caller.role == Role::User {
        let said = "a page's token may do nothing over HTTP: what a page may do, it does by supabase-js";
        return Err(Refusal::forbidden("use_supabase", said)
            .hint("supabase.rpc('request_code_delete', { code }) and the like: docs/supabase.md, What a page calls"));
    }
    if caller.role < least {
        return Err(Refusal::forbidden("forbidden", "this token may not do that"));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}
