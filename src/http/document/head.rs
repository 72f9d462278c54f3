//! What of the document belongs to no route: what this is, the ways to say who calls, and the refusals that any route may give.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ServerBuilder,
};

const OPENING: &str = "A row of your own Postgres table is the job: ask for a change here or with SQL, a worker makes the call, and \
    the answer comes back on the row.\n\nEvery failure is `{\"error\": {\"code\", \"message\", \"hint\", \"fields\"?}}`, and every \
    answer has `X-Request-Id`. No text may have the character U+0000. Where no token is configured, the server listens to its own \
    machine only, and nobody needs to say who they are.";

const TAGS: [(&str, &str); 12] = [
    ("health", "Whether the server works, and what there is"),
    ("login", "A person's e-mail address and password, for a token"),
    ("operator", "Queues and their rows: looked at, paused, tried again, settled by hand"),
    ("schedules", "SQL that runs at set times"),
    ("requests", "Codes, orders, links and organizations are asked for"),
    ("monitoring", "What is pending, who works, and whether the codes are as in Fienta"),
    ("actions", "A customer's request is answered, and the reply goes out over WhatsApp"),
    ("fulfillment", "Data bundles that were ordered are bought"),
    ("memberships", "Memberships are kept in step with the CRMs"),
    ("tickets", "Tickets of FluentSupport are pulled"),
    ("webhooks", "What providers call; each proves itself by its own means"),
    ("links", "Short links, for visitors"),
];

/// The refusals of what stands before handlers, and of whoever the handlers ask.
pub(super) const REFUSALS: [(u16, &str, &str); 10] = [
    (400, "Malformed", "The request is wrong: `message`, `fields` or `hint` names what is"),
    (401, "Unauthenticated", "Nobody says who calls, or not truly"),
    (
        403,
        "Forbidden",
        "Who calls may not do that; or their token's time is over; or a page of another origin, a foreign Host or a proxy asks",
    ),
    (408, "SlowBody", "The body did not arrive in time"),
    (409, "Conflict", "A request with this `Idempotency-Key` is being answered just now"),
    (413, "LargeBody", "The body is too large"),
    (415, "NotJson", "The body is not JSON by its own word"),
    (422, "KeyReused", "This `Idempotency-Key` came with another body before"),
    (500, "Internal", "A fault of this server, which is in its log under the answer's `X-Request-Id`"),
    (
        503,
        "Unavailable",
        "Not now: the database is away, busy or not migrated, the answer took too long, or a webhook has no secret yet",
    ),
];

/// What belongs to no route.
pub(super) fn head() -> OpenApi {
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).identifier(Some(env!("CARGO_PKG_LICENSE")));
    let info = InfoBuilder::new().title("Rowcall").version(env!("CARGO_PKG_VERSION")).description(Some(OPENING));
    let tags = TAGS.map(|(name, meaning)| TagBuilder::new().name(name).description(Some(meaning)).build());
    let components = REFUSALS
        .iter()
        .fold(schemes(), |components, (status, name, meaning)| components.response(*name, refusal(*status, meaning)));
    OpenApiBuilder::new()
        .info(info.license(Some(license.build())).build())
        .servers(Some([ServerBuilder::new().url("/").description(Some("The server that shows this")).build()]))
        .tags(Some(tags))
        .components(Some(components.build()))
        .build()
}

fn refusal(status: u16, meaning: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Refusal"));
    let response = ResponseBuilder::new()
        .description(meaning)
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build());
    let header = |meaning: &str, kind| {
        HeaderBuilder::new().description(Some(meaning)).schema(Some(ObjectBuilder::new().schema_type(kind))).build()
    };
    match status {
        401 => response.header("WWW-Authenticate", header("The ways to say who calls", Type::String)),
        503 => response.header("Retry-After", header("Seconds until it may do", Type::Integer)),
        _ => response,
    }
    .build()
}

/// The ways to say who calls, as `auth` reads them, and the proofs of providers.
fn schemes() -> ComponentsBuilder {
    let http = |scheme, meaning: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(meaning)).build())
    };
    let header = |name, meaning| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, meaning)));
    let query = |name, meaning| SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(name, meaning)));
    let (bearer, basic) = (HttpAuthScheme::Bearer, HttpAuthScheme::Basic);
    let jwt = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A Supabase JWT of `service_role` may look and change; other roles nothing yet."));
    let all = [
        (
            "token",
            http(
                bearer.clone(),
                "`ROWCALL_API_TOKEN` and a token of `POST /api/auth/login` may look and change, `ROWCALL_READ_TOKEN` look.",
            ),
        ),
        ("jwt", SecurityScheme::Http(jwt.build())),
        ("basic", http(basic.clone(), "`ROWCALL_API_TOKEN` or `ROWCALL_READ_TOKEN` as the password, with any user.")),
        (
            "metaSignature",
            header("X-Hub-Signature-256", "`sha256=` and the hex HMAC-SHA256 of the body under `WHATSAPP_APP_SECRET`."),
        ),
        (
            "shopifySignature",
            header(
                "X-Shopify-Hmac-Sha256",
                "The base64 HMAC-SHA256 of the body under the shop's own secret, else `SHOPIFY_WEBHOOK_SECRET`.",
            ),
        ),
        ("infobipSecret", header("X-Rowcall-Token", "`INFOBIP_WEBHOOK_SECRET`.")),
        ("infobipBearer", http(bearer, "`INFOBIP_WEBHOOK_SECRET`.")),
        ("infobipBasic", http(basic.clone(), "`INFOBIP_WEBHOOK_SECRET` as the password, with any user.")),
        ("commerce7Login", http(basic.clone(), "`COMMERCE7_WEBHOOK_USER` and `COMMERCE7_WEBHOOK_PASSWORD`.")),
        (
            "supplierSignature",
            header(
                "X-Signature",
                "In the header and of the kind that the supplier's profile names, under `AT_ISHARE_API_SECRET`.",
            ),
        ),
        ("supplierToken", query("token", "`AT_ISHARE_API_SECRET`, where the profile says `url_token`.")),
        ("supplierBasic", http(basic, "`AT_ISHARE_API_SECRET` as the password, where the profile says `basic`.")),
    ];
    all.into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, scheme)| components.security_scheme(name, scheme))
}
