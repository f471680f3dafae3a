//! Commits that are answered before they are durable: on a store that syncs only when it is asked to.

use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::SimDisk;
use rustydb_store::testing::kernel_store_with;
use serde_json::{Value, json};

use super::support::{START_US, World};

fn world(async_commits: bool) -> World {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = kernel_store_with(&SimDisk::new(1), clock.clone(), async_commits).unwrap();
    World::on(Arc::new(store), clock)
}

fn insert(id: u64) -> Value {
    json!({"operations": [{"op": "insert", "table": "t", "rows": [{"id": id}]}], "wait_until_durable": false})
}

#[tokio::test]
async fn a_commit_that_is_not_waited_for_is_seen_once_it_is_durable() {
    let world = world(true);
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let answer = world.must("transactions.execute", insert(1)).await;
    assert_eq!(
        (&answer["durable"], &answer["rows_changed"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(world.rows("SELECT id FROM t").await, "[]");
    // Nobody may insert it again: whoever tries waits until it is durable, and finds it.
    let flush = async {
        let waiters = json!({});
        while world
            .must("transactions.list_lock_waiters", waiters.clone())
            .await["waiters"]
            == json!([])
        {
            tokio::task::yield_now().await;
        }
        world.must("transactions.flush_wal", json!({})).await;
    };
    tokio::join!(
        world.fails("transactions.execute", insert(1), "UNIQUE_VIOLATION"),
        flush
    );
    assert_eq!(world.rows("SELECT id FROM t").await, "[[1]]");

    let begun = world.must("transactions.begin", json!({})).await;
    let id = &begun["transaction_id"];
    world
        .must(
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 2}], "transaction_id": id}),
        )
        .await;
    let answer = world
        .must(
            "transactions.commit",
            json!({"id": id, "wait_until_durable": false}),
        )
        .await;
    assert_eq!(
        (&answer["durable"], &answer["rows_changed"]),
        (&json!(false), &json!(1))
    );
    world
        .fails(
            "transactions.rollback",
            json!({"id": id}),
            "TRANSACTION_NOT_ACTIVE",
        )
        .await;
    assert_eq!(world.rows("SELECT count(*) AS n FROM t").await, "[[1]]");
    let flushed = world.must("transactions.flush_wal", json!({})).await;
    assert_eq!(flushed["lsn"], answer["lsn"]);
    assert_eq!(world.rows("SELECT count(*) AS n FROM t").await, "[[2]]");

    // What is waited for makes durable what came before.
    world.must("transactions.execute", insert(3)).await;
    let mut waited = insert(4);
    waited["wait_until_durable"] = json!(true);
    let answer = world.must("transactions.execute", waited).await;
    assert_eq!(answer["durable"], true);
    assert_eq!(
        world.rows("SELECT id FROM t ORDER BY id").await,
        "[[1],[2],[3],[4]]"
    );
    // One that changes nothing has nothing to wait for.
    let begun = world.must("transactions.begin", json!({})).await;
    let commit = json!({"id": begun["transaction_id"], "wait_until_durable": false});
    assert_eq!(world.must("transactions.commit", commit).await["durable"], true);
}

#[tokio::test]
async fn a_store_that_was_not_opened_for_it_refuses_and_changes_nothing() {
    let world = world(false);
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let refused = world
        .fails("transactions.execute", insert(1), "ASYNC_COMMITS_DISABLED")
        .await;
    assert!(refused.message().contains("--async-commits"), "{refused}");
    let begun = world.must("transactions.begin", json!({})).await;
    let id = &begun["transaction_id"];
    let commit = json!({"id": id, "wait_until_durable": false});
    world
        .fails("transactions.commit", commit, "ASYNC_COMMITS_DISABLED")
        .await;
    let committed = world.must("transactions.commit", json!({"id": id})).await;
    assert_eq!(committed["durable"], true, "it was open still");
    assert_eq!(world.rows("SELECT id FROM t").await, "[]");
}
