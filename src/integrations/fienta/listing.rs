//! The proof: what `list` shows, and whether a request is in effect there.
//!
//! `{"ok":true,"data":{"codes":[{"code","id","discount_percent","discount_amount","max_uses","expires_at","description",
//! "edit_url","used"}…]}}`. Every field but the code may be missing, and values may be numbers or strings.

use serde_json::{Map, Value, json};
use url::Url;

use super::request::{Request, is_id};
use super::terms::{Comparison, Decimal, Expiry, Terms};

/// How long an edit link may be to be kept on the row.
const EDIT_URL_CHARS_MAX: usize = 300;

/// A code as Fienta has it.
#[derive(Debug)]
pub(super) struct Listed {
    code: String,
    terms: Terms,
    place: Place,
    used: Option<u64>,
}

impl Listed {
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How often it was used, where `list` says so.
    pub(super) fn used(&self) -> Option<u64> {
        self.used
    }
}

/// Where a code is found in Fienta: what of an answer may go into the row's metadata.
#[derive(Debug, Default)]
pub(super) struct Place {
    id: Option<String>,
    edit_url: Option<String>,
}

/// Whether a request is in effect.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is. Where the code is found now, if there is one.
    InEffect(Option<Place>),
    /// It is not.
    NotInEffect,
    /// The code to create is there, but with another value of this key.
    Differs(&'static str),
    /// `list` does not show what it would take to know.
    Unshown,
}

impl Place {
    /// Reads the white-listed keys of an answer's data, each only if it is sane.
    pub(super) fn of(data: &Map<String, Value>) -> Self {
        let first = |keys: &[&str]| keys.iter().find_map(|key| plain(data.get(*key)?));
        let is_sane = |url: &String| {
            url.len() <= EDIT_URL_CHARS_MAX
                && Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty())
        };
        Self {
            id: first(&["fienta_discount_id", "discount_id", "id"]).filter(|id| is_id(id) && !id.contains('.')),
            edit_url: first(&["fienta_edit_url", "edit_url"]).filter(is_sane),
        }
    }

    /// The part of the row's metadata that this fills.
    pub(super) fn metadata(self) -> Map<String, Value> {
        let pairs = [("fienta_discount_id", self.id), ("fienta_edit_url", self.edit_url)];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect()
    }
}

/// Why an answer of `list` proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// It is not in the form agreed upon.
    #[error("is in a form that rowcall does not know")]
    Form,
    /// It says itself that there is more than it shows.
    #[error("shows only a part of the codes, such as a first page")]
    Part,
}

/// Reads the data of `list`, where it shows all that there is. A `total`, and what would point to a next page, are believed.
pub(super) fn read(answer: &Map<String, Value>) -> Result<Vec<Listed>, Unread> {
    let data = answer.get("data").and_then(Value::as_object).ok_or(Unread::Form)?;
    let codes = data.get("codes").and_then(Value::as_array).ok_or(Unread::Form)?;
    let is_more = |key: &&str| data.get(*key).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
    let total = data.get("total").and_then(Value::as_u64);
    if total.is_some_and(|total| total != codes.len() as u64) || ["next", "next_page", "has_more"].iter().any(is_more) {
        return Err(Unread::Part);
    }
    codes.iter().map(|code| listed(code.as_object()?)).collect::<Option<_>>().ok_or(Unread::Form)
}

fn listed(fields: &Map<String, Value>) -> Option<Listed> {
    let text = |key: &str| fields.get(key).and_then(plain);
    let decimal = |key: &str| Decimal::parse(text(key)?.trim());
    let terms = Terms {
        discount_percent: decimal("discount_percent"),
        discount_amount: decimal("discount_amount"),
        max_uses: decimal("max_uses"),
        expires_at: text("expires_at").and_then(|text| Expiry::parse_shown(&text)),
        description: text("description"),
    };
    let used = text("used").and_then(|text| text.trim().parse().ok());
    Some(Listed { code: text("code")?, terms, place: Place::of(fields), used })
}

