//! Scripts of what snapshot isolation refuses and allows.

use super::support::*;
use crate::tables::{TableError, Txn};
use crate::types::TableDef;

fn name_of(txn: &Txn, table: &TableDef, id: i32) -> Option<String> {
    txn.get(table, &key(table, id)).unwrap().map(|row| match &row[1] {
        crate::types::Datum::Text(name) => name.clone(),
        other => panic!("{other:?}"),
    })
}

fn set(txn: &mut Txn, table: &TableDef, id: i32, name: &str) {
    txn.update(table, &key(table, id), vec![int(id), text(name)])
        .unwrap();
}

#[test]
fn no_dirty_read_no_non_repeatable_read_no_phantom() {
    let tables = tables();
    let table = filled(&tables, 2);
    let reader = tables.begin().unwrap();
    let mut writer = tables.begin().unwrap();
    set(&mut writer, &table, 1, "changed");
    writer.insert(&table, vec![int(3), text("new")]).unwrap();
    writer.delete(&table, &key(&table, 2)).unwrap();
    let unchanged = |reader: &Txn| {
        assert_eq!(name_of(reader, &table, 1).as_deref(), Some("n1"));
        assert_eq!(all_rows(reader, &table).len(), 2);
        assert_eq!(name_of(reader, &table, 3), None);
        assert_eq!(reader.row_count(&table).unwrap(), 2);
    };
    unchanged(&reader);
    assert_eq!(name_of(&writer, &table, 1).as_deref(), Some("changed"));
    writer.commit().unwrap();
    unchanged(&reader);
    assert_eq!(
        name_of(&tables.begin().unwrap(), &table, 1).as_deref(),
        Some("changed")
    );
}

#[test]
fn of_two_that_change_one_row_the_first_committer_wins() {
    let tables = tables();
    let table = filled(&tables, 2);
    let (mut first, mut second) = (tables.begin().unwrap(), tables.begin().unwrap());
    set(&mut second, &table, 1, "second");
    set(&mut first, &table, 1, "first");
    first.commit().unwrap();
    // The loser keeps nothing, of other rows either.
    set(&mut second, &table, 2, "second");
    let lost = second.commit().unwrap_err();
    assert!(lost.is_retryable());
    assert_eq!(
        lost.to_string(),
        "another transaction changed a row of table \"t\" first; try the transaction again"
    );
    let now = tables.begin().unwrap();
    assert_eq!(name_of(&now, &table, 1).as_deref(), Some("first"));
    assert_eq!(name_of(&now, &table, 2).as_deref(), Some("n2"));
}

#[test]
fn an_update_of_a_row_deleted_meanwhile_is_refused_and_the_other_way_round() {
    let tables = tables();
    let table = filled(&tables, 2);
    let (mut deleter, mut updater) = (tables.begin().unwrap(), tables.begin().unwrap());
    deleter.delete(&table, &key(&table, 1)).unwrap();
    set(&mut updater, &table, 1, "x");
    deleter.commit().unwrap();
    assert!(matches!(updater.commit(), Err(TableError::WriteConflict { .. })));
    let (mut deleter, mut updater) = (tables.begin().unwrap(), tables.begin().unwrap());
    deleter.delete(&table, &key(&table, 2)).unwrap();
    set(&mut updater, &table, 2, "x");
    updater.commit().unwrap();
    assert!(matches!(deleter.commit(), Err(TableError::WriteConflict { .. })));
    assert_eq!(committed_rows(&tables, &table), [vec![int(2), text("x")]]);
}

#[test]
fn a_row_deleted_and_inserted_again_meanwhile_is_another_row() {
    let tables = tables();
    let table = filled(&tables, 1);
    let mut slow = tables.begin().unwrap();
    set(&mut slow, &table, 1, "slow");
    let mut quick = tables.begin().unwrap();
    quick.delete(&table, &key(&table, 1)).unwrap();
    quick.commit().unwrap();
    let mut quick = tables.begin().unwrap();
    quick.insert(&table, vec![int(1), text("n1")]).unwrap();
    quick.commit().unwrap();
    assert!(matches!(slow.commit(), Err(TableError::WriteConflict { .. })));
}

