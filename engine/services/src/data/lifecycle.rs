//! What is told of transactions that span calls: beginnings, savepoints and ends as the registry has them, numbers in intervals.

use std::sync::Arc;
use std::time::Duration;

use rustydb_contract::Id64;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract_transactions::{
    TransactionBegin, TransactionCommit, TransactionEvent, TransactionEventType, TransactionRollback,
    TransactionSavepoint, TransactionSavepointReleased, TransactionStats, TransactionTimeout,
    TransactionsLifecycleEventsEvent as Told, TransactionsLifecycleEventsInput,
    TransactionsTransactionEventsInput, TransactionsTransactionStatsInput,
};
use rustydb_runtime::Clock;
use rustydb_store::tables::{SavepointChange, SavepointEvent};
use rustydb_store::transactions::{EndReason, TransactionInfo, TransactionObserver};

use super::DataEngine;
use super::transactions::{level_of, outlived, rows_changed};

/// Time between two looks at the numbers when the caller names none.
const STATS_INTERVAL_SECONDS_DEFAULT: u32 = 1;

/// What happened to a transaction.
pub(super) struct Fact {
    transaction: TransactionInfo,
    what: What,
}

enum What {
    Began,
    Savepoint(SavepointEvent),
    /// `Ended` follows.
    TimedOut(EndReason),
    Ended {
        reason: EndReason,
        duration_ms: u64,
    },
}

/// Tells of transactions as the registry begins and ends them.
pub(super) struct Lifecycle {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) topic: Arc<Topic<Fact>>,
}

impl Lifecycle {
    fn tell(&self, transaction: &TransactionInfo, what: impl FnOnce() -> What) {
        self.topic.publish(|| Fact {
            transaction: transaction.clone(),
            what: what(),
        });
    }
}

impl TransactionObserver for Lifecycle {
    fn listens(&self) -> bool {
        self.topic.is_heard()
    }

    fn began(&self, transaction: &TransactionInfo) {
        self.tell(transaction, || What::Began);
    }

    fn savepoint(&self, transaction: &TransactionInfo, event: &SavepointEvent) {
        self.tell(transaction, || What::Savepoint(event.clone()));
    }

    fn ended(&self, transaction: &TransactionInfo, reason: EndReason) {
        if matches!(reason, EndReason::TimedOut | EndReason::Expired) {
            self.tell(transaction, || What::TimedOut(reason));
        }
        self.tell(transaction, || {
            let duration_us = self.clock.now_us().saturating_sub(transaction.started_at_us);
            What::Ended {
                reason,
                duration_ms: u64::try_from(duration_us / 1_000).unwrap_or(0),
            }
        });
    }
}

impl DataEngine {
    pub(super) fn watch_transactions(
        &self,
        input: TransactionsTransactionEventsInput,
    ) -> Subscription<TransactionEvent> {
        let session = input.session_filter;
        self.inner.lifecycle.subscribe(move |fact| {
            let wanted = session.is_none() || fact.transaction.session == session;
            wanted.then(|| in_one_form(fact)).flatten()
        })
    }

    pub(super) fn watch_lifecycle(&self, input: TransactionsLifecycleEventsInput) -> Subscription<Told> {
        let wanted = input.transaction_ids;
        self.inner.lifecycle.subscribe(move |fact| {
            let id = Id64(fact.transaction.id);
            let is_wanted = wanted.as_ref().is_none_or(|wanted| wanted.contains(&id));
            is_wanted.then(|| told(fact)).flatten()
        })
    }

