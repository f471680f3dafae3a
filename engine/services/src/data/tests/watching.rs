//! What is told of transactions, locks and deadlocks: everything once, in its order, with the names of the moment.

use std::time::Duration;

use rustydb_contract::stream::{Body, Subscription};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::support::World;

const WITHIN: Duration = Duration::from_secs(60);

/// The next event as JSON.
async fn next<E: Serialize + Send + 'static>(watching: &mut Subscription<E>) -> Value {
    let item = tokio::time::timeout(WITHIN, watching.next()).await;
    match item.expect("something is told").unwrap().unwrap().body {
        Body::Event(event) => serde_json::to_value(event).unwrap(),
        Body::Control(control) => panic!("{control:?}"),
    }
}

/// Asserts that these events come next, each written as its values at these members.
async fn expect<E: Serialize + Send + 'static>(
    watching: &mut Subscription<E>,
    members: &[&str],
    expected: &[&str],
) {
    for expected in expected {
        let event = next(watching).await;
        let shown: Vec<String> = members
            .iter()
            .filter_map(|member| match event.get(member)? {
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
            .collect();
        assert_eq!(shown.join(" "), *expected, "{event}");
    }
}

fn input<I: DeserializeOwned>(value: Value) -> I {
    serde_json::from_value(value).unwrap()
}

async fn begin(world: &World) -> Value {
    begin_with(world, json!({"lock_timeout_ms": 60_000})).await
}

async fn begin_with(world: &World, options: Value) -> Value {
    world.must("transactions.begin", options).await["transaction_id"].clone()
}

async fn run(world: &World, transaction: &Value, sql: &str) {
    let statement = json!({"sql": sql, "transaction_id": transaction});
    world.must("sql.execute_query", statement).await;
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

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer UNIQUE)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
    world
}

const LOCK: &[&str] = &["event", "resource", "lock_type", "granted", "from_type", "rows"];

#[tokio::test]
async fn a_transaction_is_told_from_its_beginning_to_its_end() {
    const SHOWN: &[&str] = &[
        "event",
        "isolation_level",
        "read_only",
        "savepoint_name",
        "modified_rows",
        "timeout_seconds",
        "state",
        "reason",
    ];
    let world = filled().await;
    let mut all = world.engine.watch_lifecycle(input(json!({})));
    let committed = begin(&world).await;
    let mut one = world
        .engine
        .watch_lifecycle(input(json!({"transaction_ids": [committed]})));
    let late = begin_with(
        &world,
        json!({"isolation_level": "serializable", "idle_timeout_ms": 1_500}),
    )
    .await;
    let read_only = json!({"isolation_level": "read_committed", "read_only": true, "timeout_ms": 2});
    begin_with(&world, read_only).await;
    run(&world, &committed, "SAVEPOINT a").await;
    let named = json!({"id": committed, "name": "b"});
    world.must("transactions.create_savepoint", named).await;
    run(&world, &committed, "ROLLBACK TO a").await;
    // What fails has not happened.
    let unknown = json!({"sql": "RELEASE b", "transaction_id": committed});
    world.fails("sql.execute_query", unknown, "INVALID_QUERY").await;
    run(&world, &committed, "DELETE FROM t WHERE id < 3").await;
    run(&world, &committed, "RELEASE a").await;
    end(&world, "commit", &committed).await;
    let of_it = [
        "TransactionSavepoint a",
        "TransactionSavepoint b",
        "TransactionSavepointReleased a",
        "TransactionCommit snapshot 2",
    ];
    expect(&mut one, SHOWN, &of_it).await;
    expect(
        &mut all,
        SHOWN,
        &[
            "TransactionBegin snapshot false",
            "TransactionBegin serializable false",
            "TransactionBegin read_committed true",
        ],
    )
    .await;
    expect(&mut all, SHOWN, &of_it).await;
    world.clock.advance_us(2_500);
    world.engine.inner.transactions.sweep();
    world.clock.advance_us(1_500_000);
    world.engine.inner.transactions.sweep();
    let gone = json!({"id": late});
    world
        .fails("transactions.commit", gone, "TRANSACTION_NOT_ACTIVE")
        .await;
    expect(
        &mut all,
        SHOWN,
        &[
            "TransactionTimeout read_committed 0.002 open",
            "TransactionRollback read_committed was rolled back after being open too long",
            "TransactionTimeout serializable 1.5 idle",
            "TransactionRollback serializable was rolled back after being idle too long",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_told_in_their_order_and_by_name() {
    let world = filled().await;
    let first = begin(&world).await;
    let mut told = world.engine.watch_locks(input(json!({"database": "main"})));
    run(&world, &first, "UPDATE t SET n = 11 WHERE id = 1").await;
    expect(
        &mut told,
        LOCK,
        &[
            "LockAcquired main.t intention_exclusive true",
            "LockAcquired main.t/1 exclusive true",
        ],
    )
    .await;
    // The value that it gives up and the one that it gets, in whichever order.
    let constraint = next(&mut told).await;
    let name = constraint["resource"].as_str().unwrap();
    assert!(name.starts_with("main.t/") && name != "main.t/1", "{constraint}");
    assert_eq!(constraint.get("row_id"), None);
    assert_eq!(next(&mut told).await["resource"], constraint["resource"]);
    let second = begin(&world).await;
    let after = async {
        until_waiting(&world, 1).await;
        end(&world, "rollback", &first).await;
    };
    tokio::join!(run(&world, &second, "DELETE FROM t WHERE id = 1"), after);
    expect(&mut told, LOCK, &["LockAcquired main.t intention_exclusive true"]).await;
    let wait = next(&mut told).await;
    assert_eq!(
        (&wait["event"], &wait["resource"]),
        (&json!("LockWaitStart"), &json!("main.t/1"))
    );
    let held = json!({"transaction_id": first, "mode": "X", "granted": true});
    let mut blocked_by = wait["blocked_by"].clone();
    blocked_by[0].as_object_mut().unwrap().remove("lock_id");
    assert_eq!(blocked_by, json!([held]));
    let mut ends = Vec::new();
    for _ in 0..6 {
        let event = next(&mut told).await;
        if event["resource"] == "main.t/1" {
            ends.push((event["event"].clone(), event["transaction_id"].clone()));
        }
    }
    let expected = [
        ("LockReleased", &first),
        ("LockWaitEnd", &second),
        ("LockAcquired", &second),
    ];
    assert_eq!(ends, expected.map(|(event, id)| (json!(event), id.clone())));
}

#[tokio::test]
async fn a_table_that_is_locked_for_its_rows_and_one_that_nobody_else_sees_yet() {
    let world = filled().await;
    world
        .engine
        .inner
        .tables
        .locks()
        .locks()
        .settings()
        .set_escalate_after(2);
    let mut told = world.engine.watch_locks(input(json!({"table_filter": ["t"]})));
    let transaction = begin(&world).await;
    run(&world, &transaction, "SELECT id FROM t ORDER BY id FOR SHARE").await;
    expect(
        &mut told,
        LOCK,
        &[
            "LockAcquired main.t intention_shared true",
            "LockAcquired main.t/1 shared true",
            "LockAcquired main.t/2 shared true",
            "LockUpgraded main.t shared true intention_shared",
            "LockEscalated main.t shared true 2",
        ],
    )
    .await;
    end(&world, "rollback", &transaction).await;
    expect(&mut told, LOCK, &["LockReleased main.t shared false"]).await;
    drop(told);
    let mut told = world.engine.watch_locks(input(json!({})));
    let creating = begin(&world).await;
    run(&world, &creating, "CREATE TABLE later (id bigint PRIMARY KEY)").await;
    run(&world, &creating, "INSERT INTO later VALUES (1)").await;
    end(&world, "commit", &creating).await;
    world.sql("INSERT INTO later VALUES (2)").await;
    loop {
        let event = next(&mut told).await;
        let resource = event["resource"].as_str().unwrap();
        assert!(
            ["?", "main.later", "main.later/1", "main.later/2"].contains(&resource),
            "{event}"
        );
        if event["event"] == "LockAcquired" && resource == "main.later/2" {
            assert_eq!(event["table_name"], "later");
            break;
        }
    }
    assert!(!world.engine.inner.lock_watch.is_idle());
    drop(told);
    assert!(
        world.engine.inner.lock_watch.is_idle(),
        "locks are told to nobody"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wait_is_told_from_its_beginning_to_its_end() {
    let world = filled().await;
    let holder = begin(&world).await;
    let lock = |id: &Value, mode: &str| json!({"id": id, "name": "n", "mode": mode});
    world.must("transactions.acquire_lock", lock(&holder, "X")).await;
    let mut waits = world.engine.watch_lock_waits();
    let events = json!({"event_types": ["WAITING", "TIMEOUT", "RELEASED"]});
    let mut events = world.engine.watch_lock_events(input(events));
    let impatient = begin_with(&world, json!({"lock_timeout_ms": 1})).await;
    world
        .fails("transactions.acquire_lock", lock(&impatient, "S"), "LOCK_TIMEOUT")
        .await;
    let patient = begin(&world).await;
    let after = async {
        until_waiting(&world, 1).await;
        world.clock.advance_us(7_000);
        end(&world, "commit", &holder).await;
    };
    tokio::join!(
        world.must("transactions.acquire_lock", lock(&patient, "S")),
        after
    );
    for (waiter, ms) in [(&impatient, None), (&patient, Some(7))] {
        for waiting in [true, false] {
            let wait = next(&mut waits).await;
            assert_eq!(
                (&wait["transaction_id"], &wait["blocking_transaction_id"]),
                (waiter, &holder)
            );
            assert_eq!(
                (&wait["resource"], &wait["waiting"]),
                (&json!("n"), &json!(waiting))
            );
            match (waiting, ms) {
                (true, _) => assert_eq!(wait["wait_time_ms"], 0),
                (false, Some(ms)) => assert_eq!(wait["wait_time_ms"], ms),
                (false, None) => {}
            }
        }
    }
    expect(
        &mut events,
        &["event_type", "resource", "lock_type", "granted"],
        &[
            "WAITING n shared false",
            "TIMEOUT n shared false",
            "WAITING n shared false",
            "RELEASED n exclusive false",
        ],
    )
    .await;
}

/// The victim is a call without a transaction, which is run again and succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_told_when_it_is_kept_and_when_its_victim_has_let_go() {
    let world = filled().await;
    world.engine.set_deadlock_timeout_us(1_000);
    let mut told = world.engine.watch_deadlocks();
    let mut found = world.engine.watch_found_deadlocks();
    let mut locks = world
        .engine
        .watch_lock_events(input(json!({"event_types": ["DEADLOCK"]})));
    let old = begin(&world).await;
    run(&world, &old, "UPDATE t SET n = 31 WHERE id = 3").await;
    let both = json!({"sql": "DELETE FROM t WHERE id IN (1, 3)"});
    let closing = async {
        until_waiting(&world, 1).await;
        run(&world, &old, "UPDATE t SET n = 11 WHERE id = 1").await;
        end(&world, "commit", &old).await;
    };
    tokio::join!(world.must("sql.execute_query", both), closing);
    let detected = next(&mut told).await;
    assert_eq!(detected["event"], "DeadlockDetected");
    let (id, victim) = (&detected["deadlock_id"], &detected["victim_transaction"]);
    assert_eq!(detected["transactions"], json!([victim, old]));
    assert_eq!(
        detected["resource_graph"][0]["statement"],
        "DELETE FROM t WHERE id IN (1, 3)"
    );
    for event in ["DeadlockVictimSelected", "DeadlockResolved"] {
        let next = next(&mut told).await;
        assert_eq!((&next["event"], &next["deadlock_id"]), (&json!(event), id));
        assert_eq!(next["victim_transaction"], *victim);
    }
    assert_eq!(next(&mut found).await["deadlock_id"], *id);
    let ended = next(&mut locks).await;
    assert_eq!(
        (&ended["transaction_id"], &ended["granted"]),
        (victim, &json!(false))
    );
    let kept = world.must("transactions.list_deadlocks", json!({})).await;
    assert_eq!(kept["deadlocks"][0]["deadlock_id"], *id);
    assert_eq!(kept["deadlocks"][0]["transactions"], detected["transactions"]);
}
