//! Typed tables over the store's spaces: catalog, rows, constraints, transactions.
//!
//! A [`Txn`] is a snapshot of the store and a private set of writes. Reads merge the two; nothing reaches the
//! store, and no lock is held, until [`Txn::commit`] hands over everything as one batch. So any number of
//! transactions may be open, for any time, without delaying another.
//!
//! **Isolation** is snapshot isolation unless [`Isolation`] says otherwise, first committer wins. Each written key carries the version that the
//! snapshot holds of it; the store refuses the batch when one has changed. That covers rows, and by their keys
//! also primary keys and unique constraints: of two transactions that insert the same value, neither seeing
//! the other, the later committer conflicts. Write skew is allowed, as everywhere under this level.
//!
//! **Rows against definitions.** A transaction that writes rows of a table guards the table's catalog key, so
//! every change of the definition, TRUNCATE and DROP included, conflicts with it. The other way round some
//! changes of definitions rely on what is *not* there: that no other view reads a dropped table, that no row
//! was added to a table being rewritten, that a dropped database got no new table. Such a commit runs alone
//! (`commit_gate`) and checks these on the newest state first. The gate is held for commits only, and the
//! store writes commits one after another anyway.
//!
//! ```text
//! a: begin            snapshot 7
//! b: begin            snapshot 7
//! a: UPDATE x SET ..  write set {x: read at 5, new value}
//! b: UPDATE x SET ..  write set {x: read at 5, new value}
//! a: commit           x is still of version 5: applied as commit 8
//! b: commit           x is of version 8 now: WriteConflict, nothing kept
//! ```
//!
//! **Indexes** are kept by what keeps unique constraints (`entries`), in the same commit as the rows, and read by way of
//! [`TxnReader::scan_index`]. One is made in a transaction ([`Txn::create_index`]), or while others write
//! ([`Tables::create_index`]).
//!
//! **Prepared transactions** of a two-phase commit wait to be told how to end, over restarts too. Nothing that their commit
//! relies on changes until then (`pledges`).
//!
//! Invariant: all writers of a store's tables go through one [`Tables`] and its clones; a second one opened on
//! the same store would have a gate of its own.

mod build;
mod catalog;
mod claims;
mod commit;
mod constraints;
mod counters;
mod ddl;
mod definition;
mod dml;
mod entries;
mod error;
mod indexes;
mod places;
mod pledges;
mod prepare;
mod reader;
mod replace;
mod savepoints;
mod spec;
mod spill;
mod txn;
mod usage;
mod verify;
mod write_set;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use parking_lot::RwLock;
use rustydb_kernel::locks::Locks;
use rustydb_runtime::Clock;

pub use build::{BuildProgress, Builder};
pub use commit::CommitMeter;
pub use constraints::{KEY_BYTES_MAX, ROW_BYTES_MAX, VALUE_BYTES_MAX};
pub(crate) use counters::Counter;
pub use definition::{COLUMNS_MAX, INDEXES_MAX, KEY_COLUMNS_MAX, NAME_BYTES_MAX, ROWID_COLUMN, UNIQUE_MAX};
pub(crate) use error::corrupt;
pub use error::{Result, TableError};
pub use indexes::{IndexStats, ScannedIndex};
pub use places::{Place, Places, RowPlace, TableName, TableReads, WrittenRow};
pub(crate) use prepare::{Prepared, Votes};
pub use reader::{Relation, ScannedRows, TableStats, TxnReader};
pub use savepoints::{SAVEPOINTS_MAX, Savepoint, SavepointChange, SavepointEvent};
pub use spec::{ColumnSpec, IndexSpec, TableSpec, UniqueSpec, ViewSpec};
pub use spill::{SpillRoom, WRITE_SET_MEMORY_BYTES_DEFAULT, WRITE_SET_MEMORY_BYTES_MIN};
pub use txn::{CommitOutcome, Isolation, Mark, PENDING_BYTES_MAX, TableChanges, Txn, TxnOptions};
pub use usage::IndexUse;
pub use verify::Verification;

