//! Positions in the write-ahead log, its segments, checkpoints and recovery.

use std::time::Instant;

use serde_json::{Value, json};

use super::{call, named, number, table, watch};
use crate::harness::server::Server;
use crate::harness::watch::Watcher;
use crate::harness::world::World;

const POSITIONS: [&str; 4] = [
    "/oldest_position",
    "/redo_position",
    "/durable_position",
    "/end_position",
];

async fn status(world: &World) -> Value {
    call(world, "transactions.get_wal_status", json!({})).await
}

/// Adds a row of so many bytes.
async fn write(world: &World, bytes: usize) {
    let row = json!({"id": fresh(), "name": "x".repeat(bytes)});
    call(world, "database.insert_rows", json!({"name": "t", "rows": [row]})).await;
}

fn fresh() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Writes a row, ends the segment it is in, and begins another.
async fn fill_segment(world: &World) -> Value {
    write(world, 100).await;
    let switched = call(world, "transactions.switch_wal_segment", json!({})).await;
    write(world, 100).await;
    switched
}

/// Asks until `is_so` holds of the answer.
async fn until(world: &World, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let found = status(world).await;
        if is_so(&found) {
            return found;
        }
        assert!(begun.elapsed().as_secs() < 60, "{found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_log_grows_by_what_is_written() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let mut before = status(&world).await;
    for bytes in [1_000, 100_000] {
        write(&world, bytes).await;
        let after = status(&world).await;
        for field in ["/durable_position", "/end_position", "/bytes_written"] {
            let grown = number(&after, field) - number(&before, field);
            // The row is in the change log and in a page; a page may be there whole, and the directory's besides.
            let most = 4.0 * bytes as f64 + 100_000.0;
            assert!((2.0 * bytes as f64..most).contains(&grown), "{field}: {grown}");
        }
        for field in ["/writes", "/syncs"] {
            assert!(number(&after, field) > number(&before, field), "{field}");
        }
        assert!(number(&after, "/avg_sync_ms") > 0.0);
        assert!(number(&after, "/end_position") >= number(&after, "/durable_position"));
        before = after;
    }
    let flushed = call(&world, "transactions.flush_wal", json!({})).await;
    assert!(number(&flushed, "/durable_position") >= number(&before, "/end_position"));
    write(&world, 5_000).await;
    let later = call(&world, "transactions.flush_wal", json!({})).await;
    assert!(number(&later, "/durable_position") >= number(&flushed, "/durable_position") + 10_000.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_rate_of_the_log_is_what_is_written_in_the_window() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let rate = async |input: Value| {
        let answer = call(&world, "transactions.get_wal_status", input).await;
        number(&answer, "/bytes_per_second")
    };
    assert!(rate(json!({"window_ms": 300})).await < 100_000.0);
    let before = number(&status(&world).await, "/bytes_written");
    let (begun, window_ms) = (Instant::now(), 1_000);
    let (rate, ()) = tokio::join!(rate(json!({"window_ms": window_ms})), async {
        while begun.elapsed().as_millis() < window_ms {
            write(&world, 100_000).await;
        }
    });
    let written = number(&status(&world).await, "/bytes_written") - before;
    assert!(rate > 200_000.0 && rate <= written * 1.1, "{rate} of {written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_checkpoint_moves_where_recovery_begins() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    write(&world, 10_000).await;
    let before = status(&world).await;
    let begun = Instant::now();
    let done = call(&world, "transactions.checkpoint_wal", json!({})).await;
    let took_ms = begun.elapsed().as_secs_f64() * 1_000.0;
    let duration_ms = number(&done, "/duration_ms");
    assert!(duration_ms > 0.0 && duration_ms <= took_ms, "{duration_ms}");
    assert!(number(&done, "/redo_position") >= number(&before, "/end_position"));
    let after = status(&world).await;
    assert_eq!(number(&after, "/redo_position"), number(&done, "/redo_position"));
    assert!(number(&before, "/redo_position") < number(&after, "/redo_position"));
    // Nothing is dirty then; what is written next takes a page at least.
    let idle = call(&world, "transactions.checkpoint_wal", json!({})).await;
    assert_eq!(
        (number(&idle, "/pages_written"), number(&idle, "/files_synced")),
        (0.0, 0.0)
    );
    let mut watcher = events(&world).await;
    write(&world, 10_000).await;
    let done = call(&world, "transactions.checkpoint_wal", json!({})).await;
    assert_eq!(number(&done, "/files_synced"), 1.0);
    let told = named(&mut watcher, "WalCheckpoint").await;
    assert_eq!(number(&told, "/position"), number(&done, "/redo_position"));
    for field in ["/pages_written", "/files_synced"] {
        assert_eq!(number(&told, field), number(&done, field), "{field}");
    }
    let told_ms = number(&told, "/duration_ms");
    assert!(
        told_ms > 0.0 && told_ms <= number(&done, "/duration_ms"),
        "{told_ms}"
    );
}

/// The server writes pages by itself too: pages that a checkpoint finds are counted at a moment when it had no time to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_checkpoint_counts_the_pages_it_writes() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let mut most: f64 = 0.0;
    for _ in 0..50 {
        write(&world, 100_000).await;
        let done = call(&world, "transactions.checkpoint_wal", json!({})).await;
        most = most.max(number(&done, "/pages_written"));
        if most > 12.0 {
            return;
        }
    }
    panic!("a row of 13 pages was there, and at most {most} were written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_segments_are_counted_archived_and_taken_off_the_log() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let before = status(&world).await;
    let mut watcher = events(&world).await;
    let listed = async || call(&world, "transactions.list_wal_segments", json!({})).await["segments"].clone();
    assert_eq!(listed().await.as_array().unwrap().len(), 1);
    let mut numbers = Vec::new();
    for done in 1..=3_u64 {
        let switched = fill_segment(&world).await;
        assert_eq!(number(&switched, "/number"), (done + 1) as f64);
        let told = named(&mut watcher, "WalSegmentCreated").await;
        assert_eq!(told["segment_id"], switched["number"]);
        let segments = listed().await;
        let newest = segments.as_array().unwrap().last().unwrap();
        assert_eq!(
            (&newest["number"], &newest["first_position"]),
            (&switched["number"], &switched["first_position"])
        );
        numbers.push(json!(done));
    }
    let segments = listed().await;
    let bytes = number(&segments, "/1/first_position") - number(&segments, "/0/first_position");
    assert_eq!(
        number(&segments, "/2/first_position") - number(&segments, "/1/first_position"),
        bytes
    );
    assert_eq!(number(&segments, "/0/bytes_used"), bytes);
    let used = number(&segments, "/3/bytes_used");
    write(&world, 10_000).await;
    let grown = number(&listed().await, "/3/bytes_used") - used;
    assert!((20_000.0..bytes).contains(&grown), "{grown}");

    let grown = status(&world).await;
    assert_eq!(number(&grown, "/segments"), number(&before, "/segments") + 3.0);
    let files = |status: &Value| number(status, "/segments") + number(status, "/spare_segments");
    // A spare is made in the background.
    let grown = until(&world, |status| number(status, "/spare_segments") > 0.0).await;
    assert_eq!(number(&grown, "/size_bytes"), files(&grown) * bytes);

    let archived = call(&world, "transactions.archive_wal", json!({})).await;
    assert_eq!(archived["segments"], json!(numbers));
    for number in &numbers {
        let told = named(&mut watcher, "WalSegmentArchived").await;
        assert_eq!(told["segment_id"], *number);
    }
    let again = call(&world, "transactions.archive_wal", json!({})).await;
    assert_eq!(again["segments"], json!([]));

    let lsn = status(&world).await["lsn"].clone();
    let truncated = call(&world, "transactions.truncate_wal", json!({"before": lsn})).await;
    assert_eq!(number(&truncated, "/segments_removed"), 3.0);
    let recycled = number(&truncated, "/segments_recycled");
    assert!(recycled > 0.0 && recycled <= 3.0, "{recycled}");
    let mut kept = 0.0;
    for number in &numbers {
        let told = named(&mut watcher, "WalSegmentRemoved").await;
        assert_eq!(told["segment_id"], *number);
        kept += f64::from(u8::from(told["reason"] == "recycled"));
    }
    assert_eq!(kept, recycled);
    let told = named(&mut watcher, "WalTruncate").await;
    assert_eq!(number(&told, "/segments_removed"), 3.0);
    assert_eq!(number(&told, "/first_segment"), 4.0);
    assert!(number(&told, "/position") >= number(&segments, "/3/first_position"));
    let after = status(&world).await;
    assert_eq!(
        number(&truncated, "/oldest_position"),
        number(&segments, "/3/first_position")
    );
    assert_eq!(
        number(&after, "/oldest_position"),
        number(&truncated, "/oldest_position")
    );
    assert_eq!(number(&after, "/segments"), 1.0);
    assert!(number(&after, "/spare_segments") >= recycled);
    let positions = POSITIONS.map(|field| number(&after, field));
    assert!(positions.is_sorted(), "{positions:?}");
    let nothing = call(&world, "transactions.truncate_wal", json!({})).await;
    assert_eq!(
        (
            number(&nothing, "/segments_removed"),
            number(&nothing, "/segments_recycled")
        ),
        (0.0, 0.0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_writes_and_syncs_of_the_log_are_told_with_their_places() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let mut watcher = events(&world).await;
    let mut end = number(&status(&world).await, "/end_position");
    for bytes in [1_000, 50_000] {
        write(&world, bytes).await;
        let written = named(&mut watcher, "WalWrite").await;
        let size = number(&written, "/size_bytes");
        assert!(number(&written, "/position") >= end, "{written}");
        assert!(size >= 2.0 * bytes as f64, "{written}");
        let flushed = named(&mut watcher, "WalFlush").await;
        assert!(number(&flushed, "/latency_us") > 0.0, "{flushed}");
        end = number(&written, "/position") + size;
        assert!(number(&flushed, "/position") <= end, "{flushed} of {written}");
        assert!(
            number(&flushed, "/position") > number(&written, "/position"),
            "{flushed} of {written}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_recovery_counts_what_a_killed_server_left() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    table(&world, "t", 0).await;
    call(&world, "transactions.checkpoint_wal", json!({})).await;
    let before = status(&world).await;
    for _ in 0..20 {
        write(&world, 1_000).await;
    }
    let left = status(&world).await;
    tokio::task::spawn_blocking(|| world.server.kill()).await.unwrap();
    let replay = async |world: &World| call(world, "transactions.get_wal_replay_status", json!({})).await;
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let found = replay(&world).await;
    // The server may have taken another checkpoint meanwhile only if it was asked to.
    assert_eq!(
        number(&found, "/redo_position"),
        number(&before, "/redo_position")
    );
    assert!(number(&found, "/end_position") >= number(&left, "/durable_position"));
    assert!(number(&found, "/groups") >= 20.0, "{found}");
    assert!(number(&found, "/pages") >= 20.0, "{found}");
    assert!(number(&found, "/duration_ms") > 0.0, "{found}");
    // One that ended in order leaves nothing to do.
    tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let found = replay(&world).await;
    assert_eq!((number(&found, "/groups"), number(&found, "/pages")), (0.0, 0.0));
    assert!(number(&found, "/redo_position") > number(&left, "/durable_position"));
}

async fn events(world: &World) -> Watcher {
    watch(world, "transactions.wal_events", json!({})).await
}
