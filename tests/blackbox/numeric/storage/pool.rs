//! The buffer pool: what is in it, what left it, and its settings.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{call, number};
use super::{PAGE_BYTES, allocate, allocate_many, insert, page, tablespace, without_background};
use crate::harness::server::Server;
use crate::harness::world::World;

async fn stats(world: &World) -> Value {
    call(world, "storage.get_buffer_pool_stats", json!({})).await
}

/// What the pool says of one tablespace: pages, dirty and pinned ones.
fn of_tablespace(stats: &Value, id: u64) -> [f64; 3] {
    let all = stats["tablespaces"].as_array().unwrap();
    let found = all.iter().find(|found| number(found, "/tablespace") == id as f64);
    found.map_or([0.0; 3], |found| {
        ["/pages", "/dirty", "/pinned"].map(|field| number(found, field))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_pool_tells_what_it_holds() {
    let world = World::new().await;
    without_background(&world).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let before = stats(&world).await;
    let id = tablespace(&world, "held").await;
    let ids = allocate_many(&world, id, 20).await;
    let after = stats(&world).await;
    // With the header and the map.
    assert_eq!(of_tablespace(&after, id), [22.0, 22.0, 0.0]);
    let moved = |field: &str| number(&after, field) - number(&before, field);
    assert!(
        moved("/used_pages") >= 22.0 && moved("/dirty_pages") >= 22.0,
        "{after}"
    );
    assert_eq!(moved("/free_pages"), -moved("/used_pages"));
    let sum = number(&after, "/used_pages") + number(&after, "/free_pages");
    assert_eq!(sum, number(&after, "/total_pages"));

    let pin = async |id: u64| {
        let pinned = call(&world, "storage.pin_page", json!({"page_id": id})).await;
        number(&pinned, "/pins")
    };
    assert_eq!(
        [pin(ids[0]).await, pin(ids[0]).await, pin(ids[1]).await],
        [1.0, 2.0, 1.0]
    );
    let with_pins = stats(&world).await;
    assert_eq!(of_tablespace(&with_pins, id)[2], 2.0);
    assert!(number(&with_pins, "/pinned_pages") >= 2.0);
    let pins = async |id: u64| number(&page(&world, id).await, "/pins");
    let list = call(&world, "storage.list_pages", json!({"tablespace": id})).await;
    for (at, expected) in [(0, 2.0), (1, 1.0), (2, 0.0)] {
        assert_eq!(pins(ids[at]).await, expected);
        assert_eq!(number(&list, &format!("/pages/{}/pins", at + 2)), expected);
    }
    for left in [1.0, 0.0] {
        let unpinned = call(&world, "storage.unpin_page", json!({"page_id": ids[0]})).await;
        assert_eq!(number(&unpinned, "/pins"), left);
    }
    assert_eq!(pins(ids[0]).await, 0.0);
    assert_eq!(of_tablespace(&stats(&world).await, id)[2], 1.0);

    let flushed = call(&world, "storage.flush_buffer_pool", json!({})).await;
    assert!(
        number(&flushed, "/pages") >= 22.0 && number(&flushed, "/files") >= 1.0,
        "{flushed}"
    );
    let clean = stats(&world).await;
    assert_eq!(of_tablespace(&clean, id)[1], 0.0);
    let written = number(&clean, "/pages_flushed") - number(&after, "/pages_flushed");
    assert!(written >= number(&flushed, "/pages"), "{written}");
    for records in [1, 3] {
        for id in &ids[..records] {
            insert(&world, *id, 10).await;
        }
        let flushed = call(&world, "storage.flush_buffer_pool", json!({})).await;
        // Nobody else changes anything.
        assert_eq!(number(&flushed, "/pages"), records as f64);
        assert_eq!(number(&flushed, "/files"), 1.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_hits_and_misses_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let id = tablespace(&world, "fetched").await;
    let ids = allocate_many(&world, id, 40).await;
    tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    call(
        &world,
        "storage.update_prefetch_config",
        json!({"enabled": false}),
    )
    .await;
    let fetch = async |ids: &[u64], hit: bool| {
        let before = stats(&world).await;
        for id in ids {
            let fetched = call(&world, "storage.fetch_page", json!({"id": id})).await;
            assert_eq!(fetched["hit"], hit, "{fetched}");
        }
        let after = stats(&world).await;
        for stats in [&before, &after] {
            let (hits, misses) = (number(stats, "/hits"), number(stats, "/misses"));
            assert!(
                (number(stats, "/hit_ratio") - hits / (hits + misses)).abs() < 1e-9,
                "{stats}"
            );
        }
        let moved = |field: &str| number(&after, field) - number(&before, field);
        [moved("/hits"), moved("/misses"), moved("/hit_ratio")]
    };
    let [_, misses, ratio] = fetch(&ids[..20], false).await;
    assert!(misses >= 20.0, "{misses} misses, {ratio}");
    let [hits, misses, _] = fetch(&ids[..20], true).await;
    assert!(hits >= 20.0 && misses < 5.0, "{hits} hits, {misses} misses");
    let read = async |ids: &[u64]| {
        let prefetched = call(&world, "storage.prefetch_pages", json!({"ids": ids})).await;
        number(&prefetched, "/pages_read")
    };
    assert_eq!([read(&ids[18..25]).await, read(&ids[18..25]).await], [5.0, 0.0]);
    fetch(&ids[18..25], true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_settings_of_the_pool_are_those_that_were_set() {
    let world = World::new().await;
    let settings = [
        "size_bytes",
        "small_queue_percent",
        "flush_interval_ms",
        "flush_pages_max",
        "dirty_percent_max",
    ];
    for values in [
        [4_194_304.0, 12.5, 50.0, 7.0, 80.0],
        [8_388_608.0, 90.0, 900.0, 70.0, 0.5],
    ] {
        let input: serde_json::Map<String, Value> = settings
            .iter()
            .zip(values)
            .map(|(name, value): (&&str, f64)| {
                let value = if value.fract() == 0.0 {
                    json!(value as u64)
                } else {
                    json!(value)
                };
                ((*name).to_owned(), value)
            })
            .collect();
        let set = call(&world, "storage.update_buffer_config", Value::Object(input)).await;
        let got = call(&world, "storage.get_buffer_config", json!({})).await;
        for answer in [&set, &got] {
            assert_eq!(settings.map(|name| number(answer, &format!("/{name}"))), values);
        }
        let stats = stats(&world).await;
        assert_eq!(number(&stats, "/size_bytes"), values[0]);
        assert_eq!(number(&stats, "/total_pages"), values[0] / PAGE_BYTES);
    }
    let settings = ["sequential_pages_min", "pages_min", "pages_max"];
    for values in [[3, 5, 9], [7, 2, 1024]] {
        let input =
            json!({"sequential_pages_min": values[0], "pages_min": values[1], "pages_max": values[2]});
        let set = call(&world, "storage.update_prefetch_config", input).await;
        let got = call(&world, "storage.get_prefetch_config", json!({})).await;
        for answer in [&set, &got] {
            assert_eq!(
                settings.map(|name| number(answer, &format!("/{name}"))),
                values.map(f64::from)
            );
        }
    }
}

const REASONS: [&str; 4] = ["/not_reused", "/aged", "/resized", "/discarded"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_pages_that_leave_the_pool_are_counted_by_reason() {
    let world = World::new().await;
    let evictions = async || call(&world, "storage.get_eviction_stats", json!({})).await;
    let moved = |before: &Value, after: &Value, field: &str| number(after, field) - number(before, field);
    let id = tablespace(&world, "left").await;
    allocate_many(&world, id, 300).await;
    let before = evictions().await;
    call(
        &world,
        "storage.update_buffer_config",
        json!({"size_bytes": 1 << 20}),
    )
    .await;
    let shrunk = evictions().await;
    let frames = 128.0;
    assert!(moved(&before, &shrunk, "/resized") >= 300.0 - frames, "{shrunk}");

    without_background(&world).await;
    let ids = allocate_many(&world, id, 300).await;
    let flooded = evictions().await;
    assert!(moved(&shrunk, &flooded, "/not_reused") >= 150.0, "{flooded}");
    for field in ["/victims_written", "/searches", "/frames_scanned"] {
        assert!(moved(&shrunk, &flooded, field) >= 1.0, "{field}: {flooded}");
    }
    assert!(number(&flooded, "/ghost_queue_pages") > 0.0, "{flooded}");
    let queues = number(&flooded, "/small_queue_pages") + number(&flooded, "/main_queue_pages");
    assert!(queues > frames / 2.0 && queues <= frames, "{flooded}");

    // What is used again comes into the main queue, and leaves it when others are.
    let fetch = async |ids: &[u64]| {
        for id in ids {
            call(&world, "storage.fetch_page", json!({"id": id})).await;
        }
    };
    for _ in 0..3 {
        fetch(&ids[..60]).await;
    }
    let reused = evictions().await;
    assert_ne!(
        number(&reused, "/main_queue_pages"),
        number(&flooded, "/main_queue_pages")
    );
    let begun = Instant::now();
    loop {
        for part in ids.chunks(50) {
            fetch(part).await;
            fetch(part).await;
        }
        let now = evictions().await;
        if moved(&reused, &now, "/aged") >= 1.0 {
            assert_ne!(
                number(&now, "/small_queue_pages"),
                number(&shrunk, "/small_queue_pages")
            );
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{now}");
    }
    let before = evictions().await;
    let extra = tablespace(&world, "given_back").await;
    allocate(&world, extra).await;
    call(&world, "storage.delete_tablespace", json!({"id": extra})).await;
    let after = evictions().await;
    assert!(moved(&before, &after, "/discarded") >= 1.0, "{after}");
    let all: f64 = REASONS.iter().map(|field| number(&after, field)).sum();
    let sum = number(&stats(&world).await, "/evictions");
    assert!(sum >= all && sum <= all + 50.0, "{sum} and {all}");
}
