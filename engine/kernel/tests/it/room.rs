//! The log gives its segments back, also when nothing was ever trimmed, and also when the disk is full.

use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::Kernel;
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::SimDisk;

use crate::model::Act;
use crate::random::{commit, open};

/// A commit of one row that has no entry in the change log.
fn silent(kernel: &Kernel, number: u64) -> Result<Ts, KernelError> {
    let key = (number % 10).to_be_bytes().to_vec();
    commit(kernel, &[Act::Write(1, key, Some(vec![7; 1000]))], 0)
}

#[test]
fn commits_without_entries_don_t_keep_the_log() {
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(1), &clock).unwrap();
    let first = commit(&kernel, &[Act::Log(b"kept".to_vec())], 1).unwrap();
    for number in 0..2_000 {
        silent(&kernel, number).unwrap();
        kernel.step().unwrap();
    }
    let with_entry = kernel.wal().segments().len();
    assert_eq!(
        kernel.log_after(Ts(0), 10).unwrap().unwrap()[0].entries,
        [b"kept".to_vec()]
    );
    commit(&kernel, &[Act::Trim(first)], 2).unwrap();
    kernel.checkpoint().unwrap();
    let without = kernel.wal().segments().len();
    assert!(
        with_entry > 20 && without <= 2,
        "{with_entry} segments, {without} once it was trimmed"
    );
    // A reader who is where the log was trimmed has missed nothing.
    assert_eq!(kernel.log_after(first, 10).unwrap().unwrap(), []);
    let newest = commit(&kernel, &[Act::Log(b"new".to_vec())], 3).unwrap();
    let found = kernel.log_after(first, 10).unwrap().unwrap();
    assert_eq!((found.len(), found[0].ts), (1, newest));
    assert_eq!(kernel.log_extent().totals.entries, 1);
    for number in 0..2_000 {
        silent(&kernel, number).unwrap();
        kernel.step().unwrap();
    }
    commit(&kernel, &[Act::Trim(Ts(newest.0 + 1_000))], 4).unwrap();
    assert_eq!(kernel.log_extent().totals.entries, 0);
}

#[test]
fn a_full_disk_is_helped_by_the_log_s_own_segments() {
    let clock = Arc::new(ManualClock::new(0));
    let disk = SimDisk::new(1);
    let kernel = open(&disk, &clock).unwrap();
    for number in 0..100 {
        silent(&kernel, number).unwrap();
    }
    disk.set_capacity(Some(disk.used_bytes()));
    let failed = (0..10_000).find_map(|number| silent(&kernel, number).err());
    assert!(matches!(failed, Some(KernelError::DiskFull { .. })), "{failed:?}");
    assert!(kernel.check_writable().is_ok());
    for number in 0..1_000 {
        while kernel.step().unwrap() {}
        silent(&kernel, number).unwrap();
    }
    assert_eq!(kernel.cramped(), None);
}
