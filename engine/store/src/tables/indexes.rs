//! Indexes: defining and dropping them in a transaction, and reading rows by way of them.
//!
//! An index made here is built by the transaction itself: its entries are in the write set, and the commit conflicts
//! with every change to the table's rows since the transaction began. [`super::build`] makes one while others write.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustydb_kernel::locks::LockMode;

use crate::change_log::DdlChange;
use crate::codec::RowDecoder;
use crate::seam::{KeyRange, SpaceId};
use crate::tables::catalog::{self, CatalogEntry, IndexPlace};
use crate::tables::commit::CommitCheck;
use crate::tables::definition::{self, INDEXES_MAX};
use crate::tables::entries::Keyed;
use crate::tables::{IndexSpec, IndexUse, Result, ScannedRows, TableError, Txn, TxnReader, corrupt};
use crate::types::{IndexDef, IndexState, ObjectId, RowKey, TableDef};

/// Rows read at once.
const PAGE_ROWS: usize = 1024;

/// What a bounded scan of an index found, in the order of its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannedIndex {
    pub found: ScannedRows,
    /// Key of the last entry that was read: where to go on after. `None` when there was none.
    pub last: Option<Vec<u8>>,
}

/// Size and use of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexStats {
    pub entries: u64,
    /// Key and value bytes, without the store's own overhead.
    pub bytes: u64,
    /// Since the tables were opened.
    pub used: IndexUse,
}

impl TxnReader {
    /// The index of a name, with its table; `None` too when the database or schema does not exist.
    pub fn index(
        &self,
        database: &str,
        schema: &str,
        name: &str,
    ) -> Result<Option<(Arc<TableDef>, IndexDef)>> {
        let Some(bytes) = self.value(SpaceId::CATALOG, &catalog::index_key(database, schema, name))? else {
            return Ok(None);
        };
        let place = CatalogEntry::index(&bytes)?;
        let table = self.table(database, schema, &place.table)?;
        let found = table.and_then(|table| table.index(name).cloned().map(|index| (table, index)));
        found
            .map(Some)
            .ok_or_else(|| corrupt(format!("the name \"{name}\" leads to no index")))
    }

