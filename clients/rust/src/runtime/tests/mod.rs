//! The runtime against a small real HTTP server. Operations and their types are made up here: which ones the
//! contract has is no matter of the runtime.

#![allow(clippy::unwrap_used)]

pub(super) mod contract;
mod credentials;
mod errors;
mod paging;
mod retries;
mod sending;
mod server;
mod streams;
mod subscriptions;
