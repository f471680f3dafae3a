//! What is done in the background: idle transactions are rolled back, and old changes leave the change log.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_runtime::Clock;
use rustydb_store::error::StoreError;
use rustydb_store::retention::LogRetention;
use rustydb_store::seam::TableStore;
use rustydb_store::tables::Tables;
use rustydb_store::transactions::TransactionRegistry;
use tokio::task::JoinHandle;

/// Time between two looks for idle transactions. A call finds an idle transaction ended without waiting for one.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at the change log, which may pass its bounds by what is written meanwhile.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// The background tasks; dropping it ends them.
pub(super) struct Sweep(Mutex<Vec<JoinHandle<()>>>);

impl Sweep {
    pub(super) fn start(
        transactions: &Arc<TransactionRegistry>,
        tables: &Tables,
        clock: &Arc<dyn Clock>,
        retention: LogRetention,
    ) -> Sweep {
        let idle = tokio::spawn(roll_back_idle(Arc::downgrade(transactions)));
        let log = tokio::spawn(trim_log(
            Arc::downgrade(tables.store()),
            Arc::clone(clock),
            retention,
        ));
        Sweep(Mutex::new(vec![idle, log]))
    }

    pub(super) async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.0.lock());
        for task in tasks {
            task.abort();
            // It ends by the abort, which is no failure.
            let _ = task.await;
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        for task in self.0.get_mut() {
            task.abort();
        }
    }
}

async fn roll_back_idle(transactions: Weak<TransactionRegistry>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(transactions) = transactions.upgrade() else {
            return;
        };
        for id in transactions.sweep() {
            tracing::info!(transaction_id = id, "rolled back an idle transaction");
        }
    }
}

async fn trim_log(store: Weak<dyn TableStore>, clock: Arc<dyn Clock>, retention: LogRetention) {
    loop {
        tokio::time::sleep(TRIM_INTERVAL).await;
        loop {
            let Some(store) = store.upgrade() else { return };
            let now_us = clock.now_us();
            let step = tokio::task::spawn_blocking(move || retention.step(&*store, now_us)).await;
            match step {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break,
                // The store takes no more writes, and says so to everybody who asks.
                Ok(Err(StoreError::Poisoned { .. })) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the change log could not be trimmed");
                    break;
                }
            }
        }
    }
}
