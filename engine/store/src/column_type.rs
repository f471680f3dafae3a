//! SQL names of column types.

use std::fmt;

use crate::types::ColumnType;

/// A type name that is not known or not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type \"{name}\" {reason}")]
pub struct TypeNameError {
    pub name: String,
    pub reason: String,
}

impl ColumnType {
    /// The type of a SQL name, aliases included.
    pub fn parse(name: &str) -> Result<ColumnType, TypeNameError> {
        unimplemented!()
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Int2 => f.write_str("smallint"),
            ColumnType::Int4 => f.write_str("integer"),
            ColumnType::Int8 => f.write_str("bigint"),
            ColumnType::Real => f.write_str("real"),
            ColumnType::Double => f.write_str("double precision"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::Text => f.write_str("text"),
            ColumnType::Bytea => f.write_str("bytea"),
            ColumnType::Uuid => f.write_str("uuid"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Timestamptz => f.write_str("timestamptz"),
            ColumnType::Json => f.write_str("json"),
        }
    }
}
