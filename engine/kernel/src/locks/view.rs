//! What is held and waited for, to be looked at.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::graph::WaitGraph;
use super::head::Head;
use super::owner::OwnerId;
use super::resource::Key;
use super::shard::Shard;
use super::{CancelReason, LockId, LockMode, Locks, Resource};

/// A lock, or a request for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Also of a request that waits for a stronger mode of a lock: the id is the same.
    pub lock_id: LockId,
    pub owner: OwnerId,
    pub resource: Resource,
    pub mode: LockMode,
    pub state: LockState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// Since when, in microseconds since the Unix epoch. A stronger mode leaves it as it is.
    Granted { acquired_us: i64 },
    /// Since when, in microseconds since the Unix epoch, and how many are ahead in the queue.
    Waiting { since_us: i64, ahead: usize },
}

impl LockInfo {
    pub fn granted(&self) -> bool {
        matches!(self.state, LockState::Granted { .. })
    }
}

/// A lock, or a request that is ahead, that keeps another request waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocker {
    pub owner: OwnerId,
    pub lock_id: LockId,
    pub mode: LockMode,
    /// False when it is a request.
    pub granted: bool,
}

/// Who waits for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWaiter {
    pub lock_id: LockId,
    pub owner: OwnerId,
    pub resource: Resource,
    /// What it has of the resource.
    pub held: Option<LockMode>,
    pub mode: LockMode,
    /// Microseconds since the Unix epoch.
    pub since_us: i64,
    pub wait_us: u64,
    pub blockers: Vec<Blocker>,
}

/// The wait-for graph at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockGraph {
    /// All who wait or are waited for.
    pub nodes: Vec<LockGraphNode>,
    pub edges: Vec<LockGraphEdge>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockGraphNode {
    pub owner: OwnerId,
    pub began_order: u64,
    pub waits: bool,
    /// Which set of deadlocks it is part of: two owners with the same number are on a cycle together.
    pub cycle: Option<usize>,
}

/// That `waiter` waits for the owner of `blocker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockGraphEdge {
    pub waiter: OwnerId,
    pub lock_id: LockId,
    pub resource: Resource,
    pub mode: LockMode,
    pub blocker: Blocker,
    pub in_cycle: bool,
}

/// Numbers since the start, but `held` and `waiting`, which are of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockCounts {
    /// Locks that were granted, at once or after a wait.
    pub acquired: u64,
    /// Locks that got a stronger mode.
    pub upgrades: u64,
    /// Requests that were queued.
    pub waits: u64,
    /// Microseconds that the waits took which have ended.
    pub wait_us: u64,
    /// Waits that were given up because they took too long.
    pub timeouts: u64,
    /// Waits that were given up for another reason.
    pub cancelled: u64,
    pub deadlocks: u64,
    pub escalations: u64,
    pub held: u64,
    pub waiting: u64,
}

impl LockCounts {
    pub(super) fn cancelled(&mut self, reason: CancelReason) {
        match reason {
            CancelReason::TimedOut => self.timeouts += 1,
            CancelReason::GivenUp | CancelReason::Released => self.cancelled += 1,
        }
    }

    fn add(&mut self, shard: &Shard) {
        let LockCounts {
            acquired,
            upgrades,
            waits,
            wait_us,
            timeouts,
            cancelled,
            deadlocks: _,
            escalations: _,
            held,
            waiting: _,
        } = shard.counts;
        self.acquired += acquired;
        self.upgrades += upgrades;
        self.waits += waits;
        self.wait_us += wait_us;
        self.timeouts += timeouts;
        self.cancelled += cancelled;
        self.held += held;
        self.waiting += shard.waiting.len() as u64;
    }
}

impl Locks {
    /// All locks and all requests that wait, by id; a lock before the request for a stronger mode of it. Shards are read one
    /// after the other: what is of different resources may be of different moments.
    pub fn list(&self) -> Vec<LockInfo> {
        let mut all = Vec::new();
        for shard in &self.0.shards {
            let shard = shard.lock();
            for (key, head) in &shard.heads {
                all.extend(granted(key, head).chain(queued(key, head)));
            }
        }
        all.sort_by_key(|lock| (lock.lock_id, !lock.granted()));
        all
    }

    /// The lock of this id, or the request. Takes time for all locks.
    pub fn find(&self, lock_id: LockId) -> Option<LockInfo> {
        self.0.shards.iter().find_map(|shard| {
            let shard = shard.lock();
            shard.heads.iter().find_map(|(key, head)| {
                granted(key, head)
                    .chain(queued(key, head))
                    .find(|lock| lock.lock_id == lock_id)
            })
        })
    }

