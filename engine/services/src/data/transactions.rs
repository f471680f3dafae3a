//! The `transactions` module: transactions that span calls.

use std::sync::Arc;

use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract::{
    CallContext, Cursor, Empty, Id64, Lsn, ServiceError, ServiceResult, Timestamp, async_trait,
};
use rustydb_contract_transactions::errors::UNSUPPORTED_ISOLATION_LEVEL;
use rustydb_contract_transactions::{
    ArchivedWal, CommittedTransaction, ExecutedOperations, FlushedWal, IsolationLevel, RowOperation,
    RowOperationResult, SwitchedWal, TableChange, Transaction, TransactionEvent, TransactionEventType,
    TransactionList, TransactionState, TransactionsArchiveWalInput, TransactionsBeginInput,
    TransactionsCheckpointWalInput, TransactionsCommitInput, TransactionsExecuteInput,
    TransactionsFlushWalInput, TransactionsGetInput, TransactionsGetWalReplayStatusInput,
    TransactionsGetWalStatusInput, TransactionsListActiveInput, TransactionsListWalSegmentsInput,
    TransactionsRollbackInput, TransactionsService, TransactionsSwitchWalSegmentInput,
    TransactionsTransactionEventsInput, TransactionsTruncateWalInput, TransactionsWalEventsEvent,
    TransactionsWalEventsInput, TruncatedWal, WalCheckpointed, WalReplayStatus, WalSegmentList, WalStatus,
};
use rustydb_runtime::Clock;
use rustydb_store::tables::{MAIN_DATABASE, TableChanges};
use rustydb_store::transactions::{BeginOptions, EndReason, TransactionInfo, TransactionObserver};

use super::DataEngine;
use super::errors::{declared, table_error};
use super::reads::foreign_cursor;
use super::scope::{Access, Place, Scope};
use super::writes::{change_row, remove_row};
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Name of the list in cursors.
const TRANSACTIONS: &str = "transactions";

#[async_trait]
impl TransactionsService for DataEngine {
    async fn begin(
        &self,
        context: &CallContext,
        input: TransactionsBeginInput,
    ) -> ServiceResult<Transaction> {
        match input.isolation_level {
            None | Some(IsolationLevel::Snapshot) => {}
            Some(other) => {
                let message = format!(
                    "isolation level `{}` is not done here; begin with `snapshot`",
                    other.as_str()
                );
                return Err(ServiceError::new(&UNSUPPORTED_ISOLATION_LEVEL, message));
            }
        }
        let caller = context.principal();
        let options = BeginOptions {
            owner: caller.user_id.clone(),
            owner_name: caller.username.clone(),
            session: caller.session_id.clone(),
            database: input.database.unwrap_or_else(|| MAIN_DATABASE.to_owned()),
            read_only: input.read_only.unwrap_or(false),
            idle_timeout_us: input.idle_timeout_ms.map(|ms| ms.saturating_mul(1_000)),
        };
        let begun = self.inner.transactions.begin(options).map_err(table_error);
        begun.map(described).map_err(declared(context))
    }

    async fn commit(
        &self,
        context: &CallContext,
        input: TransactionsCommitInput,
    ) -> ServiceResult<CommittedTransaction> {
        let lease = self.lease(context, input.id).await?;
        let outcome = blocking(move || lease.commit().map_err(table_error)).await?;
        Ok(CommittedTransaction {
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
        let place = Place::new(input.database.clone(), input.transaction_id);
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
        let (results, seq) = executed.await.map_err(declared(context))?;
        let rows_changed = results.iter().map(|result| result.rows_affected).sum();
        Ok(ExecutedOperations {
            results,
            rows_changed,
            lsn: seq.map(|seq| Lsn(seq.0)),
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
        self.inner
            .transactions
            .info(input.id.0, owner)
            .map(described)
            .map_err(table_error)
    }

    async fn list_active(
        &self,
        _: &CallContext,
        input: TransactionsListActiveInput,
    ) -> ServiceResult<TransactionList> {
        let after = paging::after(TRANSACTIONS, input.after)?
            .map(|id| id.parse::<u64>().map_err(|_| foreign_cursor(TRANSACTIONS)))
            .transpose()?;
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

fn described(info: TransactionInfo) -> Transaction {
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
        isolation_level: IsolationLevel::Snapshot,
        read_only: info.read_only,
        database: info.database,
        username: info.owner_name,
        started_at: Timestamp::from_micros(info.started_at_us),
        last_used_at: Timestamp::from_micros(info.last_used_at_us),
        idle_timeout_ms: info.idle_timeout_us / 1_000,
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
                EndReason::RolledBack | EndReason::TimedOut => TransactionEvent {
                    duration_ms,
                    reason: Some(reason.to_string()),
                    ..event(transaction, TransactionEventType::Rollback)
                },
            }
        });
    }
}

fn event(transaction: &TransactionInfo, event_type: TransactionEventType) -> TransactionEvent {
    TransactionEvent {
        event_type,
        transaction_id: Id64(transaction.id),
        session_id: transaction.session.clone(),
        username: transaction.owner_name.clone(),
        isolation_level: IsolationLevel::Snapshot,
        duration_ms: None,
        modified_rows: None,
        reason: None,
    }
}
