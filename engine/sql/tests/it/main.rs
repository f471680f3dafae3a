#![allow(clippy::unwrap_used)]

mod definitions;
mod dml;
mod refusals;
mod regressions;
mod select;
mod support;
