//! Puts the parts together: one router over one pipeline.

use std::collections::BTreeMap;

use async_graphql::dynamic::SchemaError;
use axum::extract::{Request, State};
use axum::routing::{any, post};
use axum::{Router, middleware};
use rustydb_contract::descriptor::{OperationDesc, RestPlace};
use utoipa::openapi::{OpenApi, RefOr, Required};
use utoipa_axum::router::OpenApiRouter;

use crate::graphql::{self, Graphql};
use crate::pipeline::Pipeline;
use crate::registry::{Api, ModuleApi};
use crate::{rest, socket};

/// A server ready to be served.
pub struct Server {
    pub api: Api,
    /// Every route of the contract, and /graphql and the socket; see [`with_fallbacks`].
    pub router: Router,
    /// The document utoipa built from the routes themselves.
    pub openapi: OpenApi,
    /// What is served at /graphql.
    pub graphql: Graphql,
}

/// Builds the server of these modules.
pub fn build(pipeline: Pipeline, modules: Vec<ModuleApi>) -> Result<Server, SchemaError> {
    let mut operations = BTreeMap::new();
    let mut rpc_methods = BTreeMap::new();
    let mut graphql_fields: Vec<&'static OperationDesc> = Vec::new();
    let mut views = BTreeMap::new();
    let mut rest = OpenApiRouter::new();
    for module in modules {
        for operation in module.operations {
            operations.insert(operation.desc.id, operation);
        }
        views.extend(module.views.into_iter().map(|view| (view.desc.open.id, view)));
        rpc_methods.extend(module.rpc.into_iter().map(|desc| (desc.id, desc)));
        graphql_fields.extend(module.graphql);
        rest = rest.merge(module.rest);
    }
    let api = Api::new(pipeline, operations, rpc_methods, views);
    let schema = graphql::build(&api, &graphql_fields)?;
    let (routes, mut openapi) = rest.split_for_parts();
    tell_optional_bodies(&mut openapi, &api);
    let endpoint = Graphql {
        api: api.clone(),
        schema,
    };
    let mut routes = routes.route(socket::PATH, any(socket::entry));
    for desc in api.views().map(|view| view.desc) {
        if let Some(path) = desc.ws {
            let serve = move |api: State<Api>, request: Request| socket::dedicated(api, desc, request);
            routes = routes.route(path, any(serve));
        }
    }
    let router = routes
        .with_state(api.clone())
        .route(graphql::PATH, post(graphql::handle).with_state(endpoint.clone()));
    Ok(Server {
        api,
        router,
        openapi,
        graphql: endpoint,
    })
}

/// The REST routes of these modules and nothing else, for a server that can't do more yet; the caller adds what is answered
/// to what no route takes.
pub fn build_rest(pipeline: Pipeline, modules: Vec<ModuleApi>) -> Router {
    let mut operations = BTreeMap::new();
    let mut rest = OpenApiRouter::new();
    for module in modules {
        operations.extend(
            module
                .operations
                .into_iter()
                .map(|operation| (operation.desc.id, operation)),
        );
        rest = rest.merge(module.rest);
    }
    let api = Api::new(pipeline, operations, BTreeMap::new(), BTreeMap::new());
    let (routes, _) = rest.split_for_parts();
    routes.with_state(api)
}

/// A body may be left out where every field in it may be; utoipa's macro takes any body for a required one.
fn tell_optional_bodies(openapi: &mut OpenApi, api: &Api) {
    let operations = api.operations().map(|operation| operation.desc);
    let views = api.views().map(|view| &view.desc.open);
    let all: Vec<&OperationDesc> = operations.chain(views).collect();
    let needs_body = |id: &str| {
        let operation = all.iter().find(|operation| operation.id == id);
        operation.is_some_and(|operation| {
            let fields = operation.input_fields().iter();
            fields
                .filter(|field| field.place == Some(RestPlace::Body))
                .any(|field| field.required)
        })
    };
    for item in openapi.paths.paths.values_mut() {
        let operations = [&mut item.post, &mut item.put, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            let id = operation.operation_id.as_deref().unwrap_or_default();
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && !needs_body(id)
            {
                body.required = Some(Required::False);
            }
        }
    }
}

/// Answers in the contract's form what no route takes or could read, and gives sockets to /graphql, where a browser gets
/// a page; to be called once all routes are there.
pub fn with_fallbacks(router: Router, graphql: Graphql) -> Router {
    router
        .layer(middleware::from_fn_with_state(graphql, graphql::take_sockets))
        .fallback(rest::not_found)
        .method_not_allowed_fallback(rest::method_not_allowed)
        .layer(middleware::from_fn(rest::refuse_unreadable_path))
}
