//! Memberships as a whole: webhooks over HTTP, the rule, the worker, and faithful fakes of both CRMs that say what is true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use rowcall::connections::Connections;
use rowcall::http::Settings;
use rowcall::http::webhooks::Secrets;
use rowcall::integrations::crm::shopify::Template;
use rowcall::integrations::crm::{self, CredentialsFrom, Crm, UpgradeOrder, commerce7, shopify};
use rowcall::notice::commerce7::Login;
use rowcall::notice::shopify::Secrets as Signing;
use rowcall::readiness::Readiness;
use rowcall::sandbox::crm::{CrmArgs, Fake, Limit, Limits, Person, Seed, ShopSeed, TenantSeed, Webhook};
use rowcall::store::connect::Database;
use rowcall::store::queues::{CRM_ORDERS, CRM_SYNC_QUEUE};
use rowcall::worker;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scratch::Scratch;
use crate::web::{Run, Web, open, told};
use crate::worker::{NEVER, TestWorker};

const EMAIL: &str = "ama@example.com";

/// Rows, a server, a worker of both queues, and the CRMs.
struct World {
    scratch: Scratch,
    web: Web,
    fake: Fake,
    _workers: [TestWorker; 2],
    _dir: TempDir,
}

/// A tenant and a shop, both called north, with the tiers Silver (from 100) and Gold (from 500). Nobody waits for a rate.
const CLIENTS: &str = "
    insert into clients (crm_type, tenant, shop, currency) values ('commerce7', 'north', null, 'USD'), ('shopify', null, 'north', 'USD');
    insert into club_stages (client_id, name, threshold, crm_club_id, tag)
    select c.id, s.name, s.threshold, lower(s.name), lower(s.name) from clients as c, (values ('Silver', 100), ('Gold', 500)) as s (name, threshold);
    insert into rowcall.targets (target, part_of, calls_per_minute) values ('commerce7:north', 'crm', 6000), ('shopify:north', 'crm', null);
";

impl World {
    async fn new() -> Self {
        let scratch = Scratch::migrated().await;
        scratch.sql(CLIENTS).await;
        let webhooks = Secrets {
            commerce7: Some(Login::new("sandbox-hooks", &SecretString::from("sandbox-password"))),
            shopify: Some(Signing(vec![SecretString::from("sandbox-client-secret")])),
            ..Secrets::default()
        };
        let web = Web::start(&scratch, Settings { webhooks, ..open() }).await;
        let dir = tempfile::tempdir().unwrap();
        let mut args = CrmArgs::new(dir.path().to_owned());
        args.commerce7_webhook = Some(format!("http://{}/webhooks/commerce7", web.address));
        args.shopify_webhook = Some(format!("http://{}/webhooks/shopify", web.address));
        let fake = Fake::start(args).await.unwrap();
        let ama = || Person { email: EMAIL.to_owned(), first_name: "Ama".to_owned(), ..Person::default() };
        fake.seed(Seed { commerce7: vec![tenant("north", vec![ama()])], shopify: vec![shop("north", vec![ama()])] });
        let crm = Arc::new(Crm::new(settings(&fake.address())));
        let workers = [&CRM_SYNC_QUEUE, &CRM_ORDERS].map(|statements| {
            let database = || Database::parse(&scratch.url).unwrap();
            let settings = worker::Settings {
                database: database(),
                listen: database(),
                connections: Connections::default(),
                sweep: NEVER,
                grace: Duration::from_secs(20),
                monitor: None,
                readiness: Readiness::default(),
            };
            TestWorker::of(statements, settings, crm.clone())
        });
        Self { scratch, web, fake, _workers: workers, _dir: dir }
    }

