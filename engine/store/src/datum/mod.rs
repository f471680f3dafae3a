//! Values as text and JSON, and from them, by the rules of the wire.
//!
//! | type | text | JSON |
//! |---|---|---|
//! | boolean | `true`, `false` | the same |
//! | smallint, integer | decimal digits | a number |
//! | bigint | decimal digits | a number up to 2^53-1 in magnitude, beyond it a string |
//! | real, double precision | shortest digits that read back the same; `NaN`, `Infinity`, `-Infinity` | a number; the three as strings |
//! | decimal(p,s) | with all `s` digits behind the point | the text as a string |
//! | text | itself | a string |
//! | bytea | base64 with padding | the text as a string |
//! | uuid | lower case with hyphens | the text as a string |
//! | date | `2024-02-29` | the text as a string |
//! | timestamp | `2024-02-29T12:00:00.000000` | the text as a string |
//! | timestamptz | `2024-02-29T12:00:00.000000Z` | the text as a string |
//! | json | the JSON text | the JSON value |
//!
//! Reading never rounds, cuts or guesses: digits that the type can't keep are refused with a remedy. Only real and
//! double precision take the nearest value that they have. A JSON number with a fraction is a double already when
//! it gets here, so decimals of more than 15 digits must come as strings to keep them all.

mod calendar;
mod cast;
mod json;
mod number;
mod row_id;
mod text;

use std::fmt::Display;

pub use calendar::{DATE_DAYS_MAX, DATE_DAYS_MIN, TIMESTAMP_US_MAX, TIMESTAMP_US_MIN};
pub(crate) use cast::Widening;
pub use json::{datum_from_json, datum_to_json};
pub(crate) use number::decimal_fits;
pub use row_id::{parse_row_id, row_id_text};
pub use text::{datum_from_text, datum_to_text};

use crate::types::Datum;

/// Largest integer that a JSON number is used for: beyond it, readers that keep numbers as doubles lose digits.
pub const JSON_INTEGER_MAX: i64 = (1 << 53) - 1;

/// Characters of an offending value that an error repeats.
const ERROR_VALUE_CHARS_MAX: usize = 100;

/// A value that can't be had in the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} can't be read as {data_type}: {remedy}")]
pub struct CastError {
    /// The offending value, shortened.
    pub value: String,
    /// The type wanted, by its SQL name.
    pub data_type: String,
    pub remedy: String,
}

impl CastError {
    fn new(value: impl Display, data_type: impl Display, remedy: impl Into<String>) -> CastError {
        CastError {
            value: shortened(&value.to_string()),
            data_type: data_type.to_string(),
            remedy: remedy.into(),
        }
    }
}

/// At most a hundred characters of `text`, marked when cut.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(ERROR_VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}...", &text[..cut]),
    }
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The SQL name of the value's type, without a decimal's digits; `null` for NULL.
    pub fn type_name(&self) -> &'static str {
        match self {
            Datum::Null => "null",
            Datum::Boolean(_) => "boolean",
            Datum::Int2(_) => "smallint",
            Datum::Int4(_) => "integer",
            Datum::Int8(_) => "bigint",
            Datum::Real(_) => "real",
            Datum::Double(_) => "double precision",
            Datum::Decimal(_) => "decimal",
            Datum::Text(_) => "text",
            Datum::Bytea(_) => "bytea",
            Datum::Uuid(_) => "uuid",
            Datum::Date(_) => "date",
            Datum::Timestamp(_) => "timestamp",
            Datum::Timestamptz(_) => "timestamptz",
            Datum::Json(_) => "json",
        }
    }
}

#[cfg(test)]
mod tests;
