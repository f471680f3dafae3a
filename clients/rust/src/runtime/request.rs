//! Typed input to path, query and body.
//!
//! The input is first made a JSON object by its own serde form, which keeps absent, null and value apart; its
//! members are then dealt out by the operation's description.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustydb_contract::descriptor::{FieldDesc, OperationDesc, RestPlace};
use rustydb_contract::text;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::Error;

/// All but RFC 3986's unreserved characters, so that a value can't end its segment or parameter.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A call, ready to be sent as often as needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Path and query, percent-encoded.
    pub target: String,
    /// JSON text.
    pub body: Option<String>,
}

/// The input as the object it is on the wire.
pub(crate) fn to_object<I: Serialize>(
    operation: &OperationDesc,
    input: &I,
) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(input) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(unusable(operation, format!("an input is an object, not {other}"))),
        Err(error) => Err(unusable(operation, error.to_string())),
    }
}

pub(crate) fn encode(operation: &OperationDesc, mut input: Map<String, Value>) -> Result<Request, Error> {
    let mut target = encode_path(operation, &mut input)?;
    let mut separator = '?';
    for field in operation
        .input_fields()
        .iter()
        .filter(|field| in_query(operation, field))
    {
        let Some(value) = input.shift_remove(field.name) else {
            continue;
        };
        for text in query_texts(field, value) {
            let value = utf8_percent_encode(&text, RESERVED);
            // Writing to a String does not fail.
            let _ = write!(target, "{separator}{}={value}", field.name);
            separator = '&';
        }
    }
    let body = operation.has_body().then(|| Value::Object(input).to_string());
    Ok(Request { target, body })
}

fn in_query(operation: &OperationDesc, field: &FieldDesc) -> bool {
    match field.place {
        Some(RestPlace::Query) => true,
        Some(RestPlace::QueryOrBody) => !operation.has_body(),
        _ => false,
    }
}

fn encode_path(operation: &OperationDesc, input: &mut Map<String, Value>) -> Result<String, Error> {
    let mut path = String::with_capacity(operation.path.len());
    for segment in operation.path.split('/').skip(1) {
        path.push('/');
        let Some(name) = segment
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
        else {
            path.push_str(segment);
            continue;
        };
        let text = match input.shift_remove(name) {
            None | Some(Value::Null) => String::new(),
            Some(value) => text_of(value),
        };
        // An empty segment would be another route, and dots would be resolved away on the way.
        if matches!(text.as_str(), "" | "." | "..") {
            let message = format!("`{name}` is `{text}`, which a path can't carry; give a name");
            return Err(unusable(operation, message));
        }
        path.extend(utf8_percent_encode(&text, RESERVED));
    }
    Ok(path)
}

/// The declared type decides how a value is written, never the value.
fn query_texts(field: &FieldDesc, value: Value) -> Vec<String> {
    if text::is_json_text(&field.ty) {
        return vec![value.to_string()];
    }
    match value {
        Value::Array(items) => items.into_iter().map(text_of).collect(),
        value => vec![text_of(value)],
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn unusable(operation: &OperationDesc, message: String) -> Error {
    Error::Input {
        operation: operation.id,
        message,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::runtime::tests::contract::{CHANGE, FIND};

    fn encoded(operation: &OperationDesc, input: Value) -> Request {
        encode(operation, to_object(operation, &input).unwrap()).unwrap()
    }

    #[test]
    fn path_and_query_values_are_percent_encoded() {
        let request = encoded(
            &FIND,
            json!({"name": "a/b c", "id": "ü?#", "database": "x&y=1", "columns": ["a", "b+c"], "filter": {"eq": "é"}}),
        );
        assert_eq!(
            request.target,
            "/api/v1/tables/a%2Fb%20c/rows/%C3%BC%3F%23?database=x%26y%3D1&columns=a&columns=b%2Bc\
             &filter=%7B%22eq%22%3A%22%C3%A9%22%7D"
        );
        assert_eq!(request.body, None);
    }

    #[test]
    fn booleans_and_numbers_are_text_and_json_stays_json() {
        let request = encoded(
            &FIND,
            json!({"name": 7, "id": true, "database": false, "filter": "x"}),
        );
        assert_eq!(
            request.target,
            "/api/v1/tables/7/rows/true?database=false&filter=%22x%22"
        );
    }

    #[test]
    fn absent_null_and_value_stay_distinct_in_the_body() {
        let absent = encoded(&CHANGE, json!({"id": "1"}));
        let null = encoded(&CHANGE, json!({"id": "1", "note": null}));
        let value = encoded(&CHANGE, json!({"id": "1", "note": "n", "database": "d"}));
        assert_eq!(absent.body.as_deref(), Some("{}"));
        assert_eq!(null.body.as_deref(), Some(r#"{"note":null}"#));
        assert_eq!(value.body.as_deref(), Some(r#"{"note":"n"}"#));
        assert_eq!(value.target, "/api/v1/rows/1?database=d");
    }

    #[test]
    fn a_path_value_that_would_change_the_route_is_refused() {
        for id in ["", ".", ".."] {
            let input = to_object(&CHANGE, &json!({"id": id})).unwrap();
            assert!(
                matches!(encode(&CHANGE, input), Err(Error::Input { .. })),
                "{id:?}"
            );
        }
    }
}
