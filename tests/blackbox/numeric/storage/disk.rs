//! Requests to the disk, and the room on it.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{call, number, table};
use super::{PAGE_BYTES, allocate, allocate_many, flush, insert, tablespace, without_background};
use crate::harness::server::Server;
use crate::harness::world::World;

async fn stats(world: &World) -> Value {
    call(world, "storage.get_io_stats", json!({})).await
}

/// The latencies of a kind of request fit each other and the time that was there.
fn check_latency(stats: &Value, kind: &str, most: Duration) {
    let told = ["mean_us", "p50_us", "p99_us", "max_us"]
        .map(|field| number(stats, &format!("/{kind}/latency/{field}")));
    let [mean, p50, p99, max] = told;
    let most_us = most.as_micros() as f64;
    assert!(
        0.0 < mean && mean <= max && max <= most_us,
        "{kind}: {told:?} of {most_us}"
    );
    // The quantiles are bounds from above.
    assert!(
        0.0 < p50 && p50 <= p99 && p99 <= 2.0 * max.max(1.0),
        "{kind}: {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_requests_to_the_disk_are_counted_and_timed() {
    let world = World::new().await;
    let id = tablespace(&world, "asked").await;
    let ids = allocate_many(&world, id, 4).await;
    without_background(&world).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let image = call(&world, "storage.read_page", json!({"id": ids[0]})).await["data"].clone();
    call(&world, "storage.reset_io_stats", json!({})).await;
    let begun = Instant::now();
    let zero = stats(&world).await;
    for kind in ["reads", "writes", "syncs"] {
        assert_eq!(number(&zero, &format!("/{kind}/requests")), 0.0, "{zero}");
        assert!(zero[kind].get("latency").is_none(), "{zero}");
    }
    for _ in 0..10 {
        call(&world, "storage.read_page", json!({"id": ids[1]})).await;
    }
    let read = stats(&world).await;
    assert_eq!(number(&read, "/reads/requests"), 10.0);
    assert_eq!(number(&read, "/reads/bytes"), 10.0 * PAGE_BYTES);
    check_latency(&read, "reads", begun.elapsed());
    for _ in 0..3 {
        call(&world, "storage.write_page", json!({"id": ids[0], "data": image})).await;
    }
    let written = stats(&world).await;
    assert_eq!(number(&written, "/writes/requests"), 3.0);
    assert_eq!(number(&written, "/writes/bytes"), 3.0 * PAGE_BYTES);
    assert_eq!(number(&written, "/syncs/requests"), 3.0);
    for kind in ["writes", "syncs"] {
        check_latency(&written, kind, begun.elapsed());
    }
    call(&world, "storage.reset_io_stats", json!({})).await;
    assert_eq!(number(&stats(&world).await, "/writes/requests"), 0.0);
}

/// The file of the first pages of a raw tablespace.
fn file_of(data_dir: &Path, tablespace: u64) -> PathBuf {
    data_dir.join(format!("store/tablespaces/{tablespace:05}/0000.pages"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_failures_and_corrupt_pages_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let id = tablespace(&world, "damaged").await;
    let ids = allocate_many(&world, id, 20).await;
    for id in &ids {
        insert(&world, *id, 100).await;
        flush(&world, *id).await;
    }
    tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    let path = file_of(&crate::harness::server::data_dir(folder.path()), id);
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    for id in &ids[3..5] {
        let place = id % (1 << 32) * PAGE_BYTES as u64 + 8000;
        file.seek(SeekFrom::Start(place)).unwrap();
        file.write_all(b"not this").unwrap();
    }
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    call(
        &world,
        "storage.update_prefetch_config",
        json!({"enabled": false}),
    )
    .await;
    let admin = world.credential("admin");
    let counts = async || {
        let stats = stats(&world).await;
        [number(&stats, "/corrupt_pages"), number(&stats, "/failures")]
    };
    assert_eq!(counts().await, [0.0, 0.0]);
    for id in &ids[3..5] {
        let [before, _] = counts().await;
        let refused = world.call("storage.fetch_page", &json!({"id": id}), &admin).await;
        let error = refused.unwrap_err();
        assert_eq!(error.code, "PAGE_CORRUPT");
        assert_eq!(number(&error.details.unwrap(), "/page_id"), *id as f64);
        assert_eq!(counts().await, [before + 1.0, 0.0]);
        let verdict = call(&world, "storage.verify_page", json!({"id": id})).await;
        assert_eq!(verdict["sound"], false);
        call(&world, "storage.update_page_checksum", json!({"id": id})).await;
        let verdict = call(&world, "storage.verify_page", json!({"id": id})).await;
        assert_eq!(verdict["sound"], true);
    }
    let [corrupt, _] = counts().await;
    // What the file held behind its new end can't be read.
    let length = std::fs::metadata(&path).unwrap().len();
    file.set_len(ids[10] % (1 << 32) * PAGE_BYTES as u64).unwrap();
    for failures in [1.0, 2.0] {
        let refused = world
            .call("storage.read_page", &json!({"id": ids[15]}), &admin)
            .await;
        assert_eq!(refused.unwrap_err().code, "STORAGE_FAILURE");
        assert_eq!(counts().await, [corrupt, failures]);
    }
    file.set_len(length).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_rates_are_those_of_the_window() {
    let world = World::new().await;
    let id = tablespace(&world, "busy").await;
    let page = allocate(&world, id).await;
    without_background(&world).await;
    flush(&world, page).await;
    let image = call(&world, "storage.read_page", json!({"id": page})).await["data"].clone();
    let rates = async |window_ms: u64| {
        let told = call(&world, "storage.get_iops", json!({"window_ms": window_ms})).await;
        let window = number(&told, "/window_ms");
        assert!(
            (window_ms as f64..window_ms as f64 + 500.0).contains(&window),
            "{told}"
        );
        ["/reads_per_second", "/writes_per_second", "/syncs_per_second"].map(|field| number(&told, field))
    };
    let idle = rates(300).await;
    let begun = Instant::now();
    let work = async {
        let (mut reads, mut writes) = (0_u32, 0_u32);
        while begun.elapsed() < Duration::from_millis(1500) {
            call(&world, "storage.read_page", json!({"id": page})).await;
            call(&world, "storage.read_page", json!({"id": page})).await;
            call(&world, "storage.write_page", json!({"id": page, "data": image})).await;
            (reads, writes) = (reads + 2, writes + 1);
        }
        let seconds = begun.elapsed().as_secs_f64();
        [f64::from(reads) / seconds, f64::from(writes) / seconds]
    };
    let (told, [reads, writes]) = tokio::join!(rates(1000), work);
    for (told, done) in [(told[0], reads), (told[1], writes), (told[2], writes)] {
        assert!(
            told > done / 3.0 && told < 3.0 * done + 10.0,
            "{told} told, {done} done"
        );
    }
    assert!(
        idle.iter().zip(told).all(|(idle, busy)| *idle < busy),
        "{idle:?} {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_writes_wait_for_their_neighbours() {
    let world = World::new().await;
    without_background(&world).await;
    let id = tablespace(&world, "staged").await;
    let ids = allocate_many(&world, id, 9).await;
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    let mut images = Vec::new();
    for id in &ids {
        images.push(call(&world, "storage.read_page", json!({"id": id})).await["data"].clone());
    }
    let stage = async |at: usize| {
        let input = json!({"id": ids[at], "data": images[at]});
        let staged = call(&world, "storage.write_page_coalesced", input).await;
        number(&staged, "/staged")
    };
    let flush = async || {
        let flushed = call(&world, "storage.flush_coalesced_writes", json!({})).await;
        [number(&flushed, "/pages"), number(&flushed, "/requests")]
    };
    assert_eq!(
        [stage(2).await, stage(0).await, stage(1).await, stage(0).await],
        [1.0, 2.0, 3.0, 3.0]
    );
    assert_eq!(flush().await, [3.0, 1.0]);
    assert_eq!([stage(3).await, stage(8).await], [1.0, 2.0]);
    assert_eq!(flush().await, [2.0, 2.0]);
    assert_eq!(flush().await, [0.0, 0.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_queued_requests_are_carried_out_by_priority() {
    let world = World::new().await;
    let id = tablespace(&world, "queued").await;
    let ids = allocate_many(&world, id, 10).await;
    for (at, priority) in [(9, "low"), (1, "normal"), (5, "critical"), (3, "high")] {
        let input = json!({"id": ids[at], "priority": priority});
        call(&world, "storage.submit_async_read", input).await;
    }
    for (expected, waiting) in [(vec![5], 3.0), (vec![3, 1], 1.0), (vec![9], 0.0), (vec![], 0.0)] {
        let most = expected.len().max(1);
        let done = call(&world, "storage.process_io_queue", json!({"requests_max": most})).await;
        assert_eq!(number(&done, "/waiting"), waiting, "{done}");
        let outcomes = done["outcomes"].as_array().unwrap();
        let pages: Vec<f64> = outcomes.iter().map(|outcome| number(outcome, "/id")).collect();
        let expected: Vec<f64> = expected.iter().map(|at| ids[*at] as f64).collect();
        assert_eq!(pages, expected);
        assert!(
            outcomes.iter().all(|outcome| outcome.get("error").is_none()),
            "{done}"
        );
    }
}

/// What the background writes, it does not sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_files_are_synced_when_something_was_written() {
    let world = World::new().await;
    let sync = async || number(&call(&world, "storage.sync_disk", json!({})).await, "/files");
    let ids = [
        tablespace(&world, "synced").await,
        tablespace(&world, "too").await,
    ];
    let pages = [allocate(&world, ids[0]).await, allocate(&world, ids[1]).await];
    call(&world, "storage.flush_buffer_pool", json!({})).await;
    sync().await;
    assert_eq!(sync().await, 0.0);
    for page in pages {
        insert(&world, page, 10).await;
    }
    let begun = Instant::now();
    loop {
        let found = [
            super::page(&world, pages[0]).await,
            super::page(&world, pages[1]).await,
        ];
        if found.iter().all(|page| page["dirty"] == false) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sync().await, 2.0);
    assert_eq!(sync().await, 0.0);
}

/// Bytes in all and those that can be used, of the device that holds a folder, as `df` tells them.
fn room(folder: &Path) -> [f64; 2] {
    let output = Command::new("df")
        .args(["--block-size=1", "--output=size,avail"])
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.lines().nth(1).unwrap().split_whitespace();
    [(); 2].map(|()| numbers.next().unwrap().parse().unwrap())
}

fn bytes_of(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len() as f64)
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_room_on_the_device_is_what_the_system_says() {
    const TAKEN: f64 = 2_147_483_648.0;
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let told = async || {
        let status = call(&world, "storage.get_status", json!({})).await;
        let disks = call(&world, "storage.list_disks", json!({})).await;
        let fields = [
            "/total_bytes",
            "/available_bytes",
            "/used_bytes",
            "/usage_percent",
        ];
        let [total, available, used, percent] = fields.map(|field| number(&status, field));
        assert_eq!(used, total - available);
        assert!((percent - 100.0 * used / total).abs() < 1e-9, "{status}");
        assert_eq!(number(&disks, "/disks/0/total_bytes"), total);
        [
            total,
            available,
            number(&disks, "/disks/0/available_bytes"),
            used,
            percent,
        ]
    };
    // Others use the device too.
    let near = |told: f64, expected: f64| (told - expected).abs() < TAKEN / 4.0;
    let before = told().await;
    let [total, available] = room(folder.path());
    assert_eq!(before[0], total);
    assert!(
        near(before[1], available) && near(before[2], available),
        "{before:?} {available}"
    );
    let file = folder.path().join("taken");
    let made = Command::new("fallocate")
        .args(["--length", "2GiB"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    let after = told().await;
    std::fs::remove_file(file).unwrap();
    assert!(
        near(before[1] - after[1], TAKEN) && near(before[2] - after[2], TAKEN),
        "{before:?} {after:?}"
    );
    assert!(
        near(after[3] - before[3], TAKEN) && after[4] > before[4],
        "{before:?} {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_status_tells_what_the_data_takes() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let status = async || {
        let status = call(&world, "storage.get_status", json!({})).await;
        [
            "/tablespaces_bytes",
            "/rows_bytes",
            "/indexes_bytes",
            "/wal_bytes",
        ]
        .map(|field| number(&status, field))
    };
    let before = status().await;
    assert_eq!([before[1], before[2]], [0.0, 0.0]);
    let input = json!({"name": "large", "pages": 1024});
    call(&world, "storage.create_tablespace", input).await;
    table(&world, "t", 100).await;
    let with_rows = status().await;
    assert!(with_rows[0] - before[0] >= 1024.0 * PAGE_BYTES);
    let measured = call(&world, "database.get_table_stats", json!({"name": "t"})).await;
    assert_eq!(with_rows[1], number(&measured, "/rows_bytes"));
    let input = json!({"name": "by_name", "table": "t", "columns": ["name"]});
    call(&world, "indexes.create", input).await;
    let measured = call(&world, "indexes.get_stats", json!({"name": "by_name"})).await;
    assert_eq!(status().await[2], number(&measured, "/size_bytes"));

    let wal = world.server.data_dir().join("store/wal");
    assert_eq!(status().await[3], bytes_of(&wal));
    let begun = Instant::now();
    table(&world, "long", 0).await;
    let text = "x".repeat(4000);
    for first in (1000..).step_by(1000) {
        let rows: Vec<Value> = (first..first + 1000)
            .map(|id| json!({"id": id, "name": text}))
            .collect();
        call(
            &world,
            "database.insert_rows",
            json!({"name": "long", "rows": rows}),
        )
        .await;
        if status().await[3] > before[3] {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the log does not grow");
    }
}
