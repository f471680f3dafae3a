use super::support::*;
use crate::tables::{Relation, TableError, UniqueSpec};
use crate::types::{ColumnType, Datum};

#[test]
fn a_table_is_found_by_whoever_begins_after_its_commit() {
    let (tables, clock) = tables_and_clock();
    clock.advance_us(7);
    let before = tables.begin().unwrap();
    let mut txn = tables.begin().unwrap();
    let table = txn
        .create_table(spec(
            "T able",
            &["a integer", "b text not null"],
            &["b"],
            &[&["a", "b"]],
        ))
        .unwrap();
    assert_eq!(
        txn.table("main", "public", "T able").unwrap().as_ref(),
        Some(&table)
    );
    txn.commit().unwrap();
    assert_eq!(before.table("main", "public", "T able").unwrap(), None);
    let after = tables.begin().unwrap();
    assert_eq!(after.tables("main").unwrap(), std::slice::from_ref(&table));
    assert_eq!(
        after.relation("main", "public", "T able").unwrap(),
        Some(Relation::Table(table.clone()))
    );
    assert_eq!(after.table("main", "public", "t able").unwrap(), None);
    assert_eq!(
        (table.schema_version, table.created_at_us),
        (1, 1_700_000_000_000_007)
    );
    assert_eq!(
        (table.primary_key.as_slice(), table.unique[0].columns.as_slice()),
        (&[1][..], &[0, 1][..])
    );
    assert!(table.columns[0].nullable && !table.columns[1].nullable);
}

