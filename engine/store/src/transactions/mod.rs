//! Explicit transactions that stay open between calls.
//!
//! A [`Txn`] belongs to whoever holds it; the registry keeps those that a client began and will come back to,
//! by number. Rules:
//!
//! - Only the owner that began a transaction may use it.
//! - Calls in one transaction run one after another, in the order in which they asked; calls in different ones
//!   never wait for each other. The registry's own lock is held for map look-ups only.
//! - A transaction that nobody has used for its idle time-out is rolled back, either when somebody comes for
//!   it or by [`TransactionRegistry::sweep`]. While a call runs, it is not idle.
//! - A call that panics ends its transaction: nobody knows how far the call came.
//! - Numbers come from a durable counter and are never given again. The latest ended ones are remembered, so
//!   that a late call learns how its transaction ended.

mod deadlocks;
mod entry;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

pub use deadlocks::{DEADLOCKS_KEPT_MAX, DeadlockLog, DeadlockMember, DeadlockRecord, mode_name};
use entry::Entry;
pub use entry::TxnLease;

use crate::change_log::CommitOrigin;
use crate::locking::{Activity, LOCK_TIMEOUT_US_DEFAULT};
use crate::seam::CommitSeq;
use crate::tables::{
    CommitOutcome, Counter, Isolation, Result, TableChanges, TableError, Tables, Txn, TxnOptions,
};

/// Idle time-out of a transaction that names none.
pub const IDLE_TIMEOUT_US_DEFAULT: u64 = 60_000_000;
/// Shortest time-out that can be asked for.
pub const TIMEOUT_US_MIN: u64 = 1_000;
/// Longest idle time-out that can be asked for.
pub const IDLE_TIMEOUT_US_MAX: u64 = 3_600_000_000;
/// Longest time that a transaction may be given to stay open.
pub const TIMEOUT_US_MAX: u64 = 24 * 3_600_000_000;
/// Transactions that outlived a limit and are remembered.
pub const TIMED_OUT_REMEMBERED_MAX: usize = 1_000;
/// Transactions that one owner may have open.
pub const OPEN_PER_OWNER_MAX: usize = 64;
/// Transactions that all owners together may have open.
pub const OPEN_MAX: usize = 1_024;
/// Ended transactions whose end is remembered.
pub const ENDED_REMEMBERED_MAX: usize = 10_000;
/// Transaction numbers reserved at once.
const ID_BLOCK: u64 = 1_024;
/// The first number ever given: small ones stay free, so that a slip of the hand names nobody's transaction.
const ID_FIRST: u64 = 1_000;

/// How an explicit transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    Committed,
    RolledBack,
    /// Nobody used it for its idle time-out.
    TimedOut,
    /// It was open for as long as it may be.
    Expired,
    /// It was the victim of a deadlock.
    Deadlock,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::Committed => "was committed",
            EndReason::RolledBack => "was rolled back",
            EndReason::TimedOut => "was rolled back after being idle too long",
            EndReason::Expired => "was rolled back after being open too long",
            EndReason::Deadlock => "was rolled back to end a deadlock",
        })
    }
}

/// Hears of explicit transactions as they begin and end, in that order; called under the registry's lock, so it must
/// be quick and must not call back.
pub trait TransactionObserver: Send + Sync {
    fn began(&self, transaction: &TransactionInfo);
    /// After the commit is durable, or all changes are forgotten.
    fn ended(&self, transaction: &TransactionInfo, reason: EndReason);
}

/// What a new transaction is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginOptions {
    /// Who may use it: an opaque principal name.
    pub owner: String,
    /// What listings call the owner.
    pub owner_name: String,
    /// The login session it is begun in.
    pub session: Option<String>,
    pub database: String,
    pub isolation: Isolation,
    pub read_only: bool,
    /// `None` takes [`IDLE_TIMEOUT_US_DEFAULT`].
    pub idle_timeout_us: Option<u64>,
    /// How long it may stay open; `None` for as long as it is used.
    pub timeout_us: Option<u64>,
    /// How long it waits for a lock; `None` takes [`LOCK_TIMEOUT_US_DEFAULT`](crate::locking::LOCK_TIMEOUT_US_DEFAULT).
    pub lock_timeout_us: Option<u64>,
}

