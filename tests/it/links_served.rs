//! Short links as visitors meet them: over real sockets, under any name, and in a flood.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::database::PATIENCE;
use crate::scratch::Scratch;
use crate::web::{ADMIN, Run, Web, locked, open, read};
use rowcall::http::Settings;
use rowcall::link::Prefix;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

const LINKS: &str = "
    insert into public.links (slug, status, target_url, expires_at) values
        ('live', 'active', 'https://example.com/a?b=ü', null),
        ('for-ever', 'active', 'https://example.com/ever', 'infinity'),
        ('later', 'active', 'https://example.com/later', now() + interval '1 day'),
        ('over', 'active', 'https://example.com/over', now() - interval '1 second'),
        ('never', 'active', 'https://example.com/never', '-infinity'),
        ('off', 'disabled', 'https://example.com/off', null),
        ('bad', 'failed', 'https://example.com/bad', null),
        ('edited', 'active', 'javascript:alert(1)', null),
        ('circle', 'active', 'https://go.example.com/l/circle', null),
        ('split', 'active', E'https://example.com/\\r\\nset-cookie: a=b', null);
    set rowcall.quiet = 'on';
    insert into public.links (slug, status, target_url) values ('soon', 'creating', 'https://example.com/soon');
";

/// A person's browser, which shows where it is sent.
pub(crate) fn browser() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).user_agent(FIREFOX);
    client.timeout(Duration::from_secs(20)).build().unwrap()
}

fn settings() -> Settings {
    Settings { links: Prefix::new(&"https://go.example.com".parse().unwrap()), ..open() }
}

struct World {
    scratch: Scratch,
    web: Web,
    browser: Client,
}

impl World {
    async fn new() -> Self {
        let scratch = Scratch::migrated().await;
        scratch.sql(LINKS).await;
        let web = Web::start(&scratch, settings()).await;
        Self { scratch, web, browser: browser() }
    }

    fn ask(&self, method: Method, slug: &str) -> RequestBuilder {
        self.browser.request(method, format!("http://{}/l/{slug}", self.web.address))
    }

    async fn follow(&self, slug: &str) -> Response {
        self.ask(Method::GET, slug).send().await.unwrap()
    }

    /// Waits until a link has exactly so many clicks.
    async fn has_clicks(&self, slug: &str, clicks: i64) {
        let client = self.scratch.client().await;
        let began = Instant::now();
        loop {
            let counted: i64 =
                client.query_one("select clicks from public.links where slug = $1", &[&slug]).await.unwrap().get(0);
            if counted == clicks {
                return;
            }
            assert!(counted < clicks && began.elapsed() < PATIENCE, "{slug}: {counted} of {clicks}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a link answers with this status.
    async fn answers(&self, slug: &str, status: u16) {
        let began = Instant::now();
        while self.follow(slug).await.status().as_u16() != status {
            assert!(began.elapsed() < Duration::from_secs(12), "{slug} is not {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn visitors_are_sent_on_with_careful_headers() {
    let world = World::new().await;
    for (slug, target) in [
        ("live", "https://example.com/a?b=%C3%BC"),
        ("for-ever", "https://example.com/ever"),
        ("later", "https://example.com/later"),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = world.ask(method.clone(), slug).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), &answer.headers()["location"].to_str().unwrap()), (302, &target));
            for (name, value) in [
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("x-robots-tag", "noindex"),
            ] {
                assert_eq!(answer.headers()[name], value, "{method} {slug}");
            }
            assert!(answer.headers().contains_key("x-request-id") && !answer.headers().contains_key("set-cookie"));
            assert_eq!(answer.bytes().await.unwrap().len(), 0);
        }
    }
    assert_eq!(
        world.ask(Method::GET, "live?to=https://evil.example").send().await.unwrap().headers()["location"],
        "https://example.com/a?b=%C3%BC"
    );
    let answer = world.ask(Method::POST, "live").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"GET,HEAD".parse().unwrap()));
}

