//! Every example of every view on every transport that carries it and through every client, each on a server of its own
//! that has seen the same calls: the events are the same, and as the example says.

use std::collections::BTreeMap;
use std::time::Duration;

use codegen::fixtures::{Recorded, RecordedEvent};
use codegen::model::{Example, StreamClass, View};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::client::{Driver, Language, parse};
use crate::harness::contract::model;
use crate::harness::error::WireError;
use crate::harness::fixtures::Recorder;
use crate::harness::watch::{Event, TRANSPORTS, Transport, Watcher};
use crate::harness::world::{Saved, World};
use crate::parity::{Masked, not_within, schemas};

/// What came of an example: its events, or why there are none.
type Outcome = Result<Vec<Event>, WireError>;

/// A way to watch, with a server of its own.
struct Way {
    name: &'static str,
    world: World,
    watcher: Means,
}

enum Means {
    Transport(Transport),
    Client(Driver),
    Rust(rustydb_client::Client),
}

impl Way {
    async fn all() -> Vec<Way> {
        let mut ways = Vec::new();
        for transport in TRANSPORTS {
            ways.push(Way {
                name: transport.name(),
                world: World::new().await,
                watcher: Means::Transport(*transport),
            });
        }
        for (name, language) in [
            ("typescript", Language::TypeScript),
            ("python", Language::Python),
            ("python_async", Language::PythonAsync),
        ] {
            let world = World::new().await;
            let watcher = Means::Client(Driver::start(language, world.base_url()));
            ways.push(Way { name, world, watcher });
        }
        let world = World::new().await;
        let client = rustydb_client::Client::builder(world.base_url());
        let client = client
            .retry(rustydb_client::RetryPolicy::never())
            .build()
            .unwrap();
        ways.push(Way {
            name: "rust",
            world,
            watcher: Means::Rust(client),
        });
        ways
    }

    fn carries(&self, view: &View) -> bool {
        match &self.watcher {
            Means::Transport(transport) => transport.carries(view),
            Means::Client(_) | Means::Rust(_) => true,
        }
    }

    /// The input that was sent and what came of it.
    async fn run(&mut self, view: &'static View, example: &Example) -> (Value, Outcome) {
        let (input, saved) = self.world.prepare_saving(&view.open, example).await;
        let outcome = self.watch(view, example, &input, saved).await;
        (input, outcome)
    }

    async fn watch(
        &mut self,
        view: &'static View,
        example: &Example,
        input: &Value,
        saved: Saved,
    ) -> Outcome {
        let Way { world, watcher, .. } = self;
        let credential = world.credential(&example.role);
        let take = example.events.len();
        // A snapshot's position is told once all of it is sent.
        let has_snapshot = input.get("snapshot") == Some(&json!(true));
        let acknowledged = |cursor: bool| {
            let expected = view.class == StreamClass::Changes && !has_snapshot;
            assert_eq!(cursor, expected, "{}", view.open.id);
        };
        match watcher {
            Means::Transport(transport) => {
                let mut watcher =
                    Watcher::open(*transport, world.base_url(), view, input, &credential).await?;
                acknowledged(watcher.cursor.is_some());
                world.steps(&view.open, example, &example.then, saved).await;
                let mut events = Vec::new();
                while events.len() < take {
                    events.push(watcher.event().await);
                }
                Ok(events)
            }
            Means::Client(driver) => {
                let told = driver.watch(&view.open.id, input, &credential, take).await?;
                acknowledged(!told["cursor"].is_null());
                world.steps(&view.open, example, &example.then, saved).await;
                Ok(items(&driver.events().await?))
            }
            Means::Rust(client) => {
                let line = json!({
                    "watch": view.open.id, "input": input, "credential": credential.to_driver(), "take": take,
                });
                let line = line.to_string();
                let mut answers = rustydb_client::driver::answers(client, &line);
                let told = parse(&answers.next().await.unwrap())?;
                acknowledged(!told["cursor"].is_null());
                world.steps(&view.open, example, &example.then, saved).await;
                Ok(items(&parse(&answers.next().await.unwrap())?))
            }
        }
    }
}

