//! The transaction that a call runs in.
//!
//! [`DataEngine::run`] gives each call a [`Scope`]: the transaction that the caller names, leased for the time of
//! the call, or one of the call's own. The rules:
//!
//! - A transaction of its own is committed at the end, on a blocking thread. When it lost a race it is run again
//!   on a fresh snapshot, [`CONFLICT_RUNS_MAX`] times at most: nobody has seen anything of it.
//! - In the caller's transaction, whatever the call did is undone unless it came to its end. That covers errors
//!   as well as a dropped call, whose deadline passed or whose client went away: [`Scope`] undoes as it is dropped.
//! - Calls in one transaction take turns, a call that waits for a lock included; calls in different ones wait for each
//!   other only where they change the same rows ([`rustydb_store::locking`]).
//! - A call that needs a lock which somebody else holds is undone, waits, and is run again. So no thread waits, and what
//!   it read before the wait counts for nothing. Of a transaction of its own the locks are kept from run to run.
//! - The victim of a deadlock is run again when the transaction is its own; the caller's is rolled back.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_contract::{CallContext, Id64, ServiceError, ServiceResult};
use rustydb_contract_core::errors::TRANSACTION_READ_ONLY;
use rustydb_store::change_log::CommitOrigin;
use rustydb_store::locking::{Activity, LockWait, TxnLocks};
use rustydb_store::seam::{AsOf, CommitSeq};
use rustydb_store::tables::{MAIN_DATABASE, Mark, TableError, Txn};
use rustydb_store::transactions::TxnLease;
use tokio::time::Instant;

use super::DataEngine;
use super::errors::{database_not_found, table_error};
use crate::identity::blocking::blocking;

/// How often a call in a transaction of its own is run before its caller learns of the conflict.
pub(super) const CONFLICT_RUNS_MAX: u32 = 10;

/// Where a call wants to run, as its input says.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) database: Option<String>,
    pub(super) transaction_id: Option<Id64>,
    /// Whether a commit of its own may be answered before it is durable.
    pub(super) unsynced: bool,
    /// The state of the past that is read, in a transaction of its own.
    pub(super) as_of: Option<AsOf>,
}

impl Place {
    pub(super) fn new(database: Option<String>, transaction_id: Option<Id64>) -> Place {
        Place {
            database,
            transaction_id,
            unsynced: false,
            as_of: None,
        }
    }
}

/// The commit of a call's own transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) seq: CommitSeq,
    /// It was when the call was answered.
    pub(super) durable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A transaction for the time of one call.
pub(super) struct Scope {
    /// `None` only once it is finished.
    holder: Option<Holder>,
    /// The database that the call is about; it exists.
    pub(super) database: String,
    /// Whether the changes of an own transaction are not to be kept.
    discarded: bool,
    home: Home,
}

/// Where a run of a call leaves what its next run goes on with.
#[derive(Clone, Default)]
struct Home(Arc<Mutex<Left>>);

#[derive(Default)]
struct Left {
    /// The locks of a transaction of the call's own.
    locks: Option<Arc<TxnLocks>>,
    /// The caller's transaction, as it was before the call.
    lease: Option<TxnLease>,
}

/// Why a call that failed is run again.
enum Again {
    /// After this wait.
    Wait(LockWait),
    Now,
}

impl Home {
    /// Whether the run failed only to be run again.
    fn again(&self) -> Option<Again> {
        let left = self.0.lock();
        let locks = match (&left.locks, &left.lease) {
            (Some(locks), _) => locks,
            (None, Some(lease)) => lease.locks()?,
            (None, None) => return None,
        };
        if let Some(wait) = locks.take_wait() {
            return Some(Again::Wait(wait));
        }
        locks.take_run_again().then_some(Again::Now)
    }
}

enum Holder {
    Own(Txn),
    /// With the point that a call which does not come to its end returns to.
    Lease {
        lease: TxnLease,
        start: Mark,
    },
}

const HELD: &str = "a scope holds its transaction until it is finished";

