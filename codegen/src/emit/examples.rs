//! Which of the contract's examples the documents show, and whether a value is one of a type.
//!
//! Documents show whole, valid values only: calls that succeed, whose input stands by itself (no `${saved.field}`)
//! and fits its type; answers that are complete.

use regex::Regex;
use serde_json::{Map, Value};

use crate::model::{Example, Field, IntegerWidth, Model, Object, Operation, Shape, Text, Ty};

/// Examples of calls that succeed, in the contract's order.
pub fn succeeding(operation: &Operation) -> impl Iterator<Item = &Example> {
    operation
        .examples
        .iter()
        .filter(|example| example.error.is_none())
}

/// Succeeding examples whose input can be sent as it stands.
pub fn sendable<'a>(model: &'a Model, operation: &'a Operation) -> impl Iterator<Item = &'a Example> {
    succeeding(operation).filter(|example| {
        !has_placeholder(&example.input) && fits_named(model, &example.input, &operation.input)
    })
}

/// The example's answer, where the contract tells it in full.
pub fn whole_output<'a>(model: &Model, operation: &Operation, example: &'a Example) -> Option<&'a Value> {
    let output = example.output.as_ref()?;
    let name = operation.output.as_ref()?;
    (!has_placeholder(output) && fits_named(model, output, name)).then_some(output)
}

/// Whether `${saved.field}` stands anywhere in the value.
pub fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(map) => map.values().any(has_placeholder),
        _ => false,
    }
}

/// The members of an object that these fields name.
pub fn members<'a>(value: &Value, fields: impl Iterator<Item = &'a Field>) -> Map<String, Value> {
    fields
        .filter_map(|field| Some((field.name.clone(), value.get(&field.name)?.clone())))
        .collect()
}

/// Whether the value is one of the named type, in all bounds and without a field that the type has not.
pub fn fits_named(model: &Model, value: &Value, name: &str) -> bool {
    match &model.ty(name).shape {
        Shape::Object(object) => fits_object(model, value, object, None),
        Shape::Enum(values) => value
            .as_str()
            .is_some_and(|text| values.iter().any(|value| value == text)),
        Shape::Union(union) => union.variants.iter().any(|variant| {
            value.get(&union.tag).and_then(Value::as_str) == Some(&variant.value)
                && matches!(&model.ty(&variant.target).shape,
                    Shape::Object(object) if fits_object(model, value, object, Some(&union.tag)))
        }),
        Shape::Alias(ty) => fits(model, value, ty),
    }
}

fn fits_object(model: &Model, value: &Value, object: &Object, tag: Option<&str>) -> bool {
    let Value::Object(map) = value else { return false };
    let given = |name: &String| map.contains_key(name);
    let known = map
        .keys()
        .all(|key| tag == Some(key.as_str()) || object.fields.iter().any(|field| field.name == *key));
    let alternatives = object.exactly_one_of.is_empty()
        || object.exactly_one_of.iter().filter(|name| given(name)).count() == 1;
    known
        && alternatives
        && object.fields.iter().all(|field| match map.get(&field.name) {
            None => !field.required,
            Some(Value::Null) if field.nullable => true,
            Some(value) => fits(model, value, &field.ty),
        })
}

fn fits(model: &Model, value: &Value, ty: &Ty) -> bool {
    let text = |sound: fn(&str) -> bool| value.as_str().is_some_and(sound);
    match ty {
        Ty::Json => true,
        Ty::Boolean => value.is_boolean(),
        Ty::Integer(integer) => {
            let unsigned = matches!(integer.width, IntegerWidth::UInt32 | IntegerWidth::UInt53);
            value.as_i64().is_some_and(|number| {
                (integer.minimum..=integer.maximum).contains(&number) && !(unsigned && number < 0)
            })
        }
        Ty::Number { minimum, maximum } => value.as_f64().is_some_and(|number| {
            minimum.is_none_or(|minimum| number >= minimum) && maximum.is_none_or(|maximum| number <= maximum)
        }),
        Ty::Text(bounds) => value.as_str().is_some_and(|text| fits_text(text, bounds)),
        Ty::Id64 => text(|text| text.parse::<u64>().is_ok_and(|number| number.to_string() == text)),
        Ty::Decimal => text(is_decimal),
        Ty::Bytes { max } => value.as_str().is_some_and(|text| {
            is_base64(text) && max.is_none_or(|max| text.trim_end_matches('=').len() * 3 / 4 <= max as usize)
        }),
        Ty::Timestamp => text(|text| text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T')),
        Ty::Date => text(|text| text.len() == 10 && text.bytes().filter(|b| *b == b'-').count() == 2),
        Ty::Uuid => text(is_uuid),
        Ty::Lsn => text(|text| {
            let half =
                |half: &str| (1..=8).contains(&half.len()) && half.bytes().all(|b| b.is_ascii_hexdigit());
            text.split_once('/')
                .is_some_and(|(high, low)| half(high) && half(low))
        }),
        Ty::Cursor => value.is_string(),
        Ty::Array { items, min, max } => value.as_array().is_some_and(|list| {
            min.is_none_or(|min| list.len() >= min as usize)
                && max.is_none_or(|max| list.len() <= max as usize)
                && list.iter().all(|item| fits(model, item, items))
        }),
        Ty::Map { values } => value
            .as_object()
            .is_some_and(|map| map.values().all(|value| fits(model, value, values))),
        Ty::Ref(name) => fits_named(model, value, name),
    }
}

fn fits_text(text: &str, bounds: &Text) -> bool {
    let length = text.chars().count();
    bounds.min_length.is_none_or(|min| length >= min as usize)
        && bounds.max_length.is_none_or(|max| length <= max as usize)
        && bounds.pattern.as_ref().is_none_or(|pattern| {
            Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(text))
        })
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    unsigned
        .split_once('.')
        .map_or(digits(unsigned), |(whole, fraction)| {
            digits(whole) && digits(fraction)
        })
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}
