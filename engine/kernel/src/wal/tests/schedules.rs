//! Under shuttle: every waiter of `sync_to` returns, whatever the schedule. A waiter that nobody wakes is a deadlock,
//! which shuttle reports with the schedule.

use std::sync::Arc;

use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::{Fault, Survival};

use super::support::{FOLDER, SMALL, open, setup};
use crate::error::KernelError;
use crate::ids::Ts;
use crate::sync::{Mutex, thread};
use crate::wal::Wal;

fn explore(iterations: usize, test: fn()) {
    shuttle::check_random(test, iterations);
    shuttle::check_pct(test, iterations, 3);
}

fn commit(wal: &Wal, clock: &Mutex<u64>, bytes: usize) -> Result<(), KernelError> {
    let group = {
        let mut ts = clock.lock();
        *ts += 1;
        wal.append(Ts(*ts), &[&vec![1; bytes]])?
    };
    wal.sync_to(group.end)?;
    assert!(wal.durable() >= group.end);
    Ok(())
}

/// Three threads commit, one of them groups that the buffer has no room for.
fn all_commit() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    let clock = Arc::new(Mutex::new(0));
    let threads: Vec<_> = [10, 20_000, 50]
        .into_iter()
        .map(|bytes| {
            let (wal, clock) = (wal.clone(), Arc::clone(&clock));
            thread::spawn(move || {
                for _ in 0..2 {
                    commit(&wal, &clock, bytes).expect("commit");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let (_, groups) = open(setup(&disk.crash(Survival::Nothing), SMALL), from).expect("open");
    assert_eq!(groups.len(), 6);
}

#[test]
fn shuttle_no_waiter_of_a_sync_is_lost() {
    explore(300, all_commit);
}

/// A sync fails: everyone who waits is told, and nobody is told that it worked who cannot know.
fn one_fails() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    disk.inject(Fault::fail_sync(1).below(FOLDER));
    let (clock, acknowledged) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (wal, clock, acknowledged) = (wal.clone(), Arc::clone(&clock), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for _ in 0..2 {
                    match commit(&wal, &clock, 30) {
                        Ok(()) => *acknowledged.lock() += 1,
                        Err(KernelError::Poisoned { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let (_, groups) = open(setup(&disk.crash(Survival::Nothing), SMALL), from).expect("open");
    assert!(groups.len() >= *acknowledged.lock());
}

#[test]
fn shuttle_a_failed_sync_wakes_all_who_wait() {
    explore(300, one_fails);
}

/// Segments are ended, sealed and truncated while others commit and read.
fn housekeeping() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let clock = Arc::new(Mutex::new(0));
    let mut reader = wal.read_after(Ts(0)).expect("nothing was truncated before");
    let committers: Vec<_> = (0..2)
        .map(|_| {
            let (wal, clock) = (wal.clone(), Arc::clone(&clock));
            thread::spawn(move || {
                for _ in 0..2 {
                    commit(&wal, &clock, 100).expect("commit");
                }
            })
        })
        .collect();
    let keeper = {
        let wal = wal.clone();
        thread::spawn(move || {
            wal.switch_segment().expect("switch");
            wal.truncate_before(wal.durable()).expect("truncate");
            wal.seal().expect("seal");
        })
    };
    let mut expected = 0;
    while let Some(group) = reader.next_group().expect("whole") {
        expected += 1;
        assert_eq!(group.ts, Ts(expected));
    }
    for thread in committers {
        thread.join().expect("no panic");
    }
    keeper.join().expect("no panic");
    while let Some(group) = reader.next_group().expect("whole") {
        expected += 1;
        assert_eq!(group.ts, Ts(expected));
    }
    assert_eq!(expected, 4);
}

#[test]
fn shuttle_housekeeping_and_commits_do_not_block_each_other() {
    explore(300, housekeeping);
}
