//! Operations: routes, where inputs travel, paging, statuses, time-outs.

use std::collections::{BTreeMap, BTreeSet};

use super::types::behind_aliases;
use super::{At, Lint};
use crate::model::{Field, Kind, Method, Model, Operation, RestPlace, Shape, Ty};
use crate::resolve::path_parameters;

/// Where all of REST lives.
const PREFIX: &str = "/api/v1/";

pub(super) fn check(lint: &mut Lint<'_>, model: &Model) {
    let mut routes: BTreeMap<(Method, String), &str> = BTreeMap::new();
    for operation in model.routed() {
        let at = At::routed(model, operation);
        route(lint, &at, operation);
        if let Some(other) = routes.insert((operation.method, shape(&operation.path)), &operation.id) {
            let message = format!(
                "`{}` has the same method and path shape as `{other}`",
                operation.id
            );
            lint.report(
                &at.push("rest"),
                "route-clash",
                message,
                "names in braces do not tell routes apart; change a fixed segment or the method",
            );
        }
        kind(lint, &at, operation);
        for field in model.input_fields(operation) {
            input(lint, model, operation, field);
        }
        paging(lint, model, &at, operation);
        if operation.timeout_ms == 0 || operation.timeout_ms > model.limits.timeout_max_ms {
            let message = format!("{} ms is no time-out within the limit", operation.timeout_ms);
            let hint = format!(
                "give 1 to {} (limits.timeout_max_ms)",
                model.limits.timeout_max_ms
            );
            lint.report(&at.push("timeout_ms"), "timeout", message, hint);
        }
    }
}

/// The path without the names of its parameters.
fn shape(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn route(lint: &mut Lint<'_>, at: &At<'_>, operation: &Operation) {
    let at = at.push("rest");
    let path = &operation.path;
    let lower = |segment: &str| {
        segment.starts_with('{')
            || segment
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    };
    if !path.starts_with(PREFIX) || !path.split('/').all(lower) {
        lint.report(
            &at,
            "route-form",
            format!("`{path}`"),
            "begin with /api/v1/ and write segments in lower case with hyphens",
        );
    }
    let mut seen = BTreeSet::new();
    for parameter in path_parameters(path) {
        if !seen.insert(parameter) {
            lint.report(
                &at,
                "path-parameter",
                format!("`{{{parameter}}}` is in the path twice"),
                "name each parameter once",
            );
        }
    }
}

/// What every job answers.
const JOB_TYPE: &str = "Job";

fn kind(lint: &mut Lint<'_>, at: &At<'_>, operation: &Operation) {
    let sound = match operation.kind {
        Kind::Query | Kind::Stream => matches!(operation.method, Method::Get | Method::Post),
        Kind::Command | Kind::Job => operation.method != Method::Get,
    };
    if !sound {
        let message = format!("a {:?} by {}", operation.kind, operation.method.as_str()).to_lowercase();
        lint.report(
            &at.push("rest"),
            "kind-method",
            message,
            "queries are GET, or POST when the input is a document; commands are any but GET",
        );
    }
    if operation.kind == Kind::Job
        && (operation.output.as_deref() != Some(JOB_TYPE) || operation.result.is_none())
    {
        lint.report(
            at,
            "job",
            format!("a job answers a `{JOB_TYPE}`, and comes to a result"),
            "write `output: jobs.Job`, and under `result` the type of what it comes to",
        );
    }
    if operation.kind != Kind::Job && operation.result.is_some() {
        lint.report(
            &at.push("result"),
            "job",
            "only a job comes to a result later",
            "make it the `output`, or the operation a job",
        );
    }
    let statuses: &[u16] = match operation.kind {
        Kind::Query | Kind::Stream => &[200],
        Kind::Command => &[200, 201],
        Kind::Job => &[202],
    };
    if !statuses.contains(&operation.status) {
        let message = format!("success is told by status {}", operation.status);
        lint.report(
            &at.push("status"),
            "status",
            message,
            "leave it out, or give 201 to a command that creates a resource",
        );
    }
}

fn input(lint: &mut Lint<'_>, model: &Model, operation: &Operation, field: &Field) {
    let name = &field.name;
    let mut report =
        |rule, message: String, hint: &str| lint.report_place(field.place.clone(), rule, message, hint);
    if field.sensitive && matches!(field.place_rest, Some(RestPlace::Path | RestPlace::Query)) {
        report(
            "sensitive-in-url",
            format!("the secret `{name}` would stand in a URL"),
            "URLs are logged on the way; carry it in a body",
        );
    }
    match field.place_rest {
        Some(RestPlace::Path) => {
            if !field.required || field.nullable {
                report(
                    "path-parameter",
                    format!("the path needs `{name}`, which may be left out"),
                    "add it to `required` and take `nullable` away",
                );
            }
            if !is_plain_text(model, &field.ty) {
                report(
                    "path-parameter",
                    format!("`{name}` is no plain text"),
                    "a path carries scalars only",
                );
            }
        }
        Some(RestPlace::Body) if !operation.method.has_body() => {
            report(
                "body-on-get",
                format!("`{name}` is to be in the body of a {}", operation.method.as_str()),
                "carry it in the query, or use POST",
            );
        }
        Some(RestPlace::Query) if field.nullable => {
            report(
                "query-nullable",
                format!("a query cannot tell null from an absent `{name}`"),
                "take `nullable` away, or carry it in the body",
            );
        }
        _ => {}
    }
}

fn is_plain_text(model: &Model, ty: &Ty) -> bool {
    match behind_aliases(model, ty) {
        Ty::Json | Ty::Map { .. } | Ty::Array { .. } => false,
        Ty::Ref(name) => matches!(model.ty(name).shape, Shape::Enum(_)),
        _ => true,
    }
}

fn paging(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, operation: &Operation) {
    let fields = match operation.output.as_ref().map(|output| &model.ty(output).shape) {
        Some(Shape::Object(object)) => object.fields.as_slice(),
        _ => &[],
    };
    let Some(paginated) = &operation.paginated else {
        let unbounded = fields
            .iter()
            .find(|field| matches!(behind_aliases(model, &field.ty), Ty::Array { max: None, .. }));
        if let Some(field) = unbounded.filter(|_| operation.name.starts_with("list_")) {
            let message = format!("`{}` of the answer has no bound", field.name);
            lint.report(
                at,
                "list-unbounded",
                message,
                "add `paginated`, or `maxItems` to what can never grow",
            );
        }
        return;
    };
    let at = at.push("paginated");
    let mut report = |message: String, hint: &str| lint.report(&at, "paging-shape", message, hint);
    if operation.kind != Kind::Query {
        report("only a query has pages".to_owned(), "make it a query");
    }
    let bounds = (paginated.default, paginated.max);
    if paginated.default == 0 || paginated.default > paginated.max || paginated.max > model.limits.page_max {
        report(
            format!(
                "{bounds:?} are no default and largest page within the limit {}",
                model.limits.page_max
            ),
            "keep 1 <= default <= max <= limits.page_max",
        );
    }
    for field in fields {
        let sound = match field.name.as_str() {
            "next" => !field.nullable,
            name if name == paginated.items => field.required && !field.nullable,
            _ => true,
        };
        if !sound {
            report(
                format!("`{}` may be null or absent at the wrong time", field.name),
                "the items are required, `next` is optional; neither is nullable",
            );
        }
    }
}
