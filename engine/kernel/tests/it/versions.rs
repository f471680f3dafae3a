//! States of the past against a model that forgets nothing: which ones are there, what they show, and what is stored of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::{
    Kernel, KernelOptions, NAMED_SNAPSHOTS_MAX, Pruned, SNAPSHOT_NAME_BYTES_MAX, Snapshot, VersionCounts,
    VersionError,
};
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::Survival;
use rustydb_runtime::{Clock, ManualClock, SeededRng};

use crate::model::{Act, Model};
use crate::random::{commit, options, random_acts, seed_of};

const SPACES: u64 = 3;

fn open(disk: &SimDisk, clock: &Arc<ManualClock>, retention_us: u64) -> Kernel {
    let options = KernelOptions {
        version_retention_us: retention_us,
        ..options()
    };
    Kernel::open(
        Arc::new(disk.clone()),
        "kernel",
        clock.clone(),
        &SeededRng::new(7),
        options,
    )
    .unwrap()
}

/// What must be there of the past.
struct Past {
    /// Commits with the millisecond of each, which never goes back.
    times: Vec<(i64, Ts)>,
    window: Ts,
    retention_us: u64,
    named: BTreeMap<String, Ts>,
}

impl Past {
    fn newest_at(&self, at_us: i64) -> Option<Ts> {
        let at_ms = at_us.div_euclid(1_000);
        let found = self.times.iter().rev().find(|(made_ms, _)| *made_ms <= at_ms);
        found.map(|(_, ts)| *ts)
    }

    fn note(&mut self, ts: Ts, at_us: i64) {
        let last_ms = self.times.last().map_or(i64::MIN, |last| last.0);
        self.times.push((at_us.div_euclid(1_000).max(last_ms), ts));
    }

    fn move_window(&mut self, now_us: i64, newest: Ts) {
        let begins = match self.retention_us {
            0 => newest,
            kept_us => self.newest_at(now_us - kept_us as i64).unwrap_or_default(),
        };
        self.window = self.window.max(begins);
    }

    fn is_there(&self, ts: Ts, open: &[Snapshot]) -> bool {
        ts >= self.window
            || self.named.values().any(|named| *named == ts)
            || open.iter().any(|snapshot| snapshot.ts() == ts)
    }
}

fn check_state(kernel: &Kernel, past: &Past, model: &Model, open: &[Snapshot], ts: Ts, context: &str) {
    match kernel.snapshot_at(ts) {
        Ok(snapshot) => {
            assert!(past.is_there(ts, open), "{context}: {ts:?} should be gone");
            for space in 0..SPACES {
                let shown = snapshot.scan(space, &[], None, usize::MAX).unwrap();
                let shown: Vec<_> = shown
                    .into_iter()
                    .map(|(key, found)| (key, found.ts, found.value))
                    .collect();
                assert!(
                    shown == model.all(space, ts),
                    "{context}: space {space} at {ts:?}"
                );
            }
        }
        Err(VersionError::TooOld { oldest, .. }) => {
            assert!(!past.is_there(ts, open), "{context}: {ts:?} should be there");
            assert_eq!(oldest, past.window, "{context}");
        }
        Err(error) => panic!("{context}: {error}"),
    }
}

/// Of each key every version is stored that a state shows which is there, and nothing that never was.
fn check_stored(kernel: &Kernel, past: &Past, model: &Model, open: &[Snapshot], context: &str) {
    let newest = model.newest;
    for space in 0..SPACES {
        // What a dropped space held lies in another tree.
        let current = kernel.snapshot().tree(space).unwrap();
        let mut needed = BTreeSet::new();
        for ts in (0..=newest.0).map(Ts).filter(|ts| past.is_there(*ts, open)) {
            if kernel.snapshot_at(ts).unwrap().tree(space).unwrap() == current {
                needed.extend(
                    model
                        .all(space, ts)
                        .into_iter()
                        .map(|(key, version, _)| (key, version)),
                );
            }
        }
        let keys: BTreeSet<Vec<u8>> = needed.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let stored = kernel.versions(space, &key, usize::MAX).unwrap();
            assert!(stored.windows(2).all(|pair| pair[0].ts > pair[1].ts), "{context}");
            for version in &stored {
                if let Some(value) = &version.value {
                    assert!(
                        model.had(space, &key, version.ts, value),
                        "{context}: {key:?} never was so at {:?}",
                        version.ts
                    );
                    needed.remove(&(key.clone(), version.ts));
                }
            }
        }
        assert!(needed.is_empty(), "{context}: space {space} lost {needed:?}");
    }
}

