//! One registration less is seen: what a server carries is compared with the contract, per interface.

#![allow(clippy::unwrap_used, reason = "a failing test is to say so at once")]

use std::collections::BTreeSet;
use std::sync::Arc;

use rustydb_api::server::{self, Server};
use rustydb_api::{LateApi, ModuleApi, Pipeline};
use rustydb_contract::descriptor::{ModuleDesc, OperationDesc, OperationKind};
use rustydb_contract_core::access::LIMITS;
use rustydb_runtime::SystemClock;
use rustydb_services::{Engine, EngineOptions};

use crate::contract::LateHistory;
use crate::serve;

/// Interface and operation.
type Registration = (&'static str, &'static str);

fn modules_of(engine: &Engine) -> Vec<ModuleApi> {
    serve::modules(
        engine,
        &LateApi::default(),
        &LateHistory::default(),
        Arc::new(SystemClock::new()),
    )
}

fn build(engine: &Engine, modules: Vec<ModuleApi>) -> Server {
    let pipeline = Pipeline::new(engine.identity(), engine.classifier(), LIMITS);
    server::build(pipeline, modules).unwrap()
}

/// Operations and the openings of views.
fn declared(module: &'static ModuleDesc) -> impl Iterator<Item = &'static OperationDesc> {
    let views = module.views.iter().map(|view| &view.open);
    module.operations.iter().copied().chain(views)
}

/// What a server lacks of these operations.
fn missing(server: &Server, contract: &[&'static OperationDesc]) -> BTreeSet<Registration> {
    let openapi = serde_json::to_value(&server.openapi).unwrap();
    let routed: BTreeSet<&str> = openapi["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let sdl = server.graphql.schema.sdl();
    let fields: BTreeSet<&str> = sdl
        .split(['{', '}'])
        .flat_map(str::lines)
        .filter_map(|line| line.trim().split(['(', ':']).next())
        .collect();
    let mut missing = BTreeSet::new();
    for desc in contract {
        let is_view = desc.kind == OperationKind::Stream;
        let is_open = is_view && server.api.view(desc.id).is_ok();
        let carried = [
            ("service", is_open || server.api.operation(desc).is_ok()),
            ("rest", routed.contains(desc.id)),
            ("rpc", is_open || server.api.rpc_method(desc.id).is_some()),
            ("graphql", fields.contains(desc.graphql)),
        ];
        missing.extend(
            carried
                .iter()
                .filter(|(_, there)| !there)
                .map(|(name, _)| (*name, desc.id)),
        );
    }
    missing
}

#[tokio::test]
async fn a_registration_that_is_taken_away_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions::new(folder.path().join("data"), Arc::new(SystemClock::new()));
    let engine = Engine::open(options).await.unwrap();
    let modules = || modules_of(&engine);
    let contract: Vec<&'static OperationDesc> = modules()
        .iter()
        .flat_map(|module| declared(module.desc))
        .collect();
    assert_eq!(missing(&build(&engine, modules()), &contract), BTreeSet::new());

    // One operation a module: a server is built for each registration that is taken away.
    for desc in modules().iter().filter_map(|module| module.desc.operations.first().copied()) {
        let without = |take: fn(&mut ModuleApi, &str)| {
            let mut modules = modules();
            let module = modules
                .iter_mut()
                .find(|module| module.desc.name == desc.module)
                .unwrap();
            take(module, desc.id);
            missing(&build(&engine, modules), &contract)
        };
        let rpc = without(|module, id| module.rpc.retain(|other| other.id != id));
        assert_eq!(rpc, BTreeSet::from([("rpc", desc.id)]));
        let graphql = without(|module, id| module.graphql.retain(|other| other.id != id));
        assert_eq!(graphql, BTreeSet::from([("graphql", desc.id)]));
        // Without its service an operation has no method either: a route alone is not enough.
        let service = without(|module, id| module.operations.retain(|other| other.desc.id != id));
        assert_eq!(service, BTreeSet::from([("service", desc.id), ("rpc", desc.id)]));
    }
}

#[tokio::test]
async fn a_view_that_is_taken_away_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions::new(folder.path().join("data"), Arc::new(SystemClock::new()));
    let engine = Engine::open(options).await.unwrap();
    let contract: Vec<&'static OperationDesc> =
        modules_of(&engine).iter().flat_map(|module| declared(module.desc)).collect();
    let mut modules = modules_of(&engine);
    let module = modules.iter_mut().find(|module| !module.views.is_empty()).unwrap();
    let id = module.views.remove(0).desc.open.id;
    // Its route is there, and opens nothing.
    let expected = BTreeSet::from([("service", id), ("rpc", id), ("graphql", id)]);
    assert_eq!(missing(&build(&engine, modules), &contract), expected);
}

/// Routes are taken away by modules: a router gives none back.
#[tokio::test]
async fn a_module_without_its_routes_is_missed_on_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions::new(folder.path().join("data"), Arc::new(SystemClock::new()));
    let engine = Engine::open(options).await.unwrap();
    let names: Vec<&str> = modules_of(&engine)
        .iter()
        .map(|module| module.desc.name)
        .collect();
    for name in names {
        let mut modules = modules_of(&engine);
        let contract: Vec<&'static OperationDesc> = modules
            .iter()
            .flat_map(|module| declared(module.desc))
            .collect();
        let module = modules
            .iter_mut()
            .find(|module| module.desc.name == name)
            .unwrap();
        module.rest = Default::default();
        let expected = module.desc;
        let expected: BTreeSet<Registration> = declared(expected).map(|desc| ("rest", desc.id)).collect();
        assert_eq!(missing(&build(&engine, modules), &contract), expected);
    }
}
