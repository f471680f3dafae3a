//! Values as text and JSON, and from them.

use serde_json::Value;

use crate::types::{ColumnType, Datum, RowKey, TableDef};

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

/// The JSON form of a value on the wire.
pub fn datum_to_json(datum: &Datum, data_type: ColumnType) -> Value {
    unimplemented!()
}

/// The value that a JSON form stands for.
pub fn datum_from_json(value: &Value, data_type: ColumnType) -> Result<Datum, CastError> {
    unimplemented!()
}

/// The text form of a value; `None` for NULL.
pub fn datum_to_text(datum: &Datum, data_type: ColumnType) -> Option<String> {
    unimplemented!()
}

/// The value that a text form stands for.
pub fn datum_from_text(text: &str, data_type: ColumnType) -> Result<Datum, CastError> {
    unimplemented!()
}

/// A row's key as clients see it.
pub fn row_id_text(table: &TableDef, key: &RowKey) -> Result<String, CastError> {
    unimplemented!()
}

/// The key that a row id stands for.
pub fn parse_row_id(table: &TableDef, text: &str) -> Result<RowKey, CastError> {
    unimplemented!()
}
