//! Values out of schemas, and what is wrong about values.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

use super::document::{Operation, Parameter, validator};

/// A request, as its caller means it.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    /// The parts of the path, in its order.
    pub(super) parts: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) is_form: bool,
}

/// What the rows of the test know: a field of this name is one of these, always or now and then.
#[derive(Debug, Default)]
pub(super) struct Known(pub(super) Vec<(&'static str, Often, Vec<Value>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Often {
    Always,
    Mostly,
}

impl Known {
    fn of(&self, name: &str) -> Option<(Often, Vec<Value>)> {
        self.0.iter().find(|(known, ..)| *known == name).map(|(_, often, values)| (*often, values.clone()))
    }
}

/// Requests as the document has them.
pub(super) fn valid(operation: &Operation, known: &Known) -> BoxedStrategy<Case> {
    let parts: Vec<_> = operation.in_path.iter().map(|it| parameter(it, known)).collect();
    let query: Vec<_> = operation.in_query.iter().map(|it| given(it, known)).collect();
    let body = match &operation.body {
        None => Just(None).boxed(),
        Some(body) => {
            let values = conforming(&body.schema, known).prop_map(Some);
            if body.is_required { values.boxed() } else { prop_oneof![1 => Just(None), 3 => values].boxed() }
        }
    };
    let is_form_too = operation.body.as_ref().is_some_and(|body| body.is_form_too);
    (parts, query, body, any::<bool>())
        .prop_map(move |(parts, query, body, is_form)| Case {
            parts,
            query: query.into_iter().flatten().collect(),
            body,
            is_form: is_form_too && is_form,
        })
        .boxed()
}

/// Requests about rows that are there.
pub(super) fn at_home(operation: &Operation, known: &Known) -> BoxedStrategy<Case> {
    let all = known.0.iter().map(|(name, _, values)| (*name, Often::Always, values.clone())).collect();
    valid(operation, &Known(all))
}

fn parameter(parameter: &Parameter, known: &Known) -> BoxedStrategy<String> {
    named(&parameter.name, &parameter.schema, known).prop_map(|value| text(&value)).boxed()
}

fn given(asked: &Parameter, known: &Known) -> BoxedStrategy<Option<(String, String)>> {
    let name = asked.name.clone();
    let mut schema = asked.schema.clone();
    // Null cannot be said in a query.
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
    }
    if let Some(kinds) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind["type"] != "null");
    }
    let value = parameter(&Parameter { name: asked.name.clone(), is_required: true, schema }, known);
    let pair = value.prop_map(move |value| (name.clone(), value));
    if asked.is_required { pair.prop_map(Some).boxed() } else { option::of(pair).boxed() }
}

/// A value as it stands in a path or a form.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values of the whole schema: what holds between fields is held by trying again.
fn conforming(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let validator = validator(schema);
    values(schema, known).prop_filter("the fields do not go together", move |value| validator.is_valid(value)).boxed()
}

fn named(name: &str, schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let (often, mut rows) = known.of(name).unwrap_or((Often::Mostly, Vec::new()));
    let validator = validator(schema);
    // The same word may be a number of one table and the name of another.
    rows.retain(|row| validator.is_valid(row));
    match often {
        _ if rows.is_empty() => values(schema, known),
        Often::Always => select(rows).boxed(),
        Often::Mostly => prop_oneof![3 => select(rows), 1 => values(schema, known)].boxed(),
    }
}

fn values(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    if let Some(words) = schema["enum"].as_array() {
        return select(words.clone()).boxed();
    }
    match &schema["type"] {
        Value::String(kind) => of_type(kind, schema, known),
        Value::Array(kinds) => {
            let of = |kind: &Value| of_type(kind.as_str().unwrap(), schema, known);
            prop::strategy::Union::new(kinds.iter().map(of)).boxed()
        }
        _ => match schema["anyOf"].as_array() {
            Some(kinds) => prop::strategy::Union::new(kinds.iter().map(|kind| values(kind, known))).boxed(),
            None => anything(),
        },
    }
}

