//! Building an index while others go on writing.
//!
//! 1. The index is defined as `building`, in a commit of its own. Who writes rows from then on maintains it: a
//!    transaction that began before conflicts, as with every change of the definition. Transactions that have locked rows
//!    of the table are waited for, here and in step 3.
//! 2. Its entries are filled in, a bounded number of rows at a time. A page of rows is read from the newest state and
//!    their entries are committed, guarded by the versions of the rows; entries that are there already are left. When
//!    somebody changes one of the rows first, the page is read again, and in the end without others committing.
//! 3. It becomes `ready`, in a commit of its own, and readers use it.
//!
//! A build that fails or is stopped leaves nothing. One that is cut short by a crash leaves an index that is
//! `building`, which nobody reads: [`Tables::open`] removes it. An index that is rebuilt serves until the new one
//! stands in its place, and is left as it was by a rebuild that does not come to its end.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rustydb_kernel::locks::LockMode;

use crate::change_log::{CommitOrigin, DdlChange};
use crate::codec::RowDecoder;
use crate::error::StoreError;
use crate::seam::{Guard, KeyRange, SpaceId, Write, WriteBatch};
use crate::tables::catalog;
use crate::tables::definition::INDEXES_MAX;
use crate::tables::entries::{Entry, Keyed};
use crate::tables::{IndexSpec, Relation, Result, TableError, Tables, Txn};
use crate::types::{IndexDef, IndexState, RowKey, TableDef};

/// Rows of a batch: few at first, more when they turn out to be small.
const PAGE_ROWS_FIRST: usize = 128;
const PAGE_ROWS_MAX: usize = 2048;
/// What the rows of a batch hold at most, as far as the batch before it tells how large they are.
const PAGE_BYTES: usize = 4 << 20;
/// A batch that lost so many races is done while nobody else commits.
const CONFLICTS_MAX: u32 = 3;

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildProgress {
    /// Rows looked at.
    pub rows: u64,
    /// Rows of the table when the build began.
    pub rows_total: u64,
}

/// Who builds, and what goes on while it does.
pub struct Builder<'a> {
    /// Says in the change log who makes the index.
    pub origin: Option<CommitOrigin>,
    /// The statement that asks for it, for the change log.
    pub statement: Option<&'a str>,
    /// Asked before each batch, holding nothing; `Break` stops the build.
    pub watch: &'a mut dyn FnMut(BuildProgress) -> ControlFlow<()>,
}

/// An index on its way, which its space tells from another of the name.
struct Target {
    database: String,
    schema: String,
    table: String,
    name: String,
    space: SpaceId,
    rows_total: u64,
}

impl Target {
    fn of(txn: &Txn, table: &TableDef, index: &IndexDef) -> Result<Target> {
        Ok(Target {
            database: table.database.clone(),
            schema: table.schema.clone(),
            table: table.name.clone(),
            name: index.name.clone(),
            space: index.space,
            rows_total: txn.row_count(table)?,
        })
    }

    /// Its place in a definition.
    fn position(&self, table: &TableDef) -> Option<usize> {
        table.indexes.iter().position(|index| index.space == self.space)
    }

    /// Somebody dropped it, or the rows that it was of.
    fn gone(&self) -> TableError {
        TableError::WriteConflict {
            object: format!(
                "the definition of \"{}\", on which index \"{}\" was built,",
                self.table, self.name
            ),
        }
    }
}

/// Where a build stands.
struct Position {
    after: Option<Vec<u8>>,
    rows: u64,
    page_rows: usize,
    /// No row is left.
    is_last: bool,
}

/// What became of a batch.
enum Page {
    Filled,
    /// Somebody else was first.
    Raced,
}

impl Tables {
    /// Makes an index in commits of its own while others write.
    pub fn create_index(&self, spec: &IndexSpec, by: Builder<'_>) -> Result<()> {
        let target = self.exclusively((&spec.database, &spec.schema, &spec.table), |txn| {
            let (before, index) = txn.checked_index(spec, IndexState::Building)?;
            let mut after = TableDef::clone(&before);
            after.indexes.push(index.clone());
            txn.put_index_name(&after, &spec.name)?;
            txn.put_table(&after)?;
            Target::of(txn, &after, &index)
        })?;
        self.build(&target, by)
    }

