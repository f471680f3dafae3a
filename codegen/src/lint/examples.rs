//! Examples: they cover the operation, refer to what exists and fit their types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::values::{self, Mode};
use super::{At, Lint};
use crate::model::{Example, Model, Operation, PermissionRule, Shape, Ty, View};

/// The role that stands for no credentials.
const NOBODY: &str = "nobody";

pub(super) fn check(lint: &mut Lint<'_>, model: &Model) {
    for operation in model.operations() {
        let at = At::operation(operation);
        covered(lint, &at, operation);
        for (index, example) in operation.examples.iter().enumerate() {
            let at = at.push("examples").index(index);
            check_example(lint, model, &at, operation, example);
            expectation(lint, model, &at, operation, example);
        }
    }
    for view in model.views() {
        let at = At::view(view);
        covered(lint, &at, &view.open);
        shows_events(lint, &at, view);
        for (index, example) in view.open.examples.iter().enumerate() {
            let at = at.push("examples").index(index);
            check_example(lint, model, &at, &view.open, example);
            expected_events(lint, model, &at, view, example);
        }
    }
}

/// Every kind of event comes in an example.
fn shows_events(lint: &mut Lint<'_>, at: &At<'_>, view: &View) {
    let expected = || view.open.examples.iter().flat_map(|example| &example.events);
    for event in &view.events {
        if !expected().any(|expected| expected.event == *event) {
            let message = format!("no example of `{}` receives {event}", view.open.id);
            lint.report(
                at,
                "example-missing",
                message,
                "add one whose `events` name it; it is executed over every transport",
            );
        }
    }
}

fn expected_events(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, view: &View, example: &Example) {
    error_is_known(lint, model, at, &view.open, example.error.as_ref());
    if example.error.is_some() && !example.events.is_empty() {
        let message = "an example either receives events or an error";
        lint.report(
            &at.push("events"),
            "example-expectation",
            message,
            "remove one of the two",
        );
    }
    for (index, expected) in example.events.iter().enumerate() {
        let at = at.push("events").index(index);
        if view.events.contains(&expected.event) {
            let ty = Ty::Ref(expected.event.clone());
            fits(lint, model, &at.push("data"), &ty, &expected.data, Mode::Part);
        } else {
            let message = format!("`{}` never sends {}", view.open.id, expected.event);
            lint.report(
                &at.push("event"),
                "example-expectation",
                message,
                format!("its events are {}", view.events.join(", ")),
            );
        }
    }
}

/// The code of the expected error is one that the operation answers.
fn error_is_known(
    lint: &mut Lint<'_>,
    model: &Model,
    at: &At<'_>,
    operation: &Operation,
    expected: Option<&String>,
) {
    let Some(code) = expected else { return };
    if !model.errors_of(operation).iter().any(|error| error.code == *code) {
        let message = format!("`{}` never answers {code}", operation.id);
        lint.report(
            &at.push("error"),
            "example-expectation",
            message,
            "give the code of one of its errors, in UPPER_SNAKE",
        );
    }
}

fn covered(lint: &mut Lint<'_>, at: &At<'_>, operation: &Operation) {
    if !operation.examples.iter().any(|example| example.error.is_none()) {
        let message = format!("no example of `{}` succeeds", operation.id);
        lint.report(
            at,
            "example-missing",
            message,
            "add one under `examples`; it is executed on every interface and documents the call",
        );
    }
    let shown: BTreeSet<&String> = operation
        .examples
        .iter()
        .filter_map(|example| example.error.as_ref())
        .collect();
    for code in operation.errors.iter().filter(|code| !shown.contains(code)) {
        let message = format!("no example of `{}` answers {code}", operation.id);
        lint.report(
            &at.push("errors"),
            "example-missing",
            message,
            "add one with `error`, or take the error off the operation",
        );
    }
}

fn check_example(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, operation: &Operation, example: &Example) {
    let mut saved: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let given = example
        .given
        .iter()
        .enumerate()
        .map(|(index, step)| ("given", index, step));
    let then = example
        .then
        .iter()
        .enumerate()
        .map(|(index, step)| ("then", index, step));
    for (key, index, step) in given.chain(then) {
        let at = at.push(key).index(index);
        references(lint, model, &at.push("input"), &step.input, &saved);
        let Some(called) = model.operation(&step.call) else {
            let message = format!("there is no operation `{}`", step.call);
            lint.report(
                &at.push("call"),
                "example-reference",
                message,
                "name it `module.operation`",
            );
            continue;
        };
        if step.error.as_deref() != Some("INVALID_ARGUMENT") {
            fits(
                lint,
                model,
                &at.push("input"),
                &Ty::Ref(called.input.clone()),
                &step.input,
                Mode::Template,
            );
        }
        error_is_known(lint, model, &at, called, step.error.as_ref());
        if step.background && (step.save.is_some() || step.repeat != 1) {
            lint.report(
                &at.push("background"),
                "example-background",
                "a call in the background is made once, and its answer comes after the later steps",
                "take `save` and `repeat` off the step",
            );
        }
        if let Some(name) = &step.save
            && saved.insert(name, called.output.as_deref()).is_some()
        {
            lint.report(
                &at.push("save"),
                "example-reference",
                format!("`{name}` is saved twice"),
                "give each answer its own name",
            );
        }
    }
    references(lint, model, &at.push("input"), &example.input, &saved);
    // A refused input is the point of some examples.
    if example.error.as_deref() != Some("INVALID_ARGUMENT") {
        fits(
            lint,
            model,
            &at.push("input"),
            &Ty::Ref(operation.input.clone()),
            &example.input,
            Mode::Template,
        );
    }
    if let Some(output) = &example.output {
        references(lint, model, &at.push("output"), output, &saved);
    }
    role(lint, model, at, operation, example);
}

