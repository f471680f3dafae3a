//! What is told of deadlocks: that one was found, who is given up for it, and that the others can go on.

use std::sync::Arc;

use rustydb_contract::Id64;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract_transactions::{
    DeadlockDetected, DeadlockResolved, DeadlockVictimSelected, ResolutionStrategy,
    TransactionsDeadlockEventsEvent as Told,
};
use rustydb_store::tables::TableError;
use rustydb_store::transactions::{DeadlockListener, DeadlockRecord};

use super::DataEngine;
use super::locks::deadlock;

/// Tells of deadlocks as their log keeps them.
pub(super) struct DeadlockTap(pub(super) Arc<Topic<Told>>);

impl DeadlockListener for DeadlockTap {
    fn kept(&self, record: &DeadlockRecord) {
        self.0.publish(|| Told::DeadlockDetected(deadlock(record)));
        self.0.publish(|| {
            Told::DeadlockVictimSelected(DeadlockVictimSelected {
                deadlock_id: Id64(record.id),
                victim_transaction: Id64(record.victim),
            })
        });
    }

    fn resolved(&self, record: &DeadlockRecord) {
        self.0.publish(|| {
            Told::DeadlockResolved(DeadlockResolved {
                deadlock_id: Id64(record.id),
                victim_transaction: Id64(record.victim),
                resolution_strategy: ResolutionStrategy::AbortYoungest,
            })
        });
    }
}

impl DataEngine {
    pub(super) fn watch_deadlocks(&self) -> Subscription<Told> {
        self.inner.deadlock_events.subscribe(|event| Some(event.clone()))
    }

    pub(super) fn watch_found_deadlocks(&self) -> Subscription<DeadlockDetected> {
        self.inner.deadlock_events.subscribe(|event| match event {
            Told::DeadlockDetected(found) => Some(found.clone()),
            Told::DeadlockVictimSelected(_) | Told::DeadlockResolved(_) => None,
        })
    }

    /// The victim of a deadlock, which fails with this error, has released its locks.
    pub(super) fn deadlock_resolved(&self, error: &TableError) {
        if let TableError::Deadlock { deadlock, .. } = error {
            self.inner.deadlocks.resolved(deadlock);
        }
    }
}
