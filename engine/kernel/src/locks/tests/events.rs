//! What listeners are told: what happened, in its order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use LockMode::{S, X};

/// Keeps what it is told.
#[derive(Default)]
pub struct Recorder {
    told: Mutex<Vec<LockEvent>>,
    state: Mutex<Replayed>,
}

/// What the events say that there is.
#[derive(Default)]
struct Replayed {
    events: usize,
    held: BTreeMap<LockId, (OwnerId, Resource, LockMode)>,
    waiting: BTreeMap<LockId, (OwnerId, Resource, LockMode)>,
    counts: LockCounts,
    /// A wait that ended with the lock, which is told of next.
    granted: Option<LockFacts>,
}

impl LockEvents for Recorder {
    fn event(&self, event: LockEvent) {
        self.told.lock().expect("no panic").push(event);
    }
}

impl Recorder {
    pub fn listen(locks: &Locks) -> Arc<Recorder> {
        let recorder = Arc::new(Recorder::default());
        locks.listen(Some(recorder.clone()));
        recorder
    }

    /// What was told since the last time.
    pub fn since(&self, seen: &mut usize) -> Vec<LockEvent> {
        let told = self.told.lock().expect("no panic");
        let new = told[*seen..].to_vec();
        *seen = told.len();
        new
    }

    /// Asserts that the events up to now lead to these locks.
    pub fn replay(&self, list: &[LockInfo]) {
        let mut state = self.state.lock().expect("no panic");
        let mut seen = state.events;
        for event in self.since(&mut seen) {
            state.apply(event);
        }
        state.events = seen;
        let (held, waiting): (Vec<&LockInfo>, Vec<&LockInfo>) = list.iter().partition(|lock| lock.granted());
        let known = |locks: Vec<&LockInfo>| -> BTreeMap<_, _> {
            let locks = locks.into_iter();
            locks
                .map(|lock| (lock.lock_id, (lock.owner, lock.resource.clone(), lock.mode)))
                .collect()
        };
        assert_eq!(state.held, known(held));
        assert_eq!(state.waiting, known(waiting));
        assert_eq!(state.granted, None);
    }

    /// What the events up to the last replay amount to.
    pub fn counts(&self) -> LockCounts {
        let state = self.state.lock().expect("no panic");
        LockCounts {
            held: state.held.len() as u64,
            waiting: state.waiting.len() as u64,
            ..state.counts
        }
    }
}

impl Replayed {
    fn apply(&mut self, event: LockEvent) {
        let of = |lock: &LockFacts| (lock.owner, lock.resource.clone(), lock.mode);
        match event {
            LockEvent::Acquired(lock) => {
                self.counts.acquired += 1;
                self.check_wait(&lock);
                assert_eq!(self.held.insert(lock.lock_id, of(&lock)), None, "{lock:?}");
            }
            LockEvent::Upgraded { lock, from } => {
                self.counts.upgrades += 1;
                self.check_wait(&lock);
                let before = self.held.insert(lock.lock_id, of(&lock));
                assert_eq!(before, Some((lock.owner, lock.resource, from)));
            }
            LockEvent::Released(lock) | LockEvent::Subsumed(lock) => {
                assert_eq!(self.held.remove(&lock.lock_id), Some(of(&lock)));
            }
            LockEvent::WaitStart { lock, blockers } => {
                self.counts.waits += 1;
                self.check_blockers(&lock, &blockers);
                assert_eq!(self.waiting.insert(lock.lock_id, of(&lock)), None, "{lock:?}");
            }
            LockEvent::WaitEnd(lock) => {
                self.end_wait(&lock);
                self.granted = Some(lock);
            }
            LockEvent::Cancelled { lock, reason } => {
                self.counts.cancelled(reason);
                self.end_wait(&lock);
            }
            LockEvent::VictimSelected { lock, deadlock } => {
                assert_eq!(lock.owner, deadlock.victim);
                self.end_wait(&lock);
            }
            LockEvent::DeadlockDetected(deadlock) => {
                self.counts.deadlocks += 1;
                assert_eq!(deadlock.id, self.counts.deadlocks);
            }
            LockEvent::Escalated { lock, .. } => {
                self.counts.escalations += 1;
                assert_eq!(self.held.get(&lock.lock_id), Some(&of(&lock)));
            }
        }
    }

    /// Those who hold what the request does not go with, and none who neither holds nor waits.
    fn check_blockers(&self, lock: &LockFacts, blockers: &[Blocker]) {
        let holders: Vec<LockId> = self
            .held
            .iter()
            .filter(|(_, (owner, resource, mode))| {
                *owner != lock.owner && *resource == lock.resource && !mode.compatible(lock.mode)
            })
            .map(|(id, _)| *id)
            .collect();
        let (granted, ahead): (Vec<&Blocker>, Vec<&Blocker>) =
            blockers.iter().partition(|blocker| blocker.granted);
        let mut told: Vec<LockId> = granted.iter().map(|blocker| blocker.lock_id).collect();
        told.sort_unstable();
        assert_eq!(told, holders, "{lock:?}");
        for blocker in ahead {
            let known = self.waiting.get(&blocker.lock_id);
            let expected = (blocker.owner, lock.resource.clone(), blocker.mode);
            assert_eq!(known, Some(&expected), "{lock:?}");
        }
        assert!(!blockers.is_empty(), "{lock:?}");
    }

