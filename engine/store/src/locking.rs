//! The locks of one transaction, and how it waits for them.
//!
//! Writers lock: a table in IX and each row, and each value of a unique constraint, in X, before they look at it. Readers
//! of a snapshot lock nothing. Locks are held until the transaction has ended, which is after its commit is durable; so
//! whoever waited for one finds what the commit made.
//!
//! **First updater wins.** Of two transactions that change a row, the first to lock it goes on and the other waits. If
//! the first rolls back, the other goes on as if nothing had been. If it commits, the other one's statement is run again
//! on the newest state under read committed, and fails with `WriteConflict` otherwise: its snapshot has an older version
//! of the row.
//!
//! **Waiting.** The calls of [`Txn`](crate::tables::Txn) never block. One that needs a lock which it can't have puts the
//! ticket here and fails with [`TableError::MustWait`]; what its statement did is undone. Its caller waits, as a thread
//! or as a task, for [`TxnLocks::take_wait`], and runs the statement again: it holds the lock then. A transaction
//! without locks ([`Txn::use_locks`](crate::tables::Txn::use_locks) was not called) relies on the check of versions at
//! its commit alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_kernel::locks::{
    Acquired, CancelReason, Deadlock, LockError, LockId, Locks, Owner, OwnerInfo, Resource, Wait, WaitEnd,
    WaitTicket,
};
use rustydb_runtime::Clock;

pub use rustydb_kernel::locks::LockMode;

use crate::tables::{Result, TableError};

/// How long a lock is waited for unless a transaction says otherwise, in microseconds.
pub const LOCK_TIMEOUT_US_DEFAULT: u64 = 30_000_000;
/// After so long a wait its transaction looks whether it is part of a deadlock, unless a setting says otherwise.
pub const DEADLOCK_TIMEOUT_US_DEFAULT: u64 = 100_000;
/// Numbers of transactions of one call begin here. They are not durable, and begin anew with the server.
pub const OWN_IDS_FROM: u64 = 1 << 62;

/// Hands out owners of locks to transactions.
pub struct LockRoom {
    locks: Locks,
    own_ids: AtomicU64,
    /// Place in the order of the beginnings: who is younger is the victim.
    began: AtomicU64,
    deadlock_timeout_us: AtomicU64,
    on_deadlock: Mutex<Option<OnDeadlock>>,
    /// Who may hold locks, by number.
    owners: Mutex<HashMap<u64, Weak<TxnLocks>>>,
}

/// What a transaction is about, for whoever looks at its locks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    pub username: String,
    pub database: String,
    /// The statement that runs, or ran last; or the name of the operation.
    pub statement: String,
}

/// Is told of a deadlock whose victim has not been rolled back yet.
type OnDeadlock = Arc<dyn Fn(&Deadlock) + Send + Sync>;

impl LockRoom {
    pub fn new(locks: Locks) -> LockRoom {
        LockRoom {
            locks,
            own_ids: AtomicU64::new(OWN_IDS_FROM),
            began: AtomicU64::new(0),
            deadlock_timeout_us: AtomicU64::new(DEADLOCK_TIMEOUT_US_DEFAULT),
            on_deadlock: Mutex::new(None),
            owners: Mutex::default(),
        }
    }

    /// `callback` is told of each deadlock that is found.
    pub fn on_deadlock(&self, callback: impl Fn(&Deadlock) + Send + Sync + 'static) {
        *self.on_deadlock.lock() = Some(Arc::new(callback));
    }

    /// Looks for deadlocks among all transactions; those that were found, whose victims have been told.
    pub fn detect(&self) -> Vec<Arc<Deadlock>> {
        let found = self.locks.detect();
        found.iter().for_each(|deadlock| self.found(deadlock));
        found
    }

    fn found(&self, deadlock: &Deadlock) {
        let callback = self.on_deadlock.lock().clone();
        if let Some(callback) = callback {
            callback(deadlock);
        }
    }

    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Of a transaction of several calls.
    pub fn of_transaction(self: &Arc<Self>, id: u64) -> Arc<TxnLocks> {
        self.register(id, true)
    }

    /// Of a transaction of one call.
    pub fn of_call(self: &Arc<Self>) -> Arc<TxnLocks> {
        self.register(self.own_ids.fetch_add(1, Ordering::Relaxed), false)
    }

    pub fn deadlock_timeout_us(&self) -> u64 {
        self.deadlock_timeout_us.load(Ordering::Relaxed)
    }

    pub fn set_deadlock_timeout_us(&self, us: u64) {
        self.deadlock_timeout_us.store(us, Ordering::Relaxed);
    }

