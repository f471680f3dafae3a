//! The call in the forms that need no client: curl, a JSON-RPC frame, a GraphQL document.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::json_text;
use crate::emit::examples;
use crate::emit::graphql_sdl::call;
use crate::emit::openapi::travels_as_json;
use crate::model::{Example, Field, Model, Operation, RestPlace, View};

/// `$RUSTYDB_URL` and `$RUSTYDB_TOKEN` stand for the server and an access token.
pub fn curl(model: &Model, operation: &Operation, example: &Example) -> String {
    let mut path = operation.path.clone();
    let mut query = Vec::new();
    let fields = model.input_fields(operation);
    for field in fields {
        let Some(value) = example.input.get(&field.name) else {
            continue;
        };
        match field.place_rest {
            Some(RestPlace::Path) => {
                path = path.replace(&format!("{{{}}}", field.name), &encoded(&plain(value)));
            }
            Some(RestPlace::Query) => query.extend(query_pairs(model, field, value)),
            Some(RestPlace::QueryOrBody) if !operation.method.has_body() => {
                query.extend(query_pairs(model, field, value));
            }
            _ => {}
        }
    }
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.join("&"))
    };
    let method = operation.method.as_str();
    let method = if method == "GET" {
        String::new()
    } else {
        format!("-X {method} ")
    };
    let mut command = format!("curl {method}\"$RUSTYDB_URL{path}{query}\"");
    if example.role != "nobody" {
        command += " \\\n  -H \"Authorization: Bearer $RUSTYDB_TOKEN\"";
    }
    if operation.method.has_body() {
        let in_body = fields
            .iter()
            .filter(|field| matches!(field.place_rest, Some(RestPlace::Body | RestPlace::QueryOrBody)));
        if in_body.clone().next().is_some() {
            let body = Value::Object(examples::members(&example.input, in_body));
            let body = json_text(&body).replace('\'', "'\\''");
            let _ = write!(
                command,
                " \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
            );
        }
    }
    command
}

pub fn rpc(operation: &Operation, example: &Example) -> String {
    json_text(&json!({"jsonrpc": "2.0", "id": 1, "method": operation.id, "params": example.input}))
}

/// The document, and its variables where it has any.
pub fn graphql(model: &Model, operation: &Operation, example: &Example) -> (String, Option<String>) {
    let document = call::document(model, operation, &example.input);
    (document, variables(model, operation, example))
}

/// The request that opens a view.
pub fn subscribe(view: &View, example: &Example) -> String {
    let params = json!({"view": view.open.id, "args": example.input});
    json_text(&json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}))
}

/// The document that opens a view, and its variables where it has any.
pub fn subscription(model: &Model, view: &View, example: &Example) -> (String, Option<String>) {
    let document = call::subscription(model, view, &example.input);
    (document, variables(model, &view.open, example))
}

fn variables(model: &Model, operation: &Operation, example: &Example) -> Option<String> {
    let variables = call::variables(model, operation, &example.input);
    let some = variables.as_object().is_some_and(|map| !map.is_empty());
    some.then(|| json_text(&variables))
}

fn query_pairs(model: &Model, field: &Field, value: &Value) -> Vec<String> {
    let pair = |text: &str| format!("{}={}", encoded(&field.name), encoded(text));
    match value {
        _ if travels_as_json(model, &field.ty) => vec![pair(&value.to_string())],
        Value::Array(items) => items.iter().map(|item| pair(&plain(item))).collect(),
        _ => vec![pair(&plain(value))],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Percent-encoded but for unreserved characters; `<saved.field>` stays readable.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'<' | b'>') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