/// An open transaction as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionInfo {
    pub id: u64,
    pub owner: String,
    pub owner_name: String,
    pub session: Option<String>,
    pub database: String,
    pub isolation: Isolation,
    pub read_only: bool,
    pub started_at_us: i64,
    /// Start or end of its latest call.
    pub last_used_at_us: i64,
    pub idle_timeout_us: u64,
    pub timeout_us: Option<u64>,
    pub lock_timeout_us: u64,
    /// Of its latest statement.
    pub snapshot_seq: CommitSeq,
    /// Whether a call is running in it now.
    pub in_use: bool,
    /// Calls so far, a running one included.
    pub calls: u64,
    /// Row changes at the end of its latest call.
    pub changes: Vec<TableChanges>,
}

/// A transaction that outlived a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    pub transaction: TransactionInfo,
    /// [`EndReason::TimedOut`] or [`EndReason::Expired`].
    pub reason: EndReason,
    /// Microseconds since the Unix epoch.
    pub ended_at_us: i64,
}

/// Numbers since the registry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionCounts {
    pub begun: u64,
    pub committed: u64,
    /// For any reason.
    pub rolled_back: u64,
    /// Of these, because somebody else was first at the commit.
    pub refused: u64,
    /// Of these, because they outlived a limit.
    pub timed_out: u64,
    /// Of these, as victims of deadlocks.
    pub deadlocks: u64,
    /// Open now.
    pub active: u64,
}

/// All open explicit transactions. Share it behind an `Arc`.
pub struct TransactionRegistry {
    tables: Tables,
    ids: Counter,
    book: Arc<Mutex<Book>>,
}

/// Who is open and who has ended.
#[derive(Default)]
struct Book {
    open: BTreeMap<u64, Arc<Entry>>,
    open_by_owner: HashMap<String, usize>,
    ended: HashMap<u64, Ended>,
    /// Ids of `ended`, oldest first.
    ended_order: VecDeque<u64>,
    /// Oldest first.
    timed_out: VecDeque<TimedOut>,
    counts: TransactionCounts,
    observer: Option<Arc<dyn TransactionObserver>>,
}

struct Ended {
    owner: String,
    reason: EndReason,
}

impl Book {
    /// Moves a transaction from the open ones to the ended ones; whether it was open.
    fn end(&mut self, id: u64, reason: EndReason) -> bool {
        let Some(entry) = self.leave(id, reason) else {
            return false;
        };
        self.tell_end(&entry, reason);
        true
    }

    fn tell_end(&self, entry: &Entry, reason: EndReason) {
        if let Some(observer) = &self.observer {
            observer.ended(&entry.info(), reason);
        }
    }

    /// [`Book::end`], of which nobody is told; the transaction, if it was open.
    fn leave(&mut self, id: u64, reason: EndReason) -> Option<Arc<Entry>> {
        let entry = self.open.remove(&id)?;
        self.count(&entry, reason);
        let owner = entry.owner().to_owned();
        if let Some(open) = self.open_by_owner.get_mut(&owner) {
            *open -= 1;
            if *open == 0 {
                self.open_by_owner.remove(&owner);
            }
        }
        if self.ended_order.len() == ENDED_REMEMBERED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        self.ended_order.push_back(id);
        self.ended.insert(id, Ended { owner, reason });
        Some(entry)
    }

    fn count(&mut self, entry: &Entry, reason: EndReason) {
        match reason {
            EndReason::Committed => self.counts.committed += 1,
            _ => self.counts.rolled_back += 1,
        }
        match reason {
            EndReason::TimedOut | EndReason::Expired => {
                self.counts.timed_out += 1;
                if self.timed_out.len() == TIMED_OUT_REMEMBERED_MAX {
                    self.timed_out.pop_front();
                }
                self.timed_out.push_back(TimedOut {
                    transaction: entry.info(),
                    reason,
                    ended_at_us: entry.now_us(),
                });
            }
            EndReason::Deadlock => self.counts.deadlocks += 1,
            EndReason::Committed | EndReason::RolledBack => {}
        }
    }

