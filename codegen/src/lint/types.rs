//! Resolved types: recursion, unions, use, secrets, units, defaults.

use std::collections::BTreeSet;

use super::values::{self, Mode};
use super::{At, Lint};
use crate::model::{Field, Model, Object, Shape, Ty, TypeDef, Union};

pub(super) fn check(lint: &mut Lint<'_>, model: &Model) {
    recursive_required(lint, model);
    for def in model.types.values() {
        if !def.in_input && !def.in_output {
            let message = format!("no operation and no error reaches the type `{}`", def.name);
            lint.report_place(def.place.clone(), "type-unused", message, "use it or remove it");
        }
        match &def.shape {
            Shape::Object(object) => check_object(lint, model, def, object),
            Shape::Union(union) => check_union(lint, model, def, union),
            Shape::Enum(_) | Shape::Alias(_) => {}
        }
    }
}

fn check_object(lint: &mut Lint<'_>, model: &Model, def: &TypeDef, object: &Object) {
    let only_output = model
        .operations()
        .any(|operation| operation.output.as_ref() == Some(&def.name));
    if object.fields.is_empty() && def.input_of.is_none() && !only_output {
        let message = format!(
            "the type `{}` has no fields, which GraphQL cannot carry",
            def.name
        );
        lint.report_place(
            def.place.clone(),
            "object-empty",
            message,
            "give it a field or leave it out",
        );
    }
    for (index, field) in object.fields.iter().enumerate() {
        if object.fields[..index]
            .iter()
            .any(|other| other.name == field.name)
        {
            let message = format!("`{}` is added by the generator for paging", field.name);
            lint.report_place(
                field.place.clone(),
                "name-clash",
                message,
                "leave `limit` and `after` out of a paginated input",
            );
        }
        check_field(lint, model, def, field);
    }
}

fn check_field(lint: &mut Lint<'_>, model: &Model, def: &TypeDef, field: &Field) {
    let name = &field.name;
    if def.in_output && field.nullable && !field.required {
        let message = format!("`{name}` of an output is both optional and nullable");
        lint.report_place(
            field.place.clone(),
            "tri-state-output",
            message,
            "GraphQL answers null for both; make it required and nullable, or optional",
        );
    }
    if is_secret_name(name) && carries_text(model, &field.ty) && !field.sensitive {
        let message = format!("`{name}` is named like a secret");
        lint.report_place(
            field.place.clone(),
            "sensitive-name",
            message,
            "add `sensitive: true`, or name it after what it is",
        );
    }
    check_unit(lint, model, field);
    if let Some(default) = &field.default {
        let problem = if field.required {
            Some(format!("`{name}` is required, so its default is never used"))
        } else if !def.in_input {
            Some(format!("`{name}` is never given, so its default is never used"))
        } else {
            values::check(model, &field.ty, default, Mode::Whole)
                .err()
                .map(|misfit| {
                    format!(
                        "the default of `{name}`{}: {}",
                        misfit.shown_path(),
                        misfit.message
                    )
                })
        };
        if let Some(message) = problem {
            lint.report_place(
                field.place.clone(),
                "default-unfit",
                message,
                "give a value of the field's own type, in an input",
            );
        }
    }
}

/// Names whose last words say that the text is a secret.
fn is_secret_name(name: &str) -> bool {
    const SECRETS: &[&str] = &[
        "password",
        "passphrase",
        "secret",
        "token",
        "api_key",
        "private_key",
        "credential",
        "credentials",
    ];
    SECRETS.iter().any(|secret| {
        name.strip_suffix(secret)
            .is_some_and(|before| before.is_empty() || before.ends_with('_'))
    })
}

fn carries_text(model: &Model, ty: &Ty) -> bool {
    match ty {
        Ty::Text(_) | Ty::Bytes { .. } => true,
        Ty::Array { items, .. } => carries_text(model, items),
        Ty::Ref(name) => matches!(&model.ty(name).shape, Shape::Alias(ty) if carries_text(model, ty)),
        _ => false,
    }
}

fn check_unit(lint: &mut Lint<'_>, model: &Model, field: &Field) {
    let name = field.name.as_str();
    let ty = behind_aliases(model, &field.ty);
    let number_within = |low: f64, high: f64| matches!(ty, Ty::Number { minimum: Some(minimum), maximum: Some(maximum) } if *minimum == low && *maximum == high);
    let (sound, hint) = if name.ends_with("_ratio") || name == "hit_rate" || name.ends_with("_hit_rate") {
        (
            number_within(0.0, 1.0),
            "a ratio is `{type: number, minimum: 0, maximum: 1}`",
        )
    } else if name.ends_with("_percent") {
        (
            number_within(0.0, 100.0),
            "a percentage is `{type: number, minimum: 0, maximum: 100}`",
        )
    } else if name.ends_with("_bytes") || name.ends_with("_bytes_per_sec") {
        (
            matches!(ty, Ty::Integer(_) | Ty::Number { .. }),
            "bytes are counted by an integer such as `uint64`",
        )
    } else {
        return;
    };
    if !sound {
        lint.report_place(
            field.place.clone(),
            "unit-range",
            format!("`{name}` is not of the type its unit asks for"),
            hint,
        );
    }
}

