//! Every example of the contract on every interface and through every client, each on a server of its own that
//! has seen the same calls before: the answers are the same.
//!
//! Answers are compared as JSON. What two runs of the same calls can't have in common is masked, by its type only:
//! generated ids, moments, durations, secrets and measurements of the machine; the masks are counted. Successful
//! answers hold what the example says, and fit the published JSON Schema by the judgement of a foreign validator.

mod coverage;
mod mask;
pub mod schemas;

use std::collections::BTreeMap;

use codegen::emit::examples;
use codegen::fixtures::Recorded;
use codegen::model::{Example, Operation};
use serde_json::Value;

use crate::harness::client::{Driver, Language, parse};
use crate::harness::contract::model;
use crate::harness::credential::Credential;
use crate::harness::error::{Answer, WireError};
use crate::harness::fixtures::Recorder;
use crate::harness::rpc::Socket;
use crate::harness::world::World;
use crate::harness::{graphql, rest};
use coverage::Coverage;
pub use mask::Masked;

/// The ways to make a call; the first is what the others are compared with.
const WAYS: &[&str] = &[
    "rest",
    "rpc",
    "graphql",
    "rust",
    "typescript",
    "python",
    "python_async",
];

/// A way to make calls, with a server of its own.
struct Way {
    name: &'static str,
    world: World,
    caller: Caller,
}

enum Caller {
    Rest,
    Rpc,
    Graphql,
    Rust(rustydb_client::Client),
    Process(Driver),
}

impl Way {
    async fn new(name: &'static str) -> Way {
        let world = World::new().await;
        let process = |language| Caller::Process(Driver::start(language, world.base_url()));
        let caller = match name {
            "rest" => Caller::Rest,
            "rpc" => Caller::Rpc,
            "graphql" => Caller::Graphql,
            "rust" => Caller::Rust(
                rustydb_client::Client::builder(world.base_url())
                    .retry(rustydb_client::RetryPolicy::never())
                    .build()
                    .unwrap(),
            ),
            "typescript" => process(Language::TypeScript),
            "python" => process(Language::Python),
            _ => process(Language::PythonAsync),
        };
        Way { name, world, caller }
    }

    /// The input that was sent and what came of it.
    async fn example(&mut self, operation: &'static Operation, example: &Example) -> (Value, Answer) {
        let input = self.world.prepare(operation, example).await;
        let credential = self.world.credential(&example.role);
        let answer = self.call(operation, &input, &credential).await;
        if operation.id == "auth.logout" && example.role != "nobody" {
            self.world.sign_in(&example.role).await;
        }
        (input, answer)
    }

