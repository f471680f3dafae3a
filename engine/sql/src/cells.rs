//! Arrow cells to stored values and to JSON.
//!
//! A cell whose type a column can have goes through [`Datum`], so that a computed value and a stored one of the
//! same type look the same on the wire.

use std::sync::Arc;

use chrono::{NaiveTime, TimeDelta};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use rustydb_store::datum::datum_to_json;
use rustydb_store::types::{ColumnType, Datum};
use serde_json::{Map, Value as Json};

use crate::columns::{UTC, column_type};
use crate::error::{Result, SqlError};

/// The value at `row`; the array is of the Arrow type of `column`.
pub(crate) fn datum(array: &dyn Array, row: usize, column: ColumnType) -> Result<Datum> {
    if array.is_null(row) {
        return Ok(Datum::Null);
    }
    Ok(match column {
        ColumnType::Boolean => Datum::Boolean(array.as_boolean().value(row)),
        ColumnType::Int2 => Datum::Int2(array.as_primitive::<Int16Type>().value(row)),
        ColumnType::Int4 => Datum::Int4(array.as_primitive::<Int32Type>().value(row)),
        ColumnType::Int8 => Datum::Int8(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Real => Datum::Real(array.as_primitive::<Float32Type>().value(row)),
        ColumnType::Double => Datum::Double(array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Decimal { .. } => Datum::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        ColumnType::Text => Datum::Text(array.as_string::<i32>().value(row).to_owned()),
        ColumnType::Json => Datum::Json(array.as_string::<i32>().value(row).to_owned()),
        ColumnType::Uuid => {
            let text = array.as_string::<i32>().value(row);
            let parsed = uuid::Uuid::try_parse(text)
                .map_err(|error| SqlError::mismatch(format!("'{text}' is not a valid uuid: {error}")))?;
            Datum::Uuid(parsed.into_bytes())
        }
        ColumnType::Bytea => Datum::Bytea(array.as_binary::<i32>().value(row).to_vec()),
        ColumnType::Date => Datum::Date(array.as_primitive::<Date32Type>().value(row)),
        ColumnType::Timestamp => {
            Datum::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        ColumnType::Timestamptz => {
            Datum::Timestamptz(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
    })
}

/// A whole column in the JSON of the wire.
pub(crate) fn json_column(array: &ArrayRef, field: &Field) -> Result<Vec<Json>> {
    if let Some(column) = column_type(field) {
        return (0..array.len())
            .map(|row| Ok(datum_to_json(&datum(array, row, column)?, column)))
            .collect();
    }
    let plain = |to: DataType, mark: &Field| -> Result<Vec<Json>> {
        let array = cast(array, &to).map_err(|error| SqlError::Internal(error.to_string()))?;
        json_column(&array, &mark.clone().with_data_type(to))
    };
    match field.data_type() {
        DataType::Null => Ok(vec![Json::Null; array.len()]),
        DataType::Int8 | DataType::UInt8 => plain(DataType::Int16, field),
        DataType::UInt16 => plain(DataType::Int32, field),
        DataType::UInt32 => plain(DataType::Int64, field),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            Ok(values
                .iter()
                .map(|value| value.map_or(Json::Null, unsigned))
                .collect())
        }
        DataType::Float16 => plain(DataType::Float32, field),
        DataType::LargeUtf8 | DataType::Utf8View => plain(DataType::Utf8, field),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            plain(DataType::Binary, field)
        }
        DataType::Date64 => plain(DataType::Date32, field),
        DataType::Timestamp(_, None) => plain(DataType::Timestamp(TimeUnit::Microsecond, None), field),
        DataType::Timestamp(_, Some(_)) => plain(
            DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC))),
            field,
        ),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) if *scale >= 0 => {
            plain(DataType::Decimal128(*precision, *scale), field)
        }
        DataType::Dictionary(_, value) => plain(value.as_ref().clone(), field),
        DataType::Interval(_) | DataType::Duration(_) => intervals(array),
        DataType::Time32(_) | DataType::Time64(_) => times(array),
        DataType::List(item) => lists(array.as_list::<i32>().iter(), item),
        DataType::LargeList(item) => lists(array.as_list::<i64>().iter(), item),
        DataType::FixedSizeList(item, _) => lists(array.as_fixed_size_list().iter(), item),
        DataType::Struct(_) => records(array.as_struct()),
        _ => {
            // Types that no function here makes; their text is at least true.
            let text = cast(array, &DataType::Utf8).map_err(|error| SqlError::Internal(error.to_string()))?;
            json_column(&text, &Field::new(field.name(), DataType::Utf8, true))
        }
    }
}

