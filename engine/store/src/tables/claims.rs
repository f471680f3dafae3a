//! What a transaction locks before it changes something, and what it then finds changed: [`crate::locking`].

use std::sync::Arc;

use rustydb_kernel::locks::LockMode;

use crate::locking::TxnLocks;
use crate::seam::SpaceId;
use crate::tables::{Isolation, Result, TableError, Txn};
use crate::types::{RowKey, TableDef};

impl Txn {
    /// From now on it locks what it changes. Its calls may fail with `MustWait` and `RunAgain`.
    pub fn use_locks(&mut self, locks: Arc<TxnLocks>) {
        self.locks = Some(locks);
    }

    pub fn locks(&self) -> Option<&Arc<TxnLocks>> {
        self.locks.as_ref()
    }

    /// Leaves the locks to the caller, for another run of the same call. Otherwise they are released at the end.
    pub fn take_locks(&mut self) -> Option<Arc<TxnLocks>> {
        self.locks.take()
    }

    /// Gives its locks and its name in the change log to another one, which takes its place.
    pub(crate) fn hand_over(mut self, to: &mut Txn) {
        to.locks = self.take_locks();
        to.origin = self.origin.take();
    }

    /// Runs a statement as a thread does: begins it, waits for locks, and runs it again after a wait.
    ///
    /// Fails with `Deadlock` and `LockTimeout` besides what `statement` fails with.
    pub fn run_statement<R>(&mut self, mut statement: impl FnMut(&mut Txn) -> Result<R>) -> Result<R> {
        loop {
            self.begin_statement()?;
            let mark = self.mark();
            let error = match statement(self) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            self.undo_to(&mark);
            match (error, self.locks.as_ref().and_then(TxnLocks::take_wait)) {
                (TableError::MustWait, Some(wait)) => wait.block(&**self.tables.clock())?,
                (TableError::RunAgain { .. }, _) => {
                    if let Some(locks) = &self.locks {
                        locks.clear_run_again();
                    }
                }
                (error, _) => return Err(error),
            }
        }
    }

    /// Locks a table.
    pub fn lock_table(&mut self, table: &TableDef, mode: LockMode) -> Result<()> {
        match &self.locks {
            None => Ok(()),
            Some(locks) => locks.table(table.id.0, mode),
        }
    }

    /// Locks rows and makes sure that they are as this transaction sees them: for who reads them in order to act on that.
    pub fn lock_rows(&mut self, table: &TableDef, keys: &[RowKey], mode: LockMode) -> Result<()> {
        let keys = keys.iter().map(|key| key.0.as_slice());
        self.claim(table, table.space, keys, mode)
    }

    /// Of these rows those that can be locked at once; they are locked.
    pub fn lock_free_rows(
        &mut self,
        table: &TableDef,
        keys: Vec<RowKey>,
        mode: LockMode,
    ) -> Result<Vec<RowKey>> {
        let Some(locks) = self.locks.clone() else {
            return Ok(keys);
        };
        let mut free = Vec::with_capacity(keys.len());
        for key in keys {
            if locks.try_key(table.id.0, table.space.0, &key.0, mode)? {
                free.push(key);
            }
        }
        self.lock_rows(table, &free, mode)?;
        Ok(free)
    }

    /// Locks keys that are to be written, and makes sure that nobody has written them since they were read.
    pub(super) fn claim<'k>(
        &mut self,
        table: &TableDef,
        space: SpaceId,
        keys: impl IntoIterator<Item = &'k [u8], IntoIter: Clone>,
        mode: LockMode,
    ) -> Result<()> {
        let Some(locks) = self.locks.clone() else {
            return Ok(());
        };
        let keys = keys.into_iter();
        for key in keys.clone() {
            locks.key(table.id.0, space.0, key, mode)?;
        }
        // In one call the commit finds out, and the call is run again with the locks it has.
        if !locks.spans_calls() {
            return Ok(());
        }
        // Whoever held a lock before has published what it did.
        let newest = self.tables.inner.store.snapshot()?;
        if newest.seq() == self.view.snapshot.seq() {
            return Ok(());
        }
        for key in keys {
            if self.view.writes.get(space, key).is_some() {
                continue;
            }
            let version_now = newest.get(space, key)?.map(|found| found.version);
            let version_seen = self.view.stored(space, key)?.map(|found| found.version);
            if version_now != version_seen {
                let object = format!("a row of table \"{}\"", table.name);
                return Err(match self.isolation() {
                    Isolation::ReadCommitted => {
                        locks.note_run_again();
                        TableError::RunAgain { object }
                    }
                    Isolation::Snapshot | Isolation::Serializable => {
                        // So that whoever runs it again, in another transaction, need not wait for this one's end.
                        locks.give_up_key(table.id.0, space.0, key, mode)?;
                        TableError::WriteConflict { object }
                    }
                });
            }
        }
        Ok(())
    }
}
