//! docs/openapi.json and .yaml (3.1.0), and docs/openapi-3.0.json for tools that read no newer version.
//!
//! The server makes the same document from its descriptors, and a test compares the two as JSON. So the
//! construction is regular:
//! - `tags`: one per module with operations, described by the module's summary and description;
//! - one path item per path, one operation per method: `tags` [module], `summary`, `description` (the
//!   operation's, then a sentence on credentials, then its deprecation), `operationId` (the operation's id),
//!   `parameters`, `requestBody`, `responses`, `deprecated` only when true, `security` (`[]` when public);
//! - `parameters`, in the order of the input's fields: those of the path, of the query, and those that may stand
//!   in the query or in the body. `required` is always told; of the last kind it is false where the method has a
//!   body. A value that travels as JSON text has `content: application/json`, any other a `schema`; an array of
//!   scalars is the default of a query parameter, `a=1&a=2`;
//! - `requestBody` where a method with a body has fields for it: the input type itself when all fields are of the
//!   body, else `<Input>Body`, closed, with only those; required when one of its fields is. A field that may
//!   stand in the query as well is optional in it;
//! - `responses`: success by the operation's status with the output's `$ref`, or an empty object; errors grouped
//!   by status as problem+json, codes in the description and an example each. A status that only errors of every
//!   call have is a reference to `components.responses`;
//! - a view of a stream is a GET (a POST where it runs a statement) that answers `text/event-stream`; what its
//!   events hold, docs/asyncapi.json says;
//! - `components.schemas`: `Problem`, and what is referred to, nothing else;
//! - examples: see [`crate::emit::examples`]. A parameter's example is that of the first call that has it.
//!
//! Schemas are those of [`crate::emit::json_schema::schema`].

mod down_level;
mod errors;
mod operation;
mod yaml;

pub use errors::details as error_details;
pub use operation::{credentials, travels_as_json};

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json_schema::schema::paragraphs;
use super::json_schema::{NOTE, Schemas, pretty, references};
use crate::model::{Interface, Model, Operation, PermissionRule, RestPlace};
use crate::output::{Emission, File};
use crate::project::VERSION;

/// Before the name of a schema in a reference.
pub const PREFIX: &str = "#/components/schemas/";

pub fn emit(model: &Model) -> Emission {
    let document = document(model, VERSION);
    let files = vec![
        File::new("docs/openapi.json", pretty(&document)),
        File::new(
            "docs/openapi.yaml",
            format!("# {NOTE}\n{}", yaml::text(&document)),
        ),
        File::new("docs/openapi-3.0.json", pretty(&down_level::document(&document))),
    ];
    Emission {
        files,
        folders: Vec::new(),
    }
}

/// The OpenAPI 3.1 document of a contract.
pub fn document(model: &Model, version: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in on_rest(model) {
        let method = operation.method.as_str().to_ascii_lowercase();
        paths
            .entry(&operation.path)
            .or_default()
            .insert(method, operation::item(model, operation));
    }
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(path, item)| (path.to_owned(), Value::Object(item)))
        .collect();
    let paths = Value::Object(paths);
    let responses = errors::shared(model);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "RustyDB",
            "description": "The REST interface. Every operation is a JSON-RPC method and a GraphQL field as well; \
                            all three are made from one contract.\n\nAny request may carry `X-Request-Id`, which \
                            the answer repeats, and `X-Timeout-Ms`, after which the call is given up.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            "version": version,
        },
        "servers": [{"url": "/"}],
        "tags": tags(model),
        "components": {
            "schemas": schemas(model, &paths, &responses),
            "responses": responses,
            "securitySchemes": security_schemes(model),
        },
        "paths": paths,
    })
}

/// How callers may say who they are; nothing where no operation asks.
fn security_schemes(model: &Model) -> Value {
    if on_rest(model).all(|operation| operation.permission == PermissionRule::Public) {
        return json!({});
    }
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token that `auth.login` answers.",
        },
        "api_key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "A key that `auth.create_api_key` answers.",
        },
    })
}

fn on_rest(model: &Model) -> impl Iterator<Item = &Operation> {
    model
        .routed()
        .filter(|operation| !operation.except.contains_key(&Interface::Rest))
}

fn tags(model: &Model) -> Value {
    model
        .modules
        .values()
        .filter(|module| on_rest(model).any(|operation| operation.module == module.name))
        .map(|module| {
            json!({"name": module.name, "description": paragraphs(&[&module.summary, &module.description])})
        })
        .collect()
}

/// What paths, shared responses and the schemas themselves refer to.
fn schemas(model: &Model, paths: &Value, responses: &Value) -> Value {
    let schemas = Schemas::new(model, PREFIX);
    let bodies: BTreeMap<String, Value> = on_rest(model)
        .filter(|operation| {
            operation::has_body(model, operation) && !operation::is_all_body(model, operation)
        })
        .map(|operation| {
            (
                operation::body_name(model, operation),
                operation::body_schema(model, operation),
            )
        })
        .collect();
    let mut found = BTreeMap::from([(errors::PROBLEM.to_owned(), errors::problem(model))]);
    let mut open = references(paths, PREFIX);
    open.extend(references(responses, PREFIX));
    open.extend(references(&found[errors::PROBLEM], PREFIX));
    while let Some(name) = open.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let definition = match bodies.get(&name) {
            Some(body) => body.clone(),
            None => schemas.named(&name),
        };
        open.extend(references(&definition, PREFIX));
        found.insert(name, definition);
    }
    Value::Object(found.into_iter().collect())
}

/// Where a field of an operation's input travels, beside the path.
fn in_body(place: Option<RestPlace>) -> bool {
    matches!(place, Some(RestPlace::Body | RestPlace::QueryOrBody))
}
