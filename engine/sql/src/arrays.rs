//! Stored rows to Arrow arrays.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::DataType;
use rustydb_store::types::{ColumnType, Datum, Row, RowKey};

use crate::columns::{UTC, arrow_type};
use crate::error::{Result, SqlError};

/// One column of `rows`, the one at `index` of each.
pub(crate) fn column(rows: &[(RowKey, Row)], index: usize, column: ColumnType) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $variant:ident) => {{
            let mut builder = $builder;
            for (_, row) in rows {
                match &row[index] {
                    Datum::Null => builder.append_null(),
                    Datum::$variant(value) => builder.append_value(value.clone()),
                    other => return Err(wrong(other, column)),
                }
            }
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }};
    }
    let many = rows.len();
    match column {
        ColumnType::Boolean => build!(BooleanBuilder::with_capacity(many), Boolean),
        ColumnType::Int2 => build!(Int16Builder::with_capacity(many), Int2),
        ColumnType::Int4 => build!(Int32Builder::with_capacity(many), Int4),
        ColumnType::Int8 => build!(Int64Builder::with_capacity(many), Int8),
        ColumnType::Real => build!(Float32Builder::with_capacity(many), Real),
        ColumnType::Double => build!(Float64Builder::with_capacity(many), Double),
        ColumnType::Decimal { .. } => {
            build!(
                Decimal128Builder::with_capacity(many).with_data_type(arrow_type(column)),
                Decimal
            )
        }
        ColumnType::Text => texts(rows, index, column),
        ColumnType::Uuid => texts(rows, index, column),
        ColumnType::Json => texts(rows, index, column),
        ColumnType::Bytea => {
            let mut builder = BinaryBuilder::with_capacity(many, many * 16);
            for (_, row) in rows {
                match &row[index] {
                    Datum::Null => builder.append_null(),
                    Datum::Bytea(bytes) => builder.append_value(bytes),
                    other => return Err(wrong(other, column)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        ColumnType::Date => build!(Date32Builder::with_capacity(many), Date),
        ColumnType::Timestamp => build!(TimestampMicrosecondBuilder::with_capacity(many), Timestamp),
        ColumnType::Timestamptz => {
            build!(
                TimestampMicrosecondBuilder::with_capacity(many).with_timezone(UTC),
                Timestamptz
            )
        }
    }
}

fn texts(rows: &[(RowKey, Row)], index: usize, column: ColumnType) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
    for (_, row) in rows {
        match &row[index] {
            Datum::Null => builder.append_null(),
            Datum::Text(text) if column == ColumnType::Text => builder.append_value(text),
            Datum::Json(text) if column == ColumnType::Json => builder.append_value(text),
            Datum::Uuid(bytes) if column == ColumnType::Uuid => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                builder.append_value(
                    uuid::Uuid::from_bytes(*bytes)
                        .hyphenated()
                        .encode_lower(&mut text),
                );
            }
            other => return Err(wrong(other, column)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The rows' keys.
pub(crate) fn keys(rows: &[(RowKey, Row)]) -> ArrayRef {
    let mut builder = BinaryBuilder::with_capacity(rows.len(), rows.len() * 16);
    for (RowKey(key), _) in rows {
        builder.append_value(key);
    }
    debug_assert_eq!(arrow_type(ColumnType::Bytea), DataType::Binary);
    Arc::new(builder.finish())
}

fn wrong(found: &Datum, column: ColumnType) -> SqlError {
    SqlError::Internal(format!(
        "a stored row holds {found:?} in a column of type {column}"
    ))
}
