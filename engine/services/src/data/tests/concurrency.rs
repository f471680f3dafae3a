//! Many callers at once, on a store with a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_store::kernel_store::{KernelOptions, KernelStore};
use serde_json::json;

use super::support::{START_US, World};

const WRITERS: u64 = 8;
const INCREMENTS: u64 = 12;

fn on_disk(folder: &tempfile::TempDir) -> World {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = KernelStore::open(
        folder.path(),
        "store",
        clock.clone(),
        &SystemRng,
        KernelOptions::default(),
    )
    .unwrap();
    World::on(Arc::new(store), clock)
}

/// Runs the call of each writer until it is done `INCREMENTS` times, and answers how often it lost for good.
async fn contend(world: &World, id: &'static str, input: serde_json::Value) -> u64 {
    let lost = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (world, input, lost) = (world.clone(), input.clone(), lost.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while done < INCREMENTS {
                    match world.call(id, &input, "admin").await {
                        Ok(_) => done += 1,
                        Err(error) => {
                            assert_eq!(error.code(), "WRITE_CONFLICT", "{error}");
                            lost.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    lost.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_on_one_row_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = on_disk(&folder);
    world
        .sql("CREATE TABLE counters (id bigint PRIMARY KEY, n bigint)")
        .await;
    world.sql("INSERT INTO counters VALUES (1, 0), (2, 0)").await;
    let increment = json!({"sql": "UPDATE counters SET n = n + 1 WHERE id = $1", "params": [1]});
    let lost = contend(&world, "sql.execute_query", increment).await;
    assert_eq!(
        world.rows("SELECT n FROM counters ORDER BY id").await,
        format!("[[{}],[0]]", WRITERS * INCREMENTS)
    );
    // Running again in the server spares most callers the conflict.
    assert!(lost < WRITERS * INCREMENTS, "{lost} lost");
    let batch = json!({"statements": ["UPDATE counters SET n = n + 1 WHERE id = 2", "UPDATE counters SET n = n + 1 WHERE id = 2"]});
    contend(&world, "sql.execute_batch", batch).await;
    assert_eq!(
        world.rows("SELECT n FROM counters ORDER BY id").await,
        format!("[[{}],[{}]]", WRITERS * INCREMENTS, 2 * WRITERS * INCREMENTS)
    );
    let last = world
        .must("sql.execute_query", json!({"sql": "SELECT 1 AS one"}))
        .await;
    assert_eq!(last["row_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_many_inserters_are_all_there_with_ids_of_their_own_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let world = on_disk(&folder);
        world.sql("CREATE TABLE events (word text)").await;
        let insert = json!({"name": "events", "rows": [{"word": "a"}, {"word": "b"}]});
        assert_eq!(
            contend(&world, "database.insert_rows", insert).await,
            0,
            "generated ids never conflict"
        );
        world.engine.close().await;
    }
    let world = on_disk(&folder);
    let page = world
        .must("database.query_rows", json!({"name": "events", "limit": 1000}))
        .await;
    let ids: std::collections::BTreeSet<&str> = page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len() as u64, 2 * WRITERS * INCREMENTS);
    assert_eq!(
        world.must("database.count_rows", json!({"name": "events"})).await["count"],
        2 * WRITERS * INCREMENTS
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn upserts_of_one_key_insert_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = on_disk(&folder);
    world
        .sql("CREATE TABLE keys (id bigint PRIMARY KEY, word text)")
        .await;
    let mut created = 0;
    let calls: Vec<_> = (0..WRITERS)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                let input = json!({"name": "keys", "values": {"id": 1, "word": "x"}});
                world.must("database.upsert_row", input).await["created"] == true
            })
        })
        .collect();
    for call in calls {
        created += u32::from(call.await.unwrap());
    }
    assert_eq!(created, 1);
    assert_eq!(world.rows("SELECT * FROM keys").await, r#"[[1,"x"]]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_creator_of_a_table_wins_and_the_others_are_told_that_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let world = on_disk(&folder);
    let calls: Vec<_> = (0..WRITERS)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                let input = json!({"name": "one", "columns": [{"name": "id", "type": "bigint"}]});
                world
                    .call("database.create_table", &input, "admin")
                    .await
                    .map_err(|error| error.code())
            })
        })
        .collect();
    let mut won = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => won += 1,
            Err(code) => assert_eq!(code, "TABLE_EXISTS"),
        }
    }
    assert_eq!(won, 1);
}
