//! Giving locks back and giving waits up.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use super::error::LockError;
use super::events::{LockEvent, LockFacts};
use super::head::Head;
use super::owner::{Held, Owner, OwnerState};
use super::resource::Key;
use super::shard::{Shard, Wakes, facts};
use super::ticket::{Request, WaitEnd};
use super::{CancelReason, LockId, Locks};
use crate::planted::planted;
use crate::sync::Arc;

impl Locks {
    /// Releases one lock whole, however often it was asked for, and grants those who waited for it only. A stronger mode of
    /// it that the owner waits for is not waited for any more.
    pub fn release(&self, owner: &Owner, lock_id: LockId) -> Result<(), LockError> {
        let held = owner.state.locks.lock().remove(lock_id);
        let held = held.ok_or(LockError::NotHeld(lock_id))?;
        self.free(&owner.state, lock_id, held, LockEvent::Released);
        Ok(())
    }

    /// Releases all locks of the owner in the order of their ids, gives up its wait before, and tells how many locks it
    /// had. Takes time for the locks that it has, however many others have.
    pub fn release_all(&self, owner: &Owner) -> u64 {
        self.cancel_wait(owner, CancelReason::Released);
        let mut held = owner.state.locks.lock().remove_all();
        if planted!("lock-leaked") && held.len() > 1 {
            held.pop_first();
        }
        let released = held.len() as u64;
        for (lock_id, held) in held {
            self.free(&owner.state, lock_id, held, LockEvent::Released);
        }
        released
    }

    /// Gives up the wait of an owner, whoever has the ticket; false when it does not wait.
    pub fn cancel_wait(&self, owner: &Owner, reason: CancelReason) -> bool {
        let waiting = owner.state.locks.lock().waiting.clone();
        waiting.is_some_and(|request| self.cancel(&request, reason) == WaitEnd::Cancelled(reason))
    }

    /// Ends the wait, unless it has ended, and tells how it did.
    pub(super) fn cancel(&self, request: &Arc<Request>, reason: CancelReason) -> WaitEnd {
        let end = WaitEnd::Cancelled(reason);
        let mut wakes = Wakes::default();
        let mut shard = self.shard(&request.key);
        self.end_wait(&mut shard, request, end.clone(), &mut wakes);
        drop(shard);
        wakes.wake();
        // Whoever ended it before said how, in the same shard.
        request.end().unwrap_or(end)
    }

    /// Releases a lock that is not among the owner's any more, which is told as this event.
    pub(super) fn free(
        &self,
        owner: &Arc<OwnerState>,
        lock_id: LockId,
        held: Held,
        told: fn(LockFacts) -> LockEvent,
    ) {
        let mut wakes = Wakes::default();
        let mut shard = self.shard(&held.key);
        let shard_ref = &mut *shard;
        let Entry::Occupied(mut entry) = shard_ref.heads.entry(held.key) else {
            return;
        };
        let Some(grant) = entry.get_mut().release(lock_id) else {
            return;
        };
        self.forget(1);
        shard_ref.counts.held -= 1;
        self.tell(|| told(facts((lock_id, grant.mode), owner, entry.key())));
        if entry.get().has_waiting() {
            let key = entry.key().clone();
            self.after_release(shard_ref, &key, lock_id, &mut wakes);
        } else if entry.get().is_empty() {
            entry.remove();
            shard_ref.shrink();
        }
        drop(shard);
        wakes.wake();
    }

    /// Who waited for a lock that is released goes on, but not who wanted a stronger mode of it.
    fn after_release(&self, shard: &mut Shard, key: &Key, lock_id: LockId, wakes: &mut Wakes) {
        let conversion = shard.waiting.get(&lock_id).cloned();
        if let Some(conversion) = conversion {
            let end = WaitEnd::Cancelled(CancelReason::Released);
            self.end_wait(shard, &conversion, end, wakes);
        }
        if !planted!("lock-wakeup-lost") {
            self.grant_waiting(shard, key, wakes);
        }
        if shard.heads.get(key).is_some_and(Head::is_empty) {
            shard.heads.remove(key);
            shard.shrink();
        }
    }

    /// So many locks are neither held nor waited for any more.
    pub(super) fn forget(&self, locks: u64) {
        self.0.locks.fetch_sub(locks, Ordering::Relaxed);
    }
}
