//! One emitter per target, each a pure function from the model to files.

pub mod api;
pub mod asyncapi;
pub mod contract;
pub mod coverage;
#[cfg(test)]
mod document_tests;
pub mod examples;
#[cfg(test)]
mod fixture;
pub mod graphql_sdl;
pub mod json_schema;
pub mod meta;
pub mod openapi;
pub mod openrpc;
pub mod python;
pub mod reference;
pub mod rust;
pub mod rust_client;
pub mod typescript;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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
    meta::emit,
    openapi::emit,
    openrpc::emit,
    asyncapi::emit,
    graphql_sdl::emit,
    reference::emit,
    coverage::emit,
];

/// Everything that is generated from a contract. Emitters run side by side; their order is that of the list.
pub fn emit_all(model: &Model) -> Vec<Emission> {
    let slots: Vec<OnceLock<Emission>> = EMITTERS.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(emit) = EMITTERS.get(at) else { break };
            slots[at].get_or_init(|| emit(model));
        }
    };
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
        work();
    });
    slots
        .into_iter()
        .map(|slot| slot.into_inner().expect("every emitter has run"))
        .collect()
}