fn vacuum(kernel: &Kernel, space: u64) -> Pruned {
    let mut pruned = Pruned::default();
    let mut from = Some(Kernel::first_leaf());
    while let Some(at) = from {
        let (of_leaf, next) = kernel.vacuum_leaf(space, &at).unwrap();
        pruned.add(of_leaf);
        from = next;
    }
    pruned
}

fn count(kernel: &Kernel, space: u64) -> VersionCounts {
    let mut counts = VersionCounts::default();
    let mut from = Some(Kernel::first_leaf());
    while let Some(at) = from {
        let (of_leaf, next) = kernel.count_leaf(space, &at).unwrap();
        counts.add(of_leaf);
        from = next;
    }
    counts
}

fn run(seed: u64, steps: u64) {
    let rng = SeededRng::new(seed);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let mut disk = SimDisk::new(seed);
    let mut model = Model::default();
    let mut past = Past {
        times: Vec::new(),
        window: Ts(0),
        retention_us: [0, 20_000, 200_000][seed as usize % 3],
        named: BTreeMap::new(),
    };
    let mut kernel = open(&disk, &clock, past.retention_us);
    past.note(Ts(0), clock.now_us());
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut gone = 0;
    for step in 0..steps {
        let context = format!("seed {seed} step {step}");
        clock.advance_us(1 + rng.below(3_000));
        let before = model.newest;
        let acts = random_acts(&rng, before);
        let expected = model.commit(&acts, clock.now_us()).unwrap_or(before);
        // The window of a commit is that of its beginning.
        past.move_window(clock.now_us(), before);
        assert_eq!(
            commit(&kernel, &acts, clock.now_us()).unwrap(),
            expected,
            "{context}"
        );
        if expected != before {
            past.note(expected, clock.now_us());
        }
        let newest = model.newest;
        match rng.below(24) {
            0 => while kernel.step().unwrap() {},
            1 => drop(vacuum(&kernel, rng.below(SPACES))),
            2 if snapshots.len() < 4 => snapshots.push(kernel.snapshot()),
            3 if snapshots.len() < 4 => {
                let ts = Ts(rng.below(newest.0 + 1));
                snapshots.extend(kernel.snapshot_at(ts));
            }
            4 | 5 if !snapshots.is_empty() => {
                drop(snapshots.swap_remove(rng.below(snapshots.len() as u64) as usize))
            }
            6 => {
                let name = format!("s{}", rng.below(4));
                match (kernel.create_snapshot(&name), past.named.contains_key(&name)) {
                    (Ok(made), false) => {
                        assert_eq!((made.ts, made.created_at_us), (newest, clock.now_us()));
                        past.named.insert(name, made.ts);
                    }
                    (Err(VersionError::NameTaken { .. }), true) => {}
                    (made, _) => panic!("{context}: {made:?}"),
                }
            }
            7 => {
                let name = format!("s{}", rng.below(4));
                match (kernel.drop_snapshot(&name), past.named.remove(&name)) {
                    (Ok(dropped), Some(ts)) => assert_eq!(dropped.ts, ts),
                    (Err(VersionError::NoSuchName { .. }), None) => {}
                    (dropped, _) => panic!("{context}: {dropped:?}"),
                }
            }
            8 if rng.below(3) == 0 => {
                snapshots.clear();
                let crashed = disk.crash(Survival::Nothing);
                drop(kernel);
                if rng.below(2) == 0 {
                    disk = crashed;
                }
                kernel = open(&disk, &clock, past.retention_us);
                past.window = newest;
                past.times = vec![(clock.now_us().div_euclid(1_000), newest)];
            }
            9 => {
                past.retention_us = rng.below(3) * 50_000;
                kernel.set_version_retention_us(past.retention_us);
            }
            _ => {}
        }
        past.move_window(clock.now_us(), newest);
        let report = kernel.versions_report();
        assert_eq!(
            (report.newest, report.oldest_readable, report.retention_us),
            (newest, past.window, past.retention_us),
            "{context}"
        );
        assert_eq!(
            (report.open_snapshots, report.named_snapshots),
            (snapshots.len(), past.named.len()),
            "{context}"
        );
        let oldest = snapshots
            .iter()
            .map(Snapshot::ts)
            .chain(past.named.values().copied())
            .min();
        assert_eq!(report.oldest_snapshot, oldest, "{context}");
        let at_us = clock.now_us() - rng.below(300_000) as i64;
        if let Ok(ts) = kernel.commit_at(at_us) {
            assert_eq!(Some(ts), past.newest_at(at_us), "{context}: at {at_us}");
        } else {
            assert!(
                past.newest_at(at_us).is_none_or(|ts| ts <= past.window),
                "{context}"
            );
        }
        for _ in 0..3 {
            let ts = Ts(newest.0.saturating_sub(rng.below(60)));
            gone += u64::from(!past.is_there(ts, &snapshots));
            check_state(&kernel, &past, &model, &snapshots, ts, &context);
        }
        if step % 50 == 0 {
            check_stored(&kernel, &past, &model, &snapshots, &context);
            for ts in past.named.values() {
                check_state(&kernel, &past, &model, &snapshots, *ts, &context);
            }
        }
    }
    assert!(gone > 0, "seed {seed}: everything was always there");
    snapshots.clear();
    for name in past.named.keys() {
        kernel.drop_snapshot(name).unwrap();
    }
    kernel.set_version_retention_us(0);
    for space in 0..SPACES {
        vacuum(&kernel, space);
        let counts = count(&kernel, space);
        let expected = model.all(space, model.newest);
        assert_eq!(counts.live, expected.len() as u64, "seed {seed}");
        // The first versions of a leaf may go on from the leaf before, and then nobody sees that they are dead.
        assert!(counts.dead <= counts.live / 4 + 2, "seed {seed}: {counts:?}");
    }
    model.check(&kernel, &format!("seed {seed} at the end"));
}