    fn end_wait(&mut self, lock: &LockFacts) {
        self.counts.wait_us += lock.wait_us;
        let waited = self.waiting.remove(&lock.lock_id);
        assert_eq!(waited, Some((lock.owner, lock.resource.clone(), lock.mode)));
    }

    fn check_wait(&mut self, lock: &LockFacts) {
        match self.granted.take() {
            Some(granted) => assert_eq!(granted, *lock),
            None => assert_eq!(lock.wait_us, 0),
        }
    }
}

#[test]
fn each_thing_is_told_once_and_in_order() {
    let fixture = Fixture::new();
    let recorder = Recorder::listen(&fixture.locks);
    let (one, two) = (fixture.owner(1), fixture.owner(2));
    let first = fixture.granted(&one, &row(1), S);
    let second = fixture.granted(&two, &row(1), S);
    let ticket = fixture.queued(&one, &row(1), X);
    fixture.clock.advance_us(30);
    fixture.locks.release(&two, second).expect("it is held");
    let late = fixture.queued(&two, &row(1), X);
    fixture.clock.advance_us(5);
    late.cancel(CancelReason::TimedOut);
    assert!(is_granted(&ticket));
    drop(one);
    let facts = |lock_id, owner, mode, wait_us| LockFacts {
        lock_id,
        owner: OwnerId(owner),
        resource: row(1),
        mode,
        wait_us,
    };
    let holds = |lock_id, owner, mode| Blocker {
        owner: OwnerId(owner),
        lock_id,
        mode,
        granted: true,
    };
    let third = LockId(3);
    let expected = [
        LockEvent::Acquired(facts(first, 1, S, 0)),
        LockEvent::Acquired(facts(second, 2, S, 0)),
        LockEvent::WaitStart {
            lock: facts(first, 1, X, 0),
            blockers: vec![holds(second, 2, S)],
        },
        LockEvent::Released(facts(second, 2, S, 0)),
        LockEvent::WaitEnd(facts(first, 1, X, 30)),
        LockEvent::Upgraded {
            lock: facts(first, 1, X, 30),
            from: S,
        },
        LockEvent::WaitStart {
            lock: facts(third, 2, X, 0),
            blockers: vec![holds(first, 1, X)],
        },
        LockEvent::Cancelled {
            lock: facts(third, 2, X, 5),
            reason: CancelReason::TimedOut,
        },
        LockEvent::Released(facts(first, 1, X, 0)),
    ];
    assert_eq!(recorder.since(&mut 0), expected);
}

#[test]
fn a_deadlock_is_told_before_its_victim_and_an_escalation_before_its_rows() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&one, &row(1), X);
    fixture.granted(&two, &row(2), X);
    let _of_one = fixture.queued(&one, &row(2), X);
    let of_two = fixture.queued(&two, &row(1), X);
    let recorder = Recorder::listen(&fixture.locks);
    fixture.clock.advance_us(9);
    let deadlock = fixture.locks.detect().remove(0);
    let lock = LockFacts {
        lock_id: of_two.lock_id(),
        owner: two.id(),
        resource: row(1),
        mode: X,
        wait_us: 9,
    };
    let expected = [
        LockEvent::DeadlockDetected(deadlock.clone()),
        LockEvent::VictimSelected { lock, deadlock },
    ];
    let mut seen = 0;
    assert_eq!(recorder.since(&mut seen), expected);

    drop((one, two));
    fixture.locks.settings().set_escalate_after(2);
    let owner = fixture.owner(3);
    fixture.granted(&owner, &row(1), S);
    fixture.granted(&owner, &row(2), S);
    recorder.since(&mut seen);
    let table = fixture.granted(&owner, &row(3), S);
    let told = recorder.since(&mut seen);
    assert!(
        matches!(&told[..], [
            LockEvent::Acquired(lock),
            LockEvent::Escalated { lock: of_table, rows: 2 },
            LockEvent::Subsumed(_),
            LockEvent::Subsumed(_),
        ] if lock.lock_id == table && of_table == lock && lock.mode == S),
        "{told:?}"
    );
}

#[test]
fn who_does_not_listen_any_more_is_told_nothing() {
    let fixture = Fixture::new();
    let recorder = Recorder::listen(&fixture.locks);
    fixture.locks.listen(None);
    fixture.granted(&fixture.owner(1), &row(1), S);
    assert_eq!(recorder.since(&mut 0), []);
}
