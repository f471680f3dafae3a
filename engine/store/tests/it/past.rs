//! Transactions that read states of the past.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rustydb_kernel::kernel::{KernelOptions, VersionError};
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::{Clock, ManualClock, SeededRng};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{AsOf, CommitSeq, KeyRange};
use rustydb_store::tables::{ColumnSpec, Isolation, TableError, TableSpec, Tables};
use rustydb_store::transactions::{BeginOptions, TransactionRegistry};
use rustydb_store::types::{ColumnType, Datum, RowKey, TableDef};

const SECOND_US: u64 = 1_000_000;

struct Past {
    tables: Tables,
    store: Arc<KernelStore>,
    clock: Arc<ManualClock>,
}

fn open() -> Past {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = KernelOptions {
        background: false,
        version_retention_us: 60 * SECOND_US,
        ..KernelOptions::default()
    };
    let disk = Arc::new(SimDisk::new(1));
    let store = KernelStore::open_on(disk, "store", clock.clone(), &SeededRng::new(1), options);
    let store = Arc::new(store.unwrap());
    Past {
        tables: Tables::open(store.clone(), clock.clone()).unwrap(),
        store,
        clock,
    }
}

fn spec() -> TableSpec {
    let column = |name: &str| ColumnSpec {
        name: name.to_owned(),
        data_type: ColumnType::parse("integer").unwrap(),
        nullable: true,
        default: None,
        fill: None,
    };
    TableSpec {
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: "t".to_owned(),
        columns: vec![column("id"), column("n")],
        primary_key: vec!["id".to_owned()],
        unique: Vec::new(),
    }
}

fn row(id: i32, n: i32) -> Vec<Datum> {
    vec![Datum::Int4(id), Datum::Int4(n)]
}

impl Past {
    /// A table whose row 1 was made with 1 and then counted up by one a second; the table, the row's key, and the commits.
    fn counted(&self, until: i32) -> (Arc<TableDef>, RowKey, Vec<CommitSeq>) {
        let mut txn = self.tables.begin().unwrap();
        let table = txn.create_table(spec()).unwrap();
        let key = txn.insert(&table, row(1, 1)).unwrap();
        let mut commits = vec![txn.commit().unwrap().seq];
        for n in 2..=until {
            self.clock.advance_us(SECOND_US);
            let mut txn = self.tables.begin().unwrap();
            txn.update(&table, &key, row(1, n)).unwrap();
            commits.push(txn.commit().unwrap().seq);
        }
        (table, key, commits)
    }

    fn shown(&self, at: &AsOf) -> Result<Vec<Vec<Datum>>, TableError> {
        let txn = self.tables.begin_at(at)?;
        let Some(table) = txn.table("main", "public", "t")? else {
            return Ok(Vec::new());
        };
        let rows = txn.scan(&table, &KeyRange::default(), usize::MAX)?;
        assert_eq!(txn.row_count(&table)?, rows.len() as u64);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[test]
fn a_transaction_shows_the_state_of_a_commit_a_time_or_a_name() {
    let past = open();
    let (table, key, commits) = past.counted(10);
    past.store.kernel().create_snapshot("ten").unwrap();
    let mut txn = past.tables.begin().unwrap();
    txn.delete(&table, &key).unwrap();
    txn.drop_table("main", "public", "t").unwrap();
    txn.commit().unwrap();
    for (commit, n) in commits.iter().zip(1..) {
        assert_eq!(past.shown(&AsOf::Commit(*commit)).unwrap(), [row(1, n)]);
        let at_us = past.clock.now_us() - (10 - i64::from(n)) * SECOND_US as i64;
        if n < 10 {
            assert_eq!(past.shown(&AsOf::Time(at_us)).unwrap(), [row(1, n)]);
        }
    }
    assert_eq!(past.shown(&AsOf::Name("ten".to_owned())).unwrap(), [row(1, 10)]);
    let before = AsOf::Commit(CommitSeq(commits[0].0 - 1));
    assert_eq!(
        past.shown(&before).unwrap(),
        Vec::<Vec<Datum>>::new(),
        "before the table was"
    );
    // A minute later the name alone keeps a state.
    past.clock.advance_us(61 * SECOND_US);
    past.tables.begin().unwrap().commit().unwrap();
    let gone = past.shown(&AsOf::Commit(commits[8])).unwrap_err();
    assert!(
        matches!(
            &gone,
            TableError::Store(StoreError::Version(VersionError::TooOld { .. }))
        ),
        "{gone}"
    );
    assert_eq!(past.shown(&AsOf::Name("ten".to_owned())).unwrap(), [row(1, 10)]);
    let unknown = past.shown(&AsOf::Name("eleven".to_owned())).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no snapshot \"eleven\"");
}

#[test]
fn a_state_of_the_past_is_read_only_and_stays_the_same() {
    let past = open();
    let (table, _, commits) = past.counted(3);
    let mut txn = past.tables.begin_at(&AsOf::Commit(commits[1])).unwrap();
    assert!(txn.is_read_only() && txn.reads_past());
    assert_eq!(txn.isolation(), Isolation::Snapshot);
    assert!(matches!(txn.insert(&table, row(2, 2)), Err(TableError::ReadOnly)));
    txn.begin_statement().unwrap();
    assert_eq!(txn.snapshot_seq(), commits[1]);
    assert_eq!(txn.commit().unwrap().seq, commits[1]);

    let registry = TransactionRegistry::open(past.tables.clone()).unwrap();
    let options = BeginOptions {
        owner: "ann".to_owned(),
        owner_name: "ann".to_owned(),
        session: None,
        database: "main".to_owned(),
        isolation: Isolation::ReadCommitted,
        read_only: false,
        as_of: Some(AsOf::Commit(commits[0])),
        idle_timeout_us: None,
        timeout_us: None,
        lock_timeout_us: None,
    };
    let info = registry.begin(options).unwrap();
    assert_eq!(
        (info.snapshot_seq, info.read_only, info.isolation),
        (commits[0], true, Isolation::Snapshot)
    );
    let fixed = futures::executor::block_on(registry.set_isolation(info.id, "ann", Isolation::Serializable));
    assert!(matches!(fixed, Err(TableError::ReadsPast { .. })), "{fixed:?}");
    let n = registry.with(info.id, "ann", |txn| {
        txn.scan(&table, &KeyRange::default(), 9).unwrap()[0].1.clone()
    });
    assert_eq!(n.unwrap(), row(1, 1));
}

#[test]
fn the_versions_of_a_row_are_told_newest_first() {
    let past = open();
    let (table, key, commits) = past.counted(3);
    let mut txn = past.tables.begin().unwrap();
    txn.delete(&table, &key).unwrap();
    let deleted = txn.commit().unwrap().seq;
    let versions = past.tables.row_versions(&table, &key, 10).unwrap();
    let told: Vec<_> = versions
        .into_iter()
        .map(|version| (version.seq, version.row))
        .collect();
    let expected = [
        (deleted, None),
        (commits[2], Some(row(1, 3))),
        (commits[1], Some(row(1, 2))),
        (commits[0], Some(row(1, 1))),
    ];
    assert_eq!(told, expected);
    assert_eq!(past.tables.row_versions(&table, &key, 2).unwrap().len(), 2);
}
