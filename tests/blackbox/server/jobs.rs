//! Jobs of a server that is stopped or killed while they run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::contract::operation;
use crate::harness::rest;
use crate::harness::server::Server;
use crate::harness::world::World;

/// Far longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(60);

const BATCH_ROWS: u64 = 5;

async fn table(world: &World) {
    let columns = json!([{"name": "id", "type": "bigint"}]);
    let table = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
}

async fn rows(world: &World) -> u64 {
    let counted = world
        .must("database.count_rows", &json!({"name": "t"}), "admin")
        .await;
    counted["count"].as_u64().unwrap()
}

/// A load of thousands of batches, of which some are committed.
async fn loading(world: &World) -> Value {
    let rows_given: Vec<Value> = (0..40_000).map(|id| json!({"id": id})).collect();
    let input = json!({"name": "t", "rows": rows_given, "batch_size": BATCH_ROWS});
    let job = world.must("database.bulk_load_rows", &input, "admin").await;
    let begun = async { while rows(world).await < 20 * BATCH_ROWS {} };
    tokio::time::timeout(WITHIN, begun).await.expect("it loads");
    let now = world.must("jobs.get", &json!({"id": job["id"]}), "admin").await;
    assert_eq!(now["state"], "running", "{now}");
    job["id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_jobs_are_answered_with_their_place() {
    let world = World::new().await;
    table(&world).await;
    let input = json!({"name": "t", "rows": [{"id": 1}, {"id": 2}]});
    let (load, admin) = (operation("database.bulk_load_rows"), world.credential("admin"));
    let http = reqwest::Client::new();
    let accepted = rest::raw(&http, world.base_url(), load, &input, &admin).await;
    assert_eq!(accepted.status, 202);
    let location = accepted.headers["location"].to_str().unwrap();
    assert_eq!(
        location,
        format!("/api/v1/jobs/{}", accepted.body["id"].as_str().unwrap())
    );
    let ended = async {
        loop {
            let request = admin.on(http.get(format!("{}{location}", world.base_url())));
            let job = rest::send(request).await;
            assert_eq!(job.status, 200);
            if job.body.get("finished_at").is_some() {
                return job.body;
            }
        }
    };
    let job = tokio::time::timeout(WITHIN, ended).await.expect("it ends");
    assert_eq!(
        (&job["state"], &job["result"]["rows_loaded"]),
        (&json!("succeeded"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_jobs_that_a_kill_cuts_short_have_failed_and_leave_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Server::start_in(folder.path(), &[])).await;
    table(&world).await;
    let done = world
        .must("query.submit", &json!({"sql": "SELECT 42 AS answer"}), "admin")
        .await;
    let done = world.must("jobs.wait", &json!({"id": done["id"]}), "admin").await;
    let cut = loading(&world).await;
    world.server.kill();

    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let kept = world.must("jobs.get", &json!({"id": done["id"]}), "admin").await;
    assert_eq!(kept, done);
    assert_eq!(kept["result"]["rows"], json!([{"answer": 42}]));
    let job = world.must("jobs.get", &json!({"id": cut}), "admin").await;
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("INTERRUPTED"))
    );
    let loaded = rows(&world).await;
    assert!(
        loaded >= 20 * BATCH_ROWS && loaded.is_multiple_of(BATCH_ROWS),
        "{loaded} rows"
    );
    assert!(
        job["progress"]["done"].as_u64().unwrap() <= loaded,
        "{job} and {loaded} rows"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_jobs_end_when_it_stops_and_tell_how_far_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Server::start_in(folder.path(), &[])).await;
    table(&world).await;
    let cut = loading(&world).await;
    let (status, _) = tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    assert!(status.success());

    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let job = world.must("jobs.get", &json!({"id": cut}), "admin").await;
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("INTERRUPTED"))
    );
    // A batch may have been committed while the job was told to end.
    let (done, loaded) = (job["progress"]["done"].as_u64().unwrap(), rows(&world).await);
    assert!(
        loaded == done || loaded == done + BATCH_ROWS,
        "{done} of {loaded} rows"
    );
}
