//! Write sets that are larger than the memory they may have.

use std::sync::Arc;

use rustydb_runtime::disk::simulated::{Fault, FaultOn};
use rustydb_runtime::disk::{Disk, OpenMode, SimDisk};
use rustydb_runtime::{ManualClock, SeededRng};

use super::support::{all_rows, committed_rows, filled, int, key, text};
use crate::error::StoreError;
use crate::seam::CommitSeq;
use crate::tables::{SpillRoom, TableError, Tables, Txn, WRITE_SET_MEMORY_BYTES_MIN};
use crate::testing::MemStore;
use crate::types::{Row, TableDef};

const ROW_BYTES: usize = 4_000;

/// Tables whose transactions have the least memory, with the disk that they spill to.
fn spilling() -> (Tables, Arc<SpillRoom>, SimDisk) {
    let disk = SimDisk::new(1);
    let room =
        Arc::new(SpillRoom::open(Arc::new(disk.clone()), "spill", WRITE_SET_MEMORY_BYTES_MIN).unwrap());
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let store = Arc::new(MemStore::new(clock.clone()));
    let tables = Tables::open_with(store, clock, Some(Arc::clone(&room))).unwrap();
    (tables, room, disk)
}

fn files(disk: &SimDisk) -> usize {
    disk.list("spill").unwrap().len()
}

fn row(id: i32, version: u64) -> Row {
    let name = format!("{id}/{version}/").repeat(ROW_BYTES / 8);
    vec![int(id), text(&name)]
}

fn insert(txn: &mut Txn, table: &TableDef, ids: std::ops::Range<i32>) {
    for id in ids {
        txn.insert(table, row(id, 0)).unwrap();
    }
}

#[test]
fn what_exceeds_the_memory_lies_in_a_file_and_is_read_and_committed_like_the_rest() {
    let (tables, room, disk) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    insert(&mut txn, &table, 1..6);
    assert_eq!(
        (txn.spilled_bytes(), files(&disk)),
        (0, 0),
        "it has memory for these"
    );
    insert(&mut txn, &table, 6..501);
    assert_eq!(files(&disk), 1);
    // Keys stay in memory, each twice.
    let keys = 2 * 500 * key(&table, 1).0.len();
    let beyond = txn.pending_bytes() - WRITE_SET_MEMORY_BYTES_MIN - keys;
    let spilled = usize::try_from(txn.spilled_bytes()).unwrap();
    assert!(
        spilled >= beyond && spilled <= txn.pending_bytes(),
        "{spilled} of {}",
        txn.pending_bytes()
    );
    assert_eq!(room.spilled_bytes(), txn.spilled_bytes());
    let expected: Vec<Row> = (1..501).map(|id| row(id, 0)).collect();
    assert_eq!(all_rows(&txn, &table), expected);
    assert_eq!(txn.get(&table, &key(&table, 499)).unwrap(), Some(row(499, 0)));
    txn.update(&table, &key(&table, 499), row(499, 1)).unwrap();
    assert_eq!(txn.get(&table, &key(&table, 499)).unwrap(), Some(row(499, 1)));
    assert!(txn.delete(&table, &key(&table, 500)).unwrap());
    assert_eq!(txn.row_count(&table).unwrap(), 499);

    let before = tables.store().log_extent().unwrap().newest;
    txn.commit().unwrap();
    assert_eq!((room.spilled_bytes(), files(&disk)), (0, 0));
    let mut expected: Vec<Row> = (1..499).map(|id| row(id, 0)).collect();
    expected.push(row(499, 1));
    assert_eq!(committed_rows(&tables, &table), expected);
    let log = tables.store().log_after(before, usize::MAX).unwrap();
    assert_eq!(log.len(), 502, "500 inserts, one update, one delete");
}

#[test]
fn a_reader_keeps_the_file_and_a_rollback_removes_it() {
    let (tables, room, disk) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    insert(&mut txn, &table, 1..101);
    let reader = txn.reader();
    txn.rollback();
    assert_eq!(files(&disk), 1);
    assert_eq!(reader.get(&table, &key(&table, 100)).unwrap(), Some(row(100, 0)));
    drop(reader);
    assert_eq!((room.spilled_bytes(), files(&disk)), (0, 0));
    assert!(committed_rows(&tables, &table).is_empty());
}

#[test]
fn files_that_a_crash_left_are_removed_when_the_room_is_opened() {
    let disk = SimDisk::new(1);
    disk.create_folder("spill").unwrap();
    disk.open("spill/7.spill", OpenMode::New).unwrap();
    SpillRoom::open(Arc::new(disk.clone()), "spill", WRITE_SET_MEMORY_BYTES_MIN).unwrap();
    assert_eq!(files(&disk), 0);
}

