//! Branches of distributed transactions while the power fails: at every operation of the disk, a branch whose vote was
//! acknowledged is there with all it holds until it is told how to end, and then has ended so; one whose vote was not is there
//! as a whole, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::{Fault, SimDisk, Survival};
use rustydb_store::codec::primary_key;
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::KeyRange;
use rustydb_store::tables::{ColumnSpec, Isolation, TableError, TableSpec, Tables, Txn, UniqueSpec};
use rustydb_store::testing::kernel_store_on;
use rustydb_store::transactions::{BeginOptions, BranchUser, EndReason, TransactionRegistry, Vote, Xid};
use rustydb_store::types::{ColumnType, Datum, RowKey, TableDef};

const OWNER: &str = "alice";

/// Names by id.
type Rows = BTreeMap<i32, String>;
/// What becomes of rows, by id; `None` removes one.
type Changes = BTreeMap<i32, Option<String>>;

/// What a server must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Model {
    rows: Rows,
    /// By the branch's name.
    prepared: BTreeMap<Xid, Changes>,
}

struct Server {
    tables: Tables,
    registry: TransactionRegistry,
}

fn open(disk: &SimDisk) -> Server {
    let clock = Arc::new(ManualClock::new(1));
    let store = kernel_store_on(disk, clock.clone()).unwrap();
    let tables = Tables::open(Arc::new(store), clock).unwrap();
    let registry = TransactionRegistry::open(tables.clone()).unwrap();
    Server { tables, registry }
}

fn spec() -> TableSpec {
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
        name: "t".to_owned(),
        columns: vec![column("id", ColumnType::Int4), column("name", ColumnType::Text)],
        primary_key: vec!["id".to_owned()],
        unique: vec![UniqueSpec {
            name: None,
            columns: vec!["name".to_owned()],
        }],
    }
}

fn options() -> BeginOptions {
    BeginOptions {
        owner: OWNER.to_owned(),
        owner_name: OWNER.to_owned(),
        session: None,
        database: "main".to_owned(),
        isolation: Isolation::default(),
        read_only: false,
        as_of: None,
        idle_timeout_us: None,
        timeout_us: None,
        lock_timeout_us: None,
    }
}

fn xid(number: i32) -> Xid {
    Xid::new(7, format!("transfer {number}").as_bytes(), b"here").unwrap()
}

fn user() -> BranchUser<'static> {
    BranchUser::owner(OWNER)
}

fn key(table: &TableDef, id: i32) -> RowKey {
    primary_key(table, &[Datum::Int4(id)]).unwrap()
}

fn make(txn: &mut Txn, table: &TableDef, changes: &Changes) -> Result<(), TableError> {
    for (id, name) in changes {
        let key = key(table, *id);
        let there = txn.get(table, &key)?.is_some();
        let row = |name: &String| vec![Datum::Int4(*id), Datum::Text(name.clone())];
        match name {
            None => drop(txn.delete(table, &key)?),
            Some(name) if there => drop(txn.update(table, &key, row(name))?),
            Some(name) => drop(txn.insert(table, row(name))?),
        }
    }
    Ok(())
}

fn apply(rows: &mut Rows, changes: &Changes) {
    for (id, name) in changes {
        match name {
            Some(name) => drop(rows.insert(*id, name.clone())),
            None => drop(rows.remove(id)),
        }
    }
}

impl Server {
    fn table(&self) -> Arc<TableDef> {
        let txn = self.tables.begin().unwrap();
        txn.table("main", "public", "t").unwrap().unwrap()
    }

    fn rows(&self) -> Rows {
        let table = self.table();
        let txn = self.tables.begin().unwrap();
        let found = txn.scan(&table, &KeyRange::default(), usize::MAX).unwrap();
        assert_eq!(txn.row_count(&table).unwrap(), found.len() as u64);
        let unique = &table.unique[0];
        let entries = self.tables.store().snapshot().unwrap().space_stats(unique.space);
        assert_eq!(entries.unwrap().entries, found.len() as u64);
        let row = |(key, row): (RowKey, Vec<Datum>)| {
            assert_eq!(
                txn.find_unique(&table, unique, &row[1..]).unwrap().as_ref(),
                Some(&key)
            );
            match &row[..] {
                [Datum::Int4(id), Datum::Text(name)] => (*id, name.clone()),
                _ => panic!("{row:?}"),
            }
        };
        found.into_iter().map(row).collect()
    }

