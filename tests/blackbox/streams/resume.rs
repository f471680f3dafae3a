//! What is cut is gone on with, on any transport, by the cursor of the last event: nothing lost, repeated or reordered.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::server::Server;
use crate::harness::watch::{Event, TRANSPORTS, Transport, Watcher};
use crate::harness::world::World;

/// A load whose every change can be told from the others; answers how many changes there are.
async fn load(world: &World, table: &str, rounds: usize) -> usize {
    let mut changes = 0;
    for round in 0..rounds {
        let rows: Vec<Value> = (0..3)
            .map(|n| json!({"id": round * 3 + n, "note": format!("new {round}")}))
            .collect();
        world
            .must(
                "database.insert_rows",
                &json!({"name": table, "rows": rows}),
                "admin",
            )
            .await;
        let id = (round * 3).to_string();
        let values = json!({"note": format!("changed {round}")});
        world
            .must(
                "database.update_row",
                &json!({"name": table, "id": id, "values": values}),
                "admin",
            )
            .await;
        let id = (round * 3 + 1).to_string();
        world
            .must("database.delete_row", &json!({"name": table, "id": id}), "admin")
            .await;
        changes += 5;
    }
    changes
}

async fn table(world: &World, name: &str) {
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "note", "type": "text"}]);
    let input = json!({"name": name, "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
}

async fn take(watcher: &mut Watcher, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(watcher.event().await);
    }
    events
}

/// Data and cursor, which every transport writes alike.
fn plain(events: &[Event]) -> Vec<(Value, String)> {
    events
        .iter()
        .map(|event| (event.data.clone(), event.cursor.clone().unwrap()))
        .collect()
}

async fn open(world: &World, transport: Transport, input: &Value) -> Watcher {
    let credential = world.credential("analyst");
    Watcher::open(
        transport,
        world.base_url(),
        view("database.events"),
        input,
        &credential,
    )
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_one_load_is_watched_alike_on_all_transports_and_resumed_on_any() {
    let world = World::new().await;
    table(&world, "load").await;
    let input = json!({"tables": ["load"]});
    let mut watchers = Vec::new();
    for transport in TRANSPORTS {
        watchers.push((*transport, open(&world, *transport, &input).await));
    }
    let count = load(&world, "load", 12).await;
    let mut whole: Option<Vec<(Value, String)>> = None;
    for (transport, watcher) in &mut watchers {
        let events = plain(&take(watcher, count).await);
        match &whole {
            Some(whole) => assert_eq!(&events, whole, "{transport:?}"),
            None => whole = Some(events),
        }
    }
    let whole = whole.unwrap();
    // Cut behind each event, also within a transaction, and gone on with on each transport in turn.
    for (cut, (_, cursor)) in whole.iter().enumerate() {
        let transport = TRANSPORTS[cut % TRANSPORTS.len()];
        let mut input = input.clone();
        input["cursor"] = cursor.as_str().into();
        let mut watcher = open(&world, transport, &input).await;
        let rest = plain(&take(&mut watcher, whole.len() - cut - 1).await);
        assert_eq!(rest, whole[cut + 1..], "{transport:?} behind {cut}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_a_cursor_is_good_while_its_changes_are_kept() {
    const WITHIN: Duration = Duration::from_secs(60);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path(), &["--change-log-max-bytes", "0"]);
    let world = World::on(server).await;
    table(&world, "kept").await;
    let credential = world.credential("admin");
    let open = |input: Value| {
        let (url, credential) = (world.base_url(), &credential);
        async move {
            Watcher::open(
                Transport::Rpc,
                url,
                view("database.table_changes"),
                &input,
                credential,
            )
            .await
        }
    };
    let watcher = open(json!({"table": "kept"})).await.unwrap();
    let cursor = watcher.cursor.clone().unwrap();
    load(&world, "kept", 1).await;
    let refused = async {
        loop {
            if let Err(error) = open(json!({"table": "kept", "cursor": cursor})).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(WITHIN, refused)
        .await
        .expect("changes are removed");
    assert_eq!((error.code.as_str(), error.status), ("CURSOR_EXPIRED", 410));
}
