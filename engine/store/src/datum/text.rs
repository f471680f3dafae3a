//! The text form of values.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::datum::CastError;
use crate::datum::calendar::{self, TIMESTAMP_US_MAX, TIMESTAMP_US_MIN};
use crate::datum::number::{self, DecimalError};
use crate::types::{ColumnType, Datum};

/// The text form of a value; `None` for NULL. `data_type` gives a decimal its scale.
pub fn datum_to_text(datum: &Datum, data_type: ColumnType) -> Option<String> {
    Some(match datum {
        Datum::Null => return None,
        Datum::Boolean(v) => v.to_string(),
        Datum::Int2(v) => v.to_string(),
        Datum::Int4(v) => v.to_string(),
        Datum::Int8(v) => v.to_string(),
        Datum::Real(v) => number::real_text(*v),
        Datum::Double(v) => number::double_text(*v),
        Datum::Decimal(v) => match data_type {
            ColumnType::Decimal { scale, .. } => number::decimal_text(*v, scale),
            _ => v.to_string(),
        },
        Datum::Text(v) | Datum::Json(v) => v.clone(),
        Datum::Bytea(v) => BASE64.encode(v),
        Datum::Uuid(v) => uuid::Uuid::from_bytes(*v).to_string(),
        Datum::Date(v) => calendar::date_text(*v),
        Datum::Timestamp(v) => calendar::timestamp_text(*v),
        Datum::Timestamptz(v) => format!("{}Z", calendar::timestamp_text(*v)),
    })
}

/// The value that a text form stands for.
pub fn datum_from_text(text: &str, data_type: ColumnType) -> Result<Datum, CastError> {
    let refuse = |remedy: &str| CastError::new(format_args!("{text:?}"), data_type, remedy);
    Ok(match data_type {
        ColumnType::Boolean => match text {
            "true" => Datum::Boolean(true),
            "false" => Datum::Boolean(false),
            _ => return Err(refuse("write true or false")),
        },
        ColumnType::Int2 => Datum::Int2(integer(text, data_type, i16::MIN, i16::MAX)?),
        ColumnType::Int4 => Datum::Int4(integer(text, data_type, i32::MIN, i32::MAX)?),
        ColumnType::Int8 => Datum::Int8(integer(text, data_type, i64::MIN, i64::MAX)?),
        ColumnType::Real => Datum::Real(real(text).map_err(refuse)?),
        ColumnType::Double => Datum::Double(double(text).map_err(refuse)?),
        ColumnType::Decimal { precision, scale } => Datum::Decimal(
            number::parse_decimal(text, precision, scale).map_err(|error| match error {
                DecimalError::NotANumber => refuse("write digits such as -12.50"),
                DecimalError::TooFine => refuse(&format!("round it to {scale} digits behind the point")),
                DecimalError::TooLarge => refuse(&format!(
                    "at most {} digits before the point fit",
                    precision - scale
                )),
            })?,
        ),
        ColumnType::Text => Datum::Text(text.to_owned()),
        ColumnType::Bytea => Datum::Bytea(
            BASE64
                .decode(text)
                .map_err(|_| refuse("write standard base64 with padding"))?,
        ),
        ColumnType::Uuid => {
            let uuid = uuid::Uuid::try_parse(text).map_err(|_| {
                refuse("write 32 hexadecimal digits such as 67e55044-10b1-426f-9247-bb680e5fe0c8")
            })?;
            Datum::Uuid(uuid.into_bytes())
        }
        ColumnType::Date => Datum::Date(
            calendar::parse_date(text)
                .ok_or_else(|| refuse("write a date of the years 0001 to 9999 as YYYY-MM-DD"))?,
        ),
        ColumnType::Timestamp => match calendar::parse_timestamp(text) {
            Some((us, "")) => Datum::Timestamp(us),
            Some((_, rest)) if calendar::parse_zone(rest).is_some() => {
                return Err(refuse("leave the zone off, or make the column a timestamptz"));
            }
            _ => {
                return Err(refuse(
                    "write YYYY-MM-DDTHH:MM:SS with at most six digits of a second",
                ));
            }
        },
        ColumnType::Timestamptz => {
            let parsed = calendar::parse_timestamp(text)
                .and_then(|(us, zone)| Some(us - calendar::parse_zone(zone)?))
                .filter(|us| (TIMESTAMP_US_MIN..=TIMESTAMP_US_MAX).contains(us));
            Datum::Timestamptz(parsed.ok_or_else(|| {
                refuse(
                    "write YYYY-MM-DDTHH:MM:SS with at most six digits of a second and a zone, Z or +HH:MM",
                )
            })?)
        }
        ColumnType::Json => {
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|error| refuse(&format!("write valid JSON; {error}")))?;
            Datum::Json(text.to_owned())
        }
    })
}

fn integer<T: FromStr + Display>(text: &str, data_type: ColumnType, min: T, max: T) -> Result<T, CastError> {
    text.parse().map_err(|_| {
        CastError::new(
            format_args!("{text:?}"),
            data_type,
            format!("write a whole number from {min} to {max}"),
        )
    })
}

const FLOAT_REMEDY: &str =
    "write a number such as -1.5e3 that the type can hold, or NaN, Infinity or -Infinity";

fn double(text: &str) -> Result<f64, &'static str> {
    if let Some(special) = number::parse_special(text) {
        return Ok(special);
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .ok_or(FLOAT_REMEDY)
}

fn real(text: &str) -> Result<f32, &'static str> {
    if let Some(special) = number::parse_special(text) {
        return Ok(special as f32);
    }
    text.parse::<f32>()
        .ok()
        .filter(|value| value.is_finite())
        .ok_or(FLOAT_REMEDY)
}
