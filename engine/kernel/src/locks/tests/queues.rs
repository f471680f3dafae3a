//! Who is granted, who waits, and who goes on.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use super::*;
use LockMode::{IS, IX, S, SIX, X};

#[test]
fn readers_share_and_a_writer_waits_for_all_of_them() {
    let fixture = Fixture::new();
    let (first, second, writer) = (fixture.owner(1), fixture.owner(2), fixture.owner(3));
    let of_first = fixture.granted(&first, &row(1), S);
    let of_second = fixture.granted(&second, &row(1), S);
    let ticket = fixture.queued(&writer, &row(1), X);
    fixture.locks.release(&first, of_first).expect("it is held");
    assert!(!is_granted(&ticket));
    fixture.locks.release(&second, of_second).expect("it is held");
    assert!(is_granted(&ticket));
    assert_eq!(writer.locks(), [(ticket.lock_id(), row(1), X)]);
}

#[test]
fn nobody_overtakes_a_writer_that_waits() {
    let fixture = Fixture::new();
    let owners: Vec<Owner> = (0..5).map(|id| fixture.owner(id)).collect();
    fixture.granted(&owners[0], &row(1), S);
    let writer = fixture.queued(&owners[1], &row(1), X);
    let readers: Vec<WaitTicket> = (2..5).map(|id| fixture.queued(&owners[id], &row(1), S)).collect();
    let refused = fixture
        .locks
        .acquire(&fixture.owner(9), row(1), S, Wait::SkipLocked);
    let Ok(Acquired::Refused { blockers }) = refused else {
        panic!("{refused:?}");
    };
    let blocker = Blocker {
        owner: OwnerId(1),
        lock_id: writer.lock_id(),
        mode: X,
        granted: false,
    };
    assert_eq!(blockers, [blocker]);
    fixture.locks.release_all(&owners[0]);
    assert!(is_granted(&writer));
    assert!(!readers.iter().any(is_granted));
    fixture.locks.release_all(&owners[1]);
    assert!(readers.iter().all(is_granted));
}

#[test]
fn who_keeps_nobody_waiting_need_not_queue() {
    let fixture = Fixture::new();
    let owners: Vec<Owner> = (0..3).map(|id| fixture.owner(id)).collect();
    let table = Resource::Table(1);
    fixture.granted(&owners[0], &table, S);
    let writer = fixture.queued(&owners[1], &table, IX);
    fixture.granted(&owners[2], &table, IS);
    assert!(!is_granted(&writer));
    fixture.locks.release_all(&owners[0]);
    assert!(is_granted(&writer));
}

#[test]
fn a_covered_request_is_granted_at_once() {
    let fixture = Fixture::new();
    let (holder, waiter) = (fixture.owner(1), fixture.owner(2));
    let lock_id = fixture.granted(&holder, &row(1), X);
    let _ticket = fixture.queued(&waiter, &row(1), X);
    for mode in LockMode::ALL {
        let again = fixture.ask(&holder, &row(1), mode);
        assert!(matches!(again, Acquired::Granted { lock_id: id, new: false } if id == lock_id));
    }
    assert_eq!(holder.held(), 1);
    // Held once, whatever it was asked for: released once.
    fixture.locks.release(&holder, lock_id).expect("it is held");
    assert_eq!(
        fixture.locks.release(&holder, lock_id),
        Err(LockError::NotHeld(lock_id))
    );
}

#[test]
fn a_stronger_mode_is_the_join_under_the_same_id() {
    let fixture = Fixture::new();
    let owner = fixture.owner(1);
    let table = Resource::Table(1);
    let lock_id = fixture.granted(&owner, &table, IX);
    assert_eq!(fixture.granted(&owner, &table, S), lock_id);
    assert_eq!(owner.lock(lock_id), Some((table.clone(), SIX)));
    assert_eq!(fixture.locks.counts().upgrades, 1);
    assert_eq!(fixture.locks.holders(&table)[0].mode, SIX);
}

#[test]
fn a_conversion_goes_before_those_who_wait_for_its_owner() {
    let fixture = Fixture::new();
    let owners: Vec<Owner> = (0..4).map(|id| fixture.owner(id)).collect();
    fixture.granted(&owners[0], &row(1), S);
    fixture.granted(&owners[1], &row(1), S);
    let writer = fixture.queued(&owners[2], &row(1), X);
    let conversion = fixture.queued(&owners[0], &row(1), X);
    fixture.locks.release_all(&owners[1]);
    assert!(is_granted(&conversion));
    assert!(!is_granted(&writer));
    fixture.locks.release_all(&owners[0]);
    assert!(is_granted(&writer));
}

