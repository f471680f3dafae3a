//! Bits that rot.

use std::sync::{Arc, Mutex};

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::simulated::Survival;
use rustydb_runtime::disk::{Disk, OpenMode, SimDisk};

use super::gate::{Gate, Gated};
use super::support::{FOLDER, Kept, SMALL, append, open, read_after, seeds, setup, setup_on};
use crate::error::KernelError;
use crate::ids::{Lsn, Ts};
use crate::wal::{Wal, WalEvent, WalEvents, WalPosition};

/// A log of several segments that several threads filled, so that groups were appended while others were synced.
struct Filled {
    disk: SimDisk,
    from: WalPosition,
    groups: Vec<Kept>,
    /// LSN up to which each sync made the log durable.
    syncs: Vec<Lsn>,
    end: Lsn,
}

fn fill(seed: u64) -> Filled {
    let disk = SimDisk::new(seed);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    let syncs = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&syncs);
    wal.on_durable(move |durable, _| noted.lock().expect("no panic").push(durable));
    let commit = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (wal, commit) = (&wal, &commit);
            scope.spawn(move || {
                let rng = SeededRng::new(seed * 10 + thread);
                for _ in 0..12 {
                    let end = {
                        let mut groups: std::sync::MutexGuard<'_, Vec<Kept>> =
                            commit.lock().expect("no panic");
                        let ts = Ts(groups.len() as u64 + 1);
                        let length = rng.below(if rng.below(6) == 0 { 20_000 } else { 500 }) as usize;
                        groups.push(append(wal, &rng, ts, length).expect("append"));
                        groups.last().expect("pushed").end
                    };
                    wal.sync_to(end).expect("sync");
                }
            });
        }
    });
    let syncs = syncs.lock().expect("no panic").clone();
    Filled {
        end: wal.end(),
        disk,
        from,
        groups: commit.into_inner().expect("no panic"),
        syncs,
    }
}

fn path_of(lsn: Lsn) -> String {
    format!("{FOLDER}/{:016x}.wal", lsn.0 / SMALL.segment_bytes)
}

#[test]
fn a_flipped_bit_before_the_last_flush_is_corruption_and_in_it_never_gives_wrong_bytes() {
    let (mut corrupt, mut dropped, mut harmless) = (0, 0, 0);
    for seed in seeds(0..2) {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let log = fill(seed);
        let last_flush = log.syncs[log.syncs.len() - 2];
        let mut lsn = Lsn(SMALL.segment_bytes);
        while lsn < log.end {
            let image = log.disk.crash(Survival::Nothing);
            let bit = rng.below(8);
            image
                .flip_bit(&path_of(lsn), (lsn.0 % SMALL.segment_bytes) * 8 + bit)
                .expect("flip");
            match open(setup(&image, SMALL), log.from) {
                Err(KernelError::CorruptLog { .. } | KernelError::CorruptFile { .. }) => corrupt += 1,
                Err(error) => panic!("byte {lsn} bit {bit}: {error}"),
                Ok((_, groups)) if groups == log.groups => {
                    // A byte that belongs to no group, or to the last mark.
                    let inside = log.groups.iter().any(|group| group.lsn <= lsn && lsn < group.end);
                    let at_border = log.groups.iter().any(|group| {
                        group.lsn <= lsn
                            && lsn < group.end
                            && SMALL.segment_bytes - lsn.0 % SMALL.segment_bytes <= 160
                    });
                    assert!(!inside || at_border, "byte {lsn} bit {bit} is not checked");
                    harmless += 1;
                }
                Ok((_, groups)) => {
                    assert!(
                        lsn >= last_flush,
                        "byte {lsn} bit {bit} before the last flush at {last_flush}"
                    );
                    assert_eq!(groups, log.groups[..groups.len()]);
                    let durable = log.groups.iter().filter(|group| group.end <= last_flush).count();
                    assert!(groups.len() >= durable);
                    dropped += 1;
                }
            }
            lsn.0 += 1 + rng.below(if lsn < last_flush { 60 } else { 4 });
        }
    }
    eprintln!("{corrupt} corrupt, {dropped} dropped, {harmless} harmless");
    assert!(
        corrupt > 1_000 && dropped > 0,
        "{corrupt} corrupt, {dropped} dropped"
    );
}

/// Flips one bit in each byte of `groups` in turn; each is corruption.
fn every_flip_is_corruption(disk: &SimDisk, from: WalPosition, groups: &[Kept], rng: &SeededRng) {
    for group in groups {
        for lsn in (group.lsn.0..group.end.0).map(Lsn) {
            let image = disk.crash(Survival::Nothing);
            let bit = (lsn.0 % SMALL.segment_bytes) * 8 + rng.below(8);
            image.flip_bit(&path_of(lsn), bit).expect("flip");
            let opened = open(setup(&image, SMALL), from);
            assert!(
                matches!(opened, Err(KernelError::CorruptLog { .. })),
                "byte {lsn}"
            );
        }
    }
}

