//! Many callers at once: lost updates, snapshots beside commits, the end of a store.

use std::sync::Arc;
use std::thread;

use rustydb_runtime::ManualClock;
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{CommitSeq, KeyRange, SpaceId, TableStore, Versioned, Write, WriteBatch};
use rustydb_store::testing::kernel_store;

const SPACE: SpaceId = SpaceId(1024);

fn in_memory() -> KernelStore {
    kernel_store(Arc::new(ManualClock::new(0)))
}

fn number(row: Option<&Versioned>) -> u64 {
    row.map_or(0, |row| {
        u64::from_le_bytes(row.value.as_slice().try_into().unwrap())
    })
}

/// Reads a counter and tries to write one more.
fn increment(store: &KernelStore, counter: &[u8]) -> Result<CommitSeq, StoreError> {
    let row = store.snapshot()?.get(SPACE, counter)?;
    let value = Some((number(row.as_ref()) + 1).to_le_bytes().to_vec());
    let expected = row.map(|row| row.version);
    let write = Write {
        space: SPACE,
        key: counter.to_vec(),
        expected,
        value,
    };
    store.commit(WriteBatch {
        writes: vec![write],
        log: vec![counter.to_vec()],
        ..WriteBatch::default()
    })
}

#[test]
fn no_increment_is_lost_and_none_counts_twice() {
    const THREADS: u64 = 8;
    const ATTEMPTS: u64 = 400;
    const COUNTERS: u64 = 3;
    let store = in_memory();
    let mut positions: Vec<CommitSeq> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let store = &store;
                scope.spawn(move || {
                    let mut won = Vec::new();
                    for attempt in 0..ATTEMPTS {
                        let counter = (worker + attempt) % COUNTERS;
                        match increment(store, &counter.to_le_bytes()) {
                            Ok(position) => won.push(position),
                            Err(StoreError::Conflict { space, key }) => {
                                assert_eq!((space, key), (SPACE, counter.to_le_bytes().to_vec()));
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                    won
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    positions.sort_unstable();
    let successes = positions.len() as u64;
    // Dense positions from 1: each success has its own, and a conflict takes none.
    assert_eq!(positions, (1..=successes).map(CommitSeq).collect::<Vec<_>>());
    let snapshot = store.snapshot().unwrap();
    let rows = snapshot.scan(SPACE, &KeyRange::default(), usize::MAX).unwrap();
    assert_eq!(
        rows.iter().map(|(_, row)| number(Some(row))).sum::<u64>(),
        successes
    );
    assert_eq!(
        store.log_after(CommitSeq(0), usize::MAX).unwrap().len() as u64,
        successes
    );
    assert!(
        successes >= ATTEMPTS,
        "one of the contenders always wins: {successes}"
    );
}

#[test]
fn ten_open_snapshots_hold_up_no_commit_and_see_no_later_one() {
    let store = in_memory();
    let mut snapshots = Vec::new();
    for expected in 0..10 {
        snapshots.push(store.snapshot().unwrap());
        assert_eq!(increment(&store, b"counter").unwrap(), CommitSeq(expected + 1));
    }
    for _ in 0..200 {
        increment(&store, b"counter").unwrap();
    }
    for (position, snapshot) in (0..).zip(&snapshots) {
        assert_eq!(snapshot.seq(), CommitSeq(position));
        assert_eq!(
            number(snapshot.get(SPACE, b"counter").unwrap().as_ref()),
            position
        );
    }
    assert_eq!(
        number(store.snapshot().unwrap().get(SPACE, b"counter").unwrap().as_ref()),
        210
    );
}

/// A reader sees pairs that one batch writes together only together, while a writer goes on.
#[test]
fn readers_never_see_half_a_batch() {
    const ROUNDS: u64 = 500;
    let store = in_memory();
    let write = |key: &[u8], round: u64| Write {
        space: SPACE,
        key: key.to_vec(),
        expected: (round > 0).then_some(CommitSeq(round)),
        value: Some(round.to_le_bytes().to_vec()),
    };
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..ROUNDS {
                let writes = vec![write(b"left", round), write(b"right", round)];
                store
                    .commit(WriteBatch {
                        writes,
                        ..WriteBatch::default()
                    })
                    .unwrap();
            }
        });
        let mut last_seen = CommitSeq(0);
        while !writer.is_finished() {
            let snapshot = store.snapshot().unwrap();
            let side = |key: &[u8]| snapshot.get(SPACE, key).unwrap();
            assert_eq!(side(b"left"), side(b"right"));
            assert!(
                snapshot.seq() >= last_seen,
                "a later snapshot shows an earlier state"
            );
            last_seen = snapshot.seq();
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_commit_is_visible_to_a_snapshot_taken_after_its_answer() {
    let store = in_memory();
    thread::scope(|scope| {
        for worker in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..200 {
                    let position = increment(store, &worker.to_le_bytes()).unwrap();
                    assert!(store.snapshot().unwrap().seq() >= position);
                }
            });
        }
    });
}

/// Another process may have the files by then.
#[test]
fn a_snapshot_that_outlives_its_store_reads_nothing_more() {
    let store = in_memory();
    increment(&store, b"counter").unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(number(snapshot.get(SPACE, b"counter").unwrap().as_ref()), 1);
    drop(store);
    assert_eq!(snapshot.seq(), CommitSeq(1));
    let refused = [
        snapshot.get(SPACE, b"counter").map(drop),
        snapshot.scan(SPACE, &KeyRange::default(), 1).map(drop),
        snapshot.space_stats(SPACE).map(drop),
    ];
    for refused in refused {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("the store is closed"), "{told}");
    }
}
