//! One class per module: a method per operation, one more that iterates where the answer comes in pages, and a method
//! per view.

use super::doc::Doc;
use super::types::{Direction, Typing, alias, mentions};
use crate::model::{
    Kind, Model, Module, Operation, PermissionRule, RestPlace, Shape, Stability, StreamClass, Ty, View,
};
use crate::names::typescript::{Names, is_carried, key, string};
use crate::resolve::CONTROL_TYPE;

/// Aliases of aliases that are followed to find a parameter's form.
const ALIAS_DEPTH_MAX: usize = 32;

pub fn emit(model: &Model, names: &Names, module: &Module) -> String {
    let typing = Typing {
        model,
        names,
        home: None,
    };
    let class = names.class(&module.name);
    let operations: Vec<&Operation> = module
        .operations
        .values()
        .filter(|found| is_carried(found))
        .collect();
    let mut tables = String::new();
    if !operations.is_empty() {
        let table: String = operations
            .iter()
            .map(|operation| descriptor(model, names, operation, ""))
            .collect();
        tables.push_str(&format!(
            "\n/** How each operation travels. */\n\
             export const operations = {{\n{table}}} satisfies Record<string, runtime.Operation>;\n"
        ));
    }
    if !module.views.is_empty() {
        let table: String = module
            .views
            .values()
            .map(|view| view_descriptor(model, names, view))
            .collect();
        tables.push_str(&format!(
            "\n/** How each view is opened. */\n\
             export const views = {{\n{table}}} satisfies Record<string, runtime.View>;\n"
        ));
    }
    let methods: String = operations
        .iter()
        .map(|operation| methods(&typing, operation))
        .chain(module.views.values().map(|view| view_method(&typing, view)))
        .collect();
    let mut imports = String::from("import * as runtime from \"../../runtime/index.js\";\n");
    if mentions(&methods, "wire") {
        imports.push_str("import type * as wire from \"../../runtime/scalars.js\";\n");
    }
    for other in model.modules.keys() {
        if mentions(&methods, &alias(other)) {
            imports.push_str(&format!(
                "import type * as {} from \"../types/{other}.js\";\n",
                alias(other)
            ));
        }
    }
    let doc = Doc::default()
        .text(&module.summary)
        .text(&module.description)
        .render("");
    format!(
        "{imports}{tables}
{doc}export class {class} {{
  readonly #caller: runtime.Caller;

  constructor(caller: runtime.Caller) {{
    this.#caller = caller;
  }}
{methods}}}
"
    )
}

fn view_descriptor(model: &Model, names: &Names, view: &View) -> String {
    let class = match view.class {
        StreamClass::Changes => "changes",
        StreamClass::Telemetry => "telemetry",
        StreamClass::Results => "results",
    };
    descriptor(model, names, &view.open, &format!("    class: \"{class}\",\n"))
}

/// `more` are lines of further members.
fn descriptor(model: &Model, names: &Names, operation: &Operation, more: &str) -> String {
    let mut query = Vec::new();
    let mut body = Vec::new();
    for field in model.input_fields(operation) {
        match field.place_rest {
            Some(RestPlace::Path) => {}
            Some(RestPlace::Body) => body.push(string(&field.name)),
            Some(RestPlace::QueryOrBody) if operation.method.has_body() => body.push(string(&field.name)),
            Some(RestPlace::Query | RestPlace::QueryOrBody) | None => {
                query.push(format!(
                    "[{}, \"{}\"]",
                    string(&field.name),
                    query_form(model, &field.ty, 0)
                ));
            }
        }
    }
    let method = names.method(&operation.id).unwrap_or(&operation.name);
    format!(
        "  {}: {{
    id: {},
    method: \"{}\",
    path: {},
    query: {},
    body: {},
    retrySafe: {},
    public: {},
    timeoutMs: {},
{more}  }},
",
        key(method),
        string(&operation.id),
        operation.method.as_str(),
        string(&operation.path),
        list(&query),
        list(&body),
        operation.retry_safe || operation.kind == Kind::Query,
        operation.permission == PermissionRule::Public,
        operation.timeout_ms,
    )
}

/// A list on one line, or one line per item where that is too long.
fn list(items: &[String]) -> String {
    let line = items.join(", ");
    if line.len() <= 90 {
        return format!("[{line}]");
    }
    let lines: String = items.iter().map(|item| format!("      {item},\n")).collect();
    format!("[\n{lines}    ]")
}

fn query_form(model: &Model, ty: &Ty, depth: usize) -> &'static str {
    match ty {
        Ty::Array { items, .. } if query_form(model, items, depth) == "text" => "list",
        Ty::Array { .. } | Ty::Map { .. } | Ty::Json => "json",
        Ty::Ref(name) => match model.types.get(name).map(|found| &found.shape) {
            Some(Shape::Enum(_)) => "text",
            Some(Shape::Alias(ty)) if depth < ALIAS_DEPTH_MAX => query_form(model, ty, depth + 1),
            _ => "json",
        },
        _ => "text",
    }
}