/// A string, or a number as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Request {
    /// Whether these codes show that the request is in effect.
    pub(super) fn standing(&self, mut codes: Vec<Listed>) -> Standing {
        // Fienta may write a code in capitals; but a rename may be about nothing else.
        let exact = |codes: &[Listed], code: &str| codes.iter().position(|listed| listed.code == code);
        let alike = |codes: &[Listed], code: &str| {
            exact(codes, code).or_else(|| codes.iter().position(|listed| listed.code.eq_ignore_ascii_case(code)))
        };
        match self {
            // What lists nothing at all may be a page without a login: no absence is proven by it.
            Self::Delete { .. } | Self::Rename { .. } if codes.is_empty() => Standing::Unshown,
            Self::Delete { code, .. } => match alike(&codes, code) {
                None => Standing::InEffect(None),
                Some(_) => Standing::NotInEffect,
            },
            Self::Rename { code, new_code } => match (exact(&codes, code), exact(&codes, new_code)) {
                (None, Some(at)) => Standing::InEffect(Some(codes.swap_remove(at).place)),
                _ => Standing::NotInEffect,
            },
            Self::Create { code, terms } => match alike(&codes, code).map(|at| codes.swap_remove(at)) {
                None => Standing::NotInEffect,
                Some(listed) => match terms.compare(&listed.terms) {
                    Comparison::Same | Comparison::Unshown => Standing::InEffect(Some(listed.place)),
                    Comparison::Differs(key) => Standing::Differs(key),
                },
            },
            Self::Update { code, terms } => match alike(&codes, code).map(|at| codes.swap_remove(at)) {
                None => Standing::NotInEffect,
                Some(listed) => match terms.compare(&listed.terms) {
                    Comparison::Same => Standing::InEffect(Some(listed.place)),
                    Comparison::Differs(_) => Standing::NotInEffect,
                    Comparison::Unshown => Standing::Unshown,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(list: &Value) -> Vec<Listed> {
        read(json!({"ok": true, "data": {"codes": list}}).as_object().unwrap()).unwrap()
    }

    fn percent(text: &str) -> Terms {
        Terms { discount_percent: Decimal::parse(text), ..Terms::default() }
    }

    fn standing(request: &Request, list: &Value) -> &'static str {
        match request.standing(codes(list)) {
            Standing::InEffect(_) => "in effect",
            Standing::NotInEffect => "not in effect",
            Standing::Differs(_) => "differs",
            Standing::Unshown => "unshown",
        }
    }

    #[test]
    fn every_operation_has_its_proof() {
        let code = || "A".to_owned();
        let create = Request::Create { code: code(), terms: percent("20") };
        let update = Request::Update { code: code(), terms: percent("20") };
        let rename = Request::Rename { code: code(), new_code: "B".to_owned() };
        let delete = Request::Delete { code: code(), discount_id: None };
        for (request, list, expected) in [
            (&create, json!([]), "not in effect"),
            (&create, json!([{"code": "A"}]), "in effect"),
            (&create, json!([{"code": "a", "discount_percent": "20.00"}]), "in effect"),
            (&create, json!([{"code": "A", "discount_percent": 10}]), "differs"),
            (&update, json!([]), "not in effect"),
            (&update, json!([{"code": "A", "discount_percent": 10}]), "not in effect"),
            (&update, json!([{"code": "A", "discount_percent": 20.0}]), "in effect"),
            (&update, json!([{"code": "A", "discount_percent": null}]), "unshown"),
            (&rename, json!([{"code": "A"}]), "not in effect"),
            (&rename, json!([{"code": "A"}, {"code": "B"}]), "not in effect"),
            (&rename, json!([{"code": "B"}]), "in effect"),
            (&rename, json!([]), "unshown"),
            (&delete, json!([]), "unshown"),
            (&delete, json!([{"code": "B"}]), "in effect"),
            (&delete, json!([{"code": "a"}]), "not in effect"),
        ] {
            assert_eq!(standing(request, &list), expected, "{request:?} {list}");
        }
    }

    #[test]
    fn a_list_in_another_form_proves_nothing() {
        for answer in [
            json!({"ok": true}),
            json!({"ok": true, "data": []}),
            json!({"ok": true, "data": {"codes": {}}}),
            json!({"ok": true, "data": {"codes": ["A"]}}),
            json!({"ok": true, "data": {"codes": [{"id": 1}]}}),
        ] {
            assert_eq!(read(answer.as_object().unwrap()).unwrap_err(), Unread::Form, "{answer}");
        }
    }

    #[test]
    fn a_list_that_says_there_is_more_proves_nothing() {
        let read = |rest: Value| {
            let mut data = json!({"codes": [{"code": "A"}]});
            data.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            read(json!({"ok": true, "data": data}).as_object().unwrap()).map(|codes| codes.len())
        };
        for part in [
            json!({"total": 2}),
            json!({"total": 0}),
            json!({"next": "p2"}),
            json!({"has_more": true}),
            json!({"next_page": 2}),
        ] {
            assert_eq!(read(part.clone()), Err(Unread::Part), "{part}");
        }
        for whole in [json!({}), json!({"total": 1}), json!({"total": 1, "next": null, "has_more": false})] {
            assert_eq!(read(whole.clone()), Ok(1), "{whole}");
        }
    }

    #[test]
    fn only_sane_places_go_on_the_row() {
        let metadata = |data: &Value| Value::Object(Place::of(data.as_object().unwrap()).metadata());
        let url = "https://fienta.com/my/events/1/discounts/7/edit";
        assert_eq!(
            metadata(&json!({"id": 7, "edit_url": url, "password": "x"})),
            json!({"fienta_discount_id": "7", "fienta_edit_url": url})
        );
        for data in [
            json!({"id": 1.5, "edit_url": "http://fienta.com/"}),
            json!({"id": "../7", "edit_url": "javascript:alert(1)"}),
            json!({"id": {}, "edit_url": "https://user:word@fienta.com/"}),
            json!({"id": "", "edit_url": format!("https://fienta.com/{}", "x".repeat(300))}),
        ] {
            assert_eq!(metadata(&data), json!({}), "{data}");
        }
    }
}
