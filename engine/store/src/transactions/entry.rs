//! One open transaction: the slot that calls take turns in, and what listings may read meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;
use rustydb_runtime::Clock;
use tokio::sync::OwnedMutexGuard;

use super::{BeginOptions, Book, EndReason, TransactionInfo};
use crate::locking::LOCK_TIMEOUT_US_DEFAULT;
use crate::seam::CommitTicket;
use crate::tables::{CommitOutcome, Isolation, Result, TableError, Txn};

pub(super) struct Entry {
    id: u64,
    owner: String,
    idle_timeout_us: u64,
    clock: Arc<dyn Clock>,
    /// Tokio's mutex for its queue: calls get the transaction in the order in which they asked, and may wait
    /// for it in a task as well as in a thread.
    slot: Arc<tokio::sync::Mutex<Slot>>,
    shown: Mutex<Shown>,
}

/// The transaction, until it has ended.
pub(super) struct Slot {
    txn: Option<Txn>,
}

impl Slot {
    pub(super) fn is_open(&self) -> bool {
        self.txn.is_some()
    }

    /// Rolls back.
    pub(super) fn close(&mut self) {
        self.txn = None;
    }

    /// Puts another transaction in its place; whether there was one. When none can be made, the old one is gone.
    pub(super) fn replace(&mut self, make: impl FnOnce(Txn) -> Result<Txn>) -> Result<bool> {
        let Some(old) = self.txn.take() else {
            return Ok(false);
        };
        self.txn = Some(make(old)?);
        Ok(true)
    }
}

/// What can be told without waiting for a running call.
struct Shown {
    info: TransactionInfo,
    started_mono_us: u64,
    last_used_mono_us: u64,
}

