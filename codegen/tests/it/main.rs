//! The generator from outside: contracts in, findings and files out.

#![allow(clippy::unwrap_used)]

mod command;
mod diff;
mod fixtures;
mod fuzz;
mod lint;
mod meta;
mod support;
mod synthetic;
mod torture;
