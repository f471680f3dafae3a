//! One operation: parameters, body, answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{PREFIX, errors, in_body};
use crate::emit::examples;
use crate::emit::json_schema::Schemas;
use crate::emit::json_schema::schema::{deprecation, field_text, insert, paragraphs};
use crate::model::{Field, Kind, Model, Operation, PermissionRule, RestPlace, Shape, Ty};

const JSON: &str = "application/json";

pub fn item(model: &Model, operation: &Operation) -> Value {
    let mut item = json!({
        "tags": [operation.module],
        "summary": operation.summary,
        "description": paragraphs(&[
            &operation.description,
            &credentials(&operation.permission),
            &deprecation(operation.deprecated.as_ref()),
        ]),
        "operationId": operation.id,
    });
    let parameters: Vec<Value> = model
        .input_fields(operation)
        .iter()
        .filter_map(|field| parameter(model, operation, field))
        .collect();
    if !parameters.is_empty() {
        insert(&mut item, "parameters", Value::Array(parameters));
    }
    if has_body(model, operation) {
        insert(&mut item, "requestBody", request_body(model, operation));
    }
    insert(&mut item, "responses", responses(model, operation));
    if operation.deprecated.is_some() {
        insert(&mut item, "deprecated", json!(true));
    }
    let security = match operation.permission {
        PermissionRule::Public => json!([]),
        _ => json!([{"bearer": []}, {"api_key": []}]),
    };
    insert(&mut item, "security", security);
    item
}

/// A sentence on who may call.
pub fn credentials(permission: &PermissionRule) -> String {
    match permission {
        PermissionRule::Public => "Needs no credentials.".to_owned(),
        PermissionRule::Authenticated => "Needs valid credentials.".to_owned(),
        PermissionRule::Permission(name) => format!("Needs the permission `{name}`."),
        PermissionRule::Statement { fields } => {
            let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
            format!(
                "Needs the permissions that the statements in {} need.",
                fields.join(", ")
            )
        }
    }
}

/// Whether a call carries a body.
pub fn has_body(model: &Model, operation: &Operation) -> bool {
    operation.method.has_body()
        && model
            .input_fields(operation)
            .iter()
            .any(|field| in_body(field.place_rest))
}

/// Whether the body is the whole input.
pub fn is_all_body(model: &Model, operation: &Operation) -> bool {
    model
        .input_fields(operation)
        .iter()
        .all(|field| field.place_rest == Some(RestPlace::Body))
}

/// Name of the body's schema.
pub fn body_name(model: &Model, operation: &Operation) -> String {
    if is_all_body(model, operation) {
        operation.input.clone()
    } else {
        format!("{}Body", operation.input)
    }
}

/// The fields of the input that travel in the body, where those are not all.
pub fn body_schema(model: &Model, operation: &Operation) -> Value {
    let fields: Vec<Field> = model
        .input_fields(operation)
        .iter()
        .filter(|field| in_body(field.place_rest))
        .map(|field| {
            let may_be_elsewhere = field.place_rest == Some(RestPlace::QueryOrBody);
            Field {
                required: field.required && !may_be_elsewhere,
                ..field.clone()
            }
        })
        .collect();
    let fields: Vec<&Field> = fields.iter().collect();
    let alternatives: Vec<String> = match &model.ty(&operation.input).shape {
        Shape::Object(object)
            if object
                .exactly_one_of
                .iter()
                .all(|name| fields.iter().any(|field| field.name == *name)) =>
        {
            object.exactly_one_of.clone()
        }
        _ => Vec::new(),
    };
    let text = format!("Body of `{}`.", operation.id);
    Schemas::new(model, PREFIX).object(&fields, &alternatives, true, &text)
}

fn parameter(model: &Model, operation: &Operation, field: &Field) -> Option<Value> {
    let body = operation.method.has_body();
    let (place, required) = match field.place_rest? {
        RestPlace::Path => ("path", true),
        RestPlace::Query => ("query", field.required),
        RestPlace::QueryOrBody => ("query", field.required && !body),
        RestPlace::Body => return None,
    };
    let mut parameter = json!({"name": field.name, "in": place});
    let elsewhere = body && field.place_rest == Some(RestPlace::QueryOrBody);
    let text = paragraphs(&[
        &field_text(field),
        if elsewhere {
            "In the query or in the body, not in both."
        } else {
            ""
        },
    ]);
    if !text.is_empty() {
        insert(&mut parameter, "description", json!(text));
    }
    insert(&mut parameter, "required", json!(required));
    if field.deprecated.is_some() {
        insert(&mut parameter, "deprecated", json!(true));
    }
    let example = (!elsewhere)
        .then(|| examples::sendable(model, operation).find_map(|example| example.input.get(&field.name)))
        .flatten();
    let schema = Schemas::new(model, PREFIX).bare_field(field);
    if travels_as_json(model, &field.ty) {
        let mut content = json!({"schema": schema});
        if let Some(example) = example {
            insert(&mut content, "example", example.clone());
        }
        insert(&mut parameter, "content", json!({JSON: content}));
    } else {
        insert(&mut parameter, "schema", schema);
        if let Some(example) = example {
            insert(&mut parameter, "example", example.clone());
        }
    }
    Some(parameter)
}

