//! Changing rows. Constraints hold at the end of each call.

use crate::tables::{Result, Txn};
use crate::types::{Row, RowKey, TableDef};

impl Txn {
    pub fn insert(&mut self, table: &TableDef, row: Row) -> Result<RowKey> {
        unimplemented!()
    }
    /// Inserts all rows or none.
    pub fn insert_many(&mut self, table: &TableDef, rows: Vec<Row>) -> Result<Vec<RowKey>> {
        unimplemented!()
    }
    /// Replaces the row at `key`; the answer is its key now, another one when the primary key changed.
    pub fn update(&mut self, table: &TableDef, key: &RowKey, row: Row) -> Result<RowKey> {
        unimplemented!()
    }
    /// Replaces all these rows or none; keys are compared only once all have changed, so that
    /// `SET id = id + 1` works. A key named twice is refused.
    pub fn update_many(&mut self, table: &TableDef, rows: Vec<(RowKey, Row)>) -> Result<Vec<RowKey>> {
        unimplemented!()
    }
    /// Whether there was such a row.
    pub fn delete(&mut self, table: &TableDef, key: &RowKey) -> Result<bool> {
        unimplemented!()
    }
    /// How many of the rows there were.
    pub fn delete_many(&mut self, table: &TableDef, keys: &[RowKey]) -> Result<u64> {
        unimplemented!()
    }
}