/// What would be starved if conversions went before all others.
#[test]
fn a_conversion_overtakes_nobody_else() {
    let fixture = Fixture::new();
    let owners: Vec<Owner> = (0..3).map(|id| fixture.owner(id)).collect();
    let table = Resource::Table(1);
    fixture.granted(&owners[0], &table, S);
    let writer = fixture.queued(&owners[1], &table, IX);
    fixture.granted(&owners[2], &table, IS);
    let conversion = fixture.queued(&owners[2], &table, S);
    fixture.locks.release_all(&owners[0]);
    assert!(is_granted(&writer));
    assert!(!is_granted(&conversion));
}

#[test]
fn who_gives_up_lets_those_behind_go_on() {
    for reason in [CancelReason::TimedOut, CancelReason::GivenUp] {
        let fixture = Fixture::new();
        let owners: Vec<Owner> = (0..3).map(|id| fixture.owner(id)).collect();
        fixture.granted(&owners[0], &row(1), S);
        let writer = fixture.queued(&owners[1], &row(1), X);
        let reader = fixture.queued(&owners[2], &row(1), S);
        match reason {
            CancelReason::TimedOut => assert_eq!(writer.cancel(reason), WaitEnd::Cancelled(reason)),
            _ => drop(writer),
        }
        assert!(is_granted(&reader));
        let counts = fixture.locks.counts();
        let timed_out = u64::from(reason == CancelReason::TimedOut);
        assert_eq!((counts.timeouts, counts.cancelled), (timed_out, 1 - timed_out));
        assert_eq!(owners[1].waits_for(), None);
        assert!(fixture.queued(&owners[1], &row(1), X).end().is_none());
    }
}

#[test]
fn who_gives_up_too_late_is_told_that_it_has_the_lock() {
    let fixture = Fixture::new();
    let (holder, waiter) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&holder, &row(1), X);
    let ticket = fixture.queued(&waiter, &row(1), S);
    fixture.clock.advance_us(70);
    fixture.locks.release_all(&holder);
    let end = WaitEnd::Granted {
        lock_id: ticket.lock_id(),
        new: true,
        wait_us: 70,
    };
    assert!(!fixture.locks.cancel_wait(&waiter, CancelReason::TimedOut));
    assert_eq!(ticket.cancel(CancelReason::TimedOut), end);
    assert_eq!(waiter.held(), 1);
}

#[test]
fn an_owner_asks_for_nothing_while_it_waits() {
    let fixture = Fixture::new();
    let (holder, waiter) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&holder, &row(1), X);
    fixture.granted(&waiter, &Resource::Table(2), X);
    let ticket = fixture.queued(&waiter, &row(1), X);
    let waiting = Err(LockError::Waiting(ticket.lock_id()));
    let covered = Resource::row(2, 1, &[1]);
    for resource in [row(1), row(2), covered, Resource::Table(2), Resource::named("n")] {
        let asked = fixture.locks.acquire(&waiter, resource, S, Wait::No);
        assert_eq!(asked.map(drop), waiting);
    }
    assert_eq!(waiter.set_killable(false), waiting);
    assert!(fixture.locks.cancel_wait(&waiter, CancelReason::GivenUp));
    assert_eq!(waiter.set_killable(false), Ok(()));
}

#[test]
fn a_released_lock_is_not_waited_for_in_a_stronger_mode() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.owner(1), fixture.owner(2));
    let lock_id = fixture.granted(&first, &row(1), S);
    fixture.granted(&second, &row(1), S);
    let ticket = fixture.queued(&first, &row(1), X);
    fixture.locks.release(&first, lock_id).expect("it is held");
    assert_eq!(ticket.end(), Some(WaitEnd::Cancelled(CancelReason::Released)));
    assert_eq!((first.held(), first.waits_for()), (0, None));
    drop(second);
    assert_empty(&fixture.locks);
}

#[test]
fn an_owner_that_ends_has_nothing_and_waits_for_nothing() {
    let fixture = Fixture::new();
    let (holder, other) = (fixture.owner(1), fixture.owner(2));
    for number in 0..10 {
        fixture.granted(&holder, &row(number), X);
    }
    fixture.granted(&other, &row(100), S);
    let ticket = fixture.queued(&holder, &row(100), X);
    let behind = fixture.queued(&other, &row(7), S);
    drop(holder);
    assert_eq!(ticket.end(), Some(WaitEnd::Cancelled(CancelReason::Released)));
    assert!(is_granted(&behind));
    assert_eq!(fixture.locks.release_all(&other), 2);
    assert_empty(&fixture.locks);
}

