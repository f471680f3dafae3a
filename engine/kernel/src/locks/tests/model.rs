//! What the locks should do, said plainly: lists that are searched from the beginning, and no shards, ids of modes or
//! bounds that are kept up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::modes::{COMPATIBLE, JOINS, cell};
use super::*;

/// For each pair of modes, whether they go together and what they make together.
static TABLES: LazyLock<BTreeMap<(LockMode, LockMode), (bool, LockMode)>> = LazyLock::new(|| {
    let all = LockMode::ALL;
    let named = |name: String| {
        all.into_iter()
            .find(|mode| mode.to_string() == name)
            .expect("a mode")
    };
    let pairs = all.into_iter().flat_map(|one| all.map(|two| (one, two)));
    pairs
        .map(|(one, two)| {
            let compatible = cell(COMPATIBLE, one, two) == "yes";
            ((one, two), (compatible, named(cell(JOINS, one, two))))
        })
        .collect()
});

pub fn compatible(one: LockMode, two: LockMode) -> bool {
    TABLES[&(one, two)].0
}

fn join(one: LockMode, two: LockMode) -> LockMode {
    TABLES[&(one, two)].1
}

fn writes(mode: LockMode) -> bool {
    matches!(mode, LockMode::IX | LockMode::SIX | LockMode::X)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    pub id: LockId,
    pub owner: u64,
    pub mode: LockMode,
}

#[derive(Debug, Clone, Default)]
pub struct Queue {
    pub granted: Vec<Lock>,
    pub waiting: Vec<Lock>,
}

impl Queue {
    fn held(&self, owner: u64) -> Option<Lock> {
        self.granted.iter().copied().find(|lock| lock.owner == owner)
    }

    /// Whom a request at this place waits for.
    fn blockers(&self, owner: u64, mode: LockMode, place: usize) -> Vec<(Lock, bool)> {
        let holders = self.granted.iter().map(|lock| (*lock, true));
        let ahead = self.waiting[..place].iter().map(|lock| (*lock, false));
        holders
            .chain(ahead)
            .filter(|(lock, _)| lock.owner != owner && !compatible(lock.mode, mode))
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Granted,
    Deadlock,
    Cancelled,
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A lock that was held before.
    Held(LockId),
    New,
    Queued,
    /// By these locks and requests.
    Refused(Vec<(LockId, bool)>),
    Failed(LockError),
}

#[derive(Debug, Default)]
pub struct Model {
    pub resources: BTreeMap<Resource, Queue>,
    pub killable: BTreeMap<u64, bool>,
    /// By owner and table, the number of its rows at which escalation was last tried.
    pub tried: BTreeMap<(u64, u64), u64>,
    /// How waits ended since that was last asked.
    pub ended: Vec<(u64, End)>,
    pub escalate_after: u64,
    pub locks_per_owner_max: u64,
    pub locks_max: u64,
    pub escalations: u64,
}

impl Model {
    pub fn waits(&self, owner: u64) -> Option<(Resource, Lock)> {
        self.resources.iter().find_map(|(resource, queue)| {
            let lock = queue.waiting.iter().find(|lock| lock.owner == owner)?;
            Some((resource.clone(), *lock))
        })
    }

    pub fn held(&self, owner: u64) -> Vec<(Resource, Lock)> {
        let all = self.resources.iter();
        let mut held: Vec<(Resource, Lock)> = all
            .filter_map(|(resource, queue)| Some((resource.clone(), queue.held(owner)?)))
            .collect();
        held.sort_by_key(|(_, lock)| lock.id);
        held
    }

    fn rows(&self, owner: u64, table: u64) -> Vec<(Resource, Lock)> {
        let mut rows = self.held(owner);
        rows.retain(|(resource, _)| matches!(resource, Resource::Row { table: its, .. } if *its == table));
        rows
    }

    fn total(&self) -> u64 {
        let of_queue = |queue: &Queue| {
            let new = queue
                .waiting
                .iter()
                .filter(|lock| queue.held(lock.owner).is_none());
            queue.granted.len() + new.count()
        };
        self.resources.values().map(of_queue).sum::<usize>() as u64
    }