    /// Tells both CRMs' receivers of a paid order of so much.
    async fn order(&self, id: u32, dollars: u32, change: impl Fn(Webhook) -> Webhook) {
        let at = format!("2026-03-01T10:00:{id:02}Z");
        let of = |crm_type: &str, event: &str, order: Value| Webhook {
            crm_type: crm_type.to_owned(),
            tenant: "north".to_owned(),
            event: event.to_owned(),
            order,
            ..Webhook::default()
        };
        let commerce7 = json!({"id": format!("order-{id}"), "total": dollars * 100, "paymentStatus": "Paid", "updatedAt": at,
            "customer": {"id": null, "firstName": "Ama", "emails": [{"email": EMAIL}]}});
        let shopify = json!({"id": id, "total_price": format!("{dollars}.00"), "currency": "USD", "financial_status": "paid",
            "updated_at": at, "email": EMAIL, "customer": null});
        let webhooks = [of("commerce7", "Order/Update", commerce7), of("shopify", "orders/paid", shopify)];
        self.fake.tell(webhooks.map(change).to_vec()).await;
    }

    /// Waits until nothing is asked for any more, and says what the customer is in both CRMs.
    async fn settled(&self) -> [Vec<String>; 2] {
        let unfinished = "select (select count(*) from crm_sync_queue where status in ('pending', 'processing'))
            + (select count(*) from crm_orders where status in ('asked', 'fetching'))";
        wait(&self.scratch, &format!("({unfinished}) = 0"), Duration::from_secs(45)).await;
        let failed = "select coalesce(string_agg(error_message, '; '), '') from crm_sync_queue where status = 'failed'";
        assert_eq!(self.scratch.text(failed).await, "");
        let world = self.fake.world();
        [("commerce7", "clubs"), ("shopify", "tags")].map(|(crm, list)| {
            let names = world[crm]["north"][0][list].as_array().unwrap();
            names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        })
    }
}

fn tenant(name: &str, customers: Vec<Person>) -> TenantSeed {
    let clubs = vec!["silver".to_owned(), "gold".to_owned()];
    TenantSeed { tenant: name.to_owned(), clubs, customers, ..TenantSeed::default() }
}

fn shop(name: &str, customers: Vec<Person>) -> ShopSeed {
    ShopSeed { shop: name.to_owned(), customers, ..ShopSeed::default() }
}

fn settings(address: &str) -> crm::Settings {
    crm::Settings {
        credentials: CredentialsFrom::Environment,
        upgrade_order: UpgradeOrder::AddFirst,
        commerce7: commerce7::Settings {
            api_url: Url::parse(&format!("{address}/v1")).unwrap(),
            app_id: Some("sandbox-app".to_owned()),
            key: Some(SecretString::from("sandbox-key")),
            calls_per_minute: 6000,
            cancellation_reason: "Other".to_owned(),
            webhook: None,
        },
        shopify: shopify::Settings {
            api_url: Template::new(&format!("{address}/{{shop}}/admin/api/2026-01/graphql.json")).unwrap(),
            access_token: Some(SecretString::from("sandbox-access-token")),
            webhook: None,
        },
    }
}

