use super::support::*;
use crate::datum::{DATE_DAYS_MAX, TIMESTAMP_US_MAX};
use crate::tables::{KEY_BYTES_MAX, TableError, VALUE_BYTES_MAX};
use crate::types::Datum;

#[test]
fn values_must_be_of_their_columns_type_range_and_size() {
    let tables = tables();
    let columns = [
        "a integer not null",
        "b decimal(4,2)",
        "c date",
        "d timestamp",
        "e timestamptz",
        "f json",
        "g text",
    ];
    let table = create(&tables, spec("t", &columns, &[], &[]));
    let mut txn = tables.begin().unwrap();
    let good = vec![
        int(1),
        Datum::Decimal(9999),
        Datum::Date(DATE_DAYS_MAX),
        Datum::Timestamp(TIMESTAMP_US_MAX),
        Datum::Timestamptz(-TIMESTAMP_US_MAX / 8),
        Datum::Json("{\"a\":[1]}".to_owned()),
        text("x"),
    ];
    txn.insert(&table, good.clone()).unwrap();
    let mut refused = |column: usize, value: Datum| {
        let mut row = good.clone();
        row[column] = value;
        let error = txn.insert(&table, row).unwrap_err();
        let printed = error.to_string();
        assert!(printed.contains(&table.columns[column].name), "{printed}");
        error
    };
    assert!(matches!(
        refused(0, Datum::Null),
        TableError::NotNullViolation { .. }
    ));
    assert!(matches!(
        refused(0, Datum::Int8(1)),
        TableError::TypeMismatch { found: "bigint", .. }
    ));
    let too_large = refused(1, Datum::Decimal(-10_000));
    assert!(
        matches!(&too_large, TableError::OutOfRange { value, .. } if value == "-100.00"),
        "{too_large}"
    );
    assert!(matches!(
        refused(2, Datum::Date(DATE_DAYS_MAX + 1)),
        TableError::OutOfRange { .. }
    ));
    assert!(matches!(
        refused(3, Datum::Timestamp(TIMESTAMP_US_MAX + 1)),
        TableError::OutOfRange { .. }
    ));
    assert!(matches!(
        refused(4, Datum::Timestamptz(i64::MIN)),
        TableError::OutOfRange { .. }
    ));
    for bad in ["", "{", "{\"a\":1}x", "nan"] {
        assert!(
            matches!(
                refused(5, Datum::Json(bad.to_owned())),
                TableError::InvalidValue { .. }
            ),
            "{bad}"
        );
    }
    assert!(matches!(
        refused(6, text(&"x".repeat(VALUE_BYTES_MAX + 1))),
        TableError::TooLarge { .. }
    ));
    let short = txn.insert(&table, vec![int(1)]).unwrap_err();
    assert!(matches!(
        short,
        TableError::ColumnCount {
            expected: 7,
            found: 1,
            ..
        }
    ));
    assert_eq!(txn.row_count(&table).unwrap(), 1);
    assert_eq!(txn.changes()[0].inserted, 1);
}

#[test]
fn a_value_as_long_as_allowed_is_kept_and_a_key_longer_than_allowed_is_not() {
    let tables = tables();
    let table = create(&tables, spec("t", &["a text", "b text"], &["a"], &[&["b"]]));
    let mut txn = tables.begin().unwrap();
    let longest = || text(&"x".repeat(KEY_BYTES_MAX - 2));
    let too_long = || text(&"x".repeat(KEY_BYTES_MAX - 1));
    txn.insert(&table, vec![longest(), longest()]).unwrap();
    assert!(matches!(
        txn.insert(&table, vec![too_long(), text("")]),
        Err(TableError::TooLarge { .. })
    ));
    assert!(matches!(
        txn.insert(&table, vec![text(""), too_long()]),
        Err(TableError::TooLarge { .. })
    ));
    let wide = create(&tables, spec("w", &["a text"], &[], &[]));
    let mut txn = tables.begin().unwrap();
    txn.insert(&wide, vec![text(&"x".repeat(VALUE_BYTES_MAX))])
        .unwrap();
    txn.commit().unwrap();
    assert_eq!(committed_rows(&tables, &wide).len(), 1);
}

