//! `generated/types/<module>.py`: structs, enumerations, unions and aliases of a module.
//!
//! Annotations are strings at run time (`from __future__ import annotations`), so classes may stand in any order;
//! aliases are expressions and come last, each after those it names. Whatever a class imports has a leading
//! underscore: no field of the contract has one, so no field hides a type.

use std::collections::BTreeSet;

use super::text::{self, HEADER};
use crate::model::{Field, Model, Module, Object, Shape, Ty, TypeDef, Union};
use crate::names::python::{Names, VariantClass};
use crate::output::File;

/// How lists and maps are written: the exact types in structs, anything like them in parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Struct,
    Parameter,
}

/// From where a type is named.
#[derive(Debug, Clone, Copy)]
pub enum Home<'a> {
    /// The types file of this module.
    Module(&'a str),
    /// Anywhere else, as `_types.Name`.
    Elsewhere,
}

/// The annotation of a type.
pub fn annotation(model: &Model, names: &Names, ty: &Ty, home: Home<'_>, position: Position) -> String {
    let inner = |ty: &Ty| annotation(model, names, ty, home, position);
    match ty {
        Ty::Boolean => "bool".to_owned(),
        Ty::Integer(_) => "int".to_owned(),
        Ty::Number { .. } => "float".to_owned(),
        Ty::Text(_) => "str".to_owned(),
        Ty::Id64 => "_scalars.Id64".to_owned(),
        Ty::Decimal => "_decimal.Decimal".to_owned(),
        Ty::Bytes { .. } => "bytes".to_owned(),
        Ty::Timestamp => "_dt.datetime".to_owned(),
        Ty::Date => "_dt.date".to_owned(),
        Ty::Uuid => "_uuid.UUID".to_owned(),
        Ty::Lsn => "_scalars.Lsn".to_owned(),
        Ty::Cursor => "_scalars.Cursor".to_owned(),
        Ty::Json => "_scalars.Json".to_owned(),
        Ty::Array { items, .. } if position == Position::Struct => format!("list[{}]", inner(items)),
        Ty::Array { items, .. } => format!("_Sequence[{}]", inner(items)),
        Ty::Map { values } if position == Position::Struct => format!("dict[str, {}]", inner(values)),
        Ty::Map { values } => format!("_Mapping[str, {}]", inner(values)),
        Ty::Ref(name) => reference(model, names, name, home),
    }
}

/// The name of a type at a place of use.
pub fn reference(model: &Model, names: &Names, name: &str, home: Home<'_>) -> String {
    let class = &names.types[name];
    let module = &model.ty(name).module;
    match home {
        Home::Module(home) if home == module => class.clone(),
        Home::Module(_) => format!("_m_{}.{class}", names.modules[module]),
        Home::Elsewhere => format!("_types.{class}"),
    }
}

/// Annotation and default of a field: absent, null and a value stay distinct.
pub fn held(annotation: &str, field: &Field) -> (String, Option<&'static str>) {
    let null = if field.nullable && annotation != "_scalars.Json" {
        " | None"
    } else {
        ""
    };
    if field.required {
        (format!("{annotation}{null}"), None)
    } else {
        (format!("{annotation}{null} | _UnsetType"), Some("_UNSET"))
    }
}

/// The module's file; `None` when it has no types of its own.
pub fn emit(model: &Model, names: &Names, module: &Module) -> Option<File> {
    let definitions: Vec<&TypeDef> = module
        .types
        .iter()
        .map(|name| model.ty(name))
        .filter(|definition| definition.input_of.is_none())
        .collect();
    if definitions.is_empty() {
        return None;
    }
    let mut body = String::new();
    for definition in &definitions {
        match &definition.shape {
            Shape::Enum(values) => body.push_str(&enumeration(names, definition, values)),
            Shape::Object(object) => body.push_str(&class(model, names, definition, object)),
            Shape::Union(_) | Shape::Alias(_) => {}
        }
    }
    for definition in &definitions {
        if let Shape::Union(union) = &definition.shape {
            body.push_str(&derived(model, names, definition, union));
        }
    }
    let mut done = BTreeSet::new();
    let mut aliases = String::new();
    for definition in &definitions {
        alias(
            model,
            names,
            definition,
            &mut BTreeSet::new(),
            &mut done,
            &mut aliases,
        );
    }
    if !aliases.is_empty() {
        body.push('\n');
        body.push_str(&aliases);
    }
    Some(file(model, names, module, &body))
}