#[test]
fn states_of_the_past_are_there_as_long_as_they_should_and_show_what_was() {
    let seed = seed_of(
        "states_of_the_past_are_there_as_long_as_they_should_and_show_what_was",
        1,
    );
    for seed in seed..seed + 6 {
        run(seed, 700);
    }
}

/// Commits `n = number` under one key, a second apart.
fn counted(kernel: &Kernel, clock: &ManualClock, numbers: std::ops::RangeInclusive<u8>) {
    for number in numbers {
        clock.advance_us(1_000_000);
        let acts = [Act::Write(1, b"n".to_vec(), Some(vec![number]))];
        commit(kernel, &acts, clock.now_us()).unwrap();
    }
}

fn shown(snapshot: &Snapshot) -> Option<u8> {
    Some(snapshot.get(1, b"n").unwrap()?.value[0])
}

#[test]
fn a_time_shows_what_was_committed_by_then() {
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(1), &clock, 4_000_000);
    counted(&kernel, &clock, 1..=9);
    let at = |at_us| {
        kernel
            .commit_at(at_us)
            .and_then(|ts| kernel.snapshot_at(ts))
            .map(|found| shown(&found))
    };
    assert_eq!(at(9_000_000).unwrap(), Some(9));
    assert_eq!(at(8_999_000).unwrap(), Some(8));
    assert_eq!(at(5_000_000).unwrap(), Some(5), "as old as versions are kept");
    match at(4_999_000) {
        Err(VersionError::TimeTooOld { at_us, oldest_us }) => {
            assert_eq!((at_us, oldest_us), (4_999_000, 5_000_000))
        }
        other => panic!("{other:?}"),
    }
    match at(9_000_001) {
        Err(VersionError::TimeNotReached { at_us, now_us }) => {
            assert_eq!((at_us, now_us), (9_000_001, 9_000_000))
        }
        other => panic!("{other:?}"),
    }
    match kernel.snapshot_at(Ts(10)).map(drop) {
        Err(VersionError::NotReached { ts, newest }) => assert_eq!((ts, newest), (Ts(10), Ts(9))),
        other => panic!("{other:?}"),
    }
    // An idle store keeps its newest state, however old that is.
    clock.advance_us(1_000_000_000);
    assert_eq!(at(500_000_000).unwrap(), Some(9));
    assert_eq!(kernel.versions_report().oldest_readable, Ts(9));
}

#[test]
fn an_old_snapshot_keeps_what_it_shows_and_not_what_was_written_since() {
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(1), &clock, 0);
    counted(&kernel, &clock, 1..=1);
    let old = kernel.snapshot();
    counted(&kernel, &clock, 2..=200);
    let stored: Vec<u64> = kernel
        .versions(1, b"n", 10)
        .unwrap()
        .iter()
        .map(|version| version.ts.0)
        .collect();
    // The newest, the one before, which was the newest while that was written, and the snapshot's.
    assert_eq!(stored, [200, 199, 1]);
    assert_eq!(
        vacuum(&kernel, 1),
        Pruned {
            versions: 1,
            bytes: 2
        }
    );
    assert_eq!(shown(&old), Some(1));
    assert_eq!(count(&kernel, 1), VersionCounts { live: 1, dead: 1 });
    drop(old);
    assert_eq!(
        vacuum(&kernel, 1),
        Pruned {
            versions: 1,
            bytes: 2
        }
    );
    assert_eq!(count(&kernel, 1), VersionCounts { live: 1, dead: 0 });
    // 199 of the key, and those of the space's statistics.
    assert!(kernel.versions_report().pruned.versions >= 199);
}

