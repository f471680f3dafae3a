use super::support::*;
use crate::change_log::{CommitOrigin, DdlChange, LogRecord, RowChange, RowOp, decode};
use crate::codec::decode_row;
use crate::error::StoreError;
use crate::seam::CommitSeq;
use crate::tables::{IndexSpec, Tables};
use crate::types::{Datum, ObjectId, RowKey};

fn records_after(tables: &Tables, after: CommitSeq) -> Vec<LogRecord> {
    let entries = tables.store().log_after(after, 1000).unwrap();
    entries
        .iter()
        .map(|entry| decode(&entry.payload).unwrap())
        .collect()
}

#[test]
fn each_change_has_an_entry_in_statement_order_with_rows_before_and_after() {
    let tables = tables();
    let table = filled(&tables, 3);
    let start = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.update(&table, &key(&table, 3), vec![int(3), text("third")])
        .unwrap();
    txn.insert(&table, vec![int(9), Datum::Null]).unwrap();
    txn.delete(&table, &key(&table, 1)).unwrap();
    txn.insert(&table, vec![int(9), Datum::Null]).unwrap_err();
    txn.update(&table, &key(&table, 9), vec![int(10), text("ten")])
        .unwrap();
    let outcome = txn.commit().unwrap();
    let entries = tables.store().log_after(start, 1000).unwrap();
    assert!(entries.iter().all(|entry| entry.commit == outcome.seq));
    assert_eq!(
        entries.iter().map(|entry| entry.index).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );

    let mut seen = Vec::new();
    for record in records_after(&tables, start) {
        let LogRecord::Row(change) = record else {
            panic!("{record:?}")
        };
        assert_eq!(
            (change.table_id, change.table.as_str(), change.schema_version),
            (table.id, "t", 1)
        );
        assert_eq!(
            (change.database.as_str(), change.schema.as_str()),
            ("main", "public")
        );
        let row = |bytes: Option<Vec<u8>>| bytes.map(|bytes| decode_row(&table.columns, &bytes).unwrap());
        seen.push((
            change.op,
            change.key,
            change.moved_to,
            row(change.before),
            row(change.after),
        ));
    }
    let at = |id| key(&table, id);
    let row = |id, name: &str| Some(vec![int(id), text(name)]);
    assert_eq!(
        seen,
        [
            (RowOp::Update, at(3), None, row(3, "n3"), row(3, "third")),
            (RowOp::Insert, at(9), None, None, Some(vec![int(9), Datum::Null])),
            (RowOp::Delete, at(1), None, row(1, "n1"), None),
            (
                RowOp::Update,
                at(9),
                Some(at(10)),
                Some(vec![int(9), Datum::Null]),
                row(10, "ten")
            ),
        ]
    );
}

