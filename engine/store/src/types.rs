//! Column types, values, and what the catalog says of a table.

use serde::{Deserialize, Serialize};

use crate::seam::SpaceId;

/// Largest precision of a decimal column, in digits.
pub const DECIMAL_PRECISION_MAX: u8 = 38;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColumnType {
    Boolean,
    Int2,
    Int4,
    Int8,
    Real,
    Double,
    /// `precision` digits in all, `scale` of them behind the point; `scale <= precision <= 38`.
    Decimal {
        precision: u8,
        scale: u8,
    },
    Text,
    Bytea,
    Uuid,
    Date,
    Timestamp,
    Timestamptz,
    Json,
}

/// One value. The column's type says how to read it: a decimal is its unscaled integer.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Null,
    Boolean(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Real(f32),
    Double(f64),
    /// The value times ten to the column's scale.
    Decimal(i128),
    Text(String),
    Bytea(Vec<u8>),
    Uuid([u8; 16]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00, without a zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamptz(i64),
    /// JSON text that parses.
    Json(String),
}

/// A row in column order.
pub type Row = Vec<Datum>;

/// A row's place in its table: the encoded primary key, or the generated row number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub Vec<u8>);

/// Identifier of a catalog object, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ObjectId(pub u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnDef {
    pub name: String,
    pub data_type: ColumnType,
    pub nullable: bool,
    /// Default as SQL text, evaluated for each row inserted without the column.
    pub default: Option<String>,
    /// What rows written before the column existed read as, in the JSON form of values; `None` means NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UniqueDef {
    pub name: String,
    /// Positions in `TableDef::columns`.
    pub columns: Vec<usize>,
    pub space: SpaceId,
}

/// How far an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Every change of a row maintains it, but rows that were there before may still be missing: nobody reads it.
    Building,
    /// It has an entry for each row that is to have one.
    Ready,
}

/// An index as the definition of its table keeps it. While one is rebuilt there are two of its name and id, the
/// second one building.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexDef {
    pub id: ObjectId,
    pub name: String,
    /// Positions in `TableDef::columns`.
    pub columns: Vec<usize>,
    /// Whether two rows may not have the same values, NULLs aside.
    pub unique: bool,
    pub state: IndexState,
    pub space: SpaceId,
    pub created_at_us: i64,
}

/// A table as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    pub id: ObjectId,
    pub database: String,
    pub schema: String,
    pub name: String,
    pub columns: Vec<ColumnDef>,
    /// Positions in `columns`, in key order; empty means that rows get a generated `_rowid`.
    pub primary_key: Vec<usize>,
    pub unique: Vec<UniqueDef>,
    pub indexes: Vec<IndexDef>,
    /// Where the rows live.
    pub space: SpaceId,
    /// Counts the changes of this definition's columns and keys, from 1. Indexes are none.
    pub schema_version: u32,
    pub created_at_us: i64,
    /// When the table was last created, replaced or truncated, microseconds since the Unix epoch.
    pub altered_at_us: i64,
}

/// A view as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDef {
    pub id: ObjectId,
    pub database: String,
    pub schema: String,
    pub name: String,
    /// The defining query as SQL text.
    pub query: String,
    /// Tables and views of the same database that the query reads, by name.
    pub depends_on: Vec<String>,
    pub created_at_us: i64,
}

/// A database as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseDef {
    pub id: ObjectId,
    pub name: String,
    pub created_at_us: i64,
}

/// A schema as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDef {
    pub id: ObjectId,
    pub database: String,
    pub name: String,
    pub created_at_us: i64,
}
