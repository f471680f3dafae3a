//! The published schema of the contract language against what the generator takes.

use codegen::language::ModuleFile;
use codegen::source::Source;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{SHOP, contract, edited, real_contract, root, torture_contract};

/// The schema as it is published.
fn published() -> Validator {
    let text = std::fs::read_to_string(root().join("schema/meta/contract.schema.json")).unwrap();
    jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn value((file, text): &(String, String)) -> Value {
    Source::parse(file, text).unwrap().value
}

#[test]
fn meta_schema_takes_every_sound_contract() {
    let schema = published();
    let contracts = [contract(), real_contract(), torture_contract()];
    for file in contracts.iter().flatten() {
        let found: Vec<String> = schema
            .iter_errors(&value(file))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(found, Vec::<String>::new(), "{}", file.0);
    }
}

#[test]
fn meta_schema_refuses_what_the_generator_cannot_read() {
    let schema = published();
    for (from, to) in [
        ("module: shop\n", ""),
        ("summary: Things for sale.\n", "summary: [Things for sale.]\n"),
        ("types:\n", "typs:\n"),
        (
            "  Colour:\n    enum: [red, dark_blue]\n",
            "  Colour:\n    enum: red\n",
        ),
        (
            "width: {type: integer, minimum: 1, maximum: 500}",
            "width: {type: int, minimum: 1, maximum: 500}",
        ),
        (
            "litres: {type: number, minimum: 0, maximum: 50}",
            "litres: {type: number, minimum: few, maximum: 50}",
        ),
        ("    tag: kind\n", "    tags: kind\n"),
    ] {
        let files = edited(SHOP, from, to);
        let value = value(files.iter().find(|(name, _)| name == SHOP).unwrap());
        assert!(
            ModuleFile::deserialize(&value).is_err(),
            "{to}: the generator reads it"
        );
        assert!(!schema.is_valid(&value), "{to}: the schema takes it");
    }
}
