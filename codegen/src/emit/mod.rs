//! One emitter per target, each a pure function from the model to files.

pub mod api;
pub mod contract;
pub mod coverage;
pub mod examples;
#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod fixture;
pub mod graphql_sdl;
pub mod json_schema;
pub mod openapi;
pub mod openrpc;
pub mod python;
pub mod reference;
pub mod rust;
pub mod rust_client;
pub mod typescript;

use crate::model::Model;
use crate::output::Emission;

/// Every emitter, in the order their files are reported.
const EMITTERS: &[fn(&Model) -> Emission] = &[
    contract::emit,
    api::emit,
    rust_client::emit,
    typescript::emit,
    python::emit,
    json_schema::emit,
    openapi::emit,
    openrpc::emit,
    graphql_sdl::emit,
    reference::emit,
    coverage::emit,
];

/// Everything that is generated from a contract.
pub fn emit_all(model: &Model) -> Vec<Emission> {
    EMITTERS.iter().map(|emit| emit(model)).collect()
}
