//! One open transaction: the slot that calls take turns in, and what listings may read meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;
use rustydb_runtime::Clock;
use tokio::sync::OwnedMutexGuard;

use super::{BeginOptions, Book, EndReason, TransactionInfo};
use crate::tables::{CommitOutcome, Result, Txn};

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
}

/// What can be told without waiting for a running call.
struct Shown {
    info: TransactionInfo,
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
            read_only: options.read_only,
            started_at_us: now_us,
            last_used_at_us: now_us,
            idle_timeout_us,
            snapshot_seq: txn.snapshot_seq(),
            in_use: false,
            calls: 0,
            changes: Vec::new(),
        };
        let shown = Shown {
            info,
            last_used_mono_us: clock.now_mono_us(),
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

    /// The slot of a transaction that is open, unused, and has been so for longer than it may.
    pub(super) fn idle_slot(&self) -> Option<OwnedMutexGuard<Slot>> {
        let slot = self.slot.clone().try_lock_owned().ok()?;
        let idle_us = self
            .clock
            .now_mono_us()
            .saturating_sub(self.shown.lock().last_used_mono_us);
        (slot.is_open() && idle_us > self.idle_timeout_us).then_some(slot)
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
        self.finish(|txn| {
            let committed = txn.commit();
            let reason = if committed.is_ok() {
                EndReason::Committed
            } else {
                EndReason::RolledBack
            };
            (committed, reason)
        })
    }

    /// Ends the transaction and forgets all its changes.
    pub fn rollback(self) -> Result<()> {
        self.finish(|txn| {
            txn.rollback();
            (Ok(()), EndReason::RolledBack)
        })
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