    async fn call(
        &mut self,
        operation: &'static Operation,
        input: &Value,
        credential: &Credential,
    ) -> Answer {
        let World { http, server, .. } = &self.world;
        match &mut self.caller {
            Caller::Rest => rest::call(http, &server.base_url, operation, input, credential).await,
            Caller::Graphql => graphql::call(http, &server.base_url, operation, input, credential).await,
            Caller::Rpc => {
                let mut socket = Socket::open(server.address(), credential).await.unwrap();
                socket.call(&operation.id, input).await
            }
            Caller::Rust(client) => {
                let line = serde_json::json!({
                    "op": operation.id, "input": input, "credential": credential.to_driver(),
                });
                parse(&rustydb_client::driver::answer(client, &line.to_string()).await)
            }
            Caller::Process(driver) => driver.call(&operation.id, input, credential).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parity_every_example_answers_the_same_on_every_interface_and_client() {
    let mut ways = Vec::new();
    for name in WAYS {
        ways.push(Way::new(name).await);
    }
    let mut coverage = Coverage::default();
    let mut fixtures = Recorder::new(false);
    let mut failures = Vec::new();
    let mut masks = 0;
    for operation in model().operations() {
        for example in &operation.examples {
            let answers =
                futures::future::join_all(ways.iter_mut().map(|way| way.example(operation, example)));
            let answers = answers.await;
            fixtures.note(operation, recorded(example, &answers[0]));
            let answers = answers.into_iter().map(|(_, answer)| answer);
            let answers: BTreeMap<&str, Answer> = WAYS.iter().copied().zip(answers).collect();
            for (way, answer) in &answers {
                if answer.is_ok() {
                    coverage.note(way, &operation.id);
                }
            }
            masks += check(operation, example, &answers, &mut failures);
        }
    }
    coverage.write();
    println!("{masks} values were masked");
    for way in &ways {
        println!("{}: {} operations succeeded", way.name, coverage.count(way.name));
    }
    failures.extend(coverage.missing(model(), WAYS));
    failures.extend(fixtures.finish());
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn recorded(example: &Example, (input, answer): &(Value, Answer)) -> Recorded {
    Recorded {
        example: example.name.clone(),
        role: example.role.clone(),
        input: input.clone(),
        output: answer.as_ref().ok().cloned(),
        events: None,
        error: answer.as_ref().err().map(WireError::recorded),
    }
}

/// Notes what is wrong with the answers to one example; answers how many values were masked.
fn check(
    operation: &'static Operation,
    example: &Example,
    answers: &BTreeMap<&str, Answer>,
    failures: &mut Vec<String>,
) -> usize {
    let title = format!("{} {}", operation.id, example.name);
    let reference = &answers[WAYS[0]];
    match (reference, &example.error) {
        (Err(error), Some(code)) if error.code == *code => check_error(operation, &title, error, failures),
        (Ok(output), None) => check_output(operation, example, &title, output, failures),
        (answer, _) => failures.push(format!("{title}: rest answers {answer:?}")),
    }
    let expected = Masked::answer(operation, reference);
    for (way, answer) in answers {
        let found = Masked::answer(operation, answer);
        if found.value != expected.value {
            failures.push(format!(
                "{title}: {way} differs from rest:\n  {}\n  {}",
                found.value, expected.value
            ));
        }
    }
    expected.count
}

fn check_error(operation: &Operation, title: &str, error: &WireError, failures: &mut Vec<String>) {
    let declared = model()
        .errors_of(operation)
        .into_iter()
        .find(|known| known.code == error.code);
    if declared.is_none_or(|known| u64::from(known.status) != error.status) {
        failures.push(format!("{title}: {error:?} is not as the contract declares it"));
    }
    if error.message.is_empty() {
        failures.push(format!("{title}: the error says nothing"));
    }
    if let (Some(details), Some(name)) = (&error.details, declared.and_then(|known| known.details.as_ref())) {
        schemas::check(title, name, details, failures);
    }
}

fn check_output(
    operation: &Operation,
    example: &Example,
    title: &str,
    output: &Value,
    failures: &mut Vec<String>,
) {
    if let Some(expected) = &example.output {
        for difference in not_within(expected, output, "$") {
            failures.push(format!("{title}: {difference}"));
        }
    }
    match &operation.output {
        Some(name) => schemas::check(title, name, output, failures),
        None if *output != serde_json::json!({}) => failures.push(format!("{title}: {output} is not {{}}")),
        None => {}
    }
}

/// Where the expected part is not in the answer: objects may have more fields, lists not more items.
pub fn not_within(expected: &Value, found: &Value, path: &str) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(map)) => expected
            .iter()
            .flat_map(|(key, value)| match map.get(key) {
                Some(found) => not_within(value, found, &format!("{path}.{key}")),
                None => vec![format!("{path}.{key} is missing")],
            })
            .collect(),
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => expected
            .iter()
            .zip(items)
            .enumerate()
            .flat_map(|(at, (value, found))| not_within(value, found, &format!("{path}[{at}]")))
            .collect(),
        _ if expected == found => Vec::new(),
        _ => vec![format!("{path} is {found}, not {expected}")],
    }
}

/// The iterators of the clients answer what following `next` by hand does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parity_iterators_of_the_clients_walk_all_pages() {
    let world = World::new().await;
    for name in ["c", "a", "e", "b", "d"] {
        let input = serde_json::json!({"name": format!("paging_{name}"), "columns": [{"name": "id", "type": "bigint"}]});
        world.must("database.create_table", &input, "admin").await;
    }
    let credential = world.credential("analyst");
    let input = serde_json::json!({"limit": 2});
    let all = world
        .must(
            "database.list_tables",
            &serde_json::json!({"limit": 1000}),
            "analyst",
        )
        .await;
    let expected = all["tables"].clone();
    assert_eq!(expected.as_array().unwrap().len(), 5);
    for language in [Language::TypeScript, Language::Python, Language::PythonAsync] {
        let mut driver = Driver::start(language, world.base_url());
        let items = driver
            .iterate("database.list_tables", &input, &credential)
            .await
            .unwrap();
        assert_eq!(items, expected, "{language:?}");
    }
    let client = rustydb_client::Client::builder(world.base_url()).build().unwrap();
    let line = serde_json::json!({
        "op": "database.list_tables", "input": input, "credential": credential.to_driver(), "iterate": true,
    });
    let items = parse(&rustydb_client::driver::answer(&client, &line.to_string()).await).unwrap();
    assert_eq!(items, expected);
}

/// The suite is worth nothing if examples are few: each operation has one that succeeds and one per error.
#[test]
fn parity_every_operation_has_the_examples_it_needs() {
    for operation in model().operations() {
        assert!(
            examples::succeeding(operation).next().is_some(),
            "{}: no example succeeds",
            operation.id
        );
        for code in &operation.errors {
            let shown = operation
                .examples
                .iter()
                .any(|example| example.error.as_ref() == Some(code));
            assert!(shown, "{}: no example of {code}", operation.id);
        }
    }
}