    pub(super) fn watch_transaction_stats(
        &self,
        input: TransactionsTransactionStatsInput,
    ) -> Subscription<TransactionStats> {
        let seconds = input.interval_seconds.unwrap_or(STATS_INTERVAL_SECONDS_DEFAULT);
        let interval = match input.interval_ms {
            Some(interval_ms) => Duration::from_millis(u64::from(interval_ms)),
            None => Duration::from_secs(u64::from(seconds)),
        };
        // Between looks nobody keeps the engine from being closed.
        let looked = Arc::downgrade(&self.inner);
        let begin = || {
            move || {
                let engine = looked.upgrade().map(|inner| DataEngine { inner });
                Ok(engine.iter().map(DataEngine::transaction_stats).collect())
            }
        };
        let samples = &self.inner.stats_samples;
        samples.subscribe(interval, begin, |stats| Some(stats.clone()))
    }
}

/// As `transactions.transaction_events` tells it; a return to a savepoint it does not tell.
fn in_one_form(fact: &Fact) -> Option<TransactionEvent> {
    let Fact { transaction, what } = fact;
    let event = |event_type| TransactionEvent {
        event_type,
        transaction_id: Id64(transaction.id),
        session_id: transaction.session.clone(),
        username: transaction.owner_name.clone(),
        isolation_level: level_of(transaction.isolation),
        duration_ms: None,
        modified_rows: None,
        reason: None,
    };
    Some(match what {
        What::Began => event(TransactionEventType::Begin),
        What::Savepoint(savepoint) => match savepoint.change {
            SavepointChange::Created => event(TransactionEventType::Savepoint),
            SavepointChange::Released => event(TransactionEventType::ReleaseSavepoint),
            SavepointChange::RolledBackTo => return None,
        },
        What::TimedOut(_) => return None,
        What::Ended {
            reason: EndReason::Committed,
            duration_ms,
        } => TransactionEvent {
            duration_ms: Some(*duration_ms),
            modified_rows: Some(modified(transaction)),
            ..event(TransactionEventType::Commit)
        },
        What::Ended { reason, duration_ms } => TransactionEvent {
            duration_ms: Some(*duration_ms),
            reason: Some(reason.to_string()),
            ..event(TransactionEventType::Rollback)
        },
    })
}

/// As `transactions.lifecycle_events` tells it; a return to a savepoint it does not tell.
fn told(fact: &Fact) -> Option<Told> {
    let Fact { transaction, what } = fact;
    let transaction_id = Id64(transaction.id);
    let session_id = transaction.session.clone();
    let username = transaction.owner_name.clone();
    let isolation_level = level_of(transaction.isolation);
    Some(match what {
        What::Began => Told::TransactionBegin(TransactionBegin {
            transaction_id,
            session_id,
            username,
            isolation_level,
            read_only: transaction.read_only,
        }),
        What::Savepoint(SavepointEvent { name, change }) => {
            let savepoint_name = name.clone();
            match change {
                SavepointChange::Created => Told::TransactionSavepoint(TransactionSavepoint {
                    transaction_id,
                    savepoint_name,
                }),
                SavepointChange::Released => {
                    Told::TransactionSavepointReleased(TransactionSavepointReleased {
                        transaction_id,
                        savepoint_name,
                    })
                }
                SavepointChange::RolledBackTo => return None,
            }
        }
        What::TimedOut(reason) => {
            let (state, limit_us) = outlived(transaction, *reason);
            Told::TransactionTimeout(TransactionTimeout {
                transaction_id,
                isolation_level,
                timeout_seconds: limit_us as f64 / 1_000_000.0,
                state,
            })
        }
        What::Ended {
            reason: EndReason::Committed,
            duration_ms,
        } => Told::TransactionCommit(TransactionCommit {
            transaction_id,
            session_id,
            username,
            isolation_level,
            duration_ms: *duration_ms,
            modified_rows: modified(transaction),
        }),
        What::Ended { reason, duration_ms } => Told::TransactionRollback(TransactionRollback {
            transaction_id,
            session_id,
            username,
            isolation_level,
            duration_ms: *duration_ms,
            reason: reason.to_string(),
        }),
    })
}

fn modified(transaction: &TransactionInfo) -> u64 {
    transaction.changes.iter().map(rows_changed).sum()
}