impl Entry {
    pub(super) fn new(
        id: u64,
        options: &BeginOptions,
        idle_timeout_us: u64,
        txn: Txn,
        clock: Arc<dyn Clock>,
    ) -> Entry {
        let now_us = clock.now_us();
        let info = TransactionInfo {
            id,
            owner: options.owner.clone(),
            owner_name: options.owner_name.clone(),
            session: options.session.clone(),
            database: options.database.clone(),
            isolation: options.isolation,
            read_only: options.read_only,
            started_at_us: now_us,
            last_used_at_us: now_us,
            idle_timeout_us,
            timeout_us: options.timeout_us,
            lock_timeout_us: txn
                .locks()
                .map_or(LOCK_TIMEOUT_US_DEFAULT, |locks| locks.timeout_us()),
            snapshot_seq: txn.snapshot_seq(),
            in_use: false,
            calls: 0,
            changes: Vec::new(),
        };
        let now_mono_us = clock.now_mono_us();
        let shown = Shown {
            info,
            started_mono_us: now_mono_us,
            last_used_mono_us: now_mono_us,
        };
        Entry {
            id,
            owner: options.owner.clone(),
            idle_timeout_us,
            clock,
            slot: Arc::new(tokio::sync::Mutex::new(Slot { txn: Some(txn) })),
            shown: Mutex::new(shown),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn info(&self) -> TransactionInfo {
        self.shown.lock().info.clone()
    }

    /// Waits for its turn.
    pub(super) async fn slot(&self) -> OwnedMutexGuard<Slot> {
        self.slot.clone().lock_owned().await
    }

    pub(super) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// The slot of a transaction that is open and unused, and has been so for longer than it may.
    pub(super) fn late_slot(&self) -> Option<(OwnedMutexGuard<Slot>, EndReason)> {
        let slot = self.slot.clone().try_lock_owned().ok()?;
        if !slot.is_open() {
            return None;
        }
        let now_us = self.clock.now_mono_us();
        let shown = self.shown.lock();
        if now_us.saturating_sub(shown.last_used_mono_us) > self.idle_timeout_us {
            return Some((slot, EndReason::TimedOut));
        }
        let open_us = now_us.saturating_sub(shown.started_mono_us);
        let late = shown
            .info
            .timeout_us
            .is_some_and(|timeout_us| open_us > timeout_us);
        late.then_some((slot, EndReason::Expired))
    }

    pub(super) fn note_isolation(&self, isolation: Isolation) {
        self.shown.lock().info.isolation = isolation;
    }

    pub(super) fn note_timeout(&self, timeout_us: Option<u64>) {
        self.shown.lock().info.timeout_us = timeout_us;
    }

    fn note_start(&self) {
        let mut shown = self.shown.lock();
        shown.info.in_use = true;
        shown.info.calls += 1;
        self.note_use(&mut shown);
    }

    fn note_end(&self, txn: &Txn) {
        let mut shown = self.shown.lock();
        shown.info.in_use = false;
        shown.info.changes = txn.changes();
        shown.info.snapshot_seq = txn.snapshot_seq();
        self.note_use(&mut shown);
    }

    fn note_use(&self, shown: &mut Shown) {
        shown.info.last_used_at_us = self.clock.now_us();
        shown.last_used_mono_us = self.clock.now_mono_us();
    }
}

/// Exclusive use of an open transaction for one call; dropping it gives it back. May be held over `await`.
pub struct TxnLease {
    entry: Arc<Entry>,
    slot: OwnedMutexGuard<Slot>,
    book: Arc<Mutex<Book>>,
}

impl TxnLease {
    /// The slot must be open.
    pub(super) fn new(entry: Arc<Entry>, slot: OwnedMutexGuard<Slot>, book: Arc<Mutex<Book>>) -> TxnLease {
        assert!(slot.is_open(), "only open transactions are leased");
        entry.note_start();
        TxnLease { entry, slot, book }
    }

    /// The database that the transaction was begun in.
    pub fn database(&self) -> String {
        self.entry.shown.lock().info.database.clone()
    }

    /// Commits; blocks until durable. A failure ends the transaction as rolled back.
    pub fn commit(self) -> Result<CommitOutcome> {
        let book = Arc::clone(&self.book);
        let committed = self.finish(|txn| {
            let committed = txn.commit();
            let reason = if committed.is_ok() {
                EndReason::Committed
            } else {
                EndReason::RolledBack
            };
            (committed, reason)
        });
        if let Err(TableError::WriteConflict { .. }) = &committed {
            book.lock().counts.refused += 1;
        }
        committed
    }

    /// Commits without waiting until it is durable: [`Txn::commit_unsynced`]. The transaction has ended when this returns, and
    /// whoever hears of ends hears of it once it is durable.
    pub fn commit_unsynced(mut self) -> Result<(CommitOutcome, CommitTicket)> {
        let txn = self
            .slot
            .txn
            .take()
            .expect("a lease holds its transaction until it is finished");
        let committed = txn.commit_unsynced();
        let (entry, book) = (Arc::clone(&self.entry), Arc::clone(&self.book));
        match &committed {
            Err(error) => {
                let mut book = book.lock();
                book.end(entry.id, EndReason::RolledBack);
                if matches!(error, TableError::WriteConflict { .. }) {
                    book.counts.refused += 1;
                }
            }
            Ok((_, ticket)) => {
                book.lock().leave(entry.id, EndReason::Committed);
                ticket.on_durable(move |how| {
                    let reason = match how {
                        Ok(()) => EndReason::Committed,
                        Err(_) => EndReason::RolledBack,
                    };
                    book.lock().tell_end(&entry, reason);
                });
            }
        }
        committed
    }

    /// Ends the transaction and forgets all its changes.
    pub fn rollback(self) -> Result<()> {
        self.finish(|txn| {
            txn.rollback();
            (Ok(()), EndReason::RolledBack)
        })
    }

    /// Ends the transaction as the victim of a deadlock; its locks are released.
    pub fn end_deadlocked(self) {
        // Nothing of it can fail.
        let _ = self.finish(|txn| {
            txn.rollback();
            (Ok(()), EndReason::Deadlock)
        });
    }

    /// Ends the transaction for good.
    fn finish<R>(mut self, end: impl FnOnce(Txn) -> (Result<R>, EndReason)) -> Result<R> {
        let txn = self
            .slot
            .txn
            .take()
            .expect("a lease holds its transaction until it is finished");
        let (result, reason) = end(txn);
        self.book.lock().end(self.entry.id, reason);
        result
    }
}

impl Deref for TxnLease {
    type Target = Txn;

    fn deref(&self) -> &Txn {
        self.slot
            .txn
            .as_ref()
            .expect("a lease holds its transaction until it is finished")
    }
}

impl DerefMut for TxnLease {
    fn deref_mut(&mut self) -> &mut Txn {
        self.slot
            .txn
            .as_mut()
            .expect("a lease holds its transaction until it is finished")
    }
}

impl Drop for TxnLease {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.slot.close();
            self.book.lock().end(self.entry.id, EndReason::RolledBack);
        } else if let Some(txn) = &self.slot.txn {
            self.entry.note_end(txn);
        }
    }
}

const _: () = {
    const fn sent_between_threads<T: Send>() {}
    sent_between_threads::<TxnLease>();
};
