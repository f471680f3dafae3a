//! Handing a write set to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustydb_kernel::space::{Histogram, HistogramSnapshot};

use crate::change_log;
use crate::error::StoreError;
use crate::reads::Validated;
use crate::seam::{CommitSeq, CommitTicket, Guard, SpaceId, Write, WriteBatch};
use crate::tables::catalog::{self, CatalogEntry};
use crate::tables::write_set::WriteSet;
use crate::tables::{CommitOutcome, Relation, Result, TableError, Tables, Txn, TxnReader};
use crate::types::{ObjectId, ViewDef};

/// Counts commits that changed something, and how long they took with the wait for the disk.
#[derive(Default)]
pub struct CommitMeter {
    taken: Histogram,
    conflicts: AtomicU64,
}

impl CommitMeter {
    /// How long commits took.
    pub fn taken(&self) -> HistogramSnapshot {
        self.taken.snapshot()
    }

    /// Commits that were refused because somebody else was first.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }
}

/// The absence of something that a change of definitions relies on. Checked on the newest state, while no other
/// commit runs.
#[derive(Clone)]
pub(super) enum CommitCheck {
    /// No view reads the relation.
    NoDependents {
        database: String,
        schema: String,
        name: String,
    },
    /// The database holds nothing.
    Empty { database: String },
    /// Nobody has changed the space since this position.
    Unmodified {
        table: String,
        space: SpaceId,
        since: CommitSeq,
    },
}

impl CommitCheck {
    /// `newest` has no writes laid over it; what `own` changes is the transaction's own business.
    fn run(&self, newest: &TxnReader, own: &WriteSet) -> Result<()> {
        let object = match self {
            CommitCheck::NoDependents {
                database,
                schema,
                name,
            } => {
                let reads = |view: &ViewDef| view.reads(schema, name);
                let found = foreign_relations(
                    newest,
                    own,
                    database,
                    |relation| matches!(relation, Relation::View(view) if reads(&view)),
                )?;
                if !found {
                    return Ok(());
                }
                format!("the views that read \"{name}\"")
            }
            CommitCheck::Empty { database } => {
                if !foreign_relations(newest, own, database, |_| true)? {
                    return Ok(());
                }
                format!("the tables of database \"{database}\"")
            }
            CommitCheck::Unmodified { table, space, since } => {
                if newest.snapshot.space_stats(*space)?.modified <= *since {
                    return Ok(());
                }
                format!("rows of table \"{table}\"")
            }
        };
        Err(TableError::WriteConflict { object })
    }
}

/// Whether a database holds a relation of this kind that the transaction itself neither changes nor drops.
fn foreign_relations(
    newest: &TxnReader,
    own: &WriteSet,
    database: &str,
    wanted: impl Fn(Relation) -> bool,
) -> Result<bool> {
    let mut found = false;
    newest.each_entry(
        SpaceId::CATALOG,
        catalog::relations_prefix(database),
        |key, bytes| {
            found |= own.get(SpaceId::CATALOG, &key).is_none() && wanted(CatalogEntry::relation(bytes)?);
            Ok(())
        },
    )?;
    Ok(found)
}

impl Tables {
    /// Runs a short transaction while no other commits, so that it never conflicts.
    pub(super) fn alone<R>(&self, work: impl FnOnce(&mut Txn) -> Result<R>) -> Result<R> {
        let _alone = self.inner.commit_gate.write();
        // A snapshot shows what is durable, and this one is to show every commit before.
        self.inner.store.settle()?;
        let mut txn = self.begin()?;
        let done = work(&mut txn)?;
        txn.commit_as(true, true)?;
        Ok(done)
    }
}

impl Txn {
    /// Makes all changes durable as one unit, or none: blocks until they are synced. A transaction that wrote
    /// nothing commits without touching the store.
    ///
    /// `WriteConflict` means that another transaction was first; begin again.
    pub fn commit(self) -> Result<CommitOutcome> {
        self.commit_as(false, true).map(|(outcome, _)| outcome)
    }

    /// [`Txn::commit`], but does not wait until it is durable: [`TableStore::commit_unsynced`].
    ///
    /// [`TableStore::commit_unsynced`]: crate::seam::TableStore::commit_unsynced
    pub fn commit_unsynced(mut self) -> Result<(CommitOutcome, CommitTicket)> {
        let locks = self.take_locks();
        let committed = self.commit_as(false, false);
        if let (Some(locks), Ok((_, ticket))) = (locks, &committed) {
            // Whoever gets them finds what it made. A commit that was refused gives them back here.
            ticket.on_durable(move |_| locks.release_all());
        }
        committed
    }

