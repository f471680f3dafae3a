//! Reading: one snapshot with one write set laid over it.

use std::sync::Arc;

use crate::seam::{CommitSeq, KeyRange};
use crate::tables::Result;
use crate::types::{DatabaseDef, Datum, Row, RowKey, SchemaDef, TableDef, UniqueDef, ViewDef};

/// A table or a view; both share one name space.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    Table(Arc<TableDef>),
    View(Arc<ViewDef>),
}

/// Sizes of a table as its transaction sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableStats {
    pub row_count: u64,
    /// Key and value bytes of the rows, without the store's own overhead.
    pub row_bytes: u64,
    /// Key and value bytes of all its indexes.
    pub index_bytes: u64,
    /// When rows or definition last changed, microseconds since the Unix epoch; own writes count at commit.
    pub modified_at_us: i64,
}

/// What a transaction sees, frozen: cheap to clone and to send, unaffected by later writes.
#[derive(Clone)]
pub struct TxnReader {}

impl TxnReader {
    pub fn snapshot_seq(&self) -> CommitSeq {
        unimplemented!()
    }
    pub fn databases(&self) -> Result<Vec<DatabaseDef>> {
        unimplemented!()
    }
    pub fn database(&self, name: &str) -> Result<Option<DatabaseDef>> {
        unimplemented!()
    }
    /// Fails with `DatabaseNotFound` when there is no such database.
    pub fn schemas(&self, database: &str) -> Result<Vec<SchemaDef>> {
        unimplemented!()
    }
    pub fn relation(&self, database: &str, schema: &str, name: &str) -> Result<Option<Relation>> {
        unimplemented!()
    }
    pub fn table(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<TableDef>>> {
        unimplemented!()
    }
    pub fn tables(&self, database: &str) -> Result<Vec<Arc<TableDef>>> {
        unimplemented!()
    }
    pub fn view(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<ViewDef>>> {
        unimplemented!()
    }
    pub fn views(&self, database: &str) -> Result<Vec<Arc<ViewDef>>> {
        unimplemented!()
    }
    pub fn get(&self, table: &TableDef, key: &RowKey) -> Result<Option<Row>> {
        unimplemented!()
    }
    /// At most `rows_max` rows in key order; fewer means that the range is exhausted.
    pub fn scan(&self, table: &TableDef, range: &KeyRange, rows_max: usize) -> Result<Vec<(RowKey, Row)>> {
        unimplemented!()
    }
    /// Like `scan`, each row holding only the columns at `columns`, in that order.
    pub fn scan_columns(
        &self,
        table: &TableDef,
        range: &KeyRange,
        rows_max: usize,
        columns: &[usize],
    ) -> Result<Vec<(RowKey, Row)>> {
        unimplemented!()
    }
    /// The row with these values in the columns of a unique constraint; never one when a value is NULL.
    pub fn find_unique(&self, table: &TableDef, unique: &UniqueDef, values: &[Datum]) -> Result<Option<RowKey>> {
        unimplemented!()
    }
    pub fn row_count(&self, table: &TableDef) -> Result<u64> {
        unimplemented!()
    }
    pub fn table_stats(&self, table: &TableDef) -> Result<TableStats> {
        unimplemented!()
    }
}
