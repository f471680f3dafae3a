//! Python identifiers: every public name of the client, legal and unique within its scope.
//!
//! A name that is taken or reserved gets a trailing underscore, as PEP 8 has it. Names are handed out in sorted
//! order, so the same contract gives the same names.

use std::collections::{BTreeMap, BTreeSet};

use super::{pascal, snake, upper_snake};
use crate::model::{Model, Shape, Ty};

const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Builtins that annotations of fields use: a field of that name would hide them within its class.
const FIELD_ANNOTATIONS: &[&str] = &["bool", "bytes", "dict", "float", "int", "list", "str"];

/// The same for the signatures of methods, which name lists and maps by their abstract classes.
const METHOD_ANNOTATIONS: &[&str] = &["bool", "bytes", "float", "int", "str"];

/// Attributes of the hand-written base classes of the clients, and what their properties are made with.
const CLIENT: &[&str] = &["close", "property", "with_credentials", "with_options"];

/// Classes that stand beside the generated ones in `rustydb.errors`.
const ERRORS: &[&str] = &[
    "ApiError",
    "CallTimeoutError",
    "ConfigurationError",
    "ConnectionFailedError",
    "Retry",
    "RustyDBError",
    "UnreadableAnswerError",
    "UnsendableInputError",
];

/// A field of a class.
pub fn field(name: &str) -> String {
    reserve(snake(name), &[KEYWORDS, FIELD_ANNOTATIONS])
}

/// A method of a module's class.
pub fn method(name: &str) -> String {
    reserve(snake(name), &[KEYWORDS, METHOD_ANNOTATIONS])
}

/// A parameter of a method.
pub fn parameter(name: &str) -> String {
    reserve(snake(name), &[KEYWORDS, &["self"]])
}

/// A module of the contract, as a file and as an attribute of the clients.
pub fn module(name: &str) -> String {
    reserve(snake(name), &[KEYWORDS, CLIENT])
}

fn reserve(name: String, reserved: &[&[&str]]) -> String {
    let taken = reserved.iter().any(|words| words.contains(&name.as_str()));
    if taken || name.starts_with(|c: char| c.is_ascii_digit()) {
        legal(name)
    } else {
        name
    }
}

fn legal(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("v_{name}")
    } else {
        format!("{name}_")
    }
}

/// How a union's variant is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariantClass {
    /// The object's own class carries the tag: it is used nowhere else.
    Own(String),
    /// A class that adds the tag to the object's.
    Derived(String),
}

impl VariantClass {
    pub fn name(&self) -> &str {
        match self {
            VariantClass::Own(name) | VariantClass::Derived(name) => name,
        }
    }
}

/// Public names of one contract.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Module to attribute and file.
    pub modules: BTreeMap<String, String>,
    /// Contract type to class or alias.
    pub types: BTreeMap<String, String>,
    /// `Type.field` to attribute, or to parameter for an operation's input.
    pub fields: BTreeMap<String, String>,
    /// `Enum.value` to member.
    pub values: BTreeMap<String, String>,
    /// `Union.value` to class.
    pub variants: BTreeMap<String, VariantClass>,
    /// Error code to class.
    pub errors: BTreeMap<String, String>,
    /// Operation id to method.
    pub methods: BTreeMap<String, String>,
    /// View id to method.
    pub views: BTreeMap<String, String>,
    /// Paged operation's id to the method that answers an iterator.
    pub iterators: BTreeMap<String, String>,
}

impl Names {
    pub fn new(model: &Model) -> Names {
        let mut names = Names::default();
        names.name_modules(model);
        names.name_types(model);
        names.name_errors(model);
        names.name_methods(model);
        names
    }

    fn name_modules(&mut self, model: &Model) {
        let mut taken = BTreeSet::new();
        for name in model.modules.keys() {
            self.modules
                .insert(name.clone(), unique(module(name), &mut taken));
        }
    }

    fn name_types(&mut self, model: &Model) {
        let mut taken: BTreeSet<String> = KEYWORDS.iter().map(|word| (*word).to_owned()).collect();
        for name in model.types.keys() {
            let class = unique(type_name(name), &mut taken);
            self.types.insert(name.clone(), class);
        }
        for (name, definition) in &model.types {
            match &definition.shape {
                Shape::Object(object) => {
                    let is_input = definition.input_of.is_some();
                    let mut used = BTreeSet::new();
                    for field in &object.fields {
                        let base = if is_input {
                            parameter(&field.name)
                        } else {
                            self::field(&field.name)
                        };
                        self.fields
                            .insert(format!("{name}.{}", field.name), unique(base, &mut used));
                    }
                }
                Shape::Enum(values) => {
                    let mut used = BTreeSet::new();
                    for value in values {
                        let member = unique(enum_member(value), &mut used);
                        self.values.insert(format!("{name}.{value}"), member);
                    }
                }
                Shape::Union(union) => {
                    for variant in &union.variants {
                        let class = if is_only_one_variant(model, &variant.target) {
                            VariantClass::Own(self.types[&variant.target].clone())
                        } else {
                            let base = format!("{}{}", pascal(name), pascal(&variant.value));
                            VariantClass::Derived(unique(base, &mut taken))
                        };
                        self.variants.insert(format!("{name}.{}", variant.value), class);
                    }
                }
                Shape::Alias(_) => {}
            }
        }
    }

