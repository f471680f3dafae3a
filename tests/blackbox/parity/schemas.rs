//! Answers against the JSON Schemas that are published, by a validator that is not ours.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::Value;

use crate::harness::contract::root;

thread_local! {
    static VALIDATORS: RefCell<BTreeMap<String, Rc<Validator>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes where `value` is not of the type.
pub fn check(title: &str, type_name: &str, value: &Value, failures: &mut Vec<String>) {
    for error in validator(type_name).iter_errors(value) {
        failures.push(format!(
            "{title}: not a {type_name}: {error} at {}",
            error.instance_path()
        ));
    }
}

fn validator(type_name: &str) -> Rc<Validator> {
    VALIDATORS.with_borrow_mut(|known| {
        let validator = known.entry(type_name.to_owned()).or_insert_with(|| {
            let path = root().join(format!("docs/schemas/{type_name}.json"));
            let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let options = jsonschema::options().should_validate_formats(true);
            Rc::new(
                options
                    .build(&schema)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        });
        Rc::clone(validator)
    })
}
