//! The contract that measurements are made on is a sound one of the size it says.

use std::collections::BTreeSet;

use codegen::model::{StreamClass, View};
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
    let events: BTreeSet<&String> = model.views().flat_map(|view| &view.events).collect();
    assert_eq!((synthetic::VIEWS, synthetic::EVENTS), (100, 380));
    assert_eq!((model.views().count(), events.len()), (100, 380));
    let of = |has: fn(&View) -> bool| model.views().filter(|view| has(view)).count();
    assert_eq!(of(|view| view.is_record), 30);
    assert_eq!(of(|view| view.ws.is_some()), 25);
    assert_eq!(of(|view| view.class == StreamClass::Changes), 50);
}

#[test]
fn synthetic_contract_is_emitted_for_every_operation_and_view() {
    let model = model(&synthetic_contract());
    let emissions = emissions(&model);
    let files = emissions.iter().flat_map(|emission| &emission.files);
    let rest: String = files
        .filter(|file| file.path.starts_with("api/gen/") && file.path.ends_with("/rest.rs"))
        .map(|file| file.text.as_str())
        .collect();
    assert_eq!(
        rest.matches("#[utoipa::path(").count(),
        synthetic::OPERATIONS + synthetic::VIEWS
    );
    let files = emissions.iter().flat_map(|emission| &emission.files);
    let document = files
        .clone()
        .find(|file| file.path == "docs/asyncapi.json")
        .unwrap();
    let document: serde_json::Value = serde_json::from_str(&document.text).unwrap();
    // The two languages of the common entry, and of each view its routes.
    assert_eq!(
        document["channels"].as_object().unwrap().len(),
        2 + synthetic::VIEWS + 25
    );
}
