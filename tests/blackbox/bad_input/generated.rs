//! For every field of every operation's input, wrong values made from its type.

use std::collections::BTreeMap;

use codegen::emit::examples;
use codegen::model::{Field, Operation, RestPlace, Shape, Ty};
use serde_json::{Value, json};

use super::derive::{NO_LIST, Wrong, sample, wrong_field};
use super::{assert_answers, assert_none};
use crate::harness::contract::{model, resolved};
use crate::harness::wire::{WIRES, Wire};
use crate::harness::world::World;

/// An input with one fault.
struct Case {
    /// As `details.field` names it.
    path: String,
    what: &'static str,
    input: Value,
    wires: Vec<Wire>,
}

fn cases(operation: &'static Operation) -> Vec<Case> {
    let base = base(operation);
    let mut list = vec![Case {
        path: "no_such_field".to_owned(),
        what: "an unknown field",
        input: with(&base, "no_such_field", json!(1)),
        // The harness writes GraphQL from the contract, which has no such argument; `requests` sends one.
        wires: vec![Wire::Rest, Wire::Rpc],
    }];
    for field in model().input_fields(operation) {
        for wrong in wrong_field(field, 0) {
            list.push(Case {
                path: format!("{}{}", field.name, wrong.at),
                what: wrong.what,
                wires: carriers(operation, field, &wrong),
                input: with(&base, &field.name, wrong.value),
            });
        }
        if field.required {
            let mut input = base.clone();
            input.as_object_mut().unwrap().remove(&field.name);
            let mut wires = vec![Wire::Rpc, Wire::Graphql];
            if field.place_rest != Some(RestPlace::Path) {
                wires.push(Wire::Rest);
            }
            list.push(Case {
                path: field.name.clone(),
                what: "missing",
                input,
                wires,
            });
        }
    }
    list
}

/// An input that fits the contract: an example's, with samples where it waits for answers.
fn base(operation: &'static Operation) -> Value {
    let example = examples::succeeding(operation).next().unwrap();
    let mut input = example.input.clone();
    for field in model().input_fields(operation) {
        if input.get(&field.name).is_some_and(examples::has_placeholder) {
            input[&field.name] = sample(&field.ty);
        }
    }
    input
}

fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut input = base.clone();
    input[name] = value;
    input
}

/// Interfaces that can carry the fault.
fn carriers(operation: &'static Operation, field: &'static Field, wrong: &Wrong) -> Vec<Wire> {
    let mut wires = vec![Wire::Rpc];
    if rest_carries(operation, field, wrong) {
        wires.push(Wire::Rest);
    }
    if graphql_carries(wrong) {
        wires.push(Wire::Graphql);
    }
    wires
}

fn rest_carries(operation: &'static Operation, field: &'static Field, wrong: &Wrong) -> bool {
    match field.place_rest {
        Some(RestPlace::Path) => match &wrong.value {
            Value::String(text) => !text.is_empty(),
            Value::Number(_) => matches!(resolved(&field.ty), Ty::Integer(_)),
            _ => false,
        },
        Some(RestPlace::Query) => query_carries(&field.ty, wrong),
        Some(RestPlace::QueryOrBody) if !operation.method.has_body() => query_carries(&field.ty, wrong),
        _ => true,
    }
}

/// A query holds text: a number in place of text is text there, and null can't be said.
fn query_carries(ty: &'static Ty, wrong: &Wrong) -> bool {
    match resolved(ty) {
        Ty::Array { items, .. } if is_plain(items) => match &wrong.value {
            Value::Array(items) => items.len() > 1 || items.first().is_some_and(Value::is_string),
            _ => false,
        },
        ty @ (Ty::Json | Ty::Map { .. } | Ty::Array { .. }) => !matches!(ty, Ty::Json),
        ty if is_plain(ty) => !matches!(
            (ty, &wrong.value),
            (_, Value::Null | Value::Array(_)) | (Ty::Text(_) | Ty::Id64 | Ty::Cursor, Value::Number(_))
        ),
        _ => true,
    }
}

fn is_plain(ty: &'static Ty) -> bool {
    match resolved(ty) {
        Ty::Json | Ty::Map { .. } | Ty::Array { .. } => false,
        Ty::Ref(name) => matches!(model().ty(name).shape, Shape::Enum(_)),
        _ => true,
    }
}

/// GraphQL takes one value for a list of it.
fn graphql_carries(wrong: &Wrong) -> bool {
    wrong.what != NO_LIST
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_every_field_refuses_what_its_type_does_not_hold() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let before = world.state().await;
    let mut faults = Vec::new();
    let mut tried: BTreeMap<Wire, usize> = BTreeMap::new();
    for operation in model().operations() {
        for case in cases(operation) {
            for wire in WIRES.iter().filter(|wire| case.wires.contains(wire)) {
                *tried.entry(*wire).or_default() += 1;
                let answer = wire.call(&world, operation, &case.input, &admin).await;
                let right = match &answer {
                    Err(error) if error.code == "INVALID_ARGUMENT" => {
                        let field = error.details.as_ref().map(|details| &details["field"]);
                        // GraphQL's own validation comes before ours, and knows no paths.
                        field.map_or(*wire == Wire::Graphql, |field| *field == case.path.as_str())
                    }
                    _ => false,
                };
                if !right {
                    let title = format!("{} over {wire:?}: {} at {}", operation.id, case.what, case.path);
                    let answer: String = format!("{answer:?}").chars().take(400).collect();
                    faults.push(format!("{title} answers {answer}"));
                }
            }
        }
    }
    println!("{tried:?} wrong inputs");
    assert!(tried.values().all(|count| *count > 300), "{tried:?}");
    if before != world.state().await {
        faults.push("refused calls changed the state".to_owned());
    }
    assert_none(&faults);
    assert_answers(&world).await;
}
