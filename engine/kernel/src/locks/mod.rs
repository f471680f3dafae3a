//! Locks of transactions: on tables, rows and names.
//!
//! A lock is between transactions and lasts as long as one wants it; a latch is between threads and is held for some
//! instructions. Rows of snapshots are read without locks: these are for writers, for those who read in order to write,
//! for changes of tables, and for whatever clients agree on by names.
//!
//! | to | look at |
//! |---|---|
//! | know which modes go together | [`mode`](LockMode) |
//! | know who may be granted, and who has to queue where | `head` |
//! | ask, release, give up | `acquire`, `release` |
//! | wait as a thread or as a task | [`WaitTicket`] |
//! | find deadlocks | [`Locks::detect`], `graph` |
//! | see what is held and waited for | `view` |
//! | hear of it | [`LockEvents`] |
//!
//! # Granularity
//!
//! Who locks a row locks its table before with the intention to do so, so that who wants the whole table needs to look at
//! one lock and not at those of all rows (Gray et al., see [`LockMode`]). Once a transaction has very many rows of a table,
//! the lock on the table is made stronger and the rows are let go, if that needs no wait: *escalation*.
//!
//! # What is guaranteed
//!
//! A resource has a set of grants and one queue.
//!
//! - **Exclusion.** The modes in which different owners hold a resource are compatible, each with each.
//! - **No overtaking.** A request is granted when it is compatible with what the others hold *and* with all requests ahead
//!   of it, and queued at the end otherwise. So one that passes others in the queue keeps none of them waiting.
//! - **Conversions.** An owner that holds the resource and asks for more gets the join of both modes. Its request is placed
//!   before the first one in the queue that has to wait for what it holds. Behind that one it would wait for who waits for
//!   it; and before it, it overtakes only those who can't go on before its owner has released, whatever it does. (As in
//!   PostgreSQL's `ProcSleep`. To place conversions before *all* new requests would let a stream of them starve one: IX
//!   waits for S while others come with IS, which goes with both, and then ask for S.) Conversions go before one another by
//!   the same rule; two that wait for each other's locks are a deadlock.
//! - **No lost waiter.** Between two calls no request waits that could be granted.
//! - **No starvation.** Provided that each owner releases what it holds some time and deadlocks are looked for, each
//!   request comes to its end. Only holders and requests ahead of it keep it waiting. Holders are added that it goes with,
//!   or that were ahead; ahead of it come only conversions of owners that it waits for anyway, each of which has at most
//!   three of them before it holds X.
//! - **Deadlocks.** An owner waits for one lock at a time, so a deadlock is a cycle in the graph of who waits for whom: for
//!   the holders of what is incompatible, and for who is ahead with an incompatible request. [`Locks::detect`] leaves no
//!   cycle; for each that it finds the youngest member's wait ends, and no wait ends so that is on none. Queues are not
//!   reordered to save a victim: that would be overtaking. An owner that must not be a victim doesn't wait.
//!
//! Nobody looks for deadlocks or for waits that last too long by themselves: the caller calls [`Locks::detect`] in
//! intervals, or [`Locks::detect_from`] when a wait has taken a while; and it cancels a ticket.
//!
//! ```text
//! granted to A: S      queue: B: X                    B waits for A
//! C asks for S         queue: B: X, C: S              goes with A's lock, but may not overtake B
//! A asks for X         granted to A: X                a conversion: nobody else holds it; B waits for A anyway
//! A releases           granted to B: X, queue: C: S
//! B releases           granted to C: S
//! ```
//!
//! # Latches
//!
//! In this order: shards, ascending; one owner; one request's outcome. Most calls take one shard and one owner. Only
//! detection and [`Locks::graph`] take all shards. Wakers are called when none is held; listeners, with a shard's.
//!
//! What an owner has is kept twice: in the head of the resource, which decides, and with the owner, to be released. It comes
//! to the owner while the shard is latched, and leaves it just before. Calls for one owner from several threads are safe; but
//! a lock that is asked for while it is being released may be gone after it was granted.

mod acquire;
mod detect;
mod error;
mod escalate;
mod events;
mod graph;
mod head;
mod mode;
mod owner;
mod release;
mod resource;
mod settings;
mod shard;
#[cfg(test)]
mod tests;
mod ticket;
mod view;

use std::fmt;
use std::sync::atomic::AtomicU64;

use rustydb_runtime::Clock;

pub use acquire::{Acquired, Wait};
pub use detect::{Deadlock, DeadlockMember};
pub use error::{LockBound, LockError};
pub use events::{LockEvent, LockEvents, LockFacts};
pub use mode::LockMode;
pub use owner::{Owner, OwnerId, OwnerInfo};
pub use resource::Resource;
pub use settings::LockSettings;
pub use ticket::{CancelReason, WaitEnd, WaitTicket};
pub use view::{
    Blocker, LockCounts, LockGraph, LockGraphEdge, LockGraphNode, LockInfo, LockState, LockWaiter,
};

use crate::listener::Listener;
use crate::sync::{Arc, Mutex};
use owner::OwnerState;
use resource::Keys;
use shard::{SHARDS, Shard, Shards};

/// A lock or a request for one. Rises with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId(pub u64);

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All locks of a server. A clone is another handle on the same.
#[derive(Clone)]
pub struct Locks(Arc<Inner>);

struct Inner {
    shards: Shards,
    keys: Keys,
    clock: Arc<dyn Clock>,
    settings: LockSettings,
    listener: Listener<dyn LockEvents>,
    next_lock: AtomicU64,
    /// Locks that are held, and requests for new ones.
    locks: AtomicU64,
    deadlocks: AtomicU64,
    escalations: AtomicU64,
}

impl Locks {
    /// No locks yet. The clock is for the times that views and events tell.
    pub fn new(clock: Arc<dyn Clock>) -> Locks {
        Locks(Arc::new(Inner {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default()).into()).collect(),
            keys: Keys::default(),
            clock,
            settings: LockSettings::default(),
            listener: Listener::default(),
            next_lock: AtomicU64::new(1),
            locks: AtomicU64::new(0),
            deadlocks: AtomicU64::new(0),
            escalations: AtomicU64::new(0),
        }))
    }

    pub fn settings(&self) -> &LockSettings {
        &self.0.settings
    }

    /// Makes an owner of locks, which has none yet.
    pub fn register(&self, info: OwnerInfo) -> Owner {
        Owner {
            locks: self.clone(),
            state: Arc::new(OwnerState::new(info)),
        }
    }

    /// Sets who is told of what happens, in the place of who was.
    pub fn listen(&self, listener: Option<Arc<dyn LockEvents>>) {
        self.0.listener.set(listener);
    }

    #[inline]
    fn tell(&self, event: impl FnOnce() -> LockEvent) {
        self.0.listener.tell(|listener| listener.event(event()));
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("counts", &self.counts()).finish()
    }
}
