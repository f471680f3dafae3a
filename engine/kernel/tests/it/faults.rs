//! Requests to the disk that fail: nothing is half done, nothing acknowledged is lost, and reading goes on.

use rustydb_kernel::error::KernelError;
use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::simulated::{Fault, FaultOn, Survival};

use crate::driven::{Driven, SPACES};
use crate::random::{Places, open, seed_of};

/// Commits before the fault is told, and most of them after it.
const COMMITS_BEFORE: u64 = 80;
const COMMITS_AFTER: u64 = 60;

/// Where requests are failed.
const FOLDERS: [&str; 3] = ["kernel/wal", "kernel/tablespaces", "kernel/control"];

/// Runs a load with a fault. Whether it struck.
fn run_with(seed: u64, fault: Fault, context: &str) -> bool {
    let mut driven = Driven::after(seed, COMMITS_BEFORE);
    driven.disk.inject(fault);
    let mut struck = false;
    for step in 0..COMMITS_AFTER {
        let Err(error) = driven.step() else {
            // A failure that was kept secret shows only until a checkpoint has written everything anew.
            if step % 3 == 0 {
                let image = driven.disk.crash(Survival::Nothing);
                let kernel = open(&image, &driven.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
                driven
                    .history
                    .check(&kernel, &format!("{context}, then a crash after step {step}"));
            }
            continue;
        };
        struck = true;
        match &error {
            KernelError::Io { .. } | KernelError::Poisoned { .. } => {}
            error => panic!("{context}: {error}"),
        }
        if driven.kernel.check_writable().is_err() {
            check_poisoned(&mut driven, context);
            break;
        }
        assert!(
            !matches!(error, KernelError::Poisoned { .. }),
            "{context}: {error}, and more is accepted"
        );
        // Nothing came of it: the store goes on as if it had not been asked.
        driven.check(&format!("{context}, after {error}"));
    }
    driven
        .history
        .check_after_crashes(&driven.disk, &driven.clock, context);
    let Driven {
        disk,
        clock,
        kernel,
        history,
        ..
    } = driven;
    drop(kernel);
    history.check_after_crashes(&disk, &clock, &format!("{context}, closed"));
    struck
}

/// Nothing is accepted any more, and everything that was durable is read.
fn check_poisoned(driven: &mut Driven, context: &str) {
    driven.disk.clear_faults();
    for _ in 0..3 {
        let refused = driven.kernel.commit(1, |commit| {
            commit.log(b"more".to_vec());
            Ok::<(), KernelError>(())
        });
        assert!(
            matches!(refused, Err(KernelError::Poisoned { .. })),
            "{context}: {refused:?}"
        );
        let refused = driven.kernel.checkpoint();
        assert!(
            matches!(refused, Err(KernelError::Poisoned { .. })),
            "{context}: {refused:?}"
        );
    }
    assert!(driven.kernel.newest() >= driven.history.acknowledged);
    for space in SPACES {
        match driven.read(space) {
            Ok(()) => {}
            // No frame could be had for the pages of a commit that is in the log and larger than the pool holds.
            Err(KernelError::Poisoned { reason }) => {
                assert!(reason.contains("large commit"), "{context}: {reason}")
            }
            Err(error) => panic!("{context}: {error}"),
        }
    }
}

/// Fails each request of a kind in turn, until one is not reached; a part of them in the usual run.
fn fail_each(test: &str, folder: &str, fault: impl Fn(u64) -> Fault, places_max: u64) {
    let seed = seed_of(test, 1);
    let mut places = Places::new(seed, places_max);
    let mut struck = 0;
    let mut missed = 0;
    // A failure that nobody is told of looks like one that was not reached: a dozen is not taken for the end.
    while missed < 12 {
        let nth = places.next();
        let context = format!("RUSTYDB_SEED={seed} request {nth} of {folder:?} fails");
        // Another seed each: what survives of a request that fails is drawn from it.
        match run_with(seed + nth, fault(nth).below(folder), &context) {
            true => struck += 1,
            false => missed += 1,
        }
    }
    assert!(struck > 0, "no request of {folder:?} was failed");
    eprintln!("{test}: {struck} requests of {folder:?} were failed");
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_and_nothing_acknowledged_is_lost() {
    for folder in FOLDERS {
        fail_each("after_a_failed_sync", folder, Fault::fail_sync, 100);
    }
}

#[test]
fn a_failed_write_leaves_nothing_half_done() {
    for folder in FOLDERS {
        fail_each("a_failed_write", folder, Fault::fail_write, 100);
    }
}

#[test]
fn a_failed_read_is_told_and_leaves_nothing_half_done() {
    for folder in ["kernel/wal", "kernel/tablespaces"] {
        fail_each("a_failed_read", folder, Fault::fail_read, 100);
    }
}

#[test]
fn files_that_cannot_be_made_named_or_removed_leave_nothing_half_done() {
    let kind = std::io::ErrorKind::PermissionDenied;
    fail_each(
        "files_that_cannot_be_made",
        "kernel",
        |nth| Fault::fail(FaultOn::Names, nth, kind),
        60,
    );
    fail_each(
        "files_that_cannot_grow",
        "kernel",
        |nth| Fault::fail(FaultOn::Resize, nth, kind),
        12,
    );
}

/// Opening reads everything that decides: each of its requests may fail, and the next opening finds the same.
#[test]
fn an_opening_that_fails_changes_nothing() {
    let seed = seed_of("an_opening_that_fails", 1);
    let driven = Driven::after(seed, COMMITS_BEFORE);
    for kind in [FaultOn::Read, FaultOn::Write, FaultOn::Sync, FaultOn::Names] {
        let mut places = Places::new(seed, 24);
        loop {
            let nth = places.next();
            let context = format!("RUSTYDB_SEED={seed} {kind:?} {nth} of an opening fails");
            let disk = driven.disk.crash(Survival::Everything);
            disk.inject(Fault::fail(kind, nth, std::io::ErrorKind::Other));
            let opened = open(&disk, &driven.clock);
            disk.clear_faults();
            match opened {
                Err(
                    KernelError::Io { .. } | KernelError::Poisoned { .. } | KernelError::CorruptFile { .. },
                ) => {
                    driven.history.check_after_crashes(&disk, &driven.clock, &context);
                }
                Err(error) => panic!("{context}: {error}"),
                Ok(kernel) => {
                    driven.history.check(&kernel, &context);
                    break;
                }
            }
        }
    }
}

#[test]
fn a_store_that_could_not_be_made_is_made_by_the_next_opening() {
    let seed = seed_of("a_store_that_could_not_be_made", 1);
    for kind in [FaultOn::Write, FaultOn::Sync, FaultOn::Names, FaultOn::Resize] {
        for nth in 0.. {
            let disk = rustydb_runtime::disk::SimDisk::new(seed);
            let clock = std::sync::Arc::new(rustydb_runtime::ManualClock::new(1));
            disk.inject(Fault::fail(kind, nth, std::io::ErrorKind::Other));
            let made = open(&disk, &clock).is_ok();
            disk.clear_faults();
            let kernel = open(&disk, &clock).unwrap_or_else(|error| panic!("{kind:?} {nth}: {error}"));
            assert!(kernel.check().unwrap().findings.is_empty());
            if made {
                assert!(nth > 0, "{kind:?} is never asked for");
                break;
            }
        }
    }
}

/// The disk fills up anywhere. What has no room is refused as such and leaves nothing; with room work goes on.
#[test]
fn a_full_disk_refuses_commits_and_work_resumes_with_room() {
    let seed = seed_of("a_full_disk", 1);
    let mut refused = 0;
    let rooms = Places::soak().unwrap_or(40);
    for room in 0..rooms {
        let mut driven = Driven::after(seed, COMMITS_BEFORE);
        let rng = SeededRng::new(seed ^ room);
        // A file takes whole blocks of so many bytes.
        let bytes = driven.disk.used_bytes() + rng.below([4, 40, 300][rng.below(3) as usize]) * 4096;
        let context = format!("RUSTYDB_SEED={seed} a disk of {bytes} bytes");
        driven.disk.set_capacity(Some(bytes));
        let mut refused_here = 0;
        for _ in 0..2 * COMMITS_AFTER {
            match driven.step() {
                Ok(()) => {}
                Err(KernelError::DiskFull { .. }) => {
                    refused_here += 1;
                    driven.check(&format!("{context}, full"));
                    if refused_here == 4 {
                        driven.history.check_after_crashes(
                            &driven.disk,
                            &driven.clock,
                            &format!("{context}, full"),
                        );
                        driven.disk.set_capacity(None);
                    }
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
        driven.disk.set_capacity(None);
        driven.step().unwrap();
        driven.check(&context);
        refused += u64::from(refused_here > 0);
    }
    eprintln!("a_full_disk: {refused} of {rooms} disks filled up");
    assert!(refused > rooms / 4, "too few disks filled up");
}

/// A store is opened, read and closed on a disk without any room.
#[test]
fn a_full_disk_can_be_opened_read_and_closed() {
    let seed = seed_of("a_full_disk_can_be_opened", 1);
    let Driven {
        disk,
        clock,
        kernel,
        history,
        ..
    } = Driven::after(seed, COMMITS_BEFORE);
    for closed in [false, true] {
        let image = disk.crash(Survival::Everything);
        if closed {
            drop(open(&image, &clock).unwrap());
        }
        image.set_capacity(Some(image.used_bytes()));
        for _ in 0..2 {
            let kernel = open(&image, &clock).unwrap_or_else(|error| panic!("closed {closed}: {error}"));
            history.check(&kernel, "a full disk");
        }
    }
    drop(kernel);
}