/// Whether a query parameter of this type holds JSON text: objects, unions, maps, free values and arrays of
/// what is no scalar.
pub fn travels_as_json(model: &Model, ty: &Ty) -> bool {
    match behind_aliases(model, ty) {
        Some(Ty::Array { items, .. }) => !is_scalar(model, items),
        _ => !is_scalar(model, ty),
    }
}

fn is_scalar(model: &Model, ty: &Ty) -> bool {
    match behind_aliases(model, ty) {
        Some(Ty::Json | Ty::Array { .. } | Ty::Map { .. }) | None => false,
        Some(Ty::Ref(name)) => matches!(model.ty(name).shape, Shape::Enum(_)),
        Some(_) => true,
    }
}

/// The type that aliases stand for; `None` of an alias that stands for itself.
fn behind_aliases<'a>(model: &'a Model, ty: &'a Ty) -> Option<&'a Ty> {
    let mut ty = ty;
    for _ in 0..=model.types.len() {
        match ty {
            Ty::Ref(name) => match &model.ty(name).shape {
                Shape::Alias(next) => ty = next,
                _ => return Some(ty),
            },
            _ => return Some(ty),
        }
    }
    None
}

fn request_body(model: &Model, operation: &Operation) -> Value {
    let fields = || {
        model
            .input_fields(operation)
            .iter()
            .filter(|field| in_body(field.place_rest))
    };
    let examples: Map<String, Value> = examples::sendable(model, operation)
        .map(|example| {
            let value = Value::Object(examples::members(&example.input, fields()));
            (example.name.clone(), named_example(&example.summary, value))
        })
        .collect();
    let mut content = json!({"schema": Schemas::new(model, PREFIX).reference(&body_name(model, operation))});
    if !examples.is_empty() {
        insert(&mut content, "examples", Value::Object(examples));
    }
    let required = fields().any(|field| field.required && field.place_rest == Some(RestPlace::Body));
    json!({"content": {JSON: content}, "required": required})
}

fn responses(model: &Model, operation: &Operation) -> Value {
    if operation.kind == Kind::Stream {
        let text = "Events as they happen, until the caller goes: `id` is the cursor, `event` the name of the \
                    event, `data` a JSON object with `event`, `data`, `timestamp` and perhaps `cursor`.";
        let success =
            json!({"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}});
        let mut responses = BTreeMap::from([(operation.status.to_string(), success)]);
        responses.extend(errors::of(model, operation));
        return Value::Object(responses.into_iter().collect());
    }
    let schemas = Schemas::new(model, PREFIX);
    let (schema, text) = match &operation.output {
        Some(name) => (schemas.reference(name), model.ty(name).description.as_str()),
        None => (json!({"type": "object"}), "Done."),
    };
    let mut content = json!({"schema": schema});
    let examples: Map<String, Value> = examples::succeeding(operation)
        .filter_map(|example| {
            let value = examples::whole_output(model, operation, example)?;
            Some((
                example.name.clone(),
                named_example(&example.summary, value.clone()),
            ))
        })
        .collect();
    if !examples.is_empty() {
        insert(&mut content, "examples", Value::Object(examples));
    }
    let text = if text.trim().is_empty() {
        operation.summary.as_str()
    } else {
        text
    };
    let mut success = json!({"description": text.trim(), "content": {JSON: content}});
    if operation.kind == Kind::Job {
        let location = json!({"description": "Path of the job.", "schema": {"type": "string"}});
        insert(&mut success, "headers", json!({"Location": location}));
    }
    let mut responses = BTreeMap::from([(operation.status.to_string(), success)]);
    responses.extend(errors::of(model, operation));
    Value::Object(responses.into_iter().collect())
}

fn named_example(summary: &str, value: Value) -> Value {
    if summary.is_empty() {
        json!({"value": value})
    } else {
        json!({"summary": summary, "value": value})
    }
}
