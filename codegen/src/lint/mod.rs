//! What a contract that resolves must also satisfy.
//!
//! Two passes. [`forms`] reads the files as they are written and finds what resolving would pass over in
//! silence: keys without effect, keys that this revision does not enforce, names in another case. [`model`]
//! reads the resolved contract and finds what no target can carry or what would surprise its users. Each rule
//! has a stable name (see [`RULES`]), a place and a hint; none can be switched off.

mod errors;
mod examples;
mod forms;
mod naming;
mod operations;
mod schemas;
mod streams;
mod types;
mod values;

use std::collections::BTreeMap;

use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::load::LoadedModule;
use crate::model::{Model, Operation, View};
use crate::source::pointer_push;

/// Every rule of the linter with what it refuses. Rules of the stages before it, such as `unknown-type`, are
/// theirs.
pub const RULES: &[(&str, &str)] = &[
    ("alias-cycle", "a named type that is only another name for itself"),
    ("body-on-get", "GET and DELETE with body fields"),
    ("core-only", "permissions, roles and limits outside of core.yaml"),
    (
        "default-unfit",
        "a default that is not a value of its type, or where none has a meaning",
    ),
    (
        "duration-unit",
        "a duration whose unit cannot be read from its name or `unit`",
    ),
    ("enum-values", "an enumeration without values or with one twice"),
    ("error-unused", "a declared error that no operation answers"),
    (
        "example-background",
        "a call in the background that is repeated or whose answer is saved",
    ),
    (
        "example-expectation",
        "an example that expects an output and an error, or something its operation never answers",
    ),
    (
        "example-missing",
        "an operation without a successful example, or a declared error without one",
    ),
    ("example-reference", "`${name.field}` that no earlier step saved"),
    (
        "example-role",
        "an example as a role that does not exist or may not make the call",
    ),
    (
        "example-unfit",
        "an example's input or output that does not fit its type",
    ),
    ("exception-reason", "an interface left out without a reason"),
    ("ignored-key", "a key that has no effect where it stands"),
    (
        "job",
        "a job that answers no `Job` or comes to nothing, or a result of what is no job",
    ),
    (
        "kind-method",
        "a method that does not suit the kind of the operation",
    ),
    ("limits", "limits that contradict each other"),
    (
        "list-unbounded",
        "a list operation that neither pages nor bounds its arrays",
    ),
    ("min-max", "a minimum above its maximum"),
    ("name-case", "a name in another case than its kind's"),
    ("name-clash", "two names that become one in a target"),
    ("name-reserved", "a name that a target keeps for itself"),
    (
        "not-enforced",
        "a trait that this revision's pipeline does not enforce",
    ),
    (
        "object-empty",
        "an object type without fields, other than an operation's output",
    ),
    ("paging-shape", "paging that a client cannot follow"),
    (
        "path-parameter",
        "a path parameter that is optional, nullable, given twice or not plain text",
    ),
    (
        "pattern",
        "a pattern outside of the subset that every client language reads alike",
    ),
    ("query-nullable", "a query parameter that may be null"),
    (
        "recursive-required",
        "a type that contains itself so that no value of it can be finite",
    ),
    ("route-clash", "two operations on one method and path shape"),
    (
        "route-form",
        "a path outside of /api/v1 or with other than lower-case segments",
    ),
    ("rpc-clash", "two errors with one JSON-RPC code"),
    ("rpc-range", "a JSON-RPC code that the protocol keeps for itself"),
    ("sensitive-in-url", "a secret in the path or the query"),
    (
        "sensitive-name",
        "a field named like a secret that is not `sensitive`",
    ),
    ("since", "a version that is not MAJOR.MINOR.PATCH"),
    ("status", "an HTTP status that does not mean what happens"),
    (
        "stream-field",
        "a field of an event that the frame around it has already",
    ),
    ("summary", "a summary that is not one sentence"),
    ("timeout", "a time-out of nothing or beyond the limit"),
    (
        "tri-state-output",
        "an output that is optional and nullable, which GraphQL cannot carry",
    ),
    ("type-unused", "a type that no operation reaches"),
    (
        "union-variant",
        "variants that cannot be told apart or are not plain objects",
    ),
    (
        "unit-range",
        "a ratio, percentage or byte count of another type or range than its name says",
    ),
    (
        "ws-path",
        "a WebSocket path of a view that is not below /api/v1/ws/, or that two views have",
    ),
];

/// Findings in the files as they are written.
pub fn forms(loaded: &[LoadedModule]) -> Diagnostics {
    let mut lint = Lint::new(loaded);
    for module in loaded {
        forms::check(&mut lint, module);
        schemas::check(&mut lint, module);
        naming::check_forms(&mut lint, module);
    }
    lint.found
}

/// Findings in the resolved contract.
pub fn model(loaded: &[LoadedModule], model: &Model) -> Vec<Diagnostic> {
    let mut lint = Lint::new(loaded);
    // The other rules follow aliases, which only end when this one holds.
    types::check_alias_cycles(&mut lint, model);
    if lint.found.is_empty() {
        types::check(&mut lint, model);
        naming::check_model(&mut lint, model);
        errors::check(&mut lint, model);
        operations::check(&mut lint, model);
        streams::check(&mut lint, model);
        examples::check(&mut lint, model);
    }
    lint.found.into_sorted()
}

struct Lint<'a> {
    files: BTreeMap<&'a str, &'a LoadedModule>,
    found: Diagnostics,
}

impl<'a> Lint<'a> {
    fn new(loaded: &'a [LoadedModule]) -> Lint<'a> {
        let files = loaded
            .iter()
            .map(|module| (module.file.module.as_str(), module))
            .collect();
        Lint {
            files,
            found: Diagnostics::default(),
        }
    }

    /// Reports the part of a module's file at a JSON pointer.
    fn report(
        &mut self,
        at: &At<'_>,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let place = match self.files.get(at.module) {
            Some(module) => module.source.place(&at.pointer),
            None => Place {
                file: crate::load::MODULES_FOLDER.to_owned(),
                line: 1,
                column: 1,
            },
        };
        self.report_place(place, rule, message, hint);
    }

    fn report_place(
        &mut self,
        place: Place,
        rule: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        debug_assert!(
            RULES.iter().any(|(name, _)| *name == rule),
            "`{rule}` is not in RULES"
        );
        self.found.push(place, rule, message, hint);
    }
}

/// A part of a module's file.
#[derive(Clone)]
struct At<'a> {
    module: &'a str,
    pointer: String,
}

impl<'a> At<'a> {
    fn root(module: &'a str) -> At<'a> {
        At {
            module,
            pointer: String::new(),
        }
    }

    fn push(&self, step: impl AsRef<str>) -> At<'a> {
        At {
            module: self.module,
            pointer: pointer_push(&self.pointer, step.as_ref()),
        }
    }

    fn index(&self, index: usize) -> At<'a> {
        self.push(index.to_string())
    }

    fn operation(operation: &'a Operation) -> At<'a> {
        At::root(&operation.module)
            .push("operations")
            .push(&operation.name)
    }

    fn view(view: &'a View) -> At<'a> {
        At::root(&view.open.module)
            .push("streams")
            .push(&view.stream)
            .push("views")
            .push(&view.open.name)
    }

    /// Of what REST has a route for.
    fn routed(model: &'a Model, operation: &'a Operation) -> At<'a> {
        match model.view(&operation.id) {
            Some(view) => At::view(view),
            None => At::operation(operation),
        }
    }
}
