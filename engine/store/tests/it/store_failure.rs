//! A disk that fails or is full: nothing acknowledged is lost, and what is refused is so for a reason that is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::{Fault, SimDisk, Survival};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{SpaceId, TableStore, Write, WriteBatch};

use rustydb_store::testing::kernel_store_on;

use crate::reference::Reference;

const SPACE: SpaceId = SpaceId(1024);

fn insert(key: u32, bytes: usize) -> WriteBatch {
    let write = Write {
        space: SPACE,
        key: key.to_be_bytes().to_vec(),
        expected: None,
        value: Some(vec![key as u8; bytes]),
    };
    WriteBatch {
        writes: vec![write],
        log: vec![key.to_be_bytes().to_vec()],
        ..WriteBatch::default()
    }
}

fn open(disk: &SimDisk) -> KernelStore {
    kernel_store_on(disk, Arc::new(ManualClock::new(5))).unwrap()
}

/// A store with twenty commits, and what it should hold.
fn filled(disk: &SimDisk) -> (KernelStore, Reference) {
    let store = open(disk);
    let mut reference = Reference::default();
    for key in 0..20 {
        reference.commit(&insert(key, 100), 5).unwrap();
        store.commit(insert(key, 100)).unwrap();
    }
    (store, reference)
}

/// Commits, breaks the disk, and checks the store before and after a restart on a disk that works.
fn fails_and_restarts(fault: Fault) {
    let disk = SimDisk::new(1);
    let (store, reference) = filled(&disk);
    disk.inject(fault.forever());
    let first = store.commit(insert(20, 100)).unwrap_err();
    assert!(
        matches!(first, StoreError::Io(_) | StoreError::Poisoned { .. }),
        "{first}"
    );
    disk.clear_faults();
    assert!(matches!(store.check_writable(), Err(StoreError::Poisoned { .. })));
    for batch in [insert(21, 100), insert(0, 100), WriteBatch::default()] {
        let refused = store.commit(batch).unwrap_err();
        assert!(matches!(refused, StoreError::Poisoned { .. }), "{refused}");
    }
    reference
        .compare_store(&store, &BTreeSet::from([SPACE]))
        .expect("readers keep the last durable state");
    drop(store);
    for survival in Survival::ALL {
        let disk = disk.crash(survival);
        let store = open(&disk);
        // The commit that failed was not acknowledged: it may be there, whole, or not at all.
        let mut expected = reference.clone();
        if store.snapshot().unwrap().seq() > expected.newest {
            expected.commit(&insert(20, 100), 5).unwrap();
        }
        expected.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
        expected.commit(&insert(30, 100), 5).unwrap();
        store.commit(insert(30, 100)).unwrap();
        expected.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
    }
}

#[test]
fn a_failed_sync_is_final_until_restart() {
    fails_and_restarts(Fault::fail_sync(0));
}

#[test]
fn a_failed_write_is_final_until_restart() {
    fails_and_restarts(Fault::fail_write(0));
}

/// A full disk refuses what needs room, and nothing else; with room work goes on.
#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    let disk = SimDisk::new(1);
    let (store, mut reference) = filled(&disk);
    disk.set_capacity(Some(disk.used_bytes()));
    let refused = store.commit(insert(20, 8 << 20)).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Full(what) if what.contains("no space is left")),
        "{refused}"
    );
    assert!(
        store
            .check_writable()
            .unwrap_err()
            .to_string()
            .contains("no space is left")
    );
    reference.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
    disk.set_capacity(None);
    store.kernel().step().unwrap();
    store.check_writable().unwrap();
    reference.commit(&insert(20, 8 << 20), 5).unwrap();
    store.commit(insert(20, 8 << 20)).unwrap();
    reference.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
}
