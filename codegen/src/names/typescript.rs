//! TypeScript identifiers.
//!
//! Fields keep their wire names. Everything the package exports shares one namespace, so types, error classes and
//! module classes are named here together; a name that is taken gets underscores at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::{camel, pascal};
use crate::model::{Interface, Model, Module, Operation, Shape, Ty, TypeDef};

/// What the hand-written part of the package exports, and the generated client beside the contract's names.
pub const PACKAGE_NAMES: &[&str] = &[
    "Bytes",
    "CalendarDate",
    "CallOptions",
    "CallTimeoutError",
    "ClientOptions",
    "ConnectionError",
    "Credentials",
    "Cursor",
    "Decimal",
    "ErrorCode",
    "ErrorFields",
    "ErrorsByCode",
    "ExactlyOneOf",
    "Fetch",
    "FetchAnswer",
    "FetchRequest",
    "Id64",
    "InputError",
    "JsonValue",
    "Lsn",
    "Open",
    "ResponseError",
    "Retry",
    "RetryPolicy",
    "RustyDB",
    "RustyDBError",
    "StreamControlItem",
    "StreamEvent",
    "Subscription",
    "SubscriptionOptions",
    "Timestamp",
    "Uuid",
    "decodeBytes",
    "encodeBytes",
    "errorTable",
    "id64",
    "isRustyDBError",
    "timestampFromDate",
    "timestampToDate",
];