async fn wait(scratch: &Scratch, condition: &str, patience: Duration) {
    let (client, began) = (scratch.client().await, Instant::now());
    loop {
        let row = client.query_one(&format!("select ({condition})::boolean"), &[]).await.unwrap();
        if row.get(0) {
            return;
        }
        if began.elapsed() > patience {
            let rows = "select string_agg(q::text, E'\\n') from (select status, attempts, error_message, count(*) from crm_sync_queue group by 1, 2, 3) as q";
            panic!("waited for {condition}: {}", scratch.text(rows).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn are(club: &str) -> [Vec<String>; 2] {
    let list: Vec<String> = club.split_whitespace().map(str::to_owned).collect();
    [list.clone(), list]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_member_in_both_crms() {
    let world = World::new().await;
    world.order(1, 99, |webhook| webhook).await;
    assert_eq!(world.settled().await, are(""), "too small");
    world.order(2, 9999, |webhook| Webhook { is_forged: true, ..webhook }).await;
    world.order(3, 120, |webhook| Webhook { repeats: 2, webhook_id: "delivery-1".to_owned(), ..webhook }).await;
    assert_eq!(world.settled().await, are("silver"), "forged webhooks change nothing, repeated ones change it once");
    // Whoever knows Commerce7's login may say anything: what it says itself counts.
    let lie = |webhook: Webhook| match webhook.crm_type.as_str() {
        "commerce7" => Webhook { lie: json!({"total": 999_900}), ..webhook },
        _ => Webhook { is_forged: true, ..webhook },
    };
    world.order(4, 50, lie).await;
    assert_eq!(world.settled().await, are("silver"));
    world.order(5, 600, |webhook| webhook).await;
    assert_eq!(world.settled().await, are("gold"));

    // A year later.
    let mine = "select string_agg(concat_ws(' ', c.crm_type, s.name, e.status, e.crm_membership_id is not null), ', ' order by c.id, e.id)
        from enrollments as e join club_stages as s on s.id = e.stage_id join clients as c on c.id = s.client_id";
    assert_eq!(
        world.scratch.text(mine).await,
        "commerce7 Silver upgraded t, commerce7 Gold active t, shopify Silver upgraded t, shopify Gold active t"
    );
    world.scratch.sql("update enrollments set expires_at = now() - interval '1 minute'").await;
    let form = world.web.post("/api/cron").header("content-type", "application/x-www-form-urlencoded");
    let (status, body) = told(form.body("action=trigger&job=process-expired-enrollments")).await;
    assert_eq!((status, &body["result"]), (200, &json!({"expired": 2, "customers_updated": 2, "queued": 2})));
    assert_eq!(world.settled().await, are(""));
    // And back again.
    world.order(6, 100, |webhook| webhook).await;
    assert_eq!(world.settled().await, are("silver"));
    let queue = "select string_agg(action_type || ' ' || count, ', ' order by action_type) from (select action_type, count(*) from crm_sync_queue where status = 'completed' group by 1) as q";
    assert_eq!(world.scratch.text(queue).await, "add_membership 4, cancel_membership 2, upgrade_membership 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_and_throttled_loses_nothing_and_spends_no_attempt() {
    let world = World::new().await;
    let people: Vec<Person> =
        (1..=20).map(|n| Person { email: format!("c{n}@example.com"), ..Person::default() }).collect();
    world.fake.seed(Seed { commerce7: vec![tenant("north", people.clone())], shopify: vec![shop("north", people)] });
    // Far less than the settings believe: the CRMs themselves must refuse, each in its way.
    world.fake.limits(&Limits {
        commerce7: Some(Limit { per_second: 8.0, burst: 4.0 }),
        shopify: Some(Limit { per_second: 25.0, burst: 40.0 }),
        retry_after: Some("1".to_owned()),
    });
    world
        .scratch
        .sql(
            "insert into customers (client_id, email) select c.id, 'c' || n || '@example.com' from clients as c, generate_series(1, 20) as n;
             insert into crm_sync_queue (client_id, customer_id, action_type, stage_id)
             select u.client_id, u.id, 'add_membership', s.id from customers as u join club_stages as s using (client_id) where s.name = 'Silver'",
        )
        .await;
    wait(
        &world.scratch,
        "not exists (select from crm_sync_queue where status <> 'completed')",
        Duration::from_secs(90),
    )
    .await;
    let told = "select string_agg(distinct split_part(key_type, ' ', 1), ' ') from (
            select c.crm_type || ' ' || a.settled_as as key_type from rowcall.attempts as a
            join crm_sync_queue as q on q.id::text = a.key join clients as c on c.id = q.client_id where a.settled_as = 'wait') as w";
    assert_eq!(world.scratch.text(told).await, "commerce7 shopify", "both were stormy");
    assert_eq!(world.scratch.text("select max(attempts)::text || ' ' || count(*) from crm_sync_queue").await, "0 40");
    for kind in ["membership-created", "tags-added"] {
        assert_eq!(world.fake.log().iter().filter(|effect| effect["effect"] == kind).count(), 20, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_expiries_of_twenty_clients_survive_two_kills() {
    let scratch = Scratch::migrated().await;
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(CrmArgs::new(dir.path().to_owned())).await.unwrap();
    let wide = Some(Limit { per_second: 10_000.0, burst: 10_000.0 });
    fake.limits(&Limits { commerce7: wide, shopify: wide, retry_after: None });
    let people = |tags: &[&str]| -> Vec<Person> {
        let person = |n| Person {
            email: format!("c{n}@example.com"),
            tags: tags.iter().map(ToString::to_string).collect(),
            ..Person::default()
        };
        (1..=100).map(person).collect()
    };
    fake.seed(Seed {
        commerce7: (1..=4).map(|n| tenant(&format!("c{n}"), people(&[]))).collect(),
        shopify: (5..=20).map(|n| shop(&format!("c{n}"), people(&["silver", "vip"]))).collect(),
    });
    scratch
        .sql(
            "insert into clients (crm_type, tenant, shop)
             select case when n <= 4 then 'commerce7' else 'shopify' end, case when n <= 4 then 'c' || n end, case when n > 4 then 'c' || n end
             from generate_series(1, 20) as n;
             insert into club_stages (client_id, name, threshold, crm_club_id, tag) select id, 'Silver', 100, 'silver', 'silver' from clients;
             insert into rowcall.targets (target, part_of, calls_per_minute)
             select target, 'crm', case when crm_type = 'commerce7' then 60000 end from rowcall.crm_accounts;
             insert into customers (client_id, email, is_member)
             select c.id, 'c' || n || '@example.com', true from clients as c, generate_series(1, 100) as n;
             insert into enrollments (customer_id, stage_id, expires_at)
             select u.id, s.id, now() - interval '1 minute' from customers as u join club_stages as s using (client_id);
             insert into crm_sync_queue (client_id, customer_id, enrollment_id, action_type)
             select u.client_id, u.id, e.id, 'add_membership' from customers as u join enrollments as e on e.customer_id = u.id
             where u.client_id <= 4",
        )
        .await;
    let address = fake.address();
    let commerce7 = format!("{address}/v1");
    let shopify = format!("{address}/{{shop}}/admin/api/2026-01/graphql.json");
    let run = || {
        let environment = [
            ("COMMERCE7_API_URL", commerce7.as_str()),
            ("COMMERCE7_APP_ID", "sandbox-app"),
            ("COMMERCE7_KEY", "sandbox-key"),
            ("COMMERCE7_CALLS_PER_MINUTE", "6000"),
            ("SHOPIFY_API_URL", &shopify),
            ("SHOPIFY_ACCESS_TOKEN", "sandbox-access-token"),
            ("ROWCALL_QUEUES", "crm_sync_queue,crm_orders"),
            ("ENABLE_MONITORING", "false"),
        ];
        Run::start(&scratch, &environment)
    };
    let completed = "select count(*) from crm_sync_queue where status = 'completed'";
    let patience = Duration::from_mins(2);
    let mut worker = run();
    wait(&scratch, &format!("({completed}) > 100"), patience).await;
    scratch.sql("select * from process_expired_enrollments()").await;
    for kill_after in [700, 1500] {
        wait(&scratch, &format!("({completed}) > {kill_after}"), patience).await;
        // Dropped, it is killed with -9 in the middle of its operations.
        drop(worker);
        worker = run();
    }
    wait(&scratch, "not exists (select from crm_sync_queue where status in ('pending', 'processing'))", patience).await;
    drop(worker);

    assert_eq!(scratch.text("select string_agg(distinct status, ' ') from crm_sync_queue").await, "completed");
    assert_eq!(
        scratch
            .text("select (count(*) filter (where action_type = 'cancel_membership'))::text from crm_sync_queue")
            .await,
        "2000"
    );
    assert_ne!(
        scratch.text("select count(*)::text from rowcall.attempts where settled_as = 'lost'").await,
        "0",
        "the kills met something"
    );
    let world = fake.world();
    for (crm, list, left) in [("commerce7", "clubs", json!([])), ("shopify", "tags", json!(["vip"]))] {
        for (account, customers) in world[crm].as_object().unwrap() {
            let customers = customers.as_array().unwrap();
            assert_eq!(customers.len(), 100);
            for customer in customers {
                assert_eq!(customer[list], left, "{account} {customer}");
            }
        }
    }
    let made: Vec<Value> = fake.log().into_iter().filter(|effect| effect["effect"] == "membership-created").collect();
    assert!(made.len() <= 400, "nobody was made a member twice: {}", made.len());
}
