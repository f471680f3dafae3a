//! Whether a JSON value of the contract (a default, an example) is a value of a type.

use serde_json::{Map, Value};

use crate::model::{Model, Object, Shape, Ty, Union};

/// Deepest value that is looked into; recursive types have no other end.
const DEPTH_MAX: usize = 64;

/// How much of the value is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All of it.
    Whole,
    /// All of it, with `${...}` in place of any value.
    Template,
    /// A part of it: what is there must fit, `${...}` in place of any value.
    Part,
}

/// Where a value does not fit, and why.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Steps from the value's root.
    pub path: Vec<String>,
    pub message: String,
}

impl Misfit {
    fn here(message: impl Into<String>) -> Misfit {
        Misfit {
            path: Vec::new(),
            message: message.into(),
        }
    }

    fn below(mut self, step: impl Into<String>) -> Misfit {
        self.path.insert(0, step.into());
        self
    }

    /// ` at a.b`, or nothing at the root.
    pub fn shown_path(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.path.join("."))
        }
    }
}

pub(super) fn check(model: &Model, ty: &Ty, value: &Value, mode: Mode) -> Result<(), Misfit> {
    Checker { model, mode }.ty(ty, value, 0)
}

struct Checker<'a> {
    model: &'a Model,
    mode: Mode,
}

