//! Jobs: how far they are, in every answer that tells it.

use std::time::Instant;

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::contract::view;
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

fn counted(job: &Value) -> (f64, f64) {
    (number(job, "/progress/done"), number(job, "/progress/total"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_jobs_count_what_is_done_of_how_much() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let mut from = 0;
    for rows in [7, 30] {
        let load: Vec<Value> = (from..from + rows)
            .map(|id| json!({"id": id, "name": "abc"}))
            .collect();
        from += rows;
        let input = json!({"name": "t", "rows": load, "batch_size": 10});
        let accepted = call(&world, "database.bulk_load_rows", input).await;
        let rows = rows as f64;
        assert_eq!(counted(&accepted), (0.0, rows));
        let id = json!({"id": accepted["id"]});
        let done = call(&world, "jobs.wait", id.clone()).await;
        assert_eq!(counted(&done), (rows, rows));
        assert_eq!(number(&done, "/result/rows_loaded"), rows);
        assert_eq!(number(&done, "/result/batches"), (rows / 10.0).ceil());
        for operation in ["jobs.get", "jobs.cancel"] {
            assert_eq!(
                counted(&call(&world, operation, id.clone()).await),
                (rows, rows),
                "{operation}"
            );
        }
        let newest = call(&world, "jobs.list", json!({"limit": 1})).await;
        assert_eq!(counted(&newest["jobs"][0]), (rows, rows));
        let admin = world.credential("admin");
        let opened = Watcher::open(
            Transport::Rpc,
            world.base_url(),
            view("jobs.progress"),
            &id,
            &admin,
        )
        .await;
        assert_eq!(counted(&opened.unwrap().event().await.data), (rows, rows));
    }
    let stored = call(&world, "database.count_rows", json!({"name": "t"})).await;
    assert_eq!(number(&stored, "/count"), f64::from(from));
}

/// Nine scans of ten rows, joined for minutes, behind one row that is there at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_status_of_a_query_tells_its_scans_and_its_time() {
    let world = World::new().await;
    table(&world, "t", 10).await;
    let joins: String = (1..9).map(|at| format!(" CROSS JOIN t a{at}")).collect();
    let sql = format!("SELECT 1 AS n UNION ALL SELECT sum(a0.id * a1.id) AS n FROM t a0{joins}");
    let begun = Instant::now();
    let job = call(&world, "query.submit", json!({"sql": sql})).await;
    let query = json!({"query_id": job["id"]});
    let (mut elapsed, mut returned, mut scanned, mut listed) = (0.0, 0.0, 0.0, 0.0);
    while elapsed < 100.0 || returned < 1.0 || scanned < 80.0 || listed < 100.0 {
        let status = call(&world, "query.get_status", query.clone()).await;
        let at = number(&status, "/elapsed_ms");
        assert!(
            at >= elapsed && at <= begun.elapsed().as_millis() as f64,
            "{at} after {elapsed}"
        );
        elapsed = at;
        returned = number(&status, "/rows_returned");
        scanned = number(&status, "/rows_scanned");
        assert!(returned <= 1.0 && scanned <= 90.0, "{status}");
        if status.get("percentage_complete").is_some() {
            let percent = number(&status, "/percentage_complete");
            assert!((percent - scanned / 90.0 * 100.0).abs() < 1e-6, "{status}");
        }
        let active = call(&world, "query.list_active", json!({})).await;
        if let Some(run) = active["queries"].get(0) {
            assert_eq!(run["query_id"], job["id"]);
            let at = number(run, "/duration_ms");
            assert!(
                at >= elapsed && at <= begun.elapsed().as_millis() as f64,
                "{at} after {elapsed}"
            );
            listed = at;
            let processed = number(run, "/rows_processed");
            assert!(processed >= scanned && processed <= 90.0, "{run}");
        }
    }
    call(&world, "query.cancel", query).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_results_of_jobs_are_what_they_did() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let result = async |operation: &str, input: Value| {
        let job = call(&world, operation, input).await;
        let done = call(&world, "jobs.wait", json!({"id": job["id"]})).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        done["result"].clone()
    };
    for (from, doubled) in [(0, 1), (100, 3)] {
        let mut rows: Vec<Value> = (from..from + 20)
            .map(|id| json!({"id": id, "name": "abc"}))
            .collect();
        rows.extend((0..doubled).map(|id| json!({"id": from + id, "name": "again"})));
        let input = json!({"name": "t", "rows": rows, "batch_size": 20, "on_error": "skip"});
        let loaded = result("database.bulk_load_rows", input).await;
        assert_eq!(number(&loaded, "/rows_loaded"), 20.0);
        assert_eq!(number(&loaded, "/rows_failed"), f64::from(doubled));
        assert_eq!(number(&loaded, "/batches"), 1.0);
        let first = number(&loaded, "/errors/0/row");
        assert_eq!(first, 20.0);
        assert_eq!(
            loaded["errors"].as_array().unwrap().len() as i64,
            i64::from(doubled)
        );
    }
    let begun = Instant::now();
    let rows = result("query.submit", json!({"sql": "SELECT id FROM t WHERE id < 7"})).await;
    assert_eq!(
        (number(&rows, "/row_count"), number(&rows, "/rows_affected")),
        (7.0, 0.0)
    );
    let took = number(&rows, "/execution_time_ms");
    assert!(
        took > 0.0 && took <= begun.elapsed().as_secs_f64() * 1_000.0,
        "{took} ms"
    );
    let gone = result("query.submit", json!({"sql": "DELETE FROM t WHERE id < 5"})).await;
    assert_eq!(
        (number(&gone, "/row_count"), number(&gone, "/rows_affected")),
        (0.0, 5.0)
    );
}