    /// Commits; `alone` when nobody else has committed since the transaction began, and nobody can: its caller holds
    /// the gate.
    fn commit_as(mut self, alone: bool, waits: bool) -> Result<(CommitOutcome, CommitTicket)> {
        let changes = self.changes();
        let mut batch = self.batch();
        let wrote = !batch.changes_nothing();
        if wrote && let Some(reads) = self.read_set() {
            batch.reads = Some(Validated {
                snapshot: self.snapshot_seq(),
                reads: Arc::new(reads),
            });
        }
        if !wrote {
            let seq = self.snapshot_seq();
            let outcome = CommitOutcome { seq, wrote, changes };
            return Ok((outcome, CommitTicket::durable(seq)));
        }
        let inner = &self.tables.inner;
        let began_us = inner.clock.now_mono_us();
        let commit = |batch| match waits {
            true => inner.store.commit(batch).map(CommitTicket::durable),
            false => inner.store.commit_unsynced(batch),
        };
        let committed = if alone {
            commit(batch)
        } else if self.state.checks.is_empty() {
            let _shared = inner.commit_gate.read();
            commit(batch)
        } else {
            let _alone = inner.commit_gate.write();
            // A snapshot shows what is durable, and the checks are of every commit before.
            inner.store.settle()?;
            let newest = self.tables.newest()?;
            for check in &self.state.checks {
                check.run(&newest, &self.view.writes).inspect_err(|error| {
                    if matches!(error, TableError::WriteConflict { .. }) {
                        inner.commits.conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                })?;
            }
            commit(batch)
        };
        match &committed {
            Ok(_) => {
                let taken_us = inner.clock.now_mono_us().saturating_sub(began_us);
                inner.commits.taken.record(taken_us.saturating_mul(1_000));
            }
            Err(StoreError::Conflict { .. }) => drop(inner.commits.conflicts.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
        let ticket = committed.map_err(|error| self.explain(error))?;
        for index in &self.state.dropped_indexes {
            inner.usage.forget(*index);
        }
        let seq = ticket.seq();
        Ok((CommitOutcome { seq, wrote, changes }, ticket))
    }

    fn batch(&mut self) -> WriteBatch {
        let mut log = std::mem::take(&mut self.log);
        if let (Some(origin), false) = (&self.origin, log.is_empty()) {
            log.insert(0, change_log::encode_origin(origin));
        }
        let mut batch = WriteBatch {
            dropped_spaces: self.state.dropped_spaces.iter().copied().collect(),
            log,
            ..WriteBatch::default()
        };
        for (space, writes) in self.view.writes.spaces() {
            if self.state.dropped_spaces.contains(&space) {
                continue;
            }
            for (key, pending) in writes.iter() {
                if pending.base.is_none() && pending.value.is_none() {
                    if self.state.guarded_spaces.contains(&space) {
                        batch.guards.push(Guard {
                            space,
                            key: key.clone(),
                            expected: None,
                        });
                    }
                    continue;
                }
                batch.writes.push(Write {
                    space,
                    key: key.clone(),
                    expected: pending.base.map(|base| base.version),
                    value: pending.value.as_deref().map(<[u8]>::to_vec),
                });
            }
        }
        for (key, expected) in &self.state.guards {
            if self.view.writes.get(SpaceId::CATALOG, key).is_none() {
                batch.guards.push(Guard {
                    space: SpaceId::CATALOG,
                    key: key.clone(),
                    expected: *expected,
                });
            }
        }
        batch
    }

    /// Names what a conflict is about.
    fn explain(&self, error: StoreError) -> TableError {
        let StoreError::Conflict { space, key } = error else {
            return TableError::Store(error);
        };
        let object = if space == SpaceId::CATALOG {
            let names = String::from_utf8_lossy(key.get(1..).unwrap_or_default());
            let names: Vec<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
            format!("the definition of \"{}\"", names.join("."))
        } else {
            match self
                .state
                .changes
                .values()
                .find(|changes| self.holds(changes.table_id, space))
            {
                Some(changes) => format!("a row of table \"{}\"", changes.table),
                None => "the same data".to_owned(),
            }
        };
        TableError::WriteConflict { object }
    }

    fn holds(&self, table: ObjectId, space: SpaceId) -> bool {
        self.state
            .written
            .get(&table)
            .is_some_and(|written| written.spaces.contains(&space))
    }
}