    fn prepared(&self) -> Vec<Xid> {
        let found = self.registry.recover(user(), None, usize::MAX);
        found.into_iter().map(|info| info.branch.unwrap().xid).collect()
    }

    fn idle(&self, xid: &Xid, changes: &Changes) {
        let begun = self.registry.start_branch(xid.clone(), options()).unwrap();
        let table = self.table();
        let made = self
            .registry
            .with(begun.id, OWNER, |txn| make(txn, &table, changes));
        made.unwrap().unwrap();
        self.registry.end_branch(xid, OWNER).unwrap();
    }

    fn commit(&self, changes: &Changes) -> Result<(), TableError> {
        let mut txn = self.tables.begin().unwrap();
        make(&mut txn, &self.table(), changes)?;
        txn.commit().map(drop)
    }

    /// The first error of a transaction of several calls that makes these changes; it is rolled back.
    fn tried(&self, changes: &Changes) -> Result<(), TableError> {
        let id = self.registry.begin(options()).unwrap().id;
        let table = self.table();
        let tried = self.registry.with(id, OWNER, |txn| make(txn, &table, changes));
        self.registry.rollback(id, OWNER).unwrap();
        tried.unwrap()
    }
}

/// One thing that is done and acknowledged.
#[derive(Debug, Clone)]
enum Step {
    Prepare(i32, Changes),
    Commit(i32),
    Rollback(i32),
    OnePhase(i32, Changes),
    /// An ordinary transaction.
    Ordinary(Changes),
    Restart,
    Checkpoint,
}

fn changes<const N: usize>(changes: [(i32, Option<&str>); N]) -> Changes {
    changes
        .into_iter()
        .map(|(id, name)| (id, name.map(str::to_owned)))
        .collect()
}

fn steps() -> Vec<Step> {
    // Its record takes several pieces.
    let large: Changes = (100..300)
        .map(|id| (id, Some(format!("{id} {}", "large ".repeat(160)))))
        .collect();
    vec![
        Step::Ordinary(changes([(1, Some("one")), (2, Some("two")), (3, Some("three"))])),
        Step::Prepare(1, changes([(1, Some("one by 1")), (10, Some("ten"))])),
        Step::Ordinary(changes([(2, Some("two again"))])),
        Step::Prepare(2, changes([(2, None), (20, Some("two"))])),
        Step::Commit(1),
        Step::Ordinary(changes([(1, Some("one after 1"))])),
        Step::Rollback(2),
        Step::Prepare(3, large.clone()),
        Step::OnePhase(4, changes([(2, Some("two in one phase"))])),
        Step::Prepare(1, changes([(3, Some("three by the second 1")), (10, None)])),
        Step::Restart,
        Step::Ordinary(changes([(11, Some("eleven"))])),
        Step::Commit(3),
        Step::Checkpoint,
        Step::Ordinary(changes([(100, None)])),
        Step::Prepare(5, large.into_keys().skip(1).map(|id| (id, None)).collect()),
        Step::Checkpoint,
        Step::Restart,
        Step::Rollback(1),
        Step::Commit(5),
        Step::Prepare(6, changes([(1, None), (2, Some("one after 1"))])),
    ]
}

struct Load {
    disk: SimDisk,
    /// What each acknowledged step left, and how many operations the disk had seen by then.
    acknowledged: Vec<(u64, Model)>,
}

