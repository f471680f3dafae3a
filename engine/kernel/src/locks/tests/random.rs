//! Random work of some owners on few resources, against the model; and rules that the model does not know either.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake};

use rustydb_runtime::SeededRng;

use super::events::Recorder;
use super::model::{Answer, End, Model, compatible};
use super::*;

const OWNERS: u64 = 6;
const STEPS: usize = 400;
const SEEDS: u64 = 60;

/// Runs `test` once for each of some seeds, as many as `RUSTYDB_SOAK` says, or for `RUSTYDB_SEED` alone; false then.
fn each_seed(mut test: impl FnMut(u64)) -> bool {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let given = number("RUSTYDB_SEED");
    let count = number("RUSTYDB_SOAK").unwrap_or(0).max(SEEDS);
    for seed in given.map_or(0..count, |seed| seed..seed + 1) {
        eprintln!("RUSTYDB_SEED={seed}");
        test(seed);
    }
    given.is_none()
}

#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Run {
    fixture: Fixture,
    recorder: Arc<Recorder>,
    rng: SeededRng,
    model: Model,
    owners: Vec<Owner>,
    tickets: BTreeMap<u64, (WaitTicket, Arc<Woken>)>,
    last_id: u64,
    done: BTreeMap<&'static str, u64>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let fixture = Fixture::new();
        let rng = SeededRng::new(seed);
        let recorder = Recorder::listen(&fixture.locks);
        // Some runs are at the bounds, some escalate, most do neither.
        let model = Model {
            escalate_after: [0, 1, 2, 3][rng.below(4) as usize],
            locks_per_owner_max: [100, 100, 100, 4][rng.below(4) as usize],
            locks_max: [100, 100, 100, 12][rng.below(4) as usize],
            ..Model::default()
        };
        let settings = fixture.locks.settings();
        settings.set_escalate_after(model.escalate_after);
        settings.set_locks_per_owner_max(model.locks_per_owner_max);
        settings.set_locks_max(model.locks_max);
        // The order of ids is not the order of ages.
        let owners = (0..OWNERS).map(|id| {
            fixture.locks.register(OwnerInfo {
                id,
                began_order: (id * 5 + 2) % 7,
            })
        });
        let owners = owners.collect();
        Run {
            fixture,
            recorder,
            rng,
            model,
            owners,
            tickets: BTreeMap::new(),
            last_id: 0,
            done: BTreeMap::new(),
        }
    }

    fn row(&self) -> Resource {
        Resource::row(self.rng.below(2), 1, &[self.rng.below(4) as u8])
    }

    fn resource(&self) -> Resource {
        match self.rng.below(10) {
            0..=3 => Resource::Table(self.rng.below(2)),
            4..=8 => self.row(),
            _ => Resource::named("n"),
        }
    }

    fn mode(&self) -> LockMode {
        LockMode::ALL[self.rng.below(5) as usize]
    }

    fn step(&mut self) {
        self.fixture.clock.advance_us(self.rng.below(100));
        let mut id = self.rng.below(OWNERS);
        // Who waits may do little, so it is seldom asked to.
        for _ in 0..3 {
            if self.tickets.contains_key(&id) && self.rng.below(4) > 0 {
                id = self.rng.below(OWNERS);
            }
        }
        let name = match self.rng.below(100) {
            0..=29 => self.acquire(id),
            30..=69 => self.acquire_row(id),
            70..=77 => self.release(id),
            78..=83 => self.release_all(id),
            84..=89 => self.cancel(id),
            90..=92 => self.detect(),
            93..=96 => self.detect_from(id),
            _ => self.set_killable(id),
        };
        *self.done.entry(name).or_default() += 1;
        self.check_state();
        self.check_ends();
        self.check_graph();
    }

    fn acquire(&mut self, id: u64) -> &'static str {
        let (resource, mode, wait) = (self.resource(), self.mode(), self.rng.below(4) > 0);
        let next = LockId(self.last_id + 1);
        let before = self.fixture.locks.list();
        let how = if wait { Wait::Yes } else { Wait::No };
        let owner = &self.owners[id as usize];
        let found = self.fixture.locks.acquire(owner, resource.clone(), mode, how);
        let expected = self.model.acquire(id, &resource, mode, wait, next);
        self.check_answer(id, found, expected, &before)
    }

    fn acquire_row(&mut self, id: u64) -> &'static str {
        let row = self.row();
        let Resource::Row { table, space, key } = &row else {
            panic!("{row} is no row");
        };
        let mode = if self.rng.below(2) == 0 {
            LockMode::S
        } else {
            LockMode::X
        };
        let wait = self.rng.below(4) > 0;
        let next = LockId(self.last_id + 1);
        let before = self.fixture.locks.list();
        let how = if wait { Wait::Yes } else { Wait::SkipLocked };
        let owner = &self.owners[id as usize];
        let row_parts = (*table, *space, &key[..]);
        let found = self.fixture.locks.acquire_row(owner, row_parts, mode, how);
        let expected = self.model.acquire_row(id, &row, mode, wait, next);
        self.check_answer(id, found, expected, &before)
    }

    fn check_answer(
        &mut self,
        id: u64,
        found: Result<Acquired, LockError>,
        expected: Answer,
        before: &[LockInfo],
    ) -> &'static str {
        let last = self
            .fixture
            .locks
            .list()
            .into_iter()
            .map(|lock| lock.lock_id.0)
            .max();
        self.last_id = self.last_id.max(last.unwrap_or(0));
        match (found, expected) {
            (Ok(Acquired::Granted { lock_id, new }), expected) => {
                let old = before
                    .iter()
                    .any(|lock| lock.lock_id == lock_id && lock.granted());
                match expected {
                    Answer::Held(held) => assert_eq!(lock_id, held),
                    Answer::New => assert!(new && !old && lock_id.0 == self.last_id),
                    other => panic!("owner {id} gets lock {lock_id}, not {other:?}"),
                }
                "granted"
            }
            (Ok(Acquired::Refused { blockers }), Answer::Refused(expected)) => {
                let mut blockers: Vec<_> = blockers
                    .iter()
                    .map(|blocker| (blocker.lock_id, blocker.granted))
                    .collect();
                let mut expected = expected;
                blockers.sort_unstable();
                expected.sort_unstable();
                assert_eq!(blockers, expected);
                "refused"
            }
            (Ok(Acquired::Queued(mut ticket)), Answer::Queued) => {
                let woken = Arc::new(Woken::default());
                let waker = woken.clone().into();
                let polled = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                let (resource, lock) = self.model.waits(id).expect("it waits");
                let told = (ticket.resource(), ticket.lock_id(), ticket.mode());
                assert_eq!(told, (&resource, lock.id, lock.mode));
                self.tickets.insert(id, (ticket, woken));
                "queued"
            }
            (Err(error), Answer::Failed(expected)) => {
                assert_eq!(error, expected);
                match error {
                    LockError::TooManyLocks { .. } => "too many",
                    _ => "waits already",
                }
            }
            (found, expected) => panic!("owner {id} is answered {found:?}, not {expected:?}"),
        }
    }

    fn release(&mut self, id: u64) -> &'static str {
        let held = self.model.held(id);
        let lock_id = match self.rng.below(held.len() as u64 + 1) as usize {
            place if place < held.len() => held[place].1.id,
            _ => LockId(self.rng.below(self.last_id + 2)),
        };
        let found = self.fixture.locks.release(&self.owners[id as usize], lock_id);
        assert_eq!(found, self.model.release(id, lock_id));
        match found {
            Ok(()) => "released",
            Err(_) => "not held",
        }
    }

    fn release_all(&mut self, id: u64) -> &'static str {
        let held = self.model.held(id).len() as u64;
        let owner = &mut self.owners[id as usize];
        if self.rng.below(2) == 0 {
            assert_eq!(self.fixture.locks.release_all(owner), held);
        } else {
            // Another transaction under the same number.
            let began_order = owner.began_order();
            *owner = self.fixture.locks.register(OwnerInfo { id, began_order });
            self.model.killable.remove(&id);
        }
        self.model.release_all(id);
        "released all"
    }

    fn cancel(&mut self, id: u64) -> &'static str {
        let Some((ticket, _)) = self.tickets.remove(&id) else {
            return "nothing to cancel";
        };
        self.model.end_wait(id, End::Cancelled);
        match self.rng.below(3) {
            0 => drop(ticket),
            1 => {
                let end = ticket.cancel(CancelReason::TimedOut);
                assert_eq!(end, WaitEnd::Cancelled(CancelReason::TimedOut));
            }
            _ => {
                let owner = &self.owners[id as usize];
                assert!(self.fixture.locks.cancel_wait(owner, CancelReason::GivenUp));
                assert_eq!(ticket.end(), Some(WaitEnd::Cancelled(CancelReason::GivenUp)));
            }
        }
        // The end of this ticket was looked at.
        self.model.ended.retain(|ended| *ended != (id, End::Cancelled));
        "cancelled"
    }

    fn detect(&mut self) -> &'static str {
        let found = self.fixture.locks.detect();
        self.check_deadlocks(&found);
        let reaches = self.model.reaches();
        assert!(
            !reaches.iter().any(|(from, to)| from == to),
            "a deadlock is left: {reaches:?}"
        );
        if found.is_empty() {
            "no deadlock"
        } else {
            "deadlock"
        }
    }

    fn detect_from(&mut self, id: u64) -> &'static str {
        let Some((ticket, _)) = self.tickets.get(&id) else {
            return "nothing to search from";
        };
        let found = self.fixture.locks.detect_from(ticket);
        for deadlock in &found {
            assert!(deadlock.members.iter().any(|member| member.owner.0 == id));
        }
        self.check_deadlocks(&found);
        assert!(
            !self.model.reaches().contains(&(id, id)),
            "a deadlock of {id} is left"
        );
        if found.is_empty() {
            "no deadlock of one"
        } else {
            "deadlock of one"
        }
    }

    /// Each is a cycle when its turn comes, and its victim is the youngest of it.
    fn check_deadlocks(&mut self, found: &[Arc<Deadlock>]) {
        for deadlock in found {
            let edges = self.model.edges();
            let next = deadlock.members.iter().cycle().skip(1);
            for (member, next) in deadlock.members.iter().zip(next) {
                let blocker = member.blocked_by;
                assert_eq!(blocker.owner, next.owner);
                let edge = (member.owner.0, next.owner.0, blocker.lock_id, blocker.granted);
                assert!(edges.contains(&edge), "{edge:?} of {deadlock:?}");
                let (resource, lock) = self.model.waits(member.owner.0).expect("it waits");
                assert_eq!((&member.resource, member.mode), (&resource, lock.mode));
            }
            let youngest = deadlock.members.iter().max_by_key(|member| member.began_order);
            assert_eq!(deadlock.victim, youngest.expect("members").owner);
            assert!(self.owners[deadlock.victim.0 as usize].killable());
            self.model.end_wait(deadlock.victim.0, End::Deadlock);
        }
    }

    fn set_killable(&mut self, id: u64) -> &'static str {
        let killable = self.rng.below(3) > 0;
        let found = self.owners[id as usize].set_killable(killable);
        match self.model.waits(id) {
            Some((_, lock)) => assert_eq!(found, Err(LockError::Waiting(lock.id))),
            None => {
                assert_eq!(found, Ok(()));
                self.model.killable.insert(id, killable);
            }
        }
        "set killable"
    }

    /// All grants and all queues are the model's, and what was told of their changes gives the same.
    fn check_state(&mut self) {
        let mut expected = BTreeSet::new();
        for (resource, queue) in &self.model.resources {
            for lock in &queue.granted {
                expected.insert((lock.id, lock.owner, resource.clone(), lock.mode, None));
            }
            for (ahead, lock) in queue.waiting.iter().enumerate() {
                expected.insert((lock.id, lock.owner, resource.clone(), lock.mode, Some(ahead)));
            }
        }
        let list = self.fixture.locks.list();
        let found: BTreeSet<_> = list
            .iter()
            .map(|lock| {
                let ahead = match lock.state {
                    LockState::Granted { .. } => None,
                    LockState::Waiting { ahead, .. } => Some(ahead),
                };
                (
                    lock.lock_id,
                    lock.owner.0,
                    lock.resource.clone(),
                    lock.mode,
                    ahead,
                )
            })
            .collect();
        assert_eq!(found, expected);
        self.recorder.replay(&list);
        let counts = self.fixture.locks.counts();
        assert_eq!((counts.held + counts.waiting) as usize, list.len());
        assert_eq!(counts.escalations, self.model.escalations);
        assert_eq!(counts, self.recorder.counts());
        for owner in &self.owners {
            let held = self.model.held(owner.id().0).into_iter();
            let held: Vec<_> = held
                .map(|(resource, lock)| (lock.id, resource, lock.mode))
                .collect();
            assert_eq!(owner.locks(), held);
        }
    }

    /// A wait has ended when it has in the model, in that way, and its task was woken then.
    fn check_ends(&mut self) {
        for (id, expected) in std::mem::take(&mut self.model.ended) {
            let (ticket, woken) = self.tickets.remove(&id).expect("it waited");
            let found = match ticket.end() {
                Some(WaitEnd::Granted { lock_id, .. }) => {
                    assert_eq!(lock_id, ticket.lock_id());
                    End::Granted
                }
                Some(WaitEnd::Deadlock(deadlock)) => {
                    assert_eq!(deadlock.victim.0, id);
                    End::Deadlock
                }
                Some(WaitEnd::Cancelled(_)) => End::Cancelled,
                None => panic!("the wait of {id} goes on, and should have ended as {expected:?}"),
            };
            assert_eq!(found, expected, "owner {id}");
            assert_eq!(woken.0.load(Ordering::SeqCst), 1, "owner {id}");
        }
        for (id, (ticket, woken)) in &self.tickets {
            assert_eq!(ticket.end(), None, "owner {id}");
            assert_eq!(woken.0.load(Ordering::SeqCst), 0, "owner {id}");
            assert_eq!(self.owners[*id as usize].waits_for(), Some(ticket.lock_id()));
        }
    }

    fn check_graph(&self) {
        let graph = self.fixture.locks.graph();
        let edges = self.model.edges();
        let of_graph = graph.edges.iter().map(|edge| {
            let blocker = edge.blocker;
            (edge.waiter.0, blocker.owner.0, blocker.lock_id, blocker.granted)
        });
        assert_eq!(of_graph.collect::<BTreeSet<_>>(), edges);
        let waiters = self.fixture.locks.waiters();
        let of_waiters = waiters.iter().flat_map(|waiter| {
            let blockers = waiter.blockers.iter();
            blockers.map(|blocker| (waiter.owner.0, blocker.owner.0, blocker.lock_id, blocker.granted))
        });
        assert_eq!(of_waiters.collect::<BTreeSet<_>>(), edges);
        let reaches = self.model.reaches();
        let together = |one: u64, two: u64| reaches.contains(&(one, two)) && reaches.contains(&(two, one));
        for node in &graph.nodes {
            let id = node.owner.0;
            assert_eq!(node.cycle.is_some(), together(id, id), "owner {id}");
            assert_eq!(node.waits, self.model.waits(id).is_some());
            for other in &graph.nodes {
                let same = node.cycle.is_some() && node.cycle == other.cycle;
                assert_eq!(
                    same,
                    together(id, other.owner.0),
                    "owners {id} and {}",
                    other.owner
                );
            }
        }
        for edge in &graph.edges {
            assert_eq!(edge.in_cycle, together(edge.waiter.0, edge.blocker.owner.0));
        }
    }
}

