//! Branches of distributed transactions: two-phase commit, as in X/Open XA.
//!
//! Somebody outside, the coordinator, runs one transaction on several servers. Here it is a *branch*: an explicit
//! transaction with a name of the coordinator's, its [`Xid`].
//!
//! ```text
//! start      active     calls run in it, as in any transaction
//! end        idle       no call runs in it; `resume` makes it active again
//! prepare    prepared   it can be committed, whatever happens; also after a crash
//! commit     -          or rollback; an idle one may be committed in one phase
//! ```
//!
//! - Until it is prepared it ends for every reason for which other transactions do: time-outs, deadlocks, a restart.
//! - Preparing is the vote. It fails where a commit would, and then the branch was rolled back. A branch that wrote nothing
//!   has nothing to wait for: its vote says so, and it has ended.
//! - A prepared branch has no time-out and is no deadlock's victim. Its locks, its changes and what it relied on are kept
//!   in its record, over restarts too, until it is committed or rolled back: no other commit can make that fail
//!   ([`crate::tables`], *Prepared transactions*). It may fail for want of room, and is still prepared then.
//! - Only its owner uses a branch. A prepared one may be seen and ended by an administrator as well: its owner may be gone.
//! - The calls that end other transactions refuse a branch, and the calls for branches other transactions.
//! - A name is free again once its branch has ended. Who comes back for a branch that was prepared, and is told that it is not
//!   there, knows that it was told how to end.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use futures::executor::block_on;
use parking_lot::Mutex;
use rustydb_kernel::locks::LockSettings;
use tokio::sync::OwnedMutexGuard;

use super::entry::{Entry, Slot};
use super::prepared::{self, Head, HeldLocks};
use super::{BeginOptions, Book, EndReason, TransactionInfo, TransactionRegistry, Xid};
use crate::tables::{CommitOutcome, Result, TableError, Tables, Votes, corrupt};

/// How far a branch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BranchState {
    /// Calls may run in it.
    Active,
    /// Its work has ended.
    Idle,
    /// It waits to be told how to end.
    Prepared,
}

impl fmt::Display for BranchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BranchState::Active => "active",
            BranchState::Idle => "idle",
            BranchState::Prepared => "prepared",
        })
    }
}

/// What makes a transaction a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchInfo {
    pub xid: Xid,
    pub state: BranchState,
    /// Microseconds since the Unix epoch.
    pub prepared_at_us: Option<i64>,
    /// Whether it was prepared before the registry was opened.
    pub recovered: bool,
}

/// What happened to a branch, as observers hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BranchStep {
    Started,
    /// Its work has ended; it is idle.
    Ended,
    Resumed,
    /// It was asked for its vote, which is on its way.
    Preparing,
    /// It can be committed from now on.
    Prepared,
    /// It voted that it had nothing to commit, and has ended.
    ReadOnly,
    /// It could not be prepared, and was rolled back.
    Refused,
    /// In the second phase.
    Committed,
    /// Without a vote.
    CommittedOnePhase,
    RolledBack,
    /// It was prepared before the registry was opened.
    Recovered,
}

/// Numbers since the registry was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BranchCounts {
    pub started: u64,
    /// Those that were prepared before the opening not included.
    pub prepared: u64,
    pub read_only: u64,
    /// In two phases.
    pub committed: u64,
    pub committed_one_phase: u64,
    /// For any reason, refused votes included.
    pub rolled_back: u64,
    /// Of these, because they could not be prepared.
    pub refused: u64,
    /// Prepared before the opening.
    pub recovered: u64,
    /// Prepared now.
    pub in_doubt: u64,
}

