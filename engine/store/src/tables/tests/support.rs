//! Short ways to write tables and rows.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustydb_runtime::ManualClock;

use crate::seam::KeyRange;
use crate::tables::{ColumnSpec, IndexSpec, TableSpec, Tables, Txn, UniqueSpec, ViewSpec};
use crate::testing::MemStore;
use crate::types::{ColumnType, Datum, Row, RowKey, TableDef};

pub(crate) fn tables() -> Tables {
    tables_and_clock().0
}

pub(crate) fn tables_and_clock() -> (Tables, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let store = Arc::new(MemStore::new(clock.clone()));
    (Tables::open(store, clock.clone()).unwrap(), clock)
}

/// A column from text such as `id integer not null`.
pub(crate) fn column(text: &str) -> ColumnSpec {
    let (name, rest) = text.split_once(' ').unwrap();
    let (data_type, nullable) = match rest.strip_suffix(" not null") {
        Some(data_type) => (data_type, false),
        None => (rest, true),
    };
    ColumnSpec {
        name: name.to_owned(),
        data_type: ColumnType::parse(data_type).unwrap(),
        nullable,
        default: None,
        fill: None,
    }
}

/// A table of `main.public`.
pub(crate) fn spec(name: &str, columns: &[&str], primary_key: &[&str], unique: &[&[&str]]) -> TableSpec {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    TableSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: columns.iter().map(|text| column(text)).collect(),
        primary_key: owned(primary_key),
        unique: unique
            .iter()
            .map(|columns| UniqueSpec {
                name: None,
                columns: owned(columns),
            })
            .collect(),
    }
}

pub(crate) fn view(name: &str, depends_on: &[&str]) -> ViewSpec {
    ViewSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        query: format!("SELECT * FROM {}", depends_on.join(", ")),
        depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// An index on a table of `main.public`.
pub(crate) fn index(name: &str, table: &str, columns: &[&str], unique: bool) -> IndexSpec {
    IndexSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        table: table.to_owned(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        unique,
    }
}

/// Creates an index in a transaction of its own; the answer is the table with it.
pub(crate) fn create_index(tables: &Tables, spec: &IndexSpec) -> Arc<TableDef> {
    let mut txn = tables.begin().unwrap();
    let table = txn.create_index(spec).unwrap();
    txn.commit().unwrap();
    table
}

/// Every index has an entry for each row that is to have one, and no other.
pub(crate) fn assert_indexes_sound(txn: &Txn, table: &TableDef) {
    for index in &table.indexes {
        let found = txn
            .reader()
            .verify_index(table, index, || ControlFlow::Continue(()))
            .unwrap();
        assert!(found.is_sound(), "{}: {found:?}", index.name);
        assert_eq!(found.rows, txn.row_count(table).unwrap());
        assert_eq!(found.entries, txn.reader().index_stats(index).unwrap().entries);
        if !index.unique {
            assert_eq!(found.entries, found.rows, "{}", index.name);
        }
    }
}

/// Creates a table in a transaction of its own.
pub(crate) fn create(tables: &Tables, spec: TableSpec) -> Arc<TableDef> {
    let mut txn = tables.begin().unwrap();
    let table = txn.create_table(spec).unwrap();
    txn.commit().unwrap();
    table
}

/// A table `t (id integer, name text)` with key `id`, holding rows 1 to `rows`, named `n1`, `n2` ...
pub(crate) fn filled(tables: &Tables, rows: i32) -> Arc<TableDef> {
    let table = create(tables, spec("t", &["id integer", "name text"], &["id"], &[]));
    let mut txn = tables.begin().unwrap();
    txn.insert_many(
        &table,
        (1..=rows)
            .map(|id| vec![int(id), text(&format!("n{id}"))])
            .collect(),
    )
    .unwrap();
    txn.commit().unwrap();
    table
}

pub(crate) fn int(value: i32) -> Datum {
    Datum::Int4(value)
}

pub(crate) fn text(value: &str) -> Datum {
    Datum::Text(value.to_owned())
}

/// The key of the row with this integer primary key.
pub(crate) fn key(table: &TableDef, id: i32) -> RowKey {
    crate::codec::primary_key(table, &[int(id)]).unwrap()
}

pub(crate) fn all_rows(txn: &Txn, table: &TableDef) -> Vec<Row> {
    txn.scan(table, &KeyRange::default(), usize::MAX)
        .unwrap()
        .into_iter()
        .map(|(_, row)| row)
        .collect()
}

/// The rows as another transaction sees them now.
pub(crate) fn committed_rows(tables: &Tables, table: &TableDef) -> Vec<Row> {
    all_rows(&tables.begin().unwrap(), table)
}
