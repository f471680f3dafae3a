//! A server tells what its build changed of the contract that an older one served on the same data.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::contract::{model, view};
use crate::harness::error::WireError;
use crate::harness::server::{Server, data_dir};
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

const ALL: &[Transport] = &[Transport::Rpc, Transport::Raw, Transport::Sse, Transport::Graphql];

async fn start(folder: &Path) -> World {
    let server = Server::start_in(folder, &[]);
    World::reopened(server).await
}

async fn stop(world: World) {
    let (status, _) = tokio::task::spawn_blocking(|| world.server.terminate())
        .await
        .unwrap();
    assert!(status.success());
}

async fn told(world: &World, transport: Transport, input: &Value) -> Result<Value, WireError> {
    let credential = world.credential("admin");
    let view = view("protocol.api_schema_changes");
    let mut watcher = Watcher::open(transport, world.base_url(), view, input, &credential).await?;
    // GraphQL acknowledges nothing: an error is the first that comes.
    loop {
        match watcher.next().await {
            Some(Ok(event)) if event.is_control => {}
            Some(Ok(event)) => return Ok(event.data),
            Some(Err(error)) => return Err(error),
            None => panic!("it ended over {transport:?}"),
        }
    }
}

fn edit(folder: &Path, change: impl FnOnce(&mut Value)) {
    let file = data_dir(folder).join("contract.json");
    let mut content = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut content);
    std::fs::write(&file, content.to_string()).unwrap();
}

/// Ids of all operations and views, sorted.
fn all() -> Vec<&'static str> {
    let views = model().views().map(|view| view.open.id.as_str());
    let mut ids: Vec<&str> = model()
        .operations()
        .map(|operation| operation.id.as_str())
        .chain(views)
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_tells_what_its_build_changed_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let world = start(folder.path()).await;
    let first = told(&world, Transport::Rpc, &json!({})).await.unwrap();
    assert_eq!(
        (&first["added"], &first["changed"], &first["removed"]),
        (&json!(all()), &json!([]), &json!([]))
    );
    stop(world).await;
    // As a build would have left it that had one operation less, one more, and a view of another shape.
    edit(folder.path(), |content| {
        let served = &mut content["served"][0];
        served["revision"] = json!("older");
        let members = served["members"].as_object_mut().unwrap();
        members.remove("database.count_rows").unwrap();
        members.insert("database.vanish".to_owned(), json!("0123456789abcdef"));
        let shape = members.get_mut("protocol.heartbeat").unwrap();
        assert_ne!(*shape, "0123456789abcdef");
        *shape = json!("0123456789abcdef");
    });
    let world = start(folder.path()).await;
    for transport in ALL {
        for since in [json!({}), json!({"since_revision": "older"})] {
            let change = told(&world, *transport, &since).await.unwrap();
            assert_eq!(change["revision"], first["revision"], "over {transport:?}");
            assert!(
                change["served_since"].as_str() > first["served_since"].as_str(),
                "{change}"
            );
            assert_eq!(
                (&change["added"], &change["changed"], &change["removed"]),
                (
                    &json!(["database.count_rows"]),
                    &json!(["protocol.heartbeat"]),
                    &json!(["database.vanish"])
                ),
                "over {transport:?} since {since}"
            );
        }
        let known = json!({"since_revision": first["revision"]});
        let change = told(&world, *transport, &known).await.unwrap();
        assert_eq!(
            (&change["added"], &change["changed"], &change["removed"]),
            (&json!([]), &json!([]), &json!([])),
            "over {transport:?}"
        );
        let unknown = json!({"since_revision": "of another server"});
        let error = told(&world, *transport, &unknown).await.unwrap_err();
        assert_eq!(error.code, "UNKNOWN_REVISION", "over {transport:?}");
        assert!(error.message.contains("\"of another server\""), "{error:?}");
    }
    stop(world).await;
    // The same build again changes nothing of it.
    let world = start(folder.path()).await;
    let change = told(&world, Transport::Rpc, &json!({})).await.unwrap();
    assert_eq!(change["added"], json!(["database.count_rows"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_starts_though_the_history_of_its_contract_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    stop(start(folder.path()).await).await;
    let file = data_dir(folder.path()).join("contract.json");
    std::fs::write(&file, b"{\"format\":1,\"served\":[{").unwrap();
    let world = start(folder.path()).await;
    let log = world.server.log();
    assert!(
        log.contains("history of the contract is damaged") && log.contains("contract.json"),
        "{log}"
    );
    let change = told(&world, Transport::Sse, &json!({})).await.unwrap();
    assert_eq!(change["added"], json!(all()));
    stop(world).await;
    edit(folder.path(), |content| {
        assert_eq!(content["served"][0]["revision"], change["revision"]);
    });
}

/// The subscription stays open, and ends when the server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_ends_the_watch_of_its_contract_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let world = start(folder.path()).await;
    let mut watchers = Vec::new();
    for transport in ALL {
        let credential = world.credential("admin");
        let view = view("protocol.api_schema_changes");
        let mut watcher = Watcher::open(*transport, world.base_url(), view, &json!({}), &credential)
            .await
            .unwrap();
        watcher.event().await;
        watchers.push(watcher);
    }
    stop(world).await;
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await, None);
    }
}
