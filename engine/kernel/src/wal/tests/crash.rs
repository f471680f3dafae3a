//! The power fails at every operation of a load, with every way for what was not synced to survive.

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::Survival;

use super::support::{FOLDER, Kept, SMALL, append, length, open, seeds, setup};
use crate::ids::Ts;
use crate::wal::{Wal, WalPosition};

/// What a load did, by the number of the operation of the disk at which it was known.
#[derive(Default)]
struct Load {
    groups: Vec<Kept>,
    /// Operation, and how many groups were acknowledged as durable.
    acknowledged: Vec<(u64, usize)>,
    /// Operation, and a position to recover from that was durable then.
    positions: Vec<(u64, WalPosition)>,
}

impl Load {
    fn acknowledged_at(&self, operations: u64) -> usize {
        let known = self.acknowledged.iter().rev().find(|(at, _)| *at <= operations);
        known.map_or(0, |(_, groups)| *groups)
    }

    fn position_at(&self, operations: u64) -> Option<WalPosition> {
        let known = self.positions.iter().rev().find(|(at, _)| *at <= operations);
        known.map(|(_, position)| *position)
    }
}

/// Appends, syncs, opens again, switches, truncates and archives, all at random.
fn run(disk: &SimDisk, rng: &SeededRng, steps: u64) -> Load {
    let mut load = Load::default();
    disk.record();
    let mut wal = Wal::create(setup(disk, SMALL), Ts(0)).expect("create");
    load.positions.push((disk.operations(), wal.position()));
    for _ in 0..steps {
        match rng.below(14) {
            0..=3 => wal.flush().expect("flush"),
            4 => wal.seal().expect("seal"),
            5 if rng.below(2) == 0 => wal.switch_segment().expect("switch"),
            6 => {
                wal.flush().expect("flush");
                load.positions.push((disk.operations(), wal.position()));
                wal.truncate_before(wal.end()).expect("truncate");
            }
            7 if rng.below(2) == 0 => drop(wal.archive("archive").expect("archive")),
            8 if rng.below(3) == 0 => {
                wal.flush().expect("flush");
                drop(wal);
                let from = load.positions.last().expect("create noted one").1;
                wal = open(setup(disk, SMALL), from).expect("open").0;
            }
            _ => {
                let ts = Ts(load.groups.len() as u64 + 1);
                load.groups
                    .push(append(&wal, rng, ts, length(rng)).expect("append"));
            }
        }
        let durable = wal.durable();
        let groups = load
            .groups
            .iter()
            .take_while(|group| group.end <= durable)
            .count();
        load.acknowledged.push((disk.operations(), groups));
    }
    load
}

/// The groups of the load that a recovery from `from` must give when `count` of them survived.
fn expected(load: &Load, from: WalPosition, count: usize) -> Vec<Kept> {
    let groups = load.groups[..count].iter();
    groups.filter(|group| group.lsn >= from.lsn).cloned().collect()
}

