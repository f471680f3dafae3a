//! Voting, and what becomes of a vote: how the table layer prepares a transaction and ends it later.
//!
//! **Prepare** makes a record of the transaction durable ([`Prepared`]): what it is to write, what it relies on, its locks.
//! The commit that writes the record guards every key that the transaction writes or relies on, with the version that it
//! saw, and names what a serializable one has read; the checks of definitions run before. So who could not commit now can't
//! prepare.
//!
//! **Commit** applies what the record holds and removes the record, in one commit of the store. **Rollback** removes the
//! record. So after a crash a transaction is prepared, or never was, or has ended as a whole.
//!
//! **In between** nobody changes what the commit relies on: `pledges`. The commit still names the versions that the
//! transaction saw, so that a mistake there would refuse it and not lose what others wrote.
//!
//! **Indexes being built.** Their builder writes to spaces that a transaction writes to as well, and the next opening removes
//! one whose build was cut short. So nobody prepares who relies on a table with one; and once somebody has prepared, a
//! build on its tables waits for its locks before it begins.

use std::sync::Arc;

use crate::error::StoreError;
use crate::reads::{ReadSet, Validated};
use crate::seam::{CommitSeq, Guard, SpaceId, Write, WriteBatch};
use crate::tables::catalog::CatalogEntry;
use crate::tables::pledges::{Met, Pledge};
use crate::tables::{Result, TableError, Tables, Txn};
use crate::types::{IndexState, ObjectId, TableDef};

/// What a prepared transaction does at its commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Prepared {
    /// Without its reads.
    pub(crate) batch: WriteBatch,
    /// Of a serializable transaction.
    pub(crate) reads: Option<ReadSet>,
    /// Their use is forgotten with them.
    pub(crate) dropped_indexes: Vec<ObjectId>,
}

/// Whether a transaction has something to commit.
pub(crate) enum Votes {
    /// Nothing: there is nothing to prepare.
    ReadOnly,
    Prepared(Prepared),
}

impl Txn {
    /// What its commit would do. Nothing else can be done with the transaction after that but to prepare it.
    pub(crate) fn votes(&mut self) -> Result<Votes> {
        let batch = self.batch()?;
        if batch.changes_nothing() {
            return Ok(Votes::ReadOnly);
        }
        Ok(Votes::Prepared(Prepared {
            batch,
            reads: self.read_set(),
            dropped_indexes: self.state.dropped_indexes.clone(),
        }))
    }

    /// A table that its commit relies on, and an index of it that is being built.
    pub(crate) fn index_in_the_way(&self) -> Result<Option<(String, String)>> {
        let written = self.view.writes.space(SpaceId::CATALOG);
        let written = written.into_iter().flat_map(|writes| writes.iter());
        let keys = self.state.guards.keys().chain(written.map(|(key, _)| key));
        for key in keys {
            let Some(found) = self.view.snapshot.get(SpaceId::CATALOG, key)? else {
                continue;
            };
            let CatalogEntry::Table(TableDef { name, indexes, .. }) = CatalogEntry::decode(&found.value)?
            else {
                continue;
            };
            let building = |index: &crate::types::IndexDef| index.state == IndexState::Building;
            if let Some(index) = indexes.into_iter().find(building) {
                return Ok(Some((name, index.name)));
            }
        }
        Ok(None)
    }

    /// Makes `record` durable, if the transaction could commit now; blocks until it is. From then on it can.
    pub(crate) fn prepare(&self, id: u64, prepared: &Prepared, record: Vec<Write>) -> Result<CommitSeq> {
        let inner = &self.tables.inner;
        let batch = &prepared.batch;
        {
            let _alone = inner.commit_gate.write();
            self.run_checks()?;
            let pledge = Pledge::of(batch, prepared.reads.as_ref());
            inner
                .pledges
                .make(id, pledge)
                .map_err(|met| self.in_doubt(&met))?;
        }
        let written = batch.writes.iter().map(|write| Guard {
            space: write.space,
            key: write.key.clone(),
            expected: write.expected,
        });
        let vote = WriteBatch {
            writes: record,
            guards: written.chain(batch.guards.iter().cloned()).collect(),
            reads: prepared.reads.as_ref().map(|reads| Validated {
                snapshot: self.snapshot_seq(),
                reads: Arc::new(reads.clone()),
            }),
            ..WriteBatch::default()
        };
        let voted = {
            let _shared = inner.commit_gate.read();
            inner.store.commit(vote)
        };
        voted.map_err(|error| {
            inner.pledges.release(id);
            if let StoreError::Conflict { .. } = &error {
                inner.commits.note_conflict();
            }
            self.explain(error)
        })
    }

    /// Refuses a commit that would break the pledge of a prepared transaction. The caller holds the gate until it was made.
    pub(super) fn admit(&self, batch: &WriteBatch) -> Result<()> {
        match self.tables.inner.pledges.broken_by(batch) {
            None => Ok(()),
            Some(met) => Err(self.in_doubt(&met)),
        }
    }

    fn in_doubt(&self, met: &Met) -> TableError {
        TableError::InDoubt {
            object: self.object(met.space, &met.key),
            branch: met.branch,
        }
    }
}

impl Tables {
    /// Keeps the pledge of a transaction that was prepared before the tables were opened.
    pub(crate) fn pledge(&self, id: u64, prepared: &Prepared) -> Result<()> {
        let pledge = Pledge::of(&prepared.batch, prepared.reads.as_ref());
        let _alone = self.inner.commit_gate.write();
        self.inner.pledges.make(id, pledge).map_err(|met| {
            crate::tables::corrupt(format!(
                "transactions {id} and {} are both prepared, and only one of them can commit",
                met.branch
            ))
        })
    }

    /// Commits a prepared transaction and removes its record; blocks until that is durable. After a failure it is prepared
    /// still, as far as is known.
    pub(crate) fn commit_prepared(
        &self,
        id: u64,
        prepared: Prepared,
        removal: Vec<Write>,
    ) -> Result<CommitSeq> {
        let inner = &self.inner;
        let began_us = inner.clock.now_mono_us();
        let mut batch = prepared.batch;
        batch.writes.extend(removal);
        let seq = {
            let _shared = inner.commit_gate.read();
            inner.store.commit(batch)?
        };
        let taken_us = inner.clock.now_mono_us().saturating_sub(began_us);
        inner.commits.note_taken(taken_us);
        for index in &prepared.dropped_indexes {
            inner.usage.forget(*index);
        }
        inner.pledges.release(id);
        Ok(seq)
    }

    /// Removes the record of a prepared transaction; blocks until that is durable. After a failure it is prepared still, as
    /// far as is known.
    pub(crate) fn forget_prepared(&self, id: u64, removal: Vec<Write>) -> Result<CommitSeq> {
        let batch = WriteBatch {
            writes: removal,
            ..WriteBatch::default()
        };
        let seq = self.inner.store.commit(batch)?;
        self.inner.pledges.release(id);
        Ok(seq)
    }
}