    /// Rows by their entries in a range of an index that is ready: at most `rows_max`, each with the columns at
    /// `columns` only. It stops as well behind the row with which the stored rows reach `bytes_max`.
    pub fn scan_index(
        &self,
        table: &TableDef,
        index: &IndexDef,
        range: &KeyRange,
        rows_max: usize,
        bytes_max: usize,
        columns: &[usize],
    ) -> Result<ScannedIndex> {
        debug_assert!(table.indexes.contains(index), "an index of this table");
        debug_assert_eq!(
            index.state,
            IndexState::Ready,
            "nobody reads an index that is built"
        );
        let keyed = Keyed::from(index);
        let decoder = RowDecoder::new(&table.columns, columns);
        let (mut rows, mut last, mut read_bytes) = (Vec::new(), None, 0);
        let exhausted = self.scan_entries(index.space, range, rows_max, |entry, value| {
            let key = keyed.row_of(table, &entry, value)?;
            let bytes = self.value(table.space, &key.0)?.ok_or_else(|| {
                corrupt(format!(
                    "index \"{}\" of table \"{}\" has an entry for a row that is not there",
                    index.name, table.name
                ))
            })?;
            read_bytes += bytes.len();
            rows.push((key, decoder.decode(&bytes)?));
            last = Some(entry);
            Ok(if read_bytes < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        self.usage
            .note(index.id, u64::from(range.after.is_none()), rows.len() as u64);
        let found = ScannedRows { rows, exhausted };
        Ok(ScannedIndex { found, last })
    }

    /// How many entries a range of an index has, counting no further than `entries_max`. For planners; it is no use
    /// of the index, and no read that a serializable transaction relies on.
    pub fn count_entries(&self, index: &IndexDef, range: &KeyRange, entries_max: usize) -> Result<usize> {
        self.count_within(index.space, range, entries_max)
    }

    /// How many rows a range of keys has, counting no further than `rows_max`: for planners as well.
    pub fn count_rows(&self, table: &TableDef, range: &KeyRange, rows_max: usize) -> Result<usize> {
        self.count_within(table.space, range, rows_max)
    }

    fn count_within(&self, space: SpaceId, range: &KeyRange, entries_max: usize) -> Result<usize> {
        let mut count = 0;
        self.unnoted().scan_entries(space, range, entries_max, |_, _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// Sizes are exact for what this transaction sees.
    pub fn index_stats(&self, index: &IndexDef) -> Result<IndexStats> {
        let (entries, bytes) = self.space_size(index.space)?;
        Ok(IndexStats {
            entries,
            bytes,
            used: self.usage.of(index.id),
        })
    }
}

impl Txn {
    /// See [`TxnReader::index`].
    pub fn index(
        &self,
        database: &str,
        schema: &str,
        name: &str,
    ) -> Result<Option<(Arc<TableDef>, IndexDef)>> {
        self.view.index(database, schema, name)
    }

    /// Makes an index of all rows that the transaction sees; the answer is the table with it.
    pub fn create_index(&mut self, spec: &IndexSpec) -> Result<Arc<TableDef>> {
        self.require_writable()?;
        let (before, index) = self.checked_index(spec, IndexState::Ready)?;
        self.lock_table(&before, LockMode::X)?;
        let mut after = TableDef::clone(&before);
        after.indexes.push(index);
        self.atomically(|txn| {
            txn.put_index_name(&after, &spec.name)?;
            txn.put_table(&after)?;
            let keyed = after.indexes.last().map(Keyed::from).expect("it was just added");
            txn.fill_entries(&after, keyed)?;
            txn.check_at_commit(CommitCheck::Unmodified {
                table: after.name.clone(),
                space: after.space,
                since: txn.snapshot_seq(),
            });
            txn.log_ddl(DdlChange::CreateIndex {
                table: after.clone(),
                index: spec.name.clone(),
            })?;
            Ok(Arc::new(after.clone()))
        })
    }

    /// Drops an index, and with it one that is to take its place.
    pub fn drop_index(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        self.require_writable()?;
        let (before, index) = self.require_index(database, schema, name)?;
        self.lock_table(&before, LockMode::X)?;
        self.atomically(|txn| {
            let mut after = TableDef::clone(&before);
            after.indexes.retain(|other| other.name != name);
            for gone in before.indexes.iter().filter(|other| other.name == name) {
                txn.drop_space(gone.space);
            }
            txn.forget_index_name(&before, &index)?;
            txn.put_table(&after)?;
            if index.state == IndexState::Ready {
                txn.log_ddl(DdlChange::DropIndex {
                    table: after,
                    index: name.to_owned(),
                })?;
            }
            Ok(())
        })
    }

    /// What a specification comes to, which nothing has the name of yet.
    pub(super) fn checked_index(
        &self,
        spec: &IndexSpec,
        state: IndexState,
    ) -> Result<(Arc<TableDef>, IndexDef)> {
        let table = self.require_table(&spec.database, &spec.schema, &spec.table)?;
        definition::check_index_name(&table, &spec.name)?;
        let columns = definition::index_columns(&table, &spec.name, &spec.columns)?;
        if self.index(&spec.database, &spec.schema, &spec.name)?.is_some() {
            return Err(TableError::IndexExists {
                database: spec.database.clone(),
                name: spec.name.clone(),
            });
        }
        if table.indexes.len() >= INDEXES_MAX {
            return Err(TableError::InvalidDefinition {
                name: spec.name.clone(),
                reason: format!(
                    "table \"{}\" has {INDEXES_MAX} indexes; more are not allowed",
                    table.name
                ),
            });
        }
        let first = self.tables.inner.objects.take(2)?;
        let index = IndexDef {
            id: ObjectId(first),
            name: spec.name.clone(),
            columns,
            unique: spec.unique,
            state,
            space: SpaceId(first + 1),
            created_at_us: self.tables.inner.clock.now_us(),
        };
        Ok((table, index))
    }

    pub(super) fn require_index(
        &self,
        database: &str,
        schema: &str,
        name: &str,
    ) -> Result<(Arc<TableDef>, IndexDef)> {
        self.view.require_database(database)?;
        self.index(database, schema, name)?
            .ok_or_else(|| TableError::IndexNotFound {
                database: database.to_owned(),
                name: name.to_owned(),
            })
    }

    fn fill_entries(&mut self, table: &TableDef, keyed: Keyed<'_>) -> Result<()> {
        let mut range = KeyRange::default();
        loop {
            let page = self.scan(table, &range, PAGE_ROWS)?;
            let Some((RowKey(last), _)) = page.last() else {
                return Ok(());
            };
            range.after = Some(last.clone());
            for (key, row) in &page {
                self.add_entry(table, keyed, row, key)?;
            }
            self.require_bounded()?;
        }
    }

    pub(super) fn put_index_name(&mut self, table: &TableDef, name: &str) -> Result<()> {
        let place = IndexPlace {
            table: table.name.clone(),
        };
        self.put_catalog(
            &catalog::index_key(&table.database, &table.schema, name),
            Some(CatalogEntry::Index(place).encode()),
        )
    }

    pub(super) fn forget_index_name(&mut self, table: &TableDef, index: &IndexDef) -> Result<()> {
        Arc::make_mut(&mut self.state).dropped_indexes.push(index.id);
        self.put_catalog(
            &catalog::index_key(&table.database, &table.schema, &index.name),
            None,
        )
    }

    /// Names of indexes that the definition `after` no longer has.
    pub(super) fn forget_index_names(&mut self, before: &TableDef, after: &TableDef) -> Result<()> {
        for index in &before.indexes {
            if after.index(&index.name).is_none() {
                self.forget_index_name(before, index)?;
            }
        }
        Ok(())
    }

    pub(super) fn drop_space(&mut self, space: SpaceId) {
        Arc::make_mut(&mut self.state).dropped_spaces.insert(space);
    }
}