#[test]
fn bounds_are_kept() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.owner(1), fixture.owner(2));
    fixture.locks.settings().set_locks_per_owner_max(3);
    fixture.locks.settings().set_locks_max(5);
    for number in 0..3 {
        fixture.granted(&one, &row(number), S);
    }
    let fourth = fixture.locks.acquire(&one, row(3), S, Wait::Yes);
    let too_many = |of, held| Err(LockError::TooManyLocks { of, held });
    assert_eq!(fourth.map(drop), too_many(LockBound::Owner, 3));
    // A stronger mode is no lock more.
    fixture.granted(&one, &row(0), X);
    fixture.granted(&two, &row(1), S);
    // A request that waits counts.
    let ticket = fixture.queued(&two, &row(0), S);
    let three = fixture.owner(3);
    let sixth = || fixture.locks.acquire(&three, row(9), S, Wait::Yes).map(drop);
    assert_eq!(sixth(), too_many(LockBound::All, 5));
    drop(ticket);
    assert_eq!(sixth(), Ok(()));
    drop((one, two, three));
    assert_empty(&fixture.locks);
}

#[test]
fn views_tell_who_has_what_since_when() {
    let fixture = Fixture::new();
    let (first, second, third) = (fixture.owner(1), fixture.owner(2), fixture.owner(3));
    let name = Resource::named("nightly");
    let held = fixture.granted(&first, &name, S);
    fixture.clock.advance_us(10);
    let writer = fixture.queued(&second, &name, X);
    fixture.clock.advance_us(10);
    let reader = fixture.queued(&third, &name, S);
    fixture.clock.advance_us(5);
    let info = |lock_id, owner: &Owner, mode, state| LockInfo {
        lock_id,
        owner: owner.id(),
        resource: name.clone(),
        mode,
        state,
    };
    let acquired_us = 1_000_000;
    let waiting = |since_us, ahead| LockState::Waiting { since_us, ahead };
    let all = [
        info(held, &first, S, LockState::Granted { acquired_us }),
        info(writer.lock_id(), &second, X, waiting(1_000_010, 0)),
        info(reader.lock_id(), &third, S, waiting(1_000_020, 1)),
    ];
    assert_eq!(fixture.locks.list(), all);
    assert_eq!(fixture.locks.holders(&name), all[..1]);
    assert_eq!(fixture.locks.holders(&row(1)), []);
    assert_eq!(fixture.locks.find(reader.lock_id()).as_ref(), Some(&all[2]));
    assert_eq!(fixture.locks.find(LockId(999)), None);
    let waiters = fixture.locks.waiters();
    let told: Vec<_> = waiters
        .iter()
        .map(|waiter| (waiter.owner.0, waiter.wait_us))
        .collect();
    assert_eq!(told, [(2, 15), (3, 5)]);
    assert_eq!(waiters[1].blockers[0].owner, second.id());
    assert_eq!(waiters[0].blockers[0].lock_id, held);
}

struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken_when_its_wait_ends() {
    let fixture = Fixture::new();
    let (holder, waiter) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&holder, &row(1), X);
    let mut ticket = pin!(fixture.queued(&waiter, &row(1), S));
    let woken = Arc::new(Woken(AtomicU64::new(0)));
    let waker = woken.clone().into();
    let mut context = Context::from_waker(&waker);
    assert_eq!(ticket.as_mut().poll(&mut context), Poll::Pending);
    fixture.locks.release_all(&holder);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(matches!(
        ticket.as_mut().poll(&mut context),
        Poll::Ready(WaitEnd::Granted { .. })
    ));
}

#[test]
fn a_thread_waits_as_long_as_it_says() {
    let fixture = Fixture::new();
    let (holder, waiter) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&holder, &row(1), X);
    let ticket = fixture.queued(&waiter, &row(1), S);
    assert_eq!(ticket.wait_for(Duration::from_millis(1)), None);
    fixture.locks.release_all(&holder);
    assert!(matches!(
        ticket.wait_for(Duration::ZERO),
        Some(WaitEnd::Granted { .. })
    ));
    assert!(matches!(ticket.wait(), WaitEnd::Granted { .. }));
}
