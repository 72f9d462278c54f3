//! Who may call: tokens, HTTP Basic, Supabase's JWTs; and, without any of them, which pages.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{digest, hmac};
use rowcall::http::auth::Keys;
use rowcall::http::jwt::Jwt;
use rowcall::http::server::{ListenError, Server};
use rowcall::http::{Settings, store};
use rowcall::readiness::Readiness;
use rowcall::store::connect::Database;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::scratch::Scratch;
use crate::web::{ADMIN, READER, Web, locked, open, raw, refused, told};

pub(crate) const SECRET: &str = "the-hs256-secret-of-a-supabase-project";

/// Asks for something that only an admin may, and that changes nothing.
fn retry(web: &Web) -> RequestBuilder {
    web.post("/api/queues/codes/resume")
}

fn pause(web: &Web, queue: &str) -> RequestBuilder {
    crate::web::json(web.post(&format!("/api/queues/{queue}/pause")), &json!({ "reason": "a look" }))
}

#[tokio::test]
async fn without_a_token_only_requests_meant_for_this_machine_are_served() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    let port = web.address.port();
    assert_eq!(told(retry(&web)).await.0, 200);
    for name in [format!("localhost:{port}"), format!("[::1]:{port}"), format!("127.0.0.1:{port}")] {
        assert_eq!(told(retry(&web).header("host", name)).await.0, 200);
    }
    for path in ["/api/status", "/readyz", "/"] {
        for name in [format!("evil.example:{port}"), "localhost".to_owned(), format!("localhost:{}", port ^ 1)] {
            let answer = refused(web.get(path).header("host", name)).await;
            assert_eq!(answer, (403, "foreign_host".to_owned()), "{path}");
        }
    }
    let absolute = format!(
        "GET http://evil.example:{port}/api/status HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n"
    );
    let twice = format!(
        "GET /api/status HTTP/1.1\r\nhost: localhost:{port}\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    );
    let nameless = "GET /api/status HTTP/1.1\r\nconnection: close\r\n\r\n";
    for request in [absolute.as_str(), &twice, nameless] {
        let answer = raw(web.address, request.as_bytes()).await;
        assert!(answer.contains(" 403 ") && answer.contains("foreign_host"), "{request}{answer}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_served_through_a_proxy() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    // As a proxy on this machine sends it: by our own name.
    for (name, value) in [
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 proxy.example.com"),
        ("x-real-ip", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
    ] {
        for request in [retry(&web), web.get("/api/status"), web.get("/")] {
            let (status, body) = told(request.header(name, value)).await;
            assert_eq!((status, &body["error"]["code"]), (403, &json!("relayed")), "{name}");
            assert!(body["error"]["hint"].as_str().unwrap().contains("ROWCALL_API_TOKEN"), "{body}");
        }
    }
    // nginx adds nothing unless it is told to, and speaks HTTP/1.0.
    let nginx = format!("POST /api/queues/codes/resume HTTP/1.0\r\nhost: {}\r\n\r\n", web.address);
    let answer = raw(web.address, nginx.as_bytes()).await;
    assert!(answer.contains(" 403 ") && answer.contains("relayed"), "{answer}");
    let web = Web::start(&scratch, locked()).await;
    assert_eq!(told(retry(&web).bearer_auth(ADMIN).header("x-forwarded-for", "192.0.2.1")).await.0, 200);
}

#[tokio::test]
async fn without_a_token_no_page_of_another_origin_may_ask() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, open()).await;
    let foreign = (403, "foreign_origin".to_owned());
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        assert_eq!(refused(retry(&web).header("origin", origin)).await, foreign);
        assert_eq!(refused(web.get("/api/status").header("origin", origin)).await, foreign);
    }
    assert_eq!(refused(retry(&web).header("sec-fetch-site", "cross-site")).await, foreign);
    assert_eq!(told(retry(&web).header("origin", format!("http://{}", web.address))).await.0, 200);
}

