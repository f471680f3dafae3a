//! Transactions over several calls: isolation, undoing, time-outs, and that nobody waits for another.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::World;

/// Take minutes when they are let run: a scan, and a join.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000) AS a(x) WHERE x % 7 = 3";
const ENDLESS_JOIN: &str = "SELECT count(*) FROM generate_series(1, 30000) AS a(x), \
                            generate_series(1, 100000000) AS b(y) WHERE (x * y) % 7 = 3";

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 10), (2, 20)").await;
    world
}

async fn begin(world: &World) -> Value {
    world.must("transactions.begin", json!({})).await["transaction_id"].clone()
}

async fn rows_in(world: &World, transaction: &Value, sql: &str) -> String {
    let input = json!({"sql": sql, "format": "arrays", "transaction_id": transaction});
    world.must("sql.execute_query", input).await["rows"].to_string()
}

#[tokio::test]
async fn a_transaction_sees_its_snapshot_and_its_own_writes_only() {
    let world = filled().await;
    let transaction = begin(&world).await;
    world.sql("UPDATE t SET n = 11 WHERE id = 1").await;
    world.sql("CREATE TABLE later (id bigint)").await;
    let insert = json!({"name": "t", "rows": [{"id": 3, "n": 30}], "transaction_id": transaction});
    world.must("database.insert_rows", insert).await;
    assert_eq!(
        rows_in(&world, &transaction, "SELECT * FROM t ORDER BY id").await,
        "[[1,10],[2,20],[3,30]]"
    );
    assert_eq!(world.rows("SELECT * FROM t ORDER BY id").await, "[[1,11],[2,20]]");
    let later = json!({"name": "later", "transaction_id": transaction});
    world.fails("database.get_table", later, "TABLE_NOT_FOUND").await;
    let own = json!({"name": "t", "id": "3", "transaction_id": transaction});
    world.must("database.get_row", own).await;
    world
        .fails(
            "database.get_row",
            json!({"name": "t", "id": "3"}),
            "ROW_NOT_FOUND",
        )
        .await;
    world
        .must("transactions.commit", json!({"id": transaction}))
        .await;
    assert_eq!(
        world.rows("SELECT * FROM t ORDER BY id").await,
        "[[1,11],[2,20],[3,30]]"
    );
}

#[tokio::test]
async fn the_transactions_database_is_that_of_calls_that_name_none() {
    let world = filled().await;
    world.must("database.create", json!({"name": "other"})).await;
    let begun = world
        .must("transactions.begin", json!({"database": "other"}))
        .await;
    assert_eq!(begun["database"], "other");
    let transaction = &begun["transaction_id"];
    let table =
        json!({"name": "t", "columns": [{"name": "word", "type": "text"}], "transaction_id": transaction});
    assert_eq!(
        world.must("database.create_table", table).await["database"],
        "other"
    );
    assert_eq!(rows_in(&world, transaction, "SELECT * FROM t").await, "[]");
    let named = json!({"sql": "SELECT * FROM t", "database": "main", "transaction_id": transaction});
    assert_eq!(world.must("sql.execute_query", named).await["row_count"], 2);
    world
        .must("transactions.commit", json!({"id": transaction}))
        .await;
    assert_eq!(
        world.must("database.get", json!({"name": "other"})).await["tables"],
        json!(["t"])
    );
}

