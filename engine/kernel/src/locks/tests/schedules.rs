//! Small scenes under many schedules of shuttle. A waiter that nobody wakes is a deadlock of threads, which shuttle
//! reports with the schedule.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::sync::{interleave, thread};
use LockMode::{S, X};

const SCHEDULES: usize = 2000;
const DEPTH: usize = 4;

/// Random schedules, and such as change the thread at a few chosen places (PCT).
fn explore(scene: fn()) {
    shuttle::check_random(scene, SCHEDULES);
    shuttle::check_pct(scene, SCHEDULES, DEPTH);
}

/// Waits for a lock if need be, and searches for deadlocks first; false when that made it a victim.
fn take(fixture: &Fixture, owner: &Owner, resource: &Resource, mode: LockMode) -> bool {
    match fixture.ask(owner, resource, mode) {
        Acquired::Granted { .. } => true,
        Acquired::Queued(ticket) => {
            fixture.locks.detect_from(&ticket);
            match ticket.wait() {
                WaitEnd::Granted { .. } => true,
                WaitEnd::Deadlock(_) => false,
                WaitEnd::Cancelled(reason) => panic!("nobody gave up: {reason:?}"),
            }
        }
        Acquired::Refused { .. } => panic!("it would wait"),
    }
}

/// Runs one thread for each.
fn all<T: Send + 'static>(threads: Vec<Box<dyn FnOnce() -> T + Send>>) -> Vec<T> {
    let threads: Vec<_> = threads.into_iter().map(thread::spawn).collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect()
}

/// Each adds one without an atomic operation.
fn counting() {
    let fixture = Arc::new(Fixture::new());
    let count = Arc::new(AtomicU64::new(0));
    all((0..3)
        .map(|id| {
            let (fixture, count) = (fixture.clone(), count.clone());
            Box::new(move || {
                let owner = fixture.owner(id);
                assert!(take(&fixture, &owner, &row(1), X));
                let before = count.load(Ordering::SeqCst);
                interleave();
                count.store(before + 1, Ordering::SeqCst);
                fixture.locks.release_all(&owner);
            }) as Box<dyn FnOnce() + Send>
        })
        .collect());
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_no_waiter_of_a_lock_is_lost() {
    explore(counting);
}

/// Two lock two rows in different orders, each searches when it has to wait.
fn crossing() {
    let fixture = Arc::new(Fixture::new());
    let done = all([(1, [1, 2]), (2, [2, 1])]
        .into_iter()
        .map(|(id, rows)| {
            let fixture = fixture.clone();
            Box::new(move || {
                let owner = fixture.owner(id);
                rows.iter().all(|number| take(&fixture, &owner, &row(*number), X))
            }) as Box<dyn FnOnce() -> bool + Send>
        })
        .collect());
    let victims = done.iter().filter(|done| !**done).count() as u64;
    assert_eq!(fixture.locks.counts().deadlocks, victims);
    // The older one is never the victim.
    assert!(done[0]);
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_the_last_who_waits_finds_the_deadlock() {
    explore(crossing);
}

/// Two readers want to write, and a third one waits behind them.
fn converting() {
    let fixture = Arc::new(Fixture::new());
    let done = all((1..4)
        .map(|id| {
            let fixture = fixture.clone();
            Box::new(move || {
                let owner = fixture.owner(id);
                let modes = if id == 3 { vec![X] } else { vec![S, X] };
                modes.iter().all(|mode| take(&fixture, &owner, &row(1), *mode))
            }) as Box<dyn FnOnce() -> bool + Send>
        })
        .collect());
    assert!(done[0] && done[2]);
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_conversions_end_whatever_the_order() {
    explore(converting);
}

/// One gives up while the lock is released: either it has the lock or who is behind it goes on.
fn giving_up() {
    let fixture = Arc::new(Fixture::new());
    let holder = fixture.owner(1);
    fixture.granted(&holder, &row(1), X);
    let writer = fixture.owner(2);
    let ticket = fixture.queued(&writer, &row(1), X);
    let behind = {
        let fixture = fixture.clone();
        Box::new(move || {
            let owner = fixture.owner(3);
            assert!(take(&fixture, &owner, &row(1), S));
        }) as Box<dyn FnOnce() + Send>
    };
    let canceller = Box::new(move || {
        let end = ticket.cancel(CancelReason::TimedOut);
        let granted = match end {
            WaitEnd::Granted { .. } => true,
            WaitEnd::Cancelled(CancelReason::TimedOut) => false,
            other => panic!("it ended as {other:?}"),
        };
        assert_eq!(writer.held(), usize::from(granted));
        drop(writer);
    });
    let releaser = Box::new(move || drop(holder));
    all(vec![behind, canceller, releaser]);
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_who_gives_up_holds_up_nobody() {
    explore(giving_up);
}

/// An owner ends from another thread than that which waits for it.
fn ending() {
    let fixture = Arc::new(Fixture::new());
    let holder = fixture.owner(1);
    fixture.granted(&holder, &row(1), X);
    let waiter = Arc::new(fixture.owner(2));
    fixture.granted(&waiter, &row(2), X);
    let ticket = fixture.queued(&waiter, &row(1), X);
    let killer = {
        let (fixture, waiter) = (fixture.clone(), waiter.clone());
        Box::new(move || {
            fixture.locks.release_all(&waiter);
        }) as Box<dyn FnOnce() + Send>
    };
    let other = {
        let fixture = fixture.clone();
        Box::new(move || {
            let owner = fixture.owner(3);
            assert!(take(&fixture, &owner, &row(2), S));
        })
    };
    let waiting = Box::new(move || {
        ticket.wait();
    });
    all(vec![killer, other, waiting, Box::new(move || drop(holder))]);
    fixture.locks.release_all(&waiter);
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_an_owner_that_ends_leaves_nothing() {
    explore(ending);
}

/// Rows become a lock on the table while others come for them.
fn escalating() {
    let fixture = Arc::new(Fixture::new());
    fixture.locks.settings().set_escalate_after(1);
    all((1..3)
        .map(|id| {
            let fixture = fixture.clone();
            Box::new(move || {
                let owner = fixture.owner(id);
                for key in [1, 2] {
                    loop {
                        let asked = fixture.locks.acquire_row(&owner, (1, 1, &[key]), X, Wait::Yes);
                        match asked.expect("no bound is near") {
                            Acquired::Granted { .. } => break,
                            Acquired::Queued(ticket) => {
                                fixture.locks.detect_from(&ticket);
                                if let WaitEnd::Deadlock(_) = ticket.wait() {
                                    return;
                                }
                            }
                            Acquired::Refused { .. } => panic!("it would wait"),
                        }
                    }
                }
            }) as Box<dyn FnOnce() + Send>
        })
        .collect());
    assert_empty(&fixture.locks);
}

#[test]
fn shuttle_escalation_goes_with_others() {
    explore(escalating);
}