#[test]
fn without_room_on_the_disk_the_statement_fails_and_the_transaction_goes_on() {
    let (tables, _, disk) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    insert(&mut txn, &table, 1..31);
    let many = (31..201).map(|id| row(id, 0)).collect::<Vec<_>>();
    disk.inject(
        Fault::fail(FaultOn::Write, 0, std::io::ErrorKind::StorageFull)
            .forever()
            .below("spill"),
    );
    let refused = txn.insert_many(&table, many.clone()).unwrap_err();
    assert!(
        matches!(&refused, TableError::Store(StoreError::Full(what)) if what.contains("spill/")),
        "{refused}"
    );
    let first: Vec<Row> = (1..31).map(|id| row(id, 0)).collect();
    assert_eq!(all_rows(&txn, &table), first);
    disk.clear_faults();
    txn.insert_many(&table, many).unwrap();
    txn.commit().unwrap();
    assert_eq!(committed_rows(&tables, &table).len(), 200);
}

#[test]
fn a_value_that_cannot_be_read_back_fails_the_commit_and_nothing_is_kept() {
    let (tables, _, disk) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    insert(&mut txn, &table, 1..201);
    let newest = *tables.store().commits().borrow();
    disk.inject(Fault::fail(FaultOn::Read, 0, std::io::ErrorKind::Other).below("spill"));
    let refused = txn.commit().unwrap_err();
    assert!(
        matches!(refused, TableError::Store(StoreError::Io(_))),
        "{refused}"
    );
    assert_eq!(*tables.store().commits().borrow(), newest);
    assert_ne!(newest, CommitSeq(0));
    assert!(committed_rows(&tables, &table).is_empty());
}

#[test]
fn a_value_that_comes_back_wrong_is_an_error() {
    let (tables, _, disk) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    insert(&mut txn, &table, 1..201);
    disk.inject(Fault::flip_read(0).below("spill"));
    let refused = txn.get(&table, &key(&table, 30)).unwrap_err();
    assert!(
        matches!(&refused, TableError::Store(StoreError::Corrupt(what)) if what.contains("spill/")),
        "{refused}"
    );
    assert_eq!(txn.get(&table, &key(&table, 30)).unwrap(), Some(row(30, 0)));
}

/// What is undone again and again stays in the file, which is bounded like the rest.
#[test]
fn a_file_that_grows_by_what_is_undone_is_bounded() {
    let (tables, _, _) = spilling();
    let table = filled(&tables, 0);
    let mut txn = tables.begin().unwrap();
    txn.pending_bytes_max = 1 << 20;
    txn.create_savepoint("s").unwrap();
    let refused = (0..100).find_map(|_| {
        let done = txn.insert_many(&table, (1..51).map(|id| row(id, 0)).collect());
        txn.rollback_to_savepoint("s").unwrap();
        done.err()
    });
    assert!(
        matches!(refused, Some(TableError::TransactionTooLarge { .. })),
        "{refused:?}"
    );
}

/// The same random changes in a transaction that spills and in one that does not: both see the same at every step.
#[test]
fn a_transaction_that_spills_does_what_one_in_memory_does() {
    for seed in 0..20 {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let (spilling, room, disk) = spilling();
        let in_memory = super::support::tables();
        let pairs = [&spilling, &in_memory].map(|tables| (tables, filled(tables, 20)));
        let mut txns = pairs.each_ref().map(|(tables, _)| tables.begin().unwrap());
        let mut names: Vec<String> = Vec::new();
        for step in 0..300 {
            let id = 1 + rng.below(80) as i32;
            let action = rng.below(100);
            let name = format!("s{step}");
            let back = (!names.is_empty()).then(|| rng.below(names.len() as u64) as usize);
            let outcomes = [0, 1].map(|side| {
                let (txn, table) = (&mut txns[side], &pairs[side].1);
                match action {
                    0..40 => txn
                        .insert(table, row(id, step))
                        .map(drop)
                        .map_err(|e| e.to_string()),
                    40..70 => txn
                        .update(table, &key(table, id), row(id, step))
                        .map(drop)
                        .map_err(|e| e.to_string()),
                    70..85 => txn
                        .delete(table, &key(table, id))
                        .map(drop)
                        .map_err(|e| e.to_string()),
                    85..93 => txn.create_savepoint(&name).map_err(|e| e.to_string()),
                    _ => match back {
                        Some(back) => txn.rollback_to_savepoint(&names[back]).map_err(|e| e.to_string()),
                        None => Ok(()),
                    },
                }
            });
            assert_eq!(outcomes[0], outcomes[1], "step {step}");
            match action {
                85..93 if outcomes[0].is_ok() => names.push(name),
                93.. => names.truncate(back.map_or(0, |back| back + 1)),
                _ => {}
            }
            if step % 20 == 0 {
                assert_eq!(all_rows(&txns[0], &pairs[0].1), all_rows(&txns[1], &pairs[1].1));
            }
        }
        assert!(room.spilled_bytes() > 0, "seed {seed} spills nothing");
        for txn in txns {
            txn.commit().unwrap();
        }
        assert_eq!(
            committed_rows(&spilling, &pairs[0].1),
            committed_rows(&in_memory, &pairs[1].1)
        );
        assert_eq!(files(&disk), 0);
    }
}
