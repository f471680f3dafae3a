//! Finding deadlocks and ending them.

use std::sync::atomic::Ordering;

use super::events::LockEvent;
use super::graph::WaitGraph;
use super::owner::OwnerId;
use super::shard::{Wakes, World};
use super::ticket::{Request, WaitEnd, WaitTicket};
use super::{Blocker, LockId, LockMode, Locks, Resource};
use crate::sync::Arc;

/// A cycle of owners, each of which waited for the next, and the one whose wait was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlock {
    /// Rises from 1.
    pub id: u64,
    /// Microseconds since the Unix epoch.
    pub detected_at_us: i64,
    /// Each waits for the next, the last for the first.
    pub members: Vec<DeadlockMember>,
    /// The youngest of the members.
    pub victim: OwnerId,
}

/// One owner of a deadlock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlockMember {
    pub owner: OwnerId,
    pub began_order: u64,
    /// What it waited for.
    pub lock_id: LockId,
    pub resource: Resource,
    pub mode: LockMode,
    /// Microseconds since the Unix epoch.
    pub waiting_since_us: i64,
    /// What the next member had of the same resource: a lock, or a place ahead in the queue.
    pub blocked_by: Blocker,
}

impl Locks {
    /// Searches all waits for deadlocks and ends them: of each cycle, the wait of the youngest ends.
    ///
    /// Stops all other work on locks while it searches. Those who waited for a victim's request only are granted.
    pub fn detect(&self) -> Vec<Arc<Deadlock>> {
        let mut found = Vec::new();
        let mut wakes = Wakes::default();
        let mut world = self.world();
        loop {
            let graph = WaitGraph::reachable_from(&world, world.waiting());
            let Some(cycle) = graph.any_cycle() else { break };
            found.push(self.resolve(&mut world, &members(&graph, &cycle), &mut wakes));
        }
        drop(world);
        wakes.wake();
        found
    }

    /// Searches for the deadlocks that this wait is part of, and ends them; for a wait that has taken long.
    pub fn detect_from(&self, ticket: &WaitTicket) -> Vec<Arc<Deadlock>> {
        let mut found = Vec::new();
        let mut wakes = Wakes::default();
        let mut world = self.world();
        while ticket.end().is_none() {
            let graph = WaitGraph::reachable_from(&world, [ticket.request.clone()]);
            let Some(cycle) = graph.cycle_through(0) else {
                break;
            };
            found.push(self.resolve(&mut world, &members(&graph, &cycle), &mut wakes));
        }
        drop(world);
        wakes.wake();
        found
    }

    /// Ends the wait of the youngest of a cycle.
    fn resolve(&self, world: &mut World<'_>, cycle: &[Arc<Request>], wakes: &mut Wakes) -> Arc<Deadlock> {
        let next = cycle.iter().cycle().skip(1);
        let members: Vec<DeadlockMember> = cycle
            .iter()
            .zip(next)
            .map(|(request, next)| member(world, request, next))
            .collect();
        // No owner that may not be killed waits.
        let victim = cycle
            .iter()
            .max_by_key(|request| (request.owner.began_order, request.owner.id))
            .expect("a cycle has members");
        let deadlock = Arc::new(Deadlock {
            id: self.0.deadlocks.fetch_add(1, Ordering::Relaxed) + 1,
            detected_at_us: self.0.clock.now_us(),
            members,
            victim: victim.owner.id,
        });
        self.tell(|| LockEvent::DeadlockDetected(deadlock.clone()));
        let end = WaitEnd::Deadlock(deadlock.clone());
        self.end_wait(world.shard(&victim.key), victim, end, wakes);
        deadlock
    }
}

fn members(graph: &WaitGraph, cycle: &[usize]) -> Vec<Arc<Request>> {
    cycle.iter().map(|node| graph.nodes[*node].clone()).collect()
}

fn member(world: &World<'_>, request: &Arc<Request>, next: &Arc<Request>) -> DeadlockMember {
    let blocked_by = world.head(&request.key).and_then(|head| {
        head.blockers_of(request)
            .find(|blocker| Arc::ptr_eq(blocker.owner, &next.owner))
            .map(|blocker| blocker.told())
    });
    DeadlockMember {
        owner: request.owner.id,
        began_order: request.owner.began_order,
        lock_id: request.lock_id,
        resource: request.key.resource.clone(),
        mode: request.mode,
        waiting_since_us: request.since_us,
        blocked_by: blocked_by.expect("the edges of the graph are the blockers"),
    }
}
