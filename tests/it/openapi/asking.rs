//! A server with rows, and a client that holds every answer to the document.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use rowcall::http::auth::Keys;
use rowcall::http::login::{Login, hash};
use rowcall::http::{Limits, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::document::{Operation, operations};
use super::values::{Case, Known, Often, text};
use crate::fulfillment_http::with_supplier;
use crate::scratch::Scratch;
use crate::web::{ADMIN, APP_SECRET, COMMERCE7_LOGIN, INFOBIP_SECRET, SHOPIFY_SECRET, VERIFY_TOKEN, Web};

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "a password of a test";
const ORDER: &str = "0190c2a4-7b1e-7c3d-8f00-000000000001";
const SPENT_ORDER: &str = "0190c2a4-7b1e-7c3d-8f00-000000000002";

/// Something of every kind, so that every answer has something to show.
const ROWS: &str = include_str!("rows.sql");

/// What the rows know.
pub(super) fn known() -> Known {
    let none = Value::Null;
    Known(vec![
        ("queue", Often::Mostly, vec![json!("codes"), json!("actions"), json!("crm_sync_queue")]),
        ("key", Often::Mostly, (1..=12).map(|key: i32| json!(key.to_string())).collect()),
        ("code", Often::Mostly, (1..=60).map(|nth| json!(format!("LIVING-{nth}"))).chain([json!("GONE")]).collect()),
        ("id", Often::Mostly, vec![json!(1), json!("1"), json!(ORDER)]),
        ("name", Often::Mostly, vec![json!("check-fienta-codes"), json!("sync-fluent-tickets")]),
        ("slug", Often::Mostly, vec![json!("spring-sale")]),
        ("profile", Often::Mostly, vec![json!("default")]),
        ("token", Often::Always, vec![json!("right")]),
        ("hub.mode", Often::Mostly, vec![json!("subscribe")]),
        ("hub.verify_token", Often::Mostly, vec![json!(VERIFY_TOKEN)]),
        ("phone", Often::Always, vec![json!(""), json!("0261234567"), json!("+233 26 123 4567")]),
        ("orderId", Often::Mostly, vec![json!(ORDER), json!(SPENT_ORDER)]),
        ("action_id", Often::Mostly, (1..=30).map(Value::from).collect()),
        ("contact_id", Often::Always, vec![json!(1), json!("1")]),
        ("queueId", Often::Mostly, vec![json!(1), json!("1"), json!(2)]),
        ("clientId", Often::Always, vec![json!(1), none.clone()]),
        ("actionType", Often::Always, vec![json!("add_membership"), none.clone()]),
        ("crmType", Often::Always, vec![json!("shopify"), none.clone()]),
        ("stageId", Often::Always, vec![json!(1), none.clone()]),
        ("oldStageId", Often::Always, vec![none]),
        ("job", Often::Mostly, vec![json!("process-crm-sync-queue"), json!("process-expired-enrollments")]),
        ("email", Often::Always, vec![json!(EMAIL)]),
        ("password", Often::Always, vec![json!(PASSWORD)]),
    ])
}

/// A server, and what it says that it is.
pub(super) struct Client {
    pub(super) operations: Vec<Operation>,
    _scratch: Scratch,
    web: Web,
    http: reqwest::Client,
}

/// An answer that is as the document has it.
#[derive(Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) status: u16,
    /// Of an answer that is not JSON, its text.
    pub(super) body: Value,
    /// Whether the operation describes it itself.
    pub(super) is_own: bool,
}

impl Heard {
    pub(super) fn is_success(&self) -> bool {
        self.status < 400
    }

    /// Fails unless the request was taken for what it is: done, or refused for a reason that is the operation's own.
    pub(super) fn taken(self) -> Result<Self, String> {
        if self.is_success() || self.is_own { Ok(self) } else { Err(format!("a valid request is refused: {self:?}")) }
    }

    /// Fails unless the request was refused, and this was named.
    pub(super) fn refused_for(self, name: &str) -> Result<Self, String> {
        let is_named = self.body["error"].to_string().contains(name);
        match self.status {
            400 | 422 if is_named => Ok(self),
            400 | 422 => Err(format!("{name} is wrong, and is not named: {self:?}")),
            _ => Err(format!("{name} is wrong, and is not refused: {self:?}")),
        }
    }
}

impl Client {
    pub(super) async fn start() -> Self {
        let scratch = Scratch::migrated().await;
        scratch.sql(ROWS).await;
        let settings = with_supplier();
        let hash = hash(PASSWORD).unwrap().into();
        let login = Login::new(&EMAIL.into(), hash, Some(&SecretString::from(ADMIN))).unwrap();
        let keys = Keys { login: Some(login), ..settings.keys };
        let limits = Limits { wait: Duration::from_millis(20), ..Limits::default() };
        let web = Web::start(&scratch, Settings { keys, limits, ..settings }).await;
        // A redirection is an answer.
        let http = crate::web::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = http.get(format!("http://{}/openapi.json", web.address)).send().await.unwrap();
        let document: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        Self { operations: operations(&document), _scratch: scratch, web, http }
    }

    pub(super) fn operation(&self, id: &str) -> &Operation {
        self.operations.iter().find(|operation| operation.id == id).unwrap()
    }

