//! `generated/operations/<module>.py`: what the runtime must know of each operation, once for both clients.

use super::text::{self, HEADER};
use super::types::{Home, Position, annotation, reference};
use super::usage;
use crate::model::{Field, Model, Module, Operation, PermissionRule, RestPlace, StreamClass, View};
use crate::names::python::{Names, VariantClass};
use crate::output::File;

/// Name of the operation's constant.
pub fn constant(names: &Names, operation: &Operation) -> String {
    names.methods[&operation.id].to_ascii_uppercase()
}

/// Name of the view's constant; views and operations of a module share one space of names.
pub fn view_constant(names: &Names, view: &View) -> String {
    names.views[&view.open.id].to_ascii_uppercase()
}

/// The type of the data of any of the view's events.
pub fn event_data(model: &Model, names: &Names, view: &View) -> String {
    reference(model, names, &view.event_type(), Home::Elsewhere)
}

/// The type a call answers.
pub fn output(model: &Model, names: &Names, operation: &Operation) -> String {
    operation.output.as_ref().map_or_else(
        || "None".to_owned(),
        |name| reference(model, names, name, Home::Elsewhere),
    )
}

/// The type of one item of a page.
pub fn item(model: &Model, names: &Names, operation: &Operation, position: Position) -> Option<String> {
    let paginated = operation.paginated.as_ref()?;
    Some(annotation(
        model,
        names,
        &paginated.item,
        Home::Elsewhere,
        position,
    ))
}

pub fn emit(model: &Model, names: &Names, module: &Module) -> File {
    let body: String = module
        .operations
        .values()
        .map(|operation| one(model, names, operation))
        .chain(module.views.values().map(|view| one_view(model, names, view)))
        .collect();
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(
        0,
        &format!("Operations of module `{}`.", module.name),
    ));
    written.push_str("\nfrom __future__ import annotations\n\n");
    written.push_str(&super::standard_imports(&body));
    written.push_str("from ...runtime import operation as _operation\n");
    written.push_str(&text::imports(
        &body,
        &[
            ("_scalars", "from ...runtime import scalars as _scalars"),
            ("_types", "from .. import types as _types"),
        ],
    ));
    written.push_str(&body);
    File::new(
        format!("{}/operations/{}.py", super::FOLDER, names.modules[&module.name]),
        written,
    )
}

fn one(model: &Model, names: &Names, operation: &Operation) -> String {
    let output = output(model, names, operation);
    let (kind, parameters) = match item(model, names, operation, Position::Struct) {
        Some(item) => ("PagedOperation", format!("{output}, {item}")),
        None => ("Operation", output.clone()),
    };
    let mut written = head(&constant(names, operation), kind, &parameters);
    written.push_str(&request(model, operation, &output));
    if let Some(paginated) = &operation.paginated {
        let page = operation.output.as_deref().unwrap_or_default();
        let attribute = |field: &str| {
            names
                .fields
                .get(&format!("{page}.{field}"))
                .map_or(field, String::as_str)
                .to_owned()
        };
        written.push_str(&format!(
            "    items=lambda page: page.{},\n",
            attribute(&paginated.items)
        ));
        written.push_str(&format!("    next=lambda page: page.{},\n", attribute("next")));
    }
    written.push_str(")\n");
    written
}

fn one_view(model: &Model, names: &Names, view: &View) -> String {
    let mut written = head(
        &view_constant(names, view),
        "View",
        &event_data(model, names, view),
    );
    written.push_str(&request(model, &view.open, "None"));
    written.push_str("    events={\n");
    for event in &view.events {
        let tagged = names.variants.get(&format!("{}.{event}", view.event_type()));
        let class = match tagged {
            Some(VariantClass::Derived(class)) => format!("_types.{class}"),
            Some(VariantClass::Own(_)) | None => reference(model, names, event, Home::Elsewhere),
        };
        written.push_str(&format!("        {}: {class},\n", text::literal(event)));
    }
    written.push_str("    },\n");
    if view.class == StreamClass::Changes {
        written.push_str("    resumes=True,\n");
    }
    if view.class == StreamClass::Results {
        written.push_str("    ends=True,\n");
    }
    written.push_str(")\n");
    written
}

fn head(constant: &str, kind: &str, parameters: &str) -> String {
    format!("\n{constant}: _operation.{kind}[{parameters}] = _operation.{kind}(\n")
}

/// How the request is made; `output` is the type of its answer.
fn request(model: &Model, operation: &Operation, output: &str) -> String {
    let fields = model.input_fields(operation);
    let mut written = String::new();
    written.push_str(&format!("    id={},\n", text::literal(&operation.id)));
    written.push_str(&format!(
        "    method={},\n",
        text::literal(operation.method.as_str())
    ));
    written.push_str(&format!("    path={},\n", text::literal(&operation.path)));
    written.push_str(&format!("    output={output},\n"));
    let query: Vec<String> = fields
        .iter()
        .filter(|field| in_query(operation, field))
        .map(|field| {
            format!(
                "{}: {}",
                text::literal(&field.name),
                text::literal(form(model, field))
            )
        })
        .collect();
    if !query.is_empty() {
        written.push_str(&text::listed(4, "query={", &query, "},"));
    }
    let body: Vec<String> = fields
        .iter()
        .filter(|field| in_body(operation, field))
        .map(|field| text::literal(&field.name))
        .collect();
    written.push_str(&tuple("body", &body));
    let closed: Vec<String> = fields
        .iter()
        .filter(|field| usage::holds_enum(model, &field.ty))
        .map(|field| text::literal(&field.name))
        .collect();
    written.push_str(&tuple("closed", &closed));
    if operation.retry_safe {
        written.push_str("    retry_safe=True,\n");
    }
    if operation.permission == PermissionRule::Public {
        written.push_str("    public=True,\n");
    }
    written
}

fn tuple(name: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let line = text::listed(4, &format!("{name}=("), &text::tuple_items(items), "),");
    line.replace(",,\n", ",\n")
}

fn in_query(operation: &Operation, field: &Field) -> bool {
    match field.place_rest {
        Some(RestPlace::Query) => true,
        Some(RestPlace::QueryOrBody) => !operation.method.has_body(),
        _ => false,
    }
}

fn in_body(operation: &Operation, field: &Field) -> bool {
    match field.place_rest {
        Some(RestPlace::Body) => true,
        Some(RestPlace::QueryOrBody) => operation.method.has_body(),
        _ => false,
    }
}

fn form(model: &Model, field: &Field) -> &'static str {
    if usage::is_text(model, &field.ty) {
        "text"
    } else if usage::items(model, &field.ty).is_some_and(|items| usage::is_text(model, items)) {
        "list"
    } else {
        "json"
    }
}