#[test]
fn definitions_that_can_not_be_kept_are_refused_with_a_reason() {
    let tables = tables();
    let mut txn = tables.begin().unwrap();
    let many: Vec<String> = (0..1601).map(|n| format!("c{n} integer")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "n".repeat(64);
    let mut two_names = spec("t", &["a integer", "b integer"], &[], &[&["a"], &["b"]]);
    for unique in &mut two_names.unique {
        unique.name = Some("same".to_owned());
    }
    let mut key_name = spec("t", &["a integer"], &["a"], &[&["a"]]);
    key_name.unique[0].name = Some("t_pkey".to_owned());
    let mut decimal = spec("t", &["a integer"], &[], &[]);
    decimal.columns[0].data_type = ColumnType::Decimal {
        precision: 40,
        scale: 0,
    };
    for (spec, reason) in [
        (spec("", &["a integer"], &[], &[]), "must not be empty"),
        (spec(&long, &["a integer"], &[], &[]), "at most 63 bytes"),
        (spec("a\0b", &["a integer"], &[], &[]), "control characters"),
        (spec("t", &[], &[], &[]), "at least one column"),
        (spec("t", &many, &[], &[]), "at most 1600"),
        (
            spec("t", &["a integer", "a text"], &[], &[]),
            "\"a\" is there twice",
        ),
        (spec("t", &["_RowId integer"], &[], &[]), "_rowid"),
        (
            spec("t", &["a integer"], &["b"], &[]),
            "\"b\", which the table does not have",
        ),
        (spec("t", &["a integer"], &["a", "a"], &[]), "\"a\" twice"),
        (spec("t", &["a json"], &["a"], &[]), "not comparable"),
        (spec("t", &["a json"], &[], &[&["a"]]), "not comparable"),
        (spec("t", &["a integer"], &[], &[&[]]), "at least one column"),
        (two_names, "\"same\" is there twice"),
        (key_name, "\"t_pkey\" is there twice"),
        (decimal, "decimal(40,0)"),
    ] {
        let error = txn.create_table(spec).unwrap_err();
        assert!(matches!(error, TableError::InvalidDefinition { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let mut bad_fill = spec("t", &["a smallint"], &[], &[]);
    bad_fill.columns[0].fill = Some(int(1));
    assert!(matches!(
        txn.create_table(bad_fill),
        Err(TableError::TypeMismatch { .. })
    ));
    txn.create_table(spec("t", &many[..1600], &[], &[])).unwrap();
    txn.create_table(spec(&long[..63], &["a integer"], &[], &[]))
        .unwrap();
}

#[test]
fn generated_constraint_names_fit_and_differ() {
    let tables = tables();
    let name = "ä".repeat(31);
    let mut spec = spec(&name, &["a integer", "b integer"], &[], &[&["a"], &["b"]]);
    spec.unique.push(UniqueSpec {
        name: None,
        columns: vec!["a".to_owned()],
    });
    let table = create(&tables, spec);
    let names: Vec<&str> = table.unique.iter().map(|unique| unique.name.as_str()).collect();
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
    assert!(
        names[0] != names[1] && names[1] != names[2] && names[0] != names[2],
        "{names:?}"
    );
}

#[test]
fn names_that_are_taken_missing_or_of_another_kind_are_told_apart() {
    let tables = tables();
    filled(&tables, 1);
    let mut txn = tables.begin().unwrap();
    txn.create_view(view("v", &["t"]), false).unwrap();
    let in_database = |database: &str, schema: &str| {
        let mut spec = spec("x", &["a integer"], &[], &[]);
        (spec.database, spec.schema) = (database.to_owned(), schema.to_owned());
        spec
    };
    assert!(matches!(
        txn.create_table(spec("t", &["a integer"], &[], &[])),
        Err(TableError::TableExists { .. })
    ));
    assert!(matches!(
        txn.create_table(spec("v", &["a integer"], &[], &[])),
        Err(TableError::TableExists { .. })
    ));
    assert!(matches!(
        txn.create_view(view("v", &["t"]), false),
        Err(TableError::TableExists { .. })
    ));
    assert!(matches!(
        txn.create_view(view("t", &[]), true),
        Err(TableError::WrongKind { .. })
    ));
    assert!(matches!(
        txn.create_table(in_database("no", "public")),
        Err(TableError::DatabaseNotFound { .. })
    ));
    assert!(matches!(
        txn.create_table(in_database("main", "no")),
        Err(TableError::SchemaNotFound { .. })
    ));
    assert!(matches!(
        txn.drop_table("main", "public", "x"),
        Err(TableError::TableNotFound { .. })
    ));
    assert!(matches!(
        txn.drop_table("no", "public", "x"),
        Err(TableError::DatabaseNotFound { .. })
    ));
    assert!(matches!(
        txn.drop_table("main", "public", "v"),
        Err(TableError::WrongKind { .. })
    ));
    assert!(matches!(
        txn.drop_view("main", "public", "t"),
        Err(TableError::WrongKind { .. })
    ));
    assert!(matches!(
        txn.drop_view("main", "public", "x"),
        Err(TableError::ViewNotFound { .. })
    ));
    assert!(matches!(
        txn.truncate_table("main", "public", "v"),
        Err(TableError::WrongKind { .. })
    ));
    assert!(matches!(
        txn.tables("no"),
        Err(TableError::DatabaseNotFound { .. })
    ));
    assert!(matches!(
        txn.create_database("main"),
        Err(TableError::DatabaseExists { .. })
    ));
    assert!(matches!(
        txn.drop_database("main"),
        Err(TableError::DatabaseProtected { .. })
    ));
    assert!(matches!(
        txn.drop_database("no"),
        Err(TableError::DatabaseNotFound { .. })
    ));
    assert_eq!(txn.table("no", "public", "t").unwrap(), None);
}

#[test]
fn tables_of_one_database_are_invisible_in_another_and_go_with_it() {
    let tables = tables();
    let mut txn = tables.begin().unwrap();
    // Names that are prefixes of each other.
    txn.create_database("d").unwrap();
    txn.create_database("d2").unwrap();
    let mut made = Vec::new();
    for database in ["main", "d", "d2"] {
        let mut spec = spec("t", &["a integer"], &[], &[&["a"]]);
        spec.database = database.to_owned();
        let table = txn.create_table(spec).unwrap();
        txn.insert(&table, vec![int(made.len() as i32)]).unwrap();
        made.push(table);
    }
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    txn.drop_database("d").unwrap();
    assert!(txn.database("d").unwrap().is_none());
    assert!(txn.table("d", "public", "t").unwrap().is_none());
    txn.commit().unwrap();
    let snapshot = tables.store().snapshot().unwrap();
    let dropped = snapshot.space_stats(made[1].space).unwrap();
    let dropped_index = snapshot.space_stats(made[1].unique[0].space).unwrap();
    assert_eq!((dropped.entries, dropped_index.entries), (0, 0));
    assert_eq!(committed_rows(&tables, &made[0]), [vec![int(0)]]);
    assert_eq!(committed_rows(&tables, &made[2]), [vec![int(2)]]);
    let names: Vec<String> = tables
        .begin()
        .unwrap()
        .databases()
        .unwrap()
        .into_iter()
        .map(|database| database.name)
        .collect();
    assert_eq!(names, ["d2", "main"]);
}

#[test]
fn truncate_answers_the_rows_it_removed_and_leaves_an_empty_table() {
    let tables = tables();
    let old = filled(&tables, 7);
    let mut txn = tables.begin().unwrap();
    txn.insert(&old, vec![int(8), text("own")]).unwrap();
    assert_eq!(txn.truncate_table("main", "public", "t").unwrap(), 8);
    let new = txn.table("main", "public", "t").unwrap().unwrap();
    assert_eq!(txn.row_count(&new).unwrap(), 0);
    txn.insert(&new, vec![int(1), text("again")]).unwrap();
    txn.commit().unwrap();
    assert_eq!(committed_rows(&tables, &new), [vec![int(1), text("again")]]);
    assert_eq!((new.id, new.schema_version), (old.id, old.schema_version));
    assert_eq!(
        tables
            .store()
            .snapshot()
            .unwrap()
            .space_stats(old.space)
            .unwrap()
            .entries,
        0
    );
}

#[test]
fn views_are_kept_replaced_and_hold_what_they_read() {
    let tables = tables();
    filled(&tables, 1);
    create(&tables, spec("u", &["a integer"], &[], &[]));
    let mut txn = tables.begin().unwrap();
    let first = txn.create_view(view("v", &["t"]), false).unwrap();
    txn.create_view(view("w", &["v", "public.u"]), false).unwrap();
    let missing = txn.create_view(view("x", &["nowhere"]), false).unwrap_err();
    assert!(matches!(missing, TableError::TableNotFound { .. }));
    txn.commit().unwrap();

    let mut txn = tables.begin().unwrap();
    let held = txn.drop_table("main", "public", "t").unwrap_err();
    assert!(
        matches!(&held, TableError::DependentObjects { dependents, .. } if dependents == &["v"]),
        "{held}"
    );
    assert!(matches!(
        txn.drop_table("main", "public", "u"),
        Err(TableError::DependentObjects { .. })
    ));
    assert!(matches!(
        txn.drop_view("main", "public", "v"),
        Err(TableError::DependentObjects { .. })
    ));
    for circle in [
        view("v", &["w"]),
        view("v", &["v"]),
        view("v", &["t", "public.w"]),
    ] {
        assert!(matches!(
            txn.create_view(circle, true),
            Err(TableError::InvalidDefinition { .. })
        ));
    }
    let second = txn.create_view(view("v", &["u"]), true).unwrap();
    assert_eq!((second.id, second.query.as_str()), (first.id, "SELECT * FROM u"));
    txn.drop_table("main", "public", "t").unwrap();
    txn.commit().unwrap();
    let txn = tables.begin().unwrap();
    let names: Vec<String> = txn
        .views("main")
        .unwrap()
        .iter()
        .map(|view| view.name.clone())
        .collect();
    assert_eq!(names, ["v", "w"]);
    assert_eq!(txn.view("main", "public", "v").unwrap(), Some(second));
}

#[test]
fn definitions_survive_in_the_catalog_with_defaults_and_fills() {
    let tables = tables();
    let mut wanted = spec("t", &["a integer", "b double", "c timestamptz"], &["a"], &[]);
    wanted.columns[1].default = Some("0.1".to_owned());
    wanted.columns[1].fill = Some(Datum::Double(0.1));
    wanted.columns[2].default = Some("now()".to_owned());
    let table = create(&tables, wanted);
    let again = crate::tables::Tables::open(tables.store().clone(), tables.clock().clone()).unwrap();
    let found = again
        .begin()
        .unwrap()
        .table("main", "public", "t")
        .unwrap()
        .unwrap();
    assert_eq!(found, table);
    assert_eq!(found.columns[1].fill, Some(serde_json::json!(0.1)));
    let txn = again.begin().unwrap();
    assert_eq!(
        txn.reader().table_version(table.id, 1).unwrap().as_ref(),
        Some(&*table)
    );
    assert_eq!(txn.reader().table_version(table.id, 2).unwrap(), None);
}

/// The bytes that docs/format/rows.md promises. A change here is a change of format.
#[test]
fn the_catalog_has_the_documented_keys_and_values() {
    let tables = tables();
    let mut wanted = spec("t", &["a integer", "b decimal(5,2)"], &["a"], &[&["b"]]);
    wanted.columns[1].fill = Some(Datum::Decimal(150));
    create(&tables, wanted);
    create_index(&tables, &index("t_ba", "t", &["b", "a"], false));
    let mut txn = tables.begin().unwrap();
    txn.create_view(view("v", &["t"]), false).unwrap();
    txn.commit().unwrap();
    let snapshot = tables.store().snapshot().unwrap();
    let value = |key: &[u8]| {
        let found = snapshot.get(crate::seam::SpaceId::CATALOG, key).unwrap().unwrap();
        String::from_utf8(found.value).unwrap()
    };
    let time = 1_700_000_000_000_000u64;
    assert_eq!(
        value(b"dmain\0"),
        format!(r#"{{"database":{{"id":1024,"name":"main","created_at_us":{time}}}}}"#)
    );
    assert_eq!(
        value(b"smain\0public\0"),
        format!(r#"{{"schema":{{"id":1025,"database":"main","name":"public","created_at_us":{time}}}}}"#)
    );
    let table = format!(
        concat!(
            r#"{{"table":{{"id":1026,"database":"main","schema":"public","name":"t","columns":["#,
            r#"{{"name":"a","data_type":"Int4","nullable":false,"default":null}},"#,
            r#"{{"name":"b","data_type":{{"Decimal":{{"precision":5,"scale":2}}}},"nullable":true,"#,
            r#""default":null,"fill":"1.50"}}],"primary_key":[0],"#,
            r#""unique":[{{"name":"t_b_key","columns":[1],"space":1028}}],"#,
            r#""indexes":[{{"id":1029,"name":"t_ba","columns":[1,0],"unique":false,"state":"ready","space":1030,"#,
            r#""created_at_us":{time}}}],"space":1027,"schema_version":1,"#,
            r#""created_at_us":{time},"altered_at_us":{time}}}}}"#
        ),
        time = time
    );
    assert_eq!(value(b"rmain\0public\0t\0"), table);
    assert_eq!(
        value(&[b"v\0\0\0\0\0\0\x04\x02".as_slice(), &[0, 0, 0, 1]].concat()),
        table
    );
    assert_eq!(value(b"imain\0public\0t_ba\0"), r#"{"index":{"table":"t"}}"#);
    let view = value(b"rmain\0public\0v\0");
    assert!(
        view.starts_with(r#"{"view":{"id":1031,"database":"main""#),
        "{view}"
    );
}
