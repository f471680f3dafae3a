//! Every number that an operation answers: the engine is made to move it, and direction and size are checked.

mod connections;
mod events;
mod fields;
mod indexes;
mod jobs;
mod lifecycle;
mod load;
mod log;
mod machine;
mod results;
mod starting;
mod storage;
mod tables;
mod transactions;
mod versions;
mod work;

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

/// The number at a pointer of an answer.
fn number(answer: &Value, pointer: &str) -> f64 {
    answer
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {pointer} of {answer}"))
}

async fn call(world: &World, id: &str, input: Value) -> Value {
    world.must(id, &input, "admin").await
}

/// Subscribes as the administrator.
async fn watch(world: &World, id: &str, input: Value) -> Watcher {
    let credential = world.credential("admin");
    Watcher::open(Transport::Rpc, world.base_url(), view(id), &input, &credential)
        .await
        .unwrap()
}

/// The next event of that name.
async fn named(watcher: &mut Watcher, name: &str) -> Value {
    loop {
        let event = watcher.event().await;
        if event.name == name {
            return event.data;
        }
    }
}

/// A table of `id` and `name` with that many rows, ids from 1.
async fn table(world: &World, name: &str, rows: u64) {
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "name", "type": "text"}]);
    call(
        world,
        "database.create_table",
        json!({"name": name, "columns": columns, "primary_key": ["id"]}),
    )
    .await;
    if rows > 0 {
        let rows: Vec<Value> = (1..=rows).map(|id| json!({"id": id, "name": "abc"})).collect();
        call(world, "database.insert_rows", json!({"name": name, "rows": rows})).await;
    }
}