impl BranchCounts {
    pub(super) fn count(&mut self, step: BranchStep) {
        match step {
            BranchStep::Started => self.started += 1,
            BranchStep::Prepared => self.prepared += 1,
            BranchStep::ReadOnly => self.read_only += 1,
            BranchStep::Committed => self.committed += 1,
            BranchStep::CommittedOnePhase => self.committed_one_phase += 1,
            BranchStep::RolledBack => self.rolled_back += 1,
            BranchStep::Refused => {
                self.rolled_back += 1;
                self.refused += 1;
            }
            BranchStep::Recovered => self.recovered += 1,
            BranchStep::Ended | BranchStep::Resumed | BranchStep::Preparing => {}
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct BranchUser<'a> {
    pub owner: &'a str,
    /// Whether prepared branches of others may be seen and ended.
    pub administrator: bool,
}

impl<'a> BranchUser<'a> {
    pub fn owner(owner: &'a str) -> BranchUser<'a> {
        BranchUser {
            owner,
            administrator: false,
        }
    }

    pub fn administrator(owner: &'a str) -> BranchUser<'a> {
        BranchUser {
            owner,
            administrator: true,
        }
    }

    fn may_use(&self, entry: &Entry) -> bool {
        entry.owner() == self.owner || (self.administrator && entry.is_prepared())
    }
}

/// How a branch voted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vote {
    Prepared,
    /// It wrote nothing and has ended.
    ReadOnly,
}

/// Exclusive use of a branch for one step; dropping it gives it back. May be held over `await`.
pub struct BranchLease {
    entry: Arc<Entry>,
    slot: OwnedMutexGuard<Slot>,
    book: Arc<Mutex<Book>>,
    tables: Tables,
    xid: Xid,
}

impl TransactionRegistry {
    /// Begins a transaction that is a branch. Calls use it by its number, as any transaction.
    pub fn start_branch(&self, xid: Xid, options: BeginOptions) -> Result<TransactionInfo> {
        self.begin_as(options, Some(xid))
    }

    /// Waits for its turn and takes the branch for one step.
    pub async fn lease_branch(&self, xid: &Xid, user: BranchUser<'_>) -> Result<BranchLease> {
        let entry = self.find_branch(xid, user)?;
        let slot = entry.slot().await;
        // It may have ended while this call waited.
        if !slot.is_there() || !user.may_use(&entry) {
            return Err(self.missing_branch(xid, user));
        }
        Ok(BranchLease {
            entry,
            slot,
            book: Arc::clone(&self.book),
            tables: self.tables.clone(),
            xid: xid.clone(),
        })
    }

    /// See [`BranchLease::end`]; waits for a running call to end.
    pub fn end_branch(&self, xid: &Xid, owner: &str) -> Result<TransactionInfo> {
        block_on(self.lease_branch(xid, BranchUser::owner(owner)))?.end()
    }

    /// See [`BranchLease::resume`].
    pub fn resume_branch(&self, xid: &Xid, owner: &str) -> Result<TransactionInfo> {
        block_on(self.lease_branch(xid, BranchUser::owner(owner)))?.resume()
    }

    /// See [`BranchLease::prepare`].
    pub fn prepare_branch(&self, xid: &Xid, owner: &str) -> Result<(Vote, TransactionInfo)> {
        block_on(self.lease_branch(xid, BranchUser::owner(owner)))?.prepare()
    }

    /// See [`BranchLease::commit`].
    pub fn commit_branch(&self, xid: &Xid, user: BranchUser<'_>) -> Result<(CommitOutcome, TransactionInfo)> {
        block_on(self.lease_branch(xid, user))?.commit()
    }

    /// See [`BranchLease::commit_one_phase`].
    pub fn commit_branch_one_phase(
        &self,
        xid: &Xid,
        owner: &str,
    ) -> Result<(CommitOutcome, TransactionInfo)> {
        block_on(self.lease_branch(xid, BranchUser::owner(owner)))?.commit_one_phase()
    }

    /// See [`BranchLease::rollback`].
    pub fn rollback_branch(&self, xid: &Xid, user: BranchUser<'_>) -> Result<TransactionInfo> {
        block_on(self.lease_branch(xid, user))?.rollback()
    }

    pub fn branch(&self, xid: &Xid, user: BranchUser<'_>) -> Result<TransactionInfo> {
        Ok(self.find_branch(xid, user)?.info())
    }

    /// Prepared branches behind `after`, in the order of their names, at most so many: the user's, or everybody's for an
    /// administrator. Fewer than asked for means that there are no more.
    pub fn recover(
        &self,
        user: BranchUser<'_>,
        after: Option<&Xid>,
        branches_max: usize,
    ) -> Vec<TransactionInfo> {
        let book = self.book.lock();
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let entries = book.branches.range::<Xid, _>(behind);
        entries
            .filter_map(|(_, id)| book.open.get(id))
            .filter(|entry| entry.is_prepared() && user.may_use(entry))
            .take(branches_max)
            .map(|entry| entry.info())
            .collect()
    }

    pub fn branch_counts(&self) -> BranchCounts {
        let book = self.book.lock();
        let entries = book.branches.values().filter_map(|id| book.open.get(id));
        BranchCounts {
            in_doubt: entries.filter(|entry| entry.is_prepared()).count() as u64,
            ..book.branch_counts
        }
    }

    /// Takes up what was prepared before the registry is opened, with its locks.
    pub(super) fn restore_branches(&self) -> Result<()> {
        let snapshot = self.tables.store().snapshot()?;
        let _lifted = Lifted::of(self.tables.locks().locks().settings());
        for id in prepared::ids(&*snapshot)? {
            let record = prepared::read(&*snapshot, id)?;
            self.tables.pledge(id, &record.prepared)?;
            let locks = self.tables.locks().of_transaction(id);
            // Nobody is there who would have to be waited for.
            locks.set_no_wait(true);
            for (resource, mode) in record.locks {
                locks.take(resource, mode)?;
            }
            locks.owner().set_killable(false)?;
            let owner = record.head.owner.clone();
            let xid = record.head.xid.clone();
            let clock = self.tables.clock().clone();
            let entry = Arc::new(Entry::restored(record.head, locks, clock));
            let mut book = self.book.lock();
            if book.branches.insert(xid.clone(), id).is_some() {
                return Err(corrupt(format!("two prepared branches are called {xid}")));
            }
            *book.open_by_owner.entry(owner).or_default() += 1;
            book.open.insert(id, entry);
            book.branch_counts.count(BranchStep::Recovered);
        }
        Ok(())
    }

    fn find_branch(&self, xid: &Xid, user: BranchUser<'_>) -> Result<Arc<Entry>> {
        let entry = {
            let book = self.book.lock();
            book.branches.get(xid).and_then(|id| book.open.get(id)).cloned()
        };
        match entry {
            Some(entry) if user.may_use(&entry) && !self.end_if_late(&entry) => Ok(entry),
            _ => Err(self.missing_branch(xid, user)),
        }
    }

    /// Why there is no such branch. Those of others are not known to be there.
    fn missing_branch(&self, xid: &Xid, user: BranchUser<'_>) -> TableError {
        let book = self.book.lock();
        let ended = book.ended_order.iter().rev().find_map(|id| {
            let ended = book.ended.get(id)?;
            (ended.branch.as_ref() == Some(xid) && ended.owner == user.owner).then_some(ended.reason)
        });
        let xid = xid.clone();
        match ended {
            Some(reason) => TableError::BranchEnded { xid, reason },
            None => TableError::BranchNotFound { xid },
        }
    }
}

/// Bounds of locks, lifted: what was held once can be held again, row by row, though fewer are allowed now. Restored when
/// dropped.
struct Lifted<'a> {
    settings: &'a LockSettings,
    escalate_after: u64,
    locks_per_owner_max: u64,
    locks_max: u64,
}

impl Lifted<'_> {
    fn of(settings: &LockSettings) -> Lifted<'_> {
        let lifted = Lifted {
            settings,
            escalate_after: settings.escalate_after(),
            locks_per_owner_max: settings.locks_per_owner_max(),
            locks_max: settings.locks_max(),
        };
        // A lock on the whole table would keep the next branch from its rows.
        settings.set_escalate_after(0);
        settings.set_locks_per_owner_max(u64::MAX);
        settings.set_locks_max(u64::MAX);
        lifted
    }
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        self.settings.set_escalate_after(self.escalate_after);
        self.settings.set_locks_per_owner_max(self.locks_per_owner_max);
        self.settings.set_locks_max(self.locks_max);
    }
}

