//! `POST /api/auth/login`: an e-mail address and a password, for a token that is good for an hour.
//!
//! One person, whose password is kept as its argon2 hash. Guesses are counted by address, for behind a proxy callers look
//! alike: five at once, then one every twelve seconds; a right one counts for nothing. So nobody who does not know the
//! address keeps its owner out. The token is a JWT signed with a key that comes from the hash and `ROWCALL_API_TOKEN`: it
//! survives a restart, holds for every worker of the same settings, and ends with the password. Without that token the key
//! is the process' own, and ends with it: whoever reads the hash alone can make no token.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::App;
use super::auth::{Caller, Token};
use super::body::Object;
use super::errors::{Refusal, Refused};
use super::jwt::{Jwt, sign};

/// How long a token is good.
const LIFETIME: Duration = Duration::from_hours(1);

/// Wrong guesses at once, and the time that one more takes.
const GUESSES: u32 = 5;
const GUESS_EVERY: Duration = Duration::from_secs(12);

/// Guesses at wrong addresses, all of them together: each costs a hash.
const STRANGERS: u32 = 60;
const STRANGER_EVERY: Duration = Duration::from_secs(1);

/// A longer password is none; hashing it would only cost.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The one who may log in.
pub struct Login {
    email: Token,
    hash: SecretString,
    key: SecretString,
    tokens: Jwt,
    guesses: Mutex<Counts>,
    /// A hash takes memory and a processor: one at a time, and one for those who have the address wrong.
    turn: Semaphore,
    strangers_turn: Semaphore,
}

/// It is no argon2 hash.
#[derive(Debug, thiserror::Error)]
#[error("no argon2 hash")]
pub struct HashError;

/// How many guesses are spent (GCRA: one time tells it), of so many that come back one by one.
#[derive(Debug)]
struct Guesses {
    spent_until: Instant,
    of: u32,
    every: Duration,
}

/// The guesses at the right address, and those at every other.
#[derive(Debug)]
struct Counts {
    right: Guesses,
    strangers: Guesses,
    /// By an address' hash, with a key of this process. Bounded, for all of them together are.
    wrong: HashMap<u64, Guesses>,
    hasher: RandomState,
}

impl Login {
    /// Who logs in by this address and the password of this hash, in the form `$argon2id$…`; tokens are signed with what
    /// only those who have `secret` know, or with a key of this process.
    pub fn new(email: &SecretString, hash: SecretString, secret: Option<&SecretString>) -> Result<Self, HashError> {
        let is_argon2 =
            PasswordHash::new(hash.expose_secret()).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"));
        if !is_argon2 {
            return Err(HashError);
        }
        let mut key = Hmac::<Sha256>::new_from_slice(hash.expose_secret().as_bytes()).map_err(|_| HashError)?;
        key.update(b"rowcall login");
        match secret {
            Some(secret) => key.update(secret.expose_secret().as_bytes()),
            None => key.update(&rand::random::<[u8; 32]>()),
        }
        let key = SecretString::from(BASE64_STANDARD.encode(key.finalize().into_bytes()));
        Ok(Self {
            email: Token::new(&folded(email.expose_secret())),
            hash,
            tokens: Jwt::new(Some(&key), None).map_err(|_| HashError)?,
            key,
            guesses: Mutex::new(Counts::new(Instant::now())),
            turn: Semaphore::new(1),
            strangers_turn: Semaphore::new(1),
        })
    }

    /// The role of a token's bearer; nothing when it is not one of these.
    pub(super) fn caller(&self, token: &[u8]) -> Option<Caller> {
        self.tokens.caller(token)
    }

    /// Whether it was one of these, and its time is over.
    pub(super) fn has_expired(&self, token: &[u8]) -> bool {
        self.tokens.has_expired(token)
    }

    fn is_known(&self, email: &str) -> bool {
        self.email.is(folded(email).expose_secret().as_bytes())
    }

    async fn is_right(&self, is_known: bool, password: String) -> bool {
        let turn = if is_known { &self.turn } else { &self.strangers_turn };
        let Ok(_turn) = turn.acquire().await else { return false };
        let hash = self.hash.clone();
        // Always hashed, whatever the address, so that the time does not tell whether the address is right.
        let hashed = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(hash.expose_secret());
            hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        hashed.await.unwrap_or_default() & is_known
    }

    fn token(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let claims = json!({
            "iss": "rowcall", "sub": "operator", "aud": "authenticated", "role": "service_role", "iat": now,
            "exp": now + LIFETIME.as_secs(),
        });
        sign(&self.key, &claims)
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login([redacted])")
    }
}