impl Checker<'_> {
    fn ty(&self, ty: &Ty, value: &Value, depth: usize) -> Result<(), Misfit> {
        if depth > DEPTH_MAX {
            return Err(Misfit::here(format!("nested deeper than {DEPTH_MAX}")));
        }
        if self.mode != Mode::Whole && value.as_str().is_some_and(|text| text.contains("${")) {
            return Ok(());
        }
        match ty {
            Ty::Boolean => value.as_bool().map(drop).ok_or_else(|| wrong("a boolean", value)),
            Ty::Integer(integer) => match value.as_i64() {
                Some(number) if (integer.minimum..=integer.maximum).contains(&number) => Ok(()),
                _ => Err(wrong(
                    &format!("an integer from {} to {}", integer.minimum, integer.maximum),
                    value,
                )),
            },
            Ty::Number { minimum, maximum } => {
                let within = |number: f64| {
                    minimum.is_none_or(|low| number >= low) && maximum.is_none_or(|high| number <= high)
                };
                value
                    .as_f64()
                    .filter(|number| within(*number))
                    .map(drop)
                    .ok_or_else(|| wrong("a number within the bounds", value))
            }
            Ty::Text(text) => {
                let given = value.as_str().ok_or_else(|| wrong("text", value))?;
                let length = given.chars().count();
                let bound = |bound: Option<u32>| bound.and_then(|bound| usize::try_from(bound).ok());
                if bound(text.min_length).is_some_and(|min| length < min)
                    || bound(text.max_length).is_some_and(|max| length > max)
                {
                    return Err(wrong("text of the length the type allows", value));
                }
                let pattern = text
                    .pattern
                    .as_ref()
                    .and_then(|pattern| regex::Regex::new(&format!("^(?:{pattern})$")).ok());
                match pattern {
                    Some(pattern) if !pattern.is_match(given) => {
                        Err(wrong(&format!("text like {}", pattern.as_str()), value))
                    }
                    _ => Ok(()),
                }
            }
            Ty::Id64 => text_like(value, "an unsigned integer as text, such as \"42\"", |text| {
                text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
            }),
            Ty::Decimal => text_like(value, "a decimal number as text, such as \"12.50\"", is_decimal),
            Ty::Bytes { .. } => text_like(value, "base64 with padding", |text| {
                text.len() % 4 == 0
                    && text
                        .trim_end_matches('=')
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
            }),
            Ty::Timestamp => text_like(
                value,
                "an RFC 3339 moment, such as \"2026-01-31T12:00:00Z\"",
                |text| {
                    text.len() >= 20
                        && is_date(text.get(..10).unwrap_or_default())
                        && text.as_bytes().get(10) == Some(&b'T')
                },
            ),
            Ty::Date => text_like(value, "a date, such as \"2026-01-31\"", is_date),
            Ty::Uuid => text_like(value, "a UUID", |text| {
                text.len() == 36
                    && text.bytes().enumerate().all(|(at, b)| {
                        if matches!(at, 8 | 13 | 18 | 23) {
                            b == b'-'
                        } else {
                            b.is_ascii_hexdigit()
                        }
                    })
            }),
            Ty::Lsn => text_like(value, "a log position, such as \"0/1A2B3C4D\"", |text| {
                let half =
                    |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
                text.split_once('/')
                    .is_some_and(|(high, low)| half(high) && half(low))
            }),
            Ty::Cursor => text_like(value, "a cursor", |_| true),
            Ty::Json => Ok(()),
            Ty::Array { items, min, max } => self.array(items, *min, *max, value, depth),
            Ty::Map { values } => {
                for (key, value) in object_of(value)? {
                    self.ty(values, value, depth + 1)
                        .map_err(|misfit| misfit.below(key))?;
                }
                Ok(())
            }
            Ty::Ref(name) => self.named(name, value, depth + 1),
        }
    }

    fn array(
        &self,
        items: &Ty,
        min: Option<u32>,
        max: Option<u32>,
        value: &Value,
        depth: usize,
    ) -> Result<(), Misfit> {
        let given = value.as_array().ok_or_else(|| wrong("an array", value))?;
        let count = u32::try_from(given.len()).unwrap_or(u32::MAX);
        if min.is_some_and(|min| count < min) || max.is_some_and(|max| count > max) {
            return Err(Misfit::here(format!(
                "{count} items are not as many as the type allows"
            )));
        }
        for (index, item) in given.iter().enumerate() {
            self.ty(items, item, depth + 1)
                .map_err(|misfit| misfit.below(index.to_string()))?;
        }
        Ok(())
    }

    fn named(&self, name: &str, value: &Value, depth: usize) -> Result<(), Misfit> {
        match &self.model.ty(name).shape {
            Shape::Alias(ty) => self.ty(ty, value, depth),
            Shape::Enum(values) => {
                let known = value
                    .as_str()
                    .is_some_and(|text| values.iter().any(|value| value == text));
                if known {
                    Ok(())
                } else {
                    Err(wrong(&format!("one of {}", values.join(", ")), value))
                }
            }
            Shape::Object(object) => self.object(object, object_of(value)?, None, depth),
            Shape::Union(union) => self.union(union, object_of(value)?, depth),
        }
    }

    fn union(&self, union: &Union, value: &Map<String, Value>, depth: usize) -> Result<(), Misfit> {
        let variant = match value.get(&union.tag) {
            Some(Value::String(tag)) => union.variants.iter().find(|variant| variant.value == *tag),
            None if self.mode == Mode::Part => return Ok(()),
            _ => None,
        };
        let known = || {
            union
                .variants
                .iter()
                .map(|variant| variant.value.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(variant) = variant else {
            return Err(Misfit::here(format!(
                "the tag `{}` is not one of {}",
                union.tag,
                known()
            )));
        };
        match &self.model.ty(&variant.target).shape {
            Shape::Object(object) => self.object(object, value, Some(&union.tag), depth),
            _ => Ok(()),
        }
    }

    fn object(
        &self,
        object: &Object,
        value: &Map<String, Value>,
        tag: Option<&str>,
        depth: usize,
    ) -> Result<(), Misfit> {
        for (key, value) in value {
            if tag == Some(key) {
                continue;
            }
            let Some(field) = object.fields.iter().find(|field| field.name == *key) else {
                return Err(Misfit::here("there is no such field").below(key));
            };
            if value.is_null() && field.nullable {
                continue;
            }
            self.ty(&field.ty, value, depth + 1)
                .map_err(|misfit| misfit.below(key))?;
        }
        if self.mode == Mode::Part {
            return Ok(());
        }
        if let Some(missing) = object
            .fields
            .iter()
            .find(|field| field.required && !value.contains_key(&field.name))
        {
            return Err(Misfit::here(format!(
                "the required `{}` is missing",
                missing.name
            )));
        }
        let given = object
            .exactly_one_of
            .iter()
            .filter(|name| value.contains_key(*name))
            .count();
        if !object.exactly_one_of.is_empty() && given != 1 {
            return Err(Misfit::here(format!(
                "exactly one of {} must be given, not {given}",
                object.exactly_one_of.join(", ")
            )));
        }
        Ok(())
    }
}

fn wrong(expected: &str, value: &Value) -> Misfit {
    let shown: String = value.to_string().chars().take(60).collect();
    Misfit::here(format!("{shown} is not {expected}"))
}

fn object_of(value: &Value) -> Result<&Map<String, Value>, Misfit> {
    value.as_object().ok_or_else(|| wrong("an object", value))
}

fn text_like(value: &Value, expected: &str, sound: impl Fn(&str) -> bool) -> Result<(), Misfit> {
    match value.as_str() {
        Some(text) if sound(text) => Ok(()),
        _ => Err(wrong(expected, value)),
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    unsigned.split_once('.').map_or_else(
        || digits(unsigned),
        |(whole, fraction)| digits(whole) && digits(fraction),
    )
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, length: usize, most: u32| {
        part.len() == length && part.parse::<u32>().is_ok_and(|number| number <= most)
    };
    matches!(parts.as_slice(), [year, month, day] if number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31))
}
