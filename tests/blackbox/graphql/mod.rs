//! GraphQL over HTTP: what the specifications of both say, and the contract's errors in it.

mod documents;
mod socket;
mod transport;

use serde_json::{Value, json};

use crate::harness::error::WireError;
use crate::harness::graphql::first_error;
use crate::harness::rest::{RawAnswer, send};
use crate::harness::world::World;

/// Posts a document as a role.
async fn post(world: &World, role: &str, document: &str, variables: Value) -> RawAnswer {
    let body = json!({"query": document, "variables": variables});
    let request = world
        .http
        .post(format!("{}/graphql", world.base_url()))
        .json(&body);
    send(world.credential(role).on(request)).await
}

/// The data of a document that must succeed.
async fn data(world: &World, role: &str, document: &str, variables: Value) -> Value {
    let answer = post(world, role, document, variables).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.get("errors").is_none(), "{document}: {}", answer.body);
    answer.body["data"].clone()
}

/// The first error of a document that must fail.
async fn error(world: &World, role: &str, document: &str, variables: Value) -> WireError {
    let answer = post(world, role, document, variables).await;
    first_error(&answer.body).unwrap_or_else(|| panic!("{document} succeeds: {}", answer.body))
}
