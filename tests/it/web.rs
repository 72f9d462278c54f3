//! The HTTP server over real sockets: in this process, or as the real `rowcall run`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, RequestBuilder, Response};
use rowcall::http::auth::{Keys, Token};
use rowcall::http::server::Server;
use rowcall::http::webhooks::Secrets;
use rowcall::http::{Limits, Settings, store};
use rowcall::notice::commerce7::Login;
use rowcall::notice::shopify;
use rowcall::readiness::Readiness;
use rowcall::store::connect::Database;
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::database::PATIENCE;
use crate::process::eventually;
use crate::scratch::Scratch;

pub(crate) const ADMIN: &str = "the-admin-token-of-a-test";
pub(crate) const READER: &str = "the-reader-token-of-a-test";
pub(crate) const APP_SECRET: &str = "the-app-secret-of-a-test";
pub(crate) const VERIFY_TOKEN: &str = "the-verify-token-of-a-test";
pub(crate) const INFOBIP_SECRET: &str = "the-infobip-secret-of-a-test";
pub(crate) const COMMERCE7_LOGIN: (&str, &str) = ("hooks", "the-commerce7-password-of-a-test");
pub(crate) const SHOPIFY_SECRET: &str = "the-shopify-secret-of-a-test";

/// Functions of the same signatures as those of the actions, that note what they were called with. Action 9 waits for
/// whoever holds the advisory lock 9.
pub(crate) const STAND_INS: &str = "
    create table public.heard (id bigserial primary key, what text not null);
    drop function if exists rowcall.submit_action_feedback(jsonb);
    create function rowcall.submit_action_feedback(payload jsonb) returns jsonb language plpgsql as $$
    begin
        if payload ->> 'status' is null then
            raise exception 'the feedback is not complete'
                using errcode = '22023', detail = '{\"status\": \"is missing\"}', hint = 'approved, denied or edited';
        elsif payload ->> 'action_id' = '404' then
            raise exception 'there is no action 404' using errcode = 'P0002';
        elsif payload ->> 'action_id' = '409' then
            raise exception 'action 409 is answered already' using errcode = 'RC409';
        elsif payload ->> 'action_id' = '500' then
            perform 1 / 0;
        elsif payload ->> 'action_id' = '9' then
            perform pg_advisory_xact_lock(9);
        end if;
        insert into public.heard (what) values (payload ->> 'status');
        return jsonb_build_object('action_id', payload -> 'action_id');
    end $$;
    drop function if exists rowcall.action_details(bigint);
    create function rowcall.action_details(id bigint) returns jsonb language sql as $$
        select jsonb_build_object('id', id) where id = 7
    $$;
    drop function if exists rowcall.whatsapp_status(text, text, text, text, text, timestamptz);
    create function rowcall.whatsapp_status(
        provider text, reference text, message_id text, status text, error_code text, at timestamptz
    ) returns void language plpgsql as $$
    begin
        if message_id = 'poison' then
            raise exception 'no such message' using errcode = '22023';
        elsif message_id = 'forbidden' then
            raise exception 'permission denied' using errcode = '42501';
        end if;
        insert into public.heard (what)
        values (concat_ws(' ', provider, reference, message_id, status, error_code, extract(epoch from at)::bigint));
    end $$;
    drop function if exists rowcall.whatsapp_inbound(text, text, text, timestamptz, text, text, text);
    create function rowcall.whatsapp_inbound(
        provider text, phone text, message_id text, at timestamptz, message_type text, body text, profile_name text
    ) returns boolean language sql as $$
        insert into public.heard (what)
        values (concat_ws(' ', provider, phone, message_id, extract(epoch from at)::bigint, message_type, body, profile_name))
        returning true
    $$;
";

/// What the stand-ins were called with, in order.
pub(crate) async fn heard(scratch: &Scratch) -> Vec<String> {
    let rows = scratch.client().await.query("select what from public.heard order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A server in this process.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) closing: CancellationToken,
}

/// Open, on a port of its own.
pub(crate) fn open() -> Settings {
    Settings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        keys: Keys::default(),
        webhooks: Secrets::default(),
        links: None,
        limits: Limits::default(),
    }
}