    fn require_room(&self, owner: &str) -> Result<()> {
        if self.open.len() >= OPEN_MAX {
            return Err(TableError::TooManyTransactions {
                scope: "in all",
                open: self.open.len(),
                max: OPEN_MAX,
            });
        }
        let own = self.open_by_owner.get(owner).copied().unwrap_or(0);
        if own >= OPEN_PER_OWNER_MAX {
            return Err(TableError::TooManyTransactions {
                scope: "for you",
                open: own,
                max: OPEN_PER_OWNER_MAX,
            });
        }
        Ok(())
    }
}

impl TransactionRegistry {
    pub fn new(tables: Tables) -> TransactionRegistry {
        let ids = Counter::new(tables.store().clone(), b"counter/transaction", ID_FIRST, ID_BLOCK);
        TransactionRegistry {
            tables,
            ids,
            book: Arc::default(),
        }
    }

    /// The same with somebody who hears of its transactions.
    pub fn observed(self, observer: Arc<dyn TransactionObserver>) -> TransactionRegistry {
        self.book.lock().observer = Some(observer);
        self
    }

    /// Opens a transaction on the newest durable state.
    pub fn begin(&self, options: BeginOptions) -> Result<TransactionInfo> {
        let idle_timeout_us = options.idle_timeout_us.unwrap_or(IDLE_TIMEOUT_US_DEFAULT);
        require_timeout("idle time-out", idle_timeout_us, IDLE_TIMEOUT_US_MAX)?;
        let lock_timeout_us = options.lock_timeout_us.unwrap_or(LOCK_TIMEOUT_US_DEFAULT);
        require_timeout("lock time-out", lock_timeout_us, TIMEOUT_US_MAX)?;
        if let Some(timeout_us) = options.timeout_us {
            require_timeout("time-out", timeout_us, TIMEOUT_US_MAX)?;
        }
        self.book.lock().require_room(&options.owner)?;
        let mut txn = self.tables.begin_with(TxnOptions {
            isolation: options.isolation,
            read_only: options.read_only,
        })?;
        if txn.database(&options.database)?.is_none() {
            return Err(TableError::DatabaseNotFound {
                name: options.database,
            });
        }
        let id = self.ids.take(1)?;
        txn.set_origin(CommitOrigin {
            transaction_id: Some(id),
            user: options.owner_name.clone(),
        });
        let locks = self.tables.locks().of_transaction(id);
        locks.set_timeout_us(lock_timeout_us);
        locks.set_activity(Activity {
            username: options.owner_name.clone(),
            database: options.database.clone(),
            statement: String::new(),
        });
        txn.use_locks(locks);
        let entry = Arc::new(Entry::new(
            id,
            &options,
            idle_timeout_us,
            txn,
            self.tables.clock().clone(),
        ));
        let info = entry.info();
        let mut book = self.book.lock();
        // Others may have begun since the first look.
        book.require_room(&options.owner)?;
        *book.open_by_owner.entry(options.owner).or_default() += 1;
        book.open.insert(id, entry);
        book.counts.begun += 1;
        if let Some(observer) = &book.observer {
            observer.began(&info);
        }
        Ok(info)
    }

    /// Waits for its turn and takes the transaction for one call.
    pub async fn lease(&self, id: u64, owner: &str) -> Result<TxnLease> {
        let entry = self.find(id, owner)?;
        let slot = entry.slot().await;
        // It may have ended while this call waited.
        match slot.is_open() {
            true => Ok(TxnLease::new(entry, slot, self.book.clone())),
            false => Err(self.missing(id, owner)),
        }
    }

    /// Runs one call in the transaction; blocks the thread while another call runs in the same one.
    pub fn with<R>(&self, id: u64, owner: &str, call: impl FnOnce(&mut Txn) -> R) -> Result<R> {
        let mut lease = futures::executor::block_on(self.lease(id, owner))?;
        Ok(call(&mut lease))
    }

    /// Commits; blocks until durable. A failure ends the transaction as rolled back.
    pub fn commit(&self, id: u64, owner: &str) -> Result<CommitOutcome> {
        futures::executor::block_on(self.lease(id, owner))?.commit()
    }

    /// Forgets all changes; waits for a running call to end.
    pub fn rollback(&self, id: u64, owner: &str) -> Result<()> {
        futures::executor::block_on(self.lease(id, owner))?.rollback()
    }

