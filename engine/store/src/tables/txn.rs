//! A transaction: a snapshot and a private write set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::seam::{CommitSeq, KeyRange};
use crate::tables::{Relation, Result, TableStats, TxnReader};
use crate::types::{DatabaseDef, Datum, ObjectId, Row, RowKey, SchemaDef, TableDef, UniqueDef, ViewDef};

/// How many row changes a transaction holds for one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableChanges {
    pub table_id: ObjectId,
    pub database: String,
    pub schema: String,
    pub table: String,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOutcome {
    /// Position of the commit; of the snapshot when nothing was written.
    pub seq: CommitSeq,
    /// Whether anything was written.
    pub wrote: bool,
    pub changes: Vec<TableChanges>,
}

/// A point in a transaction to which it can return.
#[derive(Debug, Clone)]
pub struct Mark {}

/// A transaction under snapshot isolation. Dropping it rolls it back.
pub struct Txn {
    view: TxnReader,
    changes: BTreeMap<ObjectId, TableChanges>,
}

impl Txn {
    pub fn snapshot_seq(&self) -> CommitSeq {
        self.view.snapshot_seq()
    }
    pub fn is_read_only(&self) -> bool {
        unimplemented!()
    }
    /// An immutable view of what the transaction sees now.
    pub fn reader(&self) -> TxnReader {
        self.view.clone()
    }
    pub fn databases(&self) -> Result<Vec<DatabaseDef>> {
        self.view.databases()
    }
    pub fn database(&self, name: &str) -> Result<Option<DatabaseDef>> {
        self.view.database(name)
    }
    pub fn schemas(&self, database: &str) -> Result<Vec<SchemaDef>> {
        self.view.schemas(database)
    }
    pub fn relation(&self, database: &str, schema: &str, name: &str) -> Result<Option<Relation>> {
        self.view.relation(database, schema, name)
    }
    pub fn table(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<TableDef>>> {
        self.view.table(database, schema, name)
    }
    pub fn tables(&self, database: &str) -> Result<Vec<Arc<TableDef>>> {
        self.view.tables(database)
    }
    pub fn view(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<ViewDef>>> {
        self.view.view(database, schema, name)
    }
    pub fn views(&self, database: &str) -> Result<Vec<Arc<ViewDef>>> {
        self.view.views(database)
    }
    pub fn get(&self, table: &TableDef, key: &RowKey) -> Result<Option<Row>> {
        self.view.get(table, key)
    }
    pub fn scan(&self, table: &TableDef, range: &KeyRange, rows_max: usize) -> Result<Vec<(RowKey, Row)>> {
        self.view.scan(table, range, rows_max)
    }
    pub fn find_unique(&self, table: &TableDef, unique: &UniqueDef, values: &[Datum]) -> Result<Option<RowKey>> {
        self.view.find_unique(table, unique, values)
    }
    pub fn row_count(&self, table: &TableDef) -> Result<u64> {
        self.view.row_count(table)
    }
    pub fn table_stats(&self, table: &TableDef) -> Result<TableStats> {
        self.view.table_stats(table)
    }
    /// Row changes so far, per table, in order of table id.
    pub fn changes(&self) -> Vec<TableChanges> {
        self.changes.values().cloned().collect()
    }
    /// Remembers this point, so that a failing statement can leave nothing behind.
    pub fn mark(&self) -> Mark {
        unimplemented!()
    }
    /// Undoes everything since `mark`, which must be of this transaction and not already undone past.
    pub fn undo_to(&mut self, mark: &Mark) {
        let _ = mark;
        unimplemented!()
    }
    /// Makes all changes durable as one unit, or none: blocks until they are synced.
    pub fn commit(self) -> Result<CommitOutcome> {
        unimplemented!()
    }
    /// Forgets all changes.
    pub fn rollback(self) {}
}