    /// Who holds the resource.
    pub fn holders(&self, resource: &Resource) -> Vec<LockInfo> {
        let key = self.0.keys.key(resource.clone());
        let shard = self.shard(&key);
        let head = shard.heads.get(&key);
        let mut holders: Vec<LockInfo> = head.into_iter().flat_map(|head| granted(&key, head)).collect();
        holders.sort_by_key(|lock| lock.lock_id);
        holders
    }

    /// All who wait, by the id of what they wait for; read like [`Locks::list`].
    pub fn waiters(&self) -> Vec<LockWaiter> {
        let now_us = self.0.clock.now_mono_us();
        let mut all = Vec::new();
        for shard in &self.0.shards {
            let shard = shard.lock();
            for request in shard.waiting.values() {
                let Some(head) = shard.heads.get(&request.key) else {
                    continue;
                };
                all.push(LockWaiter {
                    lock_id: request.lock_id,
                    owner: request.owner.id,
                    resource: request.key.resource.clone(),
                    held: head.held_by(&request.owner).map(|(_, mode)| mode),
                    mode: request.mode,
                    since_us: request.since_us,
                    wait_us: now_us.saturating_sub(request.since_mono_us),
                    blockers: head.blockers_of(request).map(|blocker| blocker.told()).collect(),
                });
            }
        }
        all.sort_by_key(|waiter| waiter.lock_id);
        all
    }

    /// The wait-for graph, of one moment. Stops all other work on locks meanwhile, and changes nothing.
    pub fn graph(&self) -> LockGraph {
        let world = self.world();
        let graph = WaitGraph::reachable_from(&world, world.waiting());
        let on_cycles = graph.on_cycles();
        let cycles: BTreeMap<OwnerId, Option<usize>> = graph
            .nodes
            .iter()
            .zip(on_cycles)
            .map(|(request, cycle)| (request.owner.id, cycle))
            .collect();
        let mut nodes = BTreeMap::new();
        let mut edges = Vec::new();
        for request in &graph.nodes {
            let waiter = request.owner.id;
            let cycle = cycles.get(&waiter).copied().flatten();
            nodes.insert(waiter, (request.owner.began_order, true, cycle));
            for blocker in world
                .head(&request.key)
                .iter()
                .flat_map(|head| head.blockers_of(request))
            {
                let its_cycle = cycles.get(&blocker.owner.id).copied().flatten();
                let began_order = blocker.owner.began_order;
                nodes
                    .entry(blocker.owner.id)
                    .or_insert((began_order, false, its_cycle));
                edges.push(LockGraphEdge {
                    waiter,
                    lock_id: request.lock_id,
                    resource: request.key.resource.clone(),
                    mode: request.mode,
                    blocker: blocker.told(),
                    in_cycle: cycle.is_some() && cycle == its_cycle,
                });
            }
        }
        let nodes = nodes.into_iter();
        LockGraph {
            nodes: nodes
                .map(|(owner, (began_order, waits, cycle))| LockGraphNode {
                    owner,
                    began_order,
                    waits,
                    cycle,
                })
                .collect(),
            edges,
        }
    }

    pub fn counts(&self) -> LockCounts {
        let mut counts = LockCounts {
            deadlocks: self.0.deadlocks.load(Ordering::Relaxed),
            escalations: self.0.escalations.load(Ordering::Relaxed),
            ..LockCounts::default()
        };
        for shard in &self.0.shards {
            counts.add(&shard.lock());
        }
        counts
    }
}

fn granted<'a>(key: &'a Key, head: &'a Head) -> impl Iterator<Item = LockInfo> + 'a {
    head.grants().map(|grant| LockInfo {
        lock_id: grant.lock_id,
        owner: grant.owner.id,
        resource: key.resource.clone(),
        mode: grant.mode,
        state: LockState::Granted {
            acquired_us: grant.acquired_us,
        },
    })
}

fn queued<'a>(key: &'a Key, head: &'a Head) -> impl Iterator<Item = LockInfo> + 'a {
    head.waiting().enumerate().map(|(ahead, request)| LockInfo {
        lock_id: request.lock_id,
        owner: request.owner.id,
        resource: key.resource.clone(),
        mode: request.mode,
        state: LockState::Waiting {
            since_us: request.since_us,
            ahead,
        },
    })
}
