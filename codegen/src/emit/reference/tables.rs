//! Cells of the pages' tables: types with their bounds, presence, places.

use crate::model::{
    ErrorDef, Field, Integer, IntegerWidth, Model, RestPlace, Retry, SAFE_INTEGER_MAX, Shape, Text, Ty, Unit,
};

pub struct FieldRow {
    pub name: String,
    pub ty: String,
    pub presence: String,
    pub place: String,
    pub text: String,
}

pub struct ErrorRow {
    pub code: String,
    pub status: u16,
    pub rpc: i32,
    pub retry: &'static str,
    pub text: String,
}

/// Text that can stand in a table.
pub fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// A piece of code in a table.
pub fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

pub fn field_row(model: &Model, home: &str, field: &Field) -> FieldRow {
    let mut presence = if field.required {
        "required".to_owned()
    } else {
        "optional".to_owned()
    };
    if field.nullable {
        presence += ", nullable";
    }
    if let Some(default) = &field.default {
        presence += &format!(", default {}", code(&default.to_string()));
    }
    let place = match field.place_rest {
        Some(RestPlace::Path) => "path",
        Some(RestPlace::Query) => "query",
        Some(RestPlace::Body) => "body",
        Some(RestPlace::QueryOrBody) => "query or body",
        None => "",
    };
    let mut text = cell(&field.description);
    if field.sensitive {
        text += " Secret.";
    }
    if let Some(since) = &field.since {
        text += &format!(" Since {since}.");
    }
    if let Some(deprecated) = &field.deprecated {
        text += &format!(
            " Deprecated since {}: use {}.",
            deprecated.since,
            cell(&deprecated.instead)
        );
    }
    FieldRow {
        name: field.name.clone(),
        ty: ty(model, home, &field.ty),
        presence,
        place: place.to_owned(),
        text: text.trim().to_owned(),
    }
}

pub fn error_row(model: &Model, home: &str, error: &ErrorDef) -> ErrorRow {
    let retry = match error.retry {
        Retry::Never => "never",
        Retry::Safe => "safe",
        Retry::Transaction => "the transaction",
    };
    let mut text = cell(&error.summary);
    if let Some(details) = &error.details {
        text += &format!(" Details: {}.", type_link(model, home, details));
    }
    ErrorRow {
        code: error.code.clone(),
        status: error.status,
        rpc: error.rpc,
        retry,
        text,
    }
}

/// Link to a named type from the page of a module.
pub fn type_link(model: &Model, home: &str, name: &str) -> String {
    let module = &model.ty(name).module;
    let page = if module == home {
        String::new()
    } else {
        format!("{module}.md")
    };
    format!("[{name}]({page}#{})", type_anchor(name))
}

pub fn type_anchor(name: &str) -> String {
    format!("type-{}", name.to_ascii_lowercase())
}

pub fn operation_anchor(id: &str) -> String {
    id.replace('.', "-")
}

/// A type with its bounds, in words.
pub fn ty(model: &Model, home: &str, ty_: &Ty) -> String {
    match ty_ {
        Ty::Boolean => "boolean".to_owned(),
        Ty::Integer(bounds) => integer(bounds),
        Ty::Number { minimum, maximum } => format!("number{}", range(*minimum, *maximum, "")),
        Ty::Text(bounds) => text(bounds),
        Ty::Id64 => "id64".to_owned(),
        Ty::Decimal => "decimal".to_owned(),
        Ty::Bytes { max } => format!("bytes{}", range(None, *max, " bytes")),
        Ty::Timestamp => "timestamp".to_owned(),
        Ty::Date => "date".to_owned(),
        Ty::Uuid => "uuid".to_owned(),
        Ty::Lsn => "lsn".to_owned(),
        Ty::Cursor => "cursor".to_owned(),
        Ty::Json => "json".to_owned(),
        Ty::Array { items, min, max } => {
            format!(
                "list of {}{}",
                ty(model, home, items),
                range(*min, *max, " items")
            )
        }
        Ty::Map { values } => format!("map of {}", ty(model, home, values)),
        Ty::Ref(name) => type_link(model, home, name),
    }
}

/// What stands behind a named type that is no object, in words.
pub fn shape(model: &Model, home: &str, shape: &Shape) -> String {
    match shape {
        Shape::Object(object) if !object.exactly_one_of.is_empty() => {
            let names: Vec<String> = object.exactly_one_of.iter().map(|name| code(name)).collect();
            format!("Exactly one of {} is given.", names.join(", "))
        }
        Shape::Object(object) if object.fields.is_empty() => "An object without fields.".to_owned(),
        Shape::Object(_) => String::new(),
        Shape::Enum(values) => {
            let values: Vec<String> = values.iter().map(|value| code(value)).collect();
            format!("One of {}.", values.join(", "))
        }
        Shape::Union(union) => {
            let variants: Vec<String> = union
                .variants
                .iter()
                .map(|variant| {
                    format!(
                        "- {}: {}",
                        code(&variant.value),
                        type_link(model, home, &variant.target)
                    )
                })
                .collect();
            format!(
                "One of these, told apart by the field {} beside their own:\n\n{}",
                code(&union.tag),
                variants.join("\n")
            )
        }
        Shape::Alias(alias) => format!("Is {}.", ty(model, home, alias)),
    }
}

fn integer(integer: &Integer) -> String {
    let (word, lowest, highest) = match integer.width {
        IntegerWidth::Int32 => ("int32", i64::from(i32::MIN), i64::from(i32::MAX)),
        IntegerWidth::UInt32 => ("uint32", 0, i64::from(u32::MAX)),
        IntegerWidth::Int53 => ("int64", -SAFE_INTEGER_MAX, SAFE_INTEGER_MAX),
        IntegerWidth::UInt53 => ("uint64", 0, SAFE_INTEGER_MAX),
    };
    let minimum = (integer.minimum > lowest).then_some(integer.minimum);
    let maximum = (integer.maximum < highest).then_some(integer.maximum);
    let unit = integer.unit.map_or("", |unit| match unit {
        Unit::Us => " microseconds",
        Unit::Ms => " milliseconds",
        Unit::Seconds => " seconds",
        Unit::Minutes => " minutes",
        Unit::Hours => " hours",
        Unit::Days => " days",
    });
    let bounds = range(minimum, maximum, unit);
    if bounds.is_empty() && !unit.is_empty() {
        format!("{word},{unit}")
    } else {
        format!("{word}{bounds}")
    }
}

fn text(text: &Text) -> String {
    let mut out = format!("string{}", range(text.min_length, text.max_length, " characters"));
    if let Some(pattern) = &text.pattern {
        out += &format!(", matching {}", code(pattern));
    }
    out
}

fn range<T: std::fmt::Display>(minimum: Option<T>, maximum: Option<T>, unit: &str) -> String {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) => format!(", {minimum} to {maximum}{unit}"),
        (Some(minimum), None) => format!(", at least {minimum}{unit}"),
        (None, Some(maximum)) => format!(", at most {maximum}{unit}"),
        (None, None) => String::new(),
    }
}
