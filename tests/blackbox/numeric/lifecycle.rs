//! Numbers in events of transactions, locks and deadlocks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{call, named, number, table, watch};
use crate::harness::world::World;

/// Enough of a wait to be told from none, in milliseconds.
const WAIT_MS: f64 = 60.0;
/// Locks on rows after which a transaction tries to lock the table instead.
const ESCALATES_AFTER: f64 = 5_000.0;

async fn begin(world: &World, input: Value) -> Value {
    call(world, "transactions.begin", input).await["transaction_id"].clone()
}

async fn end(world: &World, how: &str, id: &Value) {
    call(world, &format!("transactions.{how}"), json!({"id": id})).await;
}

async fn execute(world: &World, sql: &str, id: &Value) {
    let input = json!({"sql": sql, "transaction_id": id});
    call(world, "sql.execute_query", input).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_ends_of_transactions_tell_their_rows_and_time() {
    let world = World::new().await;
    table(&world, "t", 9).await;
    let mut events = watch(&world, "transactions.lifecycle_events", json!({})).await;
    let mut beats = watch(&world, "protocol.heartbeat", json!({"interval_ms": 100})).await;
    for (how, told) in [
        ("commit", "TransactionCommit"),
        ("rollback", "TransactionRollback"),
    ] {
        for rows in [0, 3] {
            let begun = Instant::now();
            let id = begin(&world, json!({})).await;
            let open = Instant::now();
            if rows > 0 {
                execute(
                    &world,
                    &format!("UPDATE t SET name = 'x' WHERE id <= {rows}"),
                    &id,
                )
                .await;
                for _ in 0..2 {
                    beats.event().await;
                }
            }
            let least = open.elapsed().as_millis() as f64;
            end(&world, how, &id).await;
            let most = begun.elapsed().as_millis() as f64;
            let ended = named(&mut events, told).await;
            let took = number(&ended, "/duration_ms");
            // The wall clock may be set back a little meanwhile.
            assert!(
                (least - 1.0..=most).contains(&took),
                "{took} of {least} to {most}"
            );
            if how == "commit" {
                assert_eq!(ended["modified_rows"], rows);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_time_outs_of_transactions_are_told_in_seconds() {
    let world = World::new().await;
    let mut events = watch(&world, "transactions.lifecycle_events", json!({})).await;
    for (bound, state, bounds_ms) in [
        ("timeout_ms", "open", [5, 250]),
        ("idle_timeout_ms", "idle", [1_000, 1_250]),
    ] {
        for ms in bounds_ms {
            begin(&world, json!({bound: ms})).await;
            let told = named(&mut events, "TransactionTimeout").await;
            assert_eq!(number(&told, "/timeout_seconds"), f64::from(ms) / 1_000.0);
            assert_eq!(told["state"], state);
        }
    }
}

/// Waits until the transaction that waits has waited for a while; how long it says that was.
async fn long_wait(world: &World) -> f64 {
    loop {
        let listed = call(world, "transactions.list_lock_waiters", json!({})).await;
        let waited = listed["waiters"].get(0).map(|waiter| number(waiter, "/wait_ms"));
        match waited {
            Some(waited) if waited >= WAIT_MS => return waited.floor(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_waits_that_are_watched_are_timed() {
    let world = World::new().await;
    let admin = world.credential("admin");
    let lock = |id: &Value, mode: &str| json!({"id": id, "name": "n", "mode": mode});
    let mut activity = watch(&world, "transactions.lock_activity", json!({})).await;
    let acquired = json!({"event_types": ["ACQUIRED", "TIMEOUT"]});
    let mut events = watch(&world, "transactions.lock_events", acquired).await;
    let mut waits = watch(&world, "transactions.lock_waits", json!({})).await;

    let holder = begin(&world, json!({})).await;
    let held = call(&world, "transactions.acquire_lock", lock(&holder, "S")).await;
    let at_once = named(&mut activity, "LockAcquired").await;
    assert_eq!(number(&at_once, "/wait_time_ms"), 0.0);
    assert_eq!(number(&events.event().await.data, "/wait_time_ms"), 0.0);
    let upgrade = |lock: &Value| json!({"id": lock["lock_id"], "mode": "X"});
    call(&world, "transactions.upgrade_lock", upgrade(&held)).await;
    let at_once = named(&mut activity, "LockUpgraded").await;
    assert_eq!(number(&at_once, "/wait_time_ms"), 0.0);
    assert_eq!(number(&events.event().await.data, "/wait_time_ms"), 0.0);

    // In vain.
    let impatient = begin(&world, json!({"lock_timeout_ms": WAIT_MS as u64})).await;
    let began = Instant::now();
    let refused = world
        .call("transactions.acquire_lock", &lock(&impatient, "S"), &admin)
        .await;
    let most = began.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!(refused.unwrap_err().code, "LOCK_TIMEOUT");
    let told = [
        named(&mut activity, "LockTimeout").await,
        events.event().await.data,
        second(waits.event().await.data, waits.event().await.data),
    ];
    for told in &told {
        let waited = number(told, "/wait_time_ms");
        assert!((WAIT_MS..=most).contains(&waited), "{told}: {WAIT_MS} to {most}");
    }

    // Until the lock comes.
    let patient = begin(&world, json!({})).await;
    let (wanted, began) = (lock(&patient, "S"), Instant::now());
    let release = async {
        let least = long_wait(&world).await;
        end(&world, "rollback", &holder).await;
        least
    };
    let (got, least) = tokio::join!(world.call("transactions.acquire_lock", &wanted, &admin), release);
    let most = began.elapsed().as_secs_f64() * 1_000.0;
    let told = [
        named(&mut activity, "LockWaitEnd").await,
        named(&mut activity, "LockAcquired").await,
        events.event().await.data,
        second(waits.event().await.data, waits.event().await.data),
    ];
    for told in &told {
        let waited = number(told, "/wait_time_ms");
        assert!((least..=most).contains(&waited), "{told}: {least} to {most}");
    }

    // Until the stronger type comes.
    let other = begin(&world, json!({})).await;
    call(&world, "transactions.acquire_lock", lock(&other, "S")).await;
    let (stronger, began) = (upgrade(&got.unwrap()), Instant::now());
    let release = async {
        let least = long_wait(&world).await;
        end(&world, "rollback", &other).await;
        least
    };
    let (upgraded, least) = tokio::join!(
        world.call("transactions.upgrade_lock", &stronger, &admin),
        release
    );
    upgraded.unwrap();
    let most = began.elapsed().as_secs_f64() * 1_000.0;
    let told = named(&mut activity, "LockUpgraded").await;
    let waited = number(&told, "/wait_time_ms");
    assert!((least..=most).contains(&waited), "{told}: {least} to {most}");
}

/// Of the two events of a wait the second, after the first was looked at.
fn second(begins: Value, ends: Value) -> Value {
    assert_eq!(
        (&begins["waiting"], &ends["waiting"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(number(&begins, "/wait_time_ms"), 0.0);
    ends
}

/// A transaction whose first try fails, since somebody else has a lock on a row, tries again after as many rows more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_locks_on_tables_tell_how_many_rows_they_stand_for() {
    let world = World::new().await;
    table(&world, "digits", 10).await;
    let thousands = |table: &str, from: u64, thousands: u64| {
        format!(
            "INSERT INTO {table} (id) SELECT {from} + a.id + 10 * b.id + 100 * c.id + 1000 * d.id \
             FROM digits a, digits b, digits c, digits d WHERE d.id <= {thousands}"
        )
    };
    let events = json!({"events": ["LockEscalated"]});
    let mut events = watch(&world, "transactions.lock_activity", events).await;
    for (name, times) in [("plain", 1.0), ("shared", 2.0)] {
        table(&world, name, 1).await;
        let (writer, reader) = (begin(&world, json!({})).await, begin(&world, json!({})).await);
        if times > 1.0 {
            execute(&world, &format!("SELECT id FROM {name} FOR SHARE"), &reader).await;
            execute(&world, &thousands(name, 100_000, 6), &writer).await;
        }
        end(&world, "rollback", &reader).await;
        execute(&world, &thousands(name, 200_000, 6), &writer).await;
        let told = named(&mut events, "LockEscalated").await;
        assert_eq!(told["table_name"], *name);
        assert_eq!(number(&told, "/rows"), times * ESCALATES_AFTER);
        end(&world, "rollback", &writer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_transactions_that_are_watched_are_counted_and_timed() {
    let world = World::new().await;
    let admin = world.credential("admin");
    table(&world, "t", 2).await;
    let change = |id: &Value, row: u64| json!({"name": "t", "id": row.to_string(), "values": {"name": "x"}, "transaction_id": id});
    let mut stats = watch(
        &world,
        "transactions.transaction_stats",
        json!({"interval_ms": 20}),
    )
    .await;
    let before = stats.event().await.data;
    let grew = |after: &Value, what: &str| number(after, what) - number(&before, what);
    // A write skew: the second one to commit is refused.
    let serializable = json!({"isolation_level": "serializable"});
    let first = begin(&world, serializable.clone()).await;
    let second = begin(&world, serializable).await;
    while grew(&stats.event().await.data, "/active_transactions") < 2.0 {}
    for (id, row) in [(&first, 1), (&second, 2)] {
        execute(&world, "SELECT count(*) AS n FROM t WHERE id > 0", id).await;
        call(&world, "database.update_row", change(id, row)).await;
    }
    end(&world, "commit", &first).await;
    let refused = world
        .call("transactions.commit", &json!({"id": second}), &admin)
        .await;
    assert_eq!(refused.unwrap_err().code, "WRITE_CONFLICT");
    // Two that wait for each other, and one that is open for too long.
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
    end(&world, "rollback", &one).await;
    begin(&world, json!({"timeout_ms": 1})).await;
    let after = loop {
        let after = stats.event().await.data;
        if grew(&after, "/total_timeouts") > 0.0 {
            break after;
        }
    };
    assert_eq!(grew(&after, "/total_timeouts"), 1.0);
    assert_eq!(grew(&after, "/total_commits"), 1.0);
    assert_eq!(grew(&after, "/total_conflicts"), 1.0);
    assert_eq!(grew(&after, "/total_deadlocks"), 1.0);
    // Refused, the victim, rolled back, open for too long.
    assert_eq!(grew(&after, "/total_aborts"), 4.0);
    assert_eq!(grew(&after, "/active_transactions"), 0.0);
    let (commits, aborts) = (number(&after, "/total_commits"), number(&after, "/total_aborts"));
    let ratio = number(&after, "/abort_ratio");
    assert!((ratio - aborts / (aborts + commits)).abs() < 1e-9, "{after}");
    let (mean, p99) = (
        number(&after, "/avg_commit_latency_ms"),
        number(&after, "/p99_latency_ms"),
    );
    assert!(mean > 0.0 && p99 >= mean / 2.0, "{after}");
    // Nothing goes on any more.
    assert_eq!(call(&world, "transactions.get_stats", json!({})).await, after);
}
