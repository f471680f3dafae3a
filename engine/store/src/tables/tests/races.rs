//! Definitions that change under rows and under each other.

use super::support::*;
use crate::tables::{Result, TableError, Tables, Txn};

type Work = fn(&mut Txn);

/// Both work on the same snapshot, then commit in turn; the answers of the two commits.
fn race(tables: &Tables, first: impl Fn(&mut Txn), second: impl Fn(&mut Txn)) -> (Result<()>, Result<()>) {
    let (mut a, mut b) = (tables.begin().unwrap(), tables.begin().unwrap());
    first(&mut a);
    second(&mut b);
    (a.commit().map(|_| ()), b.commit().map(|_| ()))
}

fn conflicts(result: Result<()>) -> bool {
    matches!(result, Err(TableError::WriteConflict { .. }))
}

/// After whatever happened, every index entry has its row and every row its entries.
fn assert_sound(tables: &Tables) {
    let txn = tables.begin().unwrap();
    for table in txn.tables("main").unwrap() {
        assert_indexes_sound(&txn, &table);
        let rows = all_rows(&txn, &table);
        assert_eq!(txn.row_count(&table).unwrap(), rows.len() as u64);
        for row in rows {
            for unique in &table.unique {
                let values: Vec<_> = unique.columns.iter().map(|&column| row[column].clone()).collect();
                assert!(txn.find_unique(&table, unique, &values).unwrap().is_some());
            }
        }
    }
    for view in txn.views("main").unwrap() {
        for needed in &view.depends_on {
            assert!(
                txn.relation("main", "public", needed).unwrap().is_some(),
                "{} dangles",
                view.name
            );
        }
    }
}

fn table_t(tables: &Tables) {
    let table = create(
        tables,
        spec("t", &["id integer", "u integer"], &["id"], &[&["u"]]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(1), int(10)]).unwrap();
    txn.commit().unwrap();
}

fn insert_row(txn: &mut Txn) {
    let table = txn.table("main", "public", "t").unwrap().unwrap();
    txn.insert(&table, vec![int(2), int(20)]).unwrap();
}

fn rows_now(tables: &Tables) -> Option<usize> {
    let txn = tables.begin().unwrap();
    let table = txn.table("main", "public", "t").unwrap()?;
    Some(all_rows(&txn, &table).len())
}

#[test]
fn rows_written_by_a_definition_that_changed_meanwhile_conflict() {
    let changes: [(Work, Option<usize>); 3] = [
        (|txn| txn.drop_table("main", "public", "t").unwrap(), None),
        (
            |txn| assert_eq!(txn.truncate_table("main", "public", "t").unwrap(), 1),
            Some(0),
        ),
        (
            |txn| {
                drop(
                    txn.replace_table(spec("t", &["id bigint", "u integer"], &["id"], &[]))
                        .unwrap(),
                )
            },
            Some(1),
        ),
    ];
    for (change, rows) in changes {
        let tables = tables();
        table_t(&tables);
        let (changed, inserted) = race(&tables, change, insert_row);
        changed.unwrap();
        assert!(conflicts(inserted));
        assert_eq!(rows_now(&tables), rows);
        assert_sound(&tables);
    }
}

#[test]
fn a_rewrite_that_missed_a_row_conflicts_while_truncate_and_drop_take_it_along() {
    let tables = tables();
    table_t(&tables);
    let replace = |txn: &mut Txn| {
        drop(
            txn.replace_table(spec("t", &["id bigint", "u integer"], &["id"], &[]))
                .unwrap(),
        )
    };
    let (inserted, replaced) = race(&tables, insert_row, replace);
    inserted.unwrap();
    assert!(conflicts(replaced));
    assert_eq!(rows_now(&tables), Some(2));
    assert_sound(&tables);

    let table = tables
        .begin()
        .unwrap()
        .table("main", "public", "t")
        .unwrap()
        .unwrap();
    let delete = |txn: &mut Txn| assert!(txn.delete(&table, &key(&table, 2)).unwrap());
    let (deleted, replaced) = race(&tables, delete, replace);
    deleted.unwrap();
    assert!(conflicts(replaced));

    let truncate = |txn: &mut Txn| assert_eq!(txn.truncate_table("main", "public", "t").unwrap(), 1);
    let (inserted, truncated) = race(&tables, insert_row, truncate);
    inserted.unwrap();
    truncated.unwrap();
    assert_eq!(rows_now(&tables), Some(0));
    let (inserted, dropped) = race(&tables, insert_row, |txn| {
        txn.drop_table("main", "public", "t").unwrap()
    });
    inserted.unwrap();
    dropped.unwrap();
    assert_eq!(rows_now(&tables), None);
    assert_sound(&tables);
}

#[test]
fn of_two_that_create_one_name_one_wins() {
    let tables = tables();
    let table = |txn: &mut Txn| drop(txn.create_table(spec("n", &["a integer"], &[], &[])).unwrap());
    let other = |txn: &mut Txn| drop(txn.create_table(spec("n", &["b text"], &[], &[])).unwrap());
    let (first, second) = race(&tables, table, other);
    first.unwrap();
    assert!(conflicts(second));
    assert_eq!(
        tables
            .begin()
            .unwrap()
            .table("main", "public", "n")
            .unwrap()
            .unwrap()
            .columns[0]
            .name,
        "a"
    );
    table_t(&tables);
    let view_w = |txn: &mut Txn| drop(txn.create_view(view("w", &["t"]), false).unwrap());
    let table_w = |txn: &mut Txn| drop(txn.create_table(spec("w", &["a integer"], &[], &[])).unwrap());
    let (first, second) = race(&tables, view_w, table_w);
    first.unwrap();
    assert!(conflicts(second));
    let database = |txn: &mut Txn| drop(txn.create_database("d").unwrap());
    let (first, second) = race(&tables, database, database);
    first.unwrap();
    assert!(conflicts(second));
}