/// With an admin's and a reader's token, and with every webhook.
pub(crate) fn locked() -> Settings {
    let keys = Keys { admin: Some(token(ADMIN)), reader: Some(token(READER)), ..Keys::default() };
    let webhooks = Secrets {
        app_secret: Some(APP_SECRET.into()),
        verify_token: Some(token(VERIFY_TOKEN)),
        phone_number_id: Some("106540352242922".to_owned()),
        infobip: Some(token(INFOBIP_SECRET)),
        commerce7: Some(Login::new(COMMERCE7_LOGIN.0, &COMMERCE7_LOGIN.1.into())),
        commerce7_app: Some("our-app".to_owned()),
        shopify: Some(shopify::Secrets(vec![SHOPIFY_SECRET.into()])),
        supplier: None,
    };
    Settings { keys, webhooks, ..open() }
}

fn token(text: &str) -> Token {
    Token::new(&SecretString::from(text))
}

impl Web {
    pub(crate) async fn start(scratch: &Scratch, settings: Settings) -> Self {
        let store = store(&Database::parse(&scratch.url).unwrap(), 5);
        let (readiness, closing) = (Readiness::default(), CancellationToken::new());
        let server = Server::bind(settings, store, readiness.clone(), closing.clone()).await.unwrap();
        let address = server.address();
        tokio::spawn(server.run(Duration::from_secs(10)));
        Self { address, readiness, closing }
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.ask(Method::POST, path)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

/// A request with a JSON body.
pub(crate) fn json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The answer's status and JSON.
pub(crate) async fn told(request: RequestBuilder) -> (u16, Value) {
    read(request.send().await.unwrap()).await
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    let (status, bytes) = (response.status().as_u16(), response.bytes().await.unwrap());
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{status} {bytes:?}")))
}

/// The status and the code of a refusal, which always has a message and a hint beside.
pub(crate) async fn refused(request: RequestBuilder) -> (u16, String) {
    let (status, body) = told(request).await;
    let error = &body["error"];
    assert!(error["message"].is_string() && error.get("hint").is_some(), "{status} {body}");
    (status, error["code"].as_str().unwrap().to_owned())
}

/// Sends bytes as they are; returns what comes back until the server closes, which must be sooner than the default bounds.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
    read.expect("the server closes").unwrap();
    String::from_utf8(answer).unwrap()
}

/// An address of this machine that is this test's alone: it must be known before anybody listens there.
pub(crate) fn own_address() -> String {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{}.{middle}.{low}:8000", 64 + high % 64)
}

/// The real `rowcall run` with its log.
pub(crate) struct Run {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Run {
    pub(crate) fn start(scratch: &Scratch, variables: &[(&str, &str)]) -> Self {
        let mut command = scratch.command(&["run"]);
        command.envs([
            ("ROWCALL_HTTP_ADDR", "127.0.0.1:0"),
            ("ENABLE_MONITORING", "true"),
            ("ROWCALL_LOG_FORMAT", "json"),
        ]);
        let mut child = command.envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::new(Mutex::new(String::new())));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().extend([&line, "\n"]);
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) async fn logged(&self, words: &str) -> String {
        eventually(words, || self.log().lines().find(|line| line.contains(words)).map(str::to_owned)).await
    }

    /// Where it serves, once it does.
    pub(crate) async fn address(&self) -> SocketAddr {
        let line: Value = serde_json::from_str(&self.logged("HTTP is served").await).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// With -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until a query gives this text; else shows the log.
    pub(crate) async fn until(&self, database: &tokio_postgres::Client, sql: &str, wanted: &str) {
        let began = Instant::now();
        loop {
            let row = database.query_one(&format!("select ({sql})::text"), &[]).await.unwrap();
            let found: Option<String> = row.get(0);
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{sql} is {found:?}, not {wanted}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    pub(crate) fn terminate(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the worker", || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
