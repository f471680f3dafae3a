//! Asking for locks.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use super::error::{LockBound, LockError};
use super::events::LockEvent;
use super::head::{Grant, Head};
use super::owner::{OnTable, Owner, OwnerLocks};
use super::resource::Key;
use super::shard::{facts, facts_of};
use super::ticket::{Request, WaitTicket};
use super::view::LockCounts;
use super::{Blocker, LockId, LockMode, Locks, Resource};
use crate::sync::{Arc, MutexGuard};

/// What to do when a lock can't be had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Refuse it.
    No,
    /// Refuse it; the caller goes on to the next row.
    SkipLocked,
    /// Queue the request.
    Yes,
}

/// What became of a request.
#[derive(Debug)]
pub enum Acquired {
    /// The owner holds the lock, or one that makes it needless.
    Granted {
        lock_id: LockId,
        /// False when the owner held that lock before, perhaps in a weaker mode.
        new: bool,
    },
    /// It can't be had at once; nothing was changed.
    Refused {
        /// Holders of conflicting locks, then those in the queue whom it may not overtake.
        blockers: Vec<Blocker>,
    },
    Queued(WaitTicket),
}

impl Locks {
    /// Asks for a lock. Whoever holds the resource gets a mode that covers both, under the same id.
    ///
    /// A row that the owner's lock on the table covers is not locked: the answer names the lock on the table. A row that
    /// is locked needs an intention on its table, which is the caller's to take; [`Locks::acquire_row`] takes both.
    pub fn acquire(
        &self,
        owner: &Owner,
        resource: Resource,
        mode: LockMode,
        wait: Wait,
    ) -> Result<Acquired, LockError> {
        if let Resource::Row { table, .. } = resource
            && let OnTable::Covers(lock_id) = self.on_table(owner, table, mode)?
        {
            return Ok(Acquired::Granted { lock_id, new: false });
        }
        self.acquire_one(owner, self.0.keys.key(resource), mode, wait)
    }

    /// Asks for a row and, before that, for the intention on its table. The answer is of the first of them that the owner
    /// can't have at once: after a wait, call again.
    pub fn acquire_row(
        &self,
        owner: &Owner,
        (table, space, key): (u64, u64, &[u8]),
        mode: LockMode,
        wait: Wait,
    ) -> Result<Acquired, LockError> {
        let intention = mode.intention();
        match self.on_table(owner, table, mode)? {
            OnTable::Covers(lock_id) => return Ok(Acquired::Granted { lock_id, new: false }),
            OnTable::Holds(held) if held.covers(intention) => {}
            OnTable::Holds(_) | OnTable::Nothing => {
                let of_table = self.acquire(owner, Resource::Table(table), intention, wait)?;
                if !matches!(of_table, Acquired::Granted { .. }) {
                    return Ok(of_table);
                }
            }
        }
        let row = self.0.keys.key(Resource::row(table, space, key));
        self.acquire_one(owner, row, mode, wait)
    }

    /// What the owner has on the table of a row that it wants, after its row locks there have become one, if they are many.
    fn on_table(&self, owner: &Owner, table: u64, row_mode: LockMode) -> Result<OnTable, LockError> {
        let escalate_after = self.0.settings.escalate_after();
        let (on_table, escalation) = {
            let locks = owner.state.locks.lock();
            locks.may_ask()?;
            locks.on_table(table, row_mode, escalate_after)
        };
        let escalated = escalation.and_then(|mode| self.escalate(owner, table, mode));
        Ok(escalated.map_or(on_table, OnTable::Covers))
    }

