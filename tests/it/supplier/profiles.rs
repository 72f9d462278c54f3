//! Profiles: those that ship, those of the documentation, and wrong ones, refused with the key that is wrong.

use std::path::Path;

use rowcall::integrations::supplier::profile::{Profile, ProfileError, SHIPPED, shipped};

use super::{World, assert_accepted, names, purchase};

fn refused(text: &str) -> (String, String) {
    match Profile::parse(text).unwrap_err() {
        ProfileError::Key { key, problem } => (key, problem),
        other => panic!("{other}"),
    }
}

/// A profile that ships, with this changed.
fn changed(name: &str, from: &str, to: &str) -> String {
    let text = shipped(name).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    text.replacen(from, to, 1)
}

#[test]
fn every_shipped_profile_goes_by_its_name() {
    for (name, text) in SHIPPED {
        assert_eq!(Profile::parse(text).unwrap().name, name);
        assert_eq!(Profile::load(name).unwrap().name, name);
    }
}

#[test]
fn a_profile_may_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, changed("hubnet", "name = \"hubnet\"", "name = \"mine\"")).unwrap();
    assert_eq!(Profile::load(path.to_str().unwrap()).unwrap().name, "mine");
    for (name, words) in [("nobody", "at-ishare, codecraft"), ("/does/not/exist.toml", "read /does/not/exist.toml")] {
        let told = Profile::load(name).unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let error = Profile::parse("name = \"x\"\nbase_url = \n").unwrap_err().to_string();
    assert!(error.starts_with("line 2: "), "{error}");
}