/// Words that cannot name a type.
const NOT_TYPES: &[&str] = &[
    "any",
    "as",
    "async",
    "await",
    "bigint",
    "boolean",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "never",
    "new",
    "null",
    "number",
    "object",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "string",
    "super",
    "switch",
    "symbol",
    "this",
    "throw",
    "true",
    "try",
    "type",
    "typeof",
    "undefined",
    "unknown",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Members every object has or that JavaScript calls by itself; `then` would make an object a promise.
const NOT_MEMBERS: &[&str] = &[
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "prototype",
    "then",
    "toJSON",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// Public names of one contract.
#[derive(Debug, Clone, Default)]
pub struct Names {
    types: BTreeMap<String, String>,
    writing: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,
    properties: BTreeMap<String, String>,
    classes: BTreeMap<String, String>,
    methods: BTreeMap<String, String>,
    iterators: BTreeMap<String, String>,
}

impl Names {
    pub fn new(model: &Model) -> Names {
        let mut names = Names::default();
        let mut exported: BTreeSet<String> = PACKAGE_NAMES.iter().map(|name| (*name).to_owned()).collect();
        for name in model.types.keys() {
            names
                .types
                .insert(name.clone(), claim(&mut exported, type_name(name)));
        }
        for name in split_types(model) {
            let wanted = format!("{}Input", type_name(&name));
            names.writing.insert(name, claim(&mut exported, wanted));
        }
        for found in model.types.values() {
            if matches!(found.shape, Shape::Enum(_)) {
                let wanted = format!("{}Values", type_name(&found.name));
                names
                    .values
                    .insert(found.name.clone(), claim(&mut exported, wanted));
            }
        }
        for error in model.errors.values() {
            let name = type_name(&error.name);
            let wanted = if name.ends_with("Error") {
                name
            } else {
                format!("{name}Error")
            };
            names
                .errors
                .insert(error.code.clone(), claim(&mut exported, wanted));
        }
        let mut properties = members();
        for module in model.modules.values() {
            if module.routed().any(is_carried) {
                let class = claim(&mut exported, format!("{}Operations", pascal(&module.name)));
                names.classes.insert(module.name.clone(), class);
                names
                    .properties
                    .insert(module.name.clone(), claim(&mut properties, member(&module.name)));
                names.name_methods(module);
            }
        }
        names
    }

    /// Methods first, so that an iterator never takes a method's name.
    fn name_methods(&mut self, module: &Module) {
        let mut taken = members();
        let carried = || module.routed().filter(|operation| is_carried(operation));
        for operation in carried() {
            self.methods
                .insert(operation.id.clone(), claim(&mut taken, member(&operation.name)));
        }
        for operation in carried().filter(|operation| operation.paginated.is_some()) {
            let wanted = format!("{}Items", member(&operation.name));
            self.iterators
                .insert(operation.id.clone(), claim(&mut taken, wanted));
        }
    }

    /// A type as answers hold it.
    pub fn reading<'a>(&'a self, name: &'a str) -> &'a str {
        self.types.get(name).map_or(name, String::as_str)
    }

    /// A type as inputs hold it: another one where enumerations are closed for writing only.
    pub fn writing<'a>(&'a self, name: &'a str) -> &'a str {
        self.writing
            .get(name)
            .map_or_else(|| self.reading(name), String::as_str)
    }

    pub fn is_split(&self, name: &str) -> bool {
        self.writing.contains_key(name)
    }

    /// The constant with an enumeration's values.
    pub fn values<'a>(&'a self, name: &'a str) -> &'a str {
        self.values.get(name).map_or(name, String::as_str)
    }

    /// The class of an error code.
    pub fn error<'a>(&'a self, code: &'a str) -> &'a str {
        self.errors.get(code).map_or(code, String::as_str)
    }

    /// The client's property for a module; none for a module with neither operations nor views.
    pub fn property(&self, module: &str) -> Option<&str> {
        self.properties.get(module).map(String::as_str)
    }

    /// The class of a module's operations and views.
    pub fn class<'a>(&'a self, module: &'a str) -> &'a str {
        self.classes.get(module).map_or(module, String::as_str)
    }

    /// The method of an operation or view id; none for one that REST does not carry.
    pub fn method(&self, operation: &str) -> Option<&str> {
        self.methods.get(operation).map(String::as_str)
    }

    /// The method that iterates over the items of a paginated operation.
    pub fn iterator(&self, operation: &str) -> Option<&str> {
        self.iterators.get(operation).map(String::as_str)
    }
}

/// Whether the client has a method for it: it speaks REST only.
pub fn is_carried(operation: &Operation) -> bool {
    !operation.except.contains_key(&Interface::Rest)
}

/// Contract path to public name.
pub fn public_names(model: &Model) -> BTreeMap<String, String> {
    let names = Names::new(model);
    let mut public = BTreeMap::new();
    for found in model.types.values() {
        public.insert(
            format!("type {}", found.name),
            names.reading(&found.name).to_owned(),
        );
        if names.is_split(&found.name) {
            public.insert(
                format!("input type {}", found.name),
                names.writing(&found.name).to_owned(),
            );
        }
        public_members(found, &names, &mut public);
    }
    for code in model.errors.keys() {
        public.insert(format!("error {code}"), names.error(code).to_owned());
    }
    for module in model.modules.values() {
        let Some(property) = names.property(&module.name) else {
            continue;
        };
        public.insert(format!("module {}", module.name), property.to_owned());
        public.insert(
            format!("class {}", module.name),
            names.class(&module.name).to_owned(),
        );
        for operation in module.operations.values() {
            if let Some(method) = names.method(&operation.id) {
                public.insert(
                    format!("operation {}", operation.id),
                    format!("{property}.{method}"),
                );
            }
            if let Some(iterator) = names.iterator(&operation.id) {
                public.insert(
                    format!("iterator {}", operation.id),
                    format!("{property}.{iterator}"),
                );
            }
        }
        for view in module.views.values() {
            if let Some(method) = names.method(&view.open.id) {
                public.insert(format!("view {}", view.open.id), format!("{property}.{method}"));
            }
        }
    }
    public
}

fn public_members(found: &TypeDef, names: &Names, public: &mut BTreeMap<String, String>) {
    match &found.shape {
        Shape::Object(object) => {
            for field in &object.fields {
                public.insert(format!("field {}.{}", found.name, field.name), field.name.clone());
            }
        }
        Shape::Enum(values) => {
            public.insert(
                format!("values {}", found.name),
                names.values(&found.name).to_owned(),
            );
            for value in values {
                public.insert(format!("value {}.{value}", found.name), value.clone());
            }
        }
        Shape::Union(union) => {
            for variant in &union.variants {
                public.insert(
                    format!("value {}.{}", found.name, variant.value),
                    variant.value.clone(),
                );
            }
        }
        Shape::Alias(_) => {}
    }
}

/// A property in a type or an object literal: as it is where that is an identifier, else in quotes.
pub fn key(name: &str) -> String {
    if is_identifier(name) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// A string literal.
pub fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn type_name(name: &str) -> String {
    let name = if is_identifier(name) {
        name.to_owned()
    } else {
        format!("T{}", pascal(name))
    };
    if NOT_TYPES.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

fn member(name: &str) -> String {
    let name = camel(name);
    if is_identifier(&name) {
        name
    } else {
        format!("_{name}")
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn members() -> BTreeSet<String> {
    NOT_MEMBERS.iter().map(|name| (*name).to_owned()).collect()
}

fn claim(taken: &mut BTreeSet<String>, mut name: String) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Types of inputs and outputs alike that reach an enumeration: those differ between reading and writing.
fn split_types(model: &Model) -> BTreeSet<String> {
    let mut reaching: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = reaching.len();
        for found in model.types.values() {
            if reaches(model, found, &reaching) {
                reaching.insert(&found.name);
            }
        }
        if reaching.len() == before {
            break;
        }
    }
    model
        .types
        .values()
        .filter(|found| found.in_input && found.in_output && reaching.contains(found.name.as_str()))
        .map(|found| found.name.clone())
        .collect()
}

fn reaches(model: &Model, found: &TypeDef, reaching: &BTreeSet<&str>) -> bool {
    let leads = |name: &str| {
        reaching.contains(name)
            || model
                .types
                .get(name)
                .is_some_and(|target| matches!(target.shape, Shape::Enum(_)))
    };
    match &found.shape {
        Shape::Enum(_) => false,
        Shape::Object(object) => object
            .fields
            .iter()
            .any(|field| target(&field.ty).is_some_and(leads)),
        Shape::Union(union) => union.variants.iter().any(|variant| leads(&variant.target)),
        Shape::Alias(ty) => target(ty).is_some_and(leads),
    }
}

/// The named type inside of lists and maps.
fn target(ty: &Ty) -> Option<&str> {
    match ty {
        Ty::Ref(name) => Some(name),
        Ty::Array { items, .. } => target(items),
        Ty::Map { values } => target(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keeps_off_names_javascript_gives_a_meaning() {
        let mut taken = members();
        assert_eq!(claim(&mut taken, member("constructor")), "constructor_");
        assert_eq!(claim(&mut taken, member("then")), "then_");
        assert_eq!(claim(&mut taken, member("delete")), "delete");
        assert_eq!(claim(&mut taken, member("a_1")), "a1");
        assert_eq!(claim(&mut taken, member("a1")), "a1_");
        assert_eq!(type_name("string"), "string_");
        assert_eq!(key("row-count"), "\"row-count\"");
    }

    /// The list above and the package's own exports must not drift apart.
    #[test]
    fn knows_what_the_package_exports() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/typescript/src/index.ts");
        let text = std::fs::read_to_string(path).unwrap();
        let lists = text
            .lines()
            .filter(|line| line.starts_with("export ") && line.contains('{'));
        let mut seen = 0;
        for line in lists {
            let list = line.split_once('{').unwrap().1.split_once('}').unwrap().0;
            for name in list.split(',').map(str::trim) {
                assert!(
                    PACKAGE_NAMES.contains(&name),
                    "{name} is exported but not reserved"
                );
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} exports found in {path}");
    }
}