#[tokio::test]
async fn a_failing_call_leaves_nothing_behind_and_the_transaction_usable() {
    let world = filled().await;
    let transaction = begin(&world).await;
    let within = |mut input: Value| {
        input["transaction_id"] = transaction.clone();
        input
    };
    world
        .must(
            "database.insert_rows",
            within(json!({"name": "t", "rows": [{"id": 3, "n": 30}]})),
        )
        .await;
    let failing = [
        (
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 4}, {"id": 3}]}),
            "UNIQUE_VIOLATION",
        ),
        (
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 4}, {"id": "x"}]}),
            "INVALID_VALUE",
        ),
        (
            "database.update_rows",
            json!({"name": "t", "filter": {"and": []}, "values": {"id": 9}}),
            "UNIQUE_VIOLATION",
        ),
        (
            "sql.execute_query",
            json!({"sql": "INSERT INTO t VALUES (4, 1), (1, 1)"}),
            "UNIQUE_VIOLATION",
        ),
        (
            "sql.execute_query",
            json!({"sql": "UPDATE t SET n = n / (n - 30)"}),
            "INVALID_QUERY",
        ),
        (
            "transactions.execute",
            json!({"operations": [
                {"op": "insert", "table": "t", "rows": [{"id": 4}]},
                {"op": "update", "table": "t", "id": "1", "values": {"n": 99}},
                {"op": "delete", "table": "t", "id": "2"},
                {"op": "delete", "table": "t", "id": "2"},
            ]}),
            "ROW_NOT_FOUND",
        ),
    ];
    for (id, input, code) in failing {
        let error = world.fails(id, within(input), code).await;
        assert_eq!(
            error.message().starts_with("operations.3: "),
            id == "transactions.execute",
            "{error}"
        );
        assert_eq!(
            rows_in(&world, &transaction, "SELECT * FROM t ORDER BY id").await,
            "[[1,10],[2,20],[3,30]]"
        );
    }
    let batch =
        json!({"statements": ["INSERT INTO t VALUES (4, 1)", "DELETE FROM t", "SELECT 1 / 0", "SELECT 1"]});
    let undone = world.must("sql.execute_batch", within(batch.clone())).await;
    assert_eq!(
        (&undone["succeeded"], &undone["failed"], &undone["committed"]),
        (&json!(2), &json!(1), &json!(false))
    );
    assert_eq!(undone["outcomes"][3], json!({"index": 3}));
    assert_eq!(
        rows_in(&world, &transaction, "SELECT * FROM t ORDER BY id").await,
        "[[1,10],[2,20],[3,30]]"
    );
    let mut loose = batch;
    loose["atomic"] = json!(false);
    let kept = world.must("sql.execute_batch", within(loose)).await;
    assert_eq!(
        (&kept["succeeded"], &kept["failed"], &kept["committed"]),
        (&json!(3), &json!(1), &json!(false))
    );
    assert_eq!(rows_in(&world, &transaction, "SELECT * FROM t").await, "[]");
    let committed = world
        .must("transactions.commit", json!({"id": transaction}))
        .await;
    // 1 inserted by the first call, 1 by the batch, and 4 deleted.
    assert_eq!(committed["rows_changed"], 6);
    assert_eq!(world.rows("SELECT * FROM t").await, "[]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_in_the_middle_leaves_the_transaction_usable_and_unchanged() {
    let world = filled().await;
    let transaction = begin(&world).await;
    let insert = json!({"name": "t", "rows": [{"id": 3, "n": 30}], "transaction_id": transaction});
    world.must("database.insert_rows", insert).await;
    for sql in [
        ENDLESS.to_owned(),
        ENDLESS_JOIN.to_owned(),
        format!("INSERT INTO t SELECT 4, ({ENDLESS})"),
    ] {
        let input = json!({"sql": sql, "timeout": 50, "transaction_id": transaction});
        let waited = tokio::time::timeout(
            Duration::from_secs(20),
            world.fails("sql.execute_query", input, "DEADLINE_EXCEEDED"),
        );
        assert!(
            waited
                .await
                .expect("given up long before")
                .message()
                .contains("50 ms")
        );
    }
    // A dropped call: its first statements had been applied already.
    let input = json!({"statements": ["DELETE FROM t", ENDLESS], "transaction_id": transaction});
    let dropped =
        tokio::time::timeout(Duration::from_millis(300), world.must("sql.execute_batch", input)).await;
    assert!(dropped.is_err(), "it takes minutes");
    assert_eq!(
        rows_in(&world, &transaction, "SELECT * FROM t ORDER BY id").await,
        "[[1,10],[2,20],[3,30]]"
    );
    world
        .must("transactions.commit", json!({"id": transaction}))
        .await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[3]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_of_its_own_keeps_nothing() {
    let world = filled().await;
    let input = json!({"statements": ["DELETE FROM t", ENDLESS]});
    let dropped =
        tokio::time::timeout(Duration::from_millis(300), world.must("sql.execute_batch", input)).await;
    assert!(dropped.is_err(), "it takes minutes");
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[2]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_open_transactions_and_a_running_call_delay_nobody() {
    let world = filled().await;
    let mut open = Vec::new();
    for n in 0..10 {
        let transaction = begin(&world).await;
        let insert = json!({"name": "t", "rows": [{"id": 100 + n}], "transaction_id": transaction});
        world.must("database.insert_rows", insert).await;
        open.push(transaction);
    }
    let running = {
        let (world, transaction) = (world.clone(), open[0].clone());
        tokio::spawn(async move {
            let input = json!({"sql": ENDLESS, "timeout": 60_000, "transaction_id": transaction});
            world.call("sql.execute_query", &input, "admin").await
        })
    };
    // An eleventh, and calls without one, end while the others are open and one of them is busy.
    let others = async {
        for n in 0..50 {
            let transaction = begin(&world).await;
            let update = json!({"name": "t", "id": "1", "values": {"n": n}, "transaction_id": transaction});
            world.must("database.update_row", update).await;
            world
                .must("transactions.commit", json!({"id": transaction}))
                .await;
            world
                .must(
                    "database.update_row",
                    json!({"name": "t", "id": "2", "values": {"n": n}}),
                )
                .await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), others)
        .await
        .expect("nobody waits");
    assert!(!running.is_finished());
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!(world.rows("SELECT n FROM t ORDER BY id").await, "[[49],[49]]");
    for transaction in open {
        world
            .must("transactions.commit", json!({"id": transaction}))
            .await;
    }
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[12]]");
}

#[tokio::test]
async fn idle_transactions_are_rolled_back_without_anybody_asking() {
    let world = filled().await;
    let short = world
        .must("transactions.begin", json!({"idle_timeout_ms": 1000}))
        .await["transaction_id"]
        .clone();
    let long = begin(&world).await;
    let held = json!({"name": "t", "id": "1", "values": {"n": 1}, "transaction_id": short});
    world.must("database.update_row", held).await;
    let registry = &world.engine.inner.transactions;
    assert_eq!(registry.list(None).len(), 2);
    world.clock.advance_us(1_000_001);
    for _ in 0..100 {
        if registry.list(None).len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left: Vec<String> = registry
        .list(None)
        .iter()
        .map(|info| info.id.to_string())
        .collect();
    assert_eq!(json!(left), json!([long]));
    world
        .fails("transactions.get", json!({"id": short}), "TRANSACTION_NOT_ACTIVE")
        .await;
    // Closed, nobody sweeps any more; listings still show no ended one.
    world.engine.close().await;
    world.clock.advance_us(60_000_001);
    assert_eq!(
        world.must("transactions.list_active", json!({})).await,
        json!({"transactions": []})
    );
}

#[tokio::test]
async fn the_sweep_ends_with_the_last_handle() {
    let world = filled().await;
    let registry = std::sync::Arc::downgrade(&world.engine.inner.transactions);
    let second = world.engine.clone();
    drop(world);
    assert!(registry.upgrade().is_some());
    drop(second);
    assert!(registry.upgrade().is_none());
}

#[tokio::test]
async fn a_lost_race_is_run_again_and_not_lost_twice() {
    use super::support::{context, operation};
    use crate::data::scope::{Access, Place};

    let world = filled().await;
    let engine = &world.engine;
    // It has the row's lock from the first run on, so that it loses once at most.
    for lost in [0, 1] {
        let context = context(operation("database.update_row"), "admin");
        let mut runs = 0;
        let done = engine
            .answer(&context, &Place::default(), Access::Write, |mut scope| {
                runs += 1;
                let (run, world) = (runs, world.clone());
                async move {
                    let values = json!({"n": run})
                        .as_object()
                        .unwrap()
                        .clone()
                        .into_iter()
                        .collect();
                    if run <= lost {
                        // Somebody is faster.
                        world.sql("UPDATE t SET n = n + 1 WHERE id = 1").await;
                    }
                    let row = crate::data::writes::change_row(&mut scope, "t", "1", &values)?;
                    Ok((scope, row))
                }
            })
            .await;
        done.unwrap();
        assert_eq!(runs, lost + 1);
        assert_eq!(
            world.rows("SELECT n FROM t WHERE id = 1").await,
            format!("[[{runs}]]")
        );
    }
}

#[tokio::test]
async fn a_level_is_given_by_its_name_or_the_next_stronger_one() {
    let world = filled().await;
    for (asked, given) in [
        ("read_uncommitted", "read_committed"),
        ("read_committed", "read_committed"),
        ("repeatable_read", "snapshot"),
        ("snapshot", "snapshot"),
        ("serializable", "serializable"),
    ] {
        let begun = world
            .must("transactions.begin", json!({"isolation_level": asked}))
            .await;
        assert_eq!(begun["isolation_level"], given, "{asked}");
    }
}

#[tokio::test]
async fn a_caller_has_64_open_transactions_at_most_and_room_again_after_one_ends() {
    let world = filled().await;
    let mut last = Value::Null;
    for _ in 0..64 {
        last = begin(&world).await;
    }
    let error = world
        .fails("transactions.begin", json!({}), "TOO_MANY_TRANSACTIONS")
        .await;
    assert!(error.message().contains("64"), "{error}");
    world
        .call("transactions.begin", &json!({}), "developer")
        .await
        .unwrap();
    world.must("transactions.rollback", json!({"id": last})).await;
    begin(&world).await;
}

#[tokio::test]
async fn the_list_shows_everybodys_and_a_transaction_is_shown_as_it_is() {
    let world = filled().await;
    let begun = world
        .call(
            "transactions.begin",
            &json!({"idle_timeout_ms": 5000}),
            "developer",
        )
        .await
        .unwrap();
    world.clock.advance_us(1_500_000);
    let transaction = &begun["transaction_id"];
    let operations = json!({"transaction_id": transaction, "operations": [
        {"op": "insert", "table": "t", "rows": [{"id": 5}, {"id": 6}]},
        {"op": "update", "table": "t", "id": "5", "values": {"id": 7}},
        {"op": "delete", "table": "t", "id": "1"},
    ]});
    let executed = world
        .call("transactions.execute", &operations, "developer")
        .await
        .unwrap();
    assert_eq!(
        executed,
        json!({"results": [
            {"rows_affected": 2, "ids": ["5", "6"]},
            {"rows_affected": 1, "ids": ["7"]},
            {"rows_affected": 1, "ids": ["1"]},
        ], "rows_changed": 4})
    );
    let expected = json!({
        "transaction_id": transaction, "state": "active", "isolation_level": "snapshot", "read_only": false,
        "database": "main", "username": "developer", "started_at": "2023-11-14T22:13:20.000000Z",
        "last_used_at": "2023-11-14T22:13:21.500000Z", "idle_timeout_ms": 5000,
        "lock_timeout_ms": 30000,
        "changes": [{"database": "main", "table": "t", "inserted": 2, "updated": 1, "deleted": 1}],
    });
    let mut shown = world
        .call("transactions.get", &json!({"id": transaction}), "developer")
        .await
        .unwrap();
    // The table, and the rows 1, 5, 6 and 7.
    let locks = shown.as_object_mut().unwrap().remove("locks").unwrap();
    assert_eq!(locks.as_array().unwrap().len(), 5, "{locks}");
    assert_eq!(shown, expected);
    let listed = world
        .call("transactions.list_active", &json!({}), "monitor")
        .await
        .unwrap();
    assert_eq!(listed, json!({"transactions": [expected]}));
}