fn expectation(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, operation: &Operation, example: &Example) {
    error_is_known(lint, model, at, operation, example.error.as_ref());
    if example.error.is_some() {
        if example.output.is_some() {
            let message = "an example either answers an output or an error";
            lint.report(
                &at.push("output"),
                "example-expectation",
                message,
                "remove one of the two",
            );
        }
        return;
    }
    match (&operation.output, &example.output) {
        (Some(ty), Some(output)) => fits(
            lint,
            model,
            &at.push("output"),
            &Ty::Ref(ty.clone()),
            output,
            Mode::Part,
        ),
        (None, Some(Value::Object(output))) if output.is_empty() => {}
        (None, Some(_)) => {
            let message = format!("`{}` has no output", operation.id);
            lint.report(
                &at.push("output"),
                "example-expectation",
                message,
                "remove it, or declare the output",
            );
        }
        (_, None) => {}
    }
}

fn fits(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, ty: &Ty, value: &Value, mode: Mode) {
    if let Err(misfit) = values::check(model, ty, value, mode) {
        let shown = misfit.shown_path();
        let at = misfit.path.iter().fold(at.clone(), |at, step| at.push(step));
        let message = format!("the value{shown} does not fit: {}", misfit.message);
        lint.report(
            &at,
            "example-unfit",
            message,
            "examples are executed; give what the operation takes and answers",
        );
    }
}

fn role(lint: &mut Lint<'_>, model: &Model, at: &At<'_>, operation: &Operation, example: &Example) {
    let role = model.roles.iter().find(|role| role.name == example.role);
    if role.is_none() && example.role != NOBODY {
        let names: Vec<&str> = model.roles.iter().map(|role| role.name.as_str()).collect();
        let message = format!("there is no role `{}`", example.role);
        lint.report(
            &at.push("as"),
            "example-role",
            message,
            format!("use {} or {NOBODY}", names.join(", ")),
        );
        return;
    }
    let may = match &operation.permission {
        PermissionRule::Public => true,
        PermissionRule::Authenticated | PermissionRule::Statement { .. } => role.is_some(),
        PermissionRule::Permission(name) => role.is_some_and(|role| role.permissions.contains(name)),
    };
    let expected = match example.error.as_deref() {
        None => may,
        Some("PERMISSION_DENIED") => !may || matches!(operation.permission, PermissionRule::Statement { .. }),
        Some(_) => true,
    };
    if !expected {
        let message = format!(
            "`{}` cannot get that answer from `{}`",
            example.role, operation.id
        );
        lint.report(
            &at.push("as"),
            "example-role",
            message,
            "choose a role that carries the operation's permission, or expect PERMISSION_DENIED",
        );
    }
}

/// Every `${name.field}` in a value.
fn references(
    lint: &mut Lint<'_>,
    model: &Model,
    at: &At<'_>,
    value: &Value,
    saved: &BTreeMap<&str, Option<&str>>,
) {
    match value {
        Value::String(text) => {
            for reference in templates(text) {
                if let Err(message) = resolve_reference(model, reference, saved) {
                    lint.report(
                        at,
                        "example-reference",
                        message,
                        "save an earlier answer under that name with `save`",
                    );
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                references(lint, model, &at.index(index), item, saved);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                references(lint, model, &at.push(key), member, saved);
            }
        }
        _ => {}
    }
}

/// What stands between `${` and `}`; an opening without an end counts up to the end.
fn templates(text: &str) -> impl Iterator<Item = &str> {
    text.split("${")
        .skip(1)
        .map(|rest| rest.split_once('}').map_or(rest, |(inside, _)| inside))
}

fn resolve_reference(
    model: &Model,
    reference: &str,
    saved: &BTreeMap<&str, Option<&str>>,
) -> Result<(), String> {
    let mut steps = reference.split('.');
    let name = steps.next().unwrap_or_default();
    let Some(output) = saved.get(name) else {
        return Err(format!("no step before saved `{name}`"));
    };
    let mut ty = match output {
        Some(output) => Ty::Ref((*output).to_owned()),
        None => return Err(format!("the answer saved as `{name}` is empty")),
    };
    for step in steps {
        ty = match step_into(model, &ty, step) {
            Some(next) => next,
            None => return Err(format!("the answer saved as `{name}` has no `{step}` there")),
        };
    }
    Ok(())
}

fn step_into(model: &Model, ty: &Ty, step: &str) -> Option<Ty> {
    match ty {
        Ty::Json => Some(Ty::Json),
        Ty::Map { values } => Some((**values).clone()),
        Ty::Array { items, .. } => step.parse::<usize>().ok().map(|_| (**items).clone()),
        Ty::Ref(name) => match &model.ty(name).shape {
            Shape::Alias(ty) => step_into(model, ty, step),
            Shape::Object(object) => object
                .fields
                .iter()
                .find(|field| field.name == step)
                .map(|field| field.ty.clone()),
            Shape::Union(union) => {
                let fields = union
                    .variants
                    .iter()
                    .map(|variant| Ty::Ref(variant.target.clone()));
                fields.into_iter().find_map(|ty| step_into(model, &ty, step))
            }
            Shape::Enum(_) => None,
        },
        _ => None,
    }
}
