//! The transaction that a call runs in.
//!
//! [`DataEngine::run`] gives each call a [`Scope`]: the transaction that the caller names, leased for the time of
//! the call, or one of the call's own. The rules:
//!
//! - A transaction of its own is committed at the end, on a blocking thread. When it lost a race it is run again
//!   on a fresh snapshot, [`CONFLICT_RUNS_MAX`] times at most: nobody has seen anything of it.
//! - In the caller's transaction, whatever the call did is undone unless it came to its end. That covers errors
//!   as well as a dropped call, whose deadline passed or whose client went away: [`Scope`] undoes as it is dropped.
//! - Calls in one transaction take turns; calls in different ones never wait for each other.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use rustydb_contract::{CallContext, Id64, ServiceError, ServiceResult};
use rustydb_contract_core::errors::TRANSACTION_READ_ONLY;
use rustydb_store::change_log::CommitOrigin;
use rustydb_store::seam::CommitSeq;
use rustydb_store::tables::{MAIN_DATABASE, Mark, TableError, Txn};
use rustydb_store::transactions::TxnLease;

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
}

impl Place {
    pub(super) fn new(database: Option<String>, transaction_id: Option<Id64>) -> Place {
        Place {
            database,
            transaction_id,
        }
    }
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

    /// Keeps the changes: commits an own transaction, leaves the caller's open.
    async fn finish(mut self) -> ServiceResult<Result<Option<CommitSeq>, TableError>> {
        match self.holder.take().expect(HELD) {
            Holder::Own(txn) if self.discarded || txn.is_read_only() => Ok(Ok(None)),
            Holder::Own(txn) => blocking(move || Ok(txn.commit().map(|outcome| Some(outcome.seq)))).await,
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
        if let Some(Holder::Lease { mut lease, start }) = self.holder.take()
            && !std::thread::panicking()
        {
            lease.undo_to(&start);
        }
    }
}

impl DataEngine {
    /// Runs a call in its transaction; answers the commit's position too, when there was one.
    ///
    /// `work` gets the scope and hands it back; it may be called several times.
    pub(super) async fn run<T, F, W>(
        &self,
        context: &CallContext,
        place: &Place,
        access: Access,
        mut work: F,
    ) -> ServiceResult<(T, Option<CommitSeq>)>
    where
        F: FnMut(Scope) -> W,
        W: Future<Output = ServiceResult<(Scope, T)>>,
    {
        let mut runs = 1;
        loop {
            let scope = self.scope(context, place, access).await?;
            let (scope, answer) = work(scope).await?;
            match scope.finish().await? {
                Ok(seq) => return Ok((answer, seq)),
                Err(TableError::WriteConflict { object }) if runs < CONFLICT_RUNS_MAX => {
                    tracing::debug!(operation = context.operation.id, runs, %object, "lost a race, running again");
                    runs += 1;
                }
                Err(error) => return Err(table_error(error)),
            }
        }
    }

    /// As [`DataEngine::run`], for calls whose position nobody asks for.
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
        let scope = match place.transaction_id {
            None => {
                let mut txn = match access {
                    Access::Read => self.inner.tables.begin_read_only(),
                    Access::Write => self.inner.tables.begin(),
                }
                .map_err(table_error)?;
                if let Some(principal) = &context.principal {
                    txn.set_origin(CommitOrigin {
                        transaction_id: None,
                        user: principal.username.clone(),
                    });
                }
                let database = place.database.clone().unwrap_or_else(|| MAIN_DATABASE.to_owned());
                Scope {
                    holder: Some(Holder::Own(txn)),
                    database,
                    discarded: false,
                }
            }
            Some(id) => {
                let lease = self.lease(context, id).await?;
                if access == Access::Write && lease.is_read_only() {
                    return Err(ServiceError::new(
                        &TRANSACTION_READ_ONLY,
                        format!("transaction {id} is read-only; begin one that may write"),
                    ));
                }
                let database = place.database.clone().unwrap_or_else(|| lease.database());
                let start = lease.mark();
                Scope {
                    holder: Some(Holder::Lease { lease, start }),
                    database,
                    discarded: false,
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
