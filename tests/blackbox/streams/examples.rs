//! Every example of every view on every transport that carries it, each transport on a server of its own that has seen
//! the same calls: the events are the same, and as the example says.

use std::collections::BTreeMap;

use codegen::model::{Example, StreamClass, View};
use serde_json::{Value, json};

use crate::harness::contract::model;
use crate::harness::error::WireError;
use crate::harness::watch::{Event, TRANSPORTS, Transport, Watcher};
use crate::harness::world::World;
use crate::parity::{Masked, not_within, schemas};

/// What came of an example: its events, or why there are none.
type Outcome = Result<Vec<Event>, WireError>;

async fn run(transport: Transport, world: &World, view: &'static View, example: &Example) -> Outcome {
    let input = world.prepare(&view.open, example).await;
    let credential = world.credential(&example.role);
    let mut watcher = Watcher::open(transport, world.base_url(), view, &input, &credential).await?;
    // A snapshot's position is told once all of it is sent.
    let has_snapshot = input.get("snapshot") == Some(&json!(true));
    assert_eq!(
        watcher.cursor.is_some(),
        view.class == StreamClass::Changes && !has_snapshot,
        "{}",
        view.open.id
    );
    world.steps(&view.open, example, &example.then).await;
    let mut events = Vec::new();
    while events.len() < example.events.len() {
        events.push(watcher.event().await);
    }
    Ok(events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_every_example_is_the_same_on_every_transport() {
    let mut worlds = Vec::new();
    for transport in TRANSPORTS {
        worlds.push((*transport, World::new().await));
    }
    let mut failures = Vec::new();
    let mut watched: BTreeMap<Transport, usize> = BTreeMap::new();
    for view in model().views() {
        for example in &view.open.examples {
            let runs = worlds
                .iter()
                .filter(|(transport, _)| transport.carries(view))
                .map(async |(transport, world)| (*transport, run(*transport, world, view, example).await));
            let outcomes: Vec<(Transport, Outcome)> = futures::future::join_all(runs).await;
            for (transport, outcome) in &outcomes {
                *watched.entry(*transport).or_default() += usize::from(outcome.is_ok());
                check(view, example, *transport, outcome, &mut failures);
            }
            compare(view, example, &outcomes, &mut failures);
        }
    }
    for (transport, count) in &watched {
        println!("{transport:?}: {count} examples received events");
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn check(
    view: &'static View,
    example: &Example,
    transport: Transport,
    outcome: &Outcome,
    failures: &mut Vec<String>,
) {
    let title = format!("{} {} on {transport:?}", view.open.id, example.name);
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
        for difference in not_within(&expected.data, &event.data, "$") {
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

/// Transports differ in nothing but what two runs of the same calls cannot have in common.
fn compare(
    view: &'static View,
    example: &Example,
    outcomes: &[(Transport, Outcome)],
    failures: &mut Vec<String>,
) {
    let masked = |outcome: &Outcome| -> Value {
        match outcome {
            Err(error) => json!({"code": error.code, "status": error.status, "details": error.details}),
            Ok(events) => events
                .iter()
                .map(|event| json!([event.name, Masked::of(&event.data, &event.name).value]))
                .collect(),
        }
    };
    let Some(((first, reference), rest)) = outcomes.split_first() else {
        return;
    };
    let reference = masked(reference);
    for (transport, outcome) in rest {
        let found = masked(outcome);
        if found != reference {
            failures.push(format!(
                "{} {}: {transport:?} differs from {first:?}:\n  {found}\n  {reference}",
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
