//! Identities through the contract's services, on stores in memory and on disk, with a clock that tests set.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod access_tokens;
mod api_keys;
mod durability;
mod first_start;
mod passwords;
mod records;
mod sessions;
mod signing_key;
mod state_model;
mod support;
mod sweeping;
mod telling;
mod users;
