//! The power fails at every operation while transactions of many rows commit.

use std::ops::ControlFlow;
use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::{SimDisk, Survival};
use rustydb_store::change_log;
use rustydb_store::codec::rowid_of;
use rustydb_store::seam::{CommitSeq, KeyRange};
use rustydb_store::tables::{Builder, ColumnSpec, IndexSpec, TableSpec, Tables, Txn, UniqueSpec};
use rustydb_store::testing::kernel_store_on;
use rustydb_store::types::{ColumnType, Datum, IndexState, Row, TableDef};

/// All that a user can see: each table of `main` with its rows.
type Contents = Vec<(String, Vec<Row>)>;

fn open(disk: &SimDisk) -> Tables {
    let clock = Arc::new(ManualClock::new(1));
    let store = kernel_store_on(disk, clock.clone()).unwrap();
    Tables::open(Arc::new(store), clock).unwrap()
}

fn spec(name: &str, primary_key: &[&str], unique: &[&str]) -> TableSpec {
    let column = |name: &str, data_type| ColumnSpec {
        name: name.to_owned(),
        data_type,
        nullable: true,
        default: None,
        fill: None,
    };
    TableSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: vec![column("id", ColumnType::Int4), column("name", ColumnType::Text)],
        primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
        unique: unique
            .iter()
            .map(|name| UniqueSpec {
                name: None,
                columns: vec![(*name).to_owned()],
            })
            .collect(),
    }
}

fn table(txn: &Txn, name: &str) -> Arc<TableDef> {
    txn.table("main", "public", name).unwrap().unwrap()
}

fn row(id: i32, round: i32) -> Row {
    vec![Datum::Int4(id), Datum::Text(format!("row {id} of round {round}"))]
}

/// What the transaction of one round does: rows in two tables, and now and then a definition.
fn work(txn: &mut Txn, round: i32) {
    if round == 0 {
        txn.create_table(spec("keyed", &["id"], &["name"])).unwrap();
        txn.create_table(spec("numbered", &[], &[])).unwrap();
        txn.create_index(&index("keyed_name_id", "keyed", &["name", "id"], false))
            .unwrap();
        return;
    }
    let keyed = table(txn, "keyed");
    let ids = round * 10..round * 10 + 3 + round % 4;
    txn.insert_many(&keyed, ids.clone().map(|id| row(id, round)).collect())
        .unwrap();
    let numbered = table(txn, "numbered");
    txn.insert_many(&numbered, ids.map(|id| row(id, round)).collect())
        .unwrap();
    let rows = txn.scan(&keyed, &KeyRange::default(), usize::MAX).unwrap();
    if round % 3 == 0 {
        // SET id = id + 1 over all of it.
        let shifted = rows.into_iter().map(|(key, row)| {
            let Datum::Int4(id) = row[0] else {
                panic!("{row:?}")
            };
            (key, vec![Datum::Int4(id + 1), row[1].clone()])
        });
        txn.update_many(&keyed, shifted.collect()).unwrap();
    } else if round % 4 == 0 {
        let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).step_by(2).collect();
        txn.delete_many(&keyed, &keys).unwrap();
    }
    match round % 6 {
        1 => {
            let extra = txn
                .create_table(spec(&format!("extra{round}"), &["name"], &["id"]))
                .unwrap();
            txn.insert(&extra, row(round, round)).unwrap();
        }
        3 => txn
            .drop_table("main", "public", &format!("extra{}", round - 2))
            .unwrap(),
        4 => drop(txn.replace_table(spec("keyed", &["name"], &["id"])).unwrap()),
        5 => drop(txn.replace_table(spec("keyed", &["id"], &["name"])).unwrap()),
        0 => assert!(txn.truncate_table("main", "public", "numbered").unwrap() > 0),
        _ => {}
    }
}

/// Definitions that are made in commits of their own.
fn build(tables: &Tables, round: i32) -> bool {
    let mut watch = |_| ControlFlow::Continue(());
    let by = Builder {
        origin: None,
        statement: None,
        watch: &mut watch,
    };
    match round % 12 {
        8 => tables
            .create_index(&index(&format!("built{round}"), "numbered", &["name"], false), by)
            .unwrap(),
        9 => tables
            .rebuild_index("main", "public", "keyed_name_id", by)
            .unwrap(),
        _ => return false,
    }
    true
}

fn index(name: &str, table: &str, columns: &[&str], unique: bool) -> IndexSpec {
    IndexSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        table: table.to_owned(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        unique,
    }
}

