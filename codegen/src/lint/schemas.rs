//! Schemas as they are written: keys without effect, bounds, patterns, durations.

use regex::Regex;

use super::{At, Lint, forms};
use crate::language::{Schema, SchemaBody, TypeWord, Unit};
use crate::load::LoadedModule;

/// Where a schema stands, which decides the keys that mean something there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Named,
    Field,
    /// A field of an operation's own input.
    InputField,
    /// An operation's input or output.
    Root,
    /// Items, values, variants, details.
    Inner,
}

/// Keys that belong to a field rather than to its type.
const FIELD_KEYS: &[&str] = &["nullable", "default", "sensitive", "deprecated", "since"];

pub(super) fn check(lint: &mut Lint<'_>, module: &LoadedModule) {
    let file = &module.file;
    let root = At::root(&file.module);
    for (name, schema) in &file.types {
        visit(
            lint,
            &root.push("types").push(name),
            None,
            schema,
            Position::Named,
        );
    }
    for (name, form) in &file.errors {
        if let Some(schema) = &form.details {
            visit(
                lint,
                &root.push("errors").push(name).push("details"),
                None,
                schema,
                Position::Inner,
            );
        }
    }
    for (name, form) in &file.operations {
        let at = root.push("operations").push(name);
        if let Some(schema) = &form.input {
            visit(lint, &at.push("input"), None, schema, Position::Root);
        }
        for (key, schema) in [("output", &form.output), ("result", &form.result)] {
            if let Some(schema) = schema {
                visit(lint, &at.push(key), None, schema, Position::Root);
            }
        }
    }
    for (name, form) in &file.streams {
        for (view, form) in &form.views {
            if let Some(schema) = &form.args {
                let at = root
                    .push("streams")
                    .push(name)
                    .push("views")
                    .push(view)
                    .push("args");
                visit(lint, &at, None, schema, Position::Root);
            }
        }
    }
}

fn visit(lint: &mut Lint<'_>, at: &At<'_>, field: Option<&str>, schema: &Schema, position: Position) {
    let body = match schema {
        Schema::Name(name) => {
            if name == "duration" {
                duration(lint, at, field, None);
            }
            return;
        }
        Schema::Body(body) => body,
    };
    ignored_keys(lint, at, body, position);
    bounds(lint, at, body);
    if let Some(text) = &body.pattern {
        pattern(lint, &at.push("pattern"), text);
    }
    if body.format.as_deref() == Some("duration") {
        duration(lint, at, field, body.unit);
    }
    if let Some(values) = &body.values {
        enum_values(lint, &at.push("enum"), values);
    }
    if let Some(since) = &body.since {
        forms::version(lint, &at.push("since"), since);
    }
    forms::deprecated(lint, at, body.deprecated.as_ref());
    let is_input = position == Position::Root && at.pointer.ends_with("/input");
    let inner = if is_input {
        Position::InputField
    } else {
        Position::Field
    };
    for (name, schema) in &body.properties {
        visit(lint, &at.push("properties").push(name), Some(name), schema, inner);
    }
    if let Some(schema) = &body.items {
        visit(lint, &at.push("items"), field, schema, Position::Inner);
    }
    if let Some(schema) = &body.additional_properties {
        visit(
            lint,
            &at.push("additionalProperties"),
            field,
            schema,
            Position::Inner,
        );
    }
    for (value, schema) in &body.variants {
        visit(
            lint,
            &at.push("variants").push(value),
            None,
            schema,
            Position::Inner,
        );
    }
}

/// Keys of a schema that are given.
fn keys(body: &SchemaBody) -> Vec<&'static str> {
    let all = [
        ("type", body.kind.is_some()),
        ("$ref", body.reference.is_some()),
        ("format", body.format.is_some()),
        ("nullable", body.nullable),
        ("minimum", body.minimum.is_some()),
        ("maximum", body.maximum.is_some()),
        ("minLength", body.min_length.is_some()),
        ("maxLength", body.max_length.is_some()),
        ("pattern", body.pattern.is_some()),
        ("items", body.items.is_some()),
        ("minItems", body.min_items.is_some()),
        ("maxItems", body.max_items.is_some()),
        ("properties", !body.properties.is_empty()),
        ("required", !body.required.is_empty()),
        ("additionalProperties", body.additional_properties.is_some()),
        ("exactlyOneOf", !body.exactly_one_of.is_empty()),
        ("enum", body.values.is_some()),
        ("tag", body.tag.is_some()),
        ("variants", !body.variants.is_empty()),
        ("default", body.default.is_some()),
        ("sensitive", body.sensitive),
        ("unit", body.unit.is_some()),
        ("in", body.place.is_some()),
        ("deprecated", body.deprecated.is_some()),
        ("since", body.since.is_some()),
    ];
    all.into_iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| key)
        .collect()
}

/// Keys that the type itself gives a meaning.
fn meaningful(body: &SchemaBody) -> &'static [&'static str] {
    if body.reference.is_some() {
        return &["$ref"];
    }
    if body.values.is_some() {
        return &["enum"];
    }
    match (body.kind, body.format.as_deref()) {
        (Some(TypeWord::Boolean), _) => &["type"],
        (Some(TypeWord::Integer), Some("duration")) => &["type", "format", "minimum", "maximum", "unit"],
        (Some(TypeWord::Integer), _) => &["type", "format", "minimum", "maximum"],
        (Some(TypeWord::Number), _) => &["type", "minimum", "maximum"],
        (Some(TypeWord::String), None) => &["type", "minLength", "maxLength", "pattern"],
        (Some(TypeWord::String), Some("bytes")) => &["type", "format", "maxLength"],
        (Some(TypeWord::String), Some(_)) => &["type", "format"],
        (Some(TypeWord::Array), _) => &["type", "items", "minItems", "maxItems"],
        (Some(TypeWord::Object), _) if body.additional_properties.is_some() => {
            &["type", "additionalProperties"]
        }
        (Some(TypeWord::Object), _) => &["type", "properties", "required", "exactlyOneOf"],
        (Some(TypeWord::Union), _) => &["type", "tag", "variants"],
        (None, Some(_)) => &["format"],
        // Resolving tells that the type is missing.
        (None, None) => &["properties", "required", "exactlyOneOf"],
    }
}

