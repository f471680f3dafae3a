//! A row's key as clients see it: the primary key as text, several key columns as a JSON array, and without a
//! primary key the row's number.

use serde_json::Value;

use crate::codec::{decode_key, primary_key, rowid_key, rowid_of};
use crate::datum::{CastError, datum_from_json, datum_from_text, datum_to_json, datum_to_text};
use crate::types::{ColumnType, RowKey, TableDef};

/// A row's key as clients see it. Fails only when the key is not one of the table's.
pub fn row_id_text(table: &TableDef, key: &RowKey) -> Result<String, CastError> {
    let types = key_types(table);
    let foreign = || {
        let bytes: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        CastError::new(
            bytes,
            format_args!("a row id of table \"{}\"", table.name),
            "the key is not one of this table",
        )
    };
    if types.is_empty() {
        return rowid_of(key).map(|rowid| rowid.to_string()).ok_or_else(foreign);
    }
    let values = decode_key(&types, &key.0).ok_or_else(foreign)?;
    if let ([value], [data_type]) = (values.as_slice(), types.as_slice()) {
        return datum_to_text(value, *data_type).ok_or_else(foreign);
    }
    let values: Vec<Value> = values
        .iter()
        .zip(&types)
        .map(|(value, &data_type)| datum_to_json(value, data_type))
        .collect();
    Ok(Value::Array(values).to_string())
}

/// The key that a row id stands for.
pub fn parse_row_id(table: &TableDef, text: &str) -> Result<RowKey, CastError> {
    let refuse = |remedy: String| {
        CastError::new(
            format_args!("{text:?}"),
            format_args!("a row id of table \"{}\"", table.name),
            remedy,
        )
    };
    let types = key_types(table);
    let values = match types.as_slice() {
        [] => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let rowid = text.parse().ok().filter(|_| digits);
            return rowid
                .map(rowid_key)
                .ok_or_else(|| refuse("write the row's number, its _rowid".to_owned()));
        }
        [data_type] => vec![datum_from_text(text, *data_type)?],
        several => {
            let names = || {
                table
                    .primary_key
                    .iter()
                    .map(|&at| table.columns[at].name.as_str())
                    .collect::<Vec<_>>()
            };
            let shape = || {
                refuse(format!(
                    "write a JSON array of the key's values: [{}]",
                    names().join(", ")
                ))
            };
            let values: Vec<Value> = serde_json::from_str(text).map_err(|_| shape())?;
            if values.len() != several.len() {
                return Err(shape());
            }
            values
                .iter()
                .zip(several)
                .map(|(value, &data_type)| datum_from_json(value, data_type))
                .collect::<Result<Vec<_>, _>>()?
        }
    };
    primary_key(table, &values).ok_or_else(|| refuse("a primary key is never null".to_owned()))
}

fn key_types(table: &TableDef) -> Vec<ColumnType> {
    table
        .primary_key
        .iter()
        .map(|&column| table.columns[column].data_type)
        .collect()
}