#[tokio::test]
async fn every_way_to_show_a_token_is_taken_and_nothing_else() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, locked()).await;
    let read = || web.get("/api/status");
    for (answer, code) in [
        (told(retry(&web).bearer_auth(ADMIN)).await, 200),
        (told(retry(&web).basic_auth("anybody", Some(ADMIN))).await, 200),
        (told(read().bearer_auth(ADMIN)).await, 200),
        (told(read().bearer_auth(READER)).await, 200),
        (told(read().basic_auth("", Some(READER))).await, 200),
        (told(read().header("host", "behind.a.proxy.example").bearer_auth(READER)).await, 200),
        (told(retry(&web).bearer_auth(READER)).await, 403),
        (told(read()).await, 401),
        (told(read().bearer_auth("")).await, 401),
        (told(read().bearer_auth(&ADMIN[1..])).await, 401),
        (told(read().bearer_auth(ADMIN.to_uppercase())).await, 401),
        (told(read().basic_auth(ADMIN, None::<&str>)).await, 401),
        (told(read().basic_auth(ADMIN, Some("x"))).await, 401),
        (told(read().header("authorization", ADMIN)).await, 401),
        (told(read().header("authorization", format!("Token {ADMIN}"))).await, 401),
        (told(read().header("authorization", "Basic !!!")).await, 401),
        (told(read().bearer_auth(ADMIN).bearer_auth(ADMIN)).await, 401),
        (told(web.get(&format!("/api/status?token={ADMIN}"))).await, 401),
    ] {
        assert_eq!(answer.0, code, "{}", answer.1);
    }
    let refusal = read().send().await.unwrap();
    let ways: Vec<&str> = refusal.headers().get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(ways, ["Bearer realm=\"rowcall\"", "Basic realm=\"rowcall\", charset=\"UTF-8\""]);
}

#[tokio::test]
async fn a_browser_that_knows_the_password_serves_no_foreign_page() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, locked()).await;
    let foreign = |request: RequestBuilder| request.header("origin", "http://evil.example");
    let basic = refused(foreign(retry(&web).basic_auth("me", Some(ADMIN)))).await;
    assert_eq!(basic, (403, "foreign_origin".to_owned()));
    let bearer = told(foreign(retry(&web).bearer_auth(ADMIN))).await;
    assert_eq!(bearer.0, 200, "nobody's browser sends a bearer token on its own");
}

#[tokio::test]
async fn what_needs_no_token_reveals_only_names() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, locked()).await;
    for path in ["/", "/livez"] {
        let (status, body) = told(web.get(path)).await;
        assert_eq!(status, 200);
        assert!(!body.to_string().contains(env!("CARGO_PKG_VERSION")), "{body}");
    }
    assert_eq!(refused(web.get("/readyz")).await, (503, "not_ready".to_owned()));
}

#[tokio::test]
async fn another_address_than_this_machines_needs_the_admins_token() {
    let scratch = Scratch::migrated().await;
    let bind = async |settings: Settings| {
        let store = store(&Database::parse(&scratch.url).unwrap(), 5);
        let settings = Settings { address: "0.0.0.0:0".parse().unwrap(), ..settings };
        Server::bind(settings, store, Readiness::default(), CancellationToken::new()).await
    };
    assert!(matches!(bind(open()).await, Err(ListenError::Open(_))));
    assert!(bind(locked()).await.is_ok());
}

pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn part(value: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value)
}

/// A JWT, signed by `sign`.
fn jwt(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()));
    format!("{message}.{}", part(&sign(message.as_bytes())))
}

pub(crate) fn hs256(claims: &Value, secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    jwt(&json!({ "alg": "HS256", "typ": "JWT" }), claims, |message| hmac::sign(&key, message).as_ref().to_vec())
}

fn with(jwt: Result<Jwt, rowcall::http::jwt::KeySetError>) -> Settings {
    Settings { keys: Keys { jwt: Some(jwt.unwrap()), ..Keys::default() }, ..open() }
}

#[tokio::test]
async fn a_supabase_jwt_counts_by_its_role_and_its_claims() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, with(Jwt::new(Some(&SecretString::from(SECRET)), None))).await;
    let later = now() + 3600;
    for (code, claims) in [
        (200, json!({ "role": "service_role", "exp": later })),
        (200, json!({ "role": "service_role", "exp": later, "aud": "authenticated", "nbf": now() - 1 })),
        (200, json!({ "role": "service_role", "exp": later, "aud": ["other", "authenticated"] })),
        (403, json!({ "role": "authenticated", "exp": later, "aud": "authenticated", "sub": "1" })),
        (403, json!({ "role": "anon", "exp": later })),
        (403, json!({ "exp": later })),
        (401, json!({ "role": "authenticated", "exp": later, "sub": "1" })),
        (401, json!({ "role": "service_role" })),
        (401, json!({ "role": "service_role", "exp": now() - 3600 })),
        (401, json!({ "role": "service_role", "exp": "never" })),
        (401, json!({ "role": "service_role", "exp": later, "nbf": later })),
        (401, json!({ "role": "service_role", "exp": later, "aud": "another" })),
        (401, json!({ "role": "service_role", "exp": later, "aud": { "authenticated": true } })),
    ] {
        let (status, body) = told(web.get("/api/status").bearer_auth(hs256(&claims, SECRET.as_bytes()))).await;
        assert_eq!(status, code, "{claims} {body}");
    }
}

