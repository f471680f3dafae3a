//! Requests to the disk that fail.

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::{Fault, Survival};

use super::support::{FOLDER, SMALL, append, open, seeds, setup};
use crate::error::KernelError;
use crate::ids::Ts;
use crate::wal::Wal;

#[test]
fn a_failed_sync_is_final_and_what_was_acknowledged_later_survives_all_the_same() {
    for seed in seeds(0..100) {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
        let from = wal.position();
        let mut groups = Vec::new();
        disk.inject(Fault::fail_sync(1 + rng.below(10)).below(FOLDER));
        let mut acknowledged = 0;
        for ts in 1.. {
            let appended = append(&wal, &rng, Ts(ts), rng.below(9_000) as usize);
            match appended.and_then(|group| {
                groups.push(group);
                if rng.below(3) == 0 { wal.flush() } else { Ok(()) }
            }) {
                Ok(()) => acknowledged = groups.iter().filter(|group| group.end <= wal.durable()).count(),
                Err(KernelError::Poisoned { .. }) => break,
                // A spare could not be made durable: nothing of the log is in doubt.
                Err(KernelError::Io { .. }) => {
                    disk.inject(Fault::fail_sync(rng.below(5)).below(FOLDER));
                }
                Err(error) => panic!("{error}"),
            }
            assert!(ts < 1_000, "no sync failed");
        }
        for _ in 0..2 {
            assert!(matches!(
                wal.append(Ts(9_999), &[b"more"]),
                Err(KernelError::Poisoned { .. })
            ));
            assert!(
                matches!(
                    wal.sync_to(crate::ids::Lsn(u64::MAX)),
                    Err(KernelError::Poisoned { .. })
                ) || wal.durable() == wal.end()
            );
            assert!(matches!(wal.switch_segment(), Err(KernelError::Poisoned { .. })));
        }
        drop(wal);

        // The machine reads what it failed to write until the power fails.
        let (wal, recovered) = open(setup(&disk, SMALL), from).expect("open");
        assert!(recovered.len() >= acknowledged);
        let mut model = recovered;
        model.push(append(&wal, &rng, Ts(10_000), 50).expect("append"));
        wal.flush().expect("flush");
        drop(wal);
        let (_, after) =
            open(setup(&disk.crash(Survival::Nothing), SMALL), from).expect("open after a crash");
        assert_eq!(after, model);
    }
}

#[test]
fn a_failed_write_is_final() {
    let disk = SimDisk::new(1);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    wal.append(Ts(1), &[b"one"]).expect("append");
    wal.flush().expect("flush");
    disk.inject(Fault::fail_write(0).below(FOLDER));
    let two = wal.append(Ts(2), &[b"two"]).expect("append");
    for _ in 0..2 {
        assert!(matches!(wal.sync_to(two.end), Err(KernelError::Poisoned { .. })));
    }
    assert_eq!(wal.durable(), two.start);
    let (_, groups) = open(setup(&disk, SMALL), from).expect("open");
    assert_eq!(groups[0].body, b"one");
}

#[test]
fn a_full_disk_refuses_the_append_that_needs_a_segment_and_work_resumes_with_room() {
    let rng = SeededRng::new(5);
    let disk = SimDisk::new(5);
    let wal = Wal::create(setup(&disk, SMALL), Ts(0)).expect("create");
    let from = wal.position();
    disk.set_capacity(Some(disk.used_bytes() + 10_000));
    let (mut groups, mut refused) = (Vec::new(), 0);
    for ts in 1..60 {
        let end = wal.position();
        match append(&wal, &rng, Ts(ts), 3_000) {
            Ok(group) => groups.push(group),
            Err(KernelError::DiskFull { .. }) => {
                refused += 1;
                assert_eq!(wal.position(), end, "nothing changed");
                if refused == 3 {
                    disk.set_capacity(None);
                }
            }
            Err(error) => panic!("{error}"),
        }
        wal.flush().expect("what was appended has room");
    }
    assert_eq!(refused, 3);
    // A group that is larger than the room there is, by many segments.
    disk.set_capacity(Some(disk.used_bytes() + 200_000));
    let end = wal.position();
    assert!(matches!(
        append(&wal, &rng, Ts(100), 1_000_000),
        Err(KernelError::DiskFull { .. })
    ));
    assert_eq!(wal.position(), end);
    groups.push(append(&wal, &rng, Ts(100), 100).expect("append"));
    wal.flush().expect("flush");
    drop(wal);
    disk.set_capacity(Some(0));
    let (_, recovered) = open(setup(&disk, SMALL), from).expect("a full disk can be opened");
    assert_eq!(recovered, groups);
}