impl Counts {
    fn new(now: Instant) -> Self {
        Self {
            right: Guesses::at_an_address(now),
            strangers: Guesses { spent_until: now, of: STRANGERS, every: STRANGER_EVERY },
            wrong: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a guess at this address, or says how long until there is one: the same for the right one and every other.
    fn take(&mut self, email: &str, is_known: bool, now: Instant) -> Result<(), Duration> {
        if is_known {
            return self.right.take(now);
        }
        self.wrong.retain(|_, guesses| guesses.spent_until > now);
        self.strangers.take(now)?;
        let address = self.hasher.hash_one(folded(email).expose_secret());
        let taken = self.wrong.entry(address).or_insert_with(|| Guesses::at_an_address(now)).take(now);
        if taken.is_err() {
            self.strangers.give_back();
        }
        taken
    }
}

impl Guesses {
    fn at_an_address(now: Instant) -> Self {
        Self { spent_until: now, of: GUESSES, every: GUESS_EVERY }
    }

    /// Takes a guess, or says how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let spent_until = self.spent_until.max(now) + self.every;
        match spent_until.duration_since(now).checked_sub(self.every * self.of) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.spent_until = spent_until;
                Ok(())
            }
        }
    }

    fn give_back(&mut self) {
        self.spent_until = self.spent_until.checked_sub(self.every).unwrap_or(self.spent_until);
    }
}

/// The hash of a password, as the settings take it.
pub fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| anyhow::anyhow!("hash the password: {error}"))
}

/// Who logs in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read field by field, so that what is missing is named; this describes it")]
struct Credentials {
    email: String,
    #[schema(format = Password)]
    password: String,
}

/// What is shown as a bearer token from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted {
    access_token: String,
    /// `Bearer`.
    #[schema(value_type = String)]
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// Log in
#[utoipa::path(
    post,
    path = "/api/auth/login",
    operation_id = "logIn",
    tag = "login",
    request_body = Credentials,
    responses(
        (status = 200, description = "A token that is good for an hour", body = Granted),
        (status = 401, description = "This address and password do not go together", body = Refused),
        (status = 404, description = "Nobody can log in here", body = Refused),
        (
            status = 429,
            description = "Too many wrong guesses",
            body = Refused,
            headers(("Retry-After" = u32, description = "Seconds until it may do"))
        )
    )
)]
pub(super) async fn login(State(app): State<App>, Object(mut asked): Object) -> Result<Json<Granted>, Refusal> {
    let Some(login) = &app.keys.login else {
        return Err(Refusal::not_found("nobody can log in here")
            .hint("set ROWCALL_ADMIN_EMAIL and ROWCALL_ADMIN_PASSWORD_HASH, or use ROWCALL_API_TOKEN"));
    };
    let mut text = |name: &str| match asked.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Refusal::bad_request("invalid", format!("{name} is missing"))),
    };
    let (email, password) = (text("email")?, text("password")?);
    let is_known = login.is_known(&email);
    let guess = login.guesses().take(&email, is_known, Instant::now());
    guess.map_err(|wait| Refusal::too_many("too many wrong guesses", wait))?;
    if password.len() > PASSWORD_BYTES_MAX || !login.is_right(is_known, password).await {
        return Err(Refusal::unauthenticated("this address and password do not go together"));
    }
    login.guesses().right.give_back();
    let Some(token) = login.token(SystemTime::now()) else {
        return Err(Refusal::unavailable("clock", "this machine's clock is not set", 60));
    };
    Ok(Json(Granted { access_token: token, token_type: "Bearer", expires_in: LIFETIME.as_secs() }))
}

/// Addresses are the same in capitals.
fn folded(email: &str) -> SecretString {
    email.trim().to_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_guesses_are_free_and_more_take_their_time() {
        let now = Instant::now();
        let mut guesses = Guesses::at_an_address(now);
        assert_eq!((0..6).filter(|_| guesses.take(now).is_ok()).count(), 5);
        assert_eq!(guesses.take(now), Err(GUESS_EVERY));
        assert_eq!(guesses.take(now + GUESS_EVERY), Ok(()));
        guesses.give_back();
        assert_eq!(guesses.take(now + GUESS_EVERY), Ok(()));
    }

    #[test]
    fn strangers_guess_without_the_owner_and_are_remembered_for_a_while_only() {
        let now = Instant::now();
        let mut counts = Counts::new(now);
        let mut strangers = (0..).map(|nth| format!("{nth}@example.com"));
        let taken = strangers.by_ref().take(100).filter(|email| counts.take(email, false, now).is_ok()).count();
        assert_eq!(taken, STRANGERS as usize);
        assert_eq!(counts.take("admin@example.com", true, now), Ok(()));
        assert!(counts.take("one more", false, now).is_err());
        assert_eq!(counts.take("one more", false, now + Duration::from_mins(2)), Ok(()));
        assert_eq!(counts.wrong.len(), 1);
    }

    #[test]
    fn only_argon2_hashes_are_taken() {
        let email = SecretString::from("a@example.com");
        assert!(Login::new(&email, hash("a password").unwrap().into(), None).is_ok());
        for wrong in ["", "plain", "$2b$12$abcdefghijklmnopqrstuv", "$pbkdf2-sha256$i=1$c2FsdHNhbHQ$aGFzaGhhc2g"] {
            assert!(Login::new(&email, wrong.into(), None).is_err(), "{wrong}");
        }
    }
}
