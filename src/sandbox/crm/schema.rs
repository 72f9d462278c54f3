//! The part of Shopify's schema that the fake has: which type has which fields, and which arguments.

use serde_json::Value;

/// What every object is known by.
pub(super) const ID: &str = "id";

/// The type of a field, empty for plain values; nothing where the type has no such field.
pub(super) fn field_type(of: &str, field: &str) -> Option<&'static str> {
    Some(match (of, field) {
        ("QueryRoot", "customer") | ("CustomerConnection", "nodes") => "Customer",
        ("QueryRoot", "customers") => "CustomerConnection",
        ("Mutation", "tagsAdd" | "tagsRemove") => "TagsPayload",
        ("TagsPayload", "node") => "Node",
        ("TagsPayload", "userErrors") => "UserError",
        ("Customer", "id" | "legacyResourceId" | "email" | "firstName" | "lastName" | "tags")
        | ("Node", "id")
        | ("UserError", "field" | "message") => "",
        _ => return None,
    })
}

/// The arguments of a field, each with whether it must be there.
pub(super) fn arguments(of: &str, field: &str) -> &'static [(&'static str, bool)] {
    match (of, field) {
        ("QueryRoot", "customer") => &[(ID, true)],
        ("QueryRoot", "customers") => &[("first", true), ("query", false)],
        ("Mutation", "tagsAdd" | "tagsRemove") => &[(ID, true), ("tags", true)],
        _ => &[],
    }
}

/// The number of the customer whose global id this is.
pub(super) fn customer_number(id: &Value) -> Option<u64> {
    id.as_str()?.strip_prefix("gid://shopify/Customer/")?.parse().ok()
}

/// What a search like `email:'o\'brien@example.com'` looks for; nothing where it is no search for an address.
pub(super) fn email_searched(query: &str) -> Option<String> {
    let term = query.trim().strip_prefix("email:")?;
    let Some(quoted) = term.strip_prefix(['\'', '"']) else { return Some(term.to_owned()) };
    let (mut text, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            '\'' | '"' => break,
            c => text.push(c),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_read_with_its_quotes() {
        for (query, email) in [
            ("email:'ama@example.com'", Some("ama@example.com")),
            (r"email:'o\'brien\\x@example.com'", Some(r"o'brien\x@example.com")),
            ("email:ama@example.com", Some("ama@example.com")),
            ("email:'o'brien@example.com'", Some("o")),
            ("tag:Gold", None),
        ] {
            assert_eq!(email_searched(query).as_deref(), email, "{query}");
        }
    }
}
