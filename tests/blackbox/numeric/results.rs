//! Numbers in answers to SQL.

use std::time::Instant;

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::world::World;

/// A query whose work grows with the number.
fn work(rows: u64) -> String {
    format!("SELECT sum((value * 7919) % 1013) AS n FROM generate_series(1, {rows})")
}

/// A statement as the input of an operation.
type Form = fn(String) -> Value;

/// The least of several measurements of a call and the time each took from outside, in milliseconds.
async fn least(world: &World, id: &str, input: &Value, pointer: &str) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let begun = Instant::now();
        let answer = call(world, id, input.clone()).await;
        let outside = begun.elapsed().as_secs_f64() * 1000.0;
        let inside = number(&answer, pointer);
        assert!((0.0..=outside).contains(&inside), "{inside} ms of {outside}");
        least = least.min(inside);
    }
    least
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_execution_times_grow_with_the_work() {
    let world = World::new().await;
    let forms: [(&str, &str, Form); 3] = [
        (
            "sql.execute_query",
            "/execution_time_ms",
            |sql| json!({"sql": sql}),
        ),
        (
            "sql.execute_batch",
            "/outcomes/0/result/execution_time_ms",
            |sql| json!({"statements": [sql]}),
        ),
        (
            "sql.execute_union",
            "/execution_time_ms",
            |sql| json!({"queries": [sql, "SELECT 1 AS n"]}),
        ),
    ];
    for (id, pointer, input) in forms {
        let little = least(&world, id, &input(work(10)), pointer).await;
        let much = least(&world, id, &input(work(3_000_000)), pointer).await;
        assert!(little > 0.0, "{id}: {little} ms");
        assert!(
            much > 2.0 * little,
            "{id}: {little} ms of little work, {much} ms of much"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_results_count_their_rows() {
    let world = World::new().await;
    table(&world, "t", 12).await;
    for limit in [0, 1, 5, 12, 13] {
        let select = format!("SELECT id FROM t ORDER BY id LIMIT {limit}");
        let expected = f64::from(limit.min(12));
        let answer = call(&world, "sql.execute_query", json!({"sql": select})).await;
        assert_eq!(
            (number(&answer, "/row_count"), number(&answer, "/rows_affected")),
            (expected, 0.0)
        );
        assert_eq!(answer["rows"].as_array().unwrap().len() as f64, expected);
        let answer = call(&world, "sql.execute_batch", json!({"statements": [select]})).await;
        assert_eq!(number(&answer, "/outcomes/0/result/row_count"), expected);
        let queries = json!([
            format!("SELECT id FROM t WHERE id <= {limit}"),
            "SELECT 1000 AS id"
        ]);
        let answer = call(&world, "sql.execute_union", json!({"queries": queries})).await;
        assert_eq!(number(&answer, "/row_count"), expected + 1.0);
        // A union reads only: nothing that it can be given affects a row.
        assert_eq!(number(&answer, "/rows_affected"), 0.0);
    }
    for (sql, affected) in [
        ("UPDATE t SET name = 'x' WHERE id <= 3", 3.0),
        ("UPDATE t SET name = 'x' WHERE id > 100", 0.0),
        ("INSERT INTO t SELECT id + 100, name FROM t", 12.0),
        ("DELETE FROM t WHERE id > 100", 12.0),
    ] {
        let answer = call(&world, "sql.execute_query", json!({"sql": sql})).await;
        assert_eq!(
            (number(&answer, "/rows_affected"), number(&answer, "/row_count")),
            (affected, 0.0),
            "{sql}"
        );
    }
    let statements = json!([
        "INSERT INTO t SELECT id + 100, name FROM t",
        "DELETE FROM t WHERE id > 106"
    ]);
    let answer = call(&world, "sql.execute_batch", json!({"statements": statements})).await;
    assert_eq!(number(&answer, "/outcomes/0/result/rows_affected"), 12.0);
    assert_eq!(number(&answer, "/outcomes/1/result/rows_affected"), 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_batch_counts_what_succeeded_and_what_failed() {
    let world = World::new().await;
    for good in 0..3_usize {
        for bad in 0..3_usize {
            if good + bad == 0 {
                continue;
            }
            let mut statements = vec!["SELECT 1 AS n"; good];
            statements.extend(vec!["SELECT n FROM no_such_table"; bad]);
            let answer = call(
                &world,
                "sql.execute_batch",
                json!({"statements": statements, "atomic": false}),
            )
            .await;
            assert_eq!(number(&answer, "/succeeded"), good as f64, "{answer}");
            assert_eq!(number(&answer, "/failed"), bad as f64, "{answer}");
            for at in 0..good + bad {
                assert_eq!(number(&answer, &format!("/outcomes/{at}/index")), at as f64);
            }
        }
    }
}

/// The place moves with the text before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_positions_follow_the_text_before_them() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    for (code, text) in [
        ("SYNTAX_ERROR", "SELEC 1"),
        ("UNSUPPORTED", "SELECT DISTINCT id FROM t FOR UPDATE"),
    ] {
        let place = async |before: &str| {
            let input = json!({"sql": format!("{before}{text}")});
            let error = world
                .call("sql.execute_query", &input, &world.credential("admin"))
                .await
                .unwrap_err();
            assert_eq!(error.code, code);
            let details = error.details.unwrap();
            (number(&details, "/line"), number(&details, "/column"))
        };
        let (line, column) = place("").await;
        assert_eq!(line, 1.0);
        assert!(column >= 1.0 && column <= text.len() as f64);
        assert_eq!(place("   ").await, (1.0, column + 3.0));
        assert_eq!(place("\n\n").await, (3.0, column));
        assert_eq!(place("\n\n\n  ").await, (4.0, column + 2.0));
        // Characters are counted, not bytes.
        assert_eq!(place("/* \u{1F980} */").await, (1.0, column + 7.0));
    }
}