    /// A request of `acquire`. `new_id` is what a new lock is to be called.
    pub fn acquire(
        &mut self,
        owner: u64,
        resource: &Resource,
        mode: LockMode,
        wait: bool,
        new_id: LockId,
    ) -> Answer {
        if let Some((_, lock)) = self.waits(owner) {
            return Answer::Failed(LockError::Waiting(lock.id));
        }
        if let Resource::Row { table, .. } = resource
            && let Some(covered) = self.covered(owner, *table, mode, new_id)
        {
            return Answer::Held(covered);
        }
        self.acquire_one(owner, resource, mode, wait, new_id)
    }

    /// `acquire_row`; the row's lock is called one more when the table's is new.
    pub fn acquire_row(
        &mut self,
        owner: u64,
        row: &Resource,
        mode: LockMode,
        wait: bool,
        new_id: LockId,
    ) -> Answer {
        let Resource::Row { table, .. } = row else {
            panic!("{row} is no row");
        };
        if let Some((_, lock)) = self.waits(owner) {
            return Answer::Failed(LockError::Waiting(lock.id));
        }
        if let Some(covered) = self.covered(owner, *table, mode, new_id) {
            return Answer::Held(covered);
        }
        let intention = if writes(mode) { LockMode::IX } else { LockMode::IS };
        match self.acquire_one(owner, &Resource::Table(*table), intention, wait, new_id) {
            Answer::Held(_) => self.acquire_one(owner, row, mode, wait, new_id),
            Answer::New => self.acquire_one(owner, row, mode, wait, LockId(new_id.0 + 1)),
            other => other,
        }
    }

    fn covered(&mut self, owner: u64, table: u64, mode: LockMode, new_id: LockId) -> Option<LockId> {
        let resource = Resource::Table(table);
        let held = self.resources.get(&resource).and_then(|queue| queue.held(owner));
        if let Some(held) = held {
            let enough = match held.mode {
                LockMode::X => true,
                LockMode::S | LockMode::SIX => !writes(mode),
                LockMode::IS | LockMode::IX => false,
            };
            if enough {
                return Some(held.id);
            }
        }
        let rows = self.rows(owner, table);
        let tried = self.tried.get(&(owner, table)).copied().unwrap_or(0);
        if self.escalate_after == 0 || (rows.len() as u64) < tried + self.escalate_after {
            return None;
        }
        let written = rows.iter().any(|(_, lock)| writes(lock.mode)) || writes(mode);
        let table_mode = if written { LockMode::X } else { LockMode::S };
        let id = match self.acquire_one(owner, &resource, table_mode, false, new_id) {
            Answer::Held(id) => id,
            Answer::New => new_id,
            _ => {
                self.tried.insert((owner, table), rows.len() as u64);
                return None;
            }
        };
        self.escalations += 1;
        for (_, row) in rows {
            self.release(owner, row.id).expect("it is held");
        }
        Some(id)
    }

    fn acquire_one(
        &mut self,
        owner: u64,
        resource: &Resource,
        mode: LockMode,
        wait: bool,
        new_id: LockId,
    ) -> Answer {
        let queue = self.resources.entry(resource.clone()).or_default();
        let held = queue.held(owner);
        let wanted = held.map_or(mode, |held| join(held.mode, mode));
        if let Some(held) = held
            && held.mode == wanted
        {
            return Answer::Held(held.id);
        }
        let mut place = queue.waiting.len();
        if let Some(held) = held {
            for (index, lock) in queue.waiting.iter().enumerate().rev() {
                if !compatible(lock.mode, held.mode) {
                    place = index;
                }
            }
        }
        let blockers = queue.blockers(owner, wanted, place);
        let killable = self.killable.get(&owner).copied().unwrap_or(true);
        let may_wait = wait && killable;
        if !blockers.is_empty() && !may_wait {
            return Answer::Refused(
                blockers
                    .iter()
                    .map(|(lock, granted)| (lock.id, *granted))
                    .collect(),
            );
        }
        if held.is_none() {
            let of_owner = self.held(owner).len() as u64;
            let too_many = |of, held| Answer::Failed(LockError::TooManyLocks { of, held });
            if of_owner >= self.locks_per_owner_max {
                return too_many(LockBound::Owner, of_owner);
            }
            if self.total() >= self.locks_max {
                return too_many(LockBound::All, self.total());
            }
        }
        let id = held.map_or(new_id, |held| held.id);
        let lock = Lock {
            id,
            owner,
            mode: wanted,
        };
        let queue = self.resources.entry(resource.clone()).or_default();
        if !blockers.is_empty() {
            queue.waiting.insert(place, lock);
            return Answer::Queued;
        }
        match queue.granted.iter_mut().find(|lock| lock.owner == owner) {
            Some(held) => {
                *held = lock;
                Answer::Held(id)
            }
            None => {
                queue.granted.push(lock);
                Answer::New
            }
        }
    }

