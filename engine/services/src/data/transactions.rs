//! The `transactions` module: transactions that span calls.

use std::sync::Arc;

use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract::{
    CallContext, Cursor, Empty, Id64, Lsn, ServiceError, ServiceResult, Timestamp, async_trait,
};
use rustydb_contract_transactions::errors::ASYNC_COMMITS_DISABLED;
use rustydb_contract_transactions::{
    ArchivedWal, CommittedTransaction, DeadlockList, ExecutedOperations, FlushedWal, FoundDeadlocks,
    IsolationLevel, Lock, LockGraph, LockList, LockWaiterList, ReadSet, ReadTable, ReleasedLocks,
    RowChangeKind, RowOperation, RowOperationResult, Savepoint, SavepointList, SwitchedWal, TableChange,
    TimedOutList, TimedOutReason, TimedOutTransaction, Transaction, TransactionEvent, TransactionEventType,
    TransactionIsolation, TransactionList, TransactionState, TransactionStats, TransactionsAcquireLockInput,
    TransactionsArchiveWalInput, TransactionsBeginInput, TransactionsCheckpointWalInput,
    TransactionsCommitInput, TransactionsCreateSavepointInput, TransactionsDetectDeadlocksInput,
    TransactionsExecuteInput, TransactionsFlushWalInput, TransactionsGetInput, TransactionsGetLockGraphInput,
    TransactionsGetReadSetInput, TransactionsGetStatsInput, TransactionsGetWalReplayStatusInput,
    TransactionsGetWalStatusInput, TransactionsGetWriteSetInput, TransactionsListActiveInput,
    TransactionsListDeadlocksInput, TransactionsListLockHoldersInput, TransactionsListLockWaitersInput,
    TransactionsListLocksInput, TransactionsListSavepointsInput, TransactionsListTimedOutInput,
    TransactionsListWalSegmentsInput, TransactionsReleaseAllLocksInput, TransactionsReleaseLockInput,
    TransactionsReleaseSavepointInput, TransactionsRollbackInput, TransactionsRollbackToSavepointInput,
    TransactionsService, TransactionsSetIsolationLevelInput, TransactionsSetTimeoutInput,
    TransactionsSwitchWalSegmentInput, TransactionsTransactionEventsInput, TransactionsTruncateWalInput,
    TransactionsUpgradeLockInput, TransactionsWalEventsEvent, TransactionsWalEventsInput, TruncatedWal,
    WalCheckpointed, WalReplayStatus, WalSegmentList, WalStatus, WriteSet, WrittenRow,
};
use rustydb_runtime::Clock;
use rustydb_store::tables::{
    Isolation, MAIN_DATABASE, TableChanges, TableReads, WrittenRow as StoredWrittenRow,
};
use rustydb_store::transactions::{BeginOptions, EndReason, TimedOut, TransactionInfo, TransactionObserver};

use super::DataEngine;
use super::errors::{declared, invalid_argument, table_error};
use super::reads::foreign_cursor;
use super::scope::{Access, Place, Scope};
use super::writes::{change_row, remove_row};
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Names of the lists in cursors.
const TRANSACTIONS: &str = "transactions";
const TIMED_OUT: &str = "transactions that timed out";
const WRITE_SET: &str = "changed rows of a transaction";

#[async_trait]
impl TransactionsService for DataEngine {
    async fn begin(
        &self,
        context: &CallContext,
        input: TransactionsBeginInput,
    ) -> ServiceResult<Transaction> {
        let isolation = isolation_of(input.isolation_level.as_ref())?;
        let caller = context.principal();
        let options = BeginOptions {
            owner: caller.user_id.clone(),
            owner_name: caller.username.clone(),
            session: caller.session_id.clone(),
            database: input.database.unwrap_or_else(|| MAIN_DATABASE.to_owned()),
            isolation,
            read_only: input.read_only.unwrap_or(false),
            idle_timeout_us: input.idle_timeout_ms.map(|ms| ms.saturating_mul(1_000)),
            timeout_us: input.timeout_ms.map(|ms| ms.saturating_mul(1_000)),
            lock_timeout_us: input.lock_timeout_ms.map(|ms| ms.saturating_mul(1_000)),
        };
        let begun = self.inner.transactions.begin(options).map_err(table_error);
        begun.map(described).map_err(declared(context))
    }