pub(super) fn behind_aliases<'a>(model: &'a Model, ty: &'a Ty) -> &'a Ty {
    match ty {
        Ty::Ref(name) => match &model.ty(name).shape {
            Shape::Alias(inner) => behind_aliases(model, inner),
            _ => ty,
        },
        _ => ty,
    }
}

fn check_union(lint: &mut Lint<'_>, model: &Model, def: &TypeDef, union: &Union) {
    let at = At::root(&def.module)
        .push("types")
        .push(&def.name)
        .push("variants");
    for (index, variant) in union.variants.iter().enumerate() {
        let at = at.push(&variant.value);
        let target = &variant.target;
        let hint = "each variant is an object type of its own, without the tag";
        if union.variants[..index]
            .iter()
            .any(|other| other.target == *target)
        {
            let message = format!("two variants are the type `{target}`, which GraphQL cannot tell apart");
            lint.report(&at, "union-variant", message, hint);
        }
        match &model.ty(target).shape {
            Shape::Object(object) => {
                if object.fields.iter().any(|field| field.name == union.tag) {
                    lint.report(
                        &at,
                        "union-variant",
                        format!("`{target}` declares the tag `{}` itself", union.tag),
                        hint,
                    );
                }
                if object.fields.is_empty() {
                    lint.report(
                        &at,
                        "union-variant",
                        format!("`{target}` has no fields, which GraphQL cannot carry"),
                        hint,
                    );
                }
            }
            _ => lint.report(&at, "union-variant", format!("`{target}` is not an object"), hint),
        }
    }
}

/// Aliases that lead to aliases only, lists and maps of them included.
pub(super) fn check_alias_cycles(lint: &mut Lint<'_>, model: &Model) {
    for def in model.types.values() {
        let mut seen = BTreeSet::new();
        let mut next = alias_target(&def.shape);
        while let Some(name) = next {
            if name == def.name {
                let message = format!("`{name}` is only another name for itself");
                lint.report_place(
                    def.place.clone(),
                    "alias-cycle",
                    message,
                    "put an object between: `{type: object, properties: ...}`",
                );
                break;
            }
            if !seen.insert(name) {
                break;
            }
            next = model.types.get(name).and_then(|def| alias_target(&def.shape));
        }
    }
}

fn alias_target(shape: &Shape) -> Option<&str> {
    fn target(ty: &Ty) -> Option<&str> {
        match ty {
            Ty::Ref(name) => Some(name),
            Ty::Array { items, .. } => target(items),
            Ty::Map { values } => target(values),
            _ => None,
        }
    }
    match shape {
        Shape::Alias(ty) => target(ty),
        _ => None,
    }
}

/// Types of which a finite value exists are found by growing the set of those known to have one.
fn recursive_required(lint: &mut Lint<'_>, model: &Model) {
    let mut finite: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = finite.len();
        for def in model.types.values() {
            if has_finite_value(def, &finite) {
                finite.insert(&def.name);
            }
        }
        if finite.len() == before {
            break;
        }
    }
    for def in model
        .types
        .values()
        .filter(|def| !finite.contains(def.name.as_str()))
    {
        let message = format!("a value of `{}` would contain itself without end", def.name);
        lint.report_place(
            def.place.clone(),
            "recursive-required",
            message,
            "make a field on the way optional, nullable or a list",
        );
    }
}

fn has_finite_value(def: &TypeDef, finite: &BTreeSet<&str>) -> bool {
    let ty_finite = |ty: &Ty| ty_has_finite_value(ty, finite);
    match &def.shape {
        Shape::Enum(_) => true,
        Shape::Alias(ty) => ty_finite(ty),
        Shape::Union(union) => union
            .variants
            .iter()
            .any(|variant| finite.contains(variant.target.as_str())),
        Shape::Object(object) => {
            let required = object
                .fields
                .iter()
                .filter(|field| field.required && !field.nullable);
            let choices = object
                .fields
                .iter()
                .filter(|field| object.exactly_one_of.contains(&field.name));
            required.into_iter().all(|field| ty_finite(&field.ty))
                && (object.exactly_one_of.is_empty() || choices.into_iter().any(|field| ty_finite(&field.ty)))
        }
    }
}

fn ty_has_finite_value(ty: &Ty, finite: &BTreeSet<&str>) -> bool {
    match ty {
        Ty::Ref(name) => finite.contains(name.as_str()),
        Ty::Array { items, min, .. } => min.unwrap_or(0) == 0 || ty_has_finite_value(items, finite),
        _ => true,
    }
}
