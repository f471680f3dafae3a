//! An input against its descriptor: one rule for every interface.
//!
//! Checks presence, null, type, bounds, length, pattern, enumeration, unions and unknown fields, and names the
//! first offending field by its path (`rows.3.name`). What passes deserialises into the operation's input type.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{LazyLock, RwLock};

use regex::Regex;
use serde_json::{Map, Value};

use crate::descriptor::{FieldDesc, IntegerWidth, ObjectDesc, Shape, Ty, TypeDesc, UnionDesc};
use crate::scalars::{Bytes, Date, Decimal, Id64, Lsn, Timestamp};

/// Longest text of a refused value that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// What was wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field; empty for the input as a whole.
    pub field: String,
    pub message: String,
}

/// Checks a value against a type.
pub fn validate(value: &Value, desc: &'static TypeDesc) -> Result<(), Violation> {
    check_named(value, desc, &mut Path::default(), false)
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn within<T>(&mut self, step: impl Into<String>, check: impl FnOnce(&mut Path) -> T) -> T {
        self.0.push(step.into());
        let result = check(self);
        self.0.pop();
        result
    }

    fn fail(&self, message: String) -> Violation {
        let field = self.0.join(".");
        let message = if field.is_empty() {
            message
        } else {
            format!("{field}: {message}")
        };
        Violation { field, message }
    }
}

fn check_named(
    value: &Value,
    desc: &'static TypeDesc,
    path: &mut Path,
    sensitive: bool,
) -> Result<(), Violation> {
    match &desc.shape {
        Shape::Object(object) => check_object(as_object(value, path, sensitive)?, object, None, path),
        Shape::Union(union) => check_union(as_object(value, path, sensitive)?, union, path),
        Shape::Alias(ty) => check(value, ty, path, sensitive),
        Shape::Enum(values) => match value.as_str() {
            Some(text) if values.contains(&text) => Ok(()),
            _ => Err(path.fail(format!(
                "{} is not one of {}",
                shown(value, sensitive),
                values.join(", ")
            ))),
        },
    }
}

fn check_object(
    map: &Map<String, Value>,
    object: &ObjectDesc,
    tag: Option<&str>,
    path: &mut Path,
) -> Result<(), Violation> {
    for field in object.fields {
        match map.get(field.name) {
            Some(value) => path.within(field.name, |path| check_field(value, field, path))?,
            None if field.required => {
                return path.within(field.name, |path| Err(path.fail("is missing".to_owned())));
            }
            None => {}
        }
    }
    let unknown = map
        .keys()
        .find(|key| Some(key.as_str()) != tag && !object.fields.iter().any(|field| field.name == *key));
    if let Some(key) = unknown {
        let names: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
        let known = if names.is_empty() {
            "there are none".to_owned()
        } else {
            format!("known are {}", names.join(", "))
        };
        return path.within(cut(key), |path| Err(path.fail(format!("no such field; {known}"))));
    }
    let alternatives = object.exactly_one_of;
    if !alternatives.is_empty() {
        let given = alternatives
            .iter()
            .filter(|name| map.contains_key(**name))
            .count();
        if given != 1 {
            return Err(path.fail(format!(
                "exactly one of {} must be given, not {given}",
                alternatives.join(", ")
            )));
        }
    }
    Ok(())
}

fn check_field(value: &Value, field: &FieldDesc, path: &mut Path) -> Result<(), Violation> {
    // `static` tables outlive every call; the field itself is only borrowed here.
    if value.is_null() && !takes_null(&field.ty) {
        return if field.nullable {
            Ok(())
        } else {
            Err(path.fail("must not be null; leave the field out".to_owned()))
        };
    }
    check(value, &field.ty, path, field.sensitive)
}

fn takes_null(ty: &Ty) -> bool {
    match ty {
        Ty::Json => true,
        Ty::Ref(TypeDesc {
            shape: Shape::Alias(ty),
            ..
        }) => takes_null(ty),
        _ => false,
    }
}

