//! What the templates show, as plain values.

use super::snippets::{self, Names, Snippet};
use super::streams::{self, StreamView};
use super::tables::{
    ErrorRow, FieldRow, cell, code, error_row, field_row, operation_anchor, shape, type_anchor, type_link,
};
use crate::emit::examples;
use crate::emit::json_schema::schema::paragraphs;
use crate::emit::openapi::credentials;
use crate::model::{self, Interface, Kind, Model, Object, Shape, Stability};

pub struct Module {
    pub name: String,
    pub text: String,
    pub operations: Vec<Operation>,
    pub views: Vec<StreamView>,
    pub types: Vec<TypeView>,
    pub errors: Vec<ErrorRow>,
}

pub struct Operation {
    pub id: String,
    pub anchor: String,
    pub rest: String,
    pub summary_cell: String,
    pub text: String,
    pub facts: Vec<Fact>,
    pub input: Vec<FieldRow>,
    pub input_note: String,
    pub output_text: String,
    pub output: Vec<FieldRow>,
    pub errors: Vec<ErrorRow>,
    pub example: Option<ExampleView>,
}

pub struct Fact {
    pub name: String,
    pub value: String,
}

pub struct ExampleView {
    pub text: String,
    pub snippets: Vec<Snippet>,
}

pub struct TypeView {
    pub name: String,
    pub anchor: String,
    pub text: String,
    pub fields: Vec<FieldRow>,
}

pub struct Index {
    pub modules: Vec<IndexModule>,
    pub operations: Vec<IndexOperation>,
    pub views: Vec<IndexView>,
    pub roles: Vec<RoleRow>,
    pub permissions: Vec<PermissionRow>,
    pub limits: Vec<Fact>,
}

pub struct IndexModule {
    pub name: String,
    pub operations: usize,
    pub views: usize,
    pub summary: String,
}

pub struct IndexOperation {
    pub link: String,
    pub rest: String,
    pub graphql: String,
    pub summary: String,
}

pub struct IndexView {
    pub link: String,
    pub class: &'static str,
    pub sse: String,
    pub graphql: String,
    pub summary: String,
}

pub struct RoleRow {
    pub name: String,
    pub permissions: String,
    pub summary: String,
}

pub struct PermissionRow {
    pub name: String,
    pub summary: String,
}

pub fn index(model: &Model) -> Index {
    let limits = &model.limits;
    let limits = [
        ("bytes of a request", limits.request_bytes.to_string()),
        ("nesting of a JSON request", limits.json_depth.to_string()),
        ("calls of a JSON-RPC batch", limits.rpc_batch_calls.to_string()),
        ("nesting of a GraphQL selection", limits.graphql_depth.to_string()),
        (
            "fields of a GraphQL document",
            limits.graphql_complexity.to_string(),
        ),
        (
            "items of a page, unless `limit` says otherwise",
            limits.page_default.to_string(),
        ),
        ("items of the largest page", limits.page_max.to_string()),
        (
            "milliseconds a call may take, unless it says otherwise",
            limits.timeout_ms.to_string(),
        ),
        (
            "milliseconds a call may ask for",
            limits.timeout_max_ms.to_string(),
        ),
    ];
    Index {
        modules: model
            .modules
            .values()
            .map(|module| IndexModule {
                name: module.name.clone(),
                operations: module.operations.len(),
                views: module.views.len(),
                summary: cell(&module.summary),
            })
            .collect(),
        operations: model
            .operations()
            .map(|operation| IndexOperation {
                link: format!(
                    "[{}]({}.md#{})",
                    operation.id,
                    operation.module,
                    operation_anchor(&operation.id)
                ),
                rest: name_on(operation, Interface::Rest),
                graphql: name_on(operation, Interface::Graphql),
                summary: cell(&operation.summary),
            })
            .collect(),
        views: model
            .views()
            .map(|view| IndexView {
                link: format!(
                    "[{}]({}.md#{})",
                    view.open.id,
                    view.open.module,
                    operation_anchor(&view.open.id)
                ),
                class: streams::class(view),
                sse: name_on(&view.open, Interface::Rest),
                graphql: code(&format!("Subscription.{}", view.open.graphql)),
                summary: cell(&view.open.summary),
            })
            .collect(),
        roles: model
            .roles
            .iter()
            .map(|role| {
                let permissions: Vec<String> = role.permissions.iter().map(|name| code(name)).collect();
                RoleRow {
                    name: role.name.clone(),
                    permissions: permissions.join(", "),
                    summary: cell(&role.summary),
                }
            })
            .collect(),
        permissions: model
            .permissions
            .iter()
            .map(|permission| PermissionRow {
                name: permission.name.clone(),
                summary: cell(&permission.summary),
            })
            .collect(),
        limits: limits.map(|(name, value)| fact(name, value)).into(),
    }
}

pub fn module(model: &Model, names: &Names, module: &model::Module) -> Module {
    let types = module
        .types
        .iter()
        .map(|name| model.ty(name))
        .filter(|def| def.input_of.is_none());
    Module {
        name: module.name.clone(),
        text: paragraphs(&[&module.summary, &module.description]),
        operations: module
            .operations
            .values()
            .map(|operation| operation_view(model, names, operation))
            .collect(),
        views: module
            .views
            .values()
            .map(|view| streams::view(model, view))
            .collect(),
        types: types
            .map(|def| TypeView {
                name: def.name.clone(),
                anchor: type_anchor(&def.name),
                text: paragraphs(&[&def.description, &shape(model, &module.name, &def.shape)]),
                fields: match &def.shape {
                    Shape::Object(object) => rows(model, &module.name, object),
                    _ => Vec::new(),
                },
            })
            .collect(),
        errors: module
            .errors
            .iter()
            .filter_map(|code| model.errors.get(code))
            .map(|error| error_row(model, &module.name, error))
            .collect(),
    }
}