#[test]
fn changes_of_definitions_stand_among_the_rows() {
    let tables = tables();
    let start = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.create_database("d").unwrap();
    let mut in_d = spec("t", &["a integer"], &["a"], &[]);
    in_d.database = "d".to_owned();
    let table = txn.create_table(in_d.clone()).unwrap();
    txn.insert(&table, vec![int(1)]).unwrap();
    in_d.columns.push(column("b text"));
    txn.replace_table(in_d).unwrap();
    let mut on_t = index("i", "t", &["b"], false);
    on_t.database = "d".to_owned();
    txn.create_index(&on_t).unwrap();
    txn.drop_index("d", "public", "i").unwrap();
    txn.create_index(&IndexSpec {
        name: "goes with its table".to_owned(),
        ..on_t
    })
    .unwrap();
    txn.truncate_table("d", "public", "t").unwrap();
    let mut in_d = view("v", &["t"]);
    in_d.database = "d".to_owned();
    txn.create_view(in_d.clone(), false).unwrap();
    in_d.query = "SELECT 1".to_owned();
    txn.create_view(in_d, true).unwrap();
    txn.drop_database("d").unwrap();
    txn.commit().unwrap();
    let kinds: Vec<&str> = records_after(&tables, start)
        .iter()
        .map(|record| match record {
            LogRecord::Row(change) => {
                assert_eq!(change.op, RowOp::Insert);
                "row"
            }
            LogRecord::Origin(_) | LogRecord::Statement(_) => panic!("{record:?}: nobody said so"),
            LogRecord::Ddl(change) => match change {
                DdlChange::CreateDatabase { .. } => "create database",
                DdlChange::DropDatabase { .. } => "drop database",
                DdlChange::CreateTable { .. } => "create table",
                DdlChange::DropTable { .. } => "drop table",
                DdlChange::ReplaceTable { before, after } => {
                    assert_eq!((before.schema_version, after.schema_version), (1, 2));
                    "replace table"
                }
                DdlChange::TruncateTable { rows, .. } => {
                    assert_eq!(*rows, 1);
                    "truncate table"
                }
                DdlChange::CreateView { .. } => "create view",
                DdlChange::ReplaceView { before, after } => {
                    assert_ne!(before.query, after.query);
                    "replace view"
                }
                DdlChange::DropView { .. } => "drop view",
                DdlChange::CreateIndex { table, index } => {
                    assert_eq!(table.index(index).unwrap().columns, [1]);
                    "create index"
                }
                DdlChange::DropIndex { table, index } => {
                    assert!(table.index(index).is_none());
                    "drop index"
                }
            },
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "create database",
            "create table",
            "row",
            "replace table",
            "create index",
            "drop index",
            "create index",
            "truncate table",
            "create view",
            "replace view",
            "drop table",
            "drop view",
            "drop database"
        ]
    );
}

/// The bytes that docs/format/rows.md promises. A change here is a change of format.
#[test]
fn entries_have_the_documented_bytes() {
    let golden = [
        &[0x01, 0x02][..],                     // format, update
        &[0x86, 0x08],                         // table 1030
        b"\x04main\x06public\x01t",            // its name
        &[0x01],                               // schema version
        &[0x04, 0x80, 0, 0, 5],                // key 5
        &[0x04, 0x80, 0, 0, 6],                // moved to key 6
        &[0x05, 0x01, 0x01, 0x01, 0x00, 0x0A], // row (5)
        &[0x05, 0x01, 0x01, 0x01, 0x00, 0x0C], // row (6)
    ]
    .concat();
    let expected = RowChange {
        op: RowOp::Update,
        table_id: ObjectId(1030),
        database: "main".to_owned(),
        schema: "public".to_owned(),
        table: "t".to_owned(),
        schema_version: 1,
        key: RowKey(vec![0x80, 0, 0, 5]),
        moved_to: Some(RowKey(vec![0x80, 0, 0, 6])),
        before: Some(vec![0x01, 0x01, 0x01, 0x00, 0x0A]),
        after: Some(vec![0x01, 0x01, 0x01, 0x00, 0x0C]),
    };
    assert_eq!(decode(&golden).unwrap(), LogRecord::Row(expected));

    let tables = tables();
    let table = create(&tables, spec("t", &["a integer"], &["a"], &[]));
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(5)]).unwrap();
    txn.commit().unwrap();
    let start = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.update(&table, &key(&table, 5), vec![int(6)]).unwrap();
    txn.commit().unwrap();
    let payload = tables.store().log_after(start, 1).unwrap().remove(0).payload;
    // All but the table's number is the same.
    assert_eq!((&payload[..2], &payload[4..]), (&golden[..2], &golden[4..]));

    let ddl = [
        &[0x01, 0x10][..],
        br#"{"drop_database":{"database":{"id":9,"name":"d","created_at_us":3}}}"#,
    ]
    .concat();
    let LogRecord::Ddl(DdlChange::DropDatabase { database }) = decode(&ddl).unwrap() else {
        panic!()
    };
    assert_eq!(
        (database.id, database.name.as_str(), database.created_at_us),
        (ObjectId(9), "d", 3)
    );
}

