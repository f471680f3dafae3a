//! The contract that measurements are made on is a sound one of the size it says.

use codegen::project::emissions;
use codegen::synthetic;

use crate::support::{CORE, model, real_contract};

fn synthetic_contract() -> Vec<(String, String)> {
    let real = real_contract();
    let (_, core) = real.iter().find(|(path, _)| path == CORE).unwrap();
    let core_types = model(&real).modules["core"].types.len();
    synthetic::contract(core, core_types)
}

#[test]
fn synthetic_contract_has_its_size_and_no_findings() {
    let files = synthetic_contract();
    assert_eq!(files, synthetic_contract());
    let model = model(&files);
    assert_eq!(model.operations().count(), synthetic::OPERATIONS);
    assert_eq!(model.types.len(), synthetic::TYPES);
    assert_eq!(model.modules.len(), 31);
}

#[test]
fn synthetic_contract_is_emitted_for_every_operation() {
    let model = model(&synthetic_contract());
    let emissions = emissions(&model);
    let files = emissions.iter().flat_map(|emission| &emission.files);
    let rest: String = files
        .filter(|file| file.path.starts_with("api/gen/") && file.path.ends_with("/rest.rs"))
        .map(|file| file.text.as_str())
        .collect();
    assert_eq!(rest.matches("#[utoipa::path(").count(), synthetic::OPERATIONS);
}
