//! The contract's forms of databases, tables and views, and the engine's.

use std::sync::Arc;

use rustydb_contract::{ServiceError, ServiceResult, Timestamp};
use rustydb_contract_database::errors::{INVALID_DEFINITION, TABLE_NOT_FOUND};
use rustydb_contract_database::{Column, ColumnSpec, Table, UniqueConstraint, UniqueSpec, View};
use rustydb_store::tables::{self, PUBLIC_SCHEMA, Relation, TableSpec, TxnReader};
use rustydb_store::types::{ColumnType, TableDef, ViewDef};

use super::errors::table_error;

/// The table of a name.
pub(super) fn table(reader: &TxnReader, database: &str, name: &str) -> ServiceResult<Arc<TableDef>> {
    match reader
        .relation(database, PUBLIC_SCHEMA, name)
        .map_err(table_error)?
    {
        Some(Relation::Table(table)) => Ok(table),
        Some(Relation::View(_)) => Err(ServiceError::new(
            &TABLE_NOT_FOUND,
            format!(
                "\"{name}\" is a view of database \"{database}\", not a table; read it with sql.execute_query"
            ),
        )),
        None => Err(ServiceError::new(
            &TABLE_NOT_FOUND,
            format!(
                "database \"{database}\" has no table \"{name}\"; database.list_tables names those there are"
            ),
        )),
    }
}

/// A table with its present size.
pub(super) fn described(reader: &TxnReader, table: &TableDef) -> ServiceResult<Table> {
    let stats = reader.table_stats(table).map_err(table_error)?;
    let names = |places: &[usize]| {
        places
            .iter()
            .map(|&place| table.columns[place].name.clone())
            .collect()
    };
    let columns = table.columns.iter().map(|column| Column {
        name: column.name.clone(),
        r#type: column.data_type.to_string(),
        nullable: column.nullable,
        default: column.default.clone(),
    });
    let unique = table.unique.iter().map(|unique| UniqueConstraint {
        name: unique.name.clone(),
        columns: names(&unique.columns),
    });
    Ok(Table {
        database: table.database.clone(),
        schema: table.schema.clone(),
        name: table.name.clone(),
        columns: columns.collect(),
        primary_key: names(&table.primary_key),
        unique: unique.collect(),
        row_count: stats.row_count,
        size_bytes: stats.row_bytes + stats.index_bytes,
        schema_version: table.schema_version,
        created_at: Timestamp::from_micros(table.created_at_us),
    })
}

pub(super) fn described_view(view: &ViewDef) -> View {
    View {
        database: view.database.clone(),
        schema: view.schema.clone(),
        name: view.name.clone(),
        query: view.query.clone(),
        depends_on: view.depends_on.clone(),
        created_at: Timestamp::from_micros(view.created_at_us),
    }
}

/// A definition as it is asked for; defaults are yet to be evaluated.
pub(super) fn table_spec(
    database: &str,
    name: &str,
    columns: &[ColumnSpec],
    primary_key: Option<&[String]>,
    unique: Option<&[UniqueSpec]>,
) -> ServiceResult<TableSpec> {
    let column = |column: &ColumnSpec| {
        let data_type = ColumnType::parse(&column.r#type).map_err(|error| {
            ServiceError::new(
                &INVALID_DEFINITION,
                format!("column \"{}\" of table \"{name}\": {error}", column.name),
            )
        })?;
        Ok(tables::ColumnSpec {
            name: column.name.clone(),
            data_type,
            nullable: column.nullable.unwrap_or(true),
            default: column.default.clone(),
            fill: None,
        })
    };
    let constraint = |unique: &UniqueSpec| tables::UniqueSpec {
        name: unique.name.clone(),
        columns: unique.columns.clone(),
    };
    Ok(TableSpec {
        database: database.to_owned(),
        schema: PUBLIC_SCHEMA.to_owned(),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect::<ServiceResult<_>>()?,
        primary_key: primary_key.unwrap_or_default().to_vec(),
        unique: unique.unwrap_or_default().iter().map(constraint).collect(),
    })
}
