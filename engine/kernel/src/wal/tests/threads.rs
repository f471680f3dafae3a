//! Many threads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::SimDisk;

use super::gate::{Gate, Gated};
use super::support::{Kept, SMALL, append, open, setup, setup_on};
use crate::error::KernelError;
use crate::ids::{Lsn, Ts};
use crate::wal::Wal;

#[test]
fn groups_that_are_appended_during_a_sync_share_the_next_one() {
    let gate = Arc::new(Gate::default());
    let disk = Gated {
        inner: SimDisk::new(1),
        gate: Arc::clone(&gate),
    };
    let wal = Wal::create(setup_on(Arc::new(disk), SMALL), Ts(0)).expect("create");
    gate.arm();
    let appended = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let group = wal.append(Ts(1), &[b"group"]).expect("append");
                if appended.fetch_add(1, Ordering::SeqCst) == 7 {
                    gate.release();
                }
                wal.sync_to(group.end).expect("sync");
                assert!(wal.durable() >= group.end);
            });
        }
    });
    let stats = wal.stats();
    assert_eq!(stats.groups, 8);
    assert!((1..=2).contains(&stats.syncs), "{} syncs", stats.syncs);
}

#[test]
fn on_durable_ascends_and_comes_before_any_waiter_returns() {
    let disk = SimDisk::new(2);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let told = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&told);
    wal.on_durable(move |durable, ts| {
        assert!(noted.swap(durable.0, Ordering::SeqCst) < durable.0);
        assert!(ts <= Ts(400));
    });
    let commit = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let group = {
                        let mut ts = commit.lock().expect("no panic");
                        *ts += 1;
                        wal.append(Ts(*ts), &[&[3; 700]]).expect("append")
                    };
                    wal.sync_to(group.end).expect("sync");
                    assert!(told.load(Ordering::SeqCst) >= group.end.0);
                }
            });
        }
    });
}

/// Readers start anywhere, while groups of all sizes are appended and the log is truncated behind them; each sees an
/// unbroken row of whole groups, and only durable ones.
#[test]
fn readers_see_an_unbroken_row_of_durable_groups_while_segments_are_used_again() {
    for seed in 0..4 {
        eprintln!("seed {seed}");
        let disk = SimDisk::new(seed);
        let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
        let beginning = wal.position();
        let model: Mutex<Vec<Kept>> = Mutex::new(Vec::new());
        let finished = AtomicBool::new(false);
        let last = 1_200;
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (wal, model, finished) = (&wal, &model, &finished);
                scope.spawn(move || {
                    let rng = SeededRng::new(seed * 100 + thread);
                    let mut reached = 0;
                    while reached < last {
                        let newest = model.lock().expect("no panic").len() as u64;
                        let after = Ts(newest.saturating_sub(rng.below(60)));
                        let mut reader = match wal.read_after(after) {
                            Ok(reader) => reader,
                            Err(KernelError::LogGone { oldest, .. }) => {
                                assert!(oldest > after);
                                continue;
                            }
                            Err(error) => panic!("{error}"),
                        };
                        let mut expected = after.0;
                        for _ in 0..rng.below(200) {
                            let Some(group) = reader.next_group().expect("whole") else {
                                if finished.load(Ordering::SeqCst) {
                                    break;
                                }
                                std::thread::yield_now();
                                continue;
                            };
                            expected += 1;
                            assert_eq!(group.ts.0, expected);
                            assert!(group.end <= wal.durable());
                            let model = model.lock().expect("no panic");
                            // The writer notes a group after it was appended.
                            if let Some(kept) = model.get(expected as usize - 1) {
                                assert_eq!((group.lsn, group.body), (kept.lsn, kept.body.as_slice()));
                            }
                        }
                        reached = if finished.load(Ordering::SeqCst) {
                            expected
                        } else {
                            0
                        };
                    }
                });
            }
            let rng = SeededRng::new(seed);
            for ts in 1..=last {
                let length = rng.below(if rng.below(40) == 0 { 150_000 } else { 2_000 });
                let kept = append(&wal, &rng, Ts(ts), length as usize).expect("append");
                model.lock().expect("no panic").push(kept);
                if rng.below(3) == 0 || ts == last {
                    wal.flush().expect("flush");
                    if ts < last {
                        let durable = wal.durable();
                        wal.truncate_before(Lsn(durable.0 - rng.below(durable.0).min(300_000)))
                            .expect("truncate");
                    }
                }
            }
            finished.store(true, Ordering::SeqCst);
        });
        // How many segments the readers kept from being used again is up to the schedule. Now nobody reads.
        for ts in last + 1..last + 40 {
            wal.append(Ts(ts), &[&[7; 30_000]]).expect("append");
            wal.flush().expect("flush");
            wal.truncate_before(wal.durable()).expect("truncate");
        }
        assert!(wal.stats().segments_recycled > 3, "{:?}", wal.stats());
        assert!(
            matches!(
                open(setup(&disk, SMALL), beginning),
                Err(KernelError::CorruptLog { .. })
            ),
            "its beginning is gone"
        );
    }
}
