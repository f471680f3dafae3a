//! The file as docs/format/store.md describes it, read with redb alone.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use rustydb_runtime::ManualClock;
use rustydb_store::redb_store::RedbStore;
use rustydb_store::seam::{CommitSeq, SpaceId, TableStore, Write, WriteBatch};

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const SPACE_STATS: TableDefinition<u64, (u64, u64, u64, i64)> = TableDefinition::new("space_stats");
const CHANGE_LOG: TableDefinition<&[u8; 12], &[u8]> = TableDefinition::new("change_log");

#[test]
fn a_store_has_the_documented_tables_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = RedbStore::open(&path, Arc::new(ManualClock::new(-2))).unwrap();
    let write = |space, key: &[u8], expected, value: &[u8]| Write {
        space: SpaceId(space),
        key: key.to_vec(),
        expected,
        value: Some(value.to_vec()),
    };
    let first = WriteBatch {
        writes: vec![write(1024, b"k", None, b"old")],
        ..WriteBatch::default()
    };
    store.commit(first).unwrap();
    let second = WriteBatch {
        writes: vec![
            write(1024, b"k", Some(CommitSeq(1)), b"v"),
            write(2, b"", None, b""),
        ],
        log: vec![b"p".to_vec(), Vec::new()],
        ..WriteBatch::default()
    };
    store.commit(second).unwrap();
    drop(store);

    let database = Database::open(&path).unwrap();
    let read = database.begin_read().unwrap();
    let mut names: Vec<String> = read
        .list_tables()
        .unwrap()
        .map(|table| table.name().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["change_log", "meta", "rows", "space_stats"]);

    let meta = read.open_table(META).unwrap();
    let meta: Vec<_> = meta.iter().unwrap().map(Result::unwrap).collect();
    let meta: Vec<_> = meta
        .iter()
        .map(|(name, value)| (name.value(), value.value()))
        .collect();
    let epoch = meta[0].1;
    let log_bytes = 2 * (12 + 8) + 1;
    assert_eq!(
        meta,
        [
            ("epoch", epoch),
            ("format_version", 2),
            ("log_bytes", log_bytes),
            ("log_trimmed_to", 0),
            ("newest_commit", 2)
        ]
    );

    let rows = read.open_table(ROWS).unwrap();
    let rows: Vec<_> = rows.iter().unwrap().map(Result::unwrap).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(key, value)| (key.value(), value.value()))
        .collect();
    let expected: [(&[u8], &[u8]); 2] = [
        (&[0, 0, 0, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 0, 0, 0]),
        (&[0, 0, 0, 0, 0, 0, 4, 0, b'k'], &[2, 0, 0, 0, 0, 0, 0, 0, b'v']),
    ];
    assert_eq!(rows, expected);

    let stats = read.open_table(SPACE_STATS).unwrap();
    let stats: Vec<_> = stats.iter().unwrap().map(Result::unwrap).collect();
    let stats: Vec<_> = stats
        .iter()
        .map(|(space, row)| (space.value(), row.value()))
        .collect();
    assert_eq!(stats, [(2, (1, 0, 2, -2)), (1024, (1, 2, 2, -2))]);

    let log = read.open_table(CHANGE_LOG).unwrap();
    let log: Vec<_> = log.iter().unwrap().map(Result::unwrap).collect();
    let log: Vec<_> = log
        .iter()
        .map(|(key, value)| (*key.value(), value.value()))
        .collect();
    let minus_two: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let with_payload = [minus_two, b"p"].concat();
    assert_eq!(
        log,
        [
            ([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], with_payload.as_slice()),
            ([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1], minus_two),
        ]
    );
}