    fn register(self: &Arc<Self>, id: u64, spans_calls: bool) -> Arc<TxnLocks> {
        let began_order = self.began.fetch_add(1, Ordering::Relaxed);
        let locks = Arc::new(TxnLocks {
            owner: self.locks.register(OwnerInfo { id, began_order }),
            room: Arc::clone(self),
            spans_calls,
            pending: Mutex::new(None),
            run_again: AtomicBool::new(false),
            no_wait: AtomicBool::new(false),
            timeout_us: AtomicU64::new(LOCK_TIMEOUT_US_DEFAULT),
            activity: Mutex::default(),
        });
        self.owners.lock().insert(id, Arc::downgrade(&locks));
        locks
    }

    /// What the transaction of this number is about, while it is open.
    pub fn activity(&self, id: u64) -> Option<Activity> {
        let locks = self.owners.lock().get(&id)?.upgrade()?;
        Some(locks.activity())
    }
}

impl Drop for TxnLocks {
    fn drop(&mut self) {
        self.room.owners.lock().remove(&self.id());
    }
}

/// What a transaction holds and waits for.
pub struct TxnLocks {
    room: Arc<LockRoom>,
    owner: Owner,
    spans_calls: bool,
    /// Of the call that failed with `MustWait`.
    pending: Mutex<Option<WaitTicket>>,
    /// The call failed with `RunAgain`.
    run_again: AtomicBool,
    no_wait: AtomicBool,
    timeout_us: AtomicU64,
    activity: Mutex<Activity>,
}

impl TxnLocks {
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Number of the transaction.
    pub fn id(&self) -> u64 {
        self.owner.id().0
    }

    /// Whether the transaction goes on between calls.
    pub fn spans_calls(&self) -> bool {
        self.spans_calls
    }

    pub fn timeout_us(&self) -> u64 {
        self.timeout_us.load(Ordering::Relaxed)
    }

    /// How long a lock is waited for.
    pub fn set_timeout_us(&self, us: u64) {
        self.timeout_us.store(us, Ordering::Relaxed);
    }

    pub fn activity(&self) -> Activity {
        self.activity.lock().clone()
    }

    /// Says what the transaction is about from now on.
    pub fn set_activity(&self, activity: Activity) {
        *self.activity.lock() = activity;
    }

    /// Says which statement runs.
    pub fn set_statement(&self, statement: &str) {
        statement.clone_into(&mut self.activity.lock().statement);
    }

    /// Whether a lock that can't be had at once is an error from now on.
    pub fn set_no_wait(&self, no_wait: bool) {
        self.no_wait.store(no_wait, Ordering::Relaxed);
    }

    /// Locks a table, or makes the lock on it stronger.
    pub fn table(&self, table: u64, mode: LockMode) -> Result<()> {
        self.take(Resource::Table(table), mode).map(drop)
    }

    /// Locks a key of a table's space, and the table with the intention to do so.
    pub fn key(&self, table: u64, space: u64, key: &[u8], mode: LockMode) -> Result<LockId> {
        let wait = self.wait();
        let acquired = self
            .room
            .locks
            .acquire_row(&self.owner, (table, space, key), mode, wait);
        self.noted(acquired, || Resource::row(table, space, key))
    }

    /// Releases a key that is locked by itself, and not with its whole table: the transaction can do nothing with it.
    pub(crate) fn give_up_key(&self, table: u64, space: u64, key: &[u8], mode: LockMode) -> Result<()> {
        let lock_id = self.key(table, space, key, mode)?;
        match self.owner.lock(lock_id) {
            Some((Resource::Row { .. }, _)) => self.release(lock_id),
            _ => Ok(()),
        }
    }

    /// Locks a key if that needs no wait; whether it did.
    pub fn try_key(&self, table: u64, space: u64, key: &[u8], mode: LockMode) -> Result<bool> {
        let acquired =
            self.room
                .locks
                .acquire_row(&self.owner, (table, space, key), mode, Wait::SkipLocked)?;
        Ok(matches!(acquired, Acquired::Granted { .. }))
    }

    /// Locks anything; the lock's number.
    pub fn take(&self, resource: Resource, mode: LockMode) -> Result<LockId> {
        let acquired = self
            .room
            .locks
            .acquire(&self.owner, resource.clone(), mode, self.wait());
        self.noted(acquired, || resource)
    }

    fn wait(&self) -> Wait {
        match self.no_wait.load(Ordering::Relaxed) {
            true => Wait::No,
            false => Wait::Yes,
        }
    }

