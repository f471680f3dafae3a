//! What every test here stands on: the binary, the wires and the clients.

pub mod client;
pub mod contract;
pub mod credential;
pub mod error;
pub mod fixtures;
pub mod graphql;
pub mod rest;
pub mod rpc;
pub mod server;
pub mod tools;
pub mod watch;
pub mod wire;
pub mod world;
