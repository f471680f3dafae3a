//! Numbers that events hold: the engine is made to move each, and direction and size are checked.

use std::time::Instant;

use serde_json::{Value, json};

use super::{call, named, number, table, watch};
use crate::harness::credential::Credential;
use crate::harness::server::ADMIN_PASSWORD;
use crate::harness::watch::Event;
use crate::harness::world::World;

/// A statement that computes for a while: so many times ten rows, joined.
fn long(table: &str, times: usize) -> String {
    let joins: Vec<String> = (1..times).map(|at| format!("CROSS JOIN {table} a{at}")).collect();
    format!(
        "SELECT sum(a0.id * a1.id) AS n FROM {table} a0 {}",
        joins.join(" ")
    )
}

async fn execute(world: &World, sql: &str) -> Value {
    call(world, "sql.execute_query", json!({"sql": sql})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_heartbeats_count_from_one() {
    let world = World::new().await;
    let mut beats = watch(&world, "protocol.heartbeat", json!({"interval_ms": 100})).await;
    for sequence in 1..=5 {
        assert_eq!(beats.event().await.data["sequence"], sequence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_sessions_tell_how_long_they_lasted() {
    let world = World::new().await;
    let input = json!({"user_filter": "role_analyst"});
    let mut events = watch(&world, "session.session_events", input).await;
    let mut beats = watch(&world, "protocol.heartbeat", json!({"interval_ms": 100})).await;
    for seconds in [0.0, 2.0] {
        let begun = Instant::now();
        let input = json!({"username": "role_analyst", "password": ADMIN_PASSWORD});
        let tokens = world
            .call("auth.login", &input, &Credential::Nobody)
            .await
            .unwrap();
        let open = Instant::now();
        let caller = Credential::Bearer(tokens["access_token"].as_str().unwrap().to_owned());
        while open.elapsed().as_secs_f64() < seconds {
            beats.event().await;
        }
        let least = open.elapsed().as_secs_f64().floor();
        world.call("auth.logout", &json!({}), &caller).await.unwrap();
        let most = begun.elapsed().as_secs_f64();
        assert_eq!(events.event().await.data["event_type"], "CONNECTED");
        let ended = events.event().await.data;
        let lasted = number(&ended, "/duration_seconds");
        assert!((least..=most).contains(&lasted), "{lasted} of {least} to {most}");
    }
}

/// A check takes part of the time until its event, and that of the catalog longer with more in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_checks_that_are_watched_take_part_of_the_time() {
    let world = World::new().await;
    let catalog = async || {
        let mut least = f64::INFINITY;
        for _ in 0..20 {
            let begun = Instant::now();
            let mut changes = watch(&world, "health.status_changes", json!({})).await;
            let first = changes.event().await.data;
            let outside = begun.elapsed().as_micros() as f64;
            let components = first["changed_components"].as_array().unwrap();
            let all: f64 = components
                .iter()
                .map(|component| number(component, "/check_us"))
                .sum();
            assert!(all <= outside, "checks of {all} us in {outside} us");
            let place = components.iter().find(|component| component["name"] == "catalog");
            least = least.min(number(place.unwrap(), "/check_us"));
        }
        least
    };
    let few = catalog().await;
    for n in 0..150 {
        call(&world, "database.create", json!({"name": format!("d{n}")})).await;
    }
    let many = catalog().await;
    assert!(many > few, "{few} us, then {many} us of 150 databases more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_transactions_tell_their_rows_and_time() {
    let world = World::new().await;
    table(&world, "t", 4).await;
    let mut events = watch(&world, "transactions.transaction_events", json!({})).await;
    for rows in [0, 3] {
        let begun = Instant::now();
        let id = call(&world, "transactions.begin", json!({})).await["transaction_id"].clone();
        let open = Instant::now();
        if rows > 0 {
            let sql = format!("DELETE FROM t WHERE id <= {rows}");
            call(
                &world,
                "sql.execute_query",
                json!({"sql": sql, "transaction_id": id}),
            )
            .await;
        }
        let least = open.elapsed().as_millis() as f64;
        call(&world, "transactions.commit", json!({"id": id})).await;
        let most = begun.elapsed().as_millis() as f64;
        let commit = loop {
            let event = events.event().await.data;
            if event["event_type"] == "COMMIT" {
                break event;
            }
        };
        assert_eq!(commit["modified_rows"], rows);
        let took = number(&commit, "/duration_ms");
        assert!(
            (least - 1.0..=most).contains(&took),
            "{took} of {least} to {most}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_commands_tell_how_long_they_took() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    let mut events = watch(
        &world,
        "protocol.mutation_results",
        json!({"operations": ["sql.execute_query"]}),
    )
    .await;
    for sql in ["SELECT 1 AS n".to_owned(), long("t", 6)] {
        let begun = Instant::now();
        let least = number(&execute(&world, &sql).await, "/execution_time_ms").floor();
        let most = begun.elapsed().as_millis() as f64;
        let took = number(&events.event().await.data, "/duration_ms");
        assert!((least..=most).contains(&took), "{took} of {least} to {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_run_counts_its_rows_and_its_time() {
    let world = World::new().await;
    table(&world, "t", 25).await;
    let sql = "SELECT id FROM t ORDER BY id";
    let begun = Instant::now();
    let mut rows = watch(&world, "query.results", json!({"sql": sql})).await;
    for index in 0..25 {
        let row = named(&mut rows, "QueryRow").await;
        assert_eq!(
            (&row["row_index"], &row["row_data"]["id"]),
            (&json!(index), &json!(index + 1))
        );
    }
    let done = named(&mut rows, "QueryCompleted").await;
    assert_eq!(
        (&done["rows_returned"], &done["rows_affected"]),
        (&json!(25), &json!(0))
    );
    assert!(number(&done, "/elapsed_ms") <= begun.elapsed().as_millis() as f64);
    let mut rows = watch(&world, "query.results", json!({"sql": sql, "rows_per_event": 10})).await;
    for (index, many) in [(0, 10), (10, 10), (20, 5)] {
        let some = named(&mut rows, "QueryRows").await;
        assert_eq!(some["row_index"], index);
        assert_eq!(some["rows"].as_array().unwrap().len(), many);
    }
    let mut change = watch(
        &world,
        "query.results",
        json!({"sql": "DELETE FROM t WHERE id > 18"}),
    )
    .await;
    let done = named(&mut change, "QueryCompleted").await;
    assert_eq!(
        (&done["rows_returned"], &done["rows_affected"]),
        (&json!(0), &json!(7))
    );
    let least = number(&execute(&world, &long("t", 5)).await, "/execution_time_ms");
    let mut slow = watch(&world, "query.results", json!({"sql": long("t", 5)})).await;
    let took = number(&named(&mut slow, "QueryCompleted").await, "/elapsed_ms");
    assert!(took > least / 10.0, "{took} of {least}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_progress_is_that_of_the_scans() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    // One row at once, and then a join that goes on for minutes.
    let sql = format!("SELECT 1 AS n UNION ALL {}", long("t", 9));
    let begun = Instant::now();
    let mut run = watch(&world, "query.results", json!({"sql": sql})).await;
    let (mut elapsed, mut returned) = (0.0, 0.0);
    while elapsed < 1_000.0 || returned < 1.0 {
        let progress = named(&mut run, "QueryProgress").await;
        let at = number(&progress, "/elapsed_ms");
        assert!(
            at > elapsed && at <= begun.elapsed().as_millis() as f64,
            "{at} after {elapsed}"
        );
        elapsed = at;
        returned = number(&progress, "/rows_returned");
        let scanned = number(&progress, "/rows_scanned");
        assert!(scanned <= 90.0, "{progress}");
        // Nine scans of ten rows, each named apart: what is scanned is told in whole and in percent.
        let percent = number(&progress, "/percentage_complete");
        assert!((percent - scanned / 90.0 * 100.0).abs() < 1e-6, "{progress}");
        if percent > 0.0 {
            let left = number(&progress, "/estimated_remaining_ms");
            assert!(
                (left - (at * (100.0 - percent) / percent)).abs() <= 2.0,
                "{progress}"
            );
        }
    }
    assert_eq!(returned, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_runs_are_watched_with_their_time() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    let mut executions = watch(&world, "query.executions", json!({})).await;
    let mut active = watch(
        &world,
        "query.active_queries",
        json!({"refresh_interval_ms": 100}),
    )
    .await;
    let mut slow = watch(&world, "query.slow_queries", json!({"threshold_ms": 0})).await;
    let sql = long("t", 6);
    let begun = Instant::now();
    let least = number(&execute(&world, &sql).await, "/execution_time_ms").floor();
    let most = begun.elapsed().as_millis() as f64;
    let mut last = -1.0;
    let done = loop {
        let told = executions.event().await.data;
        let at = number(&told, "/elapsed_ms");
        assert!(at >= last || told["status"] == "STARTED", "{told} after {last}");
        last = at;
        match told["status"].as_str() {
            Some("RUNNING") => {
                let percent = number(&told, "/progress_percent");
                assert!((0.0..=100.0).contains(&percent), "{told}");
            }
            Some("COMPLETED") => break told,
            _ => {}
        }
    };
    assert_eq!(
        (
            number(&done, "/progress_percent"),
            number(&done, "/rows_affected")
        ),
        (100.0, 0.0)
    );
    let took = number(&done, "/elapsed_ms");
    assert!(
        (least - 1.0..=most).contains(&took),
        "{took} of {least} to {most}"
    );
    let seen: Event = active.event().await;
    assert!(number(&seen.data, "/duration_ms") <= most, "{seen:?}");
    assert!(number(&seen.data, "/rows_processed") <= 60.0, "{seen:?}");
    let detected = slow.event().await.data;
    assert_eq!(number(&detected, "/execution_time_ms"), took);
    assert_eq!(number(&detected, "/rows_returned"), 1.0);
    execute(&world, "INSERT INTO t SELECT id + 100, name FROM t").await;
    let changed = loop {
        let told = executions.event().await.data;
        if told["status"] == "COMPLETED" {
            break told;
        }
    };
    assert_eq!(number(&changed, "/rows_affected"), 10.0);
}

/// Rows of a snapshot; what was lost, and how far a reader is behind, have tests of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_controls_count_what_they_tell() {
    let world = World::new().await;
    for rows in [0, 7] {
        let name = format!("t{rows}");
        table(&world, &name, rows).await;
        let mut changes = watch(
            &world,
            "database.table_changes",
            json!({"table": name, "snapshot": true}),
        )
        .await;
        let told = loop {
            let event = changes.next().await.unwrap().unwrap();
            if event.is_control {
                break event;
            }
        };
        assert_eq!(
            (told.name.as_str(), &told.data["count"]),
            ("SNAPSHOT_COMPLETE", &json!(rows))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_live_results_count_the_rows_that_match() {
    let world = World::new().await;
    table(&world, "t", 4).await;
    let input =
        json!({"table": "t", "where_clause": {"field": "id", "operator": "GT", "value": 1}, "limit": 1});
    let mut live = watch(&world, "database.query_changes", input).await;
    let before = number(&live.event().await.data, "/total_count");
    let all = execute(&world, "SELECT count(*) AS n FROM t WHERE id > 1").await;
    assert_eq!(before, number(&all, "/rows/0/n"));
    execute(&world, "DELETE FROM t WHERE id = 2").await;
    assert_eq!(number(&live.event().await.data, "/total_count"), before - 1.0);
}