    fn noted(
        &self,
        acquired: Result<Acquired, LockError>,
        resource: impl FnOnce() -> Resource,
    ) -> Result<LockId> {
        match acquired? {
            Acquired::Granted { lock_id, .. } => Ok(lock_id),
            Acquired::Refused { blockers } => Err(TableError::LockNotAvailable {
                resource: resource(),
                held_by: blockers.iter().map(|blocker| blocker.owner.0).collect(),
            }),
            Acquired::Queued(ticket) => {
                *self.pending.lock() = Some(ticket);
                Err(TableError::MustWait)
            }
        }
    }

    /// Notes that a call fails with `RunAgain`.
    pub(crate) fn note_run_again(&self) {
        self.run_again.store(true, Ordering::Relaxed);
    }

    /// Whether a call failed because it is to be run again, which asks for what comes next.
    pub fn wants_another_run(&self) -> bool {
        self.run_again.load(Ordering::Relaxed) || self.pending.lock().is_some()
    }

    /// What was noted has been heard.
    pub(crate) fn clear_run_again(&self) {
        self.run_again.store(false, Ordering::Relaxed);
    }

    /// Whether a call failed with `RunAgain` since this was last asked.
    pub fn take_run_again(&self) -> bool {
        self.run_again.swap(false, Ordering::Relaxed)
    }

    /// What a call that failed with `MustWait` has to wait for.
    pub fn take_wait(self: &Arc<Self>) -> Option<LockWait> {
        let ticket = self.pending.lock().take()?;
        Some(LockWait {
            ticket: Some(ticket),
            locks: Arc::clone(self),
        })
    }

    /// Releases one lock.
    pub fn release(&self, lock_id: LockId) -> Result<()> {
        Ok(self.room.locks.release(&self.owner, lock_id)?)
    }

    /// Releases everything: the transaction has ended.
    pub fn release_all(&self) {
        // Before the locks, so that it can't be granted after.
        *self.pending.lock() = None;
        self.room.locks.release_all(&self.owner);
    }
}

/// A lock that a transaction waits for. Dropped, it is given up.
pub struct LockWait {
    /// `None` once it was given up.
    ticket: Option<WaitTicket>,
    locks: Arc<TxnLocks>,
}

impl LockWait {
    /// What is to be done after a wait of so many microseconds: nothing, since the transaction holds the lock, or to
    /// wait for so many more, or for [`LockWait::ended`] if that is sooner, and to ask again.
    ///
    /// Fails with `LockTimeout`, and with `Deadlock` when this transaction is the victim of one: it has to be rolled back.
    pub fn step(&mut self, waited_us: u64) -> Result<Option<u64>> {
        let room = &self.locks.room;
        let (timeout_us, deadlock_us) = (self.locks.timeout_us(), room.deadlock_timeout_us());
        let Some(ticket) = &self.ticket else {
            return Ok(None);
        };
        if ticket.end().is_none() && waited_us >= deadlock_us {
            for deadlock in room.locks.detect_from(ticket) {
                room.found(&deadlock);
            }
        }
        let end = match ticket.end() {
            Some(end) => end,
            None if waited_us < timeout_us => {
                let next_us = match waited_us < deadlock_us {
                    true => deadlock_us.min(timeout_us),
                    false => timeout_us,
                };
                return Ok(Some(next_us - waited_us));
            }
            None => {
                let ticket = self.ticket.take().expect("it was there just now");
                let (resource, mode) = (ticket.resource().clone(), ticket.mode());
                // It may have come just now, and then it is not given up.
                match ticket.cancel(CancelReason::TimedOut) {
                    WaitEnd::Cancelled(CancelReason::TimedOut) => {
                        return Err(TableError::LockTimeout {
                            resource,
                            mode,
                            timeout_us,
                        });
                    }
                    end => end,
                }
            }
        };
        match end {
            WaitEnd::Granted { .. } => Ok(None),
            WaitEnd::Deadlock(deadlock) => Err(TableError::Deadlock {
                transaction: self.locks.id(),
                deadlock,
            }),
            WaitEnd::Cancelled(_) => Err(TableError::LockReleased {
                transaction: self.locks.id(),
            }),
        }
    }

    /// Until the wait has ended one way or another.
    pub async fn ended(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            drop(ticket.await);
        }
    }

    /// Waits as a thread.
    pub fn block(mut self, clock: &dyn Clock) -> Result<()> {
        let began_us = clock.now_mono_us();
        while let Some(us) = self.step(clock.now_mono_us().saturating_sub(began_us))? {
            if let Some(ticket) = &self.ticket {
                let _ = ticket.wait_for(Duration::from_micros(us));
            }
        }
        Ok(())
    }
}

impl From<LockError> for TableError {
    fn from(error: LockError) -> TableError {
        TableError::Lock(error)
    }
}
