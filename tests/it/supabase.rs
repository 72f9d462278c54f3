//! Supabase: its roles, its default privileges old and new, its `auth.uid()`; and that a browser may ask, and nothing else.

mod rights;
mod rows;
mod statuses;
mod limits;
mod requests;
mod requests_beyond_codes;
mod hostile;
mod installed;
mod document;

use rowcall::store::connect::Database;
use rowcall::store::migrate;
use tokio_postgres::Client;

use crate::database::{self, TestDatabase, chain};

pub(crate) const ALICE: &str = "11111111-1111-1111-1111-111111111111";
pub(crate) const BOB: &str = "22222222-2222-2222-2222-222222222222";

/// What a new object in `public` is granted by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Defaults {
    /// Everything, to everybody: projects from before April 2026.
    Old,
    /// Nothing.
    New,
}

/// The role as which migrations run: no superuser, as Supabase's `postgres` is none.
const OWNER: &str = "rowcall_test_supabase";

/// A project: Supabase's roles and `auth`, and a database that is its `postgres` role's own.
pub(crate) struct Project {
    pub(crate) db: TestDatabase,
}

/// What a refused statement said.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

impl Project {
    /// A project with nothing in it.
    pub(crate) async fn empty(defaults: Defaults) -> Self {
        let db = TestDatabase::empty().await;
        for role in [
            "anon nologin".to_owned(),
            "authenticated nologin".to_owned(),
            "service_role nologin bypassrls".to_owned(),
            format!("{OWNER} login createrole bypassrls password '{OWNER}'"),
        ] {
            db.run(&format!(
                "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
            ))
            .await;
        }
        db.run(&format!(
            "alter database {} owner to {OWNER};
             create schema auth;
             grant usage on schema auth to anon, authenticated, service_role, {OWNER};
             create function auth.uid() returns uuid language sql stable as $$
                 select coalesce(
                     nullif(current_setting('request.jwt.claim.sub', true), ''),
                     nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
                 )::uuid
             $$;
             grant usage on schema public to anon, authenticated, service_role;
             grant all on schema public to {OWNER};
             create publication supabase_realtime;
             alter publication supabase_realtime owner to {OWNER}",
            db.name
        ))
        .await;
        if matches!(defaults, Defaults::Old) {
            for kind in ["tables", "functions", "sequences"] {
                db.run(&format!(
                    "alter default privileges for role {OWNER} in schema public grant all on {kind} to anon, authenticated, service_role"
                ))
                .await;
            }
        }
        Self { db }
    }

    /// A project that was migrated twice.
    pub(crate) async fn new() -> Self {
        Self::with(Defaults::Old).await
    }

    pub(crate) async fn with(defaults: Defaults) -> Self {
        let project = Self::empty(defaults).await;
        project.migrate().await;
        project.migrate().await;
        project
    }

    pub(crate) fn as_owner(&self) -> Database {
        self.db.database_as(OWNER)
    }

    pub(crate) async fn migrate(&self) {
        migrate::apply(&self.as_owner()).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    }

    /// A connection as `PostgREST` makes it for a page: of this role, with this user's JWT.
    pub(crate) async fn page(&self, role: &str, user: &str) -> Client {
        let client = self.db.connect().await;
        database::run(
            &client,
            &format!("set role {role}; set request.jwt.claims = '{{\"sub\": \"{user}\", \"role\": \"{role}\"}}'"),
        )
        .await;
        client
    }

    /// A signed-in user's page.
    pub(crate) async fn user(&self, user: &str) -> Client {
        self.page("authenticated", user).await
    }

    /// An active code that is a user's.
    pub(crate) async fn code(&self, code: &str, owner: &str) {
        self.db.run(&format!("insert into codes (code, owner) values ('{code}', '{owner}')")).await;
    }

    /// Lets pages ask for changes of orders.
    pub(crate) async fn open_orders(&self) {
        self.db.run("update rowcall.browser_tables set asks = '{updating}' where table_name = 'orders'").await;
    }

    /// An order, a link that is active, and an organization, each this user's; their keys.
    pub(crate) async fn others(&self, owner: &str) -> [String; 3] {
        let order = format!("insert into orders (customer, owner) values ('c1', '{owner}') returning id::text");
        let link = format!(
            "insert into links (target_url, slug, status, owner)
             values ('https://example.com/', substr(md5('{owner}'), 1, 11), 'active', '{owner}') returning id::text"
        );
        let organization = format!(
            "insert into organizations (name, owner, sync_url) values ('Acme', '{owner}', 'https://example.com/hook')
             returning id::text"
        );
        [self.db.get(&order).await, self.db.get(&link).await, self.db.get(&organization).await]
    }

    /// An action that a user may answer.
    pub(crate) async fn action(&self, owner: &str) -> i32 {
        self.db
            .get(&format!(
                "with contact as (insert into contacts (phone, owner) values ('+15550100', '{owner}') returning id)
                 insert into actions (contact_id) select c.id from contact as c returning id"
            ))
            .await
    }
}

/// What the database says to a statement that it must refuse.
pub(crate) async fn refused(client: &Client, sql: &str) -> Refusal {
    let error = client.simple_query(sql).await.err().unwrap_or_else(|| panic!("not refused: {sql}"));
    let said = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {}", chain(&error)));
    Refusal {
        code: said.code().code().to_owned(),
        message: said.message().to_owned(),
        detail: said.detail().unwrap_or_default().to_owned(),
        hint: said.hint().unwrap_or_default().to_owned(),
    }
}
