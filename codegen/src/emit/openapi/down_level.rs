//! OpenAPI 3.1 as 3.0.3, for tools that read no newer version.
//!
//! What 3.0 writes otherwise: null is `nullable` beside a `type`, nothing stands beside `$ref`, base64 is a
//! format, a licence has a URL.

use serde_json::{Map, Value, json};

use super::PREFIX;

/// Where the licences of the SPDX expression are to be read.
const LICENSES: &str = "https://spdx.org/licenses/";

pub fn document(document: &Value) -> Value {
    let definitions = document
        .pointer("/components/schemas")
        .cloned()
        .unwrap_or_default();
    let mut down = walk(document, &definitions);
    if let Some(version) = down.get_mut("openapi") {
        *version = json!("3.0.3");
    }
    if let Some(Value::Object(license)) = down.pointer_mut("/info/license") {
        license.remove("identifier");
        license.insert("url".to_owned(), json!(LICENSES));
    }
    if let (Some(down), Value::Object(schemas)) = (down.pointer_mut("/components/schemas"), &definitions) {
        *down = schemas
            .iter()
            .map(|(name, value)| (name.clone(), schema(value, &definitions)))
            .collect();
    }
    down
}

/// Everything but schemas and values stays as it is.
fn walk(value: &Value, definitions: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    "schema" => schema(value, definitions),
                    "example" | "examples" | "schemas" => value.clone(),
                    _ => walk(value, definitions),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| walk(item, definitions)).collect(),
        other => other.clone(),
    }
}

fn schema(value: &Value, definitions: &Value) -> Value {
    let Value::Object(map) = value else {
        return value.clone();
    };
    let mut down = Map::new();
    for (key, value) in map {
        match key.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties.map(|(name, value)| (name.clone(), schema(value, definitions)));
                down.insert(key.clone(), properties.collect());
            }
            "items" | "additionalProperties" => {
                down.insert(key.clone(), schema(value, definitions));
            }
            "allOf" | "oneOf" | "anyOf" => {
                let parts = value.as_array().into_iter().flatten();
                down.insert(key.clone(), parts.map(|part| schema(part, definitions)).collect());
            }
            "contentEncoding" => {
                down.insert("format".to_owned(), json!("byte"));
            }
            "type" if value.is_array() => {
                down.insert(key.clone(), value[0].clone());
                down.insert("nullable".to_owned(), json!(true));
            }
            _ => {
                down.insert(key.clone(), value.clone());
            }
        }
    }
    if let Some(reference) = nullable_reference(map) {
        down.remove("anyOf");
        down.insert("type".to_owned(), type_of(reference, definitions));
        down.insert("nullable".to_owned(), json!(true));
        down.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
    if down.len() > 1
        && let Some(reference) = down.remove("$ref")
    {
        down.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
    Value::Object(down)
}

/// The `$ref` of `anyOf: [{$ref}, {type: "null"}]`.
fn nullable_reference(map: &Map<String, Value>) -> Option<&str> {
    match map.get("anyOf")?.as_array()?.as_slice() {
        [reference, null] if *null == json!({"type": "null"}) => reference.get("$ref")?.as_str(),
        _ => None,
    }
}

/// Type of a referenced schema; unions and objects with alternatives are objects.
fn type_of(reference: &str, definitions: &Value) -> Value {
    let mut name = reference.strip_prefix(PREFIX).unwrap_or_default();
    for _ in 0..100 {
        let Some(definition) = definitions.get(name) else {
            break;
        };
        if let Some(Value::String(word)) = definition.get("type") {
            return json!(word);
        }
        match definition
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|next| next.strip_prefix(PREFIX))
        {
            Some(next) => name = next,
            None => break,
        }
    }
    json!("object")
}
