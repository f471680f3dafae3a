use super::support::*;
use crate::codec::rowid_of;
use crate::seam::KeyRange;
use crate::tables::TableError;
use crate::types::Datum;

#[test]
fn same_named_columns_keep_their_values_new_ones_read_their_default_and_others_go() {
    let tables = tables();
    let columns = ["id smallint", "a real", "b decimal(5,2)", "gone text", "d date"];
    let old = create(&tables, spec("t", &columns, &["id"], &[&["gone"]]));
    let mut txn = tables.begin().unwrap();
    for id in 1..=2000i16 {
        txn.insert(
            &old,
            vec![
                Datum::Int2(id),
                Datum::Real(0.5),
                Datum::Decimal(i128::from(id)),
                text(&id.to_string()),
                Datum::Date(0),
            ],
        )
        .unwrap();
    }
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    txn.delete(&old, &crate::codec::primary_key(&old, &[Datum::Int2(7)]).unwrap())
        .unwrap();
    let mut wanted = spec(
        "t",
        &[
            "d text",
            "b decimal(7,3)",
            "n text not null",
            "id bigint",
            "m integer",
            "a double",
        ],
        &["id"],
        &[&["b"]],
    );
    wanted.columns[2].fill = Some(text("new"));
    let new = txn.replace_table(wanted).unwrap();
    assert_eq!((new.id, new.schema_version), (old.id, 2));
    txn.commit().unwrap();
    let rows = committed_rows(&tables, &new);
    assert_eq!(rows.len(), 1999);
    assert_eq!(
        rows[1],
        [
            text("1970-01-01"),
            Datum::Decimal(20),
            text("new"),
            Datum::Int8(2),
            Datum::Null,
            Datum::Double(0.5)
        ]
    );
    let txn = tables.begin().unwrap();
    let found = txn
        .find_unique(&new, &new.unique[0], &[Datum::Decimal(30)])
        .unwrap();
    assert_eq!(found, crate::codec::primary_key(&new, &[Datum::Int8(3)]));
    let stats = tables.store().snapshot().unwrap().space_stats(old.space).unwrap();
    assert_eq!(stats.entries, 0);
    assert_eq!(
        txn.reader().table_version(old.id, 1).unwrap().as_ref(),
        Some(&*old)
    );
    assert_eq!(
        txn.reader().table_version(old.id, 2).unwrap().as_ref(),
        Some(&*new)
    );
}

#[test]
fn what_would_lose_values_or_break_a_constraint_is_refused_and_changes_nothing() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["id integer", "a bigint", "b text"], &["id"], &[]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert_many(
        &table,
        vec![
            vec![int(1), Datum::Int8(5), Datum::Null],
            vec![int(2), Datum::Int8(5), text("x")],
        ],
    )
    .unwrap();
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    let all = ["id integer", "a bigint", "b text"];
    let lossy = txn
        .replace_table(spec("t", &["id integer", "a integer"], &["id"], &[]))
        .unwrap_err();
    assert!(
        lossy.to_string().contains("bigint and can't become integer"),
        "{lossy}"
    );
    let no_value = txn
        .replace_table(spec("t", &["id integer", "n text not null"], &["id"], &[]))
        .unwrap_err();
    assert!(
        matches!(no_value, TableError::InvalidDefinition { .. }),
        "{no_value}"
    );
    let null = txn
        .replace_table(spec("t", &["id integer", "b text not null"], &["id"], &[]))
        .unwrap_err();
    assert!(matches!(null, TableError::NotNullViolation { .. }), "{null}");
    let pk = txn.replace_table(spec("t", &all, &["a"], &[])).unwrap_err();
    assert!(matches!(pk, TableError::UniqueViolation { .. }), "{pk}");
    let unique = txn
        .replace_table(spec("t", &all, &["id"], &[&["a"]]))
        .unwrap_err();
    assert!(matches!(unique, TableError::UniqueViolation { .. }), "{unique}");
    let missing = txn.replace_table(spec("u", &all, &[], &[])).unwrap_err();
    assert!(matches!(missing, TableError::TableNotFound { .. }), "{missing}");
    assert_eq!(txn.table("main", "public", "t").unwrap(), Some(table.clone()));
    assert!(!txn.commit().unwrap().wrote);
    // An empty table takes any column.
    let mut txn = tables.begin().unwrap();
    txn.truncate_table("main", "public", "t").unwrap();
    txn.replace_table(spec("t", &["n text not null"], &[], &[]))
        .unwrap();
    txn.commit().unwrap();
}

#[test]
fn row_numbers_stay_appear_and_go_with_the_primary_key() {
    let tables = tables();
    let old = create(&tables, spec("t", &["a integer"], &[], &[]));
    let mut txn = tables.begin().unwrap();
    let keys = txn
        .insert_many(&old, vec![vec![int(3)], vec![int(1)], vec![int(2)]])
        .unwrap();
    txn.commit().unwrap();
    let everything = KeyRange::default();
    let mut txn = tables.begin().unwrap();
    let kept = txn.replace_table(spec("t", &["a bigint"], &[], &[])).unwrap();
    let after: Vec<_> = txn
        .scan(&kept, &everything, 9)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(after, keys);
    let keyed = txn.replace_table(spec("t", &["a bigint"], &["a"], &[])).unwrap();
    assert_eq!(
        all_rows(&txn, &keyed),
        [[Datum::Int8(1)], [Datum::Int8(2)], [Datum::Int8(3)]]
    );
    let numbered = txn.replace_table(spec("t", &["a bigint"], &[], &[])).unwrap();
    let rows = txn.scan(&numbered, &everything, 9).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter().all(|(key, _)| rowid_of(key) > rowid_of(&keys[2])),
        "numbers are not given twice"
    );
    assert_eq!(numbered.schema_version, 4);
    txn.commit().unwrap();
    assert_eq!(committed_rows(&tables, &numbered).len(), 3);
}

#[test]
fn views_hold_the_columns_of_the_table_but_let_it_grow() {
    let tables = tables();
    filled(&tables, 1);
    let mut txn = tables.begin().unwrap();
    txn.create_view(view("v", &["t"]), false).unwrap();
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    for narrowed in [&["id integer"][..], &["id bigint", "name text"][..]] {
        let refused = txn.replace_table(spec("t", narrowed, &["id"], &[])).unwrap_err();
        assert!(
            matches!(refused, TableError::DependentObjects { .. }),
            "{refused}"
        );
    }
    txn.replace_table(spec("t", &["more text", "id integer", "name text"], &["id"], &[]))
        .unwrap();
    txn.commit().unwrap();
}
