//! Indexes: their entries follow the rows, whoever builds them and whatever is written meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::support::*;
use crate::change_log::{DdlChange, LogRecord, decode};
use crate::codec::{encode_index_values, prefix_range};
use crate::seam::{SpaceId, TableStore, Write, WriteBatch};
use crate::tables::{BuildProgress, Builder, IndexSpec, Result, TableError, Tables, Txn, Verification};
use crate::types::{Datum, IndexState, Row, TableDef};

/// `t (id integer, a integer, b text)` with key `id` and rows 1 to `rows`: a is id modulo 10, NULL where that is 0.
fn table_t(tables: &Tables, rows: i32) -> Arc<TableDef> {
    let table = create(
        tables,
        spec("t", &["id integer", "a integer", "b text"], &["id"], &[]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert_many(&table, (1..=rows).map(row).collect()).unwrap();
    txn.commit().unwrap();
    table
}

fn row(id: i32) -> Row {
    let a = if id % 10 == 0 { Datum::Null } else { int(id % 10) };
    vec![int(id), a, text(&format!("b{id}"))]
}

fn table_now(txn: &Txn) -> Arc<TableDef> {
    txn.table("main", "public", "t").unwrap().unwrap()
}

/// Ids of the rows with this value of a, by the index.
fn ids_by_index(txn: &Txn, table: &TableDef, name: &str, a: &Datum) -> Vec<i32> {
    let range = prefix_range(encode_index_values(std::slice::from_ref(a)).unwrap());
    let index = table.index(name).unwrap();
    let scanned = txn
        .reader()
        .scan_index(table, index, &range, usize::MAX, usize::MAX, &[0])
        .unwrap();
    assert!(scanned.found.exhausted);
    let id = |(_, row): (_, Row)| match row[0] {
        Datum::Int4(id) => id,
        ref other => panic!("{other:?}"),
    };
    scanned.found.rows.into_iter().map(id).collect()
}

fn build(
    tables: &Tables,
    spec: &IndexSpec,
    mut watch: impl FnMut(BuildProgress) -> ControlFlow<()>,
) -> Result<()> {
    let by = Builder {
        origin: None,
        statement: None,
        watch: &mut watch,
    };
    tables.create_index(spec, by)
}

fn verified(tables: &Tables, name: &str) -> Verification {
    let txn = tables.begin().unwrap();
    let (table, index) = txn.index("main", "public", name).unwrap().unwrap();
    let go_on = || ControlFlow::Continue(());
    txn.reader().verify_index(&table, &index, go_on).unwrap()
}

#[test]
fn a_transaction_reads_its_own_changes_through_an_index_and_others_do_not() {
    let tables = tables();
    table_t(&tables, 30);
    let table = create_index(&tables, &index("t_a", "t", &["a"], false));
    let mut txn = tables.begin().unwrap();
    assert_eq!(ids_by_index(&txn, &table, "t_a", &int(3)), [3, 13, 23]);
    assert_eq!(ids_by_index(&txn, &table, "t_a", &Datum::Null), [10, 20, 30]);
    txn.insert(&table, vec![int(40), int(3), text("new")]).unwrap();
    txn.update(&table, &key(&table, 13), vec![int(13), Datum::Null, text("x")])
        .unwrap();
    txn.update(&table, &key(&table, 23), vec![int(123), int(3), text("x")])
        .unwrap();
    txn.delete(&table, &key(&table, 10)).unwrap();
    assert_eq!(ids_by_index(&txn, &table, "t_a", &int(3)), [3, 40, 123]);
    assert_eq!(ids_by_index(&txn, &table, "t_a", &Datum::Null), [13, 20, 30]);
    let other = tables.begin().unwrap();
    assert_eq!(ids_by_index(&other, &table, "t_a", &int(3)), [3, 13, 23]);
    txn.commit().unwrap();
    let after = tables.begin().unwrap();
    assert_eq!(ids_by_index(&after, &table, "t_a", &int(3)), [3, 40, 123]);
    assert_indexes_sound(&after, &table);
}

#[test]
fn what_was_read_by_an_index_is_counted_until_it_is_dropped() {
    let tables = tables();
    table_t(&tables, 30);
    let table = create_index(&tables, &index("t_a", "t", &["a"], false));
    let txn = tables.begin().unwrap();
    let stats = |txn: &Txn| txn.reader().index_stats(table.index("t_a").unwrap()).unwrap();
    let before = stats(&txn);
    // Row keys of 4 bytes behind a mark, and 4 bytes of a value that is not NULL.
    assert_eq!((before.entries, before.bytes), (30, 30 * 5 + 27 * 4));
    assert_eq!((before.used.scans, before.used.rows_read), (0, 0));
    ids_by_index(&txn, &table, "t_a", &int(3));
    ids_by_index(&txn, &table, "t_a", &int(77));
    let after = stats(&txn);
    assert_eq!((after.used.scans, after.used.rows_read), (2, 3));
    let mut txn = tables.begin().unwrap();
    txn.drop_index("main", "public", "t_a").unwrap();
    txn.commit().unwrap();
    let left = tables.begin().unwrap().reader();
    assert_eq!(left.usage.of(table.index("t_a").unwrap().id).scans, 0);
}

#[test]
fn names_are_one_name_space_of_the_schema_and_go_with_index_and_table() {
    let tables = tables();
    table_t(&tables, 3);
    create(&tables, spec("u", &["x integer"], &[], &[&["x"]]));
    create_index(&tables, &index("i", "t", &["a"], false));
    let mut txn = tables.begin().unwrap();
    let refused = txn.create_index(&index("i", "u", &["x"], false)).unwrap_err();
    assert!(
        matches!(&refused, TableError::IndexExists { name, .. } if name == "i"),
        "{refused}"
    );
    let refused = txn
        .create_index(&index("u_x_key", "u", &["x"], false))
        .unwrap_err();
    assert!(
        matches!(refused, TableError::InvalidDefinition { .. }),
        "{refused}"
    );
    let refused = txn.create_index(&index("j", "u", &["y"], false)).unwrap_err();
    assert!(matches!(refused, TableError::ColumnNotFound { .. }), "{refused}");
    let refused = txn
        .create_index(&index("j", "u", &["x", "x"], false))
        .unwrap_err();
    assert!(
        matches!(refused, TableError::InvalidDefinition { .. }),
        "{refused}"
    );
    let refused = txn.create_index(&index("j", "w", &["x"], false)).unwrap_err();
    assert!(matches!(refused, TableError::TableNotFound { .. }), "{refused}");
    txn.drop_table("main", "public", "t").unwrap();
    txn.create_index(&index("i", "u", &["x"], false)).unwrap();
    txn.drop_index("main", "public", "i").unwrap();
    let refused = txn.drop_index("main", "public", "i").unwrap_err();
    assert!(matches!(refused, TableError::IndexNotFound { .. }), "{refused}");
    txn.create_index(&index("i", "u", &["x"], false)).unwrap();
    txn.commit().unwrap();
    let (table, found) = tables
        .begin()
        .unwrap()
        .index("main", "public", "i")
        .unwrap()
        .unwrap();
    assert_eq!((table.name.as_str(), found.state), ("u", IndexState::Ready));
    assert!(
        tables
            .begin()
            .unwrap()
            .index("main", "public", "j")
            .unwrap()
            .is_none()
    );
}

#[test]
fn two_who_make_an_index_of_one_name_conflict() {
    let tables = tables();
    table_t(&tables, 3);
    create(&tables, spec("u", &["x integer"], &[], &[]));
    let (mut one, mut other) = (tables.begin().unwrap(), tables.begin().unwrap());
    one.create_index(&index("i", "t", &["a"], false)).unwrap();
    other.create_index(&index("i", "u", &["x"], false)).unwrap();
    one.commit().unwrap();
    assert!(matches!(other.commit(), Err(TableError::WriteConflict { .. })));
}

#[test]
fn a_transaction_that_makes_an_index_conflicts_with_rows_written_meanwhile_before_and_after_it() {
    for index_first in [true, false] {
        let tables = tables();
        let table = table_t(&tables, 3);
        let (mut maker, mut writer) = (tables.begin().unwrap(), tables.begin().unwrap());
        maker.create_index(&index("i", "t", &["a"], false)).unwrap();
        writer.insert(&table, row(50)).unwrap();
        let (first, second) = if index_first {
            (maker, writer)
        } else {
            (writer, maker)
        };
        first.commit().unwrap();
        assert!(matches!(second.commit(), Err(TableError::WriteConflict { .. })));
    }
}

#[test]
fn rows_written_by_an_old_definition_are_refused() {
    let tables = tables();
    let old = table_t(&tables, 3);
    let mut txn = tables.begin().unwrap();
    txn.insert(&old, row(4)).unwrap();
    let new = txn.create_index(&index("i", "t", &["a"], false)).unwrap();
    let refused = txn.insert(&old, row(5)).unwrap_err();
    assert!(matches!(refused, TableError::StaleDefinition { .. }), "{refused}");
    txn.insert(&new, row(5)).unwrap();
    assert_indexes_sound(&txn, &new);
    txn.commit().unwrap();
}

#[test]
fn a_unique_index_is_a_unique_constraint_on_rows_old_and_new() {
    let tables = tables();
    table_t(&tables, 12);
    let mut txn = tables.begin().unwrap();
    let refused = txn.create_index(&index("i", "t", &["a"], true)).unwrap_err();
    let shown = refused.to_string();
    assert!(matches!(refused, TableError::UniqueViolation { .. }), "{shown}");
    assert!(shown.contains("(a) = (1)") && shown.contains("\"i\""), "{shown}");
    assert!(table_now(&txn).indexes.is_empty(), "nothing is left");
    let table = txn.create_index(&index("i", "t", &["b"], true)).unwrap();
    let refused = txn
        .insert(&table, vec![int(99), Datum::Null, text("b7")])
        .unwrap_err();
    assert!(matches!(refused, TableError::UniqueViolation { .. }), "{refused}");
    for id in [100, 101] {
        txn.insert(&table, vec![int(id), Datum::Null, Datum::Null])
            .unwrap();
    }
    assert_indexes_sound(&txn, &table);
    txn.commit().unwrap();
}

#[test]
fn truncating_and_replacing_a_table_keep_its_indexes_but_for_those_of_columns_that_go() {
    let tables = tables();
    table_t(&tables, 30);
    create_index(&tables, &index("t_a", "t", &["a"], false));
    create_index(&tables, &index("t_ba", "t", &["b", "a"], true));
    let mut txn = tables.begin().unwrap();
    let mut wanted = spec("t", &["extra text", "a bigint", "id integer"], &["id"], &[]);
    wanted.columns[0].fill = Some(text("x"));
    let replaced = txn.replace_table(wanted).unwrap();
    assert_eq!(replaced.indexes.len(), 1);
    assert!(txn.index("main", "public", "t_ba").unwrap().is_none());
    assert_indexes_sound(&txn, &replaced);
    let range = prefix_range(encode_index_values(&[Datum::Int8(3)]).unwrap());
    let index = replaced.index("t_a").unwrap();
    assert_eq!(txn.reader().count_entries(index, &range, 99).unwrap(), 3);
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    txn.truncate_table("main", "public", "t").unwrap();
    let table = table_now(&txn);
    assert_eq!(
        txn.reader()
            .index_stats(table.index("t_a").unwrap())
            .unwrap()
            .entries,
        0
    );
    txn.insert(&table, vec![text("x"), Datum::Int8(3), int(1)])
        .unwrap();
    assert_indexes_sound(&txn, &table);
    txn.commit().unwrap();
    assert!(verified(&tables, "t_a").is_sound());
}

#[test]
fn what_is_wrong_with_an_index_is_counted_by_kind_and_a_rebuild_mends_it() {
    let tables = tables();
    table_t(&tables, 30);
    create_index(&tables, &index("t_a", "t", &["a"], false));
    let table = create_index(&tables, &index("t_b", "t", &["b"], true));
    let write = |space: SpaceId, key: &[u8], value: Option<Vec<u8>>| {
        let found = tables.store().snapshot().unwrap().get(space, key).unwrap();
        let write = Write {
            space,
            key: key.to_vec(),
            expected: found.map(|found| found.version),
            value,
        };
        let batch = WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        };
        tables.store().commit(batch).unwrap();
    };
    let (t_a, t_b) = (table.index("t_a").unwrap(), table.index("t_b").unwrap());
    let entry = |a: i32, id: i32| [encode_index_values(&[int(a)]).unwrap(), key(&table, id).0].concat();
    write(t_a.space, &entry(3, 3), None);
    write(t_a.space, &entry(4, 3), Some(Vec::new()));
    write(t_a.space, &entry(4, 777), Some(Vec::new()));
    write(t_a.space, b"no entry", Some(Vec::new()));
    let found = verified(&tables, "t_a");
    assert_eq!((found.rows, found.entries), (30, 32));
    assert_eq!((found.missing, found.extra, found.duplicates), (1, 3, 0));

    // Row 31 with the value of row 5, past the index.
    let double = crate::codec::encode_row(&table, &[int(31), Datum::Null, text("b5")]);
    write(table.space, &key(&table, 31).0, Some(double));
    let found = verified(&tables, "t_b");
    assert_eq!((found.missing, found.extra, found.duplicates), (0, 0, 1));
    write(t_b.space, &crate::codec::encode_key(&[text("b6")]).unwrap(), None);
    assert_eq!(verified(&tables, "t_b").missing, 1);

    let rebuild = |name: &str| {
        let by = Builder {
            origin: None,
            statement: None,
            watch: &mut |_| ControlFlow::Continue(()),
        };
        tables.rebuild_index("main", "public", name, by)
    };
    rebuild("t_a").unwrap();
    assert!(verified(&tables, "t_a").is_sound());
    assert!(matches!(rebuild("t_b"), Err(TableError::UniqueViolation { .. })));
    let kept = table_now(&tables.begin().unwrap());
    assert_eq!(kept.index("t_b"), Some(t_b), "the old one is left");
    assert_eq!(kept.indexes.len(), 2);
    assert_eq!(kept.index("t_a").unwrap().id, t_a.id);
    assert!(
        tables
            .store()
            .snapshot()
            .unwrap()
            .space_stats(t_a.space)
            .unwrap()
            .entries
            == 0
    );
}

#[test]
fn a_build_over_duplicates_names_the_values_and_leaves_nothing() {
    let tables = tables();
    table_t(&tables, 2_000);
    let before = tables.store().snapshot().unwrap().seq();
    let refused = build(&tables, &index("i", "t", &["a"], true), |_| {
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert!(refused.to_string().contains("(a) = (1)"), "{refused}");
    let txn = tables.begin().unwrap();
    assert!(txn.index("main", "public", "i").unwrap().is_none());
    assert!(table_now(&txn).indexes.is_empty());
    assert!(
        tables.store().log_after(before, 99).unwrap().is_empty(),
        "nobody is told"
    );
}

#[test]
fn a_build_that_is_stopped_leaves_nothing_and_one_that_ends_is_told_once() {
    let tables = tables();
    table_t(&tables, 2_000);
    let start = tables.store().snapshot().unwrap().seq();
    let spec = index("i", "t", &["a"], false);
    let mut seen = Vec::new();
    let stopped = build(&tables, &spec, |progress| {
        seen.push(progress.rows);
        if progress.rows > 100 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(TableError::BuildStopped { .. })));
    assert_eq!(seen, [0, 128]);
    assert!(table_now(&tables.begin().unwrap()).indexes.is_empty());
    let mut told = 0;
    build(&tables, &spec, |progress| {
        let now = tables.begin().unwrap();
        let (_, index) = now.index("main", "public", "i").unwrap().unwrap();
        assert_eq!((index.state, progress.rows_total), (IndexState::Building, 2_000));
        told += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(told > 2, "{told} batches");
    assert!(verified(&tables, "i").is_sound());
    let log = tables.store().log_after(start, 99).unwrap();
    let entries: Vec<_> = log.iter().map(|entry| decode(&entry.payload).unwrap()).collect();
    let [LogRecord::Ddl(DdlChange::CreateIndex { table, index })] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((table.name.as_str(), index.as_str()), ("t", "i"));
}

#[test]
fn who_drops_empties_or_replaces_what_an_index_is_built_of_ends_the_build() {
    type Work = fn(&mut Txn);
    let works: [Work; 4] = [
        |txn| txn.drop_table("main", "public", "t").unwrap(),
        |txn| assert_eq!(txn.truncate_table("main", "public", "t").unwrap(), 1_000),
        |txn| drop(txn.replace_table(spec("t", &["a integer"], &[], &[])).unwrap()),
        |txn| txn.drop_index("main", "public", "i").unwrap(),
    ];
    for work in works {
        let tables = tables();
        table_t(&tables, 1_000);
        let mut done = false;
        let built = build(&tables, &index("i", "t", &["a"], false), |progress| {
            if progress.rows > 0 && !done {
                let mut txn = tables.begin().unwrap();
                work(&mut txn);
                txn.commit().unwrap();
                done = true;
            }
            ControlFlow::Continue(())
        });
        assert!(
            matches!(built, Err(TableError::WriteConflict { .. })),
            "{built:?}"
        );
        let txn = tables.begin().unwrap();
        assert!(txn.index("main", "public", "i").unwrap().is_none());
        let left = txn.table("main", "public", "t").unwrap();
        assert!(left.is_none_or(|table| table.indexes.is_empty()));
    }
}

#[test]
fn opening_removes_an_index_whose_build_was_cut_short_and_keeps_one_that_was_rebuilt() {
    let clock = Arc::new(rustydb_runtime::ManualClock::new(5));
    let store = Arc::new(crate::testing::MemStore::new(clock.clone()));
    let tables = Tables::open(store.clone(), clock.clone()).unwrap();
    table_t(&tables, 500);
    create_index(&tables, &index("old", "t", &["b"], true));
    // A panic stands for the end of the process: nothing tidies up behind it.
    let cut = |work: &mut dyn FnMut(Builder<'_>)| {
        let cut = std::panic::AssertUnwindSafe(|| {
            let watch = &mut |progress: BuildProgress| {
                assert!(progress.rows < 100, "cut short");
                ControlFlow::Continue(())
            };
            work(Builder {
                origin: None,
                statement: None,
                watch,
            });
        });
        std::panic::catch_unwind(cut).unwrap_err();
    };
    cut(&mut |by| drop(tables.create_index(&index("i", "t", &["a"], false), by)));
    cut(&mut |by| drop(tables.rebuild_index("main", "public", "old", by)));
    let left = table_now(&tables.begin().unwrap());
    assert_eq!(left.indexes.len(), 3);
    drop(tables);

    let tables = Tables::open(store.clone(), clock.clone()).unwrap();
    let txn = tables.begin().unwrap();
    let table = table_now(&txn);
    assert_eq!(table.indexes.len(), 1);
    assert!(txn.index("main", "public", "i").unwrap().is_none());
    assert_eq!(
        txn.index("main", "public", "old").unwrap().unwrap().1.state,
        IndexState::Ready
    );
    assert!(verified(&tables, "old").is_sound());
    for index in &left.indexes[1..] {
        assert_eq!(
            store
                .snapshot()
                .unwrap()
                .space_stats(index.space)
                .unwrap()
                .entries,
            0
        );
    }
    create_index(&tables, &index("i", "t", &["a"], false));
}

/// What one writer does between two batches of a build: some transactions begun before them are committed after.
struct Writer<'a> {
    rng: StdRng,
    tables: &'a Tables,
    open: Vec<Txn>,
    committed: usize,
    conflicts: usize,
}

impl Writer<'_> {
    fn change(&mut self, txn: &mut Txn) {
        let table = table_now(txn);
        for _ in 0..self.rng.random_range(1..4) {
            let id = self.rng.random_range(0..900);
            let new_id = if self.rng.random_bool(0.2) {
                self.rng.random_range(0..900)
            } else {
                id
            };
            let a = self.rng.random_range(0..12);
            let a = if a == 0 { Datum::Null } else { int(a) };
            let row = vec![int(new_id), a, text(&format!("b{new_id}"))];
            let done = match self.rng.random_range(0..3) {
                0 => txn.insert(&table, row).map(|_| ()),
                1 => txn.update(&table, &key(&table, id), row).map(|_| ()),
                _ => txn.delete(&table, &key(&table, id)).map(|_| ()),
            };
            match done {
                Ok(()) | Err(TableError::UniqueViolation { .. } | TableError::RowNotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn step(&mut self) {
        for _ in 0..self.rng.random_range(0..4) {
            let mut txn = self.tables.begin().unwrap();
            self.change(&mut txn);
            self.open.push(txn);
        }
        while !self.open.is_empty() && self.rng.random_bool(0.6) {
            let place = self.rng.random_range(0..self.open.len());
            match self.open.swap_remove(place).commit() {
                Ok(_) => self.committed += 1,
                Err(TableError::WriteConflict { .. }) => self.conflicts += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn entries_agree_with_the_rows_whatever_is_written_while_an_index_is_built() {
    let (mut committed, mut conflicts) = (0, 0);
    for seed in 0..60 {
        let tables = tables();
        let table = create(
            &tables,
            spec("t", &["id integer", "a integer", "b text"], &["id"], &[]),
        );
        let mut txn = tables.begin().unwrap();
        let ids = (0..900).filter(|id| id % 3 != 1);
        txn.insert_many(
            &table,
            ids.map(|id| vec![int(id), int(id % 10), text(&format!("b{id}"))])
                .collect(),
        )
        .unwrap();
        txn.commit().unwrap();
        let mut writer = Writer {
            rng: StdRng::seed_from_u64(seed),
            tables: &tables,
            open: Vec::new(),
            committed: 0,
            conflicts: 0,
        };
        writer.step();
        for (name, columns, unique) in [("plain", &["a"][..], false), ("unique", &["b"], true)] {
            build(&tables, &index(name, "t", columns, unique), |_| {
                writer.step();
                ControlFlow::Continue(())
            })
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        let by = Builder {
            origin: None,
            statement: None,
            watch: &mut |_| {
                writer.step();
                ControlFlow::Continue(())
            },
        };
        tables.rebuild_index("main", "public", "plain", by).unwrap();
        writer.step();
        for name in ["plain", "unique"] {
            let found = verified(&tables, name);
            assert!(found.is_sound(), "seed {seed}: {name}: {found:?}");
        }
        committed += writer.committed;
        conflicts += writer.conflicts;
    }
    assert!(committed > 100 && conflicts > 20, "{committed}, {conflicts}");
}

#[test]
fn a_build_ends_though_others_never_stop_changing_its_rows() {
    let tables = tables();
    table_t(&tables, 3_000);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rng = StdRng::seed_from_u64(7);
            let mut changes = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut txn = tables.begin().unwrap();
                let table = table_now(&txn);
                let id = rng.random_range(1..=3_000);
                let row = vec![int(id), int(rng.random_range(0..9)), text("x")];
                txn.update(&table, &key(&table, id), row).unwrap();
                match txn.commit() {
                    Ok(_) => changes += 1,
                    Err(TableError::WriteConflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            changes
        });
        for round in 0..5 {
            build(&tables, &index(&format!("i{round}"), "t", &["a"], false), |_| {
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(changes > 0);
    let txn = tables.begin().unwrap();
    assert_indexes_sound(&txn, &table_now(&txn));
}