/// Events as a client handed them out.
fn items(list: &Value) -> Vec<Event> {
    let item = |item: &Value| Event {
        name: item["event"].as_str().unwrap().to_owned(),
        is_control: false,
        data: item["data"].clone(),
        cursor: item["cursor"].as_str().map(str::to_owned),
        timestamp: item["timestamp"].clone(),
    };
    list.as_array().unwrap().iter().map(item).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_every_example_is_the_same_on_every_transport_and_through_every_client() {
    let mut ways = Way::all().await;
    let mut fixtures = Recorder::new(true);
    let mut failures = Vec::new();
    let mut watched: BTreeMap<&str, usize> = BTreeMap::new();
    for view in model().views() {
        for example in &view.open.examples {
            let runs = ways
                .iter_mut()
                .filter(|way| way.carries(view))
                .map(async |way| (way.name, way.run(view, example).await));
            let runs = timed(&view.open.id, &example.name, futures::future::join_all(runs)).await;
            fixtures.note(&view.open, recorded(example, &runs[0].1));
            let outcomes = runs.into_iter().map(|(way, (_, outcome))| (way, outcome));
            let outcomes: Vec<(&str, Outcome)> = outcomes.collect();
            for (way, outcome) in &outcomes {
                *watched.entry(way).or_default() += usize::from(outcome.is_ok());
                check(view, example, way, outcome, &mut failures);
            }
            compare(view, example, &outcomes, &mut failures);
        }
    }
    failures.extend(fixtures.finish());
    for (way, count) in &watched {
        println!("{way}: {count} examples received events");
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn recorded(example: &Example, (input, outcome): &(Value, Outcome)) -> Recorded {
    let event = |event: &Event| RecordedEvent {
        event: event.name.clone(),
        data: event.data.clone(),
        timestamp: event.timestamp.clone(),
        cursor: event.cursor.clone(),
    };
    Recorded {
        example: example.name.clone(),
        role: example.role.clone(),
        input: input.clone(),
        output: None,
        events: outcome
            .as_ref()
            .ok()
            .map(|events| events.iter().map(event).collect()),
        error: outcome.as_ref().err().map(WireError::recorded),
    }
}

/// What takes longer than anything here should is told by name instead of waiting for ever.
async fn timed<T>(view: &str, example: &str, work: impl Future<Output = T>) -> T {
    const WITHIN: Duration = Duration::from_secs(60);
    match tokio::time::timeout(WITHIN, work).await {
        Ok(done) => done,
        Err(_) => panic!("{view} {example}: events are still missing after {WITHIN:?}"),
    }
}

fn check(view: &'static View, example: &Example, way: &str, outcome: &Outcome, failures: &mut Vec<String>) {
    let title = format!("{} {} through {way}", view.open.id, example.name);
    let events = match (outcome, &example.error) {
        (Err(error), Some(code)) if error.code == *code => return,
        (Ok(events), None) => events,
        (other, _) => return failures.push(format!("{title}: {other:?}")),
    };
    for (expected, event) in example.events.iter().zip(events) {
        if event.name != expected.event {
            failures.push(format!("{title}: {} instead of {}", event.name, expected.event));
            continue;
        }
        let (wanted, found) = (canonical(&expected.data), canonical(&event.data));
        for difference in not_within(&wanted, &found, "$") {
            failures.push(format!("{title}: {}: {difference}", event.name));
        }
        schemas::check(&title, &event.name, &event.data, failures);
        if event.cursor.is_none()
            && view.class == StreamClass::Changes
            && example.input.get("snapshot").is_none()
        {
            failures.push(format!("{title}: {} has no cursor", event.name));
        }
    }
}

/// Numbers that are equal are written alike: 100.0 is 100, as some languages have one kind of number only.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), canonical(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Transports differ in nothing but what two runs of the same calls cannot have in common.
fn compare(view: &'static View, example: &Example, outcomes: &[(&str, Outcome)], failures: &mut Vec<String>) {
    let masked = |outcome: &Outcome| -> Value {
        match outcome {
            Err(error) => json!({"code": error.code, "status": error.status, "details": error.details}),
            Ok(events) => events
                .iter()
                .map(|event| json!([event.name, canonical(&Masked::of(&event.data, &event.name).value)]))
                .collect(),
        }
    };
    let Some(((first, reference), rest)) = outcomes.split_first() else {
        return;
    };
    let reference = masked(reference);
    for (way, outcome) in rest {
        let found = masked(outcome);
        if found != reference {
            failures.push(format!(
                "{} {}: {way} differs from {first}:\n  {found}\n  {reference}",
                view.open.id, example.name
            ));
        }
    }
}

/// The suite is worth nothing if examples are few: each kind of event comes in one, and each error of the contract.
#[test]
fn streams_every_view_has_the_examples_it_needs() {
    for view in model().views() {
        let examples = &view.open.examples;
        for event in &view.events {
            let comes = examples
                .iter()
                .flat_map(|example| &example.events)
                .any(|expected| expected.event == *event);
            assert!(comes, "{}: no example of {event}", view.open.id);
        }
        for code in &view.open.errors {
            let shown = examples
                .iter()
                .any(|example| example.error.as_ref() == Some(code));
            assert!(shown, "{}: no example of {code}", view.open.id);
        }
    }
}