impl Scope {
    /// Whether the transaction is the call's own.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.holder.as_ref().expect(HELD), Holder::Own(_))
    }

    /// Undoes what the call did so far, and keeps what comes after only in the caller's transaction.
    pub(super) fn undo(&mut self) {
        match self.holder.as_mut().expect(HELD) {
            Holder::Own(_) => self.discarded = true,
            Holder::Lease { lease, start } => lease.undo_to(start),
        }
    }

    /// Does the work on a blocking thread, for what takes longer than a call may hold up others.
    pub(super) async fn blocking<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Scope) -> ServiceResult<T> + Send + 'static,
    ) -> ServiceResult<(Scope, T)> {
        blocking(move || {
            let done = work(&mut self)?;
            Ok((self, done))
        })
        .await
    }

    /// Whether what failed is to be run again, as a whole.
    pub(super) fn wants_another_run(&self) -> bool {
        self.locks().is_some_and(|locks| locks.wants_another_run())
    }

    /// Keeps the changes: commits an own transaction, leaves the caller's open.
    async fn finish(mut self, unsynced: bool) -> ServiceResult<Result<Option<Committed>, TableError>> {
        match self.holder.take().expect(HELD) {
            Holder::Own(txn) if self.discarded || txn.is_read_only() => Ok(Ok(None)),
            Holder::Own(mut txn) => {
                let locks = txn.take_locks();
                let kept = locks.clone();
                let commit = move || match unsynced {
                    false => txn.commit().map(|outcome| Committed {
                        seq: outcome.seq,
                        durable: true,
                    }),
                    true => txn.commit_unsynced().map(|(outcome, ticket)| {
                        let durable = ticket.is_durable();
                        // Whoever gets the locks finds what it made.
                        ticket.on_durable(move |_| drop(kept));
                        Committed {
                            seq: outcome.seq,
                            durable,
                        }
                    }),
                };
                let committed = blocking(move || Ok(commit().map(Some))).await;
                if let Ok(Err(TableError::WriteConflict { .. })) = &committed {
                    self.home.0.lock().locks = locks;
                }
                committed
            }
            // Given back as it is now.
            Holder::Lease { lease, .. } => {
                drop(lease);
                Ok(Ok(None))
            }
        }
    }
}

impl Deref for Scope {
    type Target = Txn;

    fn deref(&self) -> &Txn {
        match self.holder.as_ref().expect(HELD) {
            Holder::Own(txn) => txn,
            Holder::Lease { lease, .. } => lease,
        }
    }
}

impl DerefMut for Scope {
    fn deref_mut(&mut self) -> &mut Txn {
        match self.holder.as_mut().expect(HELD) {
            Holder::Own(txn) => txn,
            Holder::Lease { lease, .. } => lease,
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // After a panic the lease ends its transaction as a whole.
        if std::thread::panicking() {
            return;
        }
        match self.holder.take() {
            None => {}
            Some(Holder::Own(mut txn)) => self.home.0.lock().locks = txn.take_locks(),
            Some(Holder::Lease { mut lease, start }) => {
                lease.undo_to(&start);
                self.home.0.lock().lease = Some(lease);
            }
        }
    }
}

impl DataEngine {
    /// Runs a call in its transaction; answers the commit too, when there was one.
    ///
    /// `work` gets the scope and hands it back; it may be called several times.
    pub(super) async fn run<T, F, W>(
        &self,
        context: &CallContext,
        place: &Place,
        access: Access,
        mut work: F,
    ) -> ServiceResult<(T, Option<Committed>)>
    where
        F: FnMut(Scope) -> W,
        W: Future<Output = ServiceResult<(Scope, T)>>,
    {
        let home = Home::default();
        let mut runs = 1;
        loop {
            let scope = self.scope_at(context, place, access, &home).await?;
            let error = match work(scope).await {
                Ok((scope, answer)) => match scope.finish(place.unsynced).await? {
                    Ok(committed) => return Ok((answer, committed)),
                    Err(error @ TableError::WriteConflict { .. }) if runs < CONFLICT_RUNS_MAX => error,
                    Err(error) => return Err(table_error(error)),
                },
                Err(error) => match home.again() {
                    None => return Err(error),
                    Some(Again::Now) => continue,
                    Some(Again::Wait(wait)) => match self.waited(wait).await {
                        Ok(()) => continue,
                        Err(error @ TableError::Deadlock { .. }) => {
                            let Left { locks, lease } = std::mem::take(&mut *home.0.lock());
                            drop(locks);
                            let spans_calls = lease.is_some();
                            if let Some(lease) = lease {
                                lease.end_deadlocked();
                            }
                            self.deadlock_resolved(&error);
                            if spans_calls || runs >= CONFLICT_RUNS_MAX {
                                return Err(table_error(error));
                            }
                            error
                        }
                        Err(error) => return Err(table_error(error)),
                    },
                },
            };
            tracing::debug!(operation = context.operation.id, runs, %error, "lost a race, running again");
            runs += 1;
        }
    }

