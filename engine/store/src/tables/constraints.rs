//! What a row must satisfy on its own: number and types of values, NOT NULL, ranges, sizes.

use crate::codec::{encode_key, encode_row};
use crate::datum::{
    DATE_DAYS_MAX, DATE_DAYS_MIN, TIMESTAMP_US_MAX, TIMESTAMP_US_MIN, datum_to_text, decimal_fits, shortened,
};
use crate::tables::entries::violation;
use crate::tables::{Result, TableError};
use crate::types::{ColumnDef, ColumnType, Datum, RowKey, TableDef};

/// Largest encoded key of a row, of a unique constraint, or of an index with the row key behind it.
pub const KEY_BYTES_MAX: usize = crate::limits::KEY_BYTES_MAX;
/// Largest text, bytea or json value.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Largest encoded row.
pub const ROW_BYTES_MAX: usize = 32 << 20;

/// Checks a row by itself and encodes it.
pub(super) fn encode_checked(table: &TableDef, row: &[Datum]) -> Result<Vec<u8>> {
    if row.len() != table.columns.len() {
        return Err(TableError::ColumnCount {
            table: table.name.clone(),
            expected: table.columns.len(),
            found: row.len(),
        });
    }
    for (column, value) in table.columns.iter().zip(row) {
        check_value(&table.name, column, value)?;
    }
    let bytes = encode_row(table, row);
    within(table, "a row", bytes.len(), ROW_BYTES_MAX)?;
    Ok(bytes)
}

/// The key of a checked row; `None` when the table has no primary key.
pub(super) fn row_key(table: &TableDef, row: &[Datum]) -> Result<Option<RowKey>> {
    if table.primary_key.is_empty() {
        return Ok(None);
    }
    let values = values_of(row, &table.primary_key);
    let key = encode_key(&values).expect("checked rows have no NULL in key columns, and keys no json");
    within(table, "the primary key", key.len(), KEY_BYTES_MAX)?;
    Ok(Some(RowKey(key)))
}

pub(super) fn primary_key_violation(table: &TableDef, row: &[Datum]) -> TableError {
    let values = values_of(row, &table.primary_key);
    violation(table, &table.primary_key_name(), &table.primary_key, &values)
}

pub(super) fn values_of(row: &[Datum], columns: &[usize]) -> Vec<Datum> {
    columns.iter().map(|&column| row[column].clone()).collect()
}

/// Whether a value may stand in a column.
pub(super) fn check_value(table: &str, column: &ColumnDef, value: &Datum) -> Result<()> {
    if value.is_null() {
        return if column.nullable {
            Ok(())
        } else {
            Err(TableError::NotNullViolation {
                table: table.to_owned(),
                column: column.name.clone(),
            })
        };
    }
    if !column.data_type.is_type_of(value) {
        return Err(TableError::TypeMismatch {
            table: table.to_owned(),
            column: column.name.clone(),
            expected: column.data_type,
            found: value.type_name(),
        });
    }
    let in_range = match (value, column.data_type) {
        (Datum::Decimal(v), ColumnType::Decimal { precision, .. }) => decimal_fits(*v, precision),
        (Datum::Date(v), _) => (DATE_DAYS_MIN..=DATE_DAYS_MAX).contains(v),
        (Datum::Timestamp(v) | Datum::Timestamptz(v), _) => (TIMESTAMP_US_MIN..=TIMESTAMP_US_MAX).contains(v),
        _ => true,
    };
    if !in_range {
        return Err(TableError::OutOfRange {
            table: table.to_owned(),
            column: column.name.clone(),
            value: datum_to_text(value, column.data_type).unwrap_or_default(),
            data_type: column.data_type,
        });
    }
    let bytes = match value {
        Datum::Text(v) | Datum::Json(v) => v.len(),
        Datum::Bytea(v) => v.len(),
        _ => 0,
    };
    if bytes > VALUE_BYTES_MAX {
        return Err(TableError::TooLarge {
            table: table.to_owned(),
            what: format!("the value of column \"{}\"", column.name),
            bytes,
            bytes_max: VALUE_BYTES_MAX,
        });
    }
    if let Datum::Json(text) = value
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        return Err(TableError::InvalidValue {
            table: table.to_owned(),
            column: column.name.clone(),
            value: shortened(text),
            reason: format!("it is not JSON: {error}"),
        });
    }
    Ok(())
}

pub(super) fn within(table: &TableDef, what: &str, bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(TableError::TooLarge {
        table: table.name.clone(),
        what: what.to_owned(),
        bytes,
        bytes_max,
    })
}
