//! Whose page asks: browsers carry a person's rights to pages that the person did not mean.
//!
//! Without a token, whoever reaches this server may do everything, and a browser on this machine reaches it for any page:
//! the Host must be one of ours (a page of another name that resolves to us is refused), and so must the Origin. A proxy
//! on this machine brings everybody, under our own name: what shows that it came through one is refused. HTTP Basic is sent by browsers on their own too, so there the Origin counts as well. A bearer token is sent by nobody who
//! was not given it.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri, Version};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use super::errors::Refusal;

/// Where no token is configured, serves only requests that were meant for this server.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refusal> {
    if app.keys.is_open() {
        if is_relayed(request.version(), request.headers()) {
            return Err(Refusal::forbidden("relayed", "without a token, nothing is served that comes through a proxy")
                .hint("set ROWCALL_API_TOKEN: whoever reaches the proxy could do everything"));
        }
        if !is_ours(request.uri(), request.headers(), app.address) {
            return Err(Refusal::forbidden("foreign_host", "this server is not known by that name")
                .hint("call it localhost or 127.0.0.1, with its port; or set ROWCALL_API_TOKEN"));
        }
        refuse_foreign(request.method(), request.headers())?;
    }
    Ok(next.run(request).await)
}

/// Refuses what a page of another origin made a browser send.
pub(super) fn refuse_foreign(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if is_foreign(method, headers) {
        return Err(Refusal::forbidden("foreign_origin", "a page of another origin may not ask for this"));
    }
    Ok(())
}

fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match word("sec-fetch-site") {
        // The browser's own word, which no page can write.
        Some("same-origin" | "none") => return false,
        Some(_) if !method.is_safe() => return true,
        _ => {}
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none() || authority != word("host")
}

/// Whether a request shows that a proxy passed it on. Not every proxy says so; nginx, unless told otherwise, only speaks
/// an HTTP that nobody else speaks any more.
fn is_relayed(version: Version, headers: &HeaderMap) -> bool {
    let is_of_proxies =
        |name: &str| ["forwarded", "via", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-");
    version < Version::HTTP_11 || headers.keys().any(|name| is_of_proxies(name.as_str()))
}

/// Whether a request names this server in every place where it names one.
fn is_ours(uri: &Uri, headers: &HeaderMap, address: SocketAddr) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    host.to_str().is_ok_and(|host| is_name(host, address))
        && uri.authority().is_none_or(|authority| is_name(authority.as_str(), address))
}

fn is_name(authority: &str, address: SocketAddr) -> bool {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (authority, Some(80)),
    };
    let own = SocketAddr::new(address.ip(), 0).to_string();
    port == Some(address.port())
        && (name.eq_ignore_ascii_case("localhost")
            || ["127.0.0.1", "[::1]", own.trim_end_matches(":0")].contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8000));
        for name in ["localhost:8000", "LocalHost:8000", "127.0.0.1:8000", "[::1]:8000"] {
            assert!(is_name(name, address), "{name}");
        }
        for name in [
            "localhost",
            "evil.example:8000",
            "localhost:8001",
            "127.0.0.1.evil.example:8000",
            "",
            "[::1]",
            "x@localhost:8000",
        ] {
            assert!(!is_name(name, address), "{name}");
        }
        assert!(is_name("localhost", SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(is_name("127.0.0.5:8000", SocketAddr::from(([127, 0, 0, 5], 8000))));
    }

    #[test]
    fn what_shows_a_proxy_is_relayed() {
        let is = |version: Version, name: &'static str| {
            let headers = [(HOST, "127.0.0.1:8000"), (axum::http::HeaderName::from_static(name), "1")];
            is_relayed(version, &headers.map(|(name, value)| (name, value.parse().unwrap())).into_iter().collect())
        };
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-new"] {
            assert!(is(Version::HTTP_11, name), "{name}");
        }
        assert!(is(Version::HTTP_10, "accept"), "nginx, as it comes");
        assert!(!is(Version::HTTP_11, "accept"));
    }

    #[test]
    fn a_page_of_another_origin_is_foreign() {
        let is = |method: Method, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8000".parse().unwrap());
            headers
                .extend(pairs.iter().map(|(k, v)| (k.parse::<axum::http::HeaderName>().unwrap(), v.parse().unwrap())));
            is_foreign(&method, &headers)
        };
        assert!(!is(Method::POST, &[]), "no browser");
        assert!(!is(Method::POST, &[("origin", "http://127.0.0.1:8000")]));
        assert!(!is(Method::GET, &[("sec-fetch-site", "cross-site")]), "a link to us");
        assert!(!is(Method::POST, &[("sec-fetch-site", "same-origin"), ("origin", "https://proxied.example")]));
        assert!(is(Method::POST, &[("sec-fetch-site", "cross-site")]));
        assert!(is(Method::POST, &[("sec-fetch-site", "same-site")]));
        for origin in ["http://127.0.0.1:8001", "http://evil.example", "null", "file://"] {
            assert!(is(Method::POST, &[("origin", origin)]), "{origin}");
            assert!(is(Method::GET, &[("origin", origin)]), "{origin}");
        }
    }
}