#[test]
fn a_sealed_log_tells_of_damage_to_its_last_flush_too() {
    let rng = SeededRng::new(9);
    let disk = SimDisk::new(9);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    let groups: Vec<_> = (1..4)
        .map(|ts| append(&wal, &rng, Ts(ts), 100).expect("append"))
        .collect();
    wal.seal().expect("seal");
    every_flip_is_corruption(&disk, from, &groups, &rng);
}

/// A write that the disk lost leaves what an earlier life wrote there: whole, at its place, and of this store.
#[test]
fn a_whole_fragment_of_another_life_breaks_the_chain() {
    let rng = SeededRng::new(11);
    let disks = [SimDisk::new(11), SimDisk::new(11)];
    let groups = disks.each_ref().map(|disk| {
        let wal = Wal::create(setup(disk, SMALL), Ts(0)).expect("create");
        let from = wal.position();
        let groups = [1, 2].map(|ts| append(&wal, &rng, Ts(ts), 100).expect("append"));
        wal.seal().expect("seal");
        (from, groups)
    });
    let (from, [first, second]) = &groups[0];
    let [file, other] = disks
        .each_ref()
        .map(|disk| disk.open(&path_of(first.lsn), OpenMode::Existing).expect("open"));
    let mut bytes = vec![0; (first.end.0 - first.lsn.0) as usize];
    let offset = first.lsn.0 % SMALL.segment_bytes;
    other.read_at(&mut bytes, offset).expect("read");
    file.write_at(&bytes, offset).expect("write");
    let opened = open(setup(&disks[0], SMALL), *from).map(|(_, groups)| groups);
    let broken_at = match opened {
        Err(KernelError::CorruptLog { lsn, .. }) => lsn,
        other => panic!("{other:?}"),
    };
    assert_eq!(broken_at, second.lsn);
}

/// What is appended while a sync runs can't know of it, and yet the sync of it is a witness of the one before.
#[test]
fn groups_appended_during_a_sync_witness_it() {
    let rng = SeededRng::new(10);
    let gate = Arc::new(Gate::default());
    let disk = Gated {
        inner: SimDisk::new(10),
        gate: Arc::clone(&gate),
    };
    let sim = disk.inner.clone();
    let wal = Wal::create(setup_on(Arc::new(disk), SMALL), Ts(0)).expect("create");
    let from = wal.position();
    let first = append(&wal, &rng, Ts(1), 150).expect("append");
    gate.arm();
    let second = std::thread::scope(|scope| {
        scope.spawn(|| wal.sync_to(first.end).expect("sync"));
        while !gate.was_reached() {
            std::thread::yield_now();
        }
        let second = append(&wal, &rng, Ts(2), 150).expect("append");
        gate.release();
        second
    });
    assert_eq!(wal.durable(), first.end);
    wal.sync_to(second.end).expect("sync");
    every_flip_is_corruption(&sim, from, &[first], &rng);
}

#[derive(Default)]
struct Heard(Mutex<Vec<WalEvent>>);

impl WalEvents for Heard {
    fn event(&self, event: WalEvent) {
        self.0.lock().expect("no panic").push(event);
    }
}

#[test]
fn a_reader_meets_damage_as_corruption_and_tells_who_listens() {
    let log = fill(3);
    let (wal, _) = open(setup(&log.disk, SMALL), log.from).expect("open");
    let heard = Arc::new(Heard::default());
    wal.set_events(Some(heard.clone()));
    assert_eq!(read_after(&wal, Ts(0)).expect("read"), log.groups);
    let lsn = log.groups[3].lsn;
    log.disk
        .flip_bit(&path_of(lsn), (lsn.0 % SMALL.segment_bytes) * 8)
        .expect("flip");
    let mut reader = wal.read_after(Ts(0)).expect("read");
    for group in &log.groups[..3] {
        assert_eq!(
            reader.next_group().expect("whole").map(|found| found.lsn),
            Some(group.lsn)
        );
    }
    assert!(matches!(reader.next_group(), Err(KernelError::CorruptLog { .. })));
    let heard = heard.0.lock().expect("no panic");
    assert!(
        matches!(heard[..], [WalEvent::CorruptionDetected { .. }]),
        "{heard:?}"
    );
}

#[test]
fn a_misdirected_write_is_corruption_once_more_was_synced() {
    use rustydb_runtime::disk::simulated::Fault;
    for seed in 0..30 {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
        let from = wal.position();
        let mut groups = Vec::new();
        disk.inject(Fault::misdirect_write(rng.below(10)));
        for ts in 1..20 {
            groups.push(append(&wal, &rng, Ts(ts), rng.below(2_000) as usize).expect("append"));
            wal.flush().expect("flush");
        }
        match open(setup(&disk, SMALL), from) {
            Err(KernelError::CorruptLog { .. } | KernelError::CorruptFile { .. }) => {}
            Err(error) => panic!("{error}"),
            Ok((_, found)) => assert_eq!(found, groups),
        }
    }
}

#[test]
fn a_segment_of_another_store_and_one_of_another_format_are_refused() {
    let log = fill(1);
    let mut other = setup(&log.disk, SMALL);
    other.epoch += 1;
    assert!(matches!(
        open(other, log.from),
        Err(KernelError::CorruptFile { .. })
    ));
}