#[test]
fn a_commit_says_who_made_it_and_by_which_statement() {
    let tables = tables();
    let start = tables.store().snapshot().unwrap().seq();
    let origin = CommitOrigin {
        transaction_id: Some(7),
        user: "alice".to_owned(),
    };
    let mut txn = tables.begin().unwrap();
    txn.set_origin(origin.clone());
    let table = txn.create_table(spec("t", &["a integer"], &["a"], &[])).unwrap();
    // The text of a statement that is undone goes with it.
    let mark = txn.mark();
    txn.set_statement(Some("CREATE DATABASE gone"));
    txn.create_database("gone").unwrap();
    txn.undo_to(&mark);
    txn.insert(&table, vec![int(1)]).unwrap();
    txn.set_statement(Some("TRUNCATE t, t"));
    txn.truncate_table("main", "public", "t").unwrap();
    txn.truncate_table("main", "public", "t").unwrap();
    txn.set_statement(None);
    txn.drop_table("main", "public", "t").unwrap();
    txn.commit().unwrap();
    let records = records_after(&tables, start);
    assert_eq!(records[0], LogRecord::Origin(origin));
    let shown: Vec<String> = records[1..]
        .iter()
        .map(|record| match record {
            LogRecord::Statement(text) => text.clone(),
            LogRecord::Row(_) => "row".to_owned(),
            LogRecord::Ddl(DdlChange::CreateTable { .. }) => "create".to_owned(),
            LogRecord::Ddl(DdlChange::TruncateTable { .. }) => "truncate".to_owned(),
            LogRecord::Ddl(DdlChange::DropTable { .. }) => "drop".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        ["create", "row", "TRUNCATE t, t", "truncate", "truncate", "drop"]
    );
    // A transaction that changes nothing says nothing.
    let before = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.set_origin(CommitOrigin::default());
    txn.commit().unwrap();
    assert_eq!(records_after(&tables, before), []);
}

/// docs/format/rows.md, byte by byte.
#[test]
fn origins_and_statements_have_the_documented_bytes() {
    let statement = [&[0x01, 0x11][..], "DROP TABLE \u{fc}".as_bytes()].concat();
    assert_eq!(
        decode(&statement).unwrap(),
        LogRecord::Statement("DROP TABLE \u{fc}".to_owned())
    );
    assert!(matches!(decode(&[0x01, 0x11, 0xff]), Err(StoreError::Corrupt(_))));
    for (json, transaction_id) in [
        (r#"{"transaction_id":7,"user":"alice"}"#, Some(7)),
        (r#"{"user":"alice"}"#, None),
    ] {
        let origin = [&[0x01, 0x20][..], json.as_bytes()].concat();
        let expected = CommitOrigin {
            transaction_id,
            user: "alice".to_owned(),
        };
        assert_eq!(crate::change_log::encode_origin(&expected), origin);
        assert_eq!(decode(&origin).unwrap(), LogRecord::Origin(expected));
    }
    assert!(matches!(decode(b"\x01\x20{}"), Err(StoreError::Corrupt(_))));
}

#[test]
fn entries_that_are_cut_longer_or_of_another_format_are_refused() {
    let tables = tables();
    let table = filled(&tables, 1);
    let start = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.update(&table, &key(&table, 1), vec![int(1), text("x")])
        .unwrap();
    txn.commit().unwrap();
    let payload = tables.store().log_after(start, 1).unwrap().remove(0).payload;
    for len in 0..payload.len() {
        assert!(
            matches!(decode(&payload[..len]), Err(StoreError::Corrupt(_))),
            "{len}"
        );
    }
    assert!(matches!(
        decode(&[&payload[..], &[0]].concat()),
        Err(StoreError::Corrupt(_))
    ));
    assert!(matches!(
        decode(&[9, 1]),
        Err(StoreError::FormatVersion {
            found: 9,
            supported: 1
        })
    ));
    assert!(matches!(decode(&[1, 99]), Err(StoreError::Corrupt(_))));
}