#[tokio::test]
async fn a_link_that_leads_nowhere_says_how() {
    let world = World::new().await;
    for (slug, status, code) in [
        ("nothing", 404, "not_found"),
        ("soon", 404, "not_found"),
        ("over", 410, "gone"),
        ("never", 410, "gone"),
        ("off", 410, "gone"),
        ("bad", 410, "gone"),
        ("edited", 410, "gone"),
        ("circle", 410, "gone"),
        ("split", 410, "gone"),
        ("a%20b", 404, "not_found"),
        ("..%2F..%2Fapi", 404, "not_found"),
        ("%00", 404, "not_found"),
        ("'%3B--", 404, "not_found"),
        (&"x".repeat(65), 404, "not_found"),
        (&"x".repeat(9000), 404, "not_found"),
        ("%ff", 400, "invalid_path"),
    ] {
        let answer = world.follow(slug).await;
        assert!(!answer.headers().contains_key("location"), "{slug}");
        let (found, body) = read(answer).await;
        assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{slug}");
        let head = world.ask(Method::HEAD, slug).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (status, 0), "{slug}");
    }
    let page = world.ask(Method::GET, "off").header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["x-robots-tag"]), (410, &"noindex".parse().unwrap()));
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().contains("<h1>This link is not in use any more.</h1>"));
    for path in ["/l/", "/l", "/l/live/more"] {
        let answer = world.browser.get(format!("http://{}{path}", world.web.address)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn links_are_for_everybody_and_nothing_else_is() {
    let world = World::new().await;
    let status = async |path: &str, host: &str, address: SocketAddr| {
        let request = world.browser.get(format!("http://{address}{path}")).header("host", host);
        request.header("origin", "https://elsewhere.example").send().await.unwrap().status().as_u16()
    };
    // Without a token, whoever reaches the server by another name reaches the links alone.
    let here = world.web.address;
    assert_eq!(status("/l/live", "go.example.com", here).await, 302);
    assert_eq!(status("/api/status", "go.example.com", here).await, 403);
    // With one, links need none.
    let web = Web::start(&world.scratch, locked()).await;
    assert_eq!(status("/l/live", "go.example.com", web.address).await, 302);
    assert_eq!(status("/api/status", "go.example.com", web.address).await, 401);
    let index = world.browser.get(format!("http://{}/", web.address)).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(read(index).await.1["links"], json!(["GET /l/{slug}"]));
}

#[tokio::test]
async fn a_link_that_changes_is_so_for_visitors_within_seconds() {
    let world = World::new().await;
    world.answers("live", 302).await;
    world.answers("new", 404).await;
    world
        .scratch
        .sql("insert into public.links (slug, status, target_url) values ('new', 'active', 'https://example.com/new')")
        .await;
    world.answers("new", 302).await;
    world.scratch.sql("update public.links set target_url = 'https://example.com/moved' where slug = 'live'").await;
    let began = Instant::now();
    while world.follow("live").await.headers()["location"] != "https://example.com/moved" {
        assert!(began.elapsed() < Duration::from_secs(12));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.scratch.sql("update public.links set status = 'disabled' where slug = 'live'").await;
    world.answers("live", 410).await;
    world.scratch.sql("update public.links set status = 'active' where slug = 'live'").await;
    world.answers("live", 302).await;
    world.scratch.sql("delete from public.links where slug = 'live'").await;
    world.answers("live", 404).await;
    // What is remembered expires in its time, and not after it.
    world.scratch.sql("insert into public.links (slug, status, target_url, expires_at) values ('brief', 'active', 'https://example.com', now() + interval '3 seconds')").await;
    assert_eq!(world.follow("brief").await.status(), 302);
    let began = Instant::now();
    world.answers("brief", 410).await;
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn peoples_clicks_are_counted_and_others_are_not() {
    let world = World::new().await;
    let clicks = join_all((0..60).map(|_| world.follow("live"))).await;
    assert!(clicks.iter().all(|answer| answer.status() == 302));
    for _ in 0..5 {
        world.follow("later").await;
    }
    for (name, value) in [
        ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("user-agent", "WhatsApp/2.23.20.0"),
        ("user-agent", "curl/8.7.1"),
        ("user-agent", ""),
        ("sec-purpose", "prefetch"),
        ("x-purpose", "preview"),
    ] {
        let answer = world.ask(Method::GET, "live").header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), 302, "they are sent on all the same");
    }
    world.ask(Method::HEAD, "live").send().await.unwrap();
    for slug in ["over", "off", "nothing"] {
        world.follow(slug).await;
    }
    world.has_clicks("later", 5).await;
    world.has_clicks("live", 60).await;
    // All that was counted is written: what came in between would be there by now.
    world.follow("for-ever").await;
    world.has_clicks("for-ever", 1).await;
    world.has_clicks("live", 60).await;
    let rest = "select concat_ws(' ', sum(clicks), count(last_clicked_at), max(generation)) from public.links";
    assert_eq!(world.scratch.text(rest).await, "66 3 1");
}

#[tokio::test]
async fn a_locked_or_deleted_link_keeps_nobodys_clicks() {
    let world = World::new().await;
    let holder = world.scratch.client().await;
    for slug in ["live", "later", "for-ever"] {
        world.follow(slug).await;
    }
    holder.batch_execute("begin; select from public.links where slug = 'live' for update").await.unwrap();
    world.scratch.sql("delete from public.links where slug = 'for-ever'").await;
    world.follow("live").await;
    world.follow("later").await;
    world.has_clicks("later", 2).await;
    holder.batch_execute("rollback").await.unwrap();
    world.has_clicks("live", 2).await;
}

#[tokio::test]
async fn a_link_whose_row_takes_no_clicks_keeps_nobody_elses() {
    let world = World::new().await;
    world.scratch.sql("alter table public.links add constraint few check (slug <> 'live' or clicks = 0)").await;
    for slug in ["live", "later", "live", "for-ever"] {
        world.follow(slug).await;
    }
    world.has_clicks("later", 1).await;
    world.has_clicks("for-ever", 1).await;
    // It is not offered for ever.
    world.scratch.sql("alter table public.links drop constraint few").await;
    world.follow("live").await;
    world.has_clicks("live", 1).await;
}

#[tokio::test]
async fn a_flood_is_one_question_at_a_time_and_what_is_known_is_none() {
    let world = World::new().await;
    assert_eq!(world.follow("live").await.status(), 302);
    let holder = world.scratch.client().await;
    holder.batch_execute("begin; lock table public.links in access exclusive mode").await.unwrap();
    // Nobody can ask the database now, and nobody needs to.
    let known = join_all((0..300).map(|_| world.follow("live"))).await;
    assert!(known.iter().all(|answer| answer.status() == 302));
    // Three hundred that nobody knows wait for two questions.
    let release = async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%where l.slug = any%'";
        let began = Instant::now();
        let mut most = 0;
        while began.elapsed() < Duration::from_millis(800) {
            let now: i64 = holder.query_one(waiting, &[]).await.unwrap().get(0);
            most = most.max(now);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        holder.batch_execute("rollback").await.unwrap();
        most
    };
    let flood = join_all((0..300).map(|nth| {
        let slug = format!("nobody-{nth}");
        let world = &world;
        async move { world.follow(&slug).await.status().as_u16() }
    }));
    let (most, answers) = tokio::join!(release, flood);
    assert_eq!(most, 1);
    assert!(answers.iter().all(|status| *status == 404), "{answers:?}");
}

#[tokio::test]
async fn while_the_database_is_away_known_links_go_on_and_their_clicks_are_kept() {
    let world = World::new().await;
    assert_eq!(world.follow("live").await.status(), 302);
    world.scratch.shut().await;
    let began = Instant::now();
    let mut clicks = 1;
    // Longer than an answer is fresh.
    while began.elapsed() < Duration::from_secs(7) {
        assert_eq!(world.follow("live").await.status(), 302);
        clicks += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let answer = world.follow("later").await;
    assert_eq!(answer.headers()["retry-after"], "1");
    let (status, body) = read(answer).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")));
    world.scratch.reopen().await;
    world.answers("off", 410).await;
    world.has_clicks("live", clicks).await;
}

#[tokio::test]
async fn a_worker_that_ends_writes_every_click_first() {
    let scratch = Scratch::migrated().await;
    scratch.sql(LINKS).await;
    let variables =
        [("ROWCALL_QUEUES", "links"), ("LINKS_BASE_URL", "https://go.example.com"), ("ROWCALL_API_TOKEN", ADMIN)];
    let mut run = Run::start(&scratch, &variables);
    let address = run.address().await;
    run.logged("The bell works").await;
    let browser = browser();
    let follow = || browser.get(format!("http://{address}/l/live")).send();
    let clicks = join_all((0..20).map(|_| follow())).await;
    assert!(clicks.into_iter().all(|answer| answer.unwrap().status() == 302));
    run.terminate();
    assert!(run.ended().await.success());
    assert_eq!(scratch.text("select clicks::text from public.links where slug = 'live'").await, "20");
    // A person who follows links is nobody's business.
    let log = run.log();
    assert!(!log.contains("/l/live") && !log.contains("example.com/a") && !log.contains("Firefox"), "{log}");
    let soon: Value = serde_json::from_str(
        &scratch.text("select to_jsonb(l)::text from public.links as l where slug = 'soon'").await,
    )
    .unwrap();
    assert_eq!((&soon["status"], &soon["short_url"]), (&json!("active"), &json!("https://go.example.com/l/soon")));
}
