//! Who follows a link: a person, whose click counts, or a program that only looks.
//!
//! Programs that say what they are are known by their words; one that calls itself a browser counts as a person.

use axum::http::header::{ACCEPT, USER_AGENT};
use axum::http::{HeaderMap, Method};

/// What stands in the names of programs that follow links by themselves: crawlers, previews, monitors, libraries.
const PROGRAMS: [&str; 38] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "archiver",
    "preview",
    "prefetch",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "whatsapp",
    "embedly",
    "iframely",
    "vkshare",
    "skypeuripreview",
    "mediapartners",
    "bingpreview",
    "feedfetcher",
    "google-",
    "lighthouse",
    "pagespeed",
    "headless",
    "phantomjs",
    "monitor",
    "uptime",
    "pingdom",
    "statuscake",
    "validator",
    "curl/",
    "wget/",
    "python",
    "go-http-client",
    "java/",
    "okhttp",
    "axios/",
    "node",
    "http-client",
];

/// A telephone whose name is not its trade.
const CUBOT: &str = "cubot";

/// Headers by which a browser says that nobody has clicked yet.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Whether this request is a person's click.
pub(super) fn is_person(method: &Method, headers: &HeaderMap) -> bool {
    let is_look = PURPOSES.iter().filter_map(|name| headers.get(*name)).any(|value| {
        let purpose = value.to_str().unwrap_or_default().to_ascii_lowercase();
        purpose.contains("prefetch") || purpose.contains("preview") || purpose.contains("prerender")
    });
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let agent = agent.replace(CUBOT, "");
    // Every browser says what it is.
    method == Method::GET && !is_look && !agent.is_empty() && !PROGRAMS.iter().any(|word| agent.contains(word))
}

/// Whether the answer is to be looked at.
pub(super) fn reads_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|types| types.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

    fn counts(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let pair =
            |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), value.parse().unwrap());
        is_person(method, &headers.iter().map(pair).collect())
    }

    #[test]
    fn people_count_and_programs_do_not() {
        for person in [
            FIREFOX,
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.0.0",
        ] {
            assert!(counts(&Method::GET, &[("user-agent", person)]), "{person}");
        }
        for program in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "WhatsApp/2.23.20.0",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "TelegramBot (like TwitterBot)",
            "Mozilla/5.0 (compatible; YandexBot/3.0)",
            "curl/8.7.1",
            "python-requests/2.32",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/125.0.0.0 Safari/537.36",
            "",
        ] {
            assert!(!counts(&Method::GET, &[("user-agent", program)]), "{program}");
        }
        assert!(!counts(&Method::GET, &[]), "no browser comes without a name");
    }

    #[test]
    fn what_nobody_clicked_does_not_count() {
        assert!(!counts(&Method::HEAD, &[("user-agent", FIREFOX)]));
        for (name, value) in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ] {
            assert!(!counts(&Method::GET, &[("user-agent", FIREFOX), (name, value)]), "{name}");
        }
    }
}
