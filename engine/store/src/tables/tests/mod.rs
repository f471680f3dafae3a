#![allow(clippy::unwrap_used)]

mod change_log;
mod constraints;
mod definitions;
mod indexes;
mod isolation;
mod model;
mod opening;
mod races;
mod replace;
mod row_ids;
mod spilling;
mod statements;
pub(crate) mod support;
