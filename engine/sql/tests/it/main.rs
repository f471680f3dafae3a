#![allow(clippy::unwrap_used)]

mod definitions;
mod differential;
mod dml;
mod indexes;
mod predicate;
mod refusals;
mod regressions;
mod rows;
mod scripts;
mod select;
mod support;