fn unsigned(value: u64) -> Json {
    const EXACT_MAX: u64 = (1 << 53) - 1;
    if value <= EXACT_MAX {
        Json::from(value)
    } else {
        Json::String(value.to_string())
    }
}

fn lists(values: impl Iterator<Item = Option<ArrayRef>>, item: &Field) -> Result<Vec<Json>> {
    values
        .map(|list| list.map_or(Ok(Json::Null), |list| json_column(&list, item).map(Json::Array)))
        .collect()
}

fn records(values: &StructArray) -> Result<Vec<Json>> {
    let columns = values
        .fields()
        .iter()
        .zip(values.columns())
        .map(|(field, column)| Ok((field.name().clone(), json_column(column, field)?)))
        .collect::<Result<Vec<_>>>()?;
    let record = |row: usize| -> Json {
        if values.is_null(row) {
            return Json::Null;
        }
        Json::Object(
            columns
                .iter()
                .map(|(name, cells)| (name.clone(), cells[row].clone()))
                .collect::<Map<_, _>>(),
        )
    };
    Ok((0..values.len()).map(record).collect())
}

fn times(array: &ArrayRef) -> Result<Vec<Json>> {
    let array = cast(array, &DataType::Time64(TimeUnit::Microsecond))
        .map_err(|error| SqlError::Internal(error.to_string()))?;
    let values = array.as_primitive::<datafusion::arrow::datatypes::Time64MicrosecondType>();
    let shown = |micros: i64| {
        let time = NaiveTime::MIN
            .overflowing_add_signed(TimeDelta::microseconds(micros))
            .0;
        Json::String(time.format("%H:%M:%S%.6f").to_string())
    };
    Ok(values
        .iter()
        .map(|value| value.map_or(Json::Null, shown))
        .collect())
}

/// ISO 8601 durations, such as `P1Y2M3DT4H5M6.5S`.
fn intervals(array: &ArrayRef) -> Result<Vec<Json>> {
    let array = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))
        .map_err(|error| SqlError::Internal(error.to_string()))?;
    let values = array.as_primitive::<IntervalMonthDayNanoType>();
    let shown = |value: datafusion::arrow::datatypes::IntervalMonthDayNano| {
        Json::String(iso_duration(value.months, value.days, value.nanoseconds))
    };
    Ok(values
        .iter()
        .map(|value| value.map_or(Json::Null, shown))
        .collect())
}

fn iso_duration(months: i32, days: i32, nanoseconds: i64) -> String {
    let mut text = String::from("P");
    let mut put = |value: i64, unit: char| {
        if value != 0 {
            text.push_str(&format!("{value}{unit}"));
        }
    };
    put(i64::from(months / 12), 'Y');
    put(i64::from(months % 12), 'M');
    put(i64::from(days), 'D');
    const SECOND: i64 = 1_000_000_000;
    if nanoseconds != 0 {
        text.push('T');
        let (hours, rest) = (nanoseconds / (3_600 * SECOND), nanoseconds % (3_600 * SECOND));
        let (minutes, rest) = (rest / (60 * SECOND), rest % (60 * SECOND));
        if hours != 0 {
            text.push_str(&format!("{hours}H"));
        }
        if minutes != 0 {
            text.push_str(&format!("{minutes}M"));
        }
        if rest != 0 {
            let sign = if rest < 0 { "-" } else { "" };
            let (seconds, fraction) = ((rest / SECOND).unsigned_abs(), (rest % SECOND).unsigned_abs());
            text.push_str(&format!("{sign}{seconds}"));
            if fraction != 0 {
                text.push_str(format!(".{fraction:09}").trim_end_matches('0'));
            }
            text.push('S');
        }
    }
    if text == "P" { "PT0S".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::iso_duration;

    #[test]
    fn durations_are_iso_8601() {
        assert_eq!(iso_duration(0, 0, 0), "PT0S");
        assert_eq!(iso_duration(14, 3, 3_723_500_000_000), "P1Y2M3DT1H2M3.5S");
        assert_eq!(iso_duration(0, -1, -500_000_000), "P-1DT-0.5S");
    }
}
