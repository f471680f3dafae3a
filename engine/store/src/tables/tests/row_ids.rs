use std::collections::HashSet;
use std::sync::Arc;

use rustydb_runtime::ManualClock;

use super::support::*;
use crate::codec::rowid_of;
use crate::datum::{parse_row_id, row_id_text};
use crate::tables::{Tables, TxnReader};
use crate::testing::MemStore;
use crate::types::{Datum, RowKey};

#[test]
fn row_numbers_are_never_given_again_after_a_restart_a_rollback_or_a_delete() {
    let clock = Arc::new(ManualClock::new(0));
    let store = Arc::new(MemStore::new(clock.clone()));
    let mut given = HashSet::new();
    for _ in 0..3 {
        let tables = Tables::open(store.clone(), clock.clone()).unwrap();
        let table = match tables.begin().unwrap().table("main", "public", "t").unwrap() {
            Some(table) => table,
            None => create(&tables, spec("t", &["a integer"], &[], &[])),
        };
        let mut rolled_back = tables.begin().unwrap();
        assert!(given.insert(rolled_back.insert(&table, vec![int(1)]).unwrap()));
        drop(rolled_back);
        let mut txn = tables.begin().unwrap();
        let keys = txn.insert_many(&table, vec![vec![int(1)]; 20_000]).unwrap();
        assert!(keys.is_sorted());
        txn.delete(&table, &keys[19_999]).unwrap();
        txn.commit().unwrap();
        for key in keys {
            assert!(given.insert(key), "a number was given twice");
        }
    }
}

#[test]
fn concurrent_inserters_into_a_table_without_a_key_do_not_conflict() {
    let tables = tables();
    let table = create(&tables, spec("t", &["a integer"], &[], &[]));
    let mut open: Vec<_> = (0..10).map(|_| tables.begin().unwrap()).collect();
    for round in 0..5 {
        for txn in &mut open {
            txn.insert(&table, vec![int(round)]).unwrap();
        }
    }
    for txn in open {
        txn.commit().unwrap();
    }
    assert_eq!(committed_rows(&tables, &table).len(), 50);
}

#[test]
fn row_ids_read_back_and_foreign_ones_are_refused() {
    let tables = tables();
    let single = create(
        &tables,
        spec("single", &["name text", "x integer"], &["name"], &[]),
    );
    let pair = create(
        &tables,
        spec("pair", &["a bigint", "b text", "c double"], &["b", "a"], &[]),
    );
    let none = create(&tables, spec("none", &["a integer"], &[], &[]));
    let mut txn = tables.begin().unwrap();
    let name = "it's [1]\u{0}, ü";
    let in_single = txn.insert(&single, vec![text(name), int(1)]).unwrap();
    assert_eq!(row_id_text(&single, &in_single).unwrap(), name);
    assert_eq!(parse_row_id(&single, name).unwrap(), in_single);

    let in_pair = txn
        .insert(
            &pair,
            vec![Datum::Int8(i64::MAX), text("q\""), Datum::Double(0.5)],
        )
        .unwrap();
    let id = row_id_text(&pair, &in_pair).unwrap();
    assert_eq!(id, r#"["q\"","9223372036854775807"]"#);
    assert_eq!(parse_row_id(&pair, &id).unwrap(), in_pair);
    for bad in [
        "",
        "q",
        "[]",
        r#"["q"]"#,
        r#"["q",1,2]"#,
        r#"["q",null]"#,
        r#"[1,"q"]"#,
        r#"{"b":1}"#,
    ] {
        assert!(parse_row_id(&pair, bad).is_err(), "{bad}");
    }

    let in_none = txn.insert(&none, vec![int(1)]).unwrap();
    let id = row_id_text(&none, &in_none).unwrap();
    assert_eq!(id, rowid_of(&in_none).unwrap().to_string());
    assert_eq!(parse_row_id(&none, &id).unwrap(), in_none);
    for bad in ["", "-1", "+1", "1.0", "x", "18446744073709551616"] {
        assert!(parse_row_id(&none, bad).is_err(), "{bad}");
    }
    assert!(row_id_text(&none, &RowKey(vec![1, 2])).is_err());
    assert!(row_id_text(&pair, &in_none).is_err());
}

#[test]
fn a_reader_keeps_what_it_saw_while_its_transaction_goes_on() {
    fn is_shared_between_threads<T: Send + Sync>(_: &T) {}
    let tables = tables();
    let table = filled(&tables, 2);
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(3), text("c")]).unwrap();
    let reader: TxnReader = txn.reader();
    is_shared_between_threads(&reader);
    txn.delete(&table, &key(&table, 1)).unwrap();
    txn.insert(&table, vec![int(4), text("d")]).unwrap();
    let ids = |rows: Vec<(RowKey, Vec<Datum>)>| {
        rows.into_iter()
            .map(|(_, row)| row[0].clone())
            .collect::<Vec<_>>()
    };
    let everything = crate::seam::KeyRange::default();
    assert_eq!(
        ids(reader.scan(&table, &everything, 10).unwrap()),
        [int(1), int(2), int(3)]
    );
    assert_eq!(reader.row_count(&table).unwrap(), 3);
    assert_eq!(
        ids(txn.scan(&table, &everything, 10).unwrap()),
        [int(2), int(3), int(4)]
    );
    txn.commit().unwrap();
    assert_eq!(reader.row_count(&table).unwrap(), 3);
}