#[test]
fn a_duplicate_is_a_violation_when_seen_and_a_conflict_when_concurrent() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["id integer", "u integer"], &["id"], &[&["u"]]),
    );
    let (mut first, mut same_key, mut same_unique) = (
        tables.begin().unwrap(),
        tables.begin().unwrap(),
        tables.begin().unwrap(),
    );
    first.insert(&table, vec![int(1), int(10)]).unwrap();
    same_key.insert(&table, vec![int(1), int(11)]).unwrap();
    same_unique.insert(&table, vec![int(2), int(10)]).unwrap();
    assert!(matches!(
        first.insert(&table, vec![int(1), int(12)]),
        Err(TableError::UniqueViolation { .. })
    ));
    assert!(matches!(
        first.insert(&table, vec![int(3), int(10)]),
        Err(TableError::UniqueViolation { .. })
    ));
    first.commit().unwrap();
    assert!(matches!(same_key.commit(), Err(TableError::WriteConflict { .. })));
    assert!(matches!(
        same_unique.commit(),
        Err(TableError::WriteConflict { .. })
    ));
    let mut later = tables.begin().unwrap();
    assert!(matches!(
        later.insert(&table, vec![int(4), int(10)]),
        Err(TableError::UniqueViolation { .. })
    ));
    assert_eq!(committed_rows(&tables, &table), [vec![int(1), int(10)]]);
}

#[test]
fn a_unique_value_given_up_by_one_may_not_be_taken_by_a_concurrent_other() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["id integer", "u integer"], &["id"], &[&["u"]]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(1), int(10)]).unwrap();
    txn.commit().unwrap();
    let (mut giver, mut taker) = (tables.begin().unwrap(), tables.begin().unwrap());
    giver
        .update(&table, &key(&table, 1), vec![int(1), int(11)])
        .unwrap();
    assert!(matches!(
        taker.insert(&table, vec![int(2), int(10)]),
        Err(TableError::UniqueViolation { .. })
    ));
    taker.delete(&table, &key(&table, 1)).unwrap();
    taker.insert(&table, vec![int(2), int(10)]).unwrap();
    giver.commit().unwrap();
    assert!(matches!(taker.commit(), Err(TableError::WriteConflict { .. })));
}

/// Two doctors, one must stay on call; each sees the other and leaves. Serializable isolation would refuse one.
#[test]
fn write_skew_is_allowed() {
    let tables = tables();
    let table = filled(&tables, 2);
    let (mut a, mut b) = (tables.begin().unwrap(), tables.begin().unwrap());
    assert_eq!((all_rows(&a, &table).len(), all_rows(&b, &table).len()), (2, 2));
    a.delete(&table, &key(&table, 1)).unwrap();
    b.delete(&table, &key(&table, 2)).unwrap();
    a.commit().unwrap();
    b.commit().unwrap();
    assert!(committed_rows(&tables, &table).is_empty());
}

#[test]
fn increments_of_many_threads_add_up() {
    let tables = tables();
    let table = create(&tables, spec("t", &["id integer", "n integer"], &["id"], &[]));
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(1), int(0)]).unwrap();
    txn.commit().unwrap();
    let succeeded: i32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut succeeded = 0;
                    for _ in 0..50 {
                        let mut txn = tables.begin().unwrap();
                        let row = txn.get(&table, &key(&table, 1)).unwrap().unwrap();
                        let crate::types::Datum::Int4(n) = row[1] else {
                            panic!("{row:?}")
                        };
                        txn.update(&table, &key(&table, 1), vec![int(1), int(n + 1)])
                            .unwrap();
                        match txn.commit() {
                            Ok(_) => succeeded += 1,
                            Err(TableError::WriteConflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    succeeded
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(succeeded > 0);
    assert_eq!(committed_rows(&tables, &table), [vec![int(1), int(succeeded)]]);
}

/// On one thread: would a transaction have to wait for another, this would never end.
#[test]
fn ten_open_transactions_with_writes_do_not_delay_an_eleventh() {
    let tables = tables();
    let table = filled(&tables, 10);
    let mut open: Vec<Txn> = (0..10).map(|_| tables.begin().unwrap()).collect();
    for (id, txn) in (1..).zip(&mut open) {
        set(txn, &table, id, "held");
        txn.insert(&table, vec![int(100 + id), text("held")]).unwrap();
    }
    let mut eleventh = tables.begin().unwrap();
    eleventh.insert(&table, vec![int(11), text("eleventh")]).unwrap();
    eleventh
        .create_table(spec("u", &["a integer"], &[], &[]))
        .unwrap();
    eleventh.commit().unwrap();
    let mut dropper = tables.begin().unwrap();
    dropper.drop_table("main", "public", "u").unwrap();
    dropper.commit().unwrap();
    assert_eq!(committed_rows(&tables, &table).len(), 11);
    for txn in open {
        txn.commit().unwrap();
    }
    assert_eq!(committed_rows(&tables, &table).len(), 21);
}