#[test]
fn locks_are_what_the_model_says() {
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let all = each_seed(|seed| {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        for id in 0..OWNERS {
            run.release_all(id);
            run.check_ends();
        }
        run.check_state();
        assert_empty(&run.fixture.locks);
        for (name, count) in run.done {
            *done.entry(name).or_default() += count;
        }
        let counts = run.fixture.locks.counts();
        for (name, count) in [
            ("escalated", counts.escalations),
            ("upgraded", counts.upgrades),
            ("waited", counts.waits),
        ] {
            *done.entry(name).or_default() += count;
        }
    });
    // Each kind of thing was done, and often.
    assert!(
        !all || done.len() == 19 && done.values().all(|&count| count > 20),
        "{done:?}"
    );
}

/// A request goes before another that came earlier only if that has to wait for the owner anyway, because of what it held
/// before; and none is granted before one that is ahead of it and that it keeps waiting.
#[test]
fn nobody_is_overtaken() {
    let mut conversions = 0;
    let all = each_seed(|seed| {
        let mut run = Run::new(seed);
        let mut seen = 0;
        for _ in 0..STEPS {
            let before = run.fixture.locks.list();
            run.step();
            let after = run.fixture.locks.list();
            let mut waited = None;
            for event in run.recorder.since(&mut seen) {
                match event {
                    LockEvent::WaitStart { lock, .. } => check_place(&after, &lock),
                    LockEvent::WaitEnd(lock) => waited = Some(lock),
                    LockEvent::Acquired(lock) if waited.is_none() => check_at_once(&after, &lock, None),
                    LockEvent::Upgraded { lock, from } if waited.is_none() => {
                        check_at_once(&after, &lock, Some(from));
                        conversions += 1;
                    }
                    LockEvent::Acquired(lock) | LockEvent::Upgraded { lock, .. } => {
                        check_turn(&before, &after, &lock);
                        waited = None;
                    }
                    _ => {}
                }
            }
        }
    });
    assert!(!all || conversions > 100);
}

