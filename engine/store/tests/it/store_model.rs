//! Random batches against the reference: verdicts, contents, statistics, log, old snapshots, reopening.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustydb_kernel::kernel::KernelOptions;
use rustydb_runtime::disk::simulated::SimDisk;
use rustydb_runtime::{Clock, ManualClock, SeededRng, SystemRng};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::redb_store::RedbStore;
use rustydb_store::seam::{
    CommitSeq, Guard, KeyRange, SpaceId, StoreSnapshot, TableStore, Write, WriteBatch,
};
use rustydb_store::testing::{kernel_store, kernel_store_on};

use crate::reference::{Reference, check_stats, seed_of};

const SPACES: [SpaceId; 5] = [
    SpaceId::META,
    SpaceId(1),
    SpaceId(1024),
    SpaceId(1025),
    SpaceId(rustydb_kernel::kernel::SPACES_MAX - 1),
];
const SNAPSHOTS_MAX: usize = 8;

fn random_key(rng: &SeededRng) -> Vec<u8> {
    // Few and short, with prefixes of one another and with bytes that would break a textual encoding.
    let alphabet = [0x00, b'a', b'b', 0xff];
    (0..rng.below(4))
        .map(|_| alphabet[rng.below(4) as usize])
        .collect()
}

fn random_bytes(rng: &SeededRng, length_max: u64) -> Vec<u8> {
    // One in fifty spans pages.
    let length = if rng.below(50) == 0 {
        rng.below(20_000)
    } else {
        rng.below(length_max)
    };
    vec![rng.below(256) as u8; length as usize]
}

/// Mostly the version that is there, so that most batches pass.
fn random_expectation(
    rng: &SeededRng,
    reference: &Reference,
    space: SpaceId,
    key: &[u8],
) -> Option<CommitSeq> {
    match rng.below(30) {
        0 => None,
        1 => Some(CommitSeq(rng.below(reference.newest.0 + 2))),
        _ => reference.version(space, key),
    }
}

fn random_batch(rng: &SeededRng, reference: &Reference) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let space = || SPACES[rng.below(SPACES.len() as u64) as usize];
    for _ in 0..rng.below(6) {
        let (space, key) = (space(), random_key(rng));
        let expected = random_expectation(rng, reference, space, &key);
        let value = (rng.below(3) > 0).then(|| random_bytes(rng, 40));
        batch.writes.push(Write {
            space,
            key,
            expected,
            value,
        });
    }
    for _ in 0..rng.below(3) {
        let (space, key) = (space(), random_key(rng));
        let expected = random_expectation(rng, reference, space, &key);
        batch.guards.push(Guard { space, key, expected });
    }
    if rng.below(15) == 0 {
        batch.dropped_spaces.push(space());
    }
    for _ in 0..rng.below(4) {
        batch.log.push(random_bytes(rng, 30));
    }
    batch
}

fn random_range(rng: &SeededRng) -> KeyRange {
    let bound = || (rng.below(2) == 0).then(|| random_key(rng));
    KeyRange {
        from: bound(),
        after: bound(),
        until: bound(),
    }
}

