//! Measures locks: `cargo run --release -p rustydb-kernel --example lock_speed`.
//!
//! The key of a row is made anew for each lock, as a caller does.

#![allow(clippy::print_stdout, reason = "what a measurement is for")]

use std::hint::black_box;
use std::sync::Barrier;

use rustydb_kernel::locks::{Acquired, LockId, LockMode, Locks, Owner, OwnerInfo, Resource, Wait};
use rustydb_kernel::sync::{Arc, thread};
use rustydb_runtime::{Clock, SystemClock};

const TABLE: u64 = 7;

/// Nanoseconds of one call: the best of many short runs, for what else the machine does only adds to it.
fn measure(calls: u64, mut run: impl FnMut()) -> f64 {
    let clock = SystemClock::new();
    let mut best_ns = u64::MAX;
    let began_us = clock.now_mono_us();
    while clock.now_mono_us() - began_us < 1_000_000 {
        let start_ns = clock.now_mono_ns();
        run();
        best_ns = best_ns.min(clock.now_mono_ns() - start_ns);
    }
    best_ns as f64 / calls as f64
}

fn granted(acquired: Acquired) -> LockId {
    match acquired {
        Acquired::Granted { lock_id, .. } => lock_id,
        other => panic!("nobody else is there: {other:?}"),
    }
}

/// An owner with the intention to write rows.
fn writer(locks: &Locks, id: u64) -> Owner {
    let owner = locks.register(OwnerInfo { id, began_order: id });
    let table = locks.acquire(&owner, Resource::Table(TABLE), LockMode::IX, Wait::No);
    granted(table.expect("no bound is near"));
    owner
}

fn lock_row(locks: &Locks, owner: &Owner, row: u64) -> LockId {
    let key = row.to_be_bytes();
    let acquired = locks.acquire_row(owner, (TABLE, 1, &key), LockMode::X, Wait::No);
    granted(acquired.expect("no bound is near"))
}

fn acquire_and_release(locks: &Locks, owner: &Owner, calls: u64) {
    for row in 0..calls {
        let lock_id = lock_row(locks, owner, row % 1000);
        locks.release(owner, black_box(lock_id)).expect("it is held");
    }
}

fn main() {
    const CALLS: u64 = 5_000;
    let locks = Locks::new(Arc::new(SystemClock::new()));
    locks.settings().set_escalate_after(0);
    let owner = writer(&locks, 1);
    let one_ns = measure(CALLS, || acquire_and_release(&locks, &owner, CALLS));
    println!("acquire and release a row: {one_ns:.1} ns");

    for rows in [10, 1000, 100_000] {
        let all_ns = measure(rows, || {
            let owner = writer(&locks, 2);
            for row in 0..rows {
                lock_row(&locks, &owner, row);
            }
            locks.release_all(&owner);
        });
        println!("a transaction of {rows} rows, all released: {all_ns:.1} ns a row");
    }

    let again_ns = measure(CALLS, || {
        lock_row(&locks, &owner, 1);
        for _ in 0..CALLS {
            black_box(lock_row(&locks, &owner, 1));
        }
    });
    println!("acquire a row that is held: {again_ns:.1} ns");
    granted(
        locks
            .acquire(&owner, Resource::Table(TABLE), LockMode::X, Wait::No)
            .expect("no bound is near"),
    );
    let covered_ns = measure(CALLS, || {
        for row in 0..CALLS {
            black_box(lock_row(&locks, &owner, row));
        }
    });
    println!("acquire a row of a table that is held: {covered_ns:.1} ns");
    drop(owner);
    println!(
        "2 threads acquire and release rows: {:.1} ns of each",
        together(&locks)
    );
}

/// Nanoseconds of one acquire and release when two threads lock rows of one table, not the same.
fn together(locks: &Locks) -> f64 {
    const CALLS: u64 = 20_000;
    const ROWS: u64 = 1000;
    let barrier = Barrier::new(2);
    measure(CALLS, || {
        thread::scope(|scope| {
            for id in 0..2 {
                let barrier = &barrier;
                scope.spawn(move || {
                    let owner = writer(locks, 100 + id);
                    barrier.wait();
                    for call in 0..CALLS {
                        let lock_id = lock_row(locks, &owner, id * ROWS + call % ROWS);
                        locks.release(&owner, black_box(lock_id)).expect("it is held");
                    }
                });
            }
        });
    })
}