/// `too_early` notes a step before it is made, as if it were acknowledged then.
fn run(steps: &[Step], too_early: bool) -> Load {
    let disk = SimDisk::new(1);
    {
        let server = open(&disk);
        let mut txn = server.tables.begin().unwrap();
        txn.create_table(spec()).unwrap();
        txn.commit().unwrap();
    }
    disk.record();
    let clock = Arc::new(ManualClock::new(1));
    let kernel = |disk: &SimDisk| Arc::new(kernel_store_on(disk, clock.clone()).unwrap());
    let on = |store: Arc<KernelStore>| {
        let tables = Tables::open(store, clock.clone()).unwrap();
        let registry = TransactionRegistry::open(tables.clone()).unwrap();
        Server { tables, registry }
    };
    let mut store = kernel(&disk);
    let mut server = on(store.clone());
    let mut model = Model::default();
    let mut acknowledged = vec![(disk.operations(), model.clone())];
    for step in steps {
        let before = disk.operations();
        match step {
            Step::Prepare(number, changes) => {
                server.idle(&xid(*number), changes);
                let (vote, _) = server.registry.prepare_branch(&xid(*number), OWNER).unwrap();
                assert_eq!(vote, Vote::Prepared);
                model.prepared.insert(xid(*number), changes.clone());
            }
            Step::Commit(number) => {
                server.registry.commit_branch(&xid(*number), user()).unwrap();
                apply(&mut model.rows, &model.prepared.remove(&xid(*number)).unwrap());
            }
            Step::Rollback(number) => {
                server.registry.rollback_branch(&xid(*number), user()).unwrap();
                model.prepared.remove(&xid(*number)).unwrap();
            }
            Step::OnePhase(number, changes) => {
                server.idle(&xid(*number), changes);
                server
                    .registry
                    .commit_branch_one_phase(&xid(*number), OWNER)
                    .unwrap();
                apply(&mut model.rows, changes);
            }
            Step::Ordinary(changes) => {
                server.commit(changes).unwrap();
                apply(&mut model.rows, changes);
            }
            Step::Restart => {
                drop(server);
                drop(store);
                store = kernel(&disk);
                server = on(store.clone());
            }
            Step::Checkpoint => drop(store.kernel().checkpoint().unwrap()),
        }
        let noted = if too_early { before } else { disk.operations() };
        acknowledged.push((noted, model.clone()));
    }
    Load { disk, acknowledged }
}

/// `commits` tells how the branches that are found end.
fn check(load: &Load, position: u64, image: &SimDisk, commits: bool) -> Result<(), String> {
    let acknowledged = load
        .acknowledged
        .iter()
        .take_while(|(by, _)| *by <= position)
        .count();
    let server = open(image);
    let (rows, prepared) = (server.rows(), server.prepared());
    let possible =
        &load.acknowledged[acknowledged.saturating_sub(1)..(acknowledged + 1).min(load.acknowledged.len())];
    let found = possible
        .iter()
        .map(|(_, model)| model)
        .find(|model| model.rows == rows && model.prepared.keys().eq(&prepared));
    let Some(model) = found else {
        return Err(format!(
            "{} steps were acknowledged; found {prepared:?} prepared and {:?}",
            acknowledged.saturating_sub(1),
            rows.keys()
        ));
    };
    let mut model = model.clone();
    for (xid, changes) in std::mem::take(&mut model.prepared) {
        // It has each of its rows, also those that are not there yet.
        for id in changes.keys().step_by(1 + changes.len() / 4) {
            let other = Changes::from([(*id, Some(format!("{id} taken away")))]);
            let tried = server.tried(&other);
            if !matches!(tried, Err(TableError::MustWait)) {
                return Err(format!("row {id} of {xid} is not locked: {tried:?}"));
            }
            let tried = server.commit(&other);
            if !matches!(tried, Err(TableError::InDoubt { .. })) {
                return Err(format!("row {id} of {xid} could be changed: {tried:?}"));
            }
        }
        match commits {
            true => {
                let committed = server.registry.commit_branch(&xid, user());
                committed.map_err(|error| format!("{xid}: {error}"))?;
                apply(&mut model.rows, &changes);
            }
            false => {
                let rolled_back = server.registry.rollback_branch(&xid, user());
                rolled_back.map_err(|error| format!("{xid}: {error}"))?;
            }
        }
        if server.rows() != model.rows {
            return Err(format!("{xid} ended half"));
        }
        let free = Changes::from([(*changes.keys().next().unwrap(), Some("free again".to_owned()))]);
        server.tried(&free).map_err(|error| format!("{xid}: {error}"))?;
    }
    drop(server);
    // What has ended stays so.
    let server = open(image);
    match (server.prepared().is_empty(), server.rows() == model.rows) {
        (true, true) => Ok(()),
        (none, same) => Err(format!(
            "after another start: nothing prepared {none}, the same rows {same}"
        )),
    }
}