#[test]
fn different_tables_of_one_database_are_created_side_by_side() {
    let tables = tables();
    let create_named = |name: &'static str| {
        move |txn: &mut Txn| drop(txn.create_table(spec(name, &["a integer"], &[], &[])).unwrap())
    };
    let (first, second) = race(&tables, create_named("a"), create_named("b"));
    first.unwrap();
    second.unwrap();
    assert_eq!(tables.begin().unwrap().tables("main").unwrap().len(), 2);
}

#[test]
fn a_view_and_the_end_of_what_it_reads_conflict_whoever_is_first() {
    let make_view: Work = |txn| drop(txn.create_view(view("v", &["t"]), false).unwrap());
    let end_table: Work = |txn| txn.drop_table("main", "public", "t").unwrap();
    let narrow_table: Work = |txn| {
        drop(
            txn.replace_table(spec("t", &["id integer"], &["id"], &[]))
                .unwrap(),
        )
    };
    for change in [end_table, narrow_table] {
        for view_first in [true, false] {
            let tables = tables();
            table_t(&tables);
            let (first, second) = if view_first {
                race(&tables, make_view, change)
            } else {
                race(&tables, change, make_view)
            };
            first.unwrap();
            assert!(conflicts(second));
            assert_sound(&tables);
        }
    }
    // Views on views.
    for view_first in [true, false] {
        let tables = tables();
        table_t(&tables);
        let mut txn = tables.begin().unwrap();
        make_view(&mut txn);
        txn.commit().unwrap();
        let upper: Work = |txn| drop(txn.create_view(view("upper", &["v"]), false).unwrap());
        let end_view: Work = |txn| txn.drop_view("main", "public", "v").unwrap();
        let (first, second) = if view_first {
            race(&tables, upper, end_view)
        } else {
            race(&tables, end_view, upper)
        };
        first.unwrap();
        assert!(conflicts(second));
        assert_sound(&tables);
    }
}

#[test]
fn a_database_dropped_while_it_gets_a_table_conflicts_whoever_is_first() {
    let in_d = || {
        let mut spec = spec("t", &["a integer"], &[], &[]);
        spec.database = "d".to_owned();
        spec
    };
    for create_first in [true, false] {
        let tables = tables();
        let mut txn = tables.begin().unwrap();
        txn.create_database("d").unwrap();
        txn.commit().unwrap();
        let create = |txn: &mut Txn| drop(txn.create_table(in_d()).unwrap());
        let end = |txn: &mut Txn| txn.drop_database("d").unwrap();
        let (first, second) = if create_first {
            race(&tables, create, end)
        } else {
            race(&tables, end, create)
        };
        first.unwrap();
        assert!(conflicts(second));
        // A database of the name made again is empty.
        let mut txn = tables.begin().unwrap();
        if txn.database("d").unwrap().is_some() {
            txn.drop_database("d").unwrap();
        }
        txn.create_database("d").unwrap();
        txn.commit().unwrap();
        assert!(tables.begin().unwrap().tables("d").unwrap().is_empty());
    }
}

#[test]
fn one_transaction_may_drop_and_make_again_all_it_likes() {
    let tables = tables();
    table_t(&tables);
    let mut txn = tables.begin().unwrap();
    txn.create_database("d").unwrap();
    txn.create_view(view("v", &["t"]), false).unwrap();
    txn.commit().unwrap();

    let mut txn = tables.begin().unwrap();
    txn.drop_view("main", "public", "v").unwrap();
    txn.drop_table("main", "public", "t").unwrap();
    let table = txn
        .create_table(spec("t", &["id integer"], &["id"], &[]))
        .unwrap();
    txn.insert(&table, vec![int(5)]).unwrap();
    txn.create_view(view("v", &["t"]), false).unwrap();
    txn.drop_database("d").unwrap();
    txn.create_database("d").unwrap();
    let mut in_d = spec("x", &["a integer"], &[], &[]);
    in_d.database = "d".to_owned();
    let in_d = txn.create_table(in_d).unwrap();
    txn.insert(&in_d, vec![int(1)]).unwrap();
    txn.commit().unwrap();

    assert_eq!(committed_rows(&tables, &table), [vec![int(5)]]);
    assert_eq!(committed_rows(&tables, &in_d), [vec![int(1)]]);
    assert_sound(&tables);
}

#[test]
fn a_definition_in_hand_that_is_not_the_current_one_is_refused() {
    let tables = tables();
    table_t(&tables);
    let mut txn = tables.begin().unwrap();
    let old = txn.table("main", "public", "t").unwrap().unwrap();
    txn.truncate_table("main", "public", "t").unwrap();
    let stale = txn.insert(&old, vec![int(9), int(9)]).unwrap_err();
    assert!(matches!(stale, TableError::StaleDefinition { .. }));
    let current = txn.table("main", "public", "t").unwrap().unwrap();
    txn.insert(&current, vec![int(9), int(9)]).unwrap();
    txn.drop_table("main", "public", "t").unwrap();
    let gone = txn.insert(&current, vec![int(8), int(8)]).unwrap_err();
    assert!(matches!(gone, TableError::TableNotFound { .. }));
}
