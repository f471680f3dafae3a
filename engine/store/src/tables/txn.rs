//! A transaction: a snapshot and a private write set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustydb_kernel::locks::LockMode;

use crate::change_log::{self, CommitOrigin, DdlChange};
use crate::locking::TxnLocks;
use crate::reads::{ReadInterest, ReadSet};
use crate::seam::{CommitSeq, KeyRange, SpaceId};
use crate::tables::catalog;
use crate::tables::commit::CommitCheck;
use crate::tables::spill::{Spill, Value};
use crate::tables::write_set::{Base, Pending};
use crate::tables::{Relation, Result, Savepoint, SavepointEvent, TableError, TableStats, Tables, TxnReader};
use crate::types::{DatabaseDef, Datum, ObjectId, Row, RowKey, SchemaDef, TableDef, UniqueDef, ViewDef};

/// What the changes of one transaction may take, in memory and in its file, in bytes.
pub const PENDING_BYTES_MAX: usize = 1 << 30;

/// How many row changes a transaction holds for one table.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
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

/// A point in a transaction to which it can return. Marks nest.
#[derive(Clone)]
pub struct Mark {
    journal_len: usize,
    pending_bytes: usize,
    memory_bytes: usize,
    log_len: usize,
    state: Arc<State>,
}

/// What a transaction sees of others, and what its commit relies on. Writes and commits are the same at each level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Isolation {
    /// Each statement reads the newest state at its beginning.
    ReadCommitted,
    /// All statements read the state at the transaction's beginning.
    #[default]
    Snapshot,
    /// As `Snapshot`, and the commit is refused when something that was read has changed since: [`crate::reads`].
    Serializable,
}

/// What a transaction is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TxnOptions {
    pub isolation: Isolation,
    /// Every write is refused with [`TableError::ReadOnly`].
    pub read_only: bool,
}

/// A transaction. Dropping it rolls it back.
pub struct Txn {
    pub(super) tables: Tables,
    pub(super) view: TxnReader,
    options: TxnOptions,
    /// It reads a state of the past.
    pub(super) reads_past: bool,
    /// Of a serializable one that may write.
    _interest: Option<ReadInterest>,
    pub(super) locks: Option<Arc<TxnLocks>>,
    /// What each write replaced in the write set, oldest first: how the way back to a mark is found.
    journal: Vec<Replaced>,
    /// Change-log entries of the commit, in statement order.
    pub(super) log: Vec<Value>,
    pub(super) origin: Option<CommitOrigin>,
    /// Of the statement that runs, until it is in the log.
    statement: Option<String>,
    /// What the writes, the journal and the log hold, overwritten values included.
    pending_bytes: usize,
    pub(super) pending_bytes_max: usize,
    spill: Spill,
    pub(super) state: Arc<State>,
}

struct Replaced {
    space: SpaceId,
    key: Vec<u8>,
    pending: Option<Pending>,
}

/// What a mark restores as a whole, small beside the rows.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) changes: BTreeMap<ObjectId, TableChanges>,
    /// Tables whose rows were written, by the definition they were written by.
    pub(super) written: BTreeMap<ObjectId, Written>,
    /// Catalog keys relied on, with the version that the snapshot holds.
    pub(super) guards: BTreeMap<Vec<u8>, Option<CommitSeq>>,
    pub(super) dropped_spaces: BTreeSet<SpaceId>,
    pub(super) checks: Vec<CommitCheck>,
    /// Their use is forgotten with them.
    pub(super) dropped_indexes: Vec<ObjectId>,
    /// Spaces of indexes being built in which the absence of an entry was relied on: there a key that was and is not
    /// there must not be there at the commit either.
    pub(super) guarded_spaces: BTreeSet<SpaceId>,
    pub(super) savepoints: Vec<Savepoint>,
    /// Of which nobody has been told yet.
    pub(super) savepoint_events: Vec<SavepointEvent>,
    /// Whether definitions were changed.
    pub(super) defines: bool,
}