#[tokio::test]
async fn a_signed_in_users_jwt_is_sent_to_supabase_js_whatever_it_asks_for() {
    let scratch = Scratch::migrated().await;
    scratch.sql("insert into public.codes (code) values ('MINE')").await;
    let web = Web::start(&scratch, with(Jwt::new(Some(&SecretString::from(SECRET)), None))).await;
    let claims = json!({ "role": "authenticated", "exp": now() + 3600, "aud": "authenticated", "sub": "1" });
    let token = hs256(&claims, SECRET.as_bytes());
    for request in [
        web.get("/api/status"),
        web.get("/api/actions/history"),
        web.post("/api/actions/codes/MINE/delete"),
        crate::web::json(web.post("/api/actions/links/create"), &json!({"target_url": "https://example.com/"})),
        retry(&web),
    ] {
        let (status, body) = told(request.bearer_auth(&token)).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("use_supabase")), "{body}");
        assert!(body["error"]["hint"].as_str().unwrap().contains("supabase.rpc('request_code_delete'"), "{body}");
    }
    let asked = "select (select count(*) from public.codes where generation > 0) + (select count(*) from public.links)";
    assert_eq!(scratch.text(&format!("select ({asked})::text")).await, "0");
}

#[tokio::test]
async fn who_changes_something_is_kept() {
    let scratch = Scratch::migrated().await;
    let jwt = Jwt::new(Some(&SecretString::from(SECRET)), None).unwrap();
    let web = Web::start(&scratch, Settings { keys: Keys { jwt: Some(jwt), ..locked().keys }, ..open() }).await;
    let bearer = |more: Value| {
        let mut claims = json!({ "role": "service_role", "exp": now() + 3600 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hs256(&claims, SECRET.as_bytes())
    };
    let somebody = "0190c2a4-7b1e-7c3d-8f00-00000000002a";
    for (token, name) in [
        (ADMIN.to_owned(), "api token"),
        (bearer(json!({ "sub": somebody })), somebody),
        (bearer(json!({})), "service_role"),
        (bearer(json!({ "sub": "" })), "service_role"),
    ] {
        assert_eq!(told(pause(&web, "codes").bearer_auth(&token)).await.0, 200, "{name}");
        assert_eq!(scratch.text("select paused_by from rowcall.queues where queue = 'codes'").await, name);
        assert_eq!(told(retry(&web).bearer_auth(&token)).await.0, 200);
    }
    // A request that is refused leaves nothing behind on its connection, nor does one that is not.
    assert_eq!(told(pause(&web, "nothing").bearer_auth(ADMIN)).await.0, 404);
    let open = Web::start(&scratch, open()).await;
    assert_eq!(told(pause(&open, "codes")).await.0, 200);
    let role = scratch.text("select (paused_by = current_user)::text from rowcall.queues where queue = 'codes'").await;
    assert_eq!(role, "true");
}

#[tokio::test]
async fn a_jwt_of_another_key_or_algorithm_is_refused() {
    let scratch = Scratch::migrated().await;
    let web = Web::start(&scratch, with(Jwt::new(Some(&SecretString::from(SECRET)), None))).await;
    let claims = json!({ "role": "service_role", "exp": now() + 3600 });
    let right = hs256(&claims, SECRET.as_bytes());
    let (rest, signature) = right.rsplit_once('.').unwrap();
    let (header, _) = rest.split_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    for wrong in [
        hs256(&claims, b"another-secret-of-another-supabase-project"),
        jwt(&json!({ "alg": "HS512" }), &claims, |message| hmac::sign(&key, message).as_ref().to_vec()),
        jwt(&json!({ "alg": "none" }), &claims, |_| Vec::new()),
        jwt(&json!({ "alg": "None" }), &claims, |_| Vec::new()),
        format!(
            "{header}.{}.{signature}",
            part(json!({ "role": "service_role", "exp": now() + 7200 }).to_string().as_bytes())
        ),
        format!("{rest}."),
        rest.to_owned(),
        format!("{right}.x"),
        "a.b.c".repeat(3_000),
    ] {
        assert_eq!(refused(web.get("/api/status").bearer_auth(wrong)).await.0, 401);
    }
    assert_eq!(told(web.get("/api/status").bearer_auth(&right)).await.0, 200);
    assert_eq!(told(web.get("/api/status").basic_auth("", Some(right))).await.0, 401, "a JWT is no password");
}

/// A token of an RSA key that nobody has any more, good until the year 2100; RSA keys take long to make.
const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIiwiYXVkIjoiYXV0aGV\
    udGljYXRlZCIsImV4cCI6NDEwMjQ0NDgwMH0.P1Ckyg2gtI0Ja3TtC8c3HIl7craf-4WTcRtoAfIeEy_n0O9yRO3b7L0KW6yjUJG\
    vabyuyxEi2JuVdesIK9FeRAQV8vf_MAmGfzxOUIftG2URCbA57gm5S4dVri6elVTxJj7voH59NkzvUrsMIlzrb9CggGOeSYb9u0U\
    rzS-rV6qjem4f9Df4ECBiQ32amkR9c7PhQIp0m6sp_Iz4-IW67u1r9C8nliZAHjV7VLXcXvugS_W6vW_JX18EXWtowO9i7eAAdm7\
    9aj_7YEC8xxUVrEqAy2Ul2HYisYQck_4WcBWSLZOhtqzDySaVYMsa6E5iHiDD0w1vyEOJ9PH-gRTtxw";
const RSA_MODULUS: &str = "u5u3GRgWA2S1AS1X9iryus1L2sXkMcFsKEIo-gEr2_DOE7hfh_Kny8Sjyf7Q7wHaaZZkItxTyoxmAgxk-14p7d8VnbKL9GsDzMoD\
    TVmoRwOxR5aPI3RbJ0YxxRTo1ZMpfuvfublaTRvnt0c-Upb9_x-NKh8PJ7WdfbKQSLwrZn8kRPBTxEQRiG67DW2kgITFJy9Ad0V8\
    o2XjQZMbNRiA2f8NI9uebM2A5ffMa2r5GF1M65bCYn4VIFmZTNHcqVfEdCAa7yqMXLkXMXt0Wy6n_fzbXcZpvwI0UA-spYQiZve3\
    EhRY8prH1XQFDmMsVASsGksIhRmV6aQqnu9GIIamcQ";

#[tokio::test]
async fn a_key_set_takes_its_own_keys_each_with_its_own_algorithm() {
    let scratch = Scratch::migrated().await;
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let edwards = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let (x, y) = curve.public_key().as_ref()[1..].split_at(32);
    let set = json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "curve", "use": "sig", "x": part(x), "y": part(y) },
        { "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "edwards", "x": part(edwards.public_key().as_ref()) },
        { "kty": "RSA", "alg": "RS256", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB" },
    ] });
    let set = set.to_string();
    let claims = json!({ "role": "service_role", "aud": "authenticated", "exp": now() + 3600 });
    let by_curve = |header: Value| jwt(&header, &claims, |m| curve.sign(&random, m).unwrap().as_ref().to_vec());
    let by_edwards = |header: Value| jwt(&header, &claims, |m| edwards.sign(m).as_ref().to_vec());
    let public = curve.public_key().as_ref();
    let confused = [set.as_bytes(), public, &public[1..], digest::digest(&digest::SHA256, public).as_ref()]
        .map(|secret| hs256(&claims, secret));

    // Whether or not there is an HS256 secret beside.
    for secret in [None, Some(SecretString::from(SECRET))] {
        let web = Web::start(&scratch, with(Jwt::new(secret.as_ref(), Some(&set)))).await;
        let asked = async |token: &str| told(web.get("/api/status").bearer_auth(token)).await.0;
        assert_eq!(asked(&by_curve(json!({ "alg": "ES256", "kid": "curve" }))).await, 200);
        assert_eq!(asked(&by_curve(json!({ "alg": "ES256" }))).await, 200);
        assert_eq!(asked(&by_edwards(json!({ "alg": "EdDSA", "kid": "edwards" }))).await, 200);
        assert_eq!(asked(RS256).await, 200);
        assert_eq!(asked(&by_curve(json!({ "alg": "ES256", "kid": "edwards" }))).await, 401, "the key of another id");
        assert_eq!(asked(&by_edwards(json!({ "alg": "ES256", "kid": "curve" }))).await, 401, "another key");
        assert_eq!(asked(&by_curve(json!({ "alg": "HS256", "kid": "curve" }))).await, 401, "by its own word");
        assert_eq!(asked(&RS256.replacen('A', "B", 1)).await, 401);
        for token in &confused {
            assert_eq!(asked(token).await, 401, "a public key is no secret");
        }
        assert_eq!(asked(&hs256(&claims, SECRET.as_bytes())).await, if secret.is_some() { 200 } else { 401 });
    }
}
