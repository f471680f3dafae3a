//! The order of a key's versions as a list or a register shows it, in one form for both.

use crate::history::{Key, Value};

/// A version is named by the last value that its writer gave to the key; `None` is the key as it was before all.
pub(crate) struct Versions {
    pub key: Key,
    /// Pairs of a version and one that comes after it. They need not be adjacent; what is between them and is known
    /// is in other pairs.
    pub next: Vec<(Option<Value>, Value)>,
    /// Who read which version, that of another.
    pub reads: Vec<(usize, Option<Value>)>,
}