/// Runs `steps` random steps on the store that `open` gives, which must be the same one each time.
fn run(seed: u64, steps: u64, open: impl Fn(Arc<dyn Clock>) -> Arc<dyn TableStore>) {
    let rng = SeededRng::new(seed);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let spaces = BTreeSet::from(SPACES);
    let mut reference = Reference::default();
    let mut store = open(clock.clone());
    let mut snapshots: Vec<(Arc<dyn StoreSnapshot>, Reference)> = Vec::new();
    let (mut applied, mut refused) = (0, 0);
    for step in 0..steps {
        clock.advance_us(rng.below(1000));
        let batch = random_batch(&rng, &reference);
        let expected = reference.commit(&batch, clock.now_us());
        match (store.commit(batch.clone()), expected) {
            (Ok(got), Ok(expected)) => {
                assert_eq!(got, expected, "step {step}: {batch:?}");
                applied += 1;
            }
            (Err(StoreError::Conflict { space, key }), Err(expected)) => {
                assert_eq!((space, key), expected, "step {step}: {batch:?}");
                refused += 1;
            }
            (got, expected) => panic!("step {step}: {got:?}, expected {expected:?} for {batch:?}"),
        }
        let after = CommitSeq(rng.below(reference.newest.0 + 2));
        let entries_max = rng.below(12) as usize;
        let log = store.log_after(after, entries_max).unwrap();
        assert_eq!(
            log,
            reference.log_after(after, entries_max),
            "step {step}, after {after:?}"
        );
        let (space, range) = (SPACES[rng.below(5) as usize], random_range(&rng));
        let found = store
            .snapshot()
            .unwrap()
            .scan(space, &range, entries_max)
            .unwrap();
        assert_eq!(
            found,
            reference.scan(space, &range, entries_max),
            "step {step}: {space:?} {range:?}"
        );
        let key = random_key(&rng);
        let row = store.snapshot().unwrap().get(space, &key).unwrap();
        assert_eq!(
            row.map(|row| row.version),
            reference.version(space, &key),
            "step {step}"
        );
        if rng.below(20) == 0 {
            if snapshots.len() == SNAPSHOTS_MAX {
                let (snapshot, then) = snapshots.swap_remove(rng.below(SNAPSHOTS_MAX as u64) as usize);
                then.compare(snapshot.as_ref(), &spaces).unwrap();
            }
            snapshots.push((store.snapshot().unwrap(), reference.clone()));
        }
        if rng.below(100) == 0 {
            reference.compare_store(&*store, &spaces).unwrap();
        }
        if rng.below(300) == 0 {
            for (snapshot, then) in snapshots.drain(..) {
                then.compare(snapshot.as_ref(), &spaces).unwrap();
            }
            drop(store);
            store = open(clock.clone());
            reference.compare_store(&*store, &spaces).unwrap();
        }
    }
    reference.compare_store(&*store, &spaces).unwrap();
    drop(store);
    reference.compare_store(&*open(clock), &spaces).unwrap();
    assert!(
        applied > steps / 2 && refused > steps / 50,
        "{applied} applied, {refused} refused of {steps}"
    );
}

#[test]
fn random_batches_do_what_the_reference_does() {
    let seed = seed_of("random_batches_do_what_the_reference_does");
    let disk = SimDisk::new(seed);
    run(seed, 3000, |clock| {
        Arc::new(kernel_store_on(&disk, clock).unwrap())
    });
    // The oracle of the oracle: another engine.
    let folder = tempfile::tempdir().unwrap();
    run(seed, 300, |clock| {
        Arc::new(RedbStore::open(&folder.path().join("redb"), clock).unwrap())
    });
}

#[test]
fn random_batches_on_a_file_do_what_the_reference_does() {
    let folder = tempfile::tempdir().unwrap();
    let open = |clock| -> Arc<dyn TableStore> {
        let options = KernelOptions::default();
        Arc::new(KernelStore::open(folder.path(), "store", clock, &SystemRng, options).unwrap())
    };
    run(
        seed_of("random_batches_on_a_file_do_what_the_reference_does"),
        300,
        open,
    );
}