    fn name_errors(&mut self, model: &Model) {
        let mut taken: BTreeSet<String> = ERRORS.iter().map(|word| (*word).to_owned()).collect();
        for (code, error) in &model.errors {
            let name = pascal(&error.name);
            let base = if name.ends_with("Error") {
                name
            } else {
                format!("{name}Error")
            };
            self.errors.insert(code.clone(), unique(base, &mut taken));
        }
    }

    fn name_methods(&mut self, model: &Model) {
        for module in model.modules.values() {
            let mut taken = BTreeSet::new();
            for operation in module.operations.values() {
                self.methods
                    .insert(operation.id.clone(), unique(method(&operation.name), &mut taken));
            }
            for operation in module
                .operations
                .values()
                .filter(|operation| operation.paginated.is_some())
            {
                let base = format!("{}_items", snake(&operation.name));
                self.iterators
                    .insert(operation.id.clone(), unique(base, &mut taken));
            }
            for view in module.views.values() {
                let base = method(&view.open.name);
                self.views.insert(view.open.id.clone(), unique(base, &mut taken));
            }
        }
    }
}

/// A class or alias.
pub fn type_name(name: &str) -> String {
    pascal(name)
}

/// A member of an enumeration.
pub fn enum_member(value: &str) -> String {
    let name = upper_snake(value);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("V_{name}")
    } else {
        name
    }
}

/// Whether the object is one variant of one union and stands nowhere else, so that its class can carry the tag.
fn is_only_one_variant(model: &Model, target: &str) -> bool {
    let mut variants = 0;
    for definition in model.types.values() {
        match &definition.shape {
            Shape::Object(object) => {
                if object.fields.iter().any(|field| refers(&field.ty, target)) {
                    return false;
                }
            }
            Shape::Alias(ty) if refers(ty, target) => return false,
            Shape::Union(union) => {
                variants += union
                    .variants
                    .iter()
                    .filter(|variant| variant.target == target)
                    .count();
            }
            Shape::Alias(_) | Shape::Enum(_) => {}
        }
    }
    let answered = model
        .operations()
        .any(|operation| operation.output.as_deref() == Some(target));
    let detailed = model
        .errors
        .values()
        .any(|error| error.details.as_deref() == Some(target));
    variants == 1 && !answered && !detailed
}

fn refers(ty: &Ty, target: &str) -> bool {
    match ty {
        Ty::Ref(name) => name == target,
        Ty::Array { items, .. } => refers(items, target),
        Ty::Map { values } => refers(values, target),
        _ => false,
    }
}

fn unique(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Contract path to public name, for names.lock.
pub fn public_names(model: &Model) -> BTreeMap<String, String> {
    let names = Names::new(model);
    let mut public = BTreeMap::new();
    let mut add = |kind: &str, entries: &BTreeMap<String, String>| {
        for (path, name) in entries {
            public.insert(format!("{kind} {path}"), name.clone());
        }
    };
    add("module", &names.modules);
    add("field", &names.fields);
    add("value", &names.values);
    add("error", &names.errors);
    let methods = [
        ("operation", &names.methods),
        ("items", &names.iterators),
        ("view", &names.views),
    ];
    for (kind, methods) in methods {
        for (id, method) in methods {
            let module = id.split('.').next().and_then(|module| names.modules.get(module));
            let module = module.map_or("", String::as_str);
            public.insert(format!("{kind} {id}"), format!("{module}.{method}"));
        }
    }
    for (name, class) in &names.types {
        // Inputs of operations are parameters; they have no class.
        if model.ty(name).input_of.is_none() {
            public.insert(format!("type {name}"), class.clone());
        }
    }
    for (path, class) in &names.variants {
        public.insert(format!("variant {path}"), class.name().to_owned());
    }
    public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_language_get_an_underscore() {
        assert_eq!(field("from"), "from_");
        assert_eq!(field("list"), "list_");
        assert_eq!(field("type"), "type");
        assert_eq!(method("list"), "list");
        assert_eq!(method("import"), "import_");
        assert_eq!(parameter("self"), "self_");
        assert_eq!(module("import"), "import_");
        assert_eq!(module("close"), "close_");
    }

    #[test]
    fn members_are_upper_case_and_never_begin_with_a_digit() {
        assert_eq!(enum_member("big_int"), "BIG_INT");
        assert_eq!(enum_member("2pc"), "V_2PC");
    }

    #[test]
    fn a_taken_name_gets_an_underscore() {
        let mut taken = BTreeSet::new();
        assert_eq!(unique("a".to_owned(), &mut taken), "a");
        assert_eq!(unique("a".to_owned(), &mut taken), "a_");
        assert_eq!(unique("a".to_owned(), &mut taken), "a__");
    }
}
