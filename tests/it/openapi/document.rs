//! `/openapi.json`, as a client reads it: each operation with what it takes and what it may answer.

use std::collections::BTreeMap;

use jsonschema::{Draft, Validator};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// An operation of the document.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) in_path: Vec<Parameter>,
    pub(super) in_query: Vec<Parameter>,
    pub(super) takes_key: bool,
    pub(super) body: Option<Body>,
    pub(super) answers: BTreeMap<u16, Answer>,
    /// Who may ask, by the names of the schemes; none where everybody may.
    pub(super) security: Vec<Map<String, Value>>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) is_required: bool,
    pub(super) schema: Value,
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) is_required: bool,
    pub(super) is_form_too: bool,
    pub(super) schema: Value,
    pub(super) validator: Validator,
}

#[derive(Debug)]
pub(super) struct Answer {
    /// Whether the operation describes it itself: what stands before all handlers answers by a reference.
    pub(super) is_own: bool,
    /// The validator of each media type; none where there is no body.
    pub(super) content: BTreeMap<String, Validator>,
    pub(super) headers: Vec<String>,
}

/// Every operation, in the document's order.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push(read(document, path, method, operation));
        }
    }
    all
}

fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let of = |place: &str| parameters.iter().filter(|it| it["in"] == place).map(|it| parameter(document, it)).collect();
    Operation {
        id: operation["operationId"].as_str().unwrap().to_owned(),
        tag: operation["tags"][0].as_str().unwrap().to_owned(),
        method: method.to_uppercase().parse().unwrap(),
        path: path.to_owned(),
        in_path: of("path"),
        in_query: of("query"),
        takes_key: parameters.iter().any(|it| it["name"] == "Idempotency-Key"),
        body: operation.get("requestBody").map(|body| read_body(document, body)),
        answers: operation["responses"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(s, a)| (s.parse().unwrap(), answer(document, a)))
            .collect(),
        security: operation["security"].as_array().unwrap().iter().map(|it| it.as_object().unwrap().clone()).collect(),
    }
}

fn parameter(document: &Value, parameter: &Value) -> Parameter {
    Parameter {
        name: parameter["name"].as_str().unwrap().to_owned(),
        is_required: parameter["required"] == true,
        schema: inlined(document, &parameter["schema"]),
    }
}

fn read_body(document: &Value, body: &Value) -> Body {
    let content = body["content"].as_object().unwrap();
    let schema = inlined(document, &content["application/json"]["schema"]);
    Body {
        is_required: body["required"] == true,
        is_form_too: content.contains_key("application/x-www-form-urlencoded"),
        validator: validator(&schema),
        schema,
    }
}

fn answer(document: &Value, answer: &Value) -> Answer {
    let is_own = answer.get("$ref").is_none();
    let answer = resolved(document, answer);
    let content = answer["content"].as_object().into_iter().flatten();
    Answer {
        is_own,
        content: content
            .map(|(kind, it)| (kind.clone(), validator(&closed(inlined(document, &it["schema"])))))
            .collect(),
        headers: answer["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()).collect(),
    }
}

pub(super) fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(schema).unwrap()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => document.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// The schema with everything that it refers to in its place.
fn inlined(document: &Value, value: &Value) -> Value {
    match resolved(document, value) {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), inlined(document, value))).collect(),
        Value::Array(list) => list.iter().map(|value| inlined(document, value)).collect(),
        other => other.clone(),
    }
}

/// The schema of an answer, where every field must be described: a caller may not mind one more, but the document must not lag behind.
fn closed(schema: Value) -> Value {
    let Value::Object(mut map) = schema else { return schema };
    for name in ["properties", "items", "anyOf", "additionalProperties"] {
        map.entry(name).and_modify(|inner| *inner = closed_each(name, inner.take()));
    }
    if let Some(all) = map.get_mut("allOf").and_then(Value::as_array_mut) {
        // Its parts are one object: only together do they know every field.
        for part in all {
            let fields = part["properties"].take();
            part["properties"] = closed_each("properties", fields);
        }
        map.insert("unevaluatedProperties".to_owned(), json!(false));
    } else if map.contains_key("properties") {
        map.entry("additionalProperties").or_insert(json!(false));
    }
    Value::Object(map)
}

fn closed_each(name: &str, inner: Value) -> Value {
    match (name, inner) {
        ("properties", Value::Object(map)) => map.into_iter().map(|(name, value)| (name, closed(value))).collect(),
        ("anyOf", Value::Array(list)) => list.into_iter().map(closed).collect(),
        (_, Value::Null) => json!({}),
        (_, other) => closed(other),
    }
}
