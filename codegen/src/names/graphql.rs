//! GraphQL names.

use std::collections::{BTreeMap, BTreeSet};

use super::{camel, upper_snake};
use crate::model::{Interface, Kind, Model, Shape};

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

/// What a subscription field answers for each event.
pub fn payload_type(graphql: &str) -> String {
    format!("{}Payload", super::pascal(graphql))
}

/// Every name of the GraphQL interface by what it names in the contract, for names.lock.
pub fn public_names(model: &Model) -> BTreeMap<String, String> {
    let mut public = BTreeMap::new();
    for view in model.views() {
        let payload = payload_type(&view.open.graphql);
        public.insert(format!("type {payload}"), payload);
    }
    for operation in model.routed() {
        if operation.except.contains_key(&Interface::Graphql) {
            continue;
        }
        let root = match operation.kind {
            Kind::Query => "Query",
            Kind::Command | Kind::Job => "Mutation",
            Kind::Stream => "Subscription",
        };
        public.insert(
            format!("operation {}", operation.id),
            format!("{root}.{}", operation.graphql),
        );
        for argument in model.input_fields(operation) {
            public.insert(
                format!("argument {}.{}", operation.id, argument.name),
                field(&argument.name),
            );
        }
    }
    for def in model.types.values().filter(|def| def.input_of.is_none()) {
        let name = &def.name;
        match &def.shape {
            Shape::Alias(_) => continue,
            Shape::Object(object) => {
                for member in &object.fields {
                    public.insert(format!("field {name}.{}", member.name), field(&member.name));
                }
            }
            Shape::Enum(values) => {
                for value in values {
                    public.insert(format!("value {name}.{value}"), enum_value(value));
                }
            }
            Shape::Union(union) => {
                for variant in &union.variants {
                    public.insert(format!("variant {name}.{}", variant.value), field(&variant.value));
                }
            }
        }
        if matches!(def.shape, Shape::Enum(_)) || def.in_output {
            public.insert(format!("type {name}"), name.clone());
        }
        if !matches!(def.shape, Shape::Enum(_)) && def.in_input {
            public.insert(format!("input type {name}"), input_type(name));
        }
    }
    public
}

/// Names that a contract's types can't have: those GraphQL or the mapping takes.
pub fn reserved_types() -> BTreeSet<&'static str> {
    let scalars = crate::emit::graphql_sdl::types::SCALARS
        .iter()
        .map(|(name, _)| *name);
    [
        "Query",
        "Mutation",
        "Subscription",
        "Boolean",
        "Float",
        "ID",
        "Int",
        "String",
    ]
    .into_iter()
    .chain(scalars)
    .collect()
}