/// Callers that share keys and spaces, and groups of batches that share a sync: whatever was let in must be
/// allowed, one after the other in the order of the positions, by the reference.
#[test]
fn batches_of_many_callers_apply_in_the_order_of_their_positions() {
    const CALLERS: u64 = 8;
    const ROUNDS: u64 = 300;
    let seed = seed_of("batches_of_many_callers_apply_in_the_order_of_their_positions");
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let store: Arc<dyn TableStore> = Arc::new(kernel_store(clock.clone()));
    let random_batch = |rng: &SeededRng| {
        let snapshot = store.snapshot().unwrap();
        let seen = |space, key: &[u8]| snapshot.get(space, key).unwrap().map(|row| row.version);
        let mut batch = WriteBatch::default();
        let space = || SPACES[rng.below(SPACES.len() as u64) as usize];
        for _ in 0..1 + rng.below(3) {
            let (space, key) = (space(), random_key(rng));
            let value = (rng.below(3) > 0).then(|| random_bytes(rng, 40));
            batch.writes.push(Write {
                space,
                expected: seen(space, &key),
                key,
                value,
            });
        }
        if rng.below(2) == 0 {
            let (space, key) = (space(), random_key(rng));
            batch.guards.push(Guard {
                space,
                expected: seen(space, &key),
                key,
            });
        }
        if rng.below(10) == 0 {
            batch.dropped_spaces.push(space());
        }
        batch.log.push(random_bytes(rng, 30));
        batch
    };
    let caller = |id: u64| {
        let rng = SeededRng::new(seed.wrapping_add(id));
        let mut applied = Vec::new();
        for _ in 0..ROUNDS {
            let batch = random_batch(&rng);
            match store.commit(batch.clone()) {
                Ok(position) => applied.push((position, batch)),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            let space = SPACES[rng.below(SPACES.len() as u64) as usize];
            check_stats(store.snapshot().unwrap().as_ref(), space).unwrap();
        }
        applied
    };
    let mut applied: Vec<(CommitSeq, WriteBatch)> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|id| {
                scope.spawn({
                    let caller = &caller;
                    move || caller(id)
                })
            })
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    applied.sort_by_key(|(position, _)| *position);
    let mut reference = Reference::default();
    for (position, batch) in &applied {
        assert_eq!(
            reference.commit(batch, clock.now_us()),
            Ok(*position),
            "{batch:?}"
        );
    }
    reference.compare_store(&*store, &BTreeSet::from(SPACES)).unwrap();
    let applied = applied.len() as u64;
    println!("{applied} of {} applied", CALLERS * ROUNDS);
    assert!(applied > ROUNDS, "{applied} applied");
}

#[test]
fn an_empty_batch_answers_the_newest_position_without_writing() {
    let disk = SimDisk::new(1);
    let store = kernel_store_on(&disk, Arc::new(ManualClock::new(0))).unwrap();
    let log = WriteBatch {
        log: vec![b"entry".to_vec()],
        ..WriteBatch::default()
    };
    assert_eq!(store.commit(log).unwrap(), CommitSeq(1));
    let before = disk.operations();
    assert_eq!(store.commit(WriteBatch::default()).unwrap(), CommitSeq(1));
    assert_eq!(disk.operations(), before);
}

#[test]
fn guards_alone_are_checked_without_taking_a_position() {
    let store = kernel_store(Arc::new(ManualClock::new(0)));
    let write = |expected, value: &[u8]| WriteBatch {
        writes: vec![Write {
            space: SpaceId(7),
            key: b"k".to_vec(),
            expected,
            value: Some(value.to_vec()),
        }],
        ..WriteBatch::default()
    };
    store.commit(write(None, b"1")).unwrap();
    store.commit(write(Some(CommitSeq(1)), b"2")).unwrap();
    let guard = |expected| WriteBatch {
        guards: vec![Guard {
            space: SpaceId(7),
            key: b"k".to_vec(),
            expected,
        }],
        ..WriteBatch::default()
    };
    assert_eq!(store.commit(guard(Some(CommitSeq(2)))).unwrap(), CommitSeq(2));
    for stale in [None, Some(CommitSeq(1)), Some(CommitSeq(3))] {
        assert!(
            matches!(store.commit(guard(stale)), Err(StoreError::Conflict { .. })),
            "{stale:?}"
        );
    }
    assert_eq!(store.snapshot().unwrap().seq(), CommitSeq(2));
}

#[test]
fn an_oversized_key_is_refused_and_the_store_goes_on() {
    let store = kernel_store(Arc::new(ManualClock::new(0)));
    let write = |bytes| WriteBatch {
        writes: vec![Write {
            space: SpaceId(7),
            key: vec![0; bytes],
            expected: None,
            value: Some(Vec::new()),
        }],
        ..WriteBatch::default()
    };
    let bytes_max = rustydb_store::tables::KEY_BYTES_MAX;
    assert!(matches!(
        store.commit(write(bytes_max + 1)),
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(store.commit(write(bytes_max)).unwrap(), CommitSeq(1));
    assert_eq!(
        store.snapshot().unwrap().space_stats(SpaceId(7)).unwrap().bytes,
        bytes_max as u64
    );
}
