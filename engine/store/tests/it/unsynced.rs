//! Commits that are answered before they are durable: what a crash leaves of them, who sees them, who is told.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use rustydb_runtime::disk::simulated::{Fault, SimDisk, Survival};
use rustydb_runtime::{ManualClock, SeededRng};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use rustydb_store::tables::{Builder, ColumnSpec, IndexSpec, TableError, TableSpec, Tables};
use rustydb_store::testing::{kernel_store_on, kernel_store_with};
use rustydb_store::transactions::{
    BeginOptions, EndReason, TransactionInfo, TransactionObserver, TransactionRegistry,
};
use rustydb_store::types::{ColumnType, Datum, TableDef};

const SPACE: SpaceId = SpaceId(1024);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(5))
}

fn asynchronous(disk: &SimDisk) -> KernelStore {
    kernel_store_with(disk, clock(), true).unwrap()
}

fn insert(key: u64, bytes: usize) -> WriteBatch {
    let write = Write {
        space: SPACE,
        key: key.to_be_bytes().to_vec(),
        expected: None,
        value: Some(vec![key as u8; bytes]),
    };
    WriteBatch {
        writes: vec![write],
        log: vec![key.to_be_bytes().to_vec()],
        ..WriteBatch::default()
    }
}

/// Keys that the store shows, which its change log must tell of as well, in order.
fn keys(store: &KernelStore) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    let snapshot = store.snapshot().unwrap();
    let found = snapshot.scan(SPACE, &KeyRange::default(), usize::MAX).unwrap();
    let keys: Vec<u64> = found.iter().map(|(key, _)| number(key)).collect();
    let told = store.log_after(Default::default(), usize::MAX).unwrap();
    assert_eq!(
        told.iter()
            .map(|entry| number(&entry.payload))
            .collect::<Vec<_>>(),
        keys
    );
    keys
}

#[test]
fn a_crash_keeps_what_was_durable_and_of_the_rest_a_beginning() {
    let (mut lost, mut images) = (0, 0);
    for seed in 1..3 {
        println!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        drop(asynchronous(&disk));
        disk.record();
        let store = asynchronous(&disk);
        // Operations of the disk when so many commits were known to be durable, and when they were answered.
        let (mut durable, mut answered) = (vec![(disk.operations(), 0)], vec![(disk.operations(), 0)]);
        for key in 1..=40 {
            let ticket = store
                .commit_unsynced(insert(key, rng.below(3_000) as usize))
                .unwrap();
            assert!(!ticket.is_durable());
            answered.push((disk.operations(), key));
            match rng.below(6) {
                0 => drop(ticket.wait().unwrap()),
                1 => store.settle().unwrap(),
                2 => drop(store.kernel().checkpoint().unwrap()),
                _ => continue,
            }
            assert!(ticket.is_durable());
            durable.push((disk.operations(), key));
        }
        let until = |noted: &[(u64, u64)], operations: u64| {
            noted
                .iter()
                .rev()
                .find(|(by, _)| *by <= operations)
                .map_or(0, |noted| noted.1)
        };
        for cut in disk.cuts() {
            for survival in Survival::ALL {
                if survival != Survival::Nothing && cut.unsynced() == 0 {
                    continue;
                }
                let store = asynchronous(&cut.crash(survival));
                let found = keys(&store);
                let context = format!("seed {seed} cut {} {survival:?}: {found:?}", cut.operations());
                assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "{context}");
                let least = until(&durable, cut.operations());
                assert!(found.len() as u64 >= least, "{least} were durable; {context}");
                lost += u64::from((found.len() as u64) < until(&answered, cut.operations()));
                images += 1;
            }
        }
    }
    println!("{images} images, {lost} without a commit that was answered");
    assert!(lost > 0, "nothing was answered before it was durable");
}

#[test]
fn a_store_that_was_not_opened_for_it_makes_each_commit_durable() {
    let disk = SimDisk::new(1);
    let store = kernel_store_on(&disk, clock()).unwrap();
    let ticket = store.commit_unsynced(insert(1, 10)).unwrap();
    assert!(ticket.is_durable());
    assert_eq!(
        keys(&kernel_store_on(&disk.crash(Survival::Nothing), clock()).unwrap()),
        [1]
    );
}

#[test]
fn what_is_not_durable_is_seen_by_nobody_and_refuses_whoever_comes_second() {
    let store = asynchronous(&SimDisk::new(1));
    let ticket = store.commit_unsynced(insert(1, 10)).unwrap();
    assert_eq!(keys(&store), [0; 0]);
    let refused = store.commit_unsynced(insert(1, 10)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    assert!(ticket.is_durable(), "whoever is refused finds what refused it");
    assert_eq!(keys(&store), [1]);
}

#[test]
fn a_failed_sync_is_told_and_final() {
    let disk = SimDisk::new(1);
    let store = asynchronous(&disk);
    let ticket = store.commit_unsynced(insert(1, 10)).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    ticket.on_durable(move |how| noted.lock().unwrap().push(how));
    disk.inject(Fault::fail_sync(0));
    assert!(matches!(store.settle(), Err(StoreError::Poisoned { .. })));
    let told = told.lock().unwrap();
    assert!(
        matches!(&told[..], [Err(StoreError::Poisoned { .. })]),
        "{told:?}"
    );
    assert!(matches!(ticket.wait(), Err(StoreError::Poisoned { .. })));
    let refused = store.commit_unsynced(insert(2, 10)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Poisoned { .. }), "{refused}");
}

