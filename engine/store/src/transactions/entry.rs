//! One open transaction: the slot that calls take turns in, and what listings may read meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;
use rustydb_runtime::Clock;
use tokio::sync::OwnedMutexGuard;

use super::prepared::Head;
use super::{
    BeginOptions, Book, BranchInfo, BranchState, EndReason, IDLE_TIMEOUT_US_DEFAULT, TransactionInfo, Xid,
};
use crate::locking::{Activity, LOCK_TIMEOUT_US_DEFAULT, TxnLocks};
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
    /// What a prepared branch holds; the rest of it is in its record.
    prepared: Option<Arc<TxnLocks>>,
}

impl Slot {
    pub(super) fn is_open(&self) -> bool {
        self.txn.is_some()
    }

    /// Whether the transaction has not ended: it is open, or a prepared branch.
    pub(super) fn is_there(&self) -> bool {
        self.txn.is_some() || self.prepared.is_some()
    }

    pub(super) fn txn(&mut self) -> Option<&mut Txn> {
        self.txn.as_mut()
    }

    pub(super) fn take(&mut self) -> Option<Txn> {
        self.txn.take()
    }

    /// The transaction goes, and its locks stay: it is prepared.
    pub(super) fn keep_locks(&mut self) {
        self.prepared = self.txn.take().and_then(|mut txn| txn.take_locks());
    }

    /// Rolls back; of a prepared branch, releases the locks.
    pub(super) fn close(&mut self) {
        self.txn = None;
        if let Some(locks) = self.prepared.take() {
            locks.release_all();
        }
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
        xid: Option<Xid>,
    ) -> Entry {
        let now_us = clock.now_us();
        let info = TransactionInfo {
            id,
            owner: options.owner.clone(),
            owner_name: options.owner_name.clone(),
            session: options.session.clone(),
            database: options.database.clone(),
            isolation: txn.isolation(),
            read_only: txn.is_read_only(),
            reads_past: txn.reads_past(),
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
            branch: xid.map(|xid| BranchInfo {
                xid,
                state: BranchState::Active,
                prepared_at_us: None,
                recovered: false,
            }),
        };
        let slot = Slot {
            txn: Some(txn),
            prepared: None,
        };
        Entry::showing(info, slot, clock)
    }

    /// A branch that was prepared before, with the locks that it holds again.
    pub(super) fn restored(head: Head, locks: Arc<TxnLocks>, clock: Arc<dyn Clock>) -> Entry {
        locks.set_activity(Activity {
            username: head.owner_name.clone(),
            database: head.database.clone(),
            statement: String::new(),
        });
        let info = TransactionInfo {
            id: head.transaction_id,
            owner: head.owner,
            owner_name: head.owner_name,
            session: head.session,
            database: head.database,
            isolation: head.isolation,
            read_only: false,
            reads_past: false,
            started_at_us: head.started_at_us,
            last_used_at_us: head.prepared_at_us,
            idle_timeout_us: IDLE_TIMEOUT_US_DEFAULT,
            timeout_us: None,
            lock_timeout_us: locks.timeout_us(),
            snapshot_seq: head.snapshot_seq,
            in_use: false,
            calls: head.calls,
            changes: head.changes,
            branch: Some(BranchInfo {
                xid: head.xid,
                state: BranchState::Prepared,
                prepared_at_us: Some(head.prepared_at_us),
                recovered: true,
            }),
        };
        let slot = Slot {
            txn: None,
            prepared: Some(locks),
        };
        Entry::showing(info, slot, clock)
    }

    fn showing(info: TransactionInfo, slot: Slot, clock: Arc<dyn Clock>) -> Entry {
        let now_mono_us = clock.now_mono_us();
        let shown = Shown {
            info,
            started_mono_us: now_mono_us,
            last_used_mono_us: now_mono_us,
        };
        Entry {
            id: shown.info.id,
            owner: shown.info.owner.clone(),
            idle_timeout_us: shown.info.idle_timeout_us,
            clock,
            slot: Arc::new(tokio::sync::Mutex::new(slot)),
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

    pub(super) fn branch(&self) -> Option<BranchInfo> {
        self.shown.lock().info.branch.clone()
    }

    /// Whether it is a prepared branch.
    pub(super) fn is_prepared(&self) -> bool {
        let shown = self.shown.lock();
        let branch = shown.info.branch.as_ref();
        branch.is_some_and(|branch| branch.state == BranchState::Prepared)
    }

    /// Refuses what a branch in this state takes no part in.
    pub(super) fn refused(&self, branch: BranchInfo) -> TableError {
        TableError::IsBranch {
            id: self.id,
            xid: branch.xid,
            state: branch.state,
            remedy: match branch.state {
                BranchState::Active => {
                    "end the branch; then prepare it, commit it in one phase, or roll it back as a branch"
                }
                BranchState::Idle => {
                    "resume it to go on; or prepare it, commit it in one phase, or roll it back as a branch"
                }
                BranchState::Prepared => "commit it or roll it back as a branch",
            },
        }
    }

    pub(super) fn note_branch(&self, state: BranchState) {
        let mut shown = self.shown.lock();
        if let Some(branch) = &mut shown.info.branch {
            branch.state = state;
        }
        self.note_use(&mut shown);
    }

    pub(super) fn note_prepared(&self, at_us: i64) {
        let mut shown = self.shown.lock();
        if let Some(branch) = &mut shown.info.branch {
            branch.state = BranchState::Prepared;
            branch.prepared_at_us = Some(at_us);
        }
        self.note_use(&mut shown);
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

    /// Refuses to end a branch the way other transactions end.
    fn require_no_branch(&self) -> Result<()> {
        self.entry
            .branch()
            .map_or(Ok(()), |branch| Err(self.entry.refused(branch)))
    }

    /// Commits; blocks until durable. A failure ends the transaction as rolled back.
    pub fn commit(self) -> Result<CommitOutcome> {
        self.require_no_branch()?;
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

    /// Commits without waiting until it is durable: [`Txn::commit_unsynced`]. The transaction has ended when this returns, and
    /// whoever hears of ends hears of it once it is durable.
    pub fn commit_unsynced(mut self) -> Result<(CommitOutcome, CommitTicket)> {
        self.require_no_branch()?;
        self.tell_savepoints();
        let txn = self
            .slot
            .txn
            .take()
            .expect("a lease holds its transaction until it is finished");
        let committed = txn.commit_unsynced();
        let (entry, book) = (Arc::clone(&self.entry), Arc::clone(&self.book));
        match &committed {
            Err(_) => {
                book.lock().end(entry.id, EndReason::RolledBack);
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
        self.require_no_branch()?;
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
        self.tell_savepoints();
        let txn = self
            .slot
            .txn
            .take()
            .expect("a lease holds its transaction until it is finished");
        let (result, reason) = end(txn);
        self.book.lock().end(self.entry.id, reason);
        result
    }

    /// Tells what became of savepoints in this call.
    fn tell_savepoints(&mut self) {
        let events = self.slot.txn.as_mut().map(Txn::take_savepoint_events);
        if let Some(events) = events.filter(|events| !events.is_empty()) {
            self.book.lock().tell_savepoints(&self.entry, &events);
        }
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
            self.tell_savepoints();
        }
    }
}

const _: () = {
    const fn sent_between_threads<T: Send>() {}
    sent_between_threads::<TxnLease>();
};
