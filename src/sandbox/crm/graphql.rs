//! A question in GraphQL, read by a parser and checked against the schema as Shopify does it, before anything happens.

use graphql_parser::query::{
    Definition, Document, OperationDefinition, Selection, SelectionSet, Type, Value as Literal, VariableDefinition,
    parse_query,
};
use serde_json::{Map, Value, json};

use super::schema::{arguments, field_type};

/// What is asked, with its variables filled in.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) fields: Vec<Field>,
    is_mutation: bool,
}

/// A field of the root.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) alias: String,
    pub(super) arguments: Value,
    wanted: Vec<Wanted>,
}

/// A field within it.
#[derive(Debug)]
struct Wanted {
    name: String,
    alias: String,
    within: Vec<Wanted>,
}

type Text = String;

impl Question {
    /// What is asked; or the error that Shopify has for it.
    pub(super) fn read(body: &Value) -> Result<Self, Value> {
        let text = body["query"].as_str().ok_or_else(|| error("parse", "No query string was present"))?;
        let document: Document<'_, Text> = parse_query(text).map_err(|cause| error("parse", &cause.to_string()))?;
        let (of, definitions, selected) = operation(&document)?;
        let variables = variables(definitions, &body["variables"])?;
        let fields: Result<Vec<Field>, Value> = selected
            .items
            .iter()
            .map(|item| {
                let Selection::Field(field) = item else { return Err(error("parse", "Fragments are not known here")) };
                let wanted = wanted(of, item)?;
                let arguments = filled(of, &field.name, &field.arguments, &variables)?;
                Ok(Field { name: field.name.clone(), alias: wanted.alias, arguments, wanted: wanted.within })
            })
            .collect();
        Ok(Self { fields: fields?, is_mutation: of == "Mutation" })
    }

    /// In points: ten for a change, one for an object, and for a list what it may hold.
    pub(super) fn cost(&self) -> f64 {
        let of = |field: &Field| match (self.is_mutation, field.name.as_str()) {
            (true, _) => 10,
            (false, "customers") => 2 + u32::try_from(field.first()).unwrap_or(u32::MAX),
            (false, _) => 1,
        };
        self.fields.iter().map(of).map(f64::from).sum()
    }
}

impl Field {
    /// How many a list may hold.
    pub(super) fn first(&self) -> usize {
        self.arguments["first"].as_u64().and_then(|first| usize::try_from(first).ok()).unwrap_or(0).min(250)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.arguments[name].as_array().into_iter().flatten();
        list.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// Of all there is, what was asked for.
    pub(super) fn project(&self, all: &Value) -> Value {
        project(&self.wanted, all)
    }
}

fn project(wanted: &[Wanted], all: &Value) -> Value {
    match all {
        Value::Array(list) => list.iter().map(|one| project(wanted, one)).collect(),
        Value::Object(object) if !wanted.is_empty() => {
            let part = |field: &Wanted| {
                let value = object.get(&field.name).unwrap_or(&Value::Null);
                (field.alias.clone(), project(&field.within, value))
            };
            Value::Object(wanted.iter().map(part).collect())
        }
        other => other.clone(),
    }
}

type Operation<'d> = (&'static str, &'d [VariableDefinition<'d, Text>], &'d SelectionSet<'d, Text>);

/// The one operation of a document, with the type of its root.
fn operation<'d>(document: &'d Document<'d, Text>) -> Result<Operation<'d>, Value> {
    let [Definition::Operation(operation)] = &document.definitions[..] else {
        return Err(error("parse", "An operation name is required"));
    };
    match operation {
        OperationDefinition::Query(query) => Ok(("QueryRoot", &query.variable_definitions, &query.selection_set)),
        OperationDefinition::SelectionSet(selected) => Ok(("QueryRoot", &[], selected)),
        OperationDefinition::Mutation(change) => Ok(("Mutation", &change.variable_definitions, &change.selection_set)),
        OperationDefinition::Subscription(_) => {
            Err(error("undefinedType", "Schema is not configured for subscriptions"))
        }
    }
}