    async fn commit(
        &self,
        context: &CallContext,
        input: TransactionsCommitInput,
    ) -> ServiceResult<CommittedTransaction> {
        let unsynced = self.unsynced(input.wait_until_durable)?;
        let lease = self.lease(context, input.id).await?;
        let commit = move || match unsynced {
            false => lease.commit().map(|outcome| (outcome, true)),
            true => lease
                .commit_unsynced()
                .map(|(outcome, ticket)| (outcome, ticket.is_durable())),
        };
        let (outcome, durable) = blocking(move || commit().map_err(table_error)).await?;
        Ok(CommittedTransaction {
            durable,
            transaction_id: input.id,
            lsn: Lsn(outcome.seq.0),
            rows_changed: outcome.changes.iter().map(rows_changed).sum(),
        })
    }

    async fn transaction_events(
        &self,
        _: &CallContext,
        input: TransactionsTransactionEventsInput,
    ) -> ServiceResult<Subscription<TransactionEvent>> {
        let session = input.session_filter;
        Ok(self.inner.lifecycle.subscribe(move |event| {
            let wanted = session.is_none() || event.session_id == session;
            wanted.then(|| event.clone())
        }))
    }

    async fn execute(
        &self,
        context: &CallContext,
        input: TransactionsExecuteInput,
    ) -> ServiceResult<ExecutedOperations> {
        let unsynced = self.unsynced(input.wait_until_durable)?;
        if unsynced && input.transaction_id.is_some() {
            let message = "the transaction is committed by another call; give it to transactions.commit";
            return Err(invalid_argument("wait_until_durable", message));
        }
        let place = Place {
            unsynced,
            ..Place::new(input.database.clone(), input.transaction_id)
        };
        let operations = &input.operations;
        let executed = self.run(context, &place, Access::Write, |mut scope| async move {
            let mut results = Vec::with_capacity(operations.len());
            for (at, operation) in operations.iter().enumerate() {
                let path = format!("operations.{at}");
                let done = self
                    .operation(scope, operation)
                    .await
                    .map_err(|error| error.in_part(&path))?;
                scope = done.0;
                results.push(done.1);
            }
            Ok((scope, results))
        });
        let (results, committed) = executed.await.map_err(declared(context))?;
        let rows_changed = results.iter().map(|result| result.rows_affected).sum();
        Ok(ExecutedOperations {
            results,
            rows_changed,
            lsn: committed.map(|committed| Lsn(committed.seq.0)),
            durable: committed.map(|committed| committed.durable),
        })
    }

    async fn archive_wal(
        &self,
        context: &CallContext,
        _: TransactionsArchiveWalInput,
    ) -> ServiceResult<ArchivedWal> {
        self.archived_wal().await.map_err(declared(context))
    }

    async fn checkpoint_wal(
        &self,
        context: &CallContext,
        _: TransactionsCheckpointWalInput,
    ) -> ServiceResult<WalCheckpointed> {
        self.checkpoint().await.map_err(declared(context))
    }

    async fn flush_wal(
        &self,
        context: &CallContext,
        _: TransactionsFlushWalInput,
    ) -> ServiceResult<FlushedWal> {
        self.flushed_wal().await.map_err(declared(context))
    }

    async fn get_wal_replay_status(
        &self,
        _: &CallContext,
        _: TransactionsGetWalReplayStatusInput,
    ) -> ServiceResult<WalReplayStatus> {
        Ok(self.wal_replay())
    }

    async fn get_wal_status(
        &self,
        _: &CallContext,
        input: TransactionsGetWalStatusInput,
    ) -> ServiceResult<WalStatus> {
        Ok(self.wal_status(input.window_ms).await)
    }

    async fn list_wal_segments(
        &self,
        _: &CallContext,
        input: TransactionsListWalSegmentsInput,
    ) -> ServiceResult<WalSegmentList> {
        self.wal_segments(input)
    }

