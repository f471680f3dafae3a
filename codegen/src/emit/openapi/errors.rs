//! Errors: the problem document, and the answers by status.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{PREFIX, on_rest};
use crate::emit::json_schema::Schemas;
use crate::emit::json_schema::schema::with_text;
use crate::model::{ErrorDef, Model, Operation};

/// Name of the schema of every error's body.
pub const PROBLEM: &str = "Problem";

const PROBLEM_JSON: &str = "application/problem+json";
/// A request id for examples.
const REQUEST_ID: &str = "0198c5a2-7d3e-7b41-9c0a-5f1e2d3c4b5a";

/// RFC 9457 with the contract's member `error`.
pub fn problem(model: &Model) -> Value {
    let schemas = Schemas::new(model, PREFIX);
    let mut properties = json!({
        "code": {"type": "string", "description": "The same on every interface, such as `INVALID_ARGUMENT`."},
        "message": {"type": "string", "description": "What was wrong, with the value, and what to do."},
        "retry_after": {
            "description": "Seconds after which the call may be sent again.",
            "type": "integer",
            "format": "uint64",
            "minimum": 0,
        },
    });
    if let Some(details) = details(model, &schemas)
        && let Value::Object(properties) = &mut properties
    {
        properties.insert("details".to_owned(), details);
    }
    json!({
        "description": "An error: RFC 9457, with the contract's member `error`.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "request_id", "error"],
        "properties": {
            "type": {"description": "`urn:rustydb:error:` and the code.", "type": "string"},
            "title": {"description": "What the code means.", "type": "string"},
            "status": {"description": "The HTTP status.", "type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
            "detail": {"description": "What was wrong with this call.", "type": "string"},
            "instance": {"description": "The path that was called.", "type": "string"},
            "request_id": {"description": "Finds the call in the server's log.", "type": "string"},
            "error": {"type": "object", "required": ["code", "message"], "properties": properties},
        },
    })
}

/// The member `details` of an error; `None` where no error has any.
pub fn details(model: &Model, schemas: &Schemas<'_>) -> Option<Value> {
    let types: BTreeSet<&String> = model
        .errors
        .values()
        .filter_map(|error| error.details.as_ref())
        .collect();
    let types: Vec<Value> = types.into_iter().map(|name| schemas.reference(name)).collect();
    let choice = match types.as_slice() {
        [] => return None,
        [only] => only.clone(),
        _ => json!({"anyOf": types}),
    };
    let text = "What the code adds; which type it is, the code tells.";
    Some(with_text(choice, text))
}

/// Error answers of an operation, by status.
pub fn of(model: &Model, operation: &Operation) -> Vec<(String, Value)> {
    by_status(model.errors_of(operation))
        .into_iter()
        .map(|(status, errors)| {
            let answer = if is_shared(model, &errors) {
                json!({"$ref": format!("#/components/responses/{}", shared_name(status))})
            } else {
                response(&errors)
            };
            (status.to_string(), answer)
        })
        .collect()
}

/// `components.responses`: the statuses that some operation answers with errors of every call only.
pub fn shared(model: &Model) -> Value {
    let mut responses = BTreeMap::new();
    for operation in on_rest(model) {
        for (status, errors) in by_status(model.errors_of(operation)) {
            if is_shared(model, &errors) {
                responses.insert(shared_name(status), response(&errors));
            }
        }
    }
    Value::Object(responses.into_iter().collect())
}

fn shared_name(status: u16) -> String {
    format!("CommonError{status}")
}

fn is_shared(model: &Model, errors: &[&ErrorDef]) -> bool {
    errors
        .iter()
        .all(|error| model.common_errors().contains(&error.code))
}

fn by_status(errors: Vec<&ErrorDef>) -> BTreeMap<u16, Vec<&ErrorDef>> {
    let mut groups: BTreeMap<u16, Vec<&ErrorDef>> = BTreeMap::new();
    for error in errors {
        groups.entry(error.status).or_default().push(error);
    }
    groups
}

/// One answer for all errors of a status.
fn response(errors: &[&ErrorDef]) -> Value {
    let lines: Vec<String> = errors
        .iter()
        .map(|error| match &error.details {
            Some(details) => format!("`{}`: {} Details: `{details}`.", error.code, error.summary),
            None => format!("`{}`: {}", error.code, error.summary),
        })
        .collect();
    let examples: Map<String, Value> = errors
        .iter()
        .map(|error| {
            let value = json!({
                "type": format!("urn:rustydb:error:{}", error.code),
                "title": error.summary,
                "status": error.status,
                "detail": error.summary,
                "request_id": REQUEST_ID,
                "error": {"code": error.code, "message": error.summary},
            });
            (error.code.clone(), json!({"value": value}))
        })
        .collect();
    json!({
        "description": lines.join("\n\n"),
        "content": {PROBLEM_JSON: {"schema": {"$ref": format!("{PREFIX}{PROBLEM}")}, "examples": examples}},
    })
}