fn rows(model: &Model, home: &str, object: &Object) -> Vec<FieldRow> {
    object
        .fields
        .iter()
        .map(|field| field_row(model, home, field))
        .collect()
}

fn operation_view(model: &Model, names: &Names, operation: &model::Operation) -> Operation {
    let home = &operation.module;
    let none = Object::default();
    let input = match &model.ty(&operation.input).shape {
        Shape::Object(object) => object,
        _ => &none,
    };
    let (output_text, output) = match &operation.output {
        None => ("Nothing: `{}`.".to_owned(), Vec::new()),
        Some(name) => {
            let def = model.ty(name);
            let link = format!("{}.", type_link(model, home, name));
            let fields = match &def.shape {
                Shape::Object(object) => rows(model, home, object),
                _ => Vec::new(),
            };
            let result = operation.result.as_ref().map_or_else(String::new, |result| {
                format!("The job comes to a {}.", type_link(model, home, result))
            });
            (
                paragraphs(&[&link, &def.description, &shape(model, home, &def.shape), &result]),
                fields,
            )
        }
    };
    Operation {
        id: operation.id.clone(),
        anchor: operation_anchor(&operation.id),
        rest: format!("{} {}", operation.method.as_str(), operation.path),
        summary_cell: cell(&operation.summary),
        text: paragraphs(&[&operation.summary, &operation.description]),
        facts: facts(operation),
        input: rows(model, home, input),
        input_note: if input.exactly_one_of.is_empty() {
            String::new()
        } else {
            shape(model, home, &Shape::Object(input.clone()))
        },
        output_text,
        output,
        errors: operation
            .errors
            .iter()
            .filter_map(|code| model.errors.get(code))
            .map(|error| error_row(model, home, error))
            .collect(),
        example: example(model, names, operation),
    }
}

fn facts(operation: &model::Operation) -> Vec<Fact> {
    let kind = match operation.kind {
        Kind::Query => "query: reads",
        Kind::Command => "command: changes state",
        Kind::Job => "job: answers at once and goes on",
        Kind::Stream => "stream: answers as long as it is open",
    };
    let mut facts = vec![
        fact("kind", kind),
        fact("access", credentials(&operation.permission)),
        fact(
            "REST",
            format!(
                "{}, answers {}",
                name_on(operation, Interface::Rest),
                operation.status
            ),
        ),
        fact("JSON-RPC", name_on(operation, Interface::Rpc)),
        fact("GraphQL", name_on(operation, Interface::Graphql)),
        fact("time-out", format!("{} ms", operation.timeout_ms)),
        fact(
            "after a lost answer",
            if operation.retry_safe {
                "may be sent again"
            } else {
                "must not be sent again blindly"
            },
        ),
    ];
    if let Some(paging) = &operation.paginated {
        facts.push(fact(
            "paging",
            format!(
                "`limit` (default {}, at most {}) and `after`; items in `{}`",
                paging.default, paging.max, paging.items
            ),
        ));
    }
    facts.push(fact(
        "since",
        format!("{}, {}", operation.since, stability(operation.stability)),
    ));
    if let Some(deprecated) = &operation.deprecated {
        facts.push(fact(
            "deprecated",
            format!("since {}: use {}", deprecated.since, cell(&deprecated.instead)),
        ));
    }
    facts
}

/// The operation's name on an interface, or why it is not there.
fn name_on(operation: &model::Operation, interface: Interface) -> String {
    if let Some(reason) = operation.except.get(&interface) {
        return format!("no: {}", cell(reason));
    }
    match interface {
        Interface::Rest => code(&format!("{} {}", operation.method.as_str(), operation.path)),
        Interface::Rpc => code(&operation.id),
        Interface::Graphql => {
            let root = if operation.kind == Kind::Query {
                "Query"
            } else {
                "Mutation"
            };
            code(&format!("{root}.{}", operation.graphql))
        }
    }
}

fn example(model: &Model, names: &Names, operation: &model::Operation) -> Option<ExampleView> {
    let example = examples::succeeding(operation).next()?;
    Some(ExampleView {
        text: example_text(example),
        snippets: snippets::all(model, names, operation, example),
    })
}

/// What the example is, the calls before it and who makes it.
pub fn example_text(example: &model::Example) -> String {
    let given: Vec<String> = example
        .given
        .iter()
        .map(|step| match &step.save {
            Some(name) => format!("{} as `{name}`", code(&step.call)),
            None => code(&step.call),
        })
        .collect();
    let before = if given.is_empty() {
        String::new()
    } else {
        format!("Before it: {}.", given.join(", "))
    };
    let role = if example.role == "nobody" {
        "Called without credentials.".to_owned()
    } else {
        format!("Called as `{}`.", example.role)
    };
    let summary = if example.summary.is_empty() {
        format!("`{}`", example.name)
    } else {
        example.summary.clone()
    };
    paragraphs(&[&summary, &before, &role])
}

pub fn stability(stability: Stability) -> &'static str {
    match stability {
        Stability::Experimental => "experimental",
        Stability::Beta => "beta",
        Stability::Stable => "stable",
    }
}

pub fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact {
        name: name.to_owned(),
        value: value.into(),
    }
}
