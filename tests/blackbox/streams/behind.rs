//! A reader of changes that is far behind is told so on every transport, and has every change all the same.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

const ALL: &[Transport] = &[Transport::Rpc, Transport::Raw, Transport::Sse, Transport::Graphql];

/// More than that many commits behind the newest a reader is told.
const BEHIND_COMMITS: u64 = 1_000;

/// An event has the row twice: so many of them are far more than the buffers between server and reader take.
const NOTE_BYTES: usize = 16_000;
const COMMITS: u64 = 1_500;

/// Far longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(60);

/// A table of one row, whose number counts the commits.
async fn table(world: &World) {
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "n", "type": "bigint"}, {"name": "note", "type": "text"}]);
    let input = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
    let input = json!({"name": "t", "rows": [{"id": 1, "n": 0, "note": "x".repeat(NOTE_BYTES)}]});
    world.must("database.insert_rows", &input, "admin").await;
}

/// Commits these numbers one by one.
async fn commit(world: &World, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        let input = json!({"name": "t", "id": "1", "values": {"n": n}});
        world.must("database.update_row", &input, "admin").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_who_is_far_behind_is_told_and_has_every_change() {
    let world = World::new().await;
    table(&world).await;
    let credential = world.credential("admin");
    let input = json!({"table": "t"});
    let mut watchers = Vec::new();
    for transport in ALL {
        let changes = view("database.table_changes");
        let opened = Watcher::open(*transport, world.base_url(), changes, &input, &credential).await;
        watchers.push((transport, opened.unwrap()));
    }
    // Nobody reads meanwhile.
    commit(&world, 1..=COMMITS).await;
    let read = watchers.iter_mut().map(async |(transport, watcher)| {
        let (mut last, mut is_behind, mut times) = (0, false, 0);
        while last < COMMITS || is_behind {
            let next = tokio::time::timeout(WITHIN, watcher.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{transport:?}: something is missing after {last}"));
            let event = next.unwrap().unwrap();
            match event.name.as_str() {
                "TableRowChange" => {
                    last += 1;
                    assert_eq!(event.data["row"]["data"]["n"], last, "{transport:?}");
                }
                "FELL_BEHIND" => {
                    assert!(!is_behind, "{transport:?} was told already");
                    let count = event.data["count"].as_u64().unwrap();
                    let left = COMMITS - last - 1;
                    assert!(
                        (BEHIND_COMMITS + 1..=left).contains(&count),
                        "{transport:?}: {count} of {left}"
                    );
                    (is_behind, times) = (true, times + 1);
                }
                "CAUGHT_UP" => {
                    assert!(is_behind, "{transport:?} was not behind");
                    assert_eq!(event.data, json!({}), "{transport:?}");
                    is_behind = false;
                }
                "BOOKMARK" => {}
                other => panic!("{transport:?}: {other}"),
            }
        }
        assert!(times > 0, "{transport:?}: the reader was not slow enough");
    });
    futures::future::join_all(read).await;
    commit(&world, [0]).await;
    for (transport, watcher) in &mut watchers {
        let event = tokio::time::timeout(WITHIN, watcher.event()).await.unwrap();
        assert_eq!(event.data["row"]["data"]["n"], Value::from(0), "{transport:?}");
    }
}
