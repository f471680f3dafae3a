//! One emitter per target, each a pure function from the model to files.

pub mod contract;
pub mod rust;

use crate::model::Model;
use crate::output::Emission;

/// Every emitter, in the order their files are reported.
const EMITTERS: &[fn(&Model) -> Emission] = &[contract::emit];

/// Everything that is generated from a contract.
pub fn emit_all(model: &Model) -> Vec<Emission> {
    EMITTERS.iter().map(|emit| emit(model)).collect()
}