    /// Waits for a lock, which the transaction holds then.
    #[allow(
        clippy::disallowed_methods,
        reason = "a wait is bounded by the runtime's timers, whose clock this is"
    )]
    async fn waited(&self, mut wait: LockWait) -> Result<(), TableError> {
        // By the clock that the time-outs below are measured with.
        let began = Instant::now();
        let result = loop {
            let waited_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            match wait.step(waited_us) {
                Ok(None) => break Ok(()),
                Ok(Some(us)) => drop(tokio::time::timeout(Duration::from_micros(us), wait.ended()).await),
                Err(error) => break Err(error),
            }
        };
        if let Err(TableError::Deadlock { .. }) = &result {
            self.keep_deadlocks().await;
        }
        result
    }

    /// As [`DataEngine::run`], for calls of whose commit nobody asks.
    pub(super) async fn answer<T, F, W>(
        &self,
        context: &CallContext,
        place: &Place,
        access: Access,
        work: F,
    ) -> ServiceResult<T>
    where
        F: FnMut(Scope) -> W,
        W: Future<Output = ServiceResult<(Scope, T)>>,
    {
        self.run(context, place, access, work)
            .await
            .map(|(answer, _)| answer)
    }

    pub(super) async fn scope(
        &self,
        context: &CallContext,
        place: &Place,
        access: Access,
    ) -> ServiceResult<Scope> {
        self.scope_at(context, place, access, &Home::default()).await
    }

    async fn scope_at(
        &self,
        context: &CallContext,
        place: &Place,
        access: Access,
        home: &Home,
    ) -> ServiceResult<Scope> {
        let left = std::mem::take(&mut *home.0.lock());
        let scope = match place.transaction_id {
            None => {
                let mut txn = match (&place.as_of, access) {
                    (Some(at), _) => self.inner.tables.begin_at(at),
                    (None, Access::Read) => self.inner.tables.begin_read_only(),
                    (None, Access::Write) => self.inner.tables.begin(),
                }
                .map_err(table_error)?;
                if let Some(principal) = &context.principal {
                    txn.set_origin(CommitOrigin {
                        transaction_id: None,
                        user: principal.username.clone(),
                    });
                }
                let database = place.database.clone().unwrap_or_else(|| MAIN_DATABASE.to_owned());
                if access == Access::Write && !txn.is_read_only() {
                    let locks = left.locks.unwrap_or_else(|| {
                        let locks = self.inner.tables.locks().of_call();
                        locks.set_activity(Activity {
                            username: context
                                .principal
                                .as_ref()
                                .map_or_else(String::new, |caller| caller.username.clone()),
                            database: database.clone(),
                            statement: context.operation.id.to_owned(),
                        });
                        locks
                    });
                    txn.use_locks(locks);
                }
                Scope {
                    holder: Some(Holder::Own(txn)),
                    database,
                    discarded: false,
                    home: home.clone(),
                }
            }
            Some(id) => {
                let mut lease = match left.lease {
                    Some(lease) => lease,
                    None => self.lease(context, id).await?,
                };
                if access == Access::Write && lease.is_read_only() {
                    return Err(ServiceError::new(
                        &TRANSACTION_READ_ONLY,
                        format!("transaction {id} is read-only; begin one that may write"),
                    ));
                }
                let database = place.database.clone().unwrap_or_else(|| lease.database());
                lease.begin_statement().map_err(table_error)?;
                if let Some(locks) = lease.locks() {
                    locks.set_statement(context.operation.id);
                }
                let start = lease.mark();
                Scope {
                    holder: Some(Holder::Lease { lease, start }),
                    database,
                    discarded: false,
                    home: home.clone(),
                }
            }
        };
        match Txn::database(&scope, &scope.database).map_err(table_error)? {
            Some(_) => Ok(scope),
            None => Err(database_not_found(&scope.database)),
        }
    }

    /// The caller's transaction, once its turn has come.
    pub(super) async fn lease(&self, context: &CallContext, id: Id64) -> ServiceResult<TxnLease> {
        let owner = &context.principal().user_id;
        self.inner
            .transactions
            .lease(id.0, owner)
            .await
            .map_err(table_error)
    }
}
