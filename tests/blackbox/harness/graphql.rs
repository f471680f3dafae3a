//! Calls over GraphQL: documents made from the contract, answers turned back to the wire's names.

use codegen::emit::graphql_sdl::call;
use codegen::model::{Field, Operation, Shape, Ty, Union, View};
use codegen::names;
use serde_json::{Map, Value, json};

use super::contract::{self, model, resolved};
use super::credential::Credential;
use super::error::{Answer, WireError};
use super::rest::{RawAnswer, send};

pub async fn call(
    http: &reqwest::Client,
    base_url: &str,
    operation: &'static Operation,
    input: &Value,
    credential: &Credential,
) -> Answer {
    let body = json!({
        "query": call::document(model(), operation, input),
        "variables": call::variables(model(), operation, input),
    });
    let answer = post(http, base_url, &body, credential).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    match first_error(&answer.body) {
        Some(error) => Err(error),
        None => Ok(match &operation.output {
            Some(output) => named(&answer.body["data"][&operation.graphql], output),
            None => answer.body["data"][&operation.graphql].clone(),
        }),
    }
}

pub async fn post(
    http: &reqwest::Client,
    base_url: &str,
    body: &Value,
    credential: &Credential,
) -> RawAnswer {
    send(credential.on(http.post(format!("{base_url}/graphql")).json(body))).await
}

/// The data of a payload's event with the wire's names.
pub fn event_data(view: &'static View, payload: &Value) -> (String, Value) {
    if view.is_record {
        return (view.events[0].clone(), named(payload, &view.events[0]));
    }
    let name = payload["event"].as_str().unwrap().to_owned();
    let Value::Object(mut data) = named(&payload["data"], &view.event_type()) else {
        panic!("{payload} has no data");
    };
    data.shift_remove("event");
    (name, Value::Object(data))
}

/// The first of a response's errors.
pub fn first_error(body: &Value) -> Option<WireError> {
    let error = body.get("errors")?.get(0)?;
    Some(WireError::from_members(&error["extensions"], &error["message"]))
}

/// A value of a named type with the wire's names.
fn named(value: &Value, type_name: &str) -> Value {
    match (&model().ty(type_name).shape, value) {
        (Shape::Object(object), Value::Object(map)) if !object.fields.is_empty() => {
            Value::Object(object_fields(map, &object.fields))
        }
        (Shape::Union(union), Value::Object(map)) => variant(map, union),
        (Shape::Enum(values), Value::String(text)) => {
            let wire = values
                .iter()
                .find(|value| names::graphql::enum_value(value) == *text);
            wire.map_or_else(|| value.clone(), |wire| Value::from(wire.as_str()))
        }
        (Shape::Alias(ty), _) => typed(value, ty),
        _ => value.clone(),
    }
}

fn object_fields(map: &Map<String, Value>, fields: &'static [Field]) -> Map<String, Value> {
    let mut out = Map::new();
    for field in fields {
        let Some(value) = map.get(&names::graphql::field(&field.name)) else {
            continue;
        };
        // GraphQL has no absent fields in an answer: it says null for them.
        if value.is_null() && !field.required {
            continue;
        }
        out.insert(field.name.clone(), typed(value, &field.ty));
    }
    out
}

fn variant(map: &Map<String, Value>, union: &'static Union) -> Value {
    let type_name = map["__typename"].as_str().unwrap();
    let variant = union
        .variants
        .iter()
        .find(|variant| variant.target == type_name)
        .unwrap();
    let mut out = Map::from_iter([(union.tag.clone(), Value::from(variant.value.as_str()))]);
    let fields = contract::fields(&variant.target);
    let mut map = map.clone();
    for field in fields {
        // A field whose type another variant has otherwise stands under an alias in the document.
        let alias = names::camel(&format!("{}_{}", variant.value, field.name));
        if let Some(value) = map.shift_remove(&alias) {
            map.insert(names::graphql::field(&field.name), value);
        }
    }
    out.extend(object_fields(&map, fields));
    Value::Object(out)
}

fn typed(value: &Value, ty: &'static Ty) -> Value {
    match (resolved(ty), value) {
        (Ty::Array { items, .. }, Value::Array(list)) => list.iter().map(|item| typed(item, items)).collect(),
        (Ty::Ref(name), _) => named(value, name),
        _ => value.clone(),
    }
}
