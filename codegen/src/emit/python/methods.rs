//! `generated/sync/<module>.py` and `generated/aio/<module>.py`: a class per module, a method per operation, both
//! from the same list.

use super::operations::{constant, event_data, item, output, view_constant};
use super::text::{self, HEADER};
use super::types::{Home, Position, annotation, field_description, held};
use crate::model::{Field, Model, Module, Operation, PermissionRule, Shape, Stability, StreamClass, View};
use crate::names;
use crate::names::python::Names;
use crate::output::File;

/// Which of the two clients a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Sync,
    Async,
}

impl Flavour {
    pub fn folder(self) -> &'static str {
        match self {
            Flavour::Sync => "sync",
            Flavour::Async => "aio",
        }
    }

    pub fn caller(self) -> &'static str {
        match self {
            Flavour::Sync => "Caller",
            Flavour::Async => "AsyncCaller",
        }
    }

    fn subscription(self) -> &'static str {
        match self {
            Flavour::Sync => "Subscription",
            Flavour::Async => "AsyncSubscription",
        }
    }

    fn iterator(self) -> &'static str {
        match self {
            Flavour::Sync => "_Iterator",
            Flavour::Async => "_AsyncIterator",
        }
    }
}

/// Name of the module's class.
pub fn class_name(module: &Module) -> String {
    names::python::type_name(&module.name)
}

pub fn emit(model: &Model, names: &Names, module: &Module, flavour: Flavour) -> File {
    let caller = flavour.caller();
    let mut body = format!("\n\nclass {}:\n", class_name(module));
    let about = [module.summary.as_str(), module.description.as_str()].join("\n\n");
    body.push_str(&text::docstring(4, about.trim()));
    body.push_str("\n    __slots__ = (\"_caller\",)\n");
    body.push_str(&format!(
        "\n    def __init__(self, caller: _{caller}) -> None:\n        self._caller = caller\n"
    ));
    for operation in module.operations.values() {
        body.push_str(&method(model, names, operation, flavour));
        if operation.paginated.is_some() {
            body.push_str(&iterator(model, names, operation, flavour));
        }
    }
    for view in module.views.values() {
        body.push_str(&watch(model, names, view, flavour));
    }
    let attribute = &names.modules[&module.name];
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(
        0,
        &format!("Methods of module `{}`.", module.name),
    ));
    written.push_str("\nfrom __future__ import annotations\n\n");
    written.push_str(&super::standard_imports(&body));
    let operations = format!("from ..operations import {attribute} as _operations");
    written.push_str(&text::imports(
        &body,
        &[("_scalars", "from ...runtime import scalars as _scalars")],
    ));
    written.push_str(&format!("from ...runtime.caller import {caller} as _{caller}\n"));
    let subscription = flavour.subscription();
    let import = format!("from ...runtime.subscription import {subscription} as _{subscription}");
    written.push_str(&text::imports(&body, &[(&format!("_{subscription}"), &import)]));
    written.push_str(&text::imports(
        &body,
        &[
            ("_types", "from .. import types as _types"),
            ("_operations", &operations),
        ],
    ));
    written.push_str(&body);
    File::new(
        format!("{}/{}/{attribute}.py", super::FOLDER, flavour.folder()),
        written,
    )
}

fn method(model: &Model, names: &Names, operation: &Operation, flavour: Flavour) -> String {
    let name = &names.methods[&operation.id];
    let output = output(model, names, operation);
    let fields = model.input_fields(operation);
    let word = if flavour == Flavour::Async {
        "async def"
    } else {
        "def"
    };
    let mut written = signature(
        model,
        names,
        operation,
        fields,
        &format!("{word} {name}"),
        &output,
    );
    written.push_str(&text::docstring(
        8,
        &describe(model, names, operation, fields, None),
    ));
    let wait = if flavour == Flavour::Async { "await " } else { "" };
    let answer = if operation.output.is_some() { "return " } else { "" };
    written.push_str(&call(
        names,
        operation,
        fields,
        &format!("{answer}{wait}self._caller.call("),
        &constant(names, operation),
    ));
    written
}

fn iterator(model: &Model, names: &Names, operation: &Operation, flavour: Flavour) -> String {
    let name = &names.iterators[&operation.id];
    let item = item(model, names, operation, Position::Parameter).unwrap_or_default();
    let fields: Vec<Field> = model.input_fields(operation).to_vec();
    let output = format!("{}[{item}]", flavour.iterator());
    let mut written = signature(model, names, operation, &fields, &format!("def {name}"), &output);
    let text = format!(
        "Items of :meth:`{}` over all pages, each page fetched when it is needed.",
        names.methods[&operation.id]
    );
    written.push_str(&text::docstring(8, &text));
    written.push_str(&call(
        names,
        operation,
        &fields,
        "return self._caller.items(",
        &constant(names, operation),
    ));
    written
}