    /// Makes an index anew, in commits of its own while others write and read; the old one serves until the end.
    pub fn rebuild_index(&self, database: &str, schema: &str, name: &str, by: Builder<'_>) -> Result<()> {
        let indexed = self.newest()?.index(database, schema, name)?;
        let table = indexed.map_or_else(String::new, |(table, _)| table.name.clone());
        let target = self.exclusively((database, schema, &table), |txn| {
            let (before, index) = txn.require_index(database, schema, name)?;
            let named = before.indexes.iter().filter(|other| other.name == name).count();
            if index.state == IndexState::Building || named > 1 {
                return Err(TableError::IndexBuilding {
                    name: name.to_owned(),
                });
            }
            debug_assert!(
                before.indexes.len() < 2 * INDEXES_MAX,
                "each has one successor at most"
            );
            let successor = IndexDef {
                state: IndexState::Building,
                space: SpaceId(self.inner.objects.take(1)?),
                ..index
            };
            let mut after = TableDef::clone(&before);
            after.indexes.push(successor.clone());
            txn.put_table(&after)?;
            Target::of(txn, &after, &successor)
        })?;
        self.build(&target, by)
    }

    fn build(&self, target: &Target, by: Builder<'_>) -> Result<()> {
        let Builder {
            origin,
            statement,
            watch,
        } = by;
        let built = self
            .fill(target, watch)
            .and_then(|()| self.finish(target, origin, statement));
        if let Err(error) = built {
            // Where even that fails, which is the worse news, the next opening removes it.
            self.alone(|txn| txn.abandon(target))?;
            return Err(error);
        }
        Ok(())
    }

    fn fill(&self, target: &Target, watch: &mut dyn FnMut(BuildProgress) -> ControlFlow<()>) -> Result<()> {
        let mut position = Position {
            after: None,
            rows: 0,
            page_rows: PAGE_ROWS_FIRST,
            is_last: false,
        };
        let mut conflicts = 0;
        loop {
            let progress = BuildProgress {
                rows: position.rows,
                rows_total: target.rows_total,
            };
            if watch(progress).is_break() {
                return Err(TableError::BuildStopped {
                    name: target.name.clone(),
                });
            }
            if position.is_last {
                return Ok(());
            }
            match self.fill_page(target, &mut position, conflicts >= CONFLICTS_MAX)? {
                Page::Filled => conflicts = 0,
                Page::Raced => conflicts += 1,
            }
        }
    }

    /// Fills in the entries of the next rows; `alone` while no other commits.
    fn fill_page(&self, target: &Target, position: &mut Position, alone: bool) -> Result<Page> {
        let gate = &self.inner.commit_gate;
        let _alone = alone.then(|| gate.write());
        let reader = self.newest()?;
        let relation = catalog::relation_key(&target.database, &target.schema, &target.table);
        let defined = reader.table(&target.database, &target.schema, &target.table)?;
        let found = defined.and_then(|table| target.position(&table).map(|place| (table, place)));
        let (table, place) = found.ok_or_else(|| target.gone())?;
        let keyed = Keyed::from(&table.indexes[place]);
        let range = KeyRange {
            after: position.after.clone(),
            ..KeyRange::default()
        };
        let rows = reader.snapshot.scan(table.space, &range, position.page_rows)?;
        let mut batch = WriteBatch {
            guards: vec![Guard {
                space: SpaceId::CATALOG,
                expected: reader
                    .snapshot
                    .get(SpaceId::CATALOG, &relation)?
                    .map(|found| found.version),
                key: relation,
            }],
            ..WriteBatch::default()
        };
        let decoder = RowDecoder::new(&table.columns, keyed.columns);
        // Of what is unique, the entries of this batch.
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        let mut read_bytes = 0;
        for (key, stored) in &rows {
            read_bytes += stored.value.len();
            let values = decoder.decode(&stored.value)?;
            let row_key = RowKey(key.clone());
            let Some(Entry { key: entry, value }) = keyed.entry_of(&table, &values, &row_key)? else {
                continue;
            };
            if let Some(known) = reader.snapshot.get(keyed.space, &entry)? {
                if known.value == value {
                    continue;
                }
                return Err(keyed.violation(&table, &values));
            }
            if keyed.unique && !taken.insert(entry.clone()) {
                return Err(keyed.violation(&table, &values));
            }
            batch.writes.push(Write {
                space: keyed.space,
                key: entry,
                expected: None,
                value: Some(value),
            });
            batch.guards.push(Guard {
                space: table.space,
                key: key.clone(),
                expected: Some(stored.version),
            });
        }
        if !batch.writes.is_empty() {
            let _shared = (!alone).then(|| gate.read());
            match self.inner.store.commit(batch) {
                Ok(_) => {}
                Err(StoreError::Conflict { .. }) if !alone => return Ok(Page::Raced),
                Err(error) => return Err(error.into()),
            }
        }
        position.is_last = rows.len() < position.page_rows;
        position.rows += rows.len() as u64;
        let fitting = PAGE_BYTES * rows.len().max(1) / read_bytes.max(1);
        position.page_rows = (position.page_rows * 4).min(fitting).clamp(1, PAGE_ROWS_MAX);
        if let Some((last, _)) = rows.into_iter().next_back() {
            position.after = Some(last);
        }
        Ok(Page::Filled)
    }

