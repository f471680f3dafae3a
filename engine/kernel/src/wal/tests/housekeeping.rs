//! Segments: switching, archiving, truncating, using them again; what is counted and told.

use std::sync::{Arc, Mutex};

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::{Disk, SimDisk};

use super::support::{FOLDER, Kept, SMALL, append, open, read_after, setup};
use crate::error::KernelError;
use crate::ids::{Lsn, Ts};
use crate::wal::{SegmentState, Wal, WalEvent, WalEvents};

fn names(disk: &SimDisk, folder: &str) -> Vec<String> {
    let entries = disk.list(folder).expect("list").into_iter();
    entries
        .filter(|entry| !entry.is_folder)
        .map(|entry| entry.name)
        .collect()
}

fn fill(wal: &Wal, rng: &SeededRng, groups: &mut Vec<Kept>, count: usize) {
    for _ in 0..count {
        let ts = groups.last().map_or(1, |group| group.ts.0 + 1);
        groups.push(append(wal, rng, Ts(ts), rng.below(9_000) as usize).expect("append"));
    }
    wal.flush().expect("flush");
}

#[test]
fn truncation_takes_whole_segments_keeps_spares_and_readers_learn_what_is_gone() {
    let rng = SeededRng::new(1);
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let mut groups = Vec::new();
    fill(&wal, &rng, &mut groups, 150);
    let before = wal.segments();
    assert!(before.len() > 6, "{before:?}");
    assert!(
        before
            .iter()
            .rev()
            .skip(1)
            .all(|segment| segment.state == SegmentState::Finished)
    );
    assert_eq!(
        before.last().map(|segment| segment.state),
        Some(SegmentState::Active)
    );

    let middle = Lsn(before[5].first_lsn.0 + 1);
    let truncated = wal.truncate_before(middle).expect("truncate");
    assert_eq!(
        (truncated.removed, truncated.recycled, truncated.in_use),
        (5, 2, None)
    );
    assert_eq!(wal.segments(), before[5..]);
    assert_eq!(names(&disk, FOLDER).len(), before.len() - 5 + 2);

    let first = before[5].first_ts;
    let kept: Vec<_> = groups.iter().filter(|group| group.ts > first).cloned().collect();
    assert_eq!(read_after(&wal, first).expect("read"), kept);
    let gone = wal.read_after(Ts(first.0 - 1)).err().expect("gone");
    assert!(matches!(gone, KernelError::LogGone { oldest, .. } if oldest == first));

    // The next two segments use the files again: no file is made.
    let made = wal.stats().spares_made;
    while wal.segments().len() < before.len() - 5 + 2 {
        fill(&wal, &rng, &mut groups, 1);
    }
    assert_eq!(wal.stats().spares_made, made);
    let stats = wal.stats();
    assert_eq!((stats.segments_recycled, stats.segments_removed), (2, 3));

    let from = wal.position();
    wal.truncate_before(Lsn(u64::MAX)).expect("truncate");
    assert_eq!(wal.segments().len(), 1, "the newest stays");
    drop(wal);
    let (wal, recovered) = open(setup(&disk, SMALL), from).expect("open");
    assert_eq!(recovered, []);
    fill(&wal, &rng, &mut groups, 60);
    assert_eq!(
        read_after(&wal, from.ts).expect("read"),
        groups[groups.len() - 60..]
    );
}

#[test]
fn a_reader_holds_its_segment_and_reads_on_to_the_end() {
    let rng = SeededRng::new(2);
    let disk = SimDisk::new(2);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let mut groups = Vec::new();
    fill(&wal, &rng, &mut groups, 60);
    let mut reader = wal.read_after(Ts(20)).expect("read");
    let mut found = Vec::new();
    while let Some(group) = reader.next_group().expect("whole") {
        found.push(group.ts);
        let truncated = wal.truncate_before(wal.durable()).expect("truncate");
        assert!(truncated.in_use.is_some() || wal.segments().len() == 1);
        if groups.len() < 200 {
            fill(&wal, &rng, &mut groups, 1);
        }
    }
    assert_eq!(found, (21..=200).map(Ts).collect::<Vec<_>>());
    drop(reader);
    wal.truncate_before(wal.durable()).expect("truncate");
    assert_eq!(wal.segments().len(), 1);
}

