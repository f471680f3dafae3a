//! Numbers of the module `storage`: tablespaces and pages, the buffer pool, the disk, and what is told of them.

mod disk;
pub mod fields;
mod pages;
mod pool;
mod streams;

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{call, number};
use crate::harness::world::World;

/// Bytes of a page.
const PAGE_BYTES: f64 = 8192.0;
/// Bytes of a page for slots and records.
const ROOM_BYTES: f64 = 8144.0;
/// Pages of a tablespace that a number of a page counts.
const TABLESPACE: f64 = 4_294_967_296.0;

/// A tablespace with the limits by default; its number.
async fn tablespace(world: &World, name: &str) -> u64 {
    let made = call(world, "storage.create_tablespace", json!({"name": name})).await;
    made["id"].as_u64().unwrap()
}

async fn allocate(world: &World, tablespace: u64) -> u64 {
    let made = call(world, "storage.allocate_page", json!({"tablespace": tablespace})).await;
    made["id"].as_u64().unwrap()
}

async fn allocate_many(world: &World, tablespace: u64, pages: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..pages {
        ids.push(allocate(world, tablespace).await);
    }
    ids
}

/// Puts a record of that many bytes into a page; its slot.
async fn insert(world: &World, page: u64, bytes: usize) -> f64 {
    let data = base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]);
    let made = call(world, "storage.insert_record", json!({"id": page, "data": data})).await;
    number(&made, "/slot")
}

async fn page(world: &World, id: u64) -> Value {
    call(world, "storage.get_page", json!({"id": id})).await
}

async fn flush(world: &World, id: u64) {
    call(world, "storage.flush_page", json!({"id": id})).await;
}

/// Dirty pages stay so until somebody asks for them to be written.
async fn without_background(world: &World) {
    let settings = json!({"flush_interval_ms": 60000, "dirty_percent_max": 100});
    call(world, "storage.update_buffer_config", settings).await;
    // A pause of the former length may be under way.
    tokio::time::sleep(Duration::from_millis(500)).await;
}
