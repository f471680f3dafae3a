//! GraphQL names.

use super::{camel, upper_snake};

/// A field or argument: camelCase. Names that begin with two underscores belong to introspection; a contract
/// name begins with a letter, so none arises.
pub fn field(name: &str) -> String {
    camel(name)
}

/// The input object that carries an object type where it is an argument.
pub fn input_type(name: &str) -> String {
    format!("{name}Input")
}

/// A value of an enumeration; `true`, `false` and `null` are not allowed there.
pub fn enum_value(value: &str) -> String {
    let name = upper_snake(value);
    if matches!(name.as_str(), "TRUE" | "FALSE" | "NULL") || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("V_{name}")
    } else {
        name
    }
}

/// Root field of an operation: module and name in lowerCamel, a leading `get` left out.
pub fn root_field(module: &str, operation: &str) -> String {
    let operation = operation.strip_prefix("get_").unwrap_or(operation);
    camel(&format!("{module}_{operation}"))
}
