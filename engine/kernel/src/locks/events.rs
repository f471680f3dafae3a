//! What happens to locks, for whoever listens.

use super::{Blocker, CancelReason, Deadlock, LockId, LockMode, OwnerId, Resource};
use crate::sync::Arc;

/// The lock, or the request, that an event is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFacts {
    pub lock_id: LockId,
    pub owner: OwnerId,
    pub resource: Resource,
    /// The mode in which it is held from now on, was held to now, or is waited for.
    pub mode: LockMode,
    /// Microseconds that the request has waited; 0 if it did not.
    pub wait_us: u64,
}

/// Of a wait, `WaitStart` is told and then one of `WaitEnd`, `Cancelled` and `VictimSelected`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEvent {
    Acquired(LockFacts),
    Released(LockFacts),
    /// A lock on a row was let go for that on its table, which covers it: `Escalated` was told before.
    Subsumed(LockFacts),
    WaitStart {
        lock: LockFacts,
        /// Holders of conflicting locks, then those ahead in the queue; as they are when the wait begins.
        blockers: Vec<Blocker>,
    },
    /// The wait ended with what it was for; `Acquired` or `Upgraded` follows.
    WaitEnd(LockFacts),
    /// The wait ended without the lock, for another reason than a deadlock: a time-out, for one.
    Cancelled {
        lock: LockFacts,
        reason: CancelReason,
    },
    /// A lock that was held got a stronger mode.
    Upgraded {
        lock: LockFacts,
        from: LockMode,
    },
    /// The lock, of a table, is in the place of locks on so many rows; their `Subsumed` follow.
    Escalated {
        lock: LockFacts,
        rows: u64,
    },
    DeadlockDetected(Arc<Deadlock>),
    /// The wait ended so that the others of the deadlock can go on.
    VictimSelected {
        lock: LockFacts,
        deadlock: Arc<Deadlock>,
    },
}

/// A listener. It is called in the middle of the work, so that what is told of one resource comes in the order in which it
/// happened: it returns soon and calls nothing of [`Locks`](super::Locks).
pub trait LockEvents: Send + Sync + 'static {
    fn event(&self, event: LockEvent);
}
