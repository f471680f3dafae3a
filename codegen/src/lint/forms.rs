//! Parts of a file that resolving passes over: what is not enforced yet, what belongs to `core`, texts and
//! versions.

use super::{At, Lint};
use crate::language::{Deprecated, Limits, OperationDef, Schema};
use crate::load::LoadedModule;
use crate::resolve::CORE;

/// Shortest reason that can be one.
const REASON_LENGTH_MIN: usize = 15;

pub(super) fn check(lint: &mut Lint<'_>, module: &LoadedModule) {
    let file = &module.file;
    let at = At::root(&file.module);
    summary(lint, &at, &file.summary);
    if file.module != CORE {
        let parts = [
            ("permissions", !file.permissions.is_empty()),
            ("roles", !file.roles.is_empty()),
            ("limits", file.limits.is_some()),
        ];
        for (key, present) in parts {
            if present {
                lint.report(
                    &at.push(key),
                    "core-only",
                    format!("`{key}` in module `{}`", file.module),
                    "declare it in core.yaml, for all modules",
                );
            }
        }
    }
    if let Some(form) = &file.limits {
        limits(lint, &at.push("limits"), form);
    }
    for (name, form) in &file.permissions {
        summary(lint, &at.push("permissions").push(name), &form.summary);
    }
    for (name, form) in &file.roles {
        summary(lint, &at.push("roles").push(name), &form.summary);
    }
    for (name, form) in &file.errors {
        summary(lint, &at.push("errors").push(name), &form.summary);
    }
    for (name, form) in &file.streams {
        let at = at.push("streams").push(name);
        summary(lint, &at, &form.summary);
        version(lint, &at.push("since"), &form.since);
        for (name, view) in &form.views {
            summary(lint, &at.push("views").push(name), &view.summary);
        }
    }
    for (name, form) in &file.operations {
        operation(lint, &at.push("operations").push(name), form);
    }
}

fn operation(lint: &mut Lint<'_>, at: &At<'_>, form: &OperationDef) {
    summary(lint, at, &form.summary);
    let traits = [
        (
            "idempotent",
            form.idempotent.is_some(),
            "no store of idempotency keys",
        ),
        (
            "precondition",
            form.precondition.is_some(),
            "no resource versions",
        ),
        ("cost", form.cost.is_some(), "no accounting of cost"),
        ("audit", form.audit.is_some(), "no audit log"),
        ("rate_limit", form.rate_limit.is_some(), "no rate limiter"),
    ];
    for (key, present, lacking) in traits {
        if present {
            let message = format!("`{key}`: the pipeline has {lacking} yet");
            lint.report(
                &at.push(key),
                "not-enforced",
                message,
                "leave it out until the pipeline enforces it",
            );
        }
    }
    for (interface, reason) in &form.except {
        let key = format!("{interface:?}").to_lowercase();
        if reason.trim().chars().count() < REASON_LENGTH_MIN {
            let message = format!("{key} is left out because of {reason:?}");
            lint.report(
                &at.push("except").push(key),
                "exception-reason",
                message,
                "write the sentence that the coverage report is to print",
            );
        }
    }
    version(lint, &at.push("since"), &form.since);
    deprecated(lint, at, form.deprecated.as_ref());
    for (key, schema) in [
        ("input", &form.input),
        ("output", &form.output),
        ("result", &form.result),
    ] {
        if let Some(Schema::Body(body)) = schema
            && let Some(description) = &body.description
            && description.trim().is_empty()
        {
            lint.report(
                &at.push(key).push("description"),
                "summary",
                "an empty description",
                "write it or leave it out",
            );
        }
    }
}

/// One line that ends like a sentence.
fn summary(lint: &mut Lint<'_>, at: &At<'_>, text: &str) {
    let sound = text.trim() == text && text.ends_with('.') && text.len() > 1 && !text.contains('\n');
    if !sound {
        lint.report(
            &at.push("summary"),
            "summary",
            format!("{text:?} is not one sentence"),
            "begin with what it does and end with a full stop, on one line",
        );
    }
}

pub(super) fn deprecated(lint: &mut Lint<'_>, at: &At<'_>, form: Option<&Deprecated>) {
    let Some(form) = form else { return };
    let at = at.push("deprecated");
    version(lint, &at.push("since"), &form.since);
    if form.instead.trim().is_empty() {
        lint.report(
            &at.push("instead"),
            "summary",
            "deprecated in favour of nothing",
            "say what to use instead",
        );
    }
}

/// A release's version: pre-releases never introduce something for good.
pub(super) fn version(lint: &mut Lint<'_>, at: &At<'_>, text: &str) {
    let number = |part: &str| {
        !part.is_empty()
            && part.len() < 10
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 3 || !parts.into_iter().all(number) {
        lint.report(
            at,
            "since",
            format!("`{text}` is not a version"),
            "write the release that brought it, such as `0.1.0`",
        );
    }
}

fn limits(lint: &mut Lint<'_>, at: &At<'_>, limits: &Limits) {
    let pairs = [
        (
            "page_default",
            u64::from(limits.page_default),
            u64::from(limits.page_max),
            "page_max",
        ),
        (
            "timeout_ms",
            limits.timeout_ms,
            limits.timeout_max_ms,
            "timeout_max_ms",
        ),
    ];
    for (key, value, bound, bound_key) in pairs {
        if value > bound || value == 0 {
            lint.report(
                &at.push(key),
                "limits",
                format!("`{key}` is {value}, `{bound_key}` {bound}"),
                format!("give 1 to `{bound_key}`"),
            );
        }
    }
    let positive = [
        ("request_bytes", limits.request_bytes),
        ("json_depth", limits.json_depth.into()),
        ("rpc_batch_calls", limits.rpc_batch_calls.into()),
        ("graphql_depth", limits.graphql_depth.into()),
        ("graphql_complexity", limits.graphql_complexity.into()),
    ];
    for (key, value) in positive {
        if value == 0 {
            lint.report(
                &at.push(key),
                "limits",
                format!("`{key}` is 0, so nothing could be called"),
                "give at least 1",
            );
        }
    }
}
