use std::sync::Arc;

use rustydb_runtime::ManualClock;

use super::support::*;
use crate::error::StoreError;
use crate::seam::{SpaceId, TableStore, Write, WriteBatch};
use crate::tables::TABLES_FORMAT;
use crate::tables::{TableError, Tables};
use crate::testing::MemStore;

fn store() -> (Arc<MemStore>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(5));
    (Arc::new(MemStore::new(clock.clone())), clock)
}

#[test]
fn the_first_opening_creates_main_and_public_and_later_ones_find_them() {
    let (store, clock) = store();
    let first = Tables::open(store.clone(), clock.clone()).unwrap();
    let databases = first.begin().unwrap().databases().unwrap();
    assert_eq!(
        databases
            .iter()
            .map(|database| &database.name)
            .collect::<Vec<_>>(),
        ["main"]
    );
    assert_eq!(databases[0].created_at_us, 5);
    create(&first, spec("t", &["a integer"], &[], &[]));
    let position = store.snapshot().unwrap().seq();

    let second = Tables::open(store.clone(), clock).unwrap();
    assert_eq!(
        store.snapshot().unwrap().seq(),
        position,
        "opening again writes nothing"
    );
    let txn = second.begin().unwrap();
    assert_eq!(txn.databases().unwrap(), databases);
    assert_eq!(txn.schemas("main").unwrap()[0].name, "public");
    assert!(txn.table("main", "public", "t").unwrap().is_some());
}

#[test]
fn tables_of_another_format_are_refused_naming_both_versions() {
    let (store, clock) = store();
    let write = Write {
        space: SpaceId::META,
        key: b"tables/format".to_vec(),
        expected: None,
        value: Some(7u32.to_be_bytes().to_vec()),
    };
    store
        .commit(WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        })
        .unwrap();
    let refused = Tables::open(store, clock).map(|_| ()).unwrap_err();
    assert!(matches!(
        refused,
        TableError::Store(StoreError::FormatVersion {
            found: 7,
            supported: TABLES_FORMAT
        })
    ));
}

#[test]
fn a_transaction_that_only_read_commits_without_writing() {
    let tables = tables();
    let table = filled(&tables, 3);
    let before = tables.store().snapshot().unwrap().seq();
    let txn = tables.begin().unwrap();
    assert_eq!(all_rows(&txn, &table).len(), 3);
    let outcome = txn.commit().unwrap();
    assert!(!outcome.wrote);
    assert_eq!(outcome.seq, before);
    assert_eq!(tables.store().snapshot().unwrap().seq(), before);
}

#[test]
fn a_read_only_transaction_refuses_every_write() {
    let tables = tables();
    let table = filled(&tables, 1);
    let mut txn = tables.begin_read_only().unwrap();
    assert_eq!(all_rows(&txn, &table).len(), 1);
    let row = || vec![int(9), text("x")];
    let refusals = [
        txn.insert(&table, row()).map(|_| ()),
        txn.update(&table, &key(&table, 1), row()).map(|_| ()),
        txn.delete(&table, &key(&table, 1)).map(|_| ()),
        txn.create_database("d").map(|_| ()),
        txn.drop_database("d"),
        txn.create_table(spec("u", &["a integer"], &[], &[])).map(|_| ()),
        txn.replace_table(spec("t", &["a integer"], &[], &[])).map(|_| ()),
        txn.drop_table("main", "public", "t"),
        txn.truncate_table("main", "public", "t").map(|_| ()),
        txn.create_view(view("v", &["t"]), false).map(|_| ()),
        txn.drop_view("main", "public", "v"),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(TableError::ReadOnly)), "{refusal:?}");
    }
}