fn check_union(
    map: &Map<String, Value>,
    union: &'static UnionDesc,
    path: &mut Path,
) -> Result<(), Violation> {
    let values = || {
        union
            .variants
            .iter()
            .map(|variant| variant.value)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Some(tag) = map.get(union.tag) else {
        return path.within(union.tag, |path| {
            Err(path.fail(format!("is missing; it is one of {}", values())))
        });
    };
    let variant = union
        .variants
        .iter()
        .find(|variant| tag.as_str() == Some(variant.value));
    match variant.map(|variant| &variant.target.shape) {
        Some(Shape::Object(object)) => check_object(map, object, Some(union.tag), path),
        _ => path.within(union.tag, |path| {
            Err(path.fail(format!("{} is not one of {}", shown(tag, false), values())))
        }),
    }
}

fn check(value: &Value, ty: &Ty, path: &mut Path, sensitive: bool) -> Result<(), Violation> {
    match ty {
        Ty::Json => Ok(()),
        Ty::Boolean => value
            .is_boolean()
            .then_some(())
            .ok_or_else(|| wrong(value, "true or false", path, sensitive)),
        Ty::Integer {
            width,
            minimum,
            maximum,
        } => check_integer(value, *width, *minimum, *maximum, path),
        Ty::Number { minimum, maximum } => check_number(value, *minimum, *maximum, path),
        Ty::Text {
            min_length,
            max_length,
            pattern,
        } => {
            let text = as_text(value, path, sensitive)?;
            check_length(text.chars().count(), "characters", *min_length, *max_length, path)?;
            match pattern {
                Some(pattern) if !matches_whole(pattern, text) => {
                    Err(path.fail(format!("{} does not match {pattern}", shown(value, sensitive))))
                }
                _ => Ok(()),
            }
        }
        Ty::Id64 => check_scalar::<Id64>(value, path, sensitive).map(drop),
        Ty::Decimal => check_scalar::<Decimal>(value, path, sensitive).map(drop),
        Ty::Timestamp => check_scalar::<Timestamp>(value, path, sensitive).map(drop),
        Ty::Date => check_scalar::<Date>(value, path, sensitive).map(drop),
        Ty::Lsn => check_scalar::<Lsn>(value, path, sensitive).map(drop),
        Ty::Uuid => check_scalar::<uuid::Uuid>(value, path, sensitive).map(drop),
        Ty::Cursor => as_text(value, path, sensitive).map(drop),
        Ty::Bytes { max } => {
            let bytes = check_scalar::<Bytes>(value, path, sensitive)?;
            check_length(bytes.0.len(), "bytes", None, *max, path)
        }
        Ty::Array { items, min, max } => {
            let list = value
                .as_array()
                .ok_or_else(|| wrong(value, "a list", path, sensitive))?;
            check_length(list.len(), "items", *min, *max, path)?;
            list.iter().enumerate().try_for_each(|(index, item)| {
                path.within(index.to_string(), |path| check(item, items, path, sensitive))
            })
        }
        Ty::Map { values } => as_object(value, path, sensitive)?
            .iter()
            .try_for_each(|(key, value)| path.within(cut(key), |path| check(value, values, path, sensitive))),
        Ty::Ref(desc) => check_named(value, desc, path, sensitive),
    }
}

fn check_integer(
    value: &Value,
    width: IntegerWidth,
    minimum: i64,
    maximum: i64,
    path: &Path,
) -> Result<(), Violation> {
    let expected = match width {
        IntegerWidth::Int32 | IntegerWidth::Int53 => "an integer",
        IntegerWidth::UInt32 | IntegerWidth::UInt53 => "an unsigned integer",
    };
    let number = value
        .as_i64()
        .or_else(|| value.as_u64().map(|_| i64::MAX))
        .or_else(|| whole(value.as_f64()?));
    match number {
        Some(number) if (minimum..=maximum).contains(&number) => Ok(()),
        Some(_) => Err(path.fail(format!(
            "{} is outside of {minimum} to {maximum}",
            shown(value, false)
        ))),
        None => Err(wrong(value, expected, path, false)),
    }
}

/// A JSON number such as `3.0` is an integer too (JSON Schema 2020-12, 6.1.1) where it is exact.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_991.0).then_some(number as i64)
}

fn check_number(
    value: &Value,
    minimum: Option<f64>,
    maximum: Option<f64>,
    path: &Path,
) -> Result<(), Violation> {
    let number = value
        .as_f64()
        .ok_or_else(|| wrong(value, "a number", path, false))?;
    if minimum.is_some_and(|minimum| number < minimum) {
        return Err(path.fail(format!("{number} is less than {}", minimum.unwrap_or_default())));
    }
    if maximum.is_some_and(|maximum| number > maximum) {
        return Err(path.fail(format!("{number} is more than {}", maximum.unwrap_or_default())));
    }
    Ok(())
}

fn check_length(
    length: usize,
    what: &str,
    min: Option<u32>,
    max: Option<u32>,
    path: &Path,
) -> Result<(), Violation> {
    match (min, max) {
        (Some(min), _) if length < min as usize => {
            Err(path.fail(format!("has {length} {what}, fewer than {min}")))
        }
        (_, Some(max)) if length > max as usize => {
            Err(path.fail(format!("has {length} {what}, more than {max}")))
        }
        _ => Ok(()),
    }
}

fn check_scalar<T>(value: &Value, path: &Path, sensitive: bool) -> Result<T, Violation>
where
    T: FromStr,
    T::Err: Display,
{
    let text = as_text(value, path, sensitive)?;
    text.parse()
        .map_err(|error| path.fail(format!("{} is refused: {error}", shown(value, sensitive))))
}

fn as_text<'v>(value: &'v Value, path: &Path, sensitive: bool) -> Result<&'v str, Violation> {
    value
        .as_str()
        .ok_or_else(|| wrong(value, "text", path, sensitive))
}

fn as_object<'v>(
    value: &'v Value,
    path: &Path,
    sensitive: bool,
) -> Result<&'v Map<String, Value>, Violation> {
    value
        .as_object()
        .ok_or_else(|| wrong(value, "an object", path, sensitive))
}

fn wrong(value: &Value, expected: &str, path: &Path, sensitive: bool) -> Violation {
    path.fail(format!("expected {expected}, not {}", shown(value, sensitive)))
}

/// The value for a message: short, and never a secret.
fn shown(value: &Value, sensitive: bool) -> String {
    if sensitive {
        "the given value".to_owned()
    } else {
        cut(&value.to_string())
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Patterns are the contract's: few, static, and checked by the generator's lint to compile.
fn matches_whole(pattern: &'static str, text: &str) -> bool {
    static COMPILED: LazyLock<RwLock<HashMap<&'static str, Regex>>> = LazyLock::new(RwLock::default);
    let known = COMPILED.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(regex) = known.get(pattern) {
        return regex.is_match(text);
    }
    drop(known);
    let regex = Regex::new(&format!("^(?:{pattern})$")).expect("lint compiles every pattern of the contract");
    let matches = regex.is_match(text);
    COMPILED
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .insert(pattern, regex);
    matches
}