    pub fn info(&self, id: u64, owner: &str) -> Result<TransactionInfo> {
        Ok(self.find(id, owner)?.info())
    }

    /// Open transactions in order of id; of one owner, or of all.
    pub fn list(&self, owner: Option<&str>) -> Vec<TransactionInfo> {
        let entries: Vec<Arc<Entry>> = self.book.lock().open.values().cloned().collect();
        entries
            .iter()
            .filter(|entry| owner.is_none_or(|owner| entry.owner() == owner))
            .map(|entry| entry.info())
            .collect()
    }

    /// Rolls back what has been idle, or open, too long; answers the ids, in order. While a call runs, its transaction goes
    /// on until the call's end.
    pub fn sweep(&self) -> Vec<u64> {
        let entries: Vec<Arc<Entry>> = self.book.lock().open.values().cloned().collect();
        entries
            .iter()
            .filter(|entry| self.end_if_late(entry))
            .map(|entry| entry.id())
            .collect()
    }

    /// Another isolation for a transaction that no call has used yet; it begins on the newest state.
    pub async fn set_isolation(&self, id: u64, owner: &str, isolation: Isolation) -> Result<TransactionInfo> {
        let entry = self.find(id, owner)?;
        let mut slot = entry.slot().await;
        if entry.info().calls > 0 {
            return Err(TableError::IsolationFixed { id });
        }
        if !slot.replace(|old| {
            let mut txn = self.tables.begin_with(TxnOptions {
                isolation,
                read_only: old.is_read_only(),
            })?;
            old.hand_over(&mut txn);
            Ok(txn)
        })? {
            return Err(self.missing(id, owner));
        }
        entry.note_isolation(isolation);
        Ok(entry.info())
    }

    /// How long a transaction may stay open, from its beginning on; `None` for as long as it is used.
    pub fn set_timeout(&self, id: u64, owner: &str, timeout_us: Option<u64>) -> Result<TransactionInfo> {
        if let Some(timeout_us) = timeout_us {
            require_timeout("time-out", timeout_us, TIMEOUT_US_MAX)?;
        }
        let entry = self.find(id, owner)?;
        entry.note_timeout(timeout_us);
        Ok(entry.info())
    }

    /// Those that outlived a limit, oldest first; of one owner, or of all. The latest are remembered.
    pub fn timed_out(&self, owner: Option<&str>) -> Vec<TimedOut> {
        let book = self.book.lock();
        let wanted = |ended: &&TimedOut| owner.is_none_or(|owner| ended.transaction.owner == owner);
        book.timed_out.iter().filter(wanted).cloned().collect()
    }

    pub fn counts(&self) -> TransactionCounts {
        let book = self.book.lock();
        TransactionCounts {
            active: book.open.len() as u64,
            ..book.counts
        }
    }

    /// Whether the transaction was idle or open too long and has been ended for it.
    fn end_if_late(&self, entry: &Entry) -> bool {
        let Some((mut slot, reason)) = entry.late_slot() else {
            return false;
        };
        slot.close();
        self.book.lock().end(entry.id(), reason)
    }

    fn find(&self, id: u64, owner: &str) -> Result<Arc<Entry>> {
        let entry = self.book.lock().open.get(&id).cloned();
        match entry {
            None => Err(self.missing(id, owner)),
            Some(entry) if entry.owner() != owner => Err(TableError::NotOwner { id }),
            Some(entry) if self.end_if_late(&entry) => Err(self.missing(id, owner)),
            Some(entry) => Ok(entry),
        }
    }

    /// Why a transaction that is not open is not.
    fn missing(&self, id: u64, owner: &str) -> TableError {
        match self.book.lock().ended.get(&id) {
            None => TableError::TransactionNotFound { id },
            Some(ended) if ended.owner != owner => TableError::NotOwner { id },
            Some(ended) => TableError::TransactionNotActive {
                id,
                reason: ended.reason,
            },
        }
    }
}

fn require_timeout(what: &'static str, value_us: u64, max_us: u64) -> Result<()> {
    if (TIMEOUT_US_MIN..=max_us).contains(&value_us) {
        return Ok(());
    }
    Err(TableError::InvalidTimeout {
        what,
        value_us,
        min_us: TIMEOUT_US_MIN,
        max_us,
    })
}
