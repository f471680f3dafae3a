//! The locks of one resource: who holds it and who waits. Plain data; the rules of the queue are here and nowhere else.

use std::collections::VecDeque;

use super::mode::ModeSet;
use super::owner::OwnerState;
use super::ticket::Request;
use super::{Blocker, LockId, LockMode};
use crate::planted::planted;
use crate::sync::Arc;

/// A lock that is held.
pub(super) struct Grant {
    pub lock_id: LockId,
    pub owner: Arc<OwnerState>,
    pub mode: LockMode,
    /// Microseconds since the Unix epoch.
    pub acquired_us: i64,
}

/// Who holds a resource and who waits for it, in the order of the queue.
///
/// Between two calls no waiter could be granted, so that a head without a grant has no waiter either.
#[derive(Default)]
pub(super) struct Head {
    /// Most rows are locked by one; `more` takes no memory then.
    first: Option<Grant>,
    more: Vec<Grant>,
    /// Number of grants of each mode.
    modes: [u32; LockMode::ALL.len()],
    queue: VecDeque<Arc<Request>>,
}

impl Head {
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_empty() && self.queue.is_empty()
    }

    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.first.iter().chain(&self.more)
    }

    /// In the order of the queue.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Request>> {
        self.queue.iter()
    }

    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The lock that the owner holds.
    pub fn held_by(&self, owner: &Arc<OwnerState>) -> Option<(LockId, LockMode)> {
        let grant = self.grants().find(|grant| Arc::ptr_eq(&grant.owner, owner))?;
        Some((grant.lock_id, grant.mode))
    }

    /// Where a request joins the queue: at its end; but a conversion of `held` goes before the first who has to wait for
    /// `held`, and so has to wait for this owner anyway.
    pub fn place(&self, held: Option<LockMode>) -> usize {
        let waits = |held: LockMode| {
            self.queue
                .iter()
                .position(|request| !request.mode.compatible(held))
        };
        held.and_then(waits).unwrap_or(self.queue.len())
    }

    /// Whether the mode goes with what the others hold. `held` is what the owner itself holds.
    fn free(&self, mode: LockMode, held: Option<LockMode>) -> bool {
        let mut others = ModeSet::default();
        for other in LockMode::ALL {
            if self.modes[other as usize] > u32::from(held == Some(other)) {
                others.insert(other);
            }
        }
        !others.meets(mode.conflicts())
    }

    /// Whether a request that would join the queue at `place` need not wait.
    pub fn grantable(&self, mode: LockMode, held: Option<LockMode>, place: usize) -> bool {
        let overtakes = planted!("lock-overtakes");
        self.free(mode, held)
            && (overtakes || self.queue.range(..place).all(|ahead| ahead.mode.compatible(mode)))
    }

    /// Whom a request of this mode at `place` waits for: holders, then those ahead of it.
    pub fn blockers(
        &self,
        owner: &Arc<OwnerState>,
        mode: LockMode,
        place: usize,
    ) -> impl Iterator<Item = BlockedBy<'_>> {
        let holders = self
            .grants()
            .filter(move |grant| !Arc::ptr_eq(&grant.owner, owner) && !grant.mode.compatible(mode));
        let ahead = self
            .queue
            .range(..place)
            .filter(move |request| !request.mode.compatible(mode));
        let holders = holders.map(|grant| BlockedBy {
            owner: &grant.owner,
            lock_id: grant.lock_id,
            mode: grant.mode,
            granted: true,
        });
        holders.chain(ahead.map(|request| BlockedBy {
            owner: &request.owner,
            lock_id: request.lock_id,
            mode: request.mode,
            granted: false,
        }))
    }

    /// Whom a request in the queue waits for.
    pub fn blockers_of<'a>(&'a self, request: &'a Arc<Request>) -> impl Iterator<Item = BlockedBy<'a>> {
        let place = match planted!("lock-edge-missed") {
            true => 0,
            false => self.position(request).unwrap_or(0),
        };
        self.blockers(&request.owner, request.mode, place)
    }

    fn position(&self, request: &Arc<Request>) -> Option<usize> {
        self.queue.iter().position(|other| Arc::ptr_eq(other, request))
    }

    pub fn enqueue(&mut self, place: usize, request: Arc<Request>) {
        self.queue.insert(place, request);
    }

    /// Takes the request out of the queue; false when it is not there.
    pub fn dequeue(&mut self, request: &Arc<Request>) -> bool {
        let position = self.position(request);
        position.and_then(|place| self.queue.remove(place)).is_some()
    }

    pub fn grant(&mut self, grant: Grant) {
        self.modes[grant.mode as usize] += 1;
        if self.first.is_none() {
            self.first = Some(grant);
        } else {
            self.more.push(grant);
        }
    }

    /// Gives a lock that is held another mode, and tells the one it had.
    pub fn convert(&mut self, lock_id: LockId, mode: LockMode) -> Option<LockMode> {
        let grant = self
            .first
            .iter_mut()
            .chain(&mut self.more)
            .find(|grant| grant.lock_id == lock_id)?;
        let from = std::mem::replace(&mut grant.mode, mode);
        self.modes[from as usize] -= 1;
        self.modes[mode as usize] += 1;
        Some(from)
    }

    /// Takes a lock away from who holds it.
    pub fn release(&mut self, lock_id: LockId) -> Option<Grant> {
        let grant = match &self.first {
            Some(first) if first.lock_id == lock_id => self.first.take(),
            _ => {
                let place = self.more.iter().position(|grant| grant.lock_id == lock_id)?;
                Some(self.more.swap_remove(place))
            }
        }?;
        self.modes[grant.mode as usize] -= 1;
        Some(grant)
    }

    /// Takes the next request out of the queue that need not wait any more, searching from `from`, which is moved on to
    /// where the search ended. Whoever granted it calls again, until there is none.
    pub fn next_grantable(&mut self, search: &mut Search) -> Option<Arc<Request>> {
        while let Some(request) = self.queue.get(search.place) {
            let conflicts = request.mode.conflicts();
            let held = match request.converts {
                true => self.held_by(&request.owner).map(|(_, mode)| mode),
                false => None,
            };
            if !search.ahead.meets(conflicts) && self.free(request.mode, held) {
                return self.queue.remove(search.place);
            }
            search.ahead.insert(request.mode);
            if search.ahead.contains(LockMode::X) {
                return None;
            }
            search.place += 1;
        }
        None
    }
}

/// How far a search for requests that need not wait any more has come. What is granted makes nobody ahead of it
/// grantable, so one pass is enough.
#[derive(Debug, Default)]
pub(super) struct Search {
    place: usize,
    ahead: ModeSet,
}

/// Who keeps a request waiting, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockedBy<'a> {
    pub owner: &'a Arc<OwnerState>,
    pub lock_id: LockId,
    pub mode: LockMode,
    pub granted: bool,
}

impl BlockedBy<'_> {
    pub fn told(&self) -> Blocker {
        Blocker {
            owner: self.owner.id,
            lock_id: self.lock_id,
            mode: self.mode,
            granted: self.granted,
        }
    }
}