    async fn switch_wal_segment(
        &self,
        context: &CallContext,
        _: TransactionsSwitchWalSegmentInput,
    ) -> ServiceResult<SwitchedWal> {
        self.switched_wal().await.map_err(declared(context))
    }

    async fn truncate_wal(
        &self,
        context: &CallContext,
        input: TransactionsTruncateWalInput,
    ) -> ServiceResult<TruncatedWal> {
        self.truncated_wal(input.before).await.map_err(declared(context))
    }

    async fn wal_events(
        &self,
        _: &CallContext,
        _: TransactionsWalEventsInput,
    ) -> ServiceResult<Subscription<TransactionsWalEventsEvent>> {
        Ok(self.inner.taps.wal.subscribe(|event| Some(event.clone())))
    }

    async fn get(&self, context: &CallContext, input: TransactionsGetInput) -> ServiceResult<Transaction> {
        let owner = &context.principal().user_id;
        let info = self
            .inner
            .transactions
            .info(input.id.0, owner)
            .map_err(table_error)?;
        let locks = self.locks_of(input.id.0)?;
        Ok(Transaction {
            locks: Some(locks),
            ..described(info)
        })
    }

    async fn set_isolation_level(
        &self,
        context: &CallContext,
        input: TransactionsSetIsolationLevelInput,
    ) -> ServiceResult<TransactionIsolation> {
        let isolation = isolation_of(Some(&input.isolation_level))?;
        let owner = &context.principal().user_id;
        let transactions = &self.inner.transactions;
        let set = transactions.set_isolation(input.id.0, owner, isolation).await;
        let info = set.map_err(table_error)?;
        Ok(TransactionIsolation {
            transaction_id: input.id,
            isolation_level: level_of(info.isolation),
        })
    }

    async fn set_timeout(
        &self,
        context: &CallContext,
        input: TransactionsSetTimeoutInput,
    ) -> ServiceResult<Transaction> {
        let owner = &context.principal().user_id;
        let timeout_us = input.timeout_ms.map(|ms| ms.saturating_mul(1_000));
        let set = self.inner.transactions.set_timeout(input.id.0, owner, timeout_us);
        set.map(described).map_err(table_error)
    }

    async fn list_timed_out(
        &self,
        _: &CallContext,
        input: TransactionsListTimedOutInput,
    ) -> ServiceResult<TimedOutList> {
        let items_max = paging::page_items(input.limit);
        let after = number_after(TIMED_OUT, input.after)?;
        // None that has outlived its time is left out.
        self.inner.transactions.sweep();
        let mut ended = self.inner.transactions.timed_out(None);
        ended.reverse();
        // Their ends are in order, and an id ends once.
        if let Some(after) = after {
            let place = ended.iter().position(|ended| ended.transaction.id == after);
            // One that is no longer remembered was older than all that are.
            ended.drain(..place.map_or(ended.len(), |place| place + 1));
        }
        let more = ended.len() > items_max;
        ended.truncate(items_max);
        let last = ended.last().map(|ended| ended.transaction.id);
        Ok(TimedOutList {
            transactions: ended.into_iter().map(timed_out).collect(),
            next: last
                .filter(|_| more)
                .map(|id| paging::cursor(TIMED_OUT, &id.to_string())),
        })
    }

    async fn get_read_set(
        &self,
        context: &CallContext,
        input: TransactionsGetReadSetInput,
    ) -> ServiceResult<ReadSet> {
        let lease = self.lease(context, input.id).await?;
        let reads = lease.reads().map_err(table_error)?;
        let read = |reads: TableReads| ReadTable {
            database: reads.table.database,
            table: reads.table.name,
            index: reads.index,
            whole: reads.whole,
            rows: reads.rows,
            ranges: reads.ranges,
        };
        Ok(ReadSet {
            tracked: reads.is_some(),
            tables: reads.unwrap_or_default().into_iter().map(read).collect(),
        })
    }

