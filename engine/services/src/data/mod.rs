//! Tables, SQL and transactions as the contract's services.
//!
//! [`DataEngine`] implements the generated traits of `database`, `indexes`, `sql`, `query` and `transactions`, one file each,
//! and tells the pipeline what SQL text would do ([`classifier`]). Shared by all of them:
//!
//! - [`scope`]: every call runs in a transaction, the caller's or one of its own, and leaves nothing behind when
//!   it fails or is dropped;
//! - [`errors`]: the one table from the engine's errors to the contract's;
//! - [`definitions`], [`values`], [`filter`]: the contract's forms of tables, rows and conditions;
//! - [`writes`]: changes of single rows and lists of rows;
//! - [`locks`]: locks and deadlocks of transactions, to be looked at and taken; [`savepoints`];
//! - [`lifecycle`], [`lock_events`], [`deadlock_events`]: what happens to transactions and locks, for those who watch;
//! - [`wal`]: the log below them, for those who look after it;
//! - [`running`]: statements that run; [`changes`]: what was committed, for those who watch.
//!
//! Reads of single rows and the reading of statements run on the thread that drives the call: they take
//! microseconds. Plans run on threads of the SQL engine. What waits for the disk, or rewrites many rows, runs on
//! blocking threads.

mod catalog;
mod changes;
mod classifier;
mod database;
mod deadlock_events;
mod definitions;
mod errors;
mod filter;
mod index_events;
mod indexes;
mod lifecycle;
mod load;
mod lock_events;
mod locks;
mod query;
mod reads;
mod results;
mod running;
mod savepoints;
mod scope;
mod sql;
mod sweep;
#[cfg(test)]
mod tests;
mod transactions;
mod values;
mod versions;
mod wal;
mod writes;

use std::sync::Arc;

use rustydb_contract::topic::Topic;
use rustydb_contract_transactions::{TransactionStats, TransactionsDeadlockEventsEvent};
use rustydb_kernel::kernel::Kernel;
use rustydb_runtime::Clock;
use rustydb_sql::SqlEngine;
use rustydb_store::feed::Feed;
use rustydb_store::retention::LogRetention;
use rustydb_store::tables::{TableError, Tables};
use rustydb_store::transactions::{DeadlockLog, TransactionRegistry};

use deadlock_events::DeadlockTap;
pub(crate) use errors::table_error;
use lifecycle::Lifecycle;
use lock_events::LockWatch;
use running::RunningStatements;
use sweep::Sweep;

use crate::jobs::Jobs;
use crate::samples::Samples;
use crate::taps::Taps;

/// The modules that read and write tables. A clone is another handle to the same.
#[derive(Clone)]
pub struct DataEngine {
    inner: Arc<Inner>,
}

struct Inner {
    tables: Tables,
    /// What keeps the tables.
    kernel: Arc<Kernel>,
    taps: Taps,
    sql: SqlEngine,
    clock: Arc<dyn Clock>,
    transactions: Arc<TransactionRegistry>,
    sweep: Sweep,
    feed: Feed,
    lifecycle: Arc<Topic<lifecycle::Fact>>,
    stats_samples: Samples<TransactionStats>,
    lock_watch: LockWatch,
    deadlock_events: Arc<Topic<TransactionsDeadlockEventsEvent>>,
    deadlocks: Arc<DeadlockLog>,
    running: Arc<RunningStatements>,
    jobs: Jobs,
}

impl DataEngine {
    /// `kernel` keeps the tables, and `taps` listens to it. Starts what is done in the background ([`sweep`]), which ends with the last handle or with [`DataEngine::close`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn new(
        tables: Tables,
        kernel: Arc<Kernel>,
        taps: Taps,
        sql: SqlEngine,
        clock: Arc<dyn Clock>,
        retention: LogRetention,
        jobs: Jobs,
    ) -> Result<DataEngine, TableError> {
        let deadlocks = Arc::new(DeadlockLog::open(tables.clone())?);
        let log = Arc::downgrade(&deadlocks);
        tables.locks().on_deadlock(move |deadlock| {
            if let Some(log) = log.upgrade() {
                log.note(deadlock);
            }
        });
        let deadlock_events = Topic::new();
        deadlocks.listen(Arc::new(DeadlockTap(Arc::clone(&deadlock_events))));
        let lock_watch = LockWatch::new(tables.locks().locks());
        let lifecycle = Topic::new();
        let observer = Lifecycle {
            clock: Arc::clone(&clock),
            topic: Arc::clone(&lifecycle),
        };
        let transactions = TransactionRegistry::open(tables.clone())?.observed(Arc::new(observer));
        let transactions = Arc::new(transactions);
        let sweep = Sweep::start(&transactions, &tables, &clock, retention);
        let running = RunningStatements::new(Arc::clone(&clock));
        let feed = Feed::new(Arc::clone(tables.store()));
        Ok(DataEngine {
            inner: Arc::new(Inner {
                tables,
                kernel,
                taps,
                sql,
                clock,
                transactions,
                sweep,
                feed,
                lifecycle,
                stats_samples: Samples::default(),
                lock_watch,
                deadlock_events,
                deadlocks,
                running,
                jobs,
            }),
        })
    }

    /// After so long a wait a transaction looks whether it is part of a deadlock.
    #[cfg(test)]
    pub(crate) fn set_deadlock_timeout_us(&self, us: u64) {
        self.inner.tables.locks().set_deadlock_timeout_us(us);
    }

    /// Statements that run at the moment.
    pub(crate) fn statements_running(&self) -> usize {
        self.inner.running.count()
    }

    /// Ends background work; to be called once no call is under way. Open transactions are never committed.
    pub async fn close(&self) {
        self.inner.sweep.stop().await;
    }
}