use crate::codec::decode_row;
use crate::error::StoreError;
use crate::locking::LockRoom;
use crate::seam::{AsOf, CommitSeq, SpaceId, StoreSnapshot, TableStore, Write, WriteBatch};
use crate::types::{DatabaseDef, ObjectId, Row, RowKey, SchemaDef, TableDef};
use catalog::{CatalogEntry, DefinitionCache};
use pledges::Pledges;
use usage::IndexUsage;

/// The database that always exists.
pub const MAIN_DATABASE: &str = "main";
/// The schema that every database has.
pub const PUBLIC_SCHEMA: &str = "public";

/// Version of everything that docs/format/rows.md describes.
pub const TABLES_FORMAT: u32 = 3;
const TABLES_FORMAT_KEY: &[u8] = b"tables/format";
/// Numbers of catalog objects and spaces reserved at once.
const OBJECT_BLOCK: u64 = 64;
/// Row numbers reserved at once.
const ROWID_BLOCK: u64 = 8192;

/// A version of a row that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RowVersion {
    /// The commit that made it.
    pub seq: CommitSeq,
    /// `None` where the commit removed the row.
    pub row: Option<Row>,
}

/// All tables of one store. A clone is another handle to the same.
#[derive(Clone)]
pub struct Tables {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn TableStore>,
    clock: Arc<dyn Clock>,
    definitions: Arc<DefinitionCache>,
    usage: Arc<IndexUsage>,
    /// Identifiers of catalog objects and spaces, one sequence for both.
    objects: Counter,
    /// Row numbers of all tables without a primary key, one sequence.
    rowids: Counter,
    locks: Arc<LockRoom>,
    spill: Option<Arc<SpillRoom>>,
    commits: CommitMeter,
    /// Of prepared transactions.
    pledges: Pledges,
    /// Shared by commits of rows, exclusive for commits that rely on the absence of something.
    commit_gate: RwLock<()>,
}

impl Tables {
    /// Opens the tables of a store; the first time, creates database `main` with schema `public`. Indexes whose build
    /// was cut short are removed.
    pub fn open(store: Arc<dyn TableStore>, clock: Arc<dyn Clock>) -> Result<Tables> {
        Tables::open_with(store, clock, None)
    }

    /// [`Tables::open`]; transactions put into `spill` what they have no memory for.
    pub fn open_with(
        store: Arc<dyn TableStore>,
        clock: Arc<dyn Clock>,
        spill: Option<Arc<SpillRoom>>,
    ) -> Result<Tables> {
        let objects = Counter::new(
            store.clone(),
            b"counter/object",
            SpaceId::FIRST_USER.0,
            OBJECT_BLOCK,
        );
        let locks = Locks::new(Arc::clone(&clock));
        let rowids = Counter::new(store.clone(), b"counter/row", 1, ROWID_BLOCK);
        let tables = Tables {
            inner: Arc::new(Inner {
                store,
                clock,
                definitions: Arc::new(DefinitionCache::default()),
                usage: Arc::default(),
                objects,
                rowids,
                locks: Arc::new(LockRoom::new(locks)),
                spill,
                commits: CommitMeter::default(),
                pledges: Pledges::default(),
                commit_gate: RwLock::new(()),
            }),
        };
        if tables.format_is_known()? {
            tables.remove_unfinished_indexes()?;
        } else {
            tables.initialise()?;
        }
        Ok(tables)
    }

    /// A transaction on the newest durable state, under snapshot isolation.
    pub fn begin(&self) -> Result<Txn> {
        self.begin_with(TxnOptions::default())
    }

    /// A transaction whose every write is refused with [`TableError::ReadOnly`].
    pub fn begin_read_only(&self) -> Result<Txn> {
        self.begin_with(TxnOptions {
            read_only: true,
            ..TxnOptions::default()
        })
    }

    pub fn begin_with(&self, options: TxnOptions) -> Result<Txn> {
        // Who writes nothing reads a state that was, which is as good as any order asks for.
        let validated = options.isolation == Isolation::Serializable && !options.read_only;
        let interest = validated.then(|| self.inner.store.read_interest());
        let mut view = self.newest()?;
        view.reads = validated.then(Arc::default);
        Ok(Txn::new(self.clone(), view, options, interest))
    }

