//! How long the other side asks for patience: `Retry-After`, in seconds or as a date, within bounds.
//!
//! A date is compared with the answer's own `Date`, so that a skewed clock on either side makes no difference.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest patience that may be asked for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// What `Retry-After` asks for; nothing without it, or when it cannot be read.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let delay = if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that no integer holds is longer than the longest.
        asked.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(asked).ok()?;
        let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        until.duration_since(now).unwrap_or_default()
    };
    Some(delay.min(RETRY_AFTER_MAX))
}

/// Up to a tenth longer, so that those who were told the same do not come back together.
pub fn with_jitter(delay: Duration) -> Duration {
    delay.mul_f64(1.0 + 0.1 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(retry_after_header: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after_header).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        retry_after(&headers, now).map(|delay| delay.as_secs())
    }

    #[test]
    fn both_forms_are_read_and_bounded() {
        for (header, date, expected) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("86400", None, Some(3600)),
            ("99999999999999999999999999", None, Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", None, Some(60)),
            ("Sun Nov  6 08:50:37 1994", None, Some(60)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", None, Some(0)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", None, Some(3600)),
            // Their clock is a day ahead of ours.
            ("Mon, 07 Nov 1994 08:50:07 GMT", Some("Mon, 07 Nov 1994 08:49:37 GMT"), Some(30)),
            ("-5", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("", None, None),
        ] {
            assert_eq!(asked(header, date), expected, "{header:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn jitter_only_lengthens() {
        let delay = Duration::from_secs(10);
        for _ in 0..100 {
            assert!((delay..=delay.mul_f64(1.1)).contains(&with_jitter(delay)));
        }
    }
}