impl BranchLease {
    pub fn info(&self) -> TransactionInfo {
        self.entry.info()
    }

    /// Ends the work of an active branch, which is idle then.
    pub fn end(self) -> Result<TransactionInfo> {
        self.require(BranchState::Active, "only the work of an active branch can end")?;
        self.entry.note_branch(BranchState::Idle);
        self.tell(BranchStep::Ended);
        Ok(self.entry.info())
    }

    /// Makes an idle branch active again.
    pub fn resume(self) -> Result<TransactionInfo> {
        self.require(BranchState::Idle, "only an idle branch can be resumed")?;
        self.entry.note_branch(BranchState::Active);
        self.tell(BranchStep::Resumed);
        Ok(self.entry.info())
    }

    /// Asks an idle branch for its vote; blocks until it is durable. A failure ends the branch as rolled back, except
    /// `BranchState` and `BranchDuringBuild`, which change nothing. When it is the store that failed for good, nobody knows
    /// whether the vote is durable; the next opening tells.
    pub fn prepare(mut self) -> Result<(Vote, TransactionInfo)> {
        self.require(
            BranchState::Idle,
            "end it before it is prepared, and prepare it once",
        )?;
        let mut info = self.entry.info();
        let prepared_at_us = self.entry.now_us();
        let txn = self.slot.txn().expect("an idle branch has its transaction");
        if let Some((table, index)) = txn.index_in_the_way()? {
            return Err(TableError::BranchDuringBuild {
                xid: self.xid.clone(),
                table,
                index,
            });
        }
        self.tell(BranchStep::Preparing);
        info.changes = self.slot.txn().map_or_else(Vec::new, |txn| txn.changes());
        match self.vote(info, prepared_at_us) {
            Ok(Vote::ReadOnly) => {
                self.finish(EndReason::Committed, BranchStep::ReadOnly);
                Ok((Vote::ReadOnly, self.entry.info()))
            }
            Ok(Vote::Prepared) => {
                self.slot.keep_locks();
                self.entry.note_prepared(prepared_at_us);
                self.tell(BranchStep::Prepared);
                Ok((Vote::Prepared, self.entry.info()))
            }
            Err(error) => {
                self.finish(EndReason::RolledBack, BranchStep::Refused);
                Err(error)
            }
        }
    }