    async fn get_write_set(
        &self,
        context: &CallContext,
        input: TransactionsGetWriteSetInput,
    ) -> ServiceResult<WriteSet> {
        let items_max = paging::page_items(input.limit);
        let skipped = number_after(WRITE_SET, input.after)?.unwrap_or(0) as usize;
        let lease = self.lease(context, input.id).await?;
        let mut rows = lease.written_rows(skipped, items_max + 1).map_err(table_error)?;
        let more = rows.len() > items_max;
        rows.truncate(items_max);
        let next = more.then(|| paging::cursor(WRITE_SET, &(skipped + items_max).to_string()));
        let written = |row: StoredWrittenRow| WrittenRow {
            database: row.table.database,
            table: row.table.name,
            id: row.id,
            change: match (row.before, row.after) {
                (false, _) => RowChangeKind::Insert,
                (true, true) => RowChangeKind::Update,
                (true, false) => RowChangeKind::Delete,
            },
        };
        Ok(WriteSet {
            rows: rows.into_iter().map(written).collect(),
            next,
        })
    }

    async fn get_stats(
        &self,
        _: &CallContext,
        _: TransactionsGetStatsInput,
    ) -> ServiceResult<TransactionStats> {
        Ok(self.transaction_stats())
    }

    async fn create_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsCreateSavepointInput,
    ) -> ServiceResult<Savepoint> {
        self.made_savepoint(context, input).await
    }

    async fn list_savepoints(
        &self,
        context: &CallContext,
        input: TransactionsListSavepointsInput,
    ) -> ServiceResult<SavepointList> {
        self.savepoints(context, input).await
    }

    async fn release_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsReleaseSavepointInput,
    ) -> ServiceResult<Empty> {
        self.released_savepoint(context, input).await
    }

    async fn rollback_to_savepoint(
        &self,
        context: &CallContext,
        input: TransactionsRollbackToSavepointInput,
    ) -> ServiceResult<Transaction> {
        self.rolled_back_to_savepoint(context, input).await
    }

    async fn list_locks(
        &self,
        _: &CallContext,
        input: TransactionsListLocksInput,
    ) -> ServiceResult<LockList> {
        self.all_locks(input)
    }

    async fn list_lock_waiters(
        &self,
        _: &CallContext,
        input: TransactionsListLockWaitersInput,
    ) -> ServiceResult<LockWaiterList> {
        self.lock_waiters(input)
    }

    async fn get_lock_graph(
        &self,
        _: &CallContext,
        _: TransactionsGetLockGraphInput,
    ) -> ServiceResult<LockGraph> {
        self.lock_graph()
    }

    async fn list_lock_holders(
        &self,
        context: &CallContext,
        input: TransactionsListLockHoldersInput,
    ) -> ServiceResult<LockList> {
        self.lock_holders(input).map_err(declared(context))
    }

    async fn acquire_lock(
        &self,
        context: &CallContext,
        input: TransactionsAcquireLockInput,
    ) -> ServiceResult<Lock> {
        self.acquired_lock(context, input)
            .await
            .map_err(declared(context))
    }

    async fn upgrade_lock(
        &self,
        context: &CallContext,
        input: TransactionsUpgradeLockInput,
    ) -> ServiceResult<Lock> {
        self.upgraded_lock(context, input)
            .await
            .map_err(declared(context))
    }

    async fn release_lock(
        &self,
        context: &CallContext,
        input: TransactionsReleaseLockInput,
    ) -> ServiceResult<Empty> {
        self.released_lock(context, input)
            .await
            .map_err(declared(context))
    }

    async fn release_all_locks(
        &self,
        context: &CallContext,
        input: TransactionsReleaseAllLocksInput,
    ) -> ServiceResult<ReleasedLocks> {
        self.released_locks(context, input).await
    }

    async fn list_deadlocks(
        &self,
        _: &CallContext,
        input: TransactionsListDeadlocksInput,
    ) -> ServiceResult<DeadlockList> {
        self.known_deadlocks(input)
    }

    async fn detect_deadlocks(
        &self,
        _: &CallContext,
        _: TransactionsDetectDeadlocksInput,
    ) -> ServiceResult<FoundDeadlocks> {
        self.found_deadlocks().await
    }

    async fn list_active(
        &self,
        _: &CallContext,
        input: TransactionsListActiveInput,
    ) -> ServiceResult<TransactionList> {
        let after = number_after(TRANSACTIONS, input.after)?;
        let items_max = paging::page_items(input.limit);
        // None that has ended is shown.
        self.inner.transactions.sweep();
        let mut open = self.inner.transactions.list(None);
        open.retain(|transaction| after.is_none_or(|after| transaction.id > after));
        let next = (open.len() > items_max).then(|| last_of(&open[..items_max]));
        open.truncate(items_max);
        Ok(TransactionList {
            transactions: open.into_iter().map(described).collect(),
            next,
        })
    }

    async fn rollback(
        &self,
        context: &CallContext,
        input: TransactionsRollbackInput,
    ) -> ServiceResult<Empty> {
        let lease = self.lease(context, input.id).await?;
        // Freeing a large write set takes its time.
        blocking(move || lease.rollback().map_err(table_error)).await?;
        Ok(Empty {})
    }
}

