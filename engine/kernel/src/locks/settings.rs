//! What may be set while locks are held.

use std::sync::atomic::{AtomicU64, Ordering};

/// Each may be changed at any time, and takes effect with the next request.
#[derive(Debug)]
pub struct LockSettings {
    escalate_after: AtomicU64,
    locks_per_owner_max: AtomicU64,
    locks_max: AtomicU64,
}

impl Default for LockSettings {
    /// A lock takes some 250 bytes besides its key: `locks_max` is about half a gigabyte.
    fn default() -> LockSettings {
        LockSettings {
            escalate_after: AtomicU64::new(5_000),
            locks_per_owner_max: AtomicU64::new(1_000_000),
            locks_max: AtomicU64::new(2_000_000),
        }
    }
}

impl LockSettings {
    /// Row locks of one table that an owner has before they are to become one lock on the table. 0: they never do.
    pub fn escalate_after(&self) -> u64 {
        self.escalate_after.load(Ordering::Relaxed)
    }

    pub fn set_escalate_after(&self, rows: u64) {
        self.escalate_after.store(rows, Ordering::Relaxed);
    }

    /// Locks that one owner holds or waits for at most.
    pub fn locks_per_owner_max(&self) -> u64 {
        self.locks_per_owner_max.load(Ordering::Relaxed)
    }

    /// Takes 1 and more.
    pub fn set_locks_per_owner_max(&self, locks: u64) {
        self.locks_per_owner_max.store(locks.max(1), Ordering::Relaxed);
    }

    /// Locks that all together hold or wait for at most.
    pub fn locks_max(&self) -> u64 {
        self.locks_max.load(Ordering::Relaxed)
    }

    /// Takes 1 and more.
    pub fn set_locks_max(&self, locks: u64) {
        self.locks_max.store(locks.max(1), Ordering::Relaxed);
    }
}
