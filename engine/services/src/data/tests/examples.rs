//! The contract's examples of these modules, as schema/modules has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use codegen::model::{Example, Model};
use codegen::project::Project;
use serde_json::Value;

use super::support::{World, operations};

const MODULES: &[&str] = &["database", "indexes", "jobs", "query", "sql", "transactions"];

fn model() -> Model {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Project::new(&root)
        .model()
        .unwrap_or_else(|found| panic!("{found:?}"))
}

#[tokio::test]
async fn every_example_of_the_contract_answers_what_it_says() {
    let model = model();
    let world = World::new();
    let mut failures = Vec::new();
    let mut ran = BTreeSet::new();
    for operation in model.operations() {
        if !MODULES.contains(&operation.id.split('.').next().unwrap()) {
            continue;
        }
        for example in &operation.examples {
            ran.insert(operation.id.clone());
            // Lists are in the order of the milliseconds at which things were made.
            world.clock.advance_us(1_000);
            if let Err(failure) = run(&world, &operation.id, example).await {
                failures.push(format!("{} {}: {failure}", operation.id, example.name));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert_eq!(
        ran,
        operations().into_iter().map(str::to_owned).collect(),
        "operations that have examples"
    );
}

async fn run(world: &World, id: &str, example: &Example) -> Result<(), String> {
    let mut saved = BTreeMap::new();
    for step in &example.given {
        let input = fill(&step.input, &saved);
        for _ in 0..step.repeat {
            let answer = world.call(&step.call, &input, &step.role).await;
            let answer = answer.map_err(|error| format!("given {} {input}: {error}", step.call))?;
            world.clock.advance_us(1_000);
            if let Some(name) = &step.save {
                saved.insert(name.clone(), answer);
            }
        }
    }
    let input = fill(&example.input, &saved);
    match (world.call(id, &input, &example.role).await, &example.error) {
        (Err(error), Some(code)) if error.code() == code => Ok(()),
        (Ok(output), None) => match &example.output {
            Some(expected) => within(expected, &output, "$"),
            None => Ok(()),
        },
        (answer, _) => Err(format!("answers {answer:?}")),
    }
}

/// Puts saved answers in the place of `${name.field}`.
fn fill(value: &Value, saved: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
            None => value.clone(),
            Some(path) => {
                let (name, field) = path.split_once('.').unwrap();
                saved[name]
                    .pointer(&format!("/{}", field.replace('.', "/")))
                    .unwrap()
                    .clone()
            }
        },
        Value::Array(items) => items.iter().map(|item| fill(item, saved)).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| (key.clone(), fill(item, saved)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Objects may have more fields than expected, lists no other items.
fn within(expected: &Value, found: &Value, path: &str) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(fields), Value::Object(map)) => fields.iter().try_for_each(|(key, value)| {
            let found = map.get(key).ok_or_else(|| format!("{path}.{key} is missing"))?;
            within(value, found, &format!("{path}.{key}"))
        }),
        (Value::Array(items), Value::Array(list)) if items.len() == list.len() => {
            let mut pairs = items.iter().zip(list).enumerate();
            pairs.try_for_each(|(at, (value, found))| within(value, found, &format!("{path}[{at}]")))
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{path} is {found}, not {expected}")),
    }
}
