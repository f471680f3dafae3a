//! The contract that is served, and those that were served before on the same data.
//!
//! A contract changes with the server's build alone. [`shape`] makes a hash of what a caller sees of each operation and
//! view; [`history`] keeps the hashes of each contract that was served in the data directory, so that a later build can
//! tell what it changed.

mod history;
mod shape;
#[cfg(test)]
mod tests;

pub use history::{Change, History, LateHistory};
pub use shape::Contract;
