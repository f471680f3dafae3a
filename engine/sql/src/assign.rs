//! Computed values to the type of the column they are stored in.
//!
//! PostgreSQL's assignment casts: text is read as the column's type, numbers convert among each other and round
//! half away from zero (floats half to even) where digits are lost, dates and timestamps convert among each
//! other, and anything can be stored as text except bytea. Everything else is a type mismatch. A value that
//! doesn't fit is an error that names it, never cut.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use rustydb_store::datum::datum_from_text;
use rustydb_store::tables::TableError;
use rustydb_store::types::{ColumnDef, ColumnType, Datum, TableDef};

use crate::cells::datum;
use crate::columns::{arrow_type, type_name};
use crate::error::{Result, SqlError};
use crate::failure::{VALUE_CHARS_MAX, shortened};

/// All values of `array` for a column of `table`.
pub(crate) fn assign(
    array: &ArrayRef,
    field: &Field,
    table: &TableDef,
    column: &ColumnDef,
) -> Result<Vec<Datum>> {
    let from = array.data_type();
    let to = column.data_type;
    if *from == DataType::Null {
        return Ok(vec![Datum::Null; array.len()]);
    }
    if is_text(from) && to != ColumnType::Text {
        return texts(array, table, column);
    }
    if !assignable(from, to) {
        return Err(SqlError::mismatch(format!(
            "column \"{}\" of table \"{}\" is {to}, the value is {}; cast it",
            column.name,
            table.name,
            type_name(field)
        )));
    }
    let converted = convert(array, to).map_err(|_| offender(array, table, column))?;
    (0..converted.len())
        .map(|row| datum(&converted, row, to))
        .collect()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn texts(array: &ArrayRef, table: &TableDef, column: &ColumnDef) -> Result<Vec<Datum>> {
    let text = cast_with_options(array, &DataType::Utf8, &STRICT)
        .map_err(|error| SqlError::Internal(error.to_string()))?;
    let read = |value: Option<&str>| match value {
        None => Ok(Datum::Null),
        Some(value) => datum_from_text(value, column.data_type)
            .map_err(|error| invalid(table, column, value, &error.to_string())),
    };
    text.as_string::<i32>().iter().map(read).collect()
}

/// A value that can't be read as the column's type.
pub(crate) fn invalid(table: &TableDef, column: &ColumnDef, value: &str, reason: &str) -> SqlError {
    SqlError::Table(TableError::InvalidValue {
        table: table.name.clone(),
        column: column.name.clone(),
        value: format!("'{}'", shortened(value, VALUE_CHARS_MAX)),
        reason: reason.to_owned(),
    })
}

fn assignable(from: &DataType, to: ColumnType) -> bool {
    let number = from.is_numeric();
    let moment = matches!(
        from,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
    );
    match to {
        ColumnType::Boolean => *from == DataType::Boolean,
        ColumnType::Int2
        | ColumnType::Int4
        | ColumnType::Int8
        | ColumnType::Real
        | ColumnType::Double
        | ColumnType::Decimal { .. } => number,
        ColumnType::Text => {
            is_text(from)
                || number
                || moment
                || matches!(
                    from,
                    DataType::Boolean | DataType::Interval(_) | DataType::Time64(_)
                )
        }
        ColumnType::Bytea => {
            matches!(
                from,
                DataType::Binary
                    | DataType::LargeBinary
                    | DataType::BinaryView
                    | DataType::FixedSizeBinary(_)
            )
        }
        ColumnType::Date | ColumnType::Timestamp | ColumnType::Timestamptz => moment,
        ColumnType::Uuid | ColumnType::Json => false,
    }
}

const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

fn convert(array: &ArrayRef, to: ColumnType) -> Result<ArrayRef, datafusion::arrow::error::ArrowError> {
    let target = arrow_type(to);
    let mut array = Arc::clone(array);
    if target.is_integer() {
        // Casts cut fractions off; SQL rounds them.
        match array.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let floats = cast_with_options(&array, &DataType::Float64, &STRICT)?;
                let rounded: Float64Array = floats.as_primitive::<Float64Type>().unary(f64::round_ties_even);
                array = Arc::new(rounded);
            }
            DataType::Decimal128(precision, scale) if *scale > 0 => {
                array = cast_with_options(&array, &DataType::Decimal128(*precision, 0), &STRICT)?;
            }
            _ => {}
        }
    }
    cast_with_options(&array, &target, &STRICT)
}

/// Which value did not convert.
fn offender(array: &ArrayRef, table: &TableDef, column: &ColumnDef) -> SqlError {
    let failed = (0..array.len()).find(|row| convert(&array.slice(*row, 1), column.data_type).is_err());
    let value = failed.and_then(|row| {
        let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::new()).ok()?;
        Some(formatter.value(row).to_string())
    });
    SqlError::Table(TableError::OutOfRange {
        table: table.name.clone(),
        column: column.name.clone(),
        value: value.unwrap_or_else(|| "a value".to_owned()),
        data_type: column.data_type,
    })
}