    pub(super) fn acquire_one(
        &self,
        owner: &Owner,
        key: Key,
        mode: LockMode,
        wait: Wait,
    ) -> Result<Acquired, LockError> {
        let mut shard = self.shard(&key);
        let shard = &mut *shard;
        let mut locks = owner.state.locks.lock();
        locks.may_ask()?;
        let mut entry = match shard.heads.entry(key.clone()) {
            Entry::Vacant(entry) => {
                let lock_id = self.new_lock(&locks)?;
                let head = entry.insert(Head::default());
                self.grant_new(owner, head, &mut shard.counts, locks, key, (lock_id, mode));
                return Ok(Acquired::Granted { lock_id, new: true });
            }
            Entry::Occupied(entry) => entry,
        };
        let head = entry.get_mut();
        let held = head.held_by(&owner.state);
        let held_mode = held.map(|(_, mode)| mode);
        let wanted = held_mode.map_or(mode, |held| held.join(mode));
        if let Some((lock_id, held_mode)) = held
            && held_mode == wanted
        {
            return Ok(Acquired::Granted { lock_id, new: false });
        }
        let place = head.place(held_mode);
        let grantable = head.grantable(wanted, held_mode, place);
        if !grantable && (wait != Wait::Yes || !locks.killable) {
            let blockers = head.blockers(&owner.state, wanted, place);
            return Ok(Acquired::Refused {
                blockers: blockers.map(|blocker| blocker.told()).collect(),
            });
        }
        let lock_id = match held {
            Some((lock_id, _)) => lock_id,
            None => self.new_lock(&locks)?,
        };
        if grantable {
            let counts = &mut shard.counts;
            match held_mode {
                Some(from) => self.convert_held(owner, head, counts, locks, key, (lock_id, from, wanted)),
                None => self.grant_new(owner, head, counts, locks, key, (lock_id, wanted)),
            }
            return Ok(Acquired::Granted {
                lock_id,
                new: held.is_none(),
            });
        }
        let request = Arc::new(Request::new(
            (lock_id, held.is_some()),
            owner.state.clone(),
            key,
            wanted,
            (self.0.clock.now_us(), self.0.clock.now_mono_us()),
        ));
        locks.waiting = Some(request.clone());
        head.enqueue(place, request.clone());
        shard.waiting.insert(lock_id, request.clone());
        shard.counts.waits += 1;
        self.tell(|| LockEvent::WaitStart {
            lock: facts_of(&request, 0),
            blockers: head.blockers_of(&request).map(|blocker| blocker.told()).collect(),
        });
        Ok(Acquired::Queued(WaitTicket {
            locks: self.clone(),
            request,
        }))
    }

    fn grant_new(
        &self,
        owner: &Owner,
        head: &mut Head,
        counts: &mut LockCounts,
        mut locks: MutexGuard<'_, OwnerLocks>,
        key: Key,
        (lock_id, mode): (LockId, LockMode),
    ) {
        head.grant(Grant {
            lock_id,
            owner: owner.state.clone(),
            mode,
            acquired_us: self.0.clock.now_us(),
        });
        counts.acquired += 1;
        counts.held += 1;
        self.tell(|| LockEvent::Acquired(facts((lock_id, mode), &owner.state, &key)));
        locks.insert(lock_id, key, mode);
    }

    fn convert_held(
        &self,
        owner: &Owner,
        head: &mut Head,
        counts: &mut LockCounts,
        mut locks: MutexGuard<'_, OwnerLocks>,
        key: Key,
        (lock_id, from, mode): (LockId, LockMode, LockMode),
    ) {
        head.convert(lock_id, mode);
        locks.convert(lock_id, mode);
        counts.upgrades += 1;
        self.tell(|| LockEvent::Upgraded {
            lock: facts((lock_id, mode), &owner.state, &key),
            from,
        });
    }

    /// Counts one more lock, unless that would be too many, and gives its id.
    fn new_lock(&self, locks: &OwnerLocks) -> Result<LockId, LockError> {
        let too_many = |of, held| Err(LockError::TooManyLocks { of, held });
        if locks.len() >= self.0.settings.locks_per_owner_max() {
            return too_many(LockBound::Owner, locks.len());
        }
        let held = self.0.locks.fetch_add(1, Ordering::Relaxed);
        if held >= self.0.settings.locks_max() {
            self.forget(1);
            return too_many(LockBound::All, held);
        }
        Ok(LockId(self.0.next_lock.fetch_add(1, Ordering::Relaxed)))
    }
}
