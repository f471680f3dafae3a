//! Finished segments and copies of them, whole and damaged.

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::{Disk, OpenMode, SimDisk};

use super::support::{FOLDER, Kept, SMALL, append, setup};
use crate::ids::{Lsn, Ts};
use crate::wal::{Damage, Wal};

const ARCHIVE: &str = "kept";

/// A log of several segments, all but the last, empty one finished and archived.
struct Archived {
    disk: SimDisk,
    wal: Wal,
    groups: Vec<Kept>,
    numbers: Vec<u64>,
}

fn archived(seed: u64) -> Archived {
    let rng = SeededRng::new(seed);
    let disk = SimDisk::new(seed);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let mut groups = Vec::new();
    for ts in 1..=60 {
        let length = rng.below(if rng.below(6) == 0 { 30_000 } else { 3_000 }) as usize;
        groups.push(append(&wal, &rng, Ts(ts), length).expect("append"));
        if rng.below(3) == 0 {
            wal.flush().expect("flush");
        }
    }
    wal.switch_segment().expect("switch");
    let numbers = wal.archive(ARCHIVE).expect("archive");
    assert!(numbers.len() >= 3, "{numbers:?}");
    Archived {
        disk,
        wal,
        groups,
        numbers,
    }
}

fn path_in(folder: &str, number: u64) -> String {
    format!("{folder}/{number:016x}.wal")
}

/// The only damage there is.
fn damage(archived: &Archived) -> Damage {
    let found = archived.wal.verify_archive(ARCHIVE).expect("readable");
    assert_eq!(found.segments, archived.numbers.len() as u64);
    let [damage] = &found.damages[..] else {
        panic!("{:?}", found.damages)
    };
    damage.clone()
}

fn file(archived: &Archived, number: u64) -> std::sync::Arc<dyn rustydb_runtime::disk::DiskFile> {
    let path = path_in(ARCHIVE, number);
    archived
        .disk
        .open(&path, OpenMode::Existing)
        .expect("it is there")
}

#[test]
fn whole_segments_and_their_copies_have_nothing_wrong() {
    let log = archived(1);
    let copies = log.wal.verify_archive(ARCHIVE).expect("readable");
    assert_eq!(copies.damages, []);
    assert_eq!(copies.segments, log.numbers.len() as u64);
    // Each group is a fragment or more.
    assert!(copies.fragments >= log.groups.len() as u64);
    assert_eq!(log.wal.verify().expect("readable"), copies);
    assert_eq!(
        log.wal.verify_archive("nowhere").expect("nothing"),
        Default::default()
    );
    // What was moved elsewhere is not missed.
    let moved = path_in(ARCHIVE, log.numbers[1]);
    log.disk.remove_file(&moved).expect("remove");
    let left = log.wal.verify_archive(ARCHIVE).expect("readable");
    assert_eq!((left.segments, left.damages.len()), (copies.segments - 1, 0));
}

#[test]
fn a_flipped_bit_is_found_in_its_segment_at_its_fragment() {
    let log = archived(2);
    let rng = SeededRng::new(2);
    let mut found_in_log = 0;
    for group in &log.groups {
        // A group may go on in another segment; its first bytes are where it begins.
        let lsn = Lsn(group.lsn.0 + rng.below(48));
        let (number, offset) = (lsn.0 / SMALL.segment_bytes, lsn.0 % SMALL.segment_bytes);
        let bit = offset * 8 + rng.below(8);
        let path = path_in(ARCHIVE, number);
        log.disk.flip_bit(&path, bit).expect("flip");
        let found = damage(&log);
        assert_eq!(
            (found.file, found.offset),
            (path.clone(), group.lsn.0 % SMALL.segment_bytes)
        );
        log.disk.flip_bit(&path, bit).expect("flip back");
        let own = path_in(FOLDER, number);
        log.disk.flip_bit(&own, bit).expect("flip");
        let found = log.wal.verify().expect("readable").damages;
        assert_eq!(
            found.iter().map(|damage| damage.file.clone()).collect::<Vec<_>>(),
            std::slice::from_ref(&own)
        );
        log.disk.flip_bit(&own, bit).expect("flip back");
        found_in_log += 1;
    }
    assert!(found_in_log >= 60);
    assert_eq!(log.wal.verify_archive(ARCHIVE).expect("readable").damages, []);
}

#[test]
fn a_copy_that_is_cut_exchanged_or_of_another_log_is_named() {
    let log = archived(3);
    let [first, second] = [log.numbers[0], log.numbers[1]];
    let whole = log.disk.read_immutable(&path_in(ARCHIVE, second)).expect("read");

    file(&log, second)
        .set_length(SMALL.segment_bytes - 1)
        .expect("cut");
    let found = damage(&log);
    assert!(found.what.contains("65535 bytes long"), "{found:?}");
    file(&log, second).set_length(10).expect("cut");
    assert!(damage(&log).what.contains("no valid header"));

    let other = log.disk.read_immutable(&path_in(ARCHIVE, first)).expect("read");
    file(&log, second).write_at(&other, 0).expect("write");
    let found = damage(&log);
    assert_eq!((found.file, found.offset), (path_in(ARCHIVE, second), 0));
    assert!(
        found.what.contains(&format!("segment {first}, not {second}")),
        "{}",
        found.what
    );

    file(&log, second).write_at(&whole, 0).expect("write");
    assert_eq!(log.wal.verify_archive(ARCHIVE).expect("readable").damages, []);

    // Whole, of this store, of the right number: and yet of another life.
    let life = archived(4);
    let strange = life.disk.read_immutable(&path_in(ARCHIVE, second)).expect("read");
    file(&log, second).write_at(&strange, 0).expect("write");
    let found = log.wal.verify_archive(ARCHIVE).expect("readable").damages;
    assert!(found[0].what.contains("does not continue"), "{found:?}");

    let mut foreign = setup(&SimDisk::new(5), SMALL);
    foreign.epoch = 99;
    foreign.disk = std::sync::Arc::new(log.disk.clone());
    foreign.folder = "foreign/wal".to_owned();
    let foreign = Wal::create(foreign, Ts(0)).expect("create");
    let found = foreign.verify_archive(ARCHIVE).expect("readable").damages;
    assert_eq!(found.len(), log.numbers.len());
    assert!(found[0].what.contains("0x5eedab1e, not 0x63"), "{found:?}");
}
