//! A server whose disk refuses writes goes on, says so, and tells who watches.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::credential::Credential;
use crate::harness::server::{ADMIN_PASSWORD, Server, data_dir};
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

/// Above what the log of a test holds, and below what the store needs for [`ROWS`].
const FILE_BYTES_MAX: usize = 256 << 10;

/// Rows of a kilobyte each.
const ROWS: usize = 4_000;

/// A server that gets an error, and no signal, when a file would grow beyond the limit that is set later.
fn start(folder: &std::path::Path) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_rustydb"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir(folder))
        .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
    Server::spawn(command, folder)
}

fn limit_files(process_id: u32) {
    let status = Command::new("prlimit")
        .args([format!("--pid={process_id}"), format!("--fsize={FILE_BYTES_MAX}")])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_whose_disk_fails_tells_those_who_watch_its_health() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(start(folder.path())).await;
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "text", "type": "text"}]);
    let table = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    let credential = world.credential("monitor");
    let mut watchers = Vec::new();
    for transport in [Transport::Rpc, Transport::Raw, Transport::Sse, Transport::Graphql] {
        let (view, input) = (view("health.status_changes"), json!({"interval_seconds": 1}));
        let mut watcher = Watcher::open(transport, world.base_url(), view, &input, &credential)
            .await
            .unwrap();
        let first = watcher.event().await.data;
        assert_eq!(names(&first), ["storage", "catalog", "identity"]);
        assert_eq!(
            (&first["status"], &first["errors"]),
            (&json!("healthy"), &json!([]))
        );
        watchers.push(watcher);
    }
    limit_files(world.server.process_id());
    let rows: Vec<Value> = (0..ROWS)
        .map(|id| json!({"id": id, "text": "x".repeat(1_000)}))
        .collect();
    let insert = json!({"name": "t", "rows": rows});
    let admin = world.credential("admin");
    let refused = world.call("database.insert_rows", &insert, &admin).await;
    assert_eq!(refused.unwrap_err().code, "STORAGE_FAILURE");
    for watcher in &mut watchers {
        let changed = watcher.event().await.data;
        assert_eq!(changed["status"], "unhealthy", "{changed}");
        assert_eq!(names(&changed), ["storage"], "{changed}");
        let storage = &changed["changed_components"][0];
        assert_eq!(storage["status"], "unhealthy");
        assert_eq!(changed["errors"], json!([storage["message"]]));
        assert_eq!(changed["warnings"], json!([]));
    }
    let nobody = Credential::Nobody;
    let ready = world.call("health.check_readiness", &json!({}), &nobody).await;
    assert_eq!(ready.unwrap_err().code, "UNAVAILABLE");
    let summary = world.call("health.get_summary", &json!({}), &nobody).await;
    assert_eq!(summary.unwrap()["status"], "unhealthy");
    let count = world
        .must("database.count_rows", &json!({"name": "t"}), "admin")
        .await;
    assert_eq!(count["count"], 0, "it still reads");
}

fn names(change: &Value) -> Vec<&str> {
    let components = change["changed_components"].as_array().unwrap();
    components
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect()
}
