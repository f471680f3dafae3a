//! Rows in the JSON of the wire, and as the engine stores them.

use rustydb_contract::{Json, Map, ServiceError, ServiceResult};
use rustydb_contract_core::errors::INTERNAL;
use rustydb_contract_database::errors::{COLUMN_NOT_FOUND, INVALID_VALUE};
use rustydb_contract_database::{Row, RowData};
use rustydb_store::datum::{datum_from_json, datum_to_json, parse_row_id, row_id_text};
use rustydb_store::types::{Datum, RowKey, TableDef};

use super::errors::invalid_value;

/// Place of a column.
pub(super) fn column_index(table: &TableDef, name: &str, path: &str) -> ServiceResult<usize> {
    table.column_index(name).ok_or_else(|| {
        ServiceError::new(
            &COLUMN_NOT_FOUND,
            format!(
                "{path}: table \"{}\" has no column \"{name}\"; it has {}",
                table.name,
                table.columns_shown()
            ),
        )
    })
}

/// The columns that the object names, with their values. `path` says where in the input it is.
pub(super) fn cells(table: &TableDef, data: &RowData, path: &str) -> ServiceResult<Vec<(usize, Datum)>> {
    let cell = |(name, value): (&String, &Json)| {
        let index = column_index(table, name, path)?;
        let datum = datum_from_json(value, table.columns[index].data_type)
            .map_err(|error| invalid_value(&format!("{path}.{name}"), name, &error))?;
        Ok((index, datum))
    };
    data.iter().map(cell).collect()
}

/// The key that a row's id stands for.
pub(super) fn row_key(table: &TableDef, id: &str) -> ServiceResult<RowKey> {
    parse_row_id(table, id).map_err(|error| ServiceError::new(&INVALID_VALUE, format!("id: {error}")))
}

pub(super) fn row_id(table: &TableDef, key: &RowKey) -> ServiceResult<String> {
    row_id_text(table, key).map_err(|error| ServiceError::new(&INTERNAL, error.to_string()))
}

/// A whole row as callers see it.
pub(super) fn shown(table: &TableDef, key: &RowKey, row: &[Datum]) -> ServiceResult<Row> {
    let mut data: RowData = Map::with_capacity(row.len());
    for (column, datum) in table.columns.iter().zip(row) {
        data.insert(column.name.clone(), datum_to_json(datum, column.data_type));
    }
    Ok(Row {
        id: row_id(table, key)?,
        data,
    })
}
