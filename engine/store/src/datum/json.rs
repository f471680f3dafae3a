//! The JSON form of values.

use serde_json::{Number, Value};

use crate::datum::number;
use crate::datum::{CastError, JSON_INTEGER_MAX, datum_from_text, datum_to_text};
use crate::types::{ColumnType, Datum};

/// The JSON form of a value on the wire. `data_type` gives a decimal its scale.
pub fn datum_to_json(datum: &Datum, data_type: ColumnType) -> Value {
    match datum {
        Datum::Null => Value::Null,
        Datum::Boolean(v) => Value::Bool(*v),
        Datum::Int2(v) => Value::from(*v),
        Datum::Int4(v) => Value::from(*v),
        Datum::Int8(v) if v.unsigned_abs() <= JSON_INTEGER_MAX as u64 => Value::from(*v),
        // By way of the shortest text: widened as it is, 0.1 would read 0.10000000149011612.
        Datum::Real(v) => real_number(*v).map_or_else(|| text(datum, data_type), Value::Number),
        Datum::Double(v) => Number::from_f64(*v).map_or_else(|| text(datum, data_type), Value::Number),
        // A row's JSON was checked when it was written; should it not parse, its text is the honest answer.
        Datum::Json(v) => serde_json::from_str(v).unwrap_or_else(|_| Value::String(v.clone())),
        Datum::Int8(_)
        | Datum::Decimal(_)
        | Datum::Text(_)
        | Datum::Bytea(_)
        | Datum::Uuid(_)
        | Datum::Date(_)
        | Datum::Timestamp(_)
        | Datum::Timestamptz(_) => text(datum, data_type),
    }
}

fn text(datum: &Datum, data_type: ColumnType) -> Value {
    datum_to_text(datum, data_type).map_or(Value::Null, Value::String)
}

fn real_number(value: f32) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    value.to_string().parse::<f64>().ok().and_then(Number::from_f64)
}

/// The value that a JSON form stands for. `null` is NULL for every type, json included. Integers and decimals
/// may come as numbers or as strings of digits; a whole number may be written `3.0`.
pub fn datum_from_json(value: &Value, data_type: ColumnType) -> Result<Datum, CastError> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    let refuse = |remedy: &str| CastError::new(value, data_type, remedy);
    match data_type {
        ColumnType::Boolean => value
            .as_bool()
            .map(Datum::Boolean)
            .ok_or_else(|| refuse("write true or false")),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => match value {
            Value::Number(number) => datum_from_text(&whole_number_text(number), data_type),
            Value::String(text) => datum_from_text(text, data_type),
            _ => Err(refuse("write a whole number, or its digits as a string")),
        },
        ColumnType::Decimal { .. } => match value {
            Value::Number(number) => datum_from_text(&number.to_string(), data_type),
            Value::String(text) => datum_from_text(text, data_type),
            _ => Err(refuse("write a number, or its digits as a string")),
        },
        ColumnType::Real | ColumnType::Double => match value {
            Value::Number(number) => datum_from_text(&number.to_string(), data_type),
            Value::String(text) if number::parse_special(text).is_some() => datum_from_text(text, data_type),
            _ => Err(refuse(
                "write a number, or \"NaN\", \"Infinity\" or \"-Infinity\"",
            )),
        },
        ColumnType::Json => Ok(Datum::Json(value.to_string())),
        ColumnType::Text
        | ColumnType::Bytea
        | ColumnType::Uuid
        | ColumnType::Date
        | ColumnType::Timestamp
        | ColumnType::Timestamptz => match value {
            Value::String(text) => datum_from_text(text, data_type),
            _ => Err(refuse("write it as a string")),
        },
    }
}

/// `3.0` and `1e3` as an integer's digits; other numbers as they are, to be refused by name.
fn whole_number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() <= JSON_INTEGER_MAX as f64 => {
            (value as i64).to_string()
        }
        _ => number.to_string(),
    }
}
