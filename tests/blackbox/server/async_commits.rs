//! Commits that are answered before they are durable, which a server does only when it is started so.

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::server::Server;
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

const TABLE: &str = "t";

async fn asynchronous(folder: &std::path::Path) -> World {
    World::reopened(Server::start_in(folder, &["--async-commits"])).await
}

async fn make_table(world: &World) {
    let columns = json!([{"name": "id", "type": "bigint"}]);
    let table = json!({"name": TABLE, "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
}

/// Inserts a row in a transaction of its own; whether it was durable when that was answered.
async fn insert(world: &World, id: u64, wait: bool) -> bool {
    let operations = json!([{"op": "insert", "table": TABLE, "rows": [{"id": id}]}]);
    let input = json!({"operations": operations, "wait_until_durable": wait});
    let answer = world.must("transactions.execute", &input, "admin").await;
    assert!(answer["lsn"].is_string(), "{answer}");
    answer["durable"].as_bool().unwrap()
}

async fn ids(world: &World) -> Vec<u64> {
    let input = json!({"sql": "SELECT id FROM t ORDER BY id", "format": "arrays", "limit": 100_000});
    let found = world.must("sql.execute_query", &input, "admin").await;
    let rows = found["rows"].as_array().unwrap();
    rows.iter().map(|row| row[0].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_answers_before_the_sync_who_asks_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let world = asynchronous(folder.path()).await;
    make_table(&world).await;
    let credential = world.credential("admin");
    let (view, input) = (view("database.row_inserted"), json!({"table": TABLE}));
    let mut watcher = Watcher::open(Transport::Rpc, world.base_url(), view, &input, &credential)
        .await
        .unwrap();
    let mut before_the_sync = 0;
    for id in 1..=60 {
        let wait = id % 3 == 0;
        let durable = insert(&world, id, wait).await;
        assert!(durable || !wait, "what was waited for is durable");
        before_the_sync += u64::from(!durable);
    }
    // Others' syncs may have come first now and then.
    assert!(before_the_sync > 0);
    // Nobody asks for a sync any more, and each is told of.
    for id in 1..=60 {
        let event = watcher.event().await;
        assert_eq!(event.data["row"]["data"]["id"], id, "{:?}", event.data);
    }
    assert_eq!(ids(&world).await, (1..=60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_commits_transactions_of_several_calls_so_too() {
    let folder = tempfile::tempdir().unwrap();
    let world = asynchronous(folder.path()).await;
    make_table(&world).await;
    let begin = || async {
        let begun = world.must("transactions.begin", &json!({}), "admin").await;
        begun["transaction_id"].clone()
    };
    for (row, wait) in [(1, json!(false)), (2, json!(true)), (3, Value::Null)] {
        let id = begin().await;
        let rows = json!({"name": TABLE, "rows": [{"id": row}], "transaction_id": id});
        world.must("database.insert_rows", &rows, "admin").await;
        let input = match &wait {
            Value::Null => json!({"id": id}),
            wait => json!({"id": id, "wait_until_durable": wait}),
        };
        let answer = world.must("transactions.commit", &input, "admin").await;
        assert_eq!(answer["rows_changed"], 1);
        assert!(answer["durable"] == true || wait == false, "{answer}");
        let ended = world
            .call("transactions.get", &json!({"id": id}), &world.credential("admin"))
            .await;
        assert_eq!(ended.unwrap_err().code, "TRANSACTION_NOT_ACTIVE");
    }
    world.must("transactions.flush_wal", &json!({}), "admin").await;
    assert_eq!(ids(&world).await, [1, 2, 3]);
    // The commit of a transaction of several calls is another call.
    let id = begin().await;
    let operations = json!([{"op": "insert", "table": TABLE, "rows": [{"id": 4}]}]);
    let input = json!({"operations": operations, "transaction_id": id, "wait_until_durable": false});
    let refused = world
        .call("transactions.execute", &input, &world.credential("admin"))
        .await;
    assert_eq!(refused.unwrap_err().code, "INVALID_ARGUMENT");
    let input = json!({"operations": operations, "transaction_id": id});
    let answer = world.must("transactions.execute", &input, "admin").await;
    assert_eq!((answer.get("lsn"), answer.get("durable")), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_killed_keeps_what_was_durable_and_a_beginning_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = asynchronous(folder.path()).await;
    make_table(&world).await;
    let mut next = 1;
    for round in 0..3 {
        let mut durable = next - 1;
        for _ in 0..40 + round {
            if insert(&world, next, next % 7 == 0).await {
                durable = next;
            }
            next += 1;
        }
        world.server.kill();
        world = asynchronous(folder.path()).await;
        let found = ids(&world).await;
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
        assert!(found.len() as u64 >= durable, "{durable} were durable: {found:?}");
        next = found.len() as u64 + 1;
    }
}