fn place(lock: &LockInfo) -> Option<usize> {
    match lock.state {
        LockState::Waiting { ahead, .. } => Some(ahead),
        LockState::Granted { .. } => None,
    }
}

/// Requests of others that need not wait for this owner because of what it holds, nor for one who has to.
fn independent<'a>(list: &'a [LockInfo], lock: &LockFacts, held: Option<LockMode>) -> Vec<&'a LockInfo> {
    let mut queue: Vec<&LockInfo> = list
        .iter()
        .filter(|other| other.resource == lock.resource && other.owner != lock.owner && !other.granted())
        .collect();
    queue.sort_by_key(|other| place(other));
    let mut dependent: Vec<LockMode> = Vec::new();
    queue.retain(|other| {
        let waits = held.is_some_and(|held| !compatible(other.mode, held))
            || dependent.iter().any(|ahead| !compatible(*ahead, other.mode));
        if waits {
            dependent.push(other.mode);
        }
        !waits
    });
    queue
}

fn check_place(after: &[LockInfo], lock: &LockFacts) {
    let same = || after.iter().filter(|other| other.lock_id == lock.lock_id);
    let held = same().find(|other| other.granted()).map(|other| other.mode);
    let its_place = same().find_map(place);
    for other in independent(after, lock, held) {
        assert!(place(other) < its_place, "{lock:?} is placed before {other:?}");
    }
}

fn check_at_once(after: &[LockInfo], lock: &LockFacts, held: Option<LockMode>) {
    for other in independent(after, lock, held) {
        assert!(compatible(other.mode, lock.mode), "{lock:?} overtakes {other:?}");
    }
}

fn check_turn(before: &[LockInfo], after: &[LockInfo], lock: &LockFacts) {
    let its_place = before
        .iter()
        .filter(|other| other.lock_id == lock.lock_id)
        .find_map(place);
    let waits_still = |other: &LockInfo| {
        let mut after = after.iter();
        after.any(|later| later.lock_id == other.lock_id && !later.granted())
    };
    for other in before.iter().filter(|other| other.resource == lock.resource) {
        if place(other).is_some() && place(other) < its_place && waits_still(other) {
            assert!(
                compatible(other.mode, lock.mode),
                "{lock:?} is granted before {other:?}"
            );
        }
    }
}
