//! Black-box tests: the real binary, driven over REST, WebSocket RPC and GraphQL, and by the three clients.
//!
//! They know the contract, the clients and the binary, and nothing of the engine. Names begin with their area, so
//! `cargo test parity` runs one. Servers listen on 127.0.0.1 port 0 and keep their data in a temporary folder.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing test is to say so at once"
)]
#![allow(
    clippy::result_large_err,
    clippy::large_enum_variant,
    reason = "a test makes few of them"
)]

mod access;
mod bad_input;
mod browser;
mod demo;
mod documents;
mod examples;
mod graphql;
mod guide;
mod harness;
mod numeric;
mod parity;
mod rpc;
mod server;
mod streams;
