//! Tests of the locks: each rule by an example, all of them at random against a model, and threads.

#[cfg(not(shuttle))]
mod deadlocks;
#[cfg(not(shuttle))]
mod events;
#[cfg(not(shuttle))]
mod model;
#[cfg(not(shuttle))]
mod modes;
#[cfg(not(shuttle))]
mod queues;
#[cfg(not(shuttle))]
mod random;
#[cfg(not(shuttle))]
mod rows;
#[cfg(shuttle)]
mod schedules;
#[cfg(not(shuttle))]
mod threads;

use std::sync::Arc;

use rustydb_runtime::ManualClock;

use super::*;

/// Locks with a clock that stands still.
struct Fixture {
    locks: Locks,
    #[cfg_attr(shuttle, allow(dead_code, reason = "schedules have no time"))]
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Fixture {
        let clock = Arc::new(ManualClock::new(1_000_000));
        Fixture {
            locks: Locks::new(clock.clone()),
            clock,
        }
    }

    /// An owner that began at its number.
    fn owner(&self, id: u64) -> Owner {
        self.locks.register(OwnerInfo { id, began_order: id })
    }

    fn ask(&self, owner: &Owner, resource: &Resource, mode: LockMode) -> Acquired {
        let acquired = self.locks.acquire(owner, resource.clone(), mode, Wait::Yes);
        acquired.expect("no bound is near and the owner doesn't wait")
    }

    fn granted(&self, owner: &Owner, resource: &Resource, mode: LockMode) -> LockId {
        match self.ask(owner, resource, mode) {
            Acquired::Granted { lock_id, .. } => lock_id,
            other => panic!("{owner:?} gets no {mode} on {resource}: {other:?}"),
        }
    }

    fn queued(&self, owner: &Owner, resource: &Resource, mode: LockMode) -> WaitTicket {
        match self.ask(owner, resource, mode) {
            Acquired::Queued(ticket) => ticket,
            other => panic!("{owner:?} need not wait for {mode} on {resource}: {other:?}"),
        }
    }
}

fn row(number: u8) -> Resource {
    Resource::row(1, 1, &[number])
}

#[cfg(not(shuttle))]
fn is_granted(ticket: &WaitTicket) -> bool {
    match ticket.end() {
        None => false,
        Some(WaitEnd::Granted { .. }) => true,
        Some(other) => panic!("{ticket:?} ended as {other:?}"),
    }
}

/// Nothing is left of anybody's locks.
fn assert_empty(locks: &Locks) {
    assert_eq!(locks.list(), []);
    let counts = locks.counts();
    assert_eq!((counts.held, counts.waiting), (0, 0));
    assert_eq!(locks.0.locks.load(std::sync::atomic::Ordering::Relaxed), 0);
    for shard in &locks.0.shards {
        let shard = shard.lock();
        assert!(shard.heads.is_empty() && shard.waiting.is_empty());
    }
}