fn ignored_keys(lint: &mut Lint<'_>, at: &At<'_>, body: &SchemaBody, position: Position) {
    let meaningful = meaningful(body);
    // `type: string` beside `enum` says the same twice, which is harmless and common.
    let string_enum = body.values.is_some() && body.kind == Some(TypeWord::String);
    for key in keys(body) {
        let known = match key {
            "type" if string_enum => true,
            "in" => position == Position::InputField,
            key if FIELD_KEYS.contains(&key) => matches!(position, Position::Field | Position::InputField),
            key => meaningful.contains(&key),
        };
        if !known {
            let hint = match key {
                "in" => "only the fields of an operation's own input have a place in the request",
                key if FIELD_KEYS.contains(&key) => "it belongs to a property of an object",
                "minimum" | "maximum" | "unit" => {
                    "give the bound with `type: integer` or `type: number` itself"
                }
                _ => "take it away, or give the schema the type that it belongs to",
            };
            lint.report(
                &at.push(key),
                "ignored-key",
                format!("`{key}` has no effect here"),
                hint,
            );
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, name) in body.required.iter().enumerate() {
        if !seen.insert(name) {
            lint.report(
                &at.push("required").index(index),
                "ignored-key",
                format!("`{name}` is listed twice"),
                "list it once",
            );
        }
    }
    if body.exactly_one_of.len() == 1 {
        lint.report(
            &at.push("exactlyOneOf"),
            "ignored-key",
            "a choice of one",
            "make the field required",
        );
    }
}

fn bounds(lint: &mut Lint<'_>, at: &At<'_>, body: &SchemaBody) {
    let number = |bound: &Option<serde_json::Number>| bound.as_ref().and_then(serde_json::Number::as_f64);
    let pairs = [
        ("minimum", number(&body.minimum), number(&body.maximum), "maximum"),
        (
            "minLength",
            body.min_length.map(f64::from),
            body.max_length.map(f64::from),
            "maxLength",
        ),
        (
            "minItems",
            body.min_items.map(f64::from),
            body.max_items.map(f64::from),
            "maxItems",
        ),
    ];
    for (low_key, low, high, high_key) in pairs {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            let message = format!("`{low_key}` {low} is above `{high_key}` {high}");
            lint.report(
                &at.push(low_key),
                "min-max",
                message,
                "no value could satisfy both; swap or widen them",
            );
        }
    }
}

/// Constructs that Rust's regex, ECMAScript and Python read differently or not at all.
const FOREIGN: &[&str] = &[
    "(?", "\\p", "\\P", "\\A", "\\z", "\\Z", "\\G", "\\h", "[[:", "[^[:", "&&", "\\x{", "\\u{", "\\U",
];

fn pattern(lint: &mut Lint<'_>, at: &At<'_>, text: &str) {
    let hint = "keep to literals, classes, groups, alternatives, quantifiers, ^ and $";
    if let Some(construct) = FOREIGN
        .iter()
        .find(|construct| text.replace("(?:", "(").contains(**construct))
    {
        lint.report(
            at,
            "pattern",
            format!("`{construct}` is not read alike by every client language"),
            hint,
        );
    } else if let Err(error) = Regex::new(text) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default();
        lint.report(
            at,
            "pattern",
            format!("`{text}` is no regular expression: {reason}"),
            hint,
        );
    }
}

fn duration(lint: &mut Lint<'_>, at: &At<'_>, field: Option<&str>, unit: Option<Unit>) {
    let hint = "end the name in _us, _ms, _seconds, _minutes, _hours or _days; give `unit` only where a name is fixed";
    let named = field.and_then(unit_of_name);
    match (field, named, unit) {
        (Some(name), None, None) => {
            lint.report(
                at,
                "duration-unit",
                format!("the duration `{name}` does not name its unit"),
                hint,
            );
        }
        (None, _, None) => lint.report(
            at,
            "duration-unit",
            "a duration without a field has no unit",
            hint,
        ),
        (Some(name), Some(named), Some(unit)) if named != unit => {
            lint.report(
                &at.push("unit"),
                "duration-unit",
                format!("`{name}` ends in another unit than `unit` says"),
                hint,
            );
        }
        _ => {}
    }
}

/// The unit that a field's last word says.
pub(super) fn unit_of_name(name: &str) -> Option<Unit> {
    Some(match name.rsplit('_').next()? {
        "us" => Unit::Us,
        "ms" => Unit::Ms,
        "seconds" => Unit::Seconds,
        "minutes" => Unit::Minutes,
        "hours" => Unit::Hours,
        "days" => Unit::Days,
        _ => return None,
    })
}

fn enum_values(lint: &mut Lint<'_>, at: &At<'_>, values: &[String]) {
    if values.is_empty() {
        lint.report(
            at,
            "enum-values",
            "an enumeration without values",
            "list at least one",
        );
    }
    for (index, value) in values.iter().enumerate() {
        if values[..index].contains(value) {
            lint.report(
                &at.index(index),
                "enum-values",
                format!("`{value}` is listed twice"),
                "list it once",
            );
        }
    }
}