    fn vote(&mut self, info: TransactionInfo, prepared_at_us: i64) -> Result<Vote> {
        let txn = self.slot.txn().expect("an idle branch has its transaction");
        let Votes::Prepared(prepared) = txn.votes()? else {
            return Ok(Vote::ReadOnly);
        };
        let locks = txn.locks().expect("a branch locks what it changes");
        // It waits for nothing any more, so that no deadlock needs it as a victim.
        drop(locks.take_wait());
        locks.owner().set_killable(false)?;
        let held: HeldLocks = locks
            .owner()
            .locks()
            .into_iter()
            .map(|(_, resource, mode)| (resource, mode))
            .collect();
        let mut head = Head {
            transaction_id: info.id,
            xid: self.xid.clone(),
            owner: info.owner,
            owner_name: info.owner_name,
            session: info.session,
            database: info.database,
            isolation: info.isolation,
            started_at_us: info.started_at_us,
            prepared_at_us,
            snapshot_seq: txn.snapshot_seq(),
            calls: info.calls,
            changes: info.changes,
            body_bytes: 0,
        };
        let record = prepared::writes(&mut head, &prepared, &held);
        txn.prepare(info.id, &prepared, record)?;
        Ok(Vote::Prepared)
    }

    /// Commits a prepared branch; blocks until that is durable. When the store refuses, the branch is still prepared.
    pub fn commit(mut self) -> Result<(CommitOutcome, TransactionInfo)> {
        self.require(
            BranchState::Prepared,
            "prepare it before it is committed, or commit it in one phase once it is idle",
        )?;
        let id = self.entry.id();
        let record = prepared::read(&*self.tables.store().snapshot()?, id)?;
        let changes = record.head.changes;
        let seq = self.tables.commit_prepared(id, record.prepared, record.removal)?;
        self.finish(EndReason::Committed, BranchStep::Committed);
        let outcome = CommitOutcome {
            seq,
            wrote: true,
            changes,
        };
        Ok((outcome, self.entry.info()))
    }

    /// Commits an idle branch that nobody asked for its vote; blocks until that is durable. A failure ends it as rolled back.
    pub fn commit_one_phase(mut self) -> Result<(CommitOutcome, TransactionInfo)> {
        let remedy =
            "only an idle branch is committed in one phase; end an active one, commit a prepared one in two";
        self.require(BranchState::Idle, remedy)?;
        let txn = self.slot.take().expect("an idle branch has its transaction");
        let committed = txn.commit();
        match &committed {
            Ok(_) => self.finish(EndReason::Committed, BranchStep::CommittedOnePhase),
            Err(_) => self.finish(EndReason::RolledBack, BranchStep::RolledBack),
        }
        Ok((committed?, self.entry.info()))
    }

    /// Rolls back an idle or a prepared branch; blocks until that is durable. When the store refuses, a prepared branch is still
    /// prepared.
    pub fn rollback(mut self) -> Result<TransactionInfo> {
        if self.entry.is_prepared() {
            let id = self.entry.id();
            let record = prepared::read(&*self.tables.store().snapshot()?, id)?;
            self.tables.forget_prepared(id, record.removal)?;
        } else {
            self.require(BranchState::Idle, "end it before it is rolled back")?;
        }
        self.finish(EndReason::RolledBack, BranchStep::RolledBack);
        Ok(self.entry.info())
    }

    fn require(&self, state: BranchState, remedy: &'static str) -> Result<()> {
        let branch = self.entry.branch().expect("only branches are leased as such");
        if branch.state == state {
            return Ok(());
        }
        Err(TableError::BranchState {
            xid: self.xid.clone(),
            state: branch.state,
            remedy,
        })
    }

    fn tell(&self, step: BranchStep) {
        self.book.lock().tell_branch(&self.entry, step);
    }

    /// Ends the branch for good: whoever gets its locks finds what it did.
    fn finish(&mut self, reason: EndReason, step: BranchStep) {
        self.slot.close();
        let mut book = self.book.lock();
        if let Some(entry) = book.leave(self.entry.id(), reason) {
            book.tell_branch(&entry, step);
            book.tell_end(&entry, reason);
        }
    }
}

impl Drop for BranchLease {
    /// A prepared branch stays: its record is there. Of another one nobody knows how far it came.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.entry.is_prepared() {
            self.finish(EndReason::RolledBack, BranchStep::RolledBack);
        }
    }
}

const _: () = {
    const fn sent_between_threads<T: Send>() {}
    sent_between_threads::<BranchLease>();
};

#[cfg(test)]
mod tests;
