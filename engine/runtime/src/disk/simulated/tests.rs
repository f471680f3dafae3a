#![allow(clippy::unwrap_used)]

use super::*;
use crate::disk::{Disk, DiskFile, OpenMode};

fn file_with(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::New).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_folder("").unwrap();
    file
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.contents().remove(path).flatten()
}

fn crashed(disk: &SimDisk, survival: Survival, seed: u64, path: &str) -> Vec<u8> {
    content(&disk.crash_with(survival, seed), path).unwrap()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let disk = SimDisk::new(1);
    let file = file_with(&disk, "f", &[1; 10_000]);
    file.set_length(7000).unwrap();
    file.sync_data().unwrap();
    for survival in Survival::ALL {
        for seed in 0..10 {
            assert_eq!(
                crashed(&disk, survival, seed, "f"),
                [1; 7000],
                "{survival:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn a_file_that_is_synced_has_no_name_until_its_folder_is() {
    let disk = SimDisk::new(1);
    let file = disk.open("f", OpenMode::New).unwrap();
    file.write_at(b"bytes", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(content(&disk.crash(Survival::Nothing), "f"), None);
    disk.sync_folder("").unwrap();
    assert_eq!(content(&disk.crash(Survival::Nothing), "f").unwrap(), b"bytes");
}

#[test]
fn a_folder_needs_its_own_name_too() {
    let disk = SimDisk::new(1);
    disk.create_folder("a/b").unwrap();
    disk.open("a/b/f", OpenMode::New).unwrap();
    disk.sync_folder("a/b").unwrap();
    disk.sync_folder("").unwrap();
    let names = |disk: SimDisk| disk.contents().into_keys().collect::<Vec<_>>();
    assert_eq!(names(disk.crash(Survival::Nothing)), ["a"]);
    disk.sync_folder("a").unwrap();
    assert_eq!(names(disk.crash(Survival::Nothing)), ["a", "a/b", "a/b/f"]);
}

#[test]
fn renames_and_removals_survive_like_names() {
    let disk = SimDisk::new(1);
    file_with(&disk, "old", b"1");
    file_with(&disk, "replaced", b"2");
    file_with(&disk, "removed", b"3");
    disk.rename("old", "replaced").unwrap();
    disk.remove_file("removed").unwrap();
    let lost = disk.crash(Survival::Nothing);
    assert_eq!(content(&lost, "old").unwrap(), b"1");
    assert_eq!(content(&lost, "replaced").unwrap(), b"2");
    assert_eq!(content(&lost, "removed").unwrap(), b"3");
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let names: Vec<String> = disk
            .crash_with(Survival::Sectors512, seed)
            .contents()
            .into_keys()
            .collect();
        seen.insert(names.join(" "));
    }
    let in_order = ["old removed replaced", "removed replaced", "replaced"];
    assert_eq!(seen, in_order.map(str::to_owned).into());
    disk.sync_folder("").unwrap();
    let kept = disk.crash(Survival::Nothing).contents();
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["replaced"]);
}

#[test]
fn a_rename_between_folders_may_leave_both_names_or_none() {
    let disk = SimDisk::new(1);
    disk.create_folder("d").unwrap();
    file_with(&disk, "f", b"1");
    disk.rename("f", "d/f").unwrap();
    let names = |disk: SimDisk| disk.contents().into_keys().collect::<Vec<_>>();
    assert_eq!(names(disk.crash(Survival::Nothing)), ["d", "f"]);
    let before = disk.clone().crash(Survival::Nothing);
    before.rename("f", "d/f").unwrap();
    disk.sync_folder("d").unwrap();
    assert_eq!(names(disk.crash(Survival::Nothing)), ["d", "d/f", "f"]);
    before.sync_folder("").unwrap();
    assert_eq!(names(before.crash(Survival::Nothing)), ["d"]);
}

/// Two writes to a synced file of zeros: 2000 ones at 100, then 3000 twos at 3000.
fn two_writes() -> SimDisk {
    let disk = SimDisk::new(1);
    let file = file_with(&disk, "f", &[0; 5000]);
    file.write_at(&[1; 2000], 100).unwrap();
    file.write_at(&[2; 3000], 3000).unwrap();
    disk
}

fn expected(ones: std::ops::Range<usize>, twos: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; 5000.max(twos.end)];
    bytes[ones].fill(1);
    bytes[twos].fill(2);
    bytes
}

#[test]
fn nothing_everything_and_zeros_are_what_they_say() {
    let disk = two_writes();
    assert_eq!(crashed(&disk, Survival::Nothing, 0, "f"), [0; 5000]);
    assert_eq!(
        crashed(&disk, Survival::Everything, 0, "f"),
        expected(100..2100, 3000..6000)
    );
    disk.open("f", OpenMode::Existing).unwrap().sync_data().unwrap();
    let file = disk.open("f", OpenMode::Existing).unwrap();
    file.write_at(&[3; 1000], 5500).unwrap();
    let mut zeroed = expected(100..2100, 3000..5500);
    zeroed.resize(6500, 0);
    assert_eq!(crashed(&disk, Survival::Zeroed, 0, "f"), zeroed);
}

#[test]
fn a_prefix_is_cut_in_the_middle_of_a_write() {
    let disk = two_writes();
    let mut cut_in = [0; 3];
    for seed in 0..300 {
        let found = crashed(&disk, Survival::Prefix, seed, "f");
        let ones = found.iter().filter(|byte| **byte == 1).count();
        let twos = found.iter().filter(|byte| **byte == 2).count();
        assert!(
            found == expected(100..100 + ones, 3000..3000 + twos),
            "seed {seed}"
        );
        assert!(ones == 2000 || twos == 0, "seed {seed}");
        cut_in[if ones < 2000 {
            0
        } else if twos < 3000 {
            1
        } else {
            2
        }] += 1;
    }
    assert!(cut_in.iter().all(|seen| *seen > 50), "{cut_in:?}");
}

#[test]
fn a_prefix_is_in_the_order_of_all_files() {
    let disk = SimDisk::new(1);
    let files = ["f", "g"].map(|path| file_with(&disk, path, &[0; 100]));
    for at in 0..100 {
        files[at % 2].write_at(&[1], at as u64 / 2).unwrap();
    }
    for seed in 0..100 {
        let crashed = disk.crash_with(Survival::Prefix, seed);
        let ones = |path| {
            content(&crashed, path)
                .unwrap()
                .iter()
                .filter(|byte| **byte == 1)
                .count()
        };
        let (first, second) = (ones("f"), ones("g"));
        assert!(
            first == second || first == second + 1,
            "seed {seed}: {first} and {second}"
        );
    }
}

#[test]
fn every_second_write_survives_either_way() {
    let disk = two_writes();
    let found: std::collections::BTreeSet<Vec<u8>> = (0..50)
        .map(|seed| crashed(&disk, Survival::Alternate, seed, "f"))
        .collect();
    assert_eq!(
        found,
        [expected(100..2100, 0..0), expected(0..0, 3000..6000)].into()
    );
}

#[test]
fn sectors_survive_one_by_one() {
    for (survival, sector) in [(Survival::Sectors512, 512), (Survival::Sectors4096, 4096)] {
        let disk = two_writes();
        let whole = expected(100..2100, 3000..6000);
        let (mut torn, mut lengths, mut lengths_alone) = (0, std::collections::BTreeSet::new(), 0);
        for seed in 0..200 {
            let found = crashed(&disk, survival, seed, "f");
            lengths.insert(found.len());
            lengths_alone += usize::from(found.len() == 6000 && found[5999] == 0);
            for (at, sector) in found
                .chunks(sector)
                .enumerate()
                .map(|(n, bytes)| (n * sector, bytes))
            {
                let within =
                    |range: std::ops::Range<usize>| range.start.max(at)..range.end.min(at + sector.len());
                let same = |range: std::ops::Range<usize>, byte| {
                    let range = within(range);
                    range.is_empty() || range.clone().all(|place| found[place] == byte)
                };
                // Of each write its part of the sector is there as a whole or not at all.
                assert!(
                    same(100..2100, 0) || same(100..2100, 1),
                    "{survival:?}, seed {seed}, at {at}"
                );
                assert!(
                    same(3000..6000, 0) || same(3000..6000, 2),
                    "{survival:?}, seed {seed}, at {at}"
                );
            }
            torn += usize::from(found != whole && found.contains(&1) && found.contains(&2));
        }
        assert!(lengths_alone > 10, "{survival:?}: {lengths_alone}");
        assert!(torn > 20, "{survival:?}: {torn}");
        assert!(
            lengths.contains(&5000) && lengths.contains(&6000),
            "{survival:?}: {lengths:?}"
        );
    }
}

/// A load whose every step is drawn from `seed`.
fn random_load(disk: &SimDisk, seed: u64) -> std::io::Result<()> {
    let rng = SeededRng::new(seed);
    disk.create_folder("d")?;
    let mut files = Vec::new();
    for step in 0..120 {
        let path = format!("{}f{}", ["", "d/"][rng.below(2) as usize], rng.below(6));
        match rng.below(10) {
            0 | 1 => match disk.open(&path, OpenMode::New) {
                Err(there) if there.kind() == std::io::ErrorKind::AlreadyExists => {}
                file => files.push(file?),
            },
            2 => match disk.rename(&path, &format!("f{}", rng.below(6))) {
                Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
                outcome => outcome?,
            },
            3 => disk.sync_folder(["", "d"][rng.below(2) as usize])?,
            _ if files.is_empty() => {}
            kind => {
                let file = &files[rng.below(files.len() as u64) as usize];
                match kind {
                    4 => file.sync_data()?,
                    5 => file.set_length(rng.below(20_000))?,
                    6 => file.allocate(rng.below(20_000), rng.below(5000))?,
                    _ => file.write_at(&vec![step; rng.below(6000) as usize], rng.below(20_000))?,
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_same_seed_and_load_give_the_same_disks() {
    for seed in 0..10 {
        let run = || {
            let disk = SimDisk::new(seed);
            random_load(&disk, seed).unwrap();
            let images = Survival::ALL.map(|survival| disk.crash(survival).contents());
            (disk.operations(), disk.contents(), images)
        };
        assert!(run() == run(), "seed {seed}");
    }
}

/// The image after power failed while a load ran is the one that the recording of a whole load has for that moment.
#[test]
fn cuts_of_a_recorded_load_are_the_disks_of_loads_that_were_stopped() {
    for seed in 0..3 {
        let recorded = SimDisk::new(seed);
        recorded.record();
        random_load(&recorded, seed).unwrap();
        let mut operations = 0;
        for cut in recorded.cuts() {
            assert_eq!(cut.operations(), operations);
            let stopped = SimDisk::new(seed);
            stopped.stop_at(operations);
            let outcome = random_load(&stopped, seed);
            assert_eq!(
                outcome.is_err(),
                operations < recorded.operations(),
                "seed {seed}"
            );
            assert_eq!(outcome.is_err(), stopped.is_off(), "seed {seed}");
            for survival in Survival::ALL {
                let (one, other) = (cut.crash(survival).contents(), stopped.crash(survival).contents());
                assert!(one == other, "seed {seed}, operation {operations}, {survival:?}");
            }
            operations += 1;
        }
        assert_eq!(operations, recorded.operations() + 1);
    }
}

#[test]
fn a_recording_may_begin_with_operations_that_are_not_synced() {
    let disk = SimDisk::new(3);
    let file = file_with(&disk, "f", b"old");
    file.write_at(b"new", 0).unwrap();
    disk.record();
    file.sync_data().unwrap();
    let found: Vec<_> = disk
        .cuts()
        .map(|cut| (cut.operations(), cut.unsynced(), cut.crash(Survival::Nothing)))
        .collect();
    let (first, last) = (&found[0], &found[1]);
    assert_eq!(
        (first.0, first.1, content(&first.2, "f").unwrap()),
        (disk.operations() - 1, 1, b"old".to_vec())
    );
    assert_eq!(
        (last.0, last.1, content(&last.2, "f").unwrap()),
        (disk.operations(), 0, b"new".to_vec())
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn without_power_nothing_works_and_nothing_changes() {
    let disk = SimDisk::new(1);
    let file = file_with(&disk, "f", b"1");
    disk.stop_at(disk.operations());
    file.read_at(&mut [0], 0).unwrap();
    assert!(!disk.is_off());
    assert!(file.write_at(b"2", 0).is_err());
    assert!(disk.is_off());
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(file.sync_data().is_err() && file.length().is_err() && file.lock().is_err());
    assert!(disk.list("").is_err() && disk.space("").is_err() && disk.sync_folder("").is_err());
    assert!(disk.open("f", OpenMode::Existing).is_err() && disk.remove_file("f").is_err());
    assert_eq!(content(&disk.crash(Survival::Everything), "f").unwrap(), b"1");
}

#[test]
fn syncs_are_counted_per_file_and_folder() {
    let disk = SimDisk::new(1);
    let file = disk.open("f", OpenMode::New).unwrap();
    assert_eq!(disk.syncs("f").unwrap(), Syncs { count: 0, last: 0 });
    file.sync_data().unwrap();
    file.write_at(b"1", 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_folder("").unwrap();
    assert_eq!(disk.syncs("f").unwrap(), Syncs { count: 2, last: 4 });
    assert_eq!(disk.syncs("").unwrap(), Syncs { count: 1, last: 5 });
    assert_eq!((disk.operations(), disk.reads()), (5, 0));
    file.read_at(&mut [0], 0).unwrap();
    assert_eq!((disk.operations(), disk.reads()), (5, 1));
}

#[test]
fn what_came_and_went_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    for _ in 0..10 {
        disk.create_folder("d").unwrap();
        let file = file_with(&disk, "spill", &[1; 5000]);
        file_with(&disk, "replaced", &[1; 5000]);
        disk.rename("spill", "replaced").unwrap();
        assert_eq!(disk.used_bytes(), 2 * 4096);
        disk.remove_file("replaced").unwrap();
        disk.sync_folder("d").unwrap();
        disk.remove_folder("d").unwrap();
        drop(file);
        disk.sync_folder("").unwrap();
    }
    let state = disk.state.lock();
    assert!(state.live.files.is_empty() && state.durable.tree.files.is_empty());
    assert_eq!(
        (state.live.folders.len(), state.durable.tree.folders.len()),
        (1, 1)
    );
    assert_eq!((state.durable.unsynced(), state.syncs.len()), (0, 1));
}

/// A name may come back with a crash; what was synced under it must come with it.
#[test]
fn a_file_whose_removal_is_lost_has_what_was_synced() {
    let disk = SimDisk::new(1);
    disk.create_folder("d").unwrap();
    disk.sync_folder("").unwrap();
    let file = disk.open("d/f", OpenMode::New).unwrap();
    file.write_at(b"synced", 0).unwrap();
    file.sync_data().unwrap();
    disk.remove_file("d/f").unwrap();
    drop(file);
    disk.sync_folder("").unwrap();
    let found: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| content(&disk.crash_with(Survival::Prefix, seed), "d/f"))
        .collect();
    assert_eq!(found, [None, Some(b"synced".to_vec())].into());
}

#[test]
fn requests_fail_once_or_from_one_on_and_only_where_told() {
    let disk = SimDisk::new(1);
    disk.create_folder("d").unwrap();
    let (file, other) = (file_with(&disk, "f", &[1; 10]), file_with(&disk, "d/f", &[1; 10]));
    let mut byte = [0];
    disk.inject(Fault::fail_read(1));
    let outcomes = [0; 4].map(|_| file.read_at(&mut byte, 0).is_ok());
    assert_eq!(outcomes, [true, false, true, true]);
    disk.inject(Fault::fail_read(1).forever().below("d"));
    let outcomes = [0; 4].map(|_| {
        (
            file.read_at(&mut byte, 0).is_ok(),
            other.read_at(&mut byte, 0).is_ok(),
        )
    });
    assert_eq!(
        outcomes,
        [(true, true), (true, false), (true, false), (true, false)]
    );
    disk.clear_faults();
    other.read_at(&mut byte, 0).unwrap();
    disk.inject(Fault::fail(
        FaultOn::Names,
        0,
        std::io::ErrorKind::ReadOnlyFilesystem,
    ));
    let refused = disk.remove_file("f").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    disk.inject(Fault::fail(FaultOn::Resize, 0, std::io::ErrorKind::Other));
    assert!(file.set_length(3).is_err());
    assert_eq!(content(&disk, "f").unwrap().len(), 10);
}

#[test]
fn of_a_write_that_fails_a_beginning_may_be_there() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = file_with(&disk, "f", &[0; 8]);
        disk.inject(Fault::fail_write(0));
        assert!(file.write_at(&[1; 8], 0).is_err());
        let found = content(&disk, "f").unwrap();
        let ones = found.iter().take_while(|byte| **byte == 1).count();
        assert!(found[ones..].iter().all(|byte| *byte == 0), "seed {seed}");
        lengths.insert(ones);
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn a_second_sync_does_not_save_what_a_failed_one_lost() {
    let mut survived = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        disk.record();
        let file = file_with(&disk, "f", &[0; 2]);
        file.write_at(&[1], 0).unwrap();
        file.write_at(&[1], 1).unwrap();
        disk.inject(Fault::fail_sync(0));
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(content(&disk, "f").unwrap(), [1, 1], "seed {seed}");
        let found = crashed(&disk, Survival::Everything, seed, "f");
        let cut = disk.cuts().last().unwrap();
        assert_eq!(
            content(&cut.crash_with(Survival::Everything, seed), "f").unwrap(),
            found,
            "seed {seed}"
        );
        survived.insert(found);
    }
    assert_eq!(survived.len(), 4);
}

#[test]
fn a_misdirected_write_lands_on_another_page() {
    let page = |byte: u8| vec![byte; 4096];
    for seed in 0..30 {
        let disk = SimDisk::new(seed);
        let file = file_with(&disk, "f", &[page(1), page(2)].concat());
        file_with(&disk, "g", &page(3));
        disk.inject(Fault::misdirect_write(0));
        file.write_at(&page(9), 4096).unwrap();
        let found = [content(&disk, "f").unwrap(), content(&disk, "g").unwrap()].concat();
        let pages: Vec<u8> = found.chunks(4096).map(|page| page[0]).collect();
        assert!(pages == [9, 2, 3] || pages == [1, 2, 9], "seed {seed}: {pages:?}");
        file.sync_data().unwrap();
    }
    let disk = SimDisk::new(1);
    let file = disk.open("alone", OpenMode::New).unwrap();
    disk.inject(Fault::misdirect_write(0));
    file.write_at(&page(9), 0).unwrap();
    assert_eq!(content(&disk, "alone").unwrap(), [page(0), page(9)].concat());
}

#[test]
fn bits_flip_on_the_medium_or_in_one_read() {
    let disk = SimDisk::new(5);
    disk.record();
    let file = file_with(&disk, "f", &[0; 100]);
    file.write_at(&[0; 50], 0).unwrap();
    disk.flip_bit("f", 83).unwrap();
    let mut expected = vec![0; 100];
    expected[10] = 8;
    assert_eq!(content(&disk, "f").unwrap(), expected);
    for survival in [Survival::Nothing, Survival::Everything] {
        assert_eq!(crashed(&disk, survival, 0, "f"), expected);
        assert_eq!(
            content(&disk.cuts().last().unwrap().crash(survival), "f").unwrap(),
            expected
        );
    }
    file.sync_data().unwrap();
    assert_eq!(crashed(&disk, Survival::Nothing, 0, "f"), expected);
    assert!(disk.flip_bit("f", 800).is_err());

    let read = || {
        let mut bytes = vec![0; 100];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    disk.inject(Fault::flip_read(1));
    let reads = [read(), read(), read()];
    assert_eq!((&reads[0], &reads[2]), (&expected, &expected));
    let flipped: u32 = std::iter::zip(&reads[1], &expected)
        .map(|(one, other)| (one ^ other).count_ones())
        .sum();
    assert_eq!(flipped, 1);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(4 * 4096));
    let file = disk.open("f", OpenMode::New).unwrap();
    file.allocate(0, 2 * 4096).unwrap();
    let space = disk.space("").unwrap();
    assert_eq!((space.total_bytes, space.available_bytes), (4 * 4096, 2 * 4096));
    let other = disk.open("g", OpenMode::New).unwrap();
    let full = other.write_at(&[1; 3 * 4096], 0).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(content(&disk, "g").unwrap(), [1; 2 * 4096]);
    assert_eq!(
        other.allocate(0, 3 * 4096).unwrap_err().kind(),
        std::io::ErrorKind::StorageFull
    );
    file.write_at(&[2; 2 * 4096], 0).unwrap();
    assert!(file.write_at(&[2], 2 * 4096).is_err());
    disk.set_capacity(Some(5 * 4096));
    file.write_at(&[2], 2 * 4096).unwrap();
    assert_eq!(disk.used_bytes(), 5 * 4096);
    disk.remove_file("g").unwrap();
    assert_eq!(disk.used_bytes(), 5 * 4096);
    drop(other);
    assert_eq!(disk.used_bytes(), 3 * 4096);
    assert_eq!(
        disk.crash(Survival::Everything).space("").unwrap().total_bytes,
        5 * 4096
    );
}

#[test]
fn a_gate_holds_reads_below_its_path_back_until_they_may_pass() {
    let disk = SimDisk::new(1);
    disk.create_folder("held").unwrap();
    let [held, free] = ["held/f", "free"].map(|path| {
        let file = disk.open(path, OpenMode::New).unwrap();
        file.write_at(&[7; 10], 0).unwrap();
        file
    });
    let gate = disk.hold_reads("held");
    free.read_at(&mut [0; 10], 0).unwrap();
    let done = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                held.read_at(&mut [0; 10], 0).unwrap();
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            gate.open();
        });
        for reads in 0..3 {
            assert!(gate.holds());
            assert_eq!(done.load(std::sync::atomic::Ordering::SeqCst), reads);
            gate.let_one_pass();
        }
        assert!(!gate.holds());
    });
    disk.read_immutable("held/f").unwrap();
}