    fn finish(&self, target: &Target, origin: Option<CommitOrigin>, statement: Option<&str>) -> Result<()> {
        let table = (
            target.database.as_str(),
            target.schema.as_str(),
            target.table.as_str(),
        );
        self.exclusively(table, |txn| {
            let defined = txn.table(&target.database, &target.schema, &target.table)?;
            let found = defined.and_then(|table| target.position(&table).map(|place| (table, place)));
            let (before, place) = found.ok_or_else(|| target.gone())?;
            let mut after = TableDef::clone(&before);
            after.indexes[place].state = IndexState::Ready;
            let replaced = |index: &IndexDef| index.name == target.name && index.space != target.space;
            let old = before.indexes.iter().find(|index| replaced(index));
            after.indexes.retain(|index| !replaced(index));
            txn.put_table(&after)?;
            match old {
                Some(old) => txn.drop_space(old.space),
                None => {
                    if let Some(origin) = origin {
                        txn.set_origin(origin);
                    }
                    txn.set_statement(statement);
                    txn.log_ddl(DdlChange::CreateIndex {
                        table: after,
                        index: target.name.clone(),
                    })?;
                }
            }
            Ok(())
        })
    }

    /// Runs a short transaction while nobody has changes of the table's rows that are not committed: those who have are
    /// waited for. So no transaction that has prepared its commit finds another definition at it.
    fn exclusively<R>(
        &self,
        (database, schema, table): (&str, &str, &str),
        work: impl FnOnce(&mut Txn) -> Result<R>,
    ) -> Result<R> {
        let locks = self.inner.locks.of_call();
        // A table that is not there is the transaction's to report.
        if let Some(table) = self.newest()?.table(database, schema, table)? {
            while let Err(error) = locks.table(table.id.0, LockMode::X) {
                match (error, locks.take_wait()) {
                    (TableError::MustWait, Some(wait)) => wait.block(&*self.inner.clock)?,
                    (error, _) => return Err(error),
                }
            }
        }
        self.alone(work)
    }

    /// Removes what builds that were cut short have left.
    pub(super) fn remove_unfinished_indexes(&self) -> Result<()> {
        let reader = self.newest()?;
        let mut unfinished = Vec::new();
        let txn = self.begin_read_only()?;
        for database in reader.databases()? {
            for relation in reader.relations(&database.name)? {
                let Relation::Table(table) = relation else {
                    continue;
                };
                for index in &table.indexes {
                    if index.state == IndexState::Building {
                        unfinished.push(Target::of(&txn, &table, index)?);
                    }
                }
            }
        }
        unfinished
            .iter()
            .try_for_each(|target| self.alone(|txn| txn.abandon(target)))
    }
}

impl Txn {
    /// Takes an index that is not ready out of the definition, where it still is.
    fn abandon(&mut self, target: &Target) -> Result<()> {
        let Some(before) = self.table(&target.database, &target.schema, &target.table)? else {
            return Ok(());
        };
        let Some(place) = target.position(&before) else {
            return Ok(());
        };
        let mut after = TableDef::clone(&before);
        after.indexes.remove(place);
        self.drop_space(target.space);
        self.forget_index_names(&before, &after)?;
        self.put_table(&after)
    }
}