    /// The request of a case, without a word of who asks.
    pub(super) fn anonymous(&self, operation: &Operation, case: &Case) -> RequestBuilder {
        let request = self.without_body(operation, case);
        match &case.body {
            None => request,
            Some(Value::Object(fields)) if case.is_form => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(
                    fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, text(value))),
                );
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
            }
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
        }
    }

    pub(super) fn without_body(&self, operation: &Operation, case: &Case) -> RequestBuilder {
        let mut path = operation.path.clone();
        for (parameter, part) in operation.in_path.iter().zip(&case.parts) {
            path = path.replace(&format!("{{{}}}", parameter.name), &encoded(part));
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&case.query);
        let address = format!("http://{}{path}?{}", self.web.address, query.finish());
        self.http.request(operation.method.clone(), address)
    }

    /// The request of a case, with whatever lets it in.
    pub(super) fn request(&self, operation: &Operation, case: &Case) -> RequestBuilder {
        proven(operation, self.anonymous(operation, case))
    }

    /// What is answered to the head of a request whose body would be so large.
    pub(super) async fn announce(&self, operation: &Operation, case: &Case, bytes: usize) -> String {
        let request = self.without_body(operation, case).build().unwrap();
        let (method, path, address) = (request.method(), request.url().path(), self.web.address);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n\
             content-length: {bytes}\r\nconnection: close\r\n\r\n"
        );
        crate::web::raw(address, head.as_bytes()).await
    }

    /// Sends it, and holds what comes back to the document.
    pub(super) async fn ask(&self, operation: &Operation, request: RequestBuilder) -> Result<Heard, String> {
        self.web.readiness.set_bell_works(true);
        self.web.readiness.beat(Instant::now());
        let request = request.build().map_err(|error| format!("{error:?}"))?;
        let asked = shown(&request);
        let answer = self.http.execute(request).await.map_err(|error| format!("{error:?}\n{asked}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.map_err(|error| format!("{error:?}\n{asked}"))?;
        held(operation, status, &headers, text).map_err(|wrong| format!("{}: {wrong}\n{asked}", operation.id))
    }
}

/// The answer, where the document has it like this.
fn held(operation: &Operation, status: u16, headers: &HeaderMap, text: String) -> Result<Heard, String> {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = operation.answers.get(&status).ok_or(format!("{status} is not described: {text}"))?;
    if status >= 500 && !(status == 503 && answer.is_own) {
        return Err(format!("{status} from a server with everything that it needs: {text}"));
    }
    if let Some(missing) = answer.headers.iter().find(|name| !headers.contains_key(name.as_str())) {
        return Err(format!("{status} without {missing}"));
    }
    if word("x-request-id").is_empty() {
        return Err(format!("{status} without its id"));
    }
    let kind = word("content-type").split(';').next().unwrap_or_default().trim().to_owned();
    if answer.content.is_empty() {
        return if text.is_empty() {
            Ok(Heard { status, body: Value::Null, is_own: answer.is_own })
        } else {
            Err(format!("{status} with a body: {text}"))
        };
    }
    let validator = answer.content.get(&kind).ok_or(format!("{status} is of the type {kind:?}"))?;
    let body = if kind == "application/json" {
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?
    } else {
        Value::String(text)
    };
    let mut wrong = String::new();
    for error in validator.iter_errors(&body) {
        let _ = write!(wrong, "\n  {}: {error}", error.instance_path());
    }
    if wrong.is_empty() {
        Ok(Heard { status, body, is_own: answer.is_own })
    } else {
        Err(format!("{status} is not as described:{wrong}\n{body}"))
    }
}

/// With an admin's token; a webhook with its provider's proof.
fn proven(operation: &Operation, request: RequestBuilder) -> RequestBuilder {
    let body = || {
        let built = request.try_clone().unwrap().build().unwrap();
        built.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec()
    };
    match operation.id.as_str() {
        "hearMeta" => {
            let signature = crate::http_webhooks::signature(&body(), APP_SECRET);
            request.header("x-hub-signature-256", signature)
        }
        "hearInfobip" => request.header("x-rowcall-token", INFOBIP_SECRET),
        "hearCommerce7" => request.basic_auth(COMMERCE7_LOGIN.0, Some(COMMERCE7_LOGIN.1)),
        "hearShopify" => {
            let signature = crate::http_crm::signature(&String::from_utf8_lossy(&body()), SHOPIFY_SECRET);
            let request = request.header("x-shopify-topic", "orders/paid").header("x-shopify-webhook-id", "w1");
            request.header("x-shopify-shop-domain", "one.myshopify.com").header("x-shopify-hmac-sha256", signature)
        }
        _ if operation.tag == "webhooks" => request,
        _ => request.bearer_auth(ADMIN),
    }
}

/// A part of a path, with everything written in numbers that could mean something else.
fn encoded(part: &str) -> String {
    // No part at all is another path, and what browsers make of dots is none.
    let part = if part.is_empty() || part == "." || part == ".." { "none" } else { part };
    part.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn shown(request: &reqwest::Request) -> String {
    let body = request.body().and_then(reqwest::Body::as_bytes).map(String::from_utf8_lossy).unwrap_or_default();
    let short = |text: &str| text.chars().take(600).collect::<String>();
    format!("{} {} {:?}\n{}", request.method(), short(request.url().as_str()), request.headers(), short(&body))
}
