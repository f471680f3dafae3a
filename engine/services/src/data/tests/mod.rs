//! Every operation through its service trait, on an in-memory store and a clock that stands still.
#![allow(clippy::unwrap_used)]

mod background;
mod changes;
mod concurrency;
mod cursors;
mod examples;
mod indexes;
mod jobs;
mod live;
mod measures;
mod refusals;
mod rows;
mod statements;
mod support;
mod transactions;
