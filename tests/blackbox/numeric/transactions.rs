//! Bounds, changes, locks and counts of transactions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::server::Server;
use crate::harness::world::World;

async fn begin(world: &World, input: Value) -> Value {
    call(world, "transactions.begin", input).await["transaction_id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_bounds_of_transactions_are_those_asked_for() {
    let world = World::new().await;
    for (idle, open, lock) in [(5_000, 60_000, 10), (6_000, 70_000, 2_000)] {
        let bounds = json!({"idle_timeout_ms": idle, "timeout_ms": open, "lock_timeout_ms": lock});
        let id = begin(&world, bounds).await;
        let of_id = json!({"id": id});
        let holds = |shown: &Value, open: u64| {
            assert_eq!(number(shown, "/idle_timeout_ms"), f64::from(idle));
            assert_eq!(number(shown, "/timeout_ms"), open as f64);
            assert_eq!(number(shown, "/lock_timeout_ms"), f64::from(lock));
        };
        holds(&call(&world, "transactions.get", of_id.clone()).await, open);
        let listed = call(&world, "transactions.list_active", json!({})).await;
        holds(&listed["transactions"][0], open);
        let longer = json!({"id": id, "timeout_ms": open + 1});
        holds(&call(&world, "transactions.set_timeout", longer).await, open + 1);
        let savepoint = json!({"id": id, "name": "here"});
        call(&world, "transactions.create_savepoint", savepoint.clone()).await;
        let back = call(&world, "transactions.rollback_to_savepoint", savepoint).await;
        holds(&back, open + 1);
        let unbounded = call(&world, "transactions.set_timeout", of_id.clone()).await;
        assert_eq!(unbounded.get("timeout_ms"), None);
        call(&world, "transactions.rollback", of_id).await;
    }
    for limit in [1, 2] {
        let id = begin(&world, json!({"timeout_ms": limit})).await;
        let ended = loop {
            let listed = call(&world, "transactions.list_timed_out", json!({})).await;
            let ended = listed["transactions"].as_array().unwrap().clone();
            if let Some(ended) = ended.into_iter().find(|ended| ended["transaction_id"] == id) {
                break ended;
            }
        };
        assert_eq!(number(&ended, "/limit_ms"), f64::from(limit));
        assert_eq!(ended["reason"], "open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_savepoints_take_changes_back() {
    let world = World::new().await;
    table(&world, "t", 9).await;
    let id = begin(&world, json!({})).await;
    let run = async |sql: &str| {
        let input = json!({"sql": sql, "transaction_id": id});
        call(&world, "sql.execute_query", input).await;
    };
    let changes = |shown: &Value| {
        let of = |what: &str| {
            shown
                .pointer(&format!("/changes/0/{what}"))
                .map_or(0.0, |n| n.as_f64().unwrap())
        };
        (of("inserted"), of("updated"), of("deleted"))
    };
    let shown = async || call(&world, "transactions.set_timeout", json!({"id": id})).await;
    run("INSERT INTO t (id) VALUES (10), (11)").await;
    run("UPDATE t SET name = 'x' WHERE id <= 3").await;
    run("DELETE FROM t WHERE id = 4").await;
    assert_eq!(changes(&shown().await), (2.0, 3.0, 1.0));
    let here = json!({"id": id, "name": "here"});
    call(&world, "transactions.create_savepoint", here.clone()).await;
    run("INSERT INTO t (id) VALUES (12)").await;
    run("UPDATE t SET name = 'y' WHERE id <= 2").await;
    run("DELETE FROM t WHERE id >= 5 AND id < 8").await;
    assert_eq!(changes(&shown().await), (3.0, 5.0, 4.0));
    for _ in 0..2 {
        let back = call(&world, "transactions.rollback_to_savepoint", here.clone()).await;
        assert_eq!(changes(&back), (2.0, 3.0, 1.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_reads_and_locks_of_a_transaction_are_counted() {
    let world = World::new().await;
    table(&world, "t", 9).await;
    let id = begin(&world, json!({"isolation_level": "serializable"})).await;
    let mut before = 0.0;
    for range in ["id >= 2 AND id < 4", "id >= 6 AND id < 8"] {
        let sql = format!("SELECT name FROM t WHERE {range}");
        call(
            &world,
            "sql.execute_query",
            json!({"sql": sql, "transaction_id": id}),
        )
        .await;
        let reads = call(&world, "transactions.get_read_set", json!({"id": id})).await;
        let ranges = number(&reads, "/tables/0/ranges");
        assert!(ranges > before, "{ranges} after {before}: {reads}");
        before = ranges;
    }
    let insert = json!({"name": "t", "rows": [{"id": 20}, {"id": 21}], "transaction_id": id});
    call(&world, "database.insert_rows", insert).await;
    for names in [1, 3] {
        for n in 0..names {
            let lock = json!({"id": id, "name": format!("name {n}"), "mode": "X"});
            call(&world, "transactions.acquire_lock", lock).await;
        }
        let released = call(
            &world,
            "transactions.release_all_locks",
            json!({"transaction_id": id}),
        )
        .await;
        assert_eq!(number(&released, "/released"), f64::from(names));
        // The table and two rows of it.
        assert_eq!(number(&released, "/kept"), 3.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_transactions_are_counted_and_timed() {
    let world = World::new().await;
    let admin = world.credential("admin");
    table(&world, "t", 2).await;
    let stats = async || call(&world, "transactions.get_stats", json!({})).await;
    let change = |id: &Value, row: u64| json!({"name": "t", "id": row.to_string(), "values": {"name": "x"}, "transaction_id": id});
    let before = stats().await;
    let grew = |after: &Value, what: &str| number(after, what) - number(&before, what);
    let first = begin(&world, json!({"isolation_level": "serializable"})).await;
    let second = begin(&world, json!({"isolation_level": "serializable"})).await;
    assert_eq!(grew(&stats().await, "/active_transactions"), 2.0);
    // A write skew: the second one to commit is refused.
    for (id, row) in [(&first, 1), (&second, 2)] {
        let sql = json!({"sql": "SELECT count(*) AS n FROM t WHERE id > 0", "transaction_id": id});
        call(&world, "sql.execute_query", sql).await;
        call(&world, "database.update_row", change(id, row)).await;
    }
    let began = Instant::now();
    call(&world, "transactions.commit", json!({"id": first})).await;
    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let refused = world
        .call("transactions.commit", &json!({"id": second}), &admin)
        .await;
    assert_eq!(refused.unwrap_err().code, "WRITE_CONFLICT");
    let after = stats().await;
    assert_eq!(grew(&after, "/total_commits"), 1.0);
    assert_eq!(grew(&after, "/total_conflicts"), 1.0);
    assert_eq!(grew(&after, "/total_aborts"), 1.0);
    assert_eq!(grew(&after, "/active_transactions"), 0.0);
    assert!(number(&after, "/abort_ratio") > 0.0 && number(&after, "/abort_ratio") < 1.0);
    assert!(number(&after, "/avg_commit_latency_ms") > 0.0);
    assert!(number(&after, "/p99_latency_ms") >= number(&after, "/avg_commit_latency_ms") / 2.0);
    assert!(took_ms > 0.0);
    let late = begin(&world, json!({"timeout_ms": 1})).await;
    loop {
        let listed = call(&world, "transactions.list_timed_out", json!({})).await;
        if listed["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|ended| ended["transaction_id"] == late)
        {
            break;
        }
    }
    assert_eq!(grew(&stats().await, "/total_timeouts"), 1.0);
    // Two that wait for each other.
    let (one, other) = (begin(&world, json!({})).await, begin(&world, json!({})).await);
    call(&world, "database.update_row", change(&one, 1)).await;
    call(&world, "database.update_row", change(&other, 2)).await;
    let (crossed, again) = (change(&one, 2), change(&other, 1));
    let (waited, victim) = tokio::join!(
        world.call("database.update_row", &crossed, &admin),
        world.call("database.update_row", &again, &admin),
    );
    waited.unwrap();
    assert_eq!(victim.unwrap_err().code, "DEADLOCK");
    assert_eq!(grew(&stats().await, "/total_deadlocks"), 1.0);
    let listed = call(&world, "transactions.list_deadlocks", json!({})).await;
    let found = listed["deadlocks"].as_array().unwrap().last().unwrap();
    assert_eq!(found["victim_transaction"], other);
    assert_eq!(found["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["impacted_queries"],
        json!(["database.update_row", "database.update_row"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_waits_for_locks_are_timed() {
    let world = World::new().await;
    let admin = world.credential("admin");
    let holder = begin(&world, json!({})).await;
    let lock = |id: &Value| json!({"id": id, "name": "n", "mode": "X"});
    call(&world, "transactions.acquire_lock", lock(&holder)).await;
    let waiter = begin(&world, json!({})).await;
    let (wanted, began) = (lock(&waiter), Instant::now());
    let wait = world.call("transactions.acquire_lock", &wanted, &admin);
    let watch = async {
        let mut last = 0.0;
        while last < 50.0 {
            let listed = call(&world, "transactions.list_lock_waiters", json!({})).await;
            let most = began.elapsed().as_secs_f64() * 1_000.0;
            if let Some(found) = listed["waiters"].get(0) {
                let waited = number(found, "/wait_ms");
                assert!((last..=most).contains(&waited), "{waited} of {last} to {most}");
                assert_eq!(found["transaction_id"], waiter);
                assert_eq!(found["blocked_by"][0]["transaction_id"], holder);
                last = waited;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call(&world, "transactions.rollback", json!({"id": holder})).await;
    };
    let (granted, ()) = tokio::join!(wait, watch);
    assert_eq!(granted.unwrap()["mode"], "X");
}

/// With 64 KiB of memory, rows of 1,000 bytes and entries of as much in the change log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_what_exceeds_the_memory_of_a_transaction_lies_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path(), &["--write-set-memory-bytes", "65536"]);
    let world = World::reopened(server).await;
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "text", "type": "text"}]);
    let table = json!({"name": "large", "columns": columns, "primary_key": ["id"]});
    call(&world, "database.create_table", table).await;
    let id = begin(&world, json!({})).await;
    let spilled = async || {
        let set = call(
            &world,
            "transactions.get_write_set",
            json!({"id": id, "limit": 1}),
        )
        .await;
        number(&set, "/spilled_bytes")
    };
    let mut counts = Vec::new();
    for from in [0, 20, 520] {
        let until = if from == 0 { 20 } else { from + 500 };
        let rows: Vec<Value> = (from..until)
            .map(|id| json!({"id": id, "text": "x".repeat(1_000)}))
            .collect();
        let input = json!({"name": "large", "rows": rows, "transaction_id": id});
        call(&world, "database.insert_rows", input).await;
        counts.push(spilled().await);
    }
    assert_eq!(counts[0], 0.0);
    assert!((974_464.0..1_100_000.0).contains(&counts[1]), "{counts:?}");
    assert!(
        (1_000_000.0..1_100_000.0).contains(&(counts[2] - counts[1])),
        "{counts:?}"
    );
    call(&world, "transactions.commit", json!({"id": id})).await;
    let stored = call(
        &world,
        "sql.execute_query",
        json!({"sql": "SELECT count(*), sum(length(text)) FROM large", "format": "arrays"}),
    )
    .await;
    assert_eq!(stored["rows"], json!([[1_020, 1_020_000]]));
}