fn file(model: &Model, names: &Names, module: &Module, body: &str) -> File {
    let attribute = &names.modules[&module.name];
    let mut written = format!("{HEADER}\n");
    written.push_str(&text::docstring(
        0,
        &format!("Types of module `{}`: {}", module.name, module.summary),
    ));
    written.push_str("\nfrom __future__ import annotations\n\n");
    let standard = text::imports(
        body,
        &[
            ("_dt", "import datetime as _dt"),
            ("_decimal", "import decimal as _decimal"),
            ("_uuid", "import uuid as _uuid"),
            ("_TypeAlias", "from typing import TypeAlias as _TypeAlias"),
        ],
    );
    let foreign = text::imports(
        body,
        &[
            ("_UNSET", "from msgspec import UNSET as _UNSET"),
            ("_UnsetType", "from msgspec import UnsetType as _UnsetType"),
            ("_field", "from msgspec import field as _field"),
        ],
    );
    let mut own = text::imports(
        body,
        &[
            ("_objects", "from ...runtime import objects as _objects"),
            ("_scalars", "from ...runtime import scalars as _scalars"),
        ],
    );
    for other in model.modules.keys().filter(|other| **other != module.name) {
        let other = &names.modules[other];
        own.push_str(&text::imports(
            body,
            &[(
                &format!("_m_{other}"),
                &format!("from . import {other} as _m_{other}"),
            )],
        ));
    }
    for group in [standard, foreign, own] {
        if !group.is_empty() {
            written.push_str(&format!("{group}\n"));
        }
    }
    let written = format!("{}\n\n{}\n", written.trim_end(), body.trim_end());
    File::new(format!("{}/types/{attribute}.py", super::FOLDER), written)
}

fn enumeration(names: &Names, definition: &TypeDef, values: &[String]) -> String {
    let class = &names.types[&definition.name];
    let mut written = format!("\nclass {class}(_objects.OpenEnum):\n");
    written.push_str(&text::docstring(4, &described(definition)));
    written.push('\n');
    for value in values {
        let member = &names.values[&format!("{}.{value}", definition.name)];
        written.push_str(&format!("    {member} = {}\n", text::literal(value)));
    }
    written.push('\n');
    written
}

fn class(model: &Model, names: &Names, definition: &TypeDef, object: &Object) -> String {
    let class = &names.types[&definition.name];
    let tag = own_tag(model, names, &definition.name);
    let mut written = format!("\n{}", class_line(class, "_objects.Object", tag.as_ref()));
    let mut description = described(definition);
    if !object.exactly_one_of.is_empty() {
        let fields: Vec<String> = object
            .exactly_one_of
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        description.push_str(&format!("\n\nExactly one of {} is given.", fields.join(", ")));
    }
    written.push_str(&text::docstring(4, &description));
    let sensitive: Vec<String> = object
        .fields
        .iter()
        .filter(|field| field.sensitive)
        .map(|field| text::literal(&names.fields[&format!("{}.{}", definition.name, field.name)]))
        .collect();
    if !sensitive.is_empty() {
        written.push('\n');
        let head = "SENSITIVE = frozenset({";
        written.push_str(&text::listed(4, head, &sensitive, "})"));
    }
    if !object.fields.is_empty() {
        written.push('\n');
    }
    for field in &object.fields {
        written.push_str(&member(model, names, definition, field));
    }
    written.push('\n');
    written
}

/// The tag of a class that is one variant of one union and nothing else.
fn own_tag(model: &Model, names: &Names, target: &str) -> Option<(String, String)> {
    model.types.values().find_map(|definition| {
        let Shape::Union(union) = &definition.shape else {
            return None;
        };
        let variant = union.variants.iter().find(|variant| variant.target == target)?;
        let class = names
            .variants
            .get(&format!("{}.{}", definition.name, variant.value))?;
        matches!(class, VariantClass::Own(_)).then(|| (union.tag.clone(), variant.value.clone()))
    })
}

fn class_line(class: &str, base: &str, tag: Option<&(String, String)>) -> String {
    let mut items = vec![
        base.to_owned(),
        "kw_only=True".to_owned(),
        "frozen=True".to_owned(),
    ];
    if let Some((field, value)) = tag {
        items.push(format!("tag_field={}", text::literal(field)));
        items.push(format!("tag={}", text::literal(value)));
    }
    text::listed(0, &format!("class {class}("), &items, "):")
}

