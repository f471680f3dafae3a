//! Tests of the store through its public interface, in one binary.
// Random tests print their seeds.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod histories;
mod past;
mod prepared;
mod reference;
mod store_concurrency;
mod store_failure;
mod store_model;
mod tables_crash;
mod unsynced;