#[test]
fn duplicates_are_named_with_constraint_columns_and_value() {
    let tables = tables();
    let table = create(
        &tables,
        spec(
            "t",
            &["a integer", "b text", "c decimal(5,2)"],
            &["a", "b"],
            &[&["c"], &["b", "c"]],
        ),
    );
    let mut txn = tables.begin().unwrap();
    let row = |a: i32, b: &str, c: i128| vec![int(a), text(b), Datum::Decimal(c)];
    txn.insert(&table, row(1, "x", 150)).unwrap();
    let error = txn.insert(&table, row(1, "x", 250)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table \"t\" already has a row with (a, b) = (1, x); it would break the constraint \"t_pkey\""
    );
    let error = txn.insert(&table, row(2, "x", 150)).unwrap_err();
    let TableError::UniqueViolation {
        constraint,
        columns,
        value,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (constraint.as_str(), columns, value.as_str()),
        ("t_c_key", vec!["c".to_owned()], "(1.50)")
    );
    assert_eq!(table.unique[1].name, "t_b_c_key");
}

#[test]
fn nulls_are_never_duplicates_and_zeros_and_nans_always() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["a integer", "b double"], &[], &[&["a", "b"]]),
    );
    let mut txn = tables.begin().unwrap();
    let row = |a: Datum, b: f64| vec![a, Datum::Double(b)];
    txn.insert_many(&table, vec![row(Datum::Null, 1.0), row(Datum::Null, 1.0)])
        .unwrap();
    txn.insert(&table, row(int(1), 0.0)).unwrap();
    txn.insert(&table, row(int(1), f64::NAN)).unwrap();
    assert!(matches!(
        txn.insert(&table, row(int(1), -0.0)),
        Err(TableError::UniqueViolation { .. })
    ));
    assert!(matches!(
        txn.insert(&table, row(int(1), -f64::NAN)),
        Err(TableError::UniqueViolation { .. })
    ));
    let unique = &table.unique[0];
    assert_eq!(
        txn.find_unique(&table, unique, &[Datum::Null, Datum::Double(1.0)])
            .unwrap(),
        None
    );
    assert!(
        txn.find_unique(&table, unique, &[int(1), Datum::Double(-0.0)])
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_unique_value_can_be_looked_up_moved_and_given_again() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["id integer", "name text"], &["id"], &[&["name"]]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(1), text("a")]).unwrap();
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    let find = |txn: &crate::tables::Txn, name: &str| {
        txn.find_unique(&table, &table.unique[0], &[text(name)]).unwrap()
    };
    assert_eq!(find(&txn, "a"), Some(key(&table, 1)));
    // The primary key changes, the unique value stays and must lead to the new key.
    txn.update(&table, &key(&table, 1), vec![int(2), text("a")])
        .unwrap();
    assert_eq!(find(&txn, "a"), Some(key(&table, 2)));
    txn.update(&table, &key(&table, 2), vec![int(2), text("b")])
        .unwrap();
    assert_eq!((find(&txn, "a"), find(&txn, "b")), (None, Some(key(&table, 2))));
    txn.insert(&table, vec![int(3), text("a")]).unwrap();
    txn.update(&table, &key(&table, 3), vec![int(3), Datum::Null])
        .unwrap();
    txn.delete(&table, &key(&table, 2)).unwrap();
    txn.insert_many(&table, vec![vec![int(2), text("b")], vec![int(4), text("a")]])
        .unwrap();
    txn.commit().unwrap();
    let txn = tables.begin().unwrap();
    assert_eq!(
        (find(&txn, "a"), find(&txn, "b")),
        (Some(key(&table, 4)), Some(key(&table, 2)))
    );
}