impl DataEngine {
    fn transaction_stats(&self) -> TransactionStats {
        let counts = self.inner.transactions.counts();
        let meter = self.inner.tables.commits();
        let (taken, conflicts) = (meter.taken(), meter.conflicts());
        let ms = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1_000_000.0;
        let commits = taken.count();
        // A refused commit of several calls is one of those that were rolled back; the others are of calls of their own.
        let aborts = counts.rolled_back + conflicts.saturating_sub(counts.refused);
        TransactionStats {
            total_commits: commits,
            total_aborts: aborts,
            total_conflicts: conflicts,
            total_timeouts: counts.timed_out,
            total_deadlocks: self.inner.tables.locks().locks().counts().deadlocks,
            active_transactions: counts.active,
            avg_commit_latency_ms: ms(taken.mean_ns()),
            p99_latency_ms: ms(taken.quantile_ns(990)),
            abort_ratio: match commits + aborts {
                0 => 0.0,
                all => aborts as f64 / all as f64,
            },
        }
    }

    /// Whether a commit may be answered before it is durable, which the server's settings must allow.
    fn unsynced(&self, wait_until_durable: Option<bool>) -> ServiceResult<bool> {
        if wait_until_durable.unwrap_or(true) {
            return Ok(false);
        }
        if !self.inner.kernel.async_commits() {
            let message = "this server answers a commit only once it is durable: leave `wait_until_durable` out, or start \
                the server with --async-commits";
            return Err(ServiceError::new(&ASYNC_COMMITS_DISABLED, message));
        }
        Ok(true)
    }

    async fn operation(
        &self,
        mut scope: Scope,
        operation: &RowOperation,
    ) -> ServiceResult<(Scope, RowOperationResult)> {
        let (scope, ids) = match operation {
            RowOperation::Insert(insert) => {
                self.add_rows(scope, &insert.table, &insert.rows, "rows", 0)
                    .await?
            }
            RowOperation::Update(update) => {
                let row = change_row(&mut scope, &update.table, &update.id, &update.values)?;
                (scope, vec![row.id])
            }
            RowOperation::Delete(delete) => {
                remove_row(&mut scope, &delete.table, &delete.id)?;
                (scope, vec![delete.id.clone()])
            }
        };
        Ok((
            scope,
            RowOperationResult {
                rows_affected: ids.len() as u64,
                ids,
            },
        ))
    }
}

/// Ids rise with time, so that their order is that of the beginnings.
fn last_of(page: &[TransactionInfo]) -> Cursor {
    let id = page.last().map_or(0, |transaction| transaction.id);
    paging::cursor(TRANSACTIONS, &id.to_string())
}

fn rows_changed(changes: &TableChanges) -> u64 {
    changes.inserted + changes.updated + changes.deleted
}

/// The number in a cursor of a list.
pub(super) fn number_after(list: &str, after: Option<Cursor>) -> ServiceResult<Option<u64>> {
    paging::after(list, after)?
        .map(|number| number.parse::<u64>().map_err(|_| foreign_cursor(list)))
        .transpose()
}

