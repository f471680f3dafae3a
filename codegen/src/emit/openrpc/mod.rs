//! docs/openrpc.json (OpenRPC 1.3.2): the JSON-RPC 2.0 methods.
//!
//! A method is an operation by its id; its parameters are the input's fields by name. Errors are the contract's
//! table, `error.data.code` being what the other interfaces call the error. Schemas are those of
//! [`crate::emit::json_schema::schema`].

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::examples;
use super::json_schema::schema::{deprecation, field_text, insert, paragraphs};
use super::json_schema::{Schemas, closure, pretty};
use super::openapi::credentials;
use crate::model::Interface;
use crate::model::{ErrorDef, Model, Operation};
use crate::output::{Emission, File};
use crate::project::VERSION;

const PREFIX: &str = "#/components/schemas/";

pub fn emit(model: &Model) -> Emission {
    let files = vec![File::new("docs/openrpc.json", pretty(&document(model, VERSION)))];
    Emission {
        files,
        folders: Vec::new(),
    }
}

pub fn document(model: &Model, version: &str) -> Value {
    let schemas = Schemas::new(model, PREFIX);
    let operations: Vec<&Operation> = model
        .operations()
        .filter(|operation| !operation.except.contains_key(&Interface::Rpc))
        .collect();
    let methods: Value = operations
        .iter()
        .map(|operation| method(model, &schemas, operation))
        .collect();
    let codes: BTreeSet<&str> = operations
        .iter()
        .flat_map(|operation| model.errors_of(operation))
        .map(|error| error.code.as_str())
        .collect();
    let errors: Map<String, Value> = codes
        .into_iter()
        .filter_map(|code| model.errors.get(code))
        .map(|error| (error.code.clone(), error_object(error)))
        .collect();
    let definitions = closure(&schemas, &methods, PREFIX);
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "RustyDB",
            "description": "The JSON-RPC 2.0 interface: every operation of the contract is a method.",
            "license": {"name": "MIT OR Apache-2.0", "url": "https://spdx.org/licenses/"},
            "version": version,
        },
        "methods": methods,
        "components": {"schemas": definitions, "errors": errors},
    })
}

fn method(model: &Model, schemas: &Schemas<'_>, operation: &Operation) -> Value {
    let parameters: Vec<Value> = model
        .input_fields(operation)
        .iter()
        .map(|field| {
            let mut parameter = json!({"name": field.name});
            let text = field_text(field);
            if !text.is_empty() {
                insert(&mut parameter, "description", json!(text));
            }
            insert(&mut parameter, "required", json!(field.required));
            if field.deprecated.is_some() {
                insert(&mut parameter, "deprecated", json!(true));
            }
            insert(&mut parameter, "schema", schemas.bare_field(field));
            parameter
        })
        .collect();
    let result = match &operation.output {
        Some(name) => json!({"name": name, "schema": schemas.reference(name)}),
        None => json!({"name": "Empty", "schema": {"type": "object"}}),
    };
    let errors: Vec<Value> = model
        .errors_of(operation)
        .iter()
        .map(|error| json!({"$ref": format!("#/components/errors/{}", error.code)}))
        .collect();
    let mut method = json!({
        "name": operation.id,
        "tags": [{"name": operation.module}],
        "summary": operation.summary,
        "description": paragraphs(&[
            &operation.description,
            &credentials(&operation.permission),
            &deprecation(operation.deprecated.as_ref()),
        ]),
        "paramStructure": "by-name",
        "params": parameters,
        "result": result,
        "errors": errors,
    });
    if operation.deprecated.is_some() {
        insert(&mut method, "deprecated", json!(true));
    }
    let pairs = example_pairs(model, operation);
    if !pairs.is_empty() {
        insert(&mut method, "examples", Value::Array(pairs));
    }
    method
}

/// Calls with their answers: both as the contract tells them in full.
fn example_pairs(model: &Model, operation: &Operation) -> Vec<Value> {
    examples::sendable(model, operation)
        .filter_map(|example| {
            let none = json!({});
            let output = match &operation.output {
                None => &none,
                Some(_) => examples::whole_output(model, operation, example)?,
            };
            let parameters: Vec<Value> = model
                .input_fields(operation)
                .iter()
                .filter_map(|field| {
                    Some(json!({"name": field.name, "value": example.input.get(&field.name)?}))
                })
                .collect();
            let mut pair = json!({"name": example.name, "params": parameters});
            if !example.summary.is_empty() {
                insert(&mut pair, "summary", json!(example.summary));
            }
            insert(&mut pair, "result", json!({"name": "result", "value": output}));
            Some(pair)
        })
        .collect()
}

fn error_object(error: &ErrorDef) -> Value {
    json!({"code": error.rpc, "message": error.summary, "data": {"code": error.code}})
}