#[test]
fn an_archive_holds_the_finished_segments_byte_for_byte() {
    let rng = SeededRng::new(3);
    let disk = SimDisk::new(3);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let mut groups = Vec::new();
    fill(&wal, &rng, &mut groups, 40);
    wal.switch_segment().expect("switch");
    wal.switch_segment().expect("an empty segment is not ended");
    let finished: Vec<u64> = wal.segments().iter().map(|segment| segment.number).collect();
    assert_eq!(wal.archive("kept/log").expect("archive"), finished);
    assert_eq!(wal.archive("kept/log").expect("archive"), []);
    assert!(wal.segments().iter().all(|segment| segment.archived));
    let contents = disk.contents();
    for number in finished {
        let name = format!("{number:016x}.wal");
        assert_eq!(
            contents[&format!("kept/log/{name}")],
            contents[&format!("{FOLDER}/{name}")]
        );
    }
    fill(&wal, &rng, &mut groups, 1);
    assert_eq!(read_after(&wal, Ts(0)).expect("read"), groups);
}

/// One group per commit; a group far larger than a segment counts as one.
#[test]
fn counters_move_with_what_is_done() {
    let disk = SimDisk::new(4);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    assert_eq!(wal.stats().groups, 0);
    wal.append(Ts(1), &[&[1; 100]]).expect("append");
    let stats = wal.stats();
    assert_eq!((stats.groups, stats.bytes, stats.buffer_bytes), (1, 152, 152));
    assert_eq!((stats.writes, stats.written_bytes, stats.syncs), (0, 0, 0));
    wal.flush().expect("flush");
    let stats = wal.stats();
    assert_eq!(
        (stats.writes, stats.written_bytes, stats.syncs, stats.buffer_bytes),
        (1, 152, 1, 0)
    );
    assert_eq!(stats.sync_latency_us.iter().sum::<u64>(), 1);
    wal.flush().expect("flush");
    assert_eq!(wal.stats().syncs, 1, "nothing was left to sync");
    wal.append(Ts(2), &[&[2; 300_000]]).expect("append");
    wal.flush().expect("flush");
    let stats = wal.stats();
    assert_eq!(stats.groups, 2);
    assert_eq!(stats.segments_created, 4);
    assert_eq!(stats.spares_made, 4);
    assert_eq!(stats.written_bytes, wal.end().0 - 65_536 - 64);
}

#[derive(Default)]
struct Heard(Mutex<Vec<WalEvent>>);

impl WalEvents for Heard {
    fn event(&self, event: WalEvent) {
        self.0.lock().expect("no panic").push(event);
    }
}

#[test]
fn events_tell_of_writes_flushes_and_segments_in_order() {
    let disk = SimDisk::new(5);
    let heard = Arc::new(Heard::default());
    let mut made_of = setup(&disk, SMALL);
    made_of.events = Some(heard.clone());
    let wal = Wal::create(made_of, Ts(0)).expect("create");
    let first = wal.append(Ts(1), &[&[1; 100]]).expect("append");
    wal.flush().expect("flush");
    wal.switch_segment().expect("switch");
    wal.append(Ts(2), &[&[1; 100]]).expect("append");
    wal.flush().expect("flush");
    wal.archive("archive").expect("archive");
    wal.truncate_before(wal.end()).expect("truncate");
    let heard = heard.0.lock().expect("no panic");
    let kinds: Vec<&str> = heard
        .iter()
        .map(|event| match event {
            WalEvent::Write { .. } => "write",
            WalEvent::Flush { .. } => "flush",
            WalEvent::SegmentCreated { number: 2 } => "created",
            WalEvent::SegmentArchived { number: 1, .. } => "archived",
            WalEvent::SegmentRemoved {
                number: 1,
                recycled: true,
            } => "removed",
            WalEvent::Truncate {
                first: 2, removed: 1, ..
            } => "truncate",
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "write", "flush", "write", "flush", "created", "write", "flush", "archived", "removed", "truncate",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        heard[0],
        WalEvent::Write {
            lsn: first.start,
            bytes: 152
        }
    );
    assert!(matches!(heard[1], WalEvent::Flush { durable, ts: Ts(1), .. } if durable == first.end));
}
