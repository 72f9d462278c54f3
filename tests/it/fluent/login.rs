//! `POST /api/auth/login`: who gets a token, what it opens, and when it ends.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use rowcall::http::Settings;
use rowcall::http::auth::Keys;
use rowcall::http::login::{Login, hash};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::web::{Web, json as with_json, open, refused, told};

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery";

const SECRET: &str = "an admin's token, which is no hash";

fn settings(hash: &str) -> Settings {
    settings_with(hash, Some(SECRET))
}

fn settings_with(hash: &str, secret: Option<&str>) -> Settings {
    let secret = secret.map(SecretString::from);
    let login = Login::new(&SecretString::from(EMAIL), hash.into(), secret.as_ref()).unwrap();
    Settings { keys: Keys { login: Some(login), ..Keys::default() }, ..open() }
}

fn login(web: &Web, email: &str, password: &str) -> RequestBuilder {
    with_json(web.post("/api/auth/login"), &json!({"email": email, "password": password}))
}

async fn token(web: &Web) -> String {
    let (status, answer) = told(login(web, EMAIL, PASSWORD)).await;
    assert_eq!((status, &answer["tokenType"], &answer["expiresIn"]), (200, &json!("Bearer"), &json!(3600)), "{answer}");
    answer["accessToken"].as_str().unwrap().to_owned()
}

/// Something that only an admin may, and that changes nothing.
fn resume(web: &Web, token: &str) -> RequestBuilder {
    web.post("/api/queues/codes/resume").bearer_auth(token)
}

/// The token with other claims, signed with the key of the hash and the secret as `login.rs` derives it.
fn forged(token: &str, hash: &str, change: impl FnOnce(&mut Value)) -> String {
    forged_with(SECRET, token, hash, change)
}

fn forged_with(secret: &str, token: &str, hash: &str, change: impl FnOnce(&mut Value)) -> String {
    let (head, rest) = token.split_once('.').unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(rest.split_once('.').unwrap().0).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    change(&mut claims);
    let message = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let derived = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, hash.as_bytes());
    let derived = ring::hmac::sign(&derived, format!("rowcall login{secret}").as_bytes());
    let key = base64::prelude::BASE64_STANDARD.encode(derived.as_ref());
    let signature =
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[tokio::test]
async fn the_right_password_opens_everything_for_an_hour() {
    let scratch = Scratch::migrated().await;
    let hash = hash(PASSWORD).unwrap();
    let web = Web::start(&scratch, settings(&hash)).await;
    assert_eq!(refused(web.get("/api/status")).await.0, 401, "a server with a login is not open");
    let token = token(&web).await;
    assert_eq!(told(resume(&web, &token)).await.0, 200);
    assert_eq!(told(login(&web, " Admin@Example.com ", PASSWORD)).await.0, 200, "addresses are the same in capitals");

    let seconds = |ahead: i64| move |claims: &mut Value| claims["exp"] = json!(claims["iat"].as_i64().unwrap() + ahead);
    assert_eq!(told(resume(&web, &forged(&token, &hash, seconds(600)))).await.0, 200, "the test forges well");
    let expired = forged(&token, &hash, seconds(-600));
    assert_eq!(refused(resume(&web, &expired)).await, (403, "token_expired".to_owned()));
    for bad in [
        forged(&token, "another hash", seconds(600)),
        forged(&token, "another hash", seconds(-600)),
        forged_with("", &token, &hash, seconds(600)),
        forged(&token, &hash, |claims| claims["aud"] = json!("somebody else")),
        token.replace('.', ".x"),
        "x".to_owned(),
    ] {
        assert_eq!(refused(resume(&web, &bad)).await, (401, "unauthenticated".to_owned()));
    }
    // The same settings take the token, on another worker or after a restart; another password does not.
    let again = Web::start(&scratch, settings(&hash)).await;
    assert_eq!(told(resume(&again, &token)).await.0, 200);
    let other = Web::start(&scratch, settings(&rowcall::http::login::hash("another password").unwrap())).await;
    assert_eq!(refused(resume(&other, &token)).await.0, 401);
}

#[tokio::test]
async fn whoever_knows_the_hash_alone_can_make_no_token() {
    let scratch = Scratch::migrated().await;
    let hash = hash(PASSWORD).unwrap();
    for secret in [None, Some(SECRET)] {
        let web = Web::start(&scratch, settings_with(&hash, secret)).await;
        let token = token(&web).await;
        assert_eq!(told(resume(&web, &token)).await.0, 200);
        assert_eq!(refused(resume(&web, &forged_with("", &token, &hash, |_| {}))).await.0, 401);
    }
    let web = Web::start(&scratch, settings_with(&hash, None)).await;
    let token = token(&web).await;
    let again = Web::start(&scratch, settings_with(&hash, None)).await;
    assert_eq!(refused(resume(&again, &token)).await.0, 401, "without the admin's token, each has a key of its own");
}

#[tokio::test]
async fn a_stranger_keeps_nobody_out() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, settings(&hash(PASSWORD).unwrap())).await;
    for nth in 0..6 {
        assert_eq!(refused(login(&web, &format!("{nth}@example.com"), "wrong")).await.0, 401);
    }
    // Guesses run out at a wrong address as at the right one, so that it does not tell which is right.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(refused(login(&web, "somebody@example.com", "wrong")).await.0);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    token(&web).await;
}

#[tokio::test]
async fn guesses_are_refused_alike_and_run_out() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, settings(&hash(PASSWORD).unwrap())).await;
    for body in [
        json!({}),
        json!({"email": EMAIL}),
        json!({"email": EMAIL, "password": 7}),
        json!({"email": null, "password": "x"}),
    ] {
        assert_eq!(refused(with_json(web.post("/api/auth/login"), &body)).await.0, 400, "{body}");
    }
    token(&web).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (EMAIL, "wrong"),
        ("somebody@example.com", PASSWORD),
        ("somebody@example.com", "wrong"),
        ("", ""),
        (EMAIL, "x".repeat(2000).as_str()),
    ] {
        answers.push(told(login(&web, email, password)).await);
    }
    for _ in 0..3 {
        answers.push(told(login(&web, " ADMIN@example.com", "wrong")).await);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 401), "{answers:?}");
    // Even the right one has to wait now.
    let response = login(&web, EMAIL, PASSWORD).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=13).contains(&wait), "{wait}");
}

#[tokio::test]
async fn without_a_login_there_is_none() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    assert_eq!(refused(login(&web, EMAIL, PASSWORD)).await.0, 404);
}