    pub fn release(&mut self, owner: u64, id: LockId) -> Result<(), LockError> {
        let found = self.held(owner).into_iter().find(|(_, lock)| lock.id == id);
        let (resource, _) = found.ok_or(LockError::NotHeld(id))?;
        let queue = self.resources.get_mut(&resource).expect("it is locked");
        queue.granted.retain(|lock| lock.id != id);
        let converted = queue.waiting.iter().any(|lock| lock.id == id);
        queue.waiting.retain(|lock| lock.id != id);
        if converted {
            self.ended.push((owner, End::Cancelled));
        }
        self.grant(&resource);
        self.forget_tries();
        Ok(())
    }

    pub fn release_all(&mut self, owner: u64) {
        self.end_wait(owner, End::Cancelled);
        for (_, lock) in self.held(owner) {
            self.release(owner, lock.id).expect("it is held");
        }
    }

    /// Ends the owner's wait, if it has one.
    pub fn end_wait(&mut self, owner: u64, end: End) {
        if let Some((resource, lock)) = self.waits(owner) {
            let queue = self.resources.get_mut(&resource).expect("somebody waits");
            queue.waiting.retain(|other| other.id != lock.id);
            self.ended.push((owner, end));
            self.grant(&resource);
        }
    }

    fn forget_tries(&mut self) {
        let tried = std::mem::take(&mut self.tried);
        for ((owner, table), rows) in tried {
            let rows = rows.min(self.rows(owner, table).len() as u64);
            self.tried.insert((owner, table), rows);
        }
    }

    /// Grants the first who has to wait for nobody, again and again.
    fn grant(&mut self, resource: &Resource) {
        let queue = self.resources.get_mut(resource).expect("it was locked");
        while let Some(place) = (0..queue.waiting.len()).find(|place| {
            let lock = queue.waiting[*place];
            queue.blockers(lock.owner, lock.mode, *place).is_empty()
        }) {
            let lock = queue.waiting.remove(place);
            queue.granted.retain(|held| held.owner != lock.owner);
            queue.granted.push(lock);
            self.ended.push((lock.owner, End::Granted));
        }
    }

    /// Who waits for whom, by which lock or request, which is one or the other.
    pub fn edges(&self) -> BTreeSet<(u64, u64, LockId, bool)> {
        let mut edges = BTreeSet::new();
        for queue in self.resources.values() {
            for (place, lock) in queue.waiting.iter().enumerate() {
                for (blocker, granted) in queue.blockers(lock.owner, lock.mode, place) {
                    edges.insert((lock.owner, blocker.owner, blocker.id, granted));
                }
            }
        }
        edges
    }

    /// Who waits for whom, over others too (Warshall).
    pub fn reaches(&self) -> BTreeSet<(u64, u64)> {
        let mut reaches: BTreeSet<(u64, u64)> = self
            .edges()
            .into_iter()
            .map(|(from, to, _, _)| (from, to))
            .collect();
        let owners: BTreeSet<u64> = reaches.iter().flat_map(|(from, to)| [*from, *to]).collect();
        for over in &owners {
            for from in &owners {
                for to in &owners {
                    if reaches.contains(&(*from, *over)) && reaches.contains(&(*over, *to)) {
                        reaches.insert((*from, *to));
                    }
                }
            }
        }
        reaches
    }
}
