//! Rows, tables and names that are locked, waited for and let go; deadlocks; savepoints in SQL.

use serde_json::{Value, json};

use super::support::World;

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
    world
}

async fn begin(world: &World) -> Value {
    world
        .must("transactions.begin", json!({"lock_timeout_ms": 60_000}))
        .await["transaction_id"]
        .clone()
}

fn statement(transaction: &Value, sql: &str) -> Value {
    json!({"sql": sql, "format": "arrays", "transaction_id": transaction})
}

async fn run(world: &World, transaction: &Value, sql: &str) -> String {
    world.must("sql.execute_query", statement(transaction, sql)).await["rows"].to_string()
}

async fn end(world: &World, how: &str, transaction: &Value) {
    world
        .must(&format!("transactions.{how}"), json!({"id": transaction}))
        .await;
}

async fn until_waiting(world: &World, waiters: usize) {
    loop {
        let listed = world.must("transactions.list_lock_waiters", json!({})).await;
        if listed["waiters"].as_array().unwrap().len() == waiters {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_selected_for_update_are_changed_by_nobody_else() {
    let world = filled().await;
    let holder = begin(&world).await;
    let found = run(
        &world,
        &holder,
        "SELECT n FROM t WHERE id < 3 ORDER BY id FOR UPDATE",
    )
    .await;
    assert_eq!(found, "[[10],[20]]");
    // Another row is free, and readers do not mind.
    world.sql("UPDATE t SET n = 31 WHERE id = 3").await;
    assert_eq!(
        world.rows("SELECT n FROM t ORDER BY id").await,
        "[[10],[20],[31]]"
    );
    let after = async {
        until_waiting(&world, 1).await;
        run(&world, &holder, "UPDATE t SET n = n * 10 WHERE id = 1").await;
        end(&world, "commit", &holder).await;
    };
    // A call of its own waits, and then finds what the holder made.
    tokio::join!(world.sql("UPDATE t SET n = n + 1 WHERE id = 1"), after);
    assert_eq!(world.rows("SELECT n FROM t WHERE id = 1").await, "[[101]]");
    assert_eq!(
        world.must("transactions.list_locks", json!({})).await["locks"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_row_locks_go_together_and_keep_writers_out() {
    let world = filled().await;
    let (one, other) = (begin(&world).await, begin(&world).await);
    for reader in [&one, &other] {
        assert_eq!(
            run(&world, reader, "SELECT n FROM t WHERE id = 1 FOR SHARE").await,
            "[[10]]"
        );
    }
    let after = async {
        until_waiting(&world, 1).await;
        end(&world, "rollback", &one).await;
        until_waiting(&world, 1).await;
        end(&world, "commit", &other).await;
    };
    tokio::join!(world.sql("DELETE FROM t WHERE id = 1"), after);
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[2]]");
}

#[tokio::test]
async fn locked_rows_are_refused_or_skipped_on_demand() {
    let world = filled().await;
    let holder = begin(&world).await;
    run(&world, &holder, "SELECT 1 FROM t WHERE id = 1 FOR UPDATE").await;
    let other = begin(&world).await;
    let no_wait = statement(&other, "SELECT n FROM t WHERE id <= 2 FOR UPDATE NOWAIT");
    world
        .fails("sql.execute_query", no_wait, "LOCK_NOT_AVAILABLE")
        .await;
    // The usual queue: each worker gets the first row that nobody has.
    let next = "SELECT id FROM t WHERE n >= 10 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    assert_eq!(run(&world, &other, next).await, "[[2]]");
    let third = begin(&world).await;
    assert_eq!(run(&world, &third, next).await, "[[3]]");
    let fourth = begin(&world).await;
    assert_eq!(run(&world, &fourth, next).await, "[]");
    end(&world, "rollback", &holder).await;
    assert_eq!(run(&world, &fourth, next).await, "[[1]]");
    let all = "SELECT id FROM t ORDER BY id DESC FOR SHARE SKIP LOCKED";
    assert_eq!(run(&world, &fourth, all).await, "[[1]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_locked_as_a_whole() {
    let world = filled().await;
    let holder = begin(&world).await;
    run(&world, &holder, "LOCK TABLE t IN SHARE MODE").await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[3]]");
    let other = begin(&world).await;
    let refused = statement(&other, "LOCK TABLE t IN ROW EXCLUSIVE MODE NOWAIT");
    world
        .fails("sql.execute_query", refused, "LOCK_NOT_AVAILABLE")
        .await;
    let after = async {
        until_waiting(&world, 1).await;
        end(&world, "commit", &holder).await;
    };
    tokio::join!(world.sql("INSERT INTO t VALUES (4, 40)"), after);
    world
        .fails("sql.execute_query", json!({"sql": "LOCK TABLE t"}), "UNSUPPORTED")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_wait_for_those_who_change_rows() {
    let world = filled().await;
    let writer = begin(&world).await;
    run(&world, &writer, "UPDATE t SET n = 11 WHERE id = 1").await;
    let after = async {
        until_waiting(&world, 1).await;
        end(&world, "commit", &writer).await;
    };
    tokio::join!(world.sql("CREATE INDEX by_n ON t (n)"), after);
    assert_eq!(world.rows("SELECT id FROM t WHERE n = 11").await, "[[1]]");
    let writer = begin(&world).await;
    run(&world, &writer, "INSERT INTO t VALUES (4, 40)").await;
    let after = async {
        until_waiting(&world, 1).await;
        end(&world, "commit", &writer).await;
    };
    tokio::join!(world.sql("DROP TABLE t"), after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_unique_value_is_waited_for() {
    let world = World::new();
    world
        .sql("CREATE TABLE u (id bigint PRIMARY KEY, name text UNIQUE)")
        .await;
    for (how, outcome) in [("commit", Err("UNIQUE_VIOLATION")), ("rollback", Ok(()))] {
        let first = begin(&world).await;
        run(&world, &first, &format!("INSERT INTO u VALUES (1, '{how}')")).await;
        let after = async {
            until_waiting(&world, 1).await;
            end(&world, how, &first).await;
        };
        let second = json!({"sql": format!("INSERT INTO u VALUES (2, '{how}')")});
        let (second, ()) = tokio::join!(world.call("sql.execute_query", &second, "admin"), after);
        let second = second.map(drop).map_err(|error| error.code().to_owned());
        assert_eq!(second, outcome.map_err(str::to_owned), "{how}");
        world.sql("DELETE FROM u").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_deadlock_the_youngest_is_rolled_back_and_it_is_kept_on_record() {
    let world = filled().await;
    let (old, young) = (begin(&world).await, begin(&world).await);
    run(&world, &old, "UPDATE t SET n = 11 WHERE id = 1").await;
    run(&world, &young, "UPDATE t SET n = 22 WHERE id = 2").await;
    let crossing = statement(&old, "UPDATE t SET n = 12 WHERE id = 2");
    let closing = statement(&young, "UPDATE t SET n = 21 WHERE id = 1");
    let (waited, victim) = tokio::join!(
        world.call("sql.execute_query", &crossing, "admin"),
        world.call("sql.execute_query", &closing, "admin"),
    );
    waited.unwrap();
    assert_eq!(victim.unwrap_err().code(), "DEADLOCK");
    world
        .fails(
            "transactions.commit",
            json!({"id": young}),
            "TRANSACTION_NOT_ACTIVE",
        )
        .await;
    end(&world, "commit", &old).await;
    assert_eq!(
        world.rows("SELECT n FROM t ORDER BY id").await,
        "[[11],[12],[30]]"
    );
    let listed = world.must("transactions.list_deadlocks", json!({})).await;
    let found = &listed["deadlocks"][0];
    assert_eq!(found["victim_transaction"], young);
    assert_eq!(found["resolution_strategy"], "abort_youngest");
    let mut members = found["transactions"].as_array().unwrap().clone();
    members.sort_by_key(ToString::to_string);
    assert_eq!(members, [old.clone(), young.clone()]);
    for edge in found["resource_graph"].as_array().unwrap() {
        let (row, sql) = match edge["waiter"] == old {
            true => ("2", "UPDATE t SET n = 12 WHERE id = 2"),
            false => ("1", "UPDATE t SET n = 21 WHERE id = 1"),
        };
        assert_eq!(
            edge["resource"],
            json!({"kind": "row", "database": "main", "table": "t", "row_id": row})
        );
        assert_eq!((&edge["statement"], &edge["mode"]), (&json!(sql), &json!("X")));
        assert_eq!(edge["username"], "admin");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_the_victim_of_a_deadlock_is_run_again() {
    let world = filled().await;
    let old = begin(&world).await;
    run(&world, &old, "UPDATE t SET n = 22 WHERE id = 2").await;
    // Takes row 1 and waits for row 2; whose holder then asks for row 1.
    let operations = json!({"operations": [
        {"op": "update", "table": "t", "id": "1", "values": {"n": 100}},
        {"op": "update", "table": "t", "id": "2", "values": {"n": 200}},
    ]});
    let after = async {
        until_waiting(&world, 1).await;
        run(&world, &old, "UPDATE t SET n = 11 WHERE id = 1").await;
        end(&world, "commit", &old).await;
    };
    tokio::join!(world.must("transactions.execute", operations), after);
    assert_eq!(
        world.rows("SELECT n FROM t ORDER BY id").await,
        "[[100],[200],[30]]"
    );
    let listed = world.must("transactions.list_deadlocks", json!({})).await;
    assert_eq!(listed["deadlocks"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocks_are_found_on_demand() {
    let world = filled().await;
    // So that nobody finds them by himself.
    world.engine.set_deadlock_timeout_us(3_600_000_000);
    let (old, young) = (begin(&world).await, begin(&world).await);
    let lock = |id: &Value, name: &str| json!({"id": id, "name": name, "mode": "X"});
    world.must("transactions.acquire_lock", lock(&old, "a")).await;
    world.must("transactions.acquire_lock", lock(&young, "b")).await;
    let (crossing, closing) = (lock(&old, "b"), lock(&young, "a"));
    let find = async {
        until_waiting(&world, 2).await;
        let graph = world.must("transactions.get_lock_graph", json!({})).await;
        assert_eq!(graph["nodes"].as_array().unwrap().len(), 2);
        for part in ["nodes", "edges"] {
            for found in graph[part].as_array().unwrap() {
                assert_eq!(found["in_cycle"], true);
            }
        }
        world.must("transactions.detect_deadlocks", json!({})).await
    };
    let (waited, victim, found) = tokio::join!(
        world.call("transactions.acquire_lock", &crossing, "admin"),
        world.call("transactions.acquire_lock", &closing, "admin"),
        find,
    );
    assert_eq!(waited.unwrap()["resource"], json!({"kind": "named", "name": "b"}));
    assert_eq!(victim.unwrap_err().code(), "DEADLOCK");
    let listed = world.must("transactions.list_deadlocks", json!({})).await;
    assert_eq!(listed["deadlocks"].as_array().unwrap().len(), 1);
    assert!(found["deadlocks"].as_array().unwrap().len() <= 1);
    let again = world.must("transactions.detect_deadlocks", json!({})).await;
    assert_eq!(again["deadlocks"], json!([]));
}

#[tokio::test]
async fn savepoints_are_set_and_returned_to_in_sql() {
    let world = filled().await;
    let transaction = begin(&world).await;
    for sql in [
        "INSERT INTO t VALUES (4, 40)",
        "SAVEPOINT a",
        "UPDATE t SET n = 0",
        "SAVEPOINT b",
        "DELETE FROM t",
        "ROLLBACK TO SAVEPOINT b",
    ] {
        run(&world, &transaction, sql).await;
    }
    assert_eq!(
        run(&world, &transaction, "SELECT sum(n), count(*) FROM t").await,
        "[[0,4]]"
    );
    let listed = world
        .must("transactions.list_savepoints", json!({"id": transaction}))
        .await;
    assert_eq!(listed["savepoints"].as_array().unwrap().len(), 2);
    run(&world, &transaction, "ROLLBACK TO a").await;
    assert_eq!(run(&world, &transaction, "SELECT sum(n) FROM t").await, "[[100]]");
    let gone = statement(&transaction, "ROLLBACK TO b");
    world.fails("sql.execute_query", gone, "INVALID_QUERY").await;
    run(&world, &transaction, "RELEASE SAVEPOINT a").await;
    end(&world, "commit", &transaction).await;
    assert_eq!(world.rows("SELECT sum(n) FROM t").await, "[[100]]");
}

#[tokio::test]
async fn locks_are_nobody_elses_to_release_or_raise() {
    let world = filled().await;
    let transaction = begin(&world).await;
    let lock = json!({"id": transaction, "name": "mine", "mode": "S"});
    let held = world.must("transactions.acquire_lock", lock).await;
    let id = &held["lock_id"];
    for (operation, input) in [
        ("transactions.release_lock", json!({"id": id})),
        ("transactions.upgrade_lock", json!({"id": id, "mode": "X"})),
    ] {
        let refused = world.call(operation, &input, "developer").await.unwrap_err();
        assert_eq!(refused.code(), "LOCK_NOT_FOUND");
    }
    let listed = world
        .must("transactions.list_lock_holders", json!({"name": "mine"}))
        .await;
    assert_eq!(listed["locks"][0]["mode"], "S");
    let row = json!({"id": transaction, "table": "t", "row_id": "1", "mode": "IX"});
    world
        .fails("transactions.acquire_lock", row, "INVALID_ARGUMENT")
        .await;
}
