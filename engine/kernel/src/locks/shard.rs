//! The table of all locks, in shards by the hash of what is locked.

use std::collections::{BTreeMap, HashMap};

use crossbeam::utils::CachePadded;

use super::events::{LockEvent, LockFacts};
use super::head::{Grant, Head, Search};
use super::resource::{BroughtHash, Key};
use super::ticket::{Request, WaitEnd};
use super::view::LockCounts;
use super::{LockId, LockMode, Locks};
use crate::sync::{Arc, Mutex, MutexGuard};

/// Few when schedules are explored: each is one more thing to try.
pub(super) const SHARDS: usize = if cfg!(shuttle) { 2 } else { 64 };

/// Heads for which an empty shard keeps room.
const HEADS_KEPT: usize = 256;

pub(super) type Shards = Box<[CachePadded<Mutex<Shard>>]>;

#[derive(Default)]
pub(super) struct Shard {
    pub heads: HashMap<Key, Head, BroughtHash>,
    /// All the requests in queues of these heads.
    pub waiting: BTreeMap<LockId, Arc<Request>>,
    /// What the shard has seen; the numbers of deadlocks and of escalations are not in it.
    pub counts: LockCounts,
}

impl Shard {
    /// Gives room back, after many locks were released.
    pub fn shrink(&mut self) {
        if self.heads.is_empty() && self.heads.capacity() > 2 * HEADS_KEPT {
            self.heads.shrink_to(HEADS_KEPT);
        }
    }
}

/// Requests whose end is to be told as soon as no latch is held.
#[derive(Default)]
#[must_use = "who waits has to be woken"]
pub(super) struct Wakes(Vec<Arc<Request>>);

impl Wakes {
    pub fn wake(self) {
        for request in self.0 {
            request.wake();
        }
    }
}

impl Locks {
    pub(super) fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        self.0.shards[index(key)].lock()
    }

    /// All shards at once: nothing is granted, queued or released meanwhile.
    pub(super) fn world(&self) -> World<'_> {
        World(self.0.shards.iter().map(|shard| shard.lock()).collect())
    }

    /// Grants all that need not wait any more, after something of the head was taken away.
    pub(super) fn grant_waiting(&self, shard: &mut Shard, key: &Key, wakes: &mut Wakes) {
        let mut search = Search::default();
        loop {
            let head = shard.heads.get_mut(key);
            let Some(request) = head.and_then(|head| head.next_grantable(&mut search)) else {
                return;
            };
            self.grant_one(shard, &request);
            wakes.0.push(request);
        }
    }

    /// The request has left the queue, and its owner gets what it asked for.
    fn grant_one(&self, shard: &mut Shard, request: &Arc<Request>) {
        let wait_us = self.left_queue(shard, request);
        let facts = || facts_of(request, wait_us);
        self.tell(|| LockEvent::WaitEnd(facts()));
        let head = shard.heads.entry(request.key.clone()).or_default();
        if request.converts {
            let from = head.convert(request.lock_id, request.mode);
            request.owner.locks.lock().convert(request.lock_id, request.mode);
            shard.counts.upgrades += 1;
            let from = from.unwrap_or(request.mode);
            self.tell(|| LockEvent::Upgraded { lock: facts(), from });
        } else {
            head.grant(Grant {
                lock_id: request.lock_id,
                owner: request.owner.clone(),
                mode: request.mode,
                acquired_us: self.0.clock.now_us(),
            });
            let mut locks = request.owner.locks.lock();
            locks.insert(request.lock_id, request.key.clone(), request.mode);
            drop(locks);
            shard.counts.acquired += 1;
            shard.counts.held += 1;
            self.tell(|| LockEvent::Acquired(facts()));
        }
        request.set_end(WaitEnd::Granted {
            lock_id: request.lock_id,
            new: !request.converts,
            wait_us,
        });
    }

    /// Ends a wait without the lock, and grants those who waited for it only. False when it has ended already.
    pub(super) fn end_wait(
        &self,
        shard: &mut Shard,
        request: &Arc<Request>,
        end: WaitEnd,
        wakes: &mut Wakes,
    ) -> bool {
        let head = shard.heads.get_mut(&request.key);
        if !head.is_some_and(|head| head.dequeue(request)) {
            return false;
        }
        let wait_us = self.left_queue(shard, request);
        let lock = || facts_of(request, wait_us);
        if !request.converts {
            self.forget(1);
        }
        match &end {
            WaitEnd::Cancelled(reason) => {
                let reason = *reason;
                shard.counts.cancelled(reason);
                self.tell(|| LockEvent::Cancelled { lock: lock(), reason });
            }
            WaitEnd::Deadlock(deadlock) => {
                let deadlock = deadlock.clone();
                self.tell(|| LockEvent::VictimSelected {
                    lock: lock(),
                    deadlock,
                });
            }
            WaitEnd::Granted { .. } => unreachable!("a grant leaves the queue in another way"),
        }
        request.set_end(end);
        wakes.0.push(request.clone());
        self.grant_waiting(shard, &request.key, wakes);
        true
    }

    /// Takes note that a request is not in its queue any more, and tells for how many microseconds it was. The owner may
    /// ask again from here on: before it can learn of the end.
    fn left_queue(&self, shard: &mut Shard, request: &Arc<Request>) -> u64 {
        shard.waiting.remove(&request.lock_id);
        request.owner.locks.lock().waiting = None;
        let wait_us = self.0.clock.now_mono_us().saturating_sub(request.since_mono_us);
        shard.counts.wait_us += wait_us;
        wait_us
    }
}

fn index(key: &Key) -> usize {
    // The tables in the shards use the ends of the hash.
    (key.hash >> 32) as usize % SHARDS
}

/// What events tell of a request.
pub(super) fn facts_of(request: &Request, wait_us: u64) -> LockFacts {
    LockFacts {
        lock_id: request.lock_id,
        owner: request.owner.id,
        resource: request.key.resource.clone(),
        mode: request.mode,
        wait_us,
    }
}

/// What events tell of a lock that nobody waits for.
pub(super) fn facts(grant: (LockId, LockMode), owner: &super::owner::OwnerState, key: &Key) -> LockFacts {
    LockFacts {
        lock_id: grant.0,
        owner: owner.id,
        resource: key.resource.clone(),
        mode: grant.1,
        wait_us: 0,
    }
}

/// All shards, latched.
pub(super) struct World<'a>(Vec<MutexGuard<'a, Shard>>);

impl World<'_> {
    pub fn shard(&mut self, key: &Key) -> &mut Shard {
        &mut self.0[index(key)]
    }

    pub fn head(&self, key: &Key) -> Option<&Head> {
        self.0[index(key)].heads.get(key)
    }

    /// All who wait, in the order of the ids.
    pub fn waiting(&self) -> Vec<Arc<Request>> {
        let all = self.0.iter().flat_map(|shard| shard.waiting.values());
        let mut waiting: Vec<Arc<Request>> = all.cloned().collect();
        waiting.sort_unstable_by_key(|request| request.lock_id);
        waiting
    }
}