fn tables() -> (Tables, Arc<TableDef>) {
    let store = asynchronous(&SimDisk::new(1));
    let tables = Tables::open(Arc::new(store), clock()).unwrap();
    let spec = TableSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: "t".to_owned(),
        columns: vec![ColumnSpec {
            name: "id".to_owned(),
            data_type: ColumnType::Int4,
            nullable: true,
            default: None,
            fill: None,
        }],
        primary_key: vec!["id".to_owned()],
        unique: Vec::new(),
    };
    let mut txn = tables.begin().unwrap();
    let table = txn.create_table(spec).unwrap();
    txn.commit().unwrap();
    (tables, table)
}

fn rows(tables: &Tables, table: &TableDef) -> usize {
    let txn = tables.begin().unwrap();
    txn.scan(table, &KeyRange::default(), usize::MAX).unwrap().len()
}

fn index_on_id() -> IndexSpec {
    IndexSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: "by_id".to_owned(),
        table: "t".to_owned(),
        columns: vec!["id".to_owned()],
        unique: false,
    }
}

/// Definitions rely on what is not there, of which a snapshot that shows what is durable says too little.
#[test]
fn a_definition_finds_rows_that_are_not_durable_yet() {
    let (tables, table) = tables();
    let mut defining = tables.begin().unwrap();
    defining.create_index(&index_on_id()).unwrap();
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![Datum::Int4(1)]).unwrap();
    let (outcome, ticket) = txn.commit_unsynced().unwrap();
    assert_eq!(
        (outcome.wrote, ticket.is_durable(), rows(&tables, &table)),
        (true, false, 0)
    );
    let refused = defining.commit().unwrap_err();
    assert!(matches!(refused, TableError::WriteConflict { .. }), "{refused}");

    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![Datum::Int4(2)]).unwrap();
    let (_, ticket) = txn.commit_unsynced().unwrap();
    assert!(!ticket.is_durable());
    let mut watch = |_| ControlFlow::Continue(());
    let by = Builder {
        origin: None,
        statement: None,
        watch: &mut watch,
    };
    tables.create_index(&index_on_id(), by).unwrap();
    let reader = tables.begin().unwrap().reader();
    let (table, index) = reader.index("main", "public", "by_id").unwrap().unwrap();
    let found = reader
        .verify_index(&table, &index, || ControlFlow::Continue(()))
        .unwrap();
    assert!(found.is_sound() && found.entries == 2, "{found:?}");
}

#[derive(Default)]
struct Heard(Mutex<Vec<(u64, EndReason)>>);

impl TransactionObserver for Heard {
    fn began(&self, _: &TransactionInfo) {}

    fn ended(&self, transaction: &TransactionInfo, reason: EndReason) {
        self.0
            .lock()
            .unwrap()
            .push((transaction.changes[0].inserted, reason));
    }
}

#[test]
fn the_end_of_a_transaction_is_told_once_its_commit_is_durable() {
    let (tables, table) = tables();
    let heard = Arc::new(Heard::default());
    let registry = TransactionRegistry::open(tables.clone())
        .unwrap()
        .observed(heard.clone());
    let begun = registry
        .begin(BeginOptions {
            owner: "a".to_owned(),
            owner_name: "a".to_owned(),
            session: None,
            database: "main".to_owned(),
            isolation: rustydb_store::tables::Isolation::default(),
            read_only: false,
            as_of: None,
            timeout_us: None,
            lock_timeout_us: None,
            idle_timeout_us: None,
        })
        .unwrap();
    registry
        .with(begun.id, "a", |txn| {
            txn.insert(&table, vec![Datum::Int4(1)]).map(drop)
        })
        .unwrap()
        .unwrap();
    let lease = futures::executor::block_on(registry.lease(begun.id, "a")).unwrap();
    let (_, ticket) = lease.commit_unsynced().unwrap();
    assert!(!ticket.is_durable());
    assert_eq!(*heard.0.lock().unwrap(), []);
    let ended = registry.info(begun.id, "a").unwrap_err();
    let reason = EndReason::Committed;
    assert!(matches!(ended, TableError::TransactionNotActive { reason: found, .. } if found == reason));
    ticket.wait().unwrap();
    assert_eq!(*heard.0.lock().unwrap(), [(1, EndReason::Committed)]);
    assert_eq!(rows(&tables, &table), 1);
}
