//! Rolls back transactions that nobody uses any more.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_store::transactions::TransactionRegistry;
use tokio::task::JoinHandle;

/// Time between two rounds. A call finds an idle transaction ended without waiting for one.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The background task; dropping it ends the task.
pub(super) struct Sweep(Mutex<Option<JoinHandle<()>>>);

impl Sweep {
    pub(super) fn start(transactions: &Arc<TransactionRegistry>) -> Sweep {
        let transactions = Arc::downgrade(transactions);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                let Some(transactions) = transactions.upgrade() else {
                    return;
                };
                for id in transactions.sweep() {
                    tracing::info!(transaction_id = id, "rolled back an idle transaction");
                }
            }
        });
        Sweep(Mutex::new(Some(task)))
    }

    pub(super) async fn stop(&self) {
        let task = self.0.lock().take();
        if let Some(task) = task {
            task.abort();
            // It ends by the abort, which is no failure.
            let _ = task.await;
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut().take() {
            task.abort();
        }
    }
}
