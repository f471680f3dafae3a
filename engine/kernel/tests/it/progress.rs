//! How far the opening of a store is, looked at while its reads of the log are held back.

use std::sync::Arc;

use rustydb_kernel::kernel::{Kernel, KernelOptions, OpenNow, OpenPhase, OpenProgress};
use rustydb_runtime::disk::simulated::{SimDisk, Survival};
use rustydb_runtime::{ManualClock, SeededRng};

use crate::model::Act;
use crate::random::{commit, open, options};

/// A disk whose power failed behind a log of several segments.
fn crashed() -> SimDisk {
    let disk = SimDisk::new(1);
    let kernel = open(&disk, &Arc::new(ManualClock::new(1))).unwrap();
    for number in 0..40_u64 {
        let value = vec![number as u8; 6_000];
        commit(
            &kernel,
            &[Act::Write(1, number.to_be_bytes().to_vec(), Some(value))],
            0,
        )
        .unwrap();
    }
    disk.crash(Survival::Nothing)
}

/// Opens the store; `look` is called wherever it waits for a read of the log.
fn opened(disk: &SimDisk, mut look: impl FnMut(OpenNow)) -> (Kernel, OpenNow) {
    let progress = OpenProgress::default();
    let options = KernelOptions {
        progress: progress.clone(),
        ..options()
    };
    let gate = disk.hold_reads("kernel/wal");
    let kernel = std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let clock = Arc::new(ManualClock::new(1));
            let opened = Kernel::open(
                Arc::new(disk.clone()),
                "kernel",
                clock,
                &SeededRng::new(7),
                options,
            );
            gate.open();
            opened
        });
        while gate.holds() {
            look(progress.now());
            gate.let_one_pass();
        }
        opening.join().unwrap()
    });
    (kernel.unwrap(), progress.now())
}

#[test]
fn recovery_tells_how_far_it_is() {
    let disk = crashed();
    let mut looks: Vec<OpenNow> = Vec::new();
    let (kernel, end) = opened(&disk, |now| looks.push(now));
    let recovery = kernel.recovery();
    assert_eq!(end.phase, OpenPhase::Open);
    assert_eq!(
        (end.replay.bytes, end.replay.bytes_max),
        (recovery_bytes(&kernel), recovery_bytes(&kernel))
    );
    assert!(
        recovery.groups >= 40 && end.replay.bytes > 40 * 6_000,
        "{recovery:?}"
    );
    for pair in looks.windows(2) {
        let [before, after] = pair else { panic!("{pair:?}") };
        assert!(before.phase <= after.phase, "{pair:?}");
        assert!(before.replay.bytes <= after.replay.bytes, "{pair:?}");
    }
    let replaying: Vec<_> = looks
        .iter()
        .filter(|now| now.phase == OpenPhase::Replaying)
        .collect();
    let mut told: Vec<u64> = replaying.iter().map(|now| now.replay.bytes).collect();
    told.dedup();
    assert!(told.len() >= 4, "each segment is read by itself: {told:?}");
    // The headers of segments are read first; then it is known how much there may be.
    let counted = replaying.iter().filter(|now| now.replay.bytes_max > 0);
    for now in counted {
        assert!(now.replay.bytes <= now.replay.bytes_max, "{now:?}");
        assert!(now.replay.bytes_max >= end.replay.bytes, "{now:?}");
    }
}

/// Bytes between the place where recovery began and the end of the log then.
fn recovery_bytes(kernel: &Kernel) -> u64 {
    let recovery = kernel.recovery();
    recovery.end.0 - recovery.redo.0
}

#[test]
fn a_store_that_ended_in_order_has_nothing_to_replay() {
    let disk = SimDisk::new(2);
    drop(open(&disk, &Arc::new(ManualClock::new(1))).unwrap());
    let (kernel, end) = opened(&disk, |_| {});
    assert_eq!(end.phase, OpenPhase::Open);
    assert_eq!(kernel.recovery().groups, 0);
    assert!(end.replay.bytes < 200, "a mark at most: {end:?}");
}