/// A profile that ships, what of it is changed into what, the key that is wrong then, and words of why.
type Wrong = (&'static str, &'static str, &'static str, &'static str, &'static str);

fn assert_named(table: &[Wrong]) {
    for (name, from, to, key, words) in table {
        let (told, problem) = refused(&changed(name, from, to));
        // What is not known at the top is named by the words.
        let is_named =
            told == *key || (told == "profile" && problem.contains(key)) || told.starts_with(&format!("{key}."));
        assert!(is_named && problem.contains(words), "{name}, {to}: {told}: {problem}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_and_a_key_that_is_not_known_are_named() {
    assert_named(&[
        ("codecraft", "base_url", "base_uri", "base_uri", "unknown field"),
        ("codecraft", "https://api", "ftp://api", "base_url", "http or https"),
        ("codecraft", "https://api", "https://u:p@api", "base_url", "without a password"),
        ("codecraft", "craftnetwork.com/api", "craft.example.com/api?key=1", "base_url", "without ?"),
        ("codecraft", "\"0XXXXXXXXX\"", "\"00XXXXXXXXX\"", "msisdn_format", "unknown variant"),
        ("codecraft", "unit = \"GB\"", "unit = \"TB\"", "volume.unit", "unknown variant"),
        ("codecraft", "unit = \"GB\"", "units = \"GB\"", "volume.units", "unknown field"),
        ("codecraft", "unit = \"GB\"", "unit = \"GB\"\nmb_per_gb = \"1000\"", "volume.mb_per_gb", "invalid type"),
        ("codecraft", "in = \"header\"", "in = \"cookie\"", "auth[0]", "unknown variant"),
        ("codecraft", "name = \"x-api-key\"", "nam = \"x\"", "auth[0]", "unknown field `nam`"),
        ("codecraft", "name = \"x-api-key\"", "name = \"x api\"", "auth[0]", "the name of an HTTP header"),
        ("codecraft", "name = \"x-api-key\"", "name = \"Host\"", "auth[0]", "another header"),
        ("codecraft", "${secret.api_key}", "${secret.apikey}", "auth[0]", "secret.api_key"),
        ("codecraft", "\"${msisdn}\"", "\"${phone}\"", "purchase.fields.recipient_number", "is not known"),
        ("codecraft", "\"${msisdn}\"", "1.5", "purchase.fields.recipient_number", "a whole number"),
        ("codecraft", "\"/status\", equals", "\"status\", equals", "response.success[0].pointer", "a JSON pointer"),
        ("codecraft", "equals = 200", "equals = []", "response.success[0].equals", "at least one"),
        ("codecraft", "equals = 200", "equal = 200", "response.success[0].equal", "unknown field"),
        ("codecraft", "100 = \"wallet\"", "100 = \"purse\"", "response.code_map.100", "unknown variant `purse`"),
        ("hubnet", r"match = '(?i)\b(", r"match = '((", "response.text_map[0].match", "unclosed"),
        ("hubnet", "class = \"wallet\"", "class = 7", "response.text_map[0].class", "wanted string"),
        ("hubnet", "charset = \"[A-Za-z0-9-]\"", "charset = \"A-Z\"", "reference.charset", "a class of characters"),
        ("hubnet", "${base36}", "${base37}", "reference.derive", "is not known"),
        ("hubnet", "auth = \"url_token\"", "auth = \"trust\"", "callback.auth", "unknown variant"),
        ("xpress", "x-xpress-event", "x xpress event", "callback.state_header", "the name of an HTTP header"),
    ]);
}

#[test]
fn what_one_key_says_of_another_is_checked() {
    assert_named(&[
        ("codecraft", "name = \"codecraft\"", "name = \"Code Craft\"", "name", "small letters"),
        ("codecraft", "base_url", "timeout_s = 0\nbase_url", "timeout_s", "1 to 120"),
        ("codecraft", "base_url", "give_up_h = 1000\nbase_url", "give_up_h", "1 to 168"),
        ("codecraft", "base_url", "rate = { per_s = 0 }\nbase_url", "rate.per_s", "1 to 1000"),
        ("codecraft", "base_url", "rate = { concurrency = 0 }\nbase_url", "rate.concurrency", "1 to 1000"),
        ("codecraft", "base_url", "packages = { \"1 gb\" = 1 }\nbase_url", "packages.1 gb", "written \"1GB\""),
        ("codecraft", "\"26\", ", "\"+26\", ", "msisdn_prefixes", "digits"),
        ("xpress", "as = \"number\"", "as = \"number\"\nsuffix = \"GB\"", "volume.suffix", "nothing follows"),
        ("codecraft", "${secret.api_key}", "${msisdn}", "auth[0].value", "only secrets"),
        ("codecraft", "\"AT\" }", "\"${secret.api_key}\" }", "purchase", "stands in auth"),
        ("codecraft", "\"AT\" }", "\"${provider_reference}\" }", "purchase", "only after"),
        ("codecraft", "\"${msisdn}\"", "\"x\"", "purchase.fields", "${msisdn} is nowhere"),
        ("codecraft", "\"${volume}\"", "\"x\"", "purchase.fields", "${volume} is nowhere"),
        ("codecraft", "path = \"/init", "method = \"GET\"\npath = \"/init", "purchase.fields", "a GET has no body"),
        ("spfastit", "\"${volume}\"", "[\"${volume}\"]", "purchase.fields.bundle_mb", "neither lists nor tables"),
        (
            "spfastit",
            "phone = \"${msisdn}\"",
            "phone = \"${msisdn}\", api_key = \"x\"",
            "purchase.fields.api_key",
            "auth[0].name",
        ),
        ("spfastit", "path = \"/check", "method = \"GET\"\npath = \"/check", "look_up.request.method", "auth[0].in"),
        (
            "spfastit",
            "client_reference = \"${reference}\" }\n\n[volume]",
            "x = 1 }\n\n[volume]",
            "idempotent.by_reference",
            "nowhere",
        ),
        ("spfastit", "by_reference = true", "by_reference = true, window_h = 0", "idempotent.window_h", "1 to 8760"),
        ("hubnet", "max_len = 25", "max_len = 24", "reference.derive", "it makes 25 characters"),
        ("hubnet", "[A-Za-z0-9-]", "[A-Z]", "reference.derive", "not in reference.charset"),
        (
            "codecraft",
            "success = [{ pointer = \"/status\", equals = 200 }]",
            "success = []",
            "response.success",
            "at least one",
        ),
        ("codecraft", "code = [\"/status\"]\n", "", "response.code", "where the codes"),
        ("spfastit", "message = [\"/message\"]\n", "", "response.message", "where the words"),
        ("spfastit", "[\"completed\"]", "[\"Completed\"]", "states.delivered", "is written \"completed\""),
        ("spfastit", "[\"completed\"]", "[]", "states.delivered", "at least one"),
        ("spfastit", "[\"completed\"]", "[\"failed\"]", "states.failed", "two places"),
        ("at-ishare", "ts_header = \"X-Timestamp\"\n", "", "signing.ts_header", "must be sent too"),
        ("at-ishare", "over = \"ts.body\"", "over = \"fields\"", "signing.fields", "what is signed"),
        (
            "at-ishare",
            "over = \"ts.body\"",
            "over = \"fields\"\nfields = [\"${msisdn}\"]",
            "signing.fields",
            "has no ${msisdn}",
        ),
        ("at-ishare", "\"/data/status?reference=${reference}\"", "\"/data/status\"", "look_up.request", "which order"),
        ("at-ishare", "reference=${reference}", "reference=${volume}", "look_up.request", "only the references"),
        ("codecraft", "${provider_reference}", "${reference}", "look_up.request", "nowhere in purchase"),
        ("codecraft", "state = [\"/data/order_status\"]", "state = []", "look_up.state", "how the order stands"),
        ("codecraft", "[look_up]", "[look_up]\nschedule_s = []", "look_up.schedule_s", "at least one"),
        ("codecraft", "[look_up]", "[look_up]\nschedule_s = [0]", "look_up.schedule_s", "1 to 86400"),
        ("at-ishare", "headers = [\"X-Signature\"]\n", "", "callback.headers", "a signature"),
        ("hubnet", "auth = \"url_token\"", "auth = \"none\"", "callback.auth", "anybody could say"),
        ("hubnet", "state = [\"/event\", \"/data/status\"]\n", "", "callback.state", "how the order stands"),
        (
            "hubnet",
            "auth = \"url_token\"\nreference = [\"/reference\", \"/data/reference\"]\nprovider_reference = [\"/transaction_id\", \
             \"/data/transaction_id\"]\nstate = [\"/event\", \"/data/status\"]",
            "auth = \"hmac_hex\"\nheaders = [\"x-sig\"]\nreference = [\"/reference\"]\nstate_header = \"x-event\"",
            "callback.state",
            "not signed",
        ),
        (
            "at-ishare",
            "auth = \"hmac_hex\"",
            "auth = \"hmac_hex\"\ntolerance_s = 0",
            "callback.tolerance_s",
            "1 to 86400",
        ),
    ]);
}

#[test]
fn a_profile_that_lacks_something_says_what() {
    for (name, section, words) in [
        ("codecraft", "[purchase]", "purchase"),
        ("codecraft", "[response]", "response"),
        ("hubnet", "[callback]", "without look_up and callback"),
    ] {
        let text = shipped(name).unwrap();
        let from = text.find(section).unwrap();
        let tables = format!("[{}", section.trim_matches(['[', ']']));
        let next = text[from + 1..].match_indices("\n[").find(|(at, _)| {
            let rest = text[from + 1 + at + 1..].trim_start_matches('[');
            !rest.starts_with(tables.trim_start_matches('['))
        });
        let end = next.map_or(text.len(), |(at, _)| from + 1 + at);
        let (key, problem) = refused(&format!("{}{}", &text[..from], &text[end..]));
        assert!(format!("{key}: {problem}").contains(words), "{key}: {problem}");
    }
}

#[test]
fn no_callback_is_believed_that_names_no_order() {
    let text = changed("at-ishare", "provider_reference = [\"/transaction_id\"]\nstate", "state");
    let text = text.replace("reference = [\"/reference\"]\n", "");
    assert_eq!(refused(&text).0, "callback.reference");
}

/// Every block of TOML on the page is a whole profile, or a part that is put into one.
#[tokio::test]
async fn the_examples_of_the_documentation_work() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/suppliers.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (whole, parts): (Vec<&str>, Vec<&str>) = blocks.iter().partition(|block| block.starts_with("name = "));
    assert_eq!((whole.len(), parts.len()), (1, 5), "the page's blocks");
    for part in parts {
        Profile::parse(&format!("{}\n{part}", whole[0])).unwrap_or_else(|error| panic!("{error} in\n{part}"));
    }
    // The whole one buys: it is written for the sandbox's default supplier.
    let world = World::of(whole[0], |_| {}).await;
    world.never_deliver();
    assert_accepted(&world.execute(&purchase()).await, "the page's profile");
    for name in names() {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
}
