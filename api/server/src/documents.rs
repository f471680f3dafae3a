//! The documents against the routes: what utoipa collected from the live routes says what docs/openapi.json says.

#![allow(clippy::unwrap_used, reason = "a failing test is to say so at once")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustydb_api::server::{self, Server};
use rustydb_api::{LateApi, Pipeline};
use rustydb_contract_core::access::LIMITS;
use rustydb_runtime::SystemClock;
use rustydb_services::{Engine, EngineOptions};
use serde_json::{Value, json};

use crate::contract::LateHistory;
use crate::serve;

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
const GRAPHQL: &str = include_str!("../../../docs/schema.graphql");

async fn server(folder: &tempfile::TempDir) -> Server {
    let options = EngineOptions::new(folder.path().join("data"), Arc::new(SystemClock::new()));
    let engine = Engine::open(options).await.unwrap();
    let pipeline = Pipeline::new(engine.identity(), engine.classifier(), LIMITS);
    server::build(
        pipeline,
        serve::modules(
            &engine,
            &LateApi::default(),
            &LateHistory::default(),
            Arc::new(SystemClock::new()),
        ),
    )
    .unwrap()
}

/// An operation of a document, reduced to what both must say.
#[derive(Debug, PartialEq)]
struct Route {
    id: String,
    tags: Value,
    summary: String,
    /// Name, place, whether it must be there.
    parameters: BTreeSet<(String, String, bool)>,
    /// Reference to the body's schema, and whether there must be one.
    body: Option<(String, bool)>,
    /// Status to reference to the answer's schema.
    success: BTreeMap<String, Option<String>>,
    failures: BTreeSet<String>,
    security: BTreeSet<String>,
}

fn routes(document: &Value) -> BTreeMap<String, Route> {
    let mut routes = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                routes.insert(format!("{} {path}", method.to_uppercase()), route(operation));
            }
        }
    }
    routes
}

fn route(operation: &Value) -> Route {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let schema = |holder: &Value| {
        holder["content"]["application/json"]["schema"]["$ref"]
            .as_str()
            .map(str::to_owned)
    };
    let parameters = list(&operation["parameters"]).into_iter().map(|parameter| {
        let required = parameter["required"].as_bool().unwrap_or(false);
        (text(&parameter["name"]), text(&parameter["in"]), required)
    });
    let body = operation.get("requestBody").map(|body| {
        let required = body["required"].as_bool().unwrap_or(false);
        (schema(body).unwrap_or_default(), required)
    });
    let responses = operation["responses"].as_object().unwrap();
    let (success, failures): (Vec<_>, Vec<_>) =
        responses.iter().partition(|(status, _)| status.starts_with('2'));
    Route {
        id: text(&operation["operationId"]),
        tags: operation["tags"].clone(),
        summary: text(&operation["summary"]),
        parameters: parameters.collect(),
        body,
        success: success
            .into_iter()
            .map(|(status, response)| (status.clone(), schema(response)))
            .collect(),
        failures: failures.into_iter().map(|(status, _)| status.clone()).collect(),
        security: list(&operation["security"])
            .iter()
            .flat_map(|scheme| scheme.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
            .collect(),
    }
}

#[tokio::test]
async fn the_published_document_is_that_of_the_routes() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder).await;
    let mut live = routes(&serde_json::to_value(&server.openapi).unwrap());
    // What any call may answer is the same for all routes, and not told by each.
    for route in live.values_mut() {
        let common = rustydb_contract_core::MODULE.errors.iter();
        route
            .failures
            .extend(common.map(|error| error.status.to_string()));
    }
    let published = routes(&serde_json::from_str(DOCUMENT).unwrap());
    let names = |routes: &BTreeMap<String, Route>| routes.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&live), names(&published));
    let differences: Vec<String> = published
        .iter()
        .filter(|(name, route)| live[*name] != **route)
        .map(|(name, route)| format!("{name}\n  {route:?}\n  {:?}", live[name]))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let (operations, views) = (server.api.operations().count(), server.api.views().count());
    assert_eq!(published.len(), operations + views);
}

/// The comparison is worth something: each member that is changed is seen.
#[test]
fn a_changed_document_is_seen() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let place = "/paths/~1api~1v1~1tables~1{name}~1rows/post";
    let changes = [
        ("/operationId", json!("other")),
        ("/tags/0", json!("other")),
        ("/summary", json!("other")),
        ("/parameters/0/name", json!("other")),
        ("/parameters/0/in", json!("query")),
        ("/parameters/1/required", json!(true)),
        ("/requestBody/required", json!(false)),
        (
            "/requestBody/content/application~1json/schema/$ref",
            json!("other"),
        ),
        (
            "/responses/201/content/application~1json/schema/$ref",
            json!("other"),
        ),
        ("/responses/404", Value::Null),
        ("/security/0", json!({"other": []})),
    ];
    for (path, value) in changes {
        let mut changed = document.clone();
        if value.is_null() {
            let (holder, key) = path.rsplit_once('/').unwrap();
            let holder = changed.pointer_mut(&format!("{place}{holder}")).unwrap();
            holder.as_object_mut().unwrap().remove(key);
        } else {
            *changed.pointer_mut(&format!("{place}{path}")).unwrap() = value;
        }
        assert_ne!(routes(&changed), routes(&document), "{path}");
    }
}

/// Names of types and fields; that the two mean the same is compared by a foreign parser in the black-box tests.
#[tokio::test]
async fn the_published_graphql_has_the_fields_of_the_live_schema() {
    let folder = tempfile::tempdir().unwrap();
    let live = server(&folder).await.graphql.schema.sdl();
    let fields = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|line| {
                line.starts_with("type ") || line.starts_with("input ") || line.starts_with("enum ")
            })
            .map(|line| line.trim_end_matches('{').trim().to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(fields(&live), fields(GRAPHQL));
}
