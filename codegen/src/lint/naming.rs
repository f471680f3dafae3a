//! Names: their case by kind, what targets keep for themselves, and names that become one in a target.

use std::collections::BTreeMap;

use super::{At, Lint};
use crate::language::{Schema, SchemaBody, Step, ViewDef};
use crate::load::LoadedModule;
use crate::model::{Model, Shape};
use crate::names::{self, lock};

const SNAKE: &str = "snake_case: lower-case words, digits and single underscores, a letter first";
const PASCAL: &str = "PascalCase, with acronyms as words: `HttpServer`, not `HTTPServer`";
const VALUE: &str = "snake_case, UPPER_SNAKE or PascalCase, the same for all values of the enumeration";

/// Modules whose names a target's layout needs.
const RESERVED_MODULES: &[&str] = &[
    "mod",
    "lib",
    "dispatch",
    "error_code",
    "runtime",
    "generated",
    "client",
    "index",
    "builder",
    "new",
    "with_credentials",
    "driver",
    "contract",
    "futures",
    "types",
    "errors",
];

/// Scalars of the contract language and helpers of the clients.
const RESERVED_TYPES: &[&str] = &[
    "Cursor", "Empty", "Id64", "Json", "Lsn", "Map", "Presence", "Uuid",
];

/// The variant of a code that a client does not know.
const RESERVED_ERRORS: &[&str] = &["Unknown"];

pub(super) fn check_forms(lint: &mut Lint<'_>, module: &LoadedModule) {
    let file = &module.file;
    let at = At::root(&file.module);
    let graphql_types: Vec<&str> = names::graphql::reserved_types().into_iter().collect();
    case(lint, &at.push("module"), "module", &file.module, is_snake, SNAKE);
    reserved(lint, &at.push("module"), "module", &file.module, RESERVED_MODULES);
    for (name, schema) in &file.types {
        let at = at.push("types").push(name);
        case(lint, &at, "type", name, is_pascal, PASCAL);
        reserved(lint, &at, "type", name, RESERVED_TYPES);
        reserved(lint, &at, "type", name, &graphql_types);
        schema_names(lint, &at, schema);
    }
    for name in file.errors.keys() {
        let at = at.push("errors").push(name);
        case(lint, &at, "error", name, is_pascal, PASCAL);
        reserved(lint, &at, "error", name, RESERVED_ERRORS);
    }
    for name in file.permissions.keys() {
        let sound = |name: &str| {
            name.split_once(':')
                .is_some_and(|(what, how)| is_snake(what) && is_snake(how))
        };
        case(
            lint,
            &at.push("permissions").push(name),
            "permission",
            name,
            sound,
            "`area:right`, such as `database:read`",
        );
    }
    for name in file.roles.keys() {
        let at = at.push("roles").push(name);
        case(lint, &at, "role", name, is_snake, SNAKE);
        reserved(lint, &at, "role", name, &["nobody"]);
    }
    for (name, form) in &file.operations {
        let at = at.push("operations").push(name);
        case(lint, &at, "operation", name, is_snake, SNAKE);
        if let Some(graphql) = &form.graphql {
            case(
                lint,
                &at.push("graphql"),
                "GraphQL field",
                graphql,
                is_camel,
                "camelCase",
            );
        }
        for (key, schema) in [
            ("input", &form.input),
            ("output", &form.output),
            ("result", &form.result),
        ] {
            if let Some(schema) = schema {
                schema_names(lint, &at.push(key), schema);
            }
        }
        let names: Vec<&str> = form
            .examples
            .iter()
            .map(|example| example.name.as_str())
            .collect();
        for (index, example) in form.examples.iter().enumerate() {
            let at = at.push("examples").index(index);
            example_name(lint, &at, &names, index);
            step_names(lint, &at.push("given"), &example.given);
        }
    }
    for (name, form) in &file.streams {
        let at = at.push("streams").push(name);
        case(lint, &at, "stream", name, is_snake, SNAKE);
        for (name, view) in &form.views {
            view_names(lint, &at.push("views").push(name), name, view);
        }
    }
}

fn view_names(lint: &mut Lint<'_>, at: &At<'_>, name: &str, form: &ViewDef) {
    case(lint, at, "view", name, is_snake, SNAKE);
    if let Some(graphql) = &form.graphql {
        case(
            lint,
            &at.push("graphql"),
            "GraphQL field",
            graphql,
            is_camel,
            "camelCase",
        );
    }
    if let Some(schema) = &form.args {
        schema_names(lint, &at.push("args"), schema);
    }
    let names: Vec<&str> = form
        .examples
        .iter()
        .map(|example| example.name.as_str())
        .collect();
    for (index, example) in form.examples.iter().enumerate() {
        let at = at.push("examples").index(index);
        example_name(lint, &at, &names, index);
        for (key, steps) in [("given", &example.given), ("then", &example.then)] {
            step_names(lint, &at.push(key), steps);
        }
    }
}

fn example_name(lint: &mut Lint<'_>, at: &At<'_>, names: &[&str], index: usize) {
    let name = names[index];
    case(lint, &at.push("name"), "example", name, is_snake, SNAKE);
    if names[..index].contains(&name) {
        let message = format!("the example `{name}` is there twice");
        lint.report(
            &at.push("name"),
            "name-clash",
            message,
            "name each after what it shows",
        );
    }
}

