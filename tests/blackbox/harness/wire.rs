//! The three interfaces, side by side: one call, three ways to carry it.

use codegen::model::Operation;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Error;

use super::credential::Credential;
use super::error::{Answer, WireError};
use super::rpc::Socket;
use super::world::World;
use super::{graphql, rest};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    Rest,
    Rpc,
    Graphql,
}

pub const WIRES: &[Wire] = &[Wire::Rest, Wire::Rpc, Wire::Graphql];

impl Wire {
    /// One call. A socket that is refused before the upgrade answers with the error of the refusal.
    pub async fn call(
        self,
        world: &World,
        operation: &'static Operation,
        input: &Value,
        credential: &Credential,
    ) -> Answer {
        match self {
            Wire::Rest => rest::call(&world.http, world.base_url(), operation, input, credential).await,
            Wire::Graphql => graphql::call(&world.http, world.base_url(), operation, input, credential).await,
            Wire::Rpc => match Socket::open(world.server.address(), credential).await {
                Ok(mut socket) => socket.call(&operation.id, input).await,
                Err(error) => Err(refusal(error)),
            },
        }
    }
}

/// The problem document with which an upgrade was refused.
pub fn refusal(error: Error) -> WireError {
    let Error::Http(response) = error else {
        panic!("the upgrade failed without an answer: {error}");
    };
    let body = response.body().clone().unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["status"], u64::from(response.status().as_u16()), "{body}");
    rest::problem_members(&body)
}
