//! Rust identifiers.

use super::{pascal, snake};

/// Keywords of edition 2024, strict and reserved.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match",
    "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
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