/// The level that is given for a name: the next stronger one of those that there are.
fn isolation_of(level: Option<&IsolationLevel>) -> ServiceResult<Isolation> {
    match level {
        None | Some(IsolationLevel::Snapshot | IsolationLevel::RepeatableRead) => Ok(Isolation::Snapshot),
        Some(IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted) => Ok(Isolation::ReadCommitted),
        Some(IsolationLevel::Serializable) => Ok(Isolation::Serializable),
        Some(IsolationLevel::Unrecognized(name)) => Err(invalid_argument(
            "isolation_level",
            format!("isolation_level: there is no level {name:?}"),
        )),
    }
}

fn level_of(isolation: Isolation) -> IsolationLevel {
    match isolation {
        Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
        Isolation::Snapshot => IsolationLevel::Snapshot,
        Isolation::Serializable => IsolationLevel::Serializable,
    }
}

fn timed_out(ended: TimedOut) -> TimedOutTransaction {
    let TimedOut {
        transaction,
        reason,
        ended_at_us,
    } = ended;
    let (reason, limit_us) = match reason {
        EndReason::Expired => (TimedOutReason::Open, transaction.timeout_us.unwrap_or_default()),
        _ => (TimedOutReason::Idle, transaction.idle_timeout_us),
    };
    TimedOutTransaction {
        transaction_id: Id64(transaction.id),
        username: transaction.owner_name,
        database: transaction.database,
        reason,
        limit_ms: limit_us / 1_000,
        started_at: Timestamp::from_micros(transaction.started_at_us),
        ended_at: Timestamp::from_micros(ended_at_us),
    }
}

pub(super) fn described(info: TransactionInfo) -> Transaction {
    let change = |changes: TableChanges| TableChange {
        database: changes.database,
        table: changes.table,
        inserted: changes.inserted,
        updated: changes.updated,
        deleted: changes.deleted,
    };
    Transaction {
        transaction_id: Id64(info.id),
        state: TransactionState::Active,
        isolation_level: level_of(info.isolation),
        read_only: info.read_only,
        database: info.database,
        username: info.owner_name,
        started_at: Timestamp::from_micros(info.started_at_us),
        last_used_at: Timestamp::from_micros(info.last_used_at_us),
        idle_timeout_ms: info.idle_timeout_us / 1_000,
        timeout_ms: info.timeout_us.map(|us| us / 1_000),
        lock_timeout_ms: Some(info.lock_timeout_us / 1_000),
        locks: None,
        changes: info.changes.into_iter().map(change).collect(),
    }
}

/// Tells of transactions as the registry begins and ends them.
pub(super) struct Lifecycle {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) topic: Arc<Topic<TransactionEvent>>,
}

impl TransactionObserver for Lifecycle {
    fn began(&self, transaction: &TransactionInfo) {
        self.topic
            .publish(|| event(transaction, TransactionEventType::Begin));
    }

    fn ended(&self, transaction: &TransactionInfo, reason: EndReason) {
        self.topic.publish(|| {
            let ended_at_us = self.clock.now_us();
            let duration_us = ended_at_us.saturating_sub(transaction.started_at_us);
            let duration_ms = Some(u64::try_from(duration_us / 1_000).unwrap_or(0));
            match reason {
                EndReason::Committed => TransactionEvent {
                    duration_ms,
                    modified_rows: Some(transaction.changes.iter().map(rows_changed).sum()),
                    ..event(transaction, TransactionEventType::Commit)
                },
                EndReason::RolledBack | EndReason::TimedOut | EndReason::Expired | EndReason::Deadlock => {
                    TransactionEvent {
                        duration_ms,
                        reason: Some(reason.to_string()),
                        ..event(transaction, TransactionEventType::Rollback)
                    }
                }
            }
        });
    }
}

pub(super) fn event(transaction: &TransactionInfo, event_type: TransactionEventType) -> TransactionEvent {
    TransactionEvent {
        event_type,
        transaction_id: Id64(transaction.id),
        session_id: transaction.session.clone(),
        username: transaction.owner_name.clone(),
        isolation_level: level_of(transaction.isolation),
        duration_ms: None,
        modified_rows: None,
        reason: None,
    }
}