/// The variables that were declared; one that must be there and is not is an error.
fn variables(definitions: &[VariableDefinition<'_, Text>], given: &Value) -> Result<Map<String, Value>, Value> {
    let mut all = Map::new();
    for definition in definitions {
        let value = given.get(&definition.name).cloned().unwrap_or_default();
        let is_needed = matches!(definition.var_type, Type::NonNullType(_)) && definition.default_value.is_none();
        if (is_needed && value.is_null()) || !fits(&definition.var_type, &value) {
            let what =
                format!("Variable ${} of type {} was provided invalid value", definition.name, definition.var_type);
            return Err(error("INVALID_VARIABLE", &what));
        }
        all.insert(definition.name.clone(), value);
    }
    Ok(all)
}

fn fits(kind: &Type<'_, Text>, value: &Value) -> bool {
    match kind {
        Type::NonNullType(kind) => !value.is_null() && fits(kind, value),
        Type::ListType(kind) => {
            value.is_null() || value.as_array().is_some_and(|list| list.iter().all(|one| fits(kind, one)))
        }
        Type::NamedType(name) => match name.as_str() {
            "Int" => value.is_null() || value.is_i64(),
            _ => value.is_null() || value.is_string(),
        },
    }
}

/// A selection that fits the schema, and everything within it.
fn wanted(of: &str, item: &Selection<'_, Text>) -> Result<Wanted, Value> {
    let Selection::Field(field) = item else { return Err(error("parse", "Fragments are not known here")) };
    let name = &field.name;
    let Some(kind) = field_type(of, name) else {
        return Err(error("undefinedField", &format!("Field '{name}' doesn't exist on type '{of}'")));
    };
    let items = &field.selection_set.items;
    if kind.is_empty() != items.is_empty() {
        return Err(error(
            "selectionMismatch",
            &format!("Field '{name}' must have selections only if it is an object"),
        ));
    }
    let within: Result<Vec<Wanted>, Value> = items.iter().map(|item| wanted(kind, item)).collect();
    Ok(Wanted { name: name.clone(), alias: field.alias.clone().unwrap_or_else(|| name.clone()), within: within? })
}

/// The arguments of a field as values.
fn filled(
    of: &str,
    field: &str,
    given: &[(Text, Literal<'_, Text>)],
    variables: &Map<String, Value>,
) -> Result<Value, Value> {
    let known = arguments(of, field);
    let mut all = Map::new();
    for (name, literal) in given {
        if !known.iter().any(|(known, _)| known == name) {
            return Err(error("argumentNotAccepted", &format!("Field '{field}' doesn't accept argument '{name}'")));
        }
        all.insert(name.clone(), value(literal, variables)?);
    }
    match known.iter().find(|(name, is_needed)| *is_needed && all.get(*name).is_none_or(Value::is_null)) {
        Some((name, _)) => {
            Err(error("missingRequiredArguments", &format!("Field '{field}' is missing required arguments: {name}")))
        }
        None => Ok(Value::Object(all)),
    }
}

fn value(literal: &Literal<'_, Text>, variables: &Map<String, Value>) -> Result<Value, Value> {
    Ok(match literal {
        Literal::Variable(name) => variables
            .get(name)
            .cloned()
            .ok_or_else(|| error("variableNotDefined", &format!("Variable ${name} is used and not declared")))?,
        Literal::Int(number) => json!(number.as_i64()),
        Literal::String(text) | Literal::Enum(text) => json!(text),
        Literal::Boolean(is) => json!(is),
        Literal::List(list) => {
            let list: Result<Vec<Value>, Value> = list.iter().map(|one| value(one, variables)).collect();
            json!(list?)
        }
        Literal::Null | Literal::Float(_) | Literal::Object(_) => Value::Null,
    })
}

fn error(code: &str, message: &str) -> Value {
    json!({"message": message, "extensions": {"code": code}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &str, variables: &Value) -> String {
        let error = Question::read(&json!({"query": query, "variables": variables})).unwrap_err();
        error["extensions"]["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn what_does_not_fit_the_schema_is_refused() {
        let none = json!({});
        for (query, expected) in [
            ("mutation { tagsAdd(", "parse"),
            ("{ orders { id } }", "undefinedField"),
            ("mutation { tagsAdd(id: \"x\", tags: []) { node { email } } }", "undefinedField"),
            ("{ customer(id: \"x\") }", "selectionMismatch"),
            ("{ customer(id: \"x\") { id { id } } }", "selectionMismatch"),
            ("{ customer { id } }", "missingRequiredArguments"),
            ("{ customer(id: \"x\", colour: 1) { id } }", "argumentNotAccepted"),
            ("{ customer(id: $id) { id } }", "variableNotDefined"),
            ("query q($id: ID!) { customer(id: $id) { id } }", "INVALID_VARIABLE"),
        ] {
            assert_eq!(code(query, &none), expected, "{query}");
        }
        let tags = "mutation m($t: [String!]!) { tagsAdd(id: \"x\", tags: $t) { node { id } } }";
        for wrong in [json!("Gold"), json!([null]), json!([1])] {
            assert_eq!(code(tags, &json!({"t": wrong})), "INVALID_VARIABLE");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_answered() {
        let body = json!({"query": "{ who: customer(id: \"x\") { id mail: email } }"});
        let question = Question::read(&body).unwrap();
        let field = &question.fields[0];
        assert_eq!((field.alias.as_str(), field.name.as_str()), ("who", "customer"));
        let all = json!({"id": "x", "email": "e", "tags": ["Gold"]});
        assert_eq!(field.project(&all), json!({"id": "x", "mail": "e"}));
        assert_eq!(field.project(&Value::Null), Value::Null);
    }
}
