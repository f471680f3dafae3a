//! Every documented route answers, and the pages serve what is in docs/.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::contract::{model, root};
use crate::harness::credential::Credential;
use crate::harness::rest::{RawAnswer, send};
use crate::harness::world::World;

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Method and path of every operation of openapi.json.
fn documented() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(&document("openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = ["get", "post", "put", "patch", "delete"];
    paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)))
        .filter(|(method, _)| methods.contains(&method.as_str()))
        .map(|(method, path)| (method.to_uppercase(), path.clone()))
        .collect()
}

/// The path with something in place of its parameters.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|step| if step.starts_with('{') { "1" } else { step })
        .collect::<Vec<_>>()
        .join("/")
}

async fn ask(world: &World, method: &str, path: &str) -> RawAnswer {
    let method: Method = method.parse().unwrap();
    send(world.http.request(method, format!("{}{path}", world.base_url()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_every_documented_route_answers() {
    let world = World::new().await;
    let documented = documented();
    assert_eq!(documented.len(), model().routed().count());
    for (method, path) in &documented {
        let answer = ask(&world, method, &filled(path)).await;
        let code = answer.body["error"]["code"].as_str().unwrap_or("OK");
        assert!(
            !["OPERATION_NOT_FOUND", "METHOD_NOT_ALLOWED"].contains(&code),
            "{method} {path}: {code}"
        );
    }
}

/// A path takes the documented methods and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_no_path_takes_a_method_that_is_not_documented() {
    let world = World::new().await;
    let documented = documented();
    let paths: BTreeSet<&String> = documented.iter().map(|(_, path)| path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            // A literal path may also be an instance of one with parameters.
            let known = documented
                .iter()
                .any(|(known_method, known)| known_method == method && filled(known) == filled(path));
            let answer = ask(&world, method, &filled(path)).await;
            assert_eq!(answer.status == 405, !known, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_served_as_they_are_published() {
    let world = World::new().await;
    for (path, media_type) in [
        ("openapi.json", "application/json"),
        ("openapi-3.0.json", "application/json"),
        ("openrpc.json", "application/json"),
        ("asyncapi.json", "application/json"),
        ("schema.graphql", "application/graphql; charset=utf-8"),
    ] {
        let response = world
            .http
            .get(format!("{}/{path}", world.base_url()))
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], media_type, "{path}");
        assert_eq!(response.text().await.unwrap(), document(path), "{path}");
    }
}

/// The RPC document names each method that the socket has, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_name_the_methods_of_rpc() {
    let world = World::new().await;
    let openrpc: Value = serde_json::from_str(&document("openrpc.json")).unwrap();
    let named: BTreeSet<&str> = openrpc["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    for operation in model().operations() {
        assert!(
            named.contains(operation.id.as_str()),
            "{} is not in openrpc.json",
            operation.id
        );
    }
    let address = world.server.address();
    let mut socket = crate::harness::rpc::Socket::open(address, &Credential::Nobody)
        .await
        .unwrap();
    for name in named {
        let answer = socket.call(name, &json!({})).await;
        assert!(
            !answer.is_err_and(|error| error.code == "OPERATION_NOT_FOUND"),
            "{name}"
        );
    }
}