/// What a transaction sees; its indexes must agree with it.
fn contents(txn: &Txn) -> Contents {
    let mut contents = Vec::new();
    for table in txn.tables("main").unwrap() {
        let rows = txn.scan(&table, &KeyRange::default(), usize::MAX).unwrap();
        assert_eq!(
            txn.row_count(&table).unwrap(),
            rows.len() as u64,
            "rows of {}",
            table.name
        );
        for unique in &table.unique {
            for (key, row) in &rows {
                let values = [row[unique.columns[0]].clone()];
                assert_eq!(
                    txn.find_unique(&table, unique, &values).unwrap().as_ref(),
                    Some(key)
                );
            }
        }
        let mut title = table.name.clone();
        for index in &table.indexes {
            let found = txn
                .reader()
                .verify_index(&table, index, || ControlFlow::Continue(()))
                .unwrap();
            assert!(found.is_sound(), "{}: {found:?}", index.name);
            assert_eq!(index.state, IndexState::Ready, "{}", index.name);
            title = format!("{title} {}", index.name);
        }
        contents.push((title, rows.into_iter().map(|(_, row)| row).collect()));
    }
    contents
}

struct Load {
    disk: SimDisk,
    /// What each acknowledged transaction saw at its end, and how many operations the disk had seen by then.
    acknowledged: Vec<(u64, Contents)>,
}

/// `too_early` notes a commit before it is made, as if it were acknowledged then.
fn run(rounds: i32, too_early: bool) -> Load {
    let disk = SimDisk::new(1);
    // Whether the making of a store survives a cut is a matter of the kernel's tests.
    drop(open(&disk));
    disk.record();
    let tables = open(&disk);
    let mut acknowledged = vec![(disk.operations(), Contents::new())];
    for round in 0..=rounds {
        let mut txn = tables.begin().unwrap();
        work(&mut txn, round);
        let to_be_kept = contents(&txn);
        let before = disk.operations();
        txn.commit().unwrap();
        let noted = if too_early { before } else { disk.operations() };
        acknowledged.push((noted, to_be_kept));
        if build(&tables, round) {
            let to_be_kept = contents(&tables.begin().unwrap());
            acknowledged.push((disk.operations(), to_be_kept));
        }
    }
    Load { disk, acknowledged }
}

/// What was acknowledged is there; of the transaction that was under way, all or nothing.
fn check(load: &Load, position: u64, image: &SimDisk) -> Result<(), String> {
    let acknowledged = load
        .acknowledged
        .iter()
        .take_while(|(by, _)| *by <= position)
        .count();
    let tables = open(image);
    let found = contents(&tables.begin().unwrap());
    let expected =
        &load.acknowledged[acknowledged.saturating_sub(1)..(acknowledged + 1).min(load.acknowledged.len())];
    if !expected.iter().any(|(_, contents)| *contents == found) {
        return Err(format!(
            "{acknowledged} were acknowledged, found {found:?}, not any of {expected:?}"
        ));
    }
    let txn = tables.begin().unwrap();
    for table in txn.tables("main").unwrap() {
        for unique in &table.unique {
            let entries = tables
                .store()
                .snapshot()
                .unwrap()
                .space_stats(unique.space)
                .unwrap()
                .entries;
            let rows = txn.row_count(&table).unwrap();
            if entries != rows {
                return Err(format!("{} has {entries} entries for {rows} rows", unique.name));
            }
        }
    }
    for entry in tables.store().log_after(CommitSeq(0), usize::MAX).unwrap() {
        change_log::decode(&entry.payload).map_err(|error| error.to_string())?;
    }
    // Life goes on, and no row number comes up again.
    let mut txn = tables.begin().unwrap();
    if let Some(numbered) = txn.table("main", "public", "numbered").unwrap() {
        let newest = txn.scan(&numbered, &KeyRange::default(), usize::MAX).unwrap();
        let added = txn.insert(&numbered, row(0, 0)).unwrap();
        if newest.iter().any(|(key, _)| rowid_of(key) >= rowid_of(&added)) {
            return Err("a row number was given again".to_owned());
        }
        txn.commit().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn cut_everywhere(load: &Load, survivals: &[Survival]) -> Result<u64, String> {
    let mut images = 0;
    for cut in load.disk.cuts() {
        for survival in survivals {
            if *survival != Survival::Nothing && cut.unsynced() == 0 {
                continue;
            }
            check(load, cut.operations(), &cut.crash(*survival))
                .map_err(|what| format!("cut behind {}, {survival:?} survives: {what}", cut.operations()))?;
            images += 1;
        }
    }
    Ok(images)
}

#[test]
fn a_cut_at_any_operation_loses_no_acknowledged_row_and_keeps_no_half_transaction() {
    let load = run(24, false);
    let images = cut_everywhere(&load, &Survival::ALL).unwrap();
    println!(
        "{} transactions, {} operations, {images} images",
        load.acknowledged.len(),
        load.disk.operations()
    );
    assert!(images > load.disk.operations());
}

/// The harness is worth something only if it sees an answer that came too early.
#[test]
fn a_store_that_acknowledges_too_early_is_caught_by_its_tables() {
    let load = run(6, true);
    let caught = cut_everywhere(&load, &[Survival::Nothing]).unwrap_err();
    assert!(caught.contains("were acknowledged"), "{caught}");
}
