//! Every operation through its service trait, on an in-memory store and a clock that stands still.
#![allow(clippy::unwrap_used)]

mod background;
mod changes;
mod concurrency;
mod corrupt;
mod cursors;
mod examples;
mod indexes;
mod isolation;
mod jobs;
mod live;
mod locks;
mod measures;
mod refusals;
mod rows;
mod statements;
mod support;
mod transactions;
mod unsynced;
mod watching;
