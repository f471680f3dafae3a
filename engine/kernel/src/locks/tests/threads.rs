//! Threads that lock, wait, give up and are victims: nobody is beside a writer, and everybody comes to an end.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustydb_runtime::SeededRng;

use super::*;

const ROWS: u8 = 5;
const THREADS: u64 = 4;
const TRANSACTIONS: u64 = 400;
/// How long a wait may take before it is taken for one that nobody ends.
const LOST: Duration = Duration::from_secs(30);

/// Number of readers of each row, or -1 for a writer.
type Users = [AtomicI64; ROWS as usize];

struct Ends {
    granted: AtomicU64,
    deadlocks: AtomicU64,
    given_up: AtomicU64,
}

fn enter(users: &Users, row: u8, mode: LockMode, was: Option<LockMode>) {
    let users = &users[usize::from(row)];
    match (mode, was) {
        (LockMode::X, None) => assert_eq!(users.swap(-1, Ordering::SeqCst), 0),
        (LockMode::X, Some(LockMode::S)) => assert_eq!(users.swap(-1, Ordering::SeqCst), 1),
        (LockMode::S, None) => assert!(users.fetch_add(1, Ordering::SeqCst) >= 0),
        _ => {}
    }
}

fn leave(users: &Users, row: u8, mode: LockMode) {
    let users = &users[usize::from(row)];
    match mode {
        LockMode::X => assert_eq!(users.swap(0, Ordering::SeqCst), -1),
        _ => assert!(users.fetch_sub(1, Ordering::SeqCst) > 0),
    }
}

/// Locks a few rows in any order; false when it was a victim or gave up.
fn transaction(fixture: &Fixture, id: u64, rng: &SeededRng, users: &Users, ends: &Ends) -> bool {
    let owner = fixture.owner(id);
    let mut held: Vec<(u8, LockMode)> = Vec::new();
    let mut whole = true;
    for _ in 0..=rng.below(4) {
        let number = rng.below(u64::from(ROWS)) as u8;
        let mode = [LockMode::S, LockMode::X][rng.below(2) as usize];
        if let Acquired::Queued(ticket) = fixture.ask(&owner, &row(number), mode) {
            let mut end = ticket.wait_for(Duration::from_micros(rng.below(300)));
            if end.is_none() && rng.below(10) == 0 {
                end = Some(ticket.cancel(CancelReason::TimedOut));
            } else if end.is_none() {
                fixture.locks.detect_from(&ticket);
                end = ticket.wait_for(LOST);
            }
            let counter = match end.expect("nobody is forgotten") {
                WaitEnd::Granted { .. } => &ends.granted,
                WaitEnd::Deadlock(deadlock) => {
                    assert_eq!(deadlock.victim, owner.id());
                    &ends.deadlocks
                }
                WaitEnd::Cancelled(_) => &ends.given_up,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            if !std::ptr::eq(counter, &ends.granted) {
                whole = false;
                break;
            }
        }
        let was = held.iter().position(|(held, _)| *held == number);
        let was_mode = was.map(|place| held[place].1);
        enter(users, number, mode, was_mode);
        match was {
            Some(place) => held[place].1 = held[place].1.join(mode),
            None => held.push((number, mode)),
        }
    }
    assert_eq!(owner.held(), held.len());
    for (number, mode) in held {
        leave(users, number, mode);
    }
    whole
}

#[test]
fn threads_exclude_each_other_and_nobody_is_forgotten() {
    let seed = std::env::var("RUSTYDB_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let turns = std::env::var("RUSTYDB_SOAK").map_or(1, |_| 20);
    eprintln!("RUSTYDB_SEED={seed}");
    let fixture = Fixture::new();
    let users: Users = Default::default();
    let ends = Ends {
        granted: AtomicU64::new(0),
        deadlocks: AtomicU64::new(0),
        given_up: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (fixture, users, ends) = (&fixture, &users, &ends);
            scope.spawn(move || {
                let rng = SeededRng::new(seed * 1000 + thread);
                for number in 0..TRANSACTIONS * turns {
                    let id = number * THREADS + thread;
                    while !transaction(fixture, id, &rng, users, ends) {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    assert_empty(&fixture.locks);
    let counts = fixture.locks.counts();
    assert_eq!(counts.deadlocks, ends.deadlocks.into_inner());
    assert_eq!(counts.timeouts, ends.given_up.into_inner());
    let ended = ends.granted.into_inner() + counts.deadlocks + counts.timeouts;
    assert_eq!(counts.waits, ended);
}
