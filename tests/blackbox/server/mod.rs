//! The server as a process: how it starts, what it says, how it ends, and what it keeps.

mod async_commits;
mod contract;
mod crash;
mod headers;
mod health;
mod jobs;
mod lifecycle;
mod metrics;
mod pages;
mod restart;
mod secrets;

/// A query that runs until it is stopped, for all that a test lives.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000000000000) WHERE value % 7 = 3";
