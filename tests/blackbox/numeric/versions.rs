//! States of the past, and the versions that they keep.

use serde_json::{Value, json};

use super::{call, number};
use crate::harness::server::Server;
use crate::harness::world::World;

const TABLE: &str = "versions";

async fn run(world: &World, sql: &str) -> Value {
    call(
        world,
        "sql.execute_query",
        json!({"sql": sql, "format": "arrays"}),
    )
    .await
}

async fn three_rows(world: &World) {
    run(world, "CREATE TABLE versions (id bigint PRIMARY KEY, n integer)").await;
    run(world, "INSERT INTO versions VALUES (1, 1), (2, 1), (3, 1)").await;
}

async fn status(world: &World) -> Value {
    call(world, "transactions.get_mvcc_status", json!({"table": TABLE})).await
}

fn versions(status: &Value) -> (f64, f64) {
    (number(status, "/live_versions"), number(status, "/dead_versions"))
}

/// A position as one number.
fn lsn(answer: &Value, field: &str) -> u64 {
    let text = answer[field].as_str().unwrap();
    let (high, low) = text.split_once('/').unwrap();
    let part = |digits| u64::from_str_radix(digits, 16).unwrap();
    part(high) << 32 | part(low)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_versions_are_kept_as_long_as_the_server_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (retention_ms, dead) in [(3_600_000, 8.0), (0, 0.0)] {
        let folder = folder.path().join(retention_ms.to_string());
        std::fs::create_dir(&folder).unwrap();
        let retention = retention_ms.to_string();
        let server = Server::start_in(&folder, &["--version-retention-ms", &retention]);
        let world = World::reopened(server).await;
        three_rows(&world).await;
        let begun = status(&world).await;
        assert_eq!(versions(&begun), (3.0, 0.0));
        assert_eq!(number(&begun, "/retention_ms"), f64::from(retention_ms));
        run(&world, "UPDATE versions SET n = 2").await;
        run(&world, "UPDATE versions SET n = 3").await;
        run(&world, "DELETE FROM versions WHERE id = 3").await;
        let vacuumed = call(&world, "transactions.vacuum", json!({"table": TABLE})).await;
        assert_eq!(number(&vacuumed, "/tables"), 1.0);
        let done = status(&world).await;
        // Of nine versions and the mark of the deleted row two are rows.
        assert_eq!(versions(&done), (2.0, dead));
        assert!(lsn(&done, "newest_lsn") >= lsn(&begun, "newest_lsn") + 3);
        let oldest = lsn(&done, "oldest_readable_lsn");
        match retention_ms {
            0 => {
                assert_eq!(oldest, lsn(&done, "newest_lsn"));
                // The versions of the rows, some as they were replaced and the rest by the vacuum.
                let removed = number(&done, "/versions_removed") - number(&begun, "/versions_removed");
                let bytes = number(&done, "/bytes_removed") - number(&begun, "/bytes_removed");
                assert!(removed >= 8.0, "{removed}");
                assert!(bytes >= 8.0 * removed, "{bytes} bytes of {removed}");
            }
            _ => {
                assert!(oldest < lsn(&begun, "newest_lsn"), "{done}");
                let first = call(
                    &world,
                    "sql.execute_query",
                    json!({"sql": "SELECT n FROM versions", "format": "arrays", "as_of_lsn": begun["newest_lsn"]}),
                );
                assert_eq!(first.await["rows"], json!([[1], [1], [1]]));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_snapshots_keep_what_they_show() {
    let world = World::new().await;
    three_rows(&world).await;
    let before = status(&world).await;
    let kept = call(&world, "transactions.create_snapshot", json!({"name": "kept"})).await;
    assert_eq!(kept["lsn"], before["newest_lsn"]);
    for n in 2..12 {
        run(&world, &format!("UPDATE versions SET n = {n}")).await;
    }
    let vacuumed = call(&world, "transactions.vacuum", json!({"table": TABLE})).await;
    // Of each row the version before the newest; older ones went as the row was written.
    assert_eq!(number(&vacuumed, "/versions_removed"), 3.0);
    assert!(
        (3.0 * 8.0..3.0 * 64.0).contains(&number(&vacuumed, "/bytes_removed")),
        "{vacuumed}"
    );
    assert!(number(&vacuumed, "/duration_ms") > 0.0);
    let with = status(&world).await;
    assert_eq!(versions(&with), (3.0, 3.0));
    assert_eq!(
        number(&with, "/named_snapshots"),
        number(&before, "/named_snapshots") + 1.0
    );
    assert_eq!(with["oldest_kept_lsn"], kept["lsn"]);
    // What the server reads for itself at times has ended.
    while number(&status(&world).await, "/open_snapshots") > 0.0 {}
    let begun = call(&world, "transactions.begin", json!({"as_of_snapshot": "kept"})).await;
    assert!(number(&status(&world).await, "/open_snapshots") >= 1.0);
    let input = json!({"sql": "SELECT sum(n) FROM versions", "format": "arrays", "transaction_id": begun["transaction_id"]});
    assert_eq!(
        call(&world, "sql.execute_query", input).await["rows"],
        json!([[3]])
    );
    call(
        &world,
        "transactions.rollback",
        json!({"id": begun["transaction_id"]}),
    )
    .await;
    call(&world, "transactions.drop_snapshot", json!({"name": "kept"})).await;
    let vacuumed = call(&world, "transactions.vacuum", json!({})).await;
    assert_eq!(number(&vacuumed, "/versions_removed"), 3.0);
    let without = status(&world).await;
    assert_eq!(versions(&without), (3.0, 0.0));
    assert_eq!(
        number(&without, "/named_snapshots"),
        number(&before, "/named_snapshots")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_there_are_64_named_snapshots_at_most() {
    let world = World::new().await;
    for name in 0..64 {
        call(
            &world,
            "transactions.create_snapshot",
            json!({"name": name.to_string()}),
        )
        .await;
    }
    let input = json!({"name": "another"});
    let credential = world.credential("admin");
    let refused = world
        .call("transactions.create_snapshot", &input, &credential)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.status),
        ("TOO_MANY_SNAPSHOTS", 409)
    );
    let page = call(&world, "transactions.list_snapshots", json!({"limit": 50})).await;
    assert_eq!(page["snapshots"].as_array().unwrap().len(), 50);
    let rest = call(
        &world,
        "transactions.list_snapshots",
        json!({"after": page["next"]}),
    )
    .await;
    assert_eq!(rest["snapshots"].as_array().unwrap().len(), 14);
    assert_eq!(number(&status_of_all(&world).await, "/named_snapshots"), 64.0);
}

async fn status_of_all(world: &World) -> Value {
    call(world, "transactions.get_mvcc_status", json!({})).await
}
