//! One lock on a table in the place of many on its rows.

use std::sync::atomic::Ordering;

use super::acquire::{Acquired, Wait};
use super::events::LockEvent;
use super::owner::Owner;
use super::shard::facts;
use super::{LockId, LockMode, Locks, Resource};

impl Locks {
    /// Tries to get this mode on the table without a wait and, with it, releases the owner's locks on rows of the table.
    /// Otherwise they stay, until there are as many more.
    pub(super) fn escalate(&self, owner: &Owner, table: u64, mode: LockMode) -> Option<LockId> {
        let key = self.0.keys.key(Resource::Table(table));
        let granted = self.acquire_one(owner, key.clone(), mode, Wait::No);
        let Ok(Acquired::Granted { lock_id, .. }) = granted else {
            owner.state.locks.lock().not_escalated(table);
            return None;
        };
        let (rows, held) = owner.state.locks.lock().remove_rows(table);
        self.0.escalations.fetch_add(1, Ordering::Relaxed);
        self.tell(|| LockEvent::Escalated {
            lock: facts((lock_id, held.unwrap_or(mode)), &owner.state, &key),
            rows: rows.len() as u64,
        });
        for (row, held) in rows {
            self.free(&owner.state, row, held, LockEvent::Subsumed);
        }
        Some(lock_id)
    }
}