#[derive(Clone)]
pub(super) struct Written {
    schema_version: u32,
    /// The space of the rows and those of constraints and indexes.
    pub(super) spaces: Arc<[SpaceId]>,
}

impl Txn {
    pub(super) fn new(
        tables: Tables,
        view: TxnReader,
        options: TxnOptions,
        interest: Option<ReadInterest>,
    ) -> Txn {
        let spill = Spill::new(tables.inner.spill.clone());
        Txn {
            tables,
            view,
            options,
            reads_past: false,
            _interest: interest,
            locks: None,
            journal: Vec::new(),
            log: Vec::new(),
            origin: None,
            statement: None,
            pending_bytes: 0,
            pending_bytes_max: PENDING_BYTES_MAX,
            spill,
            state: Arc::default(),
        }
    }

    pub fn snapshot_seq(&self) -> CommitSeq {
        self.view.snapshot_seq()
    }

    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// Whether it was begun on a state of the past.
    pub fn reads_past(&self) -> bool {
        self.reads_past
    }

    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// To be called before each statement: under `ReadCommitted`, it reads the newest state from here on.
    pub fn begin_statement(&mut self) -> Result<()> {
        if self.options.isolation == Isolation::ReadCommitted {
            self.view.snapshot = self.tables.inner.store.snapshot()?;
        }
        Ok(())
    }

    /// What a serializable transaction has read so far; `None` of others, which need not know.
    pub fn read_set(&self) -> Option<ReadSet> {
        self.view.reads.as_ref().map(|reads| reads.lock().clone())
    }

    /// The tables that it is a transaction of.
    pub fn store_tables(&self) -> &Tables {
        &self.tables
    }

    /// Who is said to make the commit.
    pub fn origin(&self) -> Option<&CommitOrigin> {
        self.origin.as_ref()
    }

    /// Says in the change log who makes the commit.
    pub fn set_origin(&mut self, origin: CommitOrigin) {
        self.origin = Some(origin);
    }

    /// Text of the statement that changes definitions from now on, for the change log; `None` when none does.
    pub fn set_statement(&mut self, text: Option<&str>) {
        self.statement = text.map(str::to_owned);
    }

    /// An immutable view of what the transaction sees now. Drop it before writing on, where that is easy:
    /// while it lives, the first write to a table copies that table's pending writes.
    pub fn reader(&self) -> TxnReader {
        self.view.clone()
    }

    pub fn databases(&self) -> Result<Vec<DatabaseDef>> {
        self.view.databases()
    }

    pub fn database(&self, name: &str) -> Result<Option<DatabaseDef>> {
        self.view.database(name)
    }

    /// See [`TxnReader::schemas`].
    pub fn schemas(&self, database: &str) -> Result<Vec<SchemaDef>> {
        self.view.schemas(database)
    }

    /// See [`TxnReader::relation`].
    pub fn relation(&self, database: &str, schema: &str, name: &str) -> Result<Option<Relation>> {
        self.view.relation(database, schema, name)
    }

