//! The pages in a browser: Chromium, from Debian's package, without any network but the server.

use std::path::Path;
use std::process::Command;

use crate::harness::contract::model;
use crate::harness::credential::Credential;
use crate::harness::server::ADMIN_PASSWORD;
use crate::harness::tools::{self, run};
use crate::harness::world::World;

/// Runs one of the scenarios of tests/tools/browser.mjs as the administrator.
async fn scenario(name: &'static str, title: &'static str) {
    let world = World::with_keys().await;
    let Credential::ApiKey(key) = world.credential("admin") else {
        panic!("keys were asked for")
    };
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&shots).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let tags: Vec<&str> = model()
        .modules
        .values()
        .filter(|module| module.has_service())
        .map(|module| module.name.as_str())
        .collect();
    let views: Vec<&str> = model().views().map(|view| view.open.id.as_str()).collect();
    let mut command = Command::new("node");
    command
        .arg(tools::checkers().join("browser.mjs"))
        .args([name, world.base_url(), tools::chromium()])
        .arg(profile.path())
        .arg(shots.join(format!("{name}.png")))
        .env("API_KEY", key)
        .env("PASSWORD", ADMIN_PASSWORD)
        .env("TAGS", tags.join(","))
        .env("VIEWS", views.join(","));
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    println!("{title}: {}", shots.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_swagger_ui_authorises_and_tries_operations() {
    scenario("swagger", "Swagger UI").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_graphiql_runs_a_query_with_credentials() {
    scenario("graphiql", "GraphiQL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_asyncapi_shows_every_view() {
    scenario("asyncapi", "AsyncAPI").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_receives_changes_over_event_source_and_websocket() {
    scenario("streams", "Streams").await;
}