fn of_type(kind: &str, schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    match kind {
        "null" => Just(Value::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => {
            let bound = |name: &str, or: i64| schema[name].as_i64().unwrap_or(or);
            (bound("minimum", -1_000_000)..=bound("maximum", 1_000_000)).prop_map(Value::from).boxed()
        }
        // Amounts: whole hundredths, in every size.
        "number" => {
            let most = schema["maximum"].as_i64().unwrap_or(1_000_000) * 100;
            prop_oneof![1..=most, 1..=100_i64].prop_map(amount).boxed()
        }
        "string" => texts(schema),
        "array" => vec(values(&schema["items"], known), 0..4).prop_map(Value::from).boxed(),
        "object" => object(schema, known),
        other => panic!("the document has the type {other}"),
    }
}

fn amount(hundredths: i64) -> Value {
    format!("{}.{:02}", hundredths / 100, hundredths % 100).parse::<f64>().unwrap().into()
}

fn object(schema: &Value, known: &Known) -> BoxedStrategy<Value> {
    let Some(properties) = schema["properties"].as_object() else {
        return btree_map("[a-z_]{1,8}", anything(), 0..4).prop_map(|map| map.into_iter().collect()).boxed();
    };
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    let fields: Vec<_> = properties
        .iter()
        .map(|(name, of)| {
            let name = name.clone();
            let value = named(&name, of, known).prop_map({
                let name = name.clone();
                move |value| (name.clone(), value)
            });
            if required.iter().any(|it| **it == *name) {
                value.prop_map(Some).boxed()
            } else {
                option::of(value).boxed()
            }
        })
        .collect();
    let others = if schema["additionalProperties"] == false {
        Just(Map::new()).boxed()
    } else {
        btree_map("unheard_of_[a-z]", anything(), 0..2).prop_map(|map| map.into_iter().collect()).boxed()
    };
    (fields, others)
        .prop_map(|(fields, others)| Value::Object(fields.into_iter().flatten().chain(others).collect()))
        .boxed()
}

fn texts(schema: &Value) -> BoxedStrategy<Value> {
    let of = |pattern: &str| string_regex(pattern).unwrap();
    let texts = match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date"), _) => of("20[01][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"),
        (Some("date-time"), _) => of(
            "20[0-4][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])",
        ),
        (Some("uri"), _) => {
            of("[Hh]ttps?://[a-z]{1,8}\\.example\\.com(:8443)?(/[a-z0-9~%+,.-]{0,8}){0,3}(\\?[a-z]=[a-z0-9]{0,5})?")
        }
        (_, Some(pattern)) => {
            let bare = pattern.trim_start_matches('^').trim_end_matches('$');
            if pattern.starts_with('^') { of(bare) } else { of(&format!("[ -~]{{0,6}}{bare}[ -~]{{0,6}}")) }
        }
        _ => of("[^\\x00]{0,24}"),
    };
    let (least, most) = (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64().unwrap_or(u64::MAX));
    texts
        .prop_map(|text| text.replace('\0', "0"))
        .prop_filter("its length", move |text| (least..=most).contains(&(text.chars().count() as u64)))
        .prop_map(Value::from)
        .boxed()
}

/// Any JSON, not deep, without the character that nothing here may have.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        "[^\\x00]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-zA-Z_\\[\\]'\"]{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
    .boxed()
}

/// What no field expects, most of it.
pub(super) fn junk() -> Vec<Value> {
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let mut junk = vec![
        json!(true),
        json!(false),
        json!(0),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!(" "),
        json!("x".repeat(5000)),
        json!("a\u{0}b"),
        json!("2026-02-30"),
        json!("'; --"),
        json!("\u{202e}\u{feff}é☃"),
        json!("line\nbreak"),
        json!([]),
        json!(["a"]),
        json!({}),
        json!({"a": 1}),
        json!([{"a": "\u{0}"}]),
    ];
    junk.push(deep);
    junk
}

/// What is made of a body.
#[derive(Debug, Clone)]
pub(super) enum Break {
    Replace(String, Value),
    Remove(String),
    Add,
}

/// One field of a body made another.
pub(super) fn breaks(schema: &Value) -> BoxedStrategy<Break> {
    let names: Vec<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return Just(Break::Add).boxed();
    }
    let removed = select(names.clone()).prop_map(Break::Remove);
    let replaced = (select(names), select(junk())).prop_map(|(name, value)| Break::Replace(name, value));
    prop_oneof![6 => replaced, 2 => removed, 1 => Just(Break::Add)].boxed()
}

impl Break {
    /// Does it to a body; returns the name of the field.
    pub(super) fn apply(&self, body: &mut Value) -> String {
        let fields = body.as_object_mut().unwrap();
        match self {
            Self::Replace(name, value) => {
                fields.insert(name.clone(), value.clone());
                name.clone()
            }
            Self::Remove(name) => {
                fields.remove(name);
                name.clone()
            }
            Self::Add => {
                fields.insert("unheard_of".to_owned(), json!(1));
                "unheard_of".to_owned()
            }
        }
    }
}

/// Whether a text in it has the character that nothing here may have.
pub(super) fn has_nul(value: &Value) -> bool {
    value.to_string().contains("\\u0000")
}

/// Bodies of providers, with any of their values made another.
pub(super) fn shaken(known: Vec<Value>) -> BoxedStrategy<Value> {
    (select(known), any::<prop::sample::Index>(), select(junk()))
        .prop_map(|(mut body, at, value)| {
            let mut places = Vec::new();
            collect("", &body, &mut places);
            let place = &places[at.index(places.len())];
            *body.pointer_mut(place).unwrap() = value;
            body
        })
        .boxed()
}

fn collect(place: &str, value: &Value, places: &mut Vec<String>) {
    places.push(place.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| collect(&format!("{place}/{name}"), inner, places)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(nth, inner)| collect(&format!("{place}/{nth}"), inner, places));
        }
        _ => {}
    }
}