/// Checks that what was recovered is what was acknowledged and perhaps the next groups in order, and returns how
/// many groups of the load survived.
fn check(load: &Load, from: WalPosition, acknowledged: usize, recovered: &[Kept]) -> usize {
    let before = load.groups.iter().filter(|group| group.lsn < from.lsn).count();
    let survived = before + recovered.len();
    assert!(
        survived >= acknowledged,
        "{survived} of {acknowledged} acknowledged groups survived"
    );
    assert_eq!(recovered, expected(load, from, survived));
    survived
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_acknowledged_and_whole_groups_only() {
    let mut crashes = 0;
    for seed in seeds(0..2) {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let load = run(&disk, &rng, 40);
        for cut in disk.cuts() {
            let Some(from) = load.position_at(cut.operations()) else {
                continue;
            };
            let acknowledged = load.acknowledged_at(cut.operations());
            for survival in Survival::ALL {
                let place = format!("seed {seed}, operation {}, {survival:?}", cut.operations());
                let image = cut.crash(survival);
                let (wal, recovered) = open(setup(&image, SMALL), from).expect(&place);
                let survived = check(&load, from, acknowledged, &recovered);
                let end = wal.position();
                drop(wal);
                let (wal, again) = open(setup(&image, SMALL), from).expect(&place);
                assert_eq!(recovered, again, "{place}");
                assert_eq!(wal.position(), end, "{place}");
                go_on(&load, from, survived, wal, &image, &rng, &place);
                crashes += 1;
            }
        }
    }
    assert!(crashes > 1_000, "only {crashes} crashes");
}

/// Appends after a crash what the earlier life had appended, or something else, of which the first part is
/// synced; after another crash nothing of the earlier life may have come back.
fn go_on(
    load: &Load,
    from: WalPosition,
    survived: usize,
    wal: Wal,
    image: &SimDisk,
    rng: &SeededRng,
    place: &str,
) {
    let mut model = expected(load, from, survived);
    let lost = &load.groups[survived..];
    let same = rng.below(2) == 0;
    let appended = 1 + rng.below(3) as usize;
    for at in 0..appended {
        let ts = Ts((survived + at + 1) as u64);
        let group = match lost.get(at) {
            Some(group) if same => {
                let appended = wal.append(group.ts, &[&group.body]).expect(place);
                Kept {
                    lsn: appended.start,
                    end: appended.end,
                    ..group.clone()
                }
            }
            _ => append(&wal, rng, ts, rng.below(300) as usize).expect(place),
        };
        model.push(group);
    }
    wal.flush().expect(place);
    let durable = model.len();
    if rng.below(2) == 0 {
        let ts = Ts((survived + appended + 1) as u64);
        model.push(append(&wal, rng, ts, rng.below(20_000) as usize).expect(place));
    }
    drop(wal);
    let survival = Survival::ALL[rng.below(Survival::ALL.len() as u64) as usize];
    let (_, recovered) = open(setup(&image.crash(survival), SMALL), from).expect(place);
    assert!(recovered.len() >= durable, "{place}, then {survival:?}");
    assert_eq!(recovered, model[..recovered.len()], "{place}, then {survival:?}");
}

#[test]
fn a_crash_during_recovery_changes_nothing() {
    for seed in seeds(100..102) {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let load = run(&disk, &rng, 30);
        let mut recovered_at = 0;
        for cut in disk.cuts() {
            let Some(from) = load.position_at(cut.operations()) else {
                continue;
            };
            if rng.below(7) != 0 {
                continue;
            }
            for survival in Survival::ALL {
                let image = cut.crash(survival);
                image.record();
                let (wal, recovered) = open(setup(&image, SMALL), from).expect("open");
                check(&load, from, load.acknowledged_at(cut.operations()), &recovered);
                let end = wal.position();
                for inner in image.cuts() {
                    for survival in Survival::ALL {
                        let (wal, again) = open(setup(&inner.crash(survival), SMALL), from).expect("open");
                        assert_eq!(recovered, again);
                        assert_eq!(wal.position(), end);
                        recovered_at += 1;
                    }
                }
            }
        }
        assert!(recovered_at > 0);
    }
}

/// A life that does exactly what the one before did gives its fragments the same checksums, so that only what
/// opening does tells them apart, on a full disk too.
#[test]
fn a_life_that_repeats_an_earlier_one_does_not_continue_with_its_groups() {
    for room in [None, Some(0)] {
        let disk = SimDisk::new(1);
        let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
        let from = wal.position();
        wal.append(Ts(1), &[&[1; 1000]]).expect("append");
        let second = wal.append(Ts(2), &[&[2; 1000]]).expect("append");
        wal.flush().expect("flush");
        // The first group is torn, the second one whole.
        let image = disk.crash(Survival::Everything);
        image.set_capacity(room);
        let bit = (from.lsn.0 % SMALL.segment_bytes + 100) * 8;
        image
            .flip_bit(&format!("{FOLDER}/0000000000000001.wal"), bit)
            .expect("flip");
        let (wal, groups) = open(setup(&image, SMALL), from).expect("open");
        assert_eq!(groups, []);
        wal.append(Ts(1), &[&[1; 1000]]).expect("append");
        wal.flush().expect("flush");
        assert_eq!(wal.end(), second.start);
        let (_, groups) = open(setup(&image.crash(Survival::Nothing), SMALL), from).expect("open");
        assert_eq!(groups.len(), 1, "room {room:?}");
    }
}