fn member(model: &Model, names: &Names, definition: &TypeDef, field: &Field) -> String {
    let name = &names.fields[&format!("{}.{}", definition.name, field.name)];
    let home = Home::Module(&definition.module);
    let (annotation, default) = held(
        &annotation(model, names, &field.ty, home, Position::Struct),
        field,
    );
    let renamed = (*name != field.name).then(|| text::literal(&field.name));
    let value = match (default, renamed) {
        (None, None) => String::new(),
        (Some(default), None) => format!(" = {default}"),
        (None, Some(wire)) => format!(" = _field(name={wire})"),
        (Some(default), Some(wire)) => format!(" = _field(default={default}, name={wire})"),
    };
    let mut written = format!("    {name}: {annotation}{value}\n");
    let description = field_description(field);
    if !description.is_empty() {
        written.push_str(&text::docstring(4, &description));
    }
    written
}

/// What a reader is told of a field.
pub fn field_description(field: &Field) -> String {
    let mut parts = Vec::new();
    if !field.description.trim().is_empty() {
        parts.push(field.description.trim().to_owned());
    }
    if let Some(default) = &field.default {
        parts.push(format!("Left out, it is `{default}`."));
    }
    if let Some(deprecated) = &field.deprecated {
        parts.push(format!(
            "Deprecated since {}: {}",
            deprecated.since, deprecated.instead
        ));
    }
    parts.join(" ")
}

/// Classes that add a tag to an object which is used elsewhere as well.
fn derived(model: &Model, names: &Names, definition: &TypeDef, union: &Union) -> String {
    let mut written = String::new();
    for variant in &union.variants {
        let key = format!("{}.{}", definition.name, variant.value);
        let VariantClass::Derived(class) = &names.variants[&key] else {
            continue;
        };
        let base = reference(model, names, &variant.target, Home::Module(&definition.module));
        let tag = (union.tag.clone(), variant.value.clone());
        written.push_str(&format!("\n{}", class_line(class, &base, Some(&tag))));
        let text = format!(
            "Variant `{}` of `{}`.",
            variant.value, names.types[&definition.name]
        );
        written.push_str(&text::docstring(4, &text));
        written.push('\n');
    }
    written
}

fn alias(
    model: &Model,
    names: &Names,
    definition: &TypeDef,
    open: &mut BTreeSet<String>,
    done: &mut BTreeSet<String>,
    written: &mut String,
) {
    let home = Home::Module(&definition.module);
    let class = &names.types[&definition.name];
    if done.contains(&definition.name) || !open.insert(definition.name.clone()) {
        return;
    }
    let value = match &definition.shape {
        Shape::Alias(ty) => {
            for name in references(ty) {
                let other = model.ty(name);
                if other.module == definition.module {
                    alias(model, names, other, open, done, written);
                }
            }
            // An alias that is made of nothing but itself has no expression; lint refuses it.
            let recursive = references(ty)
                .iter()
                .any(|name| is_alias(model, name) && open.contains(*name) && !done.contains(*name));
            let value = if recursive {
                "_scalars.Json".to_owned()
            } else {
                annotation(model, names, ty, home, Position::Struct)
            };
            format!("{class}: _TypeAlias = {value}\n")
        }
        Shape::Union(union) => {
            let classes: Vec<String> = union
                .variants
                .iter()
                .map(
                    |variant| match &names.variants[&format!("{}.{}", definition.name, variant.value)] {
                        VariantClass::Derived(class) => class.clone(),
                        VariantClass::Own(_) => reference(model, names, &variant.target, home),
                    },
                )
                .collect();
            let one = format!("{class}: _TypeAlias = {}\n", classes.join(" | "));
            if one.len() <= 101 {
                one
            } else {
                format!("{class}: _TypeAlias = (\n    {}\n)\n", classes.join("\n    | "))
            }
        }
        Shape::Object(_) | Shape::Enum(_) => return,
    };
    done.insert(definition.name.clone());
    written.push_str(&value);
    if !definition.description.trim().is_empty() {
        written.push_str(&text::docstring(0, &definition.description));
    }
    written.push('\n');
}

fn is_alias(model: &Model, name: &str) -> bool {
    matches!(model.ty(name).shape, Shape::Alias(_))
}

fn references(ty: &Ty) -> Vec<&str> {
    match ty {
        Ty::Ref(name) => vec![name],
        Ty::Array { items, .. } => references(items),
        Ty::Map { values } => references(values),
        _ => Vec::new(),
    }
}

fn described(definition: &TypeDef) -> String {
    if definition.description.trim().is_empty() {
        format!("`{}` of module `{}`.", definition.name, definition.module)
    } else {
        definition.description.trim().to_owned()
    }
}