#[test]
fn names_of_snapshots_outlive_restarts_and_are_bounded() {
    let clock = Arc::new(ManualClock::new(0));
    let disk = SimDisk::new(1);
    let kernel = open(&disk, &clock, 0);
    counted(&kernel, &clock, 1..=1);
    let made = kernel.create_snapshot("first").unwrap();
    counted(&kernel, &clock, 2..=9);
    drop(kernel);
    let kernel = open(&disk, &clock, 0);
    counted(&kernel, &clock, 10..=20);
    assert_eq!(kernel.named_snapshots(), std::slice::from_ref(&made));
    assert_eq!(shown(&kernel.snapshot_named("first").unwrap()), Some(1));
    assert_eq!(shown(&kernel.snapshot_at(made.ts).unwrap()), Some(1));
    for number in 1..NAMED_SNAPSHOTS_MAX {
        kernel.create_snapshot(&format!("{number}")).unwrap();
    }
    let refused = |name: &str| kernel.create_snapshot(name).unwrap_err().to_string();
    assert_eq!(
        refused("another"),
        "there are 64 named snapshots already; drop one first"
    );
    assert_eq!(refused("first"), "there is a snapshot \"first\" already");
    assert!(refused("").contains("1 to 255 bytes"));
    assert!(refused(&"x".repeat(SNAPSHOT_NAME_BYTES_MAX + 1)).contains("256"));
    let held = kernel.snapshot_named("first").unwrap();
    assert_eq!(kernel.drop_snapshot("first").unwrap(), made);
    assert!(matches!(
        kernel.snapshot_named("first"),
        Err(VersionError::NoSuchName { .. })
    ));
    assert!(matches!(
        kernel.drop_snapshot("first"),
        Err(VersionError::NoSuchName { .. })
    ));
    vacuum(&kernel, 1);
    assert_eq!(shown(&held), Some(1), "whoever reads it goes on");
    drop(held);
    assert_eq!(vacuum(&kernel, 1).versions, 1);
    assert!(matches!(
        kernel.snapshot_at(made.ts),
        Err(VersionError::TooOld { .. })
    ));
    assert!(kernel.check().unwrap().findings.is_empty());
}

/// Without a call for it: once keys of a fifth of a space, and fifty, have older versions.
#[test]
fn a_space_with_many_older_versions_is_swept_by_the_store() {
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(1), &clock, 1_000_000);
    let write = |keys: std::ops::Range<u64>, value: u8| {
        let acts: Vec<Act> = keys
            .map(|key| Act::Write(1, key.to_be_bytes().to_vec(), Some(vec![value; 100])))
            .collect();
        commit(&kernel, &acts, clock.now_us()).unwrap();
    };
    let sweep = || while kernel.step().unwrap() {};
    write(0..1_000, 1);
    write(0..249, 2);
    clock.advance_us(2_000_000);
    sweep();
    assert_eq!(
        count(&kernel, 1),
        VersionCounts {
            live: 1_000,
            dead: 249
        }
    );
    write(249..250, 2);
    sweep();
    assert_eq!(count(&kernel, 1).dead, 250, "the last of them is readable still");
    clock.advance_us(2_000_000);
    // Time goes on for the store when something is committed.
    write(2_000..2_001, 1);
    sweep();
    let counts = count(&kernel, 1);
    assert_eq!(counts.live, 1_001);
    // Where a leaf begins within the versions of a key, its first one stays.
    assert!(counts.dead < 10, "{counts:?}");
}

/// The newest versions of a key come first: those that can be read still may fill more leaves than one step looks at, and the
/// ones behind them must go all the same.
#[test]
fn older_versions_behind_many_that_are_kept_are_removed_by_the_store() {
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(1), &clock, 1_000_000);
    let write = |count: usize, bytes: usize| {
        for _ in 0..count {
            let acts = [Act::Write(1, b"hot".to_vec(), Some(vec![1; bytes]))];
            commit(&kernel, &acts, clock.now_us()).unwrap();
        }
    };
    // More commits than share a range, so that one is due while newer versions are kept.
    write(4_500, 1);
    clock.advance_us(2_000_000);
    write(600, 1_600);
    let before = count(&kernel, 1);
    assert!(before.live == 1 && before.dead > 4_000, "{before:?}");
    let steps_max = 2_000;
    let steps = (0..steps_max).take_while(|_| kernel.step().unwrap()).count();
    assert!(steps < steps_max, "the store finds no end");
    // The others of the last second and the newest before them; and perhaps what begins a leaf.
    let after = count(&kernel, 1);
    assert!((600..650).contains(&after.dead), "{after:?}");
}