fn step_names(lint: &mut Lint<'_>, at: &At<'_>, steps: &[Step]) {
    for (index, step) in steps.iter().enumerate() {
        if let Some(save) = &step.save {
            case(
                lint,
                &at.index(index).push("save"),
                "saved answer",
                save,
                is_snake,
                SNAKE,
            );
        }
    }
}

fn schema_names(lint: &mut Lint<'_>, at: &At<'_>, schema: &Schema) {
    let Schema::Body(body) = schema else { return };
    let SchemaBody {
        properties,
        values,
        tag,
        variants,
        ..
    } = &**body;
    for name in properties.keys() {
        case(
            lint,
            &at.push("properties").push(name),
            "field",
            name,
            is_snake,
            SNAKE,
        );
    }
    if let Some(tag) = tag {
        case(lint, &at.push("tag"), "tag", tag, is_snake, SNAKE);
    }
    for value in variants.keys() {
        case(
            lint,
            &at.push("variants").push(value),
            "variant",
            value,
            is_snake,
            SNAKE,
        );
    }
    let values = values.as_deref().unwrap_or_default();
    let sound = value_case(values.first().map_or("", String::as_str));
    for (index, value) in values.iter().enumerate() {
        case(lint, &at.push("enum").index(index), "value", value, sound, VALUE);
    }
}

/// What the first value's case asks of all values. A digit may come first.
fn value_case(first: &str) -> fn(&str) -> bool {
    let has = |sought: fn(&char) -> bool| first.chars().any(|c| sought(&c));
    match (has(char::is_ascii_uppercase), has(char::is_ascii_lowercase)) {
        (true, true) => is_pascal,
        (true, false) => |value| {
            let lower = value.to_ascii_lowercase();
            !value.is_empty() && value == value.to_ascii_uppercase() && is_snake(&format!("v{lower}"))
        },
        (false, _) => |value| !value.is_empty() && is_snake(&format!("v{value}")),
    }
}

fn case(lint: &mut Lint<'_>, at: &At<'_>, kind: &str, name: &str, sound: impl Fn(&str) -> bool, form: &str) {
    if !sound(name) {
        lint.report(
            at,
            "name-case",
            format!("the {kind} `{name}`"),
            format!("write it in {form}"),
        );
    }
}

fn reserved(lint: &mut Lint<'_>, at: &At<'_>, kind: &str, name: &str, reserved: &[&str]) {
    if reserved.contains(&name) {
        let message = format!("the {kind} `{name}` is a name that a target keeps for itself");
        lint.report(at, "name-reserved", message, "choose a more particular name");
    }
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Names that keep their shape through the words every target builds from: so no acronyms.
fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && names::pascal(name) == name
}

fn is_camel(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Two parts of the contract whose public names meet in one scope of one target.
pub(super) fn check_model(lint: &mut Lint<'_>, model: &Model) {
    for def in model.types.values() {
        let Shape::Enum(values) = &def.shape else { continue };
        for (index, value) in values.iter().enumerate() {
            if names::rust::variant(value) == names::rust::OPEN_VARIANT {
                let at = At::root(&def.module)
                    .push("types")
                    .push(&def.name)
                    .push("enum")
                    .index(index);
                reserved(lint, &at, "value", value, &[value]);
            }
        }
    }
    for (target, public_names) in lock::TARGETS {
        let names = public_names(model);
        let mut taken: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (path, public) in &names {
            if let Some(other) = taken.insert((lock::scope(path), public), path) {
                let place = place_of(lint, model, path);
                let message = format!("`{path}` and `{other}` are both `{public}` in {target}");
                lint.report_place(place, "name-clash", message, "rename one of the two");
            }
        }
    }
}

fn place_of(lint: &Lint<'_>, model: &Model, path: &str) -> crate::diagnostics::Place {
    let (kind, rest) = path.rsplit_once(' ').unwrap_or((path, ""));
    let (owner, part) = rest.split_once('.').unwrap_or((rest, ""));
    let fallback = || {
        let place = model.modules.values().next().map(|module| module.place.clone());
        place.unwrap_or(crate::diagnostics::Place {
            file: String::new(),
            line: 1,
            column: 1,
        })
    };
    match kind {
        "operation" | "iterator" => model
            .operation(rest)
            .or_else(|| model.view(rest).map(|view| &view.open))
            .map(|operation| operation.place.clone()),
        "module" | "class" | "service" => model.modules.get(rest).map(|module| module.place.clone()),
        "error" => model.errors.get(rest).map(|error| error.place.clone()),
        _ => model.types.get(owner).map(|def| {
            let field = match &def.shape {
                Shape::Object(object) => object.fields.iter().find(|field| field.name == part),
                _ => None,
            };
            let at = At::root(&def.module).push("types").push(&def.name);
            let at = match &def.shape {
                Shape::Enum(values) => values
                    .iter()
                    .position(|value| value == part)
                    .map(|i| at.push("enum").index(i)),
                Shape::Union(_) => Some(at.push("variants").push(part)),
                _ => None,
            };
            let value = at.and_then(|at| {
                lint.files
                    .get(at.module)
                    .map(|file| file.source.place(&at.pointer))
            });
            field
                .map(|field| field.place.clone())
                .or(value)
                .unwrap_or_else(|| def.place.clone())
        }),
    }
    .unwrap_or_else(fallback)
}
