//! What a caller says of a table or view to be made.

use crate::types::{ColumnType, Datum};

/// A table to create or replace.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    pub database: String,
    pub schema: String,
    pub name: String,
    pub columns: Vec<ColumnSpec>,
    /// Column names in key order; empty means that rows get a generated `_rowid`.
    pub primary_key: Vec<String>,
    pub unique: Vec<UniqueSpec>,
}

/// A column of a [`TableSpec`].
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    pub name: String,
    pub data_type: ColumnType,
    pub nullable: bool,
    /// Default as SQL text; the layer above evaluates it for each inserted row.
    pub default: Option<String>,
    /// The default's value when it is a constant: what rows that exist already get in a new column.
    pub fill: Option<Datum>,
}

/// A unique constraint of a [`TableSpec`]. Rows with a NULL in any of its columns are never duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueSpec {
    /// `None` names it `<table>_<columns>_key`.
    pub name: Option<String>,
    pub columns: Vec<String>,
}

/// A view to create or replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSpec {
    pub database: String,
    pub schema: String,
    pub name: String,
    /// The defining query as SQL text.
    pub query: String,
    /// Tables and views of the same database that the query reads, by name; all must exist.
    pub depends_on: Vec<String>,
}

/// An index to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    pub database: String,
    pub schema: String,
    /// Of its own: indexes share no name within a schema.
    pub name: String,
    pub table: String,
    /// Column names, the one that entries are ordered by first.
    pub columns: Vec<String>,
    /// Whether two rows may not have the same values. Rows with a NULL in any of the columns are never duplicates.
    pub unique: bool,
}
