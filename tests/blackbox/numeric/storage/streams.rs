//! What is told of pages, the buffer pool and the disk as it happens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{call, number, table};
use super::{PAGE_BYTES, TABLESPACE, allocate, allocate_many, flush, insert, tablespace, without_background};
use crate::harness::contract::view;
use crate::harness::watch::{Event, Transport, Watcher};
use crate::harness::world::World;

/// Far longer than any event here takes.
const WITHIN: Duration = Duration::from_secs(60);

async fn watch(world: &World, id: &str, input: Value) -> Watcher {
    let credential = world.credential("admin");
    Watcher::open(Transport::Rpc, world.base_url(), view(id), &input, &credential)
        .await
        .unwrap()
}

async fn next(watcher: &mut Watcher) -> Event {
    tokio::time::timeout(WITHIN, watcher.event())
        .await
        .expect("an event is missing")
}

/// The next event of that name.
async fn named(watcher: &mut Watcher, name: &str) -> Value {
    loop {
        let event = next(watcher).await;
        if event.name == name {
            return event.data;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_events_of_pages_name_the_pages() {
    let world = World::new().await;
    let space = tablespace(&world, "watched").await;
    let other = tablespace(&world, "other").await;
    let mut watcher = watch(&world, "storage.page_events", json!({"tablespace": space})).await;
    allocate(&world, other).await;
    for _ in 0..2 {
        let id = &allocate(&world, space).await;
        let told = named(&mut watcher, "PageAllocated").await;
        assert_eq!(told, json!({"page_id": id}));
        for _ in 0..4 {
            insert(&world, *id, 30).await;
            let told = named(&mut watcher, "PageModified").await;
            assert_eq!(told, json!({"page_id": id, "operation": "insert_record"}));
        }
        for (slot, bytes) in [(1, 30), (2, 12)] {
            if bytes < 30 {
                let data = json!({"id": id, "slot": slot, "data": "AAAAAAAAAAAAAAAAAAAAAAAA"});
                call(&world, "storage.update_record", data).await;
            } else {
                call(&world, "storage.delete_record", json!({"id": id, "slot": slot})).await;
            }
            call(&world, "storage.compact_page", json!({"id": id})).await;
            let told = named(&mut watcher, "PageCompacted").await;
            assert_eq!(told, json!({"page_id": id, "bytes_reclaimed": bytes}));
        }
        let split = call(&world, "storage.split_page", json!({"id": id})).await;
        let new = &split["new_page"];
        let told = named(&mut watcher, "PageSplit").await;
        assert_eq!(
            told,
            json!({"original_page_id": id, "new_page_id": new, "reason": "raw"})
        );
        call(&world, "storage.merge_pages", json!({"into": id, "from": new})).await;
        let told = named(&mut watcher, "PageMerged").await;
        assert_eq!(told, json!({"page_id": id, "from_page_id": new}));
    }
}

/// Pages of trees split and merge as those of clients do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_events_of_pages_tell_of_tables_too() {
    let world = World::new().await;
    let columns = json!([{"name": "id", "type": "text"}]);
    let input = json!({"name": "grown", "columns": columns, "primary_key": ["id"]});
    call(&world, "database.create_table", input).await;
    let mut trees = watch(&world, "indexes.index_events", json!({"tables": ["grown"]})).await;
    let mut pages = watch(&world, "storage.page_events", json!({"tablespace": 0})).await;
    for sql in [
        "INSERT INTO grown SELECT repeat('x', 1000) || value FROM generate_series(1000, 1200)",
        "DELETE FROM grown WHERE right(id, 4) > '1000'",
    ] {
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
    }
    let mut reasons = BTreeSet::new();
    for (of_tree, of_page) in [("BtreeSplit", "PageSplit"), ("BtreeMerge", "PageMerged")] {
        let of_tree = named(&mut trees, of_tree).await;
        let (page, other) = match of_page {
            "PageSplit" => ("original_page_id", ("new_page_id", "new_node_id")),
            _ => ("page_id", ("from_page_id", "from_node_id")),
        };
        loop {
            let told = named(&mut pages, of_page).await;
            if let Some(reason) = told["reason"].as_str() {
                reasons.insert(reason.to_owned());
            }
            if told[page] == of_tree["node_id"] {
                assert_eq!(told[other.0], of_tree[other.1]);
                break;
            }
        }
    }
    assert!(reasons.contains("leaf_full"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_events_of_the_pool_name_pages_and_count_pins() {
    let world = World::new().await;
    let space = tablespace(&world, "pinned").await;
    let ids = allocate_many(&world, space, 2).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let input = json!({
        "tablespace": space, "events": ["PagePinned", "PageUnpinned", "PageFlushed", "PageEvicted"],
    });
    let mut watcher = watch(&world, "storage.buffer_pool_events", input).await;
    let mut told = async || {
        let event = next(&mut watcher).await;
        (event.name, event.data)
    };
    for id in &ids {
        for (operation, name, pins) in [
            ("storage.pin_page", "PagePinned", 1),
            ("storage.pin_page", "PagePinned", 2),
            ("storage.unpin_page", "PageUnpinned", 1),
            ("storage.unpin_page", "PageUnpinned", 0),
        ] {
            call(&world, operation, json!({"page_id": id})).await;
            assert_eq!(
                told().await,
                (name.to_owned(), json!({"page_id": id, "pin_count": pins}))
            );
        }
        insert(&world, *id, 10).await;
        flush(&world, *id).await;
        assert_eq!(told().await, ("PageFlushed".to_owned(), json!({"page_id": id})));
    }
    let pinned = json!({"tablespace": space, "pinned": true});
    let pinned = call(&world, "storage.allocate_page", pinned).await["id"].clone();
    loop {
        let (name, data) = told().await;
        if name == "PagePinned" {
            assert_eq!(data, json!({"page_id": pinned, "pin_count": 1}));
            break;
        }
    }
    call(&world, "storage.delete_tablespace", json!({"id": space})).await;
    let mut left = BTreeSet::new();
    while !ids.iter().all(|id| left.contains(id)) {
        let (name, data) = told().await;
        if name == "PageEvicted" {
            assert_eq!(data["reason"], "discarded");
            left.insert(data["page_id"].as_u64().unwrap());
        }
    }
}

/// Makes every page leave that nobody uses, and room for all again.
async fn empty_pool(world: &World) {
    let config = call(world, "storage.get_buffer_config", json!({})).await;
    for bytes in [json!(131_072), config["size_bytes"].clone()] {
        call(
            world,
            "storage.update_buffer_config",
            json!({"size_bytes": bytes}),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_hits_and_misses_are_told_with_their_count() {
    let world = World::new().await;
    call(
        &world,
        "storage.update_prefetch_config",
        json!({"enabled": false}),
    )
    .await;
    let space = tablespace(&world, "read").await;
    let ids = allocate_many(&world, space, 60).await;
    without_background(&world).await;
    let input = json!({"interval_ms": 100, "events": ["PageHit", "PageMiss"]});
    let mut watcher = watch(&world, "storage.buffer_pool_events", input).await;
    for (name, pages) in [("PageMiss", 60), ("PageMiss", 40), ("PageHit", 30)] {
        empty_pool(&world).await;
        let chosen = &ids[..pages];
        let before = call(&world, "storage.get_buffer_pool_stats", json!({})).await;
        let fetch = async || {
            for id in chosen {
                call(&world, "storage.fetch_page", json!({"id": id})).await;
            }
        };
        fetch().await;
        if name == "PageHit" {
            fetch().await;
        }
        let after = call(&world, "storage.get_buffer_pool_stats", json!({})).await;
        let field = if name == "PageHit" { "/hits" } else { "/misses" };
        let moved = number(&after, field) - number(&before, field);
        // A few pages had room in the small pool.
        assert!(moved >= pages as f64 - 25.0, "{moved} of {pages}");
        let mut count = 0.0;
        while count < moved {
            let told = named(&mut watcher, name).await;
            assert!(number(&told, "/count") > 0.0, "{told}");
            assert!(told["page_id"].is_u64(), "{told}");
            count += number(&told, "/count");
        }
    }
    // One of the pages that are read is named: now and then it is of the tablespace that a client reads.
    let other = tablespace(&world, "read_too").await;
    let other_ids = allocate_many(&world, other, 60).await;
    for (space, id) in [(space, ids[7]), (other, other_ids[7])] {
        for name in ["PageHit", "PageMiss"] {
            let begun = Instant::now();
            loop {
                empty_pool(&world).await;
                for _ in 0..2 {
                    call(&world, "storage.fetch_page", json!({"id": id})).await;
                }
                let told = named(&mut watcher, name).await;
                if (number(&told, "/page_id") / TABLESPACE).floor() == space as f64 {
                    break;
                }
                assert!(begun.elapsed() < WITHIN, "{told}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_state_of_the_pool_is_told_in_intervals() {
    let world = World::new().await;
    without_background(&world).await;
    let input = json!({"interval_ms": 50, "events": ["PoolStats"]});
    let mut events = watch(&world, "storage.buffer_pool_events", input).await;
    let mut metrics = watch(&world, "storage.buffer_pool_metrics", json!({"interval_ms": 50})).await;
    let space = tablespace(&world, "state").await;
    for bytes in [4_194_304.0, 8_388_608.0] {
        let size = json!({"size_bytes": bytes as u64});
        let before = call(&world, "storage.get_buffer_pool_stats", json!({})).await;
        call(&world, "storage.update_buffer_config", size).await;
        let ids = allocate_many(&world, space, 20).await;
        empty_pool(&world).await;
        for id in &ids[..10] {
            call(&world, "storage.fetch_page", json!({"id": id})).await;
            insert(&world, *id, 10).await;
        }
        let asked = call(&world, "storage.get_buffer_pool_stats", json!({})).await;
        for field in ["/hits", "/misses", "/evictions"] {
            assert!(number(&asked, field) > number(&before, field), "{field}: {asked}");
        }
        for (watcher, ratio) in [(&mut events, "/hit_rate"), (&mut metrics, "/hit_ratio")] {
            // What was told before the answer comes first.
            let told = loop {
                let told = next(watcher).await.data;
                if number(&told, "/cache_hits") >= number(&asked, "/hits") {
                    break told;
                }
            };
            assert_eq!(number(&told, "/size_bytes"), bytes);
            assert_eq!(number(&told, "/total_pages"), bytes / PAGE_BYTES);
            assert!(number(&told, "/dirty_pages") >= 10.0, "{told}");
            for (field, same) in [("/cache_misses", "/misses"), ("/evictions", "/evictions")] {
                assert!(number(&told, field) >= number(&asked, same), "{field}: {told}");
                assert!(
                    number(&told, field) <= number(&asked, same) + 50.0,
                    "{field}: {told}"
                );
            }
            let (hits, misses) = (number(&told, "/cache_hits"), number(&told, "/cache_misses"));
            let expected = hits / (hits + misses);
            assert!((number(&told, ratio) - expected).abs() < 1e-9, "{told}");
            let free = number(&told, "/free_pages");
            assert!(free > 0.0 && free < number(&told, "/total_pages"), "{told}");
            if ratio == "/hit_rate" {
                assert_eq!(number(&told, "/used_pages") + free, number(&told, "/total_pages"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_requests_are_told_with_their_pages_and_bytes() {
    let world = World::new().await;
    let space = tablespace(&world, "asked").await;
    let ids = allocate_many(&world, space, 4).await;
    without_background(&world).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let mut images = Vec::new();
    for id in &ids {
        images.push(call(&world, "storage.read_page", json!({"id": id})).await["data"].clone());
    }
    let input = json!({
        "tablespace": space, "interval_ms": 60000, "latency_threshold_us": 2,
        "events": ["ReadStarted", "WriteStarted", "ReadCompleted", "WriteCompleted", "VectoredRead", "VectoredWrite"],
    });
    let mut watcher = watch(&world, "storage.io_events", input).await;
    let spikes = json!({"tablespace": space, "latency_threshold_us": 2, "events": ["LatencySpike"]});
    let mut spikes = watch(&world, "storage.io_events", spikes).await;
    let place = |id: u64| (id as f64 % TABLESPACE) * PAGE_BYTES;
    let mut check = async |kind: &str, id: u64, pages: usize, operation: &str, input: Value| {
        let begun = Instant::now();
        call(&world, operation, input).await;
        let most_us = begun.elapsed().as_micros() as f64;
        let bytes = pages as f64 * PAGE_BYTES;
        let started = next(&mut watcher).await;
        assert_eq!(started.name, format!("{kind}Started"));
        assert_eq!(started.data["page_id"], json!(id));
        assert_eq!(number(&started.data, "/offset"), place(id));
        assert_eq!(number(&started.data, "/size"), bytes);
        let done = next(&mut watcher).await;
        assert_eq!(done.data["page_id"], json!(id));
        let latency_us = number(&done.data, "/latency_us");
        assert!(latency_us > 0.0 && latency_us <= most_us + 1.0, "{latency_us}");
        if pages == 1 {
            assert_eq!(done.name, format!("{kind}Completed"));
            assert_eq!(number(&done.data, "/bytes"), bytes);
        } else {
            assert_eq!(done.name, format!("Vectored{kind}"));
            assert_eq!(number(&done.data, "/page_count"), pages as f64);
            assert_eq!(number(&done.data, "/total_bytes"), bytes);
        }
        if latency_us >= 2.0 {
            let spike = named(&mut spikes, "LatencySpike").await;
            assert_eq!(spike["page_id"], json!(id));
            assert_eq!(spike["direction"], kind.to_lowercase());
            assert_eq!(number(&spike, "/latency_us"), latency_us);
            assert_eq!(number(&spike, "/threshold_us"), 2.0);
        }
    };
    for at in [0, 2] {
        check("Read", ids[at], 1, "storage.read_page", json!({"id": ids[at]})).await;
        let write = json!({"id": ids[at], "data": images[at]});
        check("Write", ids[at], 1, "storage.write_page", write).await;
    }
    for (from, pages) in [(0, 2), (1, 3)] {
        let writes: Vec<Value> = (from..from + pages)
            .map(|at| json!({"id": ids[at], "data": images[at]}))
            .collect();
        let writes = json!({"pages": writes});
        check("Write", ids[from], pages, "storage.write_pages", writes).await;
    }
    drop(watcher);
    // Pages that left the pool come back together.
    let mut watcher = watch(
        &world,
        "storage.io_events",
        json!({"tablespace": space, "events": ["VectoredRead"]}),
    )
    .await;
    for pages in [2, 3] {
        let begun = Instant::now();
        call(
            &world,
            "storage.update_buffer_config",
            json!({"size_bytes": 262_144}),
        )
        .await;
        let more = allocate_many(&world, space, 90).await;
        empty_pool(&world).await;
        call(
            &world,
            "storage.update_buffer_config",
            json!({"size_bytes": 8_388_608}),
        )
        .await;
        let chosen = &more[..pages];
        call(&world, "storage.prefetch_pages", json!({"ids": chosen})).await;
        let told = named(&mut watcher, "VectoredRead").await;
        assert_eq!(told["page_id"], json!(chosen[0]), "{told}");
        assert_eq!(number(&told, "/page_count"), pages as f64);
        assert_eq!(number(&told, "/total_bytes"), pages as f64 * PAGE_BYTES);
        let latency_us = number(&told, "/latency_us");
        assert!(
            latency_us > 0.0 && latency_us < begun.elapsed().as_micros() as f64,
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_queue_of_requests_is_told_as_it_changes() {
    let world = World::new().await;
    let space = tablespace(&world, "queued").await;
    let ids = allocate_many(&world, space, 2).await;
    flush(&world, ids[0]).await;
    let image = call(&world, "storage.read_page", json!({"id": ids[0]})).await["data"].clone();
    let events = json!({"events": ["QueueDepthChanged"]});
    let mut watcher = watch(&world, "storage.io_events", events).await;
    let read = ("storage.submit_async_read", json!({"id": ids[1]}));
    let write = ("storage.submit_async_write", json!({"id": ids[0], "data": image}));
    let steps = [
        (&read, [1, 0]),
        (&read, [2, 0]),
        (&write, [2, 1]),
        (&write, [2, 2]),
    ];
    for ((operation, input), [reads, writes]) in steps {
        call(&world, operation, input.clone()).await;
        let told = named(&mut watcher, "QueueDepthChanged").await;
        assert_eq!(told, json!({"reads": reads, "writes": writes}));
    }
    call(&world, "storage.process_io_queue", json!({})).await;
    let empty = json!({"reads": 0, "writes": 0});
    while named(&mut watcher, "QueueDepthChanged").await != empty {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_requests_are_summed_up_in_intervals() {
    let world = World::new().await;
    let space = tablespace(&world, "summed").await;
    let ids = allocate_many(&world, space, 2).await;
    without_background(&world).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let image = call(&world, "storage.read_page", json!({"id": ids[0]})).await["data"].clone();
    call(&world, "storage.reset_io_stats", json!({})).await;
    let input = json!({"interval_ms": 200, "events": ["IoStatistics"]});
    let mut events = watch(&world, "storage.io_events", input).await;
    let mut record = watch(
        &world,
        "storage.io_statistics_stream",
        json!({"interval_ms": 200}),
    )
    .await;
    let input = json!({"interval_ms": 200, "events": ["IopsThresholdBreached"], "iops_threshold": 7});
    let mut breaches = watch(&world, "storage.io_events", input).await;
    for _ in 0..10 {
        call(&world, "storage.read_page", json!({"id": ids[1]})).await;
    }
    for _ in 0..5 {
        let write = json!({"id": ids[0], "data": image});
        call(&world, "storage.write_page", write).await;
    }
    for watcher in [&mut events, &mut record] {
        // Sums of the rates by their seconds are what was asked for.
        let mut sums = [0.0; 4];
        let told = loop {
            let told = next(watcher).await.data;
            let rates = ["reads", "writes", "read_bytes", "write_bytes"];
            for (sum, rate) in sums.iter_mut().zip(rates) {
                *sum += number(&told, &format!("/{rate}_per_sec")) * 0.2;
            }
            if number(&told, "/reads") >= 10.0 && number(&told, "/writes") >= 5.0 {
                break told;
            }
        };
        let counts = ["/reads", "/writes", "/bytes_read", "/bytes_written"];
        let expected = [10.0, 5.0, 10.0 * PAGE_BYTES, 5.0 * PAGE_BYTES];
        assert_eq!(counts.map(|field| number(&told, field)), expected);
        for (sum, expected) in sums.iter().zip(expected) {
            // Intervals may last longer than they are asked to.
            assert!(*sum > 0.0 && *sum <= expected * 1.2, "{sums:?} of {expected}");
        }
        for field in ["/avg_read_latency_us", "/avg_write_latency_us"] {
            let latency_us = number(&told, field);
            assert!(latency_us > 0.0 && latency_us < 1_000_000.0, "{field}: {told}");
        }
    }
    let breach = named(&mut breaches, "IopsThresholdBreached").await;
    assert_eq!(number(&breach, "/threshold"), 7.0);
    let iops = number(&breach, "/iops");
    assert!((7.0..=100.0).contains(&iops), "{breach}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_status_is_told_as_it_changes() {
    let world = World::new().await;
    table(&world, "grown", 0).await;
    let input = json!({"interval_seconds": 1});
    let mut watcher = watch(&world, "storage.storage_status_changes", input).await;
    let first = next(&mut watcher).await.data;
    let index = json!({"name": "grown_name", "table": "grown", "columns": ["name"]});
    call(&world, "indexes.create", index).await;
    let sql = "INSERT INTO grown SELECT value, repeat('x', 500) FROM generate_series(1, 2000)";
    call(&world, "sql.execute_query", json!({"sql": sql})).await;
    for _ in 0..3 {
        call(&world, "transactions.switch_wal_segment", json!({})).await;
        let sql = "UPDATE grown SET name = 'y' || name WHERE id < 3";
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
    }
    let begun = Instant::now();
    let grown = |told: &Value, field: &str| number(told, field) - number(&first, field);
    let sizes = ["/data_size", "/index_size", "/wal_size"];
    let told = loop {
        let told = next(&mut watcher).await.data;
        if sizes.iter().all(|field| grown(&told, field) > 100_000.0) {
            break told;
        }
        assert!(begun.elapsed() < WITHIN, "{told} after {first}");
    };
    for told in [&first, &told] {
        let (total, used) = (number(told, "/total_bytes"), number(told, "/used_bytes"));
        assert!(number(told, "/available_bytes") <= total - used, "{told}");
        let percent = used / total * 100.0;
        assert!((number(told, "/usage_percent") - percent).abs() < 1e-6, "{told}");
    }
    let status = call(&world, "storage.get_status", json!({})).await;
    assert_eq!(status["total_bytes"], told["total_bytes"]);
    assert_eq!(status["rows_bytes"], told["data_size"]);
    assert_eq!(status["indexes_bytes"], told["index_size"]);
}
