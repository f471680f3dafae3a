//! How far a server is that starts: on a log that takes its time to be replayed.

use std::net::TcpListener;
use std::process::Command;

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::rest::{problem, send};
use crate::harness::server::{ADMIN_PASSWORD, Server, binary, data_dir};
use crate::harness::world::World;

/// Rows of 10 kB: so much log that a server replays it for longer than a request takes.
const ROWS: u64 = 4_000;
const ROWS_PER_INSERT: u64 = 500;

const PHASES: [&str; 4] = ["opening", "replaying", "writing", "loading"];

/// A port that was free a moment ago: it must be known before the server says it.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Serves the data in `folder` on the port.
fn serve(folder: &std::path::Path, port: u16) -> Command {
    let mut command = binary();
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(data_dir(folder))
        .env("RUSTYDB_BUFFER_POOL_BYTES", "16777216")
        .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    command
}

/// Asks the probe of start-up from before the server listens until it is ready; what it was told meanwhile.
async fn watch_start(port: u16) -> Vec<Value> {
    let http = reqwest::Client::new();
    let url = |path: &str| format!("http://127.0.0.1:{port}/api/v1/{path}");
    let mut looks = Vec::new();
    loop {
        // Nobody listens yet.
        let Ok(response) = http.get(url("health/startup")).send().await else {
            tokio::task::yield_now().await;
            continue;
        };
        if response.status() == 200 {
            return looks;
        }
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], "SERVER_STARTING", "{body}");
        looks.push(body["error"]["details"].clone());
        let alive = send(http.get(url("health/liveness"))).await;
        assert_eq!((alive.status, &alive.body["alive"]), (200, &json!(true)));
        let other = send(http.get(url("tables"))).await;
        let expected = match other.status {
            503 => "SERVER_STARTING",
            // It is ready by now.
            _ => "UNAUTHENTICATED",
        };
        assert_eq!(problem(&other).code, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_server_that_starts_tells_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::reopened(Server::start_in(folder.path(), &[])).await;
    table(&world, "t", 0).await;
    for from in (1..=ROWS).step_by(ROWS_PER_INSERT as usize) {
        let to = from + ROWS_PER_INSERT - 1;
        let sql =
            format!("INSERT INTO t SELECT value, repeat('x', 10000) FROM generate_series({from}, {to})");
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
    }
    world.server.kill();
    let port = free_port();
    let path = folder.path().to_owned();
    let starting = tokio::task::spawn_blocking(move || Server::spawn(serve(&path, port), &path));
    let looks = watch_start(port).await;
    let world = World::reopened(starting.await.unwrap()).await;
    let counted = call(&world, "database.count_rows", json!({"name": "t"})).await;
    assert_eq!(number(&counted, "/count"), ROWS as f64);

    assert!(!looks.is_empty(), "it was ready before it could be asked");
    let phase = |look: &Value| PHASES.iter().position(|phase| look["phase"] == *phase).unwrap();
    for pair in looks.windows(2) {
        let [before, after] = pair else { panic!("{pair:?}") };
        assert!(phase(before) <= phase(after), "{pair:?}");
        for field in ["/replayed_bytes", "/percent"] {
            assert!(number(before, field) <= number(after, field), "{pair:?}");
        }
    }
    let replaying = |look: &&Value| look["phase"] == "replaying" && number(look, "/total_bytes") > 0.0;
    let replaying: Vec<&Value> = looks.iter().filter(replaying).collect();
    let (first, last) = (replaying[0], replaying[replaying.len() - 1]);
    for field in ["/replayed_bytes", "/percent"] {
        assert!(number(first, field) < number(last, field), "{first} {last}");
    }
    for look in &replaying {
        let expected = number(look, "/replayed_bytes") / number(look, "/total_bytes") * 100.0;
        assert!((number(look, "/percent") - expected).abs() < 0.001, "{look}");
    }
    // Where the log ended is known once it was reached; until then its files are its bound.
    let replay = call(&world, "transactions.get_wal_replay_status", json!({})).await;
    let replayed = number(&replay, "/end_position") - number(&replay, "/redo_position");
    assert!(replayed > ROWS as f64 * 10_000.0);
    assert!(number(first, "/total_bytes") >= replayed, "{first}");
    for look in looks.iter().filter(|look| phase(look) > 1) {
        assert_eq!(number(look, "/total_bytes"), replayed, "{look}");
        assert_eq!(number(look, "/replayed_bytes"), replayed, "{look}");
        assert_eq!(number(look, "/percent"), 100.0, "{look}");
    }
}