fn methods(typing: &Typing<'_>, operation: &Operation) -> String {
    let names = typing.names;
    let Some(method) = names.method(&operation.id) else {
        return String::new();
    };
    let input = input_parameter(typing, operation);
    let output = operation.output.as_ref().map_or_else(
        || "void".to_owned(),
        |output| typing.reference(output, Direction::Reading),
    );
    let send = match &operation.output {
        Some(_) => format!("return this.#caller.call(operations.{method}, input, options);"),
        None => format!("await this.#caller.call(operations.{method}, input, options);"),
    };
    let mut out = format!(
        "\n{}  async {method}({input}, options: runtime.CallOptions = {{}}): Promise<{output}> {{\n    {send}\n  }}\n",
        operation_doc(typing, operation).render("  ")
    );
    if let (Some(iterator), Some(paginated)) = (names.iterator(&operation.id), &operation.paginated) {
        let item = typing.text(&paginated.item, Direction::Reading);
        let always = typing.model.output_field_is_always(operation, &paginated.items);
        let items = member_access("page", &paginated.items);
        let items = if always { items } else { format!("{items} ?? []") };
        let doc = Doc::default()
            .text(&format!(
                "Items of `{method}` across pages; `limit` is the size of a page."
            ))
            .deprecated(operation.deprecated.as_ref())
            .render("  ");
        out.push_str(&format!(
            "
{doc}  {iterator}({input}, options: runtime.CallOptions = {{}}): AsyncGenerator<{item}, void, undefined> {{
    return runtime.items(
      operations.{method},
      (after) => this.{method}(after === undefined ? input : {{ ...input, after }}, options),
      (page) => {items},
    );
  }}
"
        ));
    }
    out
}

/// The parameter, with a default where nothing must be given.
fn input_parameter(typing: &Typing<'_>, operation: &Operation) -> String {
    let optional = typing
        .model
        .input_fields(operation)
        .iter()
        .all(|field| !field.required)
        && !needs_one_of(typing.model, operation);
    format!(
        "input: {}{}",
        typing.reference(&operation.input, Direction::Writing),
        if optional { " = {}" } else { "" }
    )
}

fn view_method(typing: &Typing<'_>, view: &View) -> String {
    let open = &view.open;
    let Some(method) = typing.names.method(&open.id) else {
        return String::new();
    };
    let event_type = typing.reference(&view.event_type(), Direction::Reading);
    let event = if view.is_record {
        format!("wire.StreamEvent<{}, {event_type}>", string(&view.events[0]))
    } else {
        event_type
    };
    let control = typing.reference(CONTROL_TYPE, Direction::Reading);
    let subscription = format!("runtime.Subscription<{event}, {control}>");
    format!(
        "
{}  {method}({}, options: runtime.SubscriptionOptions = {{}}): {subscription} {{
    return this.#caller.subscribe(views.{method}, input, options);
  }}
",
        view_doc(typing, view).render("  "),
        input_parameter(typing, open),
    )
}

fn needs_one_of(model: &Model, operation: &Operation) -> bool {
    matches!(&model.ty(&operation.input).shape, Shape::Object(object) if !object.exactly_one_of.is_empty())
}

fn member_access(object: &str, name: &str) -> String {
    let key = key(name);
    if key.starts_with('"') {
        format!("{object}[{key}]")
    } else {
        format!("{object}.{key}")
    }
}

fn operation_doc(typing: &Typing<'_>, operation: &Operation) -> Doc {
    let doc = Doc::default()
        .text(&operation.summary)
        .text(&operation.description);
    facts_doc(typing, operation, doc)
}

fn view_doc(typing: &Typing<'_>, view: &View) -> Doc {
    let lost = match view.class {
        StreamClass::Changes => "When it reconnects, nothing is lost or comes twice.",
        StreamClass::Telemetry => "When it reconnects, what came meanwhile is lost, which a GAP tells.",
        StreamClass::Results => "It ends by itself; a lost connection ends the work and throws.",
    };
    let doc = Doc::default()
        .text(&view.open.summary)
        .text(&view.open.description)
        .text(&format!(
            "Opened once it is iterated over or `acknowledged()` is called. {lost}"
        ));
    facts_doc(typing, &view.open, doc)
}

/// Who may, the route, the errors and since when.
fn facts_doc(typing: &Typing<'_>, operation: &Operation, doc: Doc) -> Doc {
    let permission = match &operation.permission {
        PermissionRule::Public => "Needs no credentials.".to_owned(),
        PermissionRule::Authenticated => "Permission: any valid credentials.".to_owned(),
        PermissionRule::Permission(name) => format!("Permission: `{name}`."),
        PermissionRule::Statement { fields } => {
            let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
            format!(
                "Permission: what the statements in {} need.",
                fields.join(" and ")
            )
        }
    };
    let mut doc = doc.text(&format!(
        "{permission} `{} {}`.",
        operation.method.as_str(),
        operation.path
    ));
    for code in &operation.errors {
        let Some(error) = typing.model.errors.get(code) else {
            continue;
        };
        let class = typing.names.error(code);
        doc = doc.tag("throws", &format!("{class} `{code}`: {}", error.summary));
    }
    doc = doc.tag("throws", "RustyDBError Any error that every call can end with.");
    doc = doc.tag("since", &operation.since);
    doc = match operation.stability {
        Stability::Stable => doc,
        Stability::Beta => doc.tag("beta", ""),
        Stability::Experimental => doc.tag("experimental", ""),
    };
    doc.deprecated(operation.deprecated.as_ref())
}

impl Model {
    /// Whether that field of the operation's output is always there and never null.
    fn output_field_is_always(&self, operation: &Operation, field: &str) -> bool {
        let Some(output) = operation
            .output
            .as_ref()
            .and_then(|output| self.types.get(output))
        else {
            return false;
        };
        match &output.shape {
            Shape::Object(object) => object
                .fields
                .iter()
                .any(|found| found.name == field && found.required && !found.nullable),
            _ => false,
        }
    }
}
