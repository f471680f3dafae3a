//! The generator: a contract in YAML becomes interfaces, clients, documents and tests.
//!
//! Stages, each a function of the one before: `source` (YAML with places) -> `language` (serde) -> `resolve`
//! (the immutable `model`) -> `lint` -> `names` (legal names per target, pinned) -> `emit/<target>` -> `output`
//! (write what changed, or report it stale). Nothing panics on input: whatever is wrong with a contract is a
//! diagnostic with file, line, column, rule and hint.

pub mod diagnostics;
pub mod diff;
pub mod emit;
pub mod fixtures;
pub mod language;
pub mod lint;
pub mod load;
pub mod model;
pub mod names;
pub mod output;
pub mod project;
pub mod resolve;
pub mod source;
pub mod synthetic;