fn watch(model: &Model, names: &Names, view: &View, flavour: Flavour) -> String {
    let name = &names.views[&view.open.id];
    let fields = model.input_fields(&view.open);
    let subscription = flavour.subscription();
    let output = format!("_{subscription}[{}]", event_data(model, names, view));
    let mut written = signature(model, names, &view.open, fields, &format!("def {name}"), &output);
    let delivery = match view.class {
        StreamClass::Changes => "Loses nothing: after a lost connection it goes on behind the last item.",
        StreamClass::Telemetry => {
            "What is lost, as after a lost connection, is told by a control item of kind GAP."
        }
        StreamClass::Results => "Ends by itself; a lost connection ends the work and raises.",
    };
    let text = describe(model, names, &view.open, fields, Some(delivery));
    written.push_str(&text::docstring(8, &text));
    let head = format!("return _{subscription}(self._caller, ");
    written.push_str(&call(
        names,
        &view.open,
        fields,
        &head,
        &view_constant(names, view),
    ));
    written
}

fn signature(
    model: &Model,
    names: &Names,
    operation: &Operation,
    fields: &[Field],
    head: &str,
    output: &str,
) -> String {
    if fields.is_empty() {
        return format!("\n    {head}(self) -> {output}:\n");
    }
    let mut written = format!("\n    {head}(\n        self,\n        *,\n");
    for field in fields {
        let name = parameter(names, operation, field);
        let annotation = annotation(model, names, &field.ty, Home::Elsewhere, Position::Parameter);
        let (annotation, default) = held(&annotation, field);
        let default = default.map_or_else(String::new, |default| format!(" = {default}"));
        written.push_str(&format!("        {name}: {annotation}{default},\n"));
    }
    written.push_str(&format!("    ) -> {output}:\n"));
    written
}

/// `head`, which ends within its parentheses, with the constant and the arguments.
fn call(names: &Names, operation: &Operation, fields: &[Field], head: &str, constant: &str) -> String {
    if fields.is_empty() {
        return format!("        {head}_operations.{constant}, {{}})\n");
    }
    let (head, first) = head.split_once('(').unwrap_or((head, ""));
    let mut written = format!("        {head}(\n");
    for argument in first.split_inclusive(", ").map(str::trim_end) {
        written.push_str(&format!("            {argument}\n"));
    }
    written.push_str(&format!("            _operations.{constant},\n            {{\n"));
    for field in fields {
        let value = parameter(names, operation, field);
        written.push_str(&format!(
            "                {}: {value},\n",
            text::literal(&field.name)
        ));
    }
    written.push_str("            },\n        )\n");
    written
}

fn parameter<'a>(names: &'a Names, operation: &Operation, field: &Field) -> &'a str {
    &names.fields[&format!("{}.{}", operation.input, field.name)]
}

/// `more` is said after the description.
fn describe(
    model: &Model,
    names: &Names,
    operation: &Operation,
    fields: &[Field],
    more: Option<&str>,
) -> String {
    let mut parts = vec![operation.summary.trim().to_owned()];
    if !operation.description.trim().is_empty() {
        parts.push(operation.description.trim().to_owned());
    }
    parts.extend(more.map(str::to_owned));
    parts.push(match &operation.permission {
        PermissionRule::Public => "Needs no credentials.".to_owned(),
        PermissionRule::Authenticated => "Needs credentials.".to_owned(),
        PermissionRule::Permission(name) => format!("Needs permission `{name}`."),
        PermissionRule::Statement { fields } => {
            format!(
                "Needs the permissions of the statements in `{}`.",
                fields.join("`, `")
            )
        }
    });
    if let Shape::Object(object) = &model.ty(&operation.input).shape
        && !object.exactly_one_of.is_empty()
    {
        parts.push(format!(
            "Give exactly one of `{}`.",
            object.exactly_one_of.join("`, `")
        ));
    }
    let mut lines = Vec::new();
    for field in fields {
        let description = field_description(field).replace('\n', " ");
        if !description.is_empty() {
            lines.push(format!(
                ":param {}: {description}",
                parameter(names, operation, field)
            ));
        }
    }
    for code in &operation.errors {
        if let (Some(class), Some(error)) = (names.errors.get(code), model.errors.get(code)) {
            lines.push(format!(":raises {class}: {}", error.summary.trim()));
        }
    }
    if !lines.is_empty() {
        parts.push(lines.join("\n"));
    }
    let stability = match operation.stability {
        Stability::Stable => String::new(),
        Stability::Beta => " Beta.".to_owned(),
        Stability::Experimental => " Experimental.".to_owned(),
    };
    parts.push(format!("Since {}.{stability}", operation.since));
    if let Some(deprecated) = &operation.deprecated {
        parts.push(format!(
            "Deprecated since {}: {}",
            deprecated.since, deprecated.instead
        ));
    }
    parts.join("\n\n")
}