fn cut_everywhere(load: &Load, survivals: &[Survival]) -> Result<u64, String> {
    let mut images = 0;
    for cut in load.disk.cuts() {
        for survival in survivals {
            if *survival != Survival::Nothing && cut.unsynced() == 0 {
                continue;
            }
            check(load, cut.operations(), &cut.crash(*survival), images % 2 == 0)
                .map_err(|what| format!("cut behind {}, {survival:?} survives: {what}", cut.operations()))?;
            images += 1;
        }
    }
    Ok(images)
}

#[test]
fn a_prepared_branch_survives_a_cut_at_any_operation_and_none_is_there_by_half() {
    let load = run(&steps(), false);
    let images = cut_everywhere(&load, &Survival::ALL).unwrap();
    println!(
        "{} steps, {} operations, {images} images",
        load.acknowledged.len() - 1,
        load.disk.operations()
    );
    assert!(images > load.disk.operations());
}

/// The harness is worth something only if it sees an answer that came too early.
#[test]
fn a_vote_that_is_acknowledged_too_early_is_caught() {
    let load = run(&steps()[..2], true);
    let caught = cut_everywhere(&load, &[Survival::Nothing]).unwrap_err();
    assert!(caught.contains("were acknowledged"), "{caught}");
}

/// The disk fails while a branch votes, and while it is told to commit: the next start tells what became of it.
#[test]
fn a_sync_that_fails_leaves_a_branch_prepared_or_ended_as_a_whole() {
    let own = changes([(1, Some("one")), (2, Some("two"))]);
    let rows: Rows = [(1, "one".to_owned()), (2, "two".to_owned())].into();
    for survival in Survival::ALL {
        // The vote.
        let disk = SimDisk::new(1);
        let server = open(&disk);
        let mut txn = server.tables.begin().unwrap();
        txn.create_table(spec()).unwrap();
        txn.commit().unwrap();
        server.idle(&xid(1), &own);
        disk.inject(Fault::fail_sync(0));
        let refused = server.registry.prepare_branch(&xid(1), OWNER).unwrap_err();
        assert!(
            matches!(
                refused,
                TableError::Store(StoreError::Poisoned { .. } | StoreError::Io(_))
            ),
            "{refused}"
        );
        let ended = server.registry.commit_branch(&xid(1), user()).unwrap_err();
        assert!(
            matches!(ended, TableError::BranchEnded { reason, .. } if reason == EndReason::RolledBack),
            "{ended}"
        );
        let server = open(&disk.crash(survival));
        assert!(server.rows().is_empty());
        if server.prepared().is_empty() {
            server.commit(&own).unwrap();
        } else {
            assert_eq!(server.prepared(), [xid(1)]);
            server.registry.commit_branch(&xid(1), user()).unwrap();
        }
        assert_eq!(server.rows(), rows);

        // The second phase.
        let disk = SimDisk::new(1);
        let server = open(&disk);
        let mut txn = server.tables.begin().unwrap();
        txn.create_table(spec()).unwrap();
        txn.commit().unwrap();
        server.idle(&xid(1), &own);
        server.registry.prepare_branch(&xid(1), OWNER).unwrap();
        disk.inject(Fault::fail_sync(0));
        server.registry.commit_branch(&xid(1), user()).unwrap_err();
        assert_eq!(
            server.prepared(),
            [xid(1)],
            "nobody knows, so it is not forgotten"
        );
        let server = open(&disk.crash(survival));
        if server.prepared().is_empty() {
            assert_eq!(server.rows(), rows);
        } else {
            assert!(server.rows().is_empty());
            server.registry.commit_branch(&xid(1), user()).unwrap();
            assert_eq!(server.rows(), rows);
        }
    }
}