    /// A transaction that reads a state of the past, and writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Version`] when there is no such state, or no longer.
    pub fn begin_at(&self, at: &AsOf) -> Result<Txn> {
        let view = self.reader_of(self.inner.store.snapshot_at(at)?);
        let options = TxnOptions {
            isolation: Isolation::Snapshot,
            read_only: true,
        };
        let mut txn = Txn::new(self.clone(), view, options, None);
        txn.reads_past = true;
        Ok(txn)
    }

    /// The stored versions of a row, newest first and `versions_max` at most, as far as they are of the table's present form: one
    /// that was rewritten since, to change its columns say, has those from then on.
    pub fn row_versions(
        &self,
        table: &TableDef,
        key: &RowKey,
        versions_max: usize,
    ) -> Result<Vec<RowVersion>> {
        let found = self.inner.store.versions(table.space, &key.0, versions_max)?;
        let version = |(seq, value): (CommitSeq, Option<Vec<u8>>)| {
            let row = value
                .map(|bytes| decode_row(&table.columns, &bytes))
                .transpose()?;
            Ok(RowVersion { seq, row })
        };
        found.into_iter().map(version).collect()
    }

    pub fn store(&self) -> &Arc<dyn TableStore> {
        &self.inner.store
    }

    /// The locks of all transactions.
    pub fn locks(&self) -> &Arc<LockRoom> {
        &self.inner.locks
    }

    /// Commits since the tables were opened.
    pub fn commits(&self) -> &CommitMeter {
        &self.inner.commits
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    fn newest(&self) -> Result<TxnReader> {
        Ok(self.reader_of(self.inner.store.snapshot()?))
    }

    fn reader_of(&self, snapshot: Arc<dyn StoreSnapshot>) -> TxnReader {
        TxnReader {
            snapshot,
            writes: Arc::default(),
            definitions: self.inner.definitions.clone(),
            usage: self.inner.usage.clone(),
            reads: None,
        }
    }

    fn format_is_known(&self) -> Result<bool> {
        let Some(found) = self
            .inner
            .store
            .snapshot()?
            .get(SpaceId::META, TABLES_FORMAT_KEY)?
        else {
            return Ok(false);
        };
        let found = found.value.as_slice().try_into().map(u32::from_be_bytes);
        match found.map_err(|_| corrupt("the format version of the tables is not four bytes long"))? {
            TABLES_FORMAT => Ok(true),
            found => Err(TableError::Store(StoreError::FormatVersion {
                found,
                supported: TABLES_FORMAT,
            })),
        }
    }

    fn initialise(&self) -> Result<()> {
        let first = self.inner.objects.take(2)?;
        let created_at_us = self.inner.clock.now_us();
        let database = DatabaseDef {
            id: ObjectId(first),
            name: MAIN_DATABASE.to_owned(),
            created_at_us,
        };
        let schema = SchemaDef {
            id: ObjectId(first + 1),
            database: MAIN_DATABASE.to_owned(),
            name: PUBLIC_SCHEMA.to_owned(),
            created_at_us,
        };
        let write = |space, key, value| Write {
            space,
            key,
            expected: None,
            value: Some(value),
        };
        let batch = WriteBatch {
            writes: vec![
                write(
                    SpaceId::META,
                    TABLES_FORMAT_KEY.to_vec(),
                    TABLES_FORMAT.to_be_bytes().to_vec(),
                ),
                write(
                    SpaceId::CATALOG,
                    catalog::database_key(MAIN_DATABASE),
                    CatalogEntry::Database(database).encode(),
                ),
                write(
                    SpaceId::CATALOG,
                    catalog::schema_key(MAIN_DATABASE, PUBLIC_SCHEMA),
                    CatalogEntry::Schema(schema).encode(),
                ),
            ],
            ..WriteBatch::default()
        };
        match self.inner.store.commit(batch) {
            Ok(_) => Ok(()),
            // Somebody else was first; the same objects are there.
            Err(StoreError::Conflict { .. }) if self.format_is_known()? => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