    pub fn table(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<TableDef>>> {
        self.view.table(database, schema, name)
    }

    /// See [`TxnReader::tables`].
    pub fn tables(&self, database: &str) -> Result<Vec<Arc<TableDef>>> {
        self.view.tables(database)
    }

    pub fn view(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<ViewDef>>> {
        self.view.view(database, schema, name)
    }

    /// See [`TxnReader::views`].
    pub fn views(&self, database: &str) -> Result<Vec<Arc<ViewDef>>> {
        self.view.views(database)
    }

    pub fn get(&self, table: &TableDef, key: &RowKey) -> Result<Option<Row>> {
        self.view.get(table, key)
    }

    /// See [`TxnReader::scan`].
    pub fn scan(&self, table: &TableDef, range: &KeyRange, rows_max: usize) -> Result<Vec<(RowKey, Row)>> {
        self.view.scan(table, range, rows_max)
    }

    /// See [`TxnReader::find_unique`].
    pub fn find_unique(
        &self,
        table: &TableDef,
        unique: &UniqueDef,
        values: &[Datum],
    ) -> Result<Option<RowKey>> {
        self.view.find_unique(table, unique, values)
    }

    pub fn row_count(&self, table: &TableDef) -> Result<u64> {
        self.view.row_count(table)
    }

    pub fn table_stats(&self, table: &TableDef) -> Result<TableStats> {
        self.view.table_stats(table)
    }

    /// Row changes so far, per table, in order of table id. A row changed twice counts twice.
    pub fn changes(&self) -> Vec<TableChanges> {
        self.state.changes.values().cloned().collect()
    }

    /// Remembers this point, so that a failing statement can leave nothing behind.
    pub fn mark(&self) -> Mark {
        Mark {
            journal_len: self.journal.len(),
            pending_bytes: self.pending_bytes,
            memory_bytes: self.spill.memory_bytes(),
            log_len: self.log.len(),
            state: self.state.clone(),
        }
    }

    /// Undoes everything since `mark`, which must be of this transaction and not already undone past.
    pub fn undo_to(&mut self, mark: &Mark) {
        assert!(
            mark.journal_len <= self.journal.len() && mark.log_len <= self.log.len(),
            "a mark is of this transaction and not already undone past"
        );
        self.statement = None;
        let writes = Arc::make_mut(&mut self.view.writes);
        for replaced in self.journal.drain(mark.journal_len..).rev() {
            writes.set(replaced.space, &replaced.key, replaced.pending);
        }
        self.log.truncate(mark.log_len);
        self.pending_bytes = mark.pending_bytes;
        self.spill.set_memory_bytes(mark.memory_bytes);
        self.state = mark.state.clone();
    }

    /// Forgets all changes; the same as dropping the transaction.
    pub fn rollback(self) {}

    pub(super) fn require_writable(&self) -> Result<()> {
        if self.options.read_only {
            Err(TableError::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Runs a statement's work and undoes it when it fails.
    pub(super) fn atomically<R>(&mut self, work: impl FnOnce(&mut Txn) -> Result<R>) -> Result<R> {
        let mark = self.mark();
        let done = work(self).and_then(|done| self.require_bounded().map(|()| done));
        done.inspect_err(|_| self.undo_to(&mark))
    }

    pub(super) fn require_bounded(&self) -> Result<()> {
        // What was undone stays in the file.
        let bytes = self
            .pending_bytes
            .max(usize::try_from(self.spill.file_bytes()).unwrap_or(usize::MAX));
        if bytes <= self.pending_bytes_max {
            return Ok(());
        }
        Err(TableError::TransactionTooLarge {
            bytes,
            bytes_max: self.pending_bytes_max,
        })
    }

    /// Sets a key of which the snapshot holds `base`.
    ///
    /// # Errors
    /// Its value is to go to a file and that fails; nothing was set then.
    pub(super) fn put(
        &mut self,
        space: SpaceId,
        key: &[u8],
        base: Option<Base>,
        value: Option<Vec<u8>>,
    ) -> Result<()> {
        // It stands in the write set and in the journal.
        let keys_bytes = 2 * key.len();
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        let value = match value {
            Some(value) => Some(self.spill.keep(value, keys_bytes)?),
            None => {
                self.spill.count(keys_bytes);
                None
            }
        };
        self.pending_bytes += keys_bytes + value_bytes;
        let pending = Pending { base, value };
        let replaced = Arc::make_mut(&mut self.view.writes).set(space, key, Some(pending));
        self.journal.push(Replaced {
            space,
            key: key.to_vec(),
            pending: replaced,
        });
        Ok(())
    }

    /// Sets a key of the catalog; the snapshot's version of it is looked up.
    pub(super) fn put_catalog(&mut self, key: &[u8], value: Option<Vec<u8>>) -> Result<()> {
        let slot = self.view.slot(SpaceId::CATALOG, key)?;
        self.put(SpaceId::CATALOG, key, slot.base, value)
    }

    /// From now on the absence of a key of the space is relied on where it was looked for.
    pub(super) fn guard_space(&mut self, space: SpaceId) {
        if !self.state.guarded_spaces.contains(&space) {
            Arc::make_mut(&mut self.state).guarded_spaces.insert(space);
        }
    }

    /// Makes the commit fail when the catalog key has changed since the snapshot.
    pub(super) fn guard_catalog(&mut self, key: Vec<u8>) -> Result<()> {
        if !self.state.guards.contains_key(&key) {
            let found = self.view.snapshot.get(SpaceId::CATALOG, &key)?;
            let version = found.map(|found| found.version);
            Arc::make_mut(&mut self.state).guards.insert(key, version);
        }
        Ok(())
    }

    /// Before rows of a table are written: the definition must be the one that this transaction sees, and the
    /// commit must fail when another transaction changes it.
    pub(super) fn require_current(&mut self, table: &TableDef) -> Result<()> {
        self.require_writable()?;
        self.lock_table(table, LockMode::IX)?;
        if let Some(written) = self.state.written.get(&table.id)
            && written.schema_version == table.schema_version
            && written.spaces.iter().copied().eq(table.spaces())
        {
            return Ok(());
        }
        let current = self
            .view
            .table(&table.database, &table.schema, &table.name)?
            .ok_or_else(|| TableError::TableNotFound {
                database: table.database.clone(),
                name: table.name.clone(),
            })?;
        let same = current.id == table.id
            && current.schema_version == table.schema_version
            && current.spaces().eq(table.spaces());
        if !same {
            return Err(TableError::StaleDefinition {
                table: table.name.clone(),
            });
        }
        self.guard_catalog(catalog::relation_key(&table.database, &table.schema, &table.name))?;
        let written = Written {
            schema_version: table.schema_version,
            spaces: table.spaces().collect(),
        };
        Arc::make_mut(&mut self.state).written.insert(table.id, written);
        Ok(())
    }

    /// Counts row changes of a table.
    pub(super) fn count(&mut self, table: &TableDef, inserted: u64, updated: u64, deleted: u64) {
        if inserted + updated + deleted == 0 {
            return;
        }
        let changes = Arc::make_mut(&mut self.state)
            .changes
            .entry(table.id)
            .or_insert_with(|| TableChanges {
                table_id: table.id,
                database: table.database.clone(),
                schema: table.schema.clone(),
                table: table.name.clone(),
                ..TableChanges::default()
            });
        changes.inserted += inserted;
        changes.updated += updated;
        changes.deleted += deleted;
    }

    pub(super) fn log_ddl(&mut self, change: DdlChange) -> Result<()> {
        Arc::make_mut(&mut self.state).defines = true;
        if let Some(text) = self.statement.take() {
            self.log_entry(change_log::encode_statement(&text))?;
        }
        self.log_entry(change_log::encode_ddl(&change))
    }

    pub(super) fn log_entry(&mut self, payload: Vec<u8>) -> Result<()> {
        self.pending_bytes += payload.len();
        let payload = self.spill.keep(payload, 0)?;
        self.log.push(payload);
        Ok(())
    }

    /// What its changes take, in memory and in its file, overwritten values included.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Of these, what lies in its file, with what was undone since.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.file_bytes()
    }
}

impl Drop for Txn {
    /// Behind the commit, so that who gets the locks finds what it made.
    fn drop(&mut self) {
        if let Some(locks) = self.locks.take() {
            locks.release_all();
        }
    }
}

const _: () = {
    const fn sent_between_threads<T: Send>() {}
    const fn shared_between_threads<T: Send + Sync>() {}
    sent_between_threads::<Txn>();
    shared_between_threads::<TxnReader>();
    shared_between_threads::<Tables>();
};
