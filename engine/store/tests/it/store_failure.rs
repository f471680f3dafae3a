//! A disk that fails: nothing is accepted any more, nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_store::error::StoreError;
use rustydb_store::redb_store::RedbStore;
use rustydb_store::redb_store::cut_disk::{CutDisk, Fault, Image, Survival};
use rustydb_store::seam::{SpaceId, TableStore, Write, WriteBatch};

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

fn open(disk: &CutDisk) -> RedbStore {
    RedbStore::open_backend(disk.backend(), Arc::new(ManualClock::new(5))).unwrap()
}

/// Commits, breaks the disk, and checks the store before and after a restart on a disk that works.
fn fails_and_restarts(fault: Fault, bytes: usize) {
    let disk = CutDisk::new(Image::default());
    let store = open(&disk);
    let mut reference = Reference::default();
    for key in 0..20 {
        reference.commit(&insert(key, 100), 5).unwrap();
        store.commit(insert(key, 100)).unwrap();
    }
    disk.fail(Some(fault));
    let first = store.commit(insert(20, bytes)).unwrap_err();
    assert!(matches!(first, StoreError::Io(_)), "{first}");
    disk.fail(None);
    for batch in [insert(21, 100), insert(0, 100), WriteBatch::default()] {
        let refused = store.commit(batch).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Poisoned { reason } if reason.contains("told to fail")),
            "{refused}"
        );
    }
    assert_eq!(
        store.snapshot().unwrap().seq(),
        reference.newest,
        "readers keep the last durable state"
    );
    drop(store);
    for survival in Survival::ALL {
        let disk = CutDisk::new(disk.cut_now(survival));
        let store = open(&disk);
        // The commit that failed was not acknowledged: it may be there, whole, or not at all.
        let mut expected = reference.clone();
        if store.snapshot().unwrap().seq() > expected.newest {
            expected.commit(&insert(20, bytes), 5).unwrap();
        }
        expected.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
        expected.commit(&insert(30, 100), 5).unwrap();
        store.commit(insert(30, 100)).unwrap();
        expected.compare_store(&store, &BTreeSet::from([SPACE])).unwrap();
    }
}

#[test]
fn a_failed_sync_is_final_until_restart() {
    fails_and_restarts(Fault::Sync, 100);
}

#[test]
fn a_failed_write_is_final_until_restart() {
    fails_and_restarts(Fault::Write, 100);
}

/// A full disk: the file can't grow for a large value.
#[test]
fn a_full_disk_is_final_until_restart() {
    fails_and_restarts(Fault::SetLen, 8 << 20);
}
