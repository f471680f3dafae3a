//! Rust identifiers.

use std::collections::BTreeMap;

use super::{pascal, snake};
use crate::model::{Model, Shape};

/// Keywords of edition 2024, strict and reserved.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Keywords that have no raw form.
const NEVER_RAW: &[&str] = &["crate", "self", "super", "Self", "_"];

/// A field, method or module.
pub fn value(name: &str) -> String {
    let name = snake(name);
    if NEVER_RAW.contains(&name.as_str()) {
        format!("{name}_")
    } else if KEYWORDS.contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

/// A type.
pub fn type_name(name: &str) -> String {
    let name = pascal(name);
    if name == "Self" { "Self_".to_owned() } else { name }
}

/// A variant of an enumeration or a union.
pub fn variant(value: &str) -> String {
    let name = pascal(value);
    if name == "Self" {
        "Self_".to_owned()
    } else if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("V{name}")
    } else {
        name
    }
}

/// The variant that holds what this version does not know; no value of the contract may become it.
pub const OPEN_VARIANT: &str = "Unrecognized";

/// Every name of the contract crates and the client by what it names in the contract, for names.lock.
pub fn public_names(model: &Model) -> BTreeMap<String, String> {
    let mut public = BTreeMap::new();
    for def in model.types.values() {
        let name = &def.name;
        public.insert(
            format!("type {name}"),
            format!("{}::{}", value(&def.module), type_name(name)),
        );
        match &def.shape {
            Shape::Object(object) => {
                for field in &object.fields {
                    public.insert(format!("field {name}.{}", field.name), value(&field.name));
                }
            }
            Shape::Enum(values) => {
                for text in values {
                    public.insert(format!("value {name}.{text}"), variant(text));
                }
            }
            Shape::Union(union) => {
                for tagged in &union.variants {
                    public.insert(format!("variant {name}.{}", tagged.value), variant(&tagged.value));
                }
            }
            Shape::Alias(_) => {}
        }
    }
    for error in model.errors.values() {
        public.insert(format!("error {}", error.code), type_name(&error.name));
    }
    for module in model.modules.values().filter(|module| module.has_service()) {
        let (name, pascal) = (value(&module.name), pascal(&module.name));
        public.insert(format!("module {}", module.name), name.clone());
        public.insert(format!("class {}", module.name), format!("{name}::{pascal}Api"));
        public.insert(
            format!("service {}", module.name),
            format!("{name}::{pascal}Service"),
        );
        for operation in module.operations.values() {
            public.insert(
                format!("operation {}", operation.id),
                format!("{name}.{}", value(&operation.name)),
            );
        }
        for view in module.views.values() {
            public.insert(
                format!("view {}", view.open.id),
                format!("{name}.{}", value(&view.open.name)),
            );
        }
    }
    public
}
