#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use parking_lot::Mutex;
use rustydb_kernel::locks::{LockMode, Resource};
use rustydb_runtime::ManualClock;

use super::*;
use crate::change_log::{self, LogRecord};
use crate::seam::{CommitSeq, KeyRange, SpaceId};
use crate::tables::tests::support::{
    all_rows, committed_rows, create, filled, index, int, key, spec, tables_and_clock, text, view,
};
use crate::tables::{Builder, Isolation, Txn};
use crate::transactions::{IDLE_TIMEOUT_US_DEFAULT, TransactionObserver};
use crate::types::TableDef;

struct Server {
    tables: Tables,
    registry: Arc<TransactionRegistry>,
    clock: Arc<ManualClock>,
}

impl Server {
    fn start() -> Server {
        let (tables, clock) = tables_and_clock();
        Server::on(tables, clock)
    }

    fn on(tables: Tables, clock: Arc<ManualClock>) -> Server {
        let registry = Arc::new(TransactionRegistry::open(tables.clone()).unwrap());
        Server {
            tables,
            registry,
            clock,
        }
    }

    /// Everything but the store is forgotten.
    fn restart(self) -> Server {
        let store = Arc::clone(self.tables.store());
        let clock = Arc::clone(&self.clock);
        drop(self);
        Server::on(Tables::open(store, clock.clone()).unwrap(), clock)
    }

    fn start_branch(&self, name: &str, isolation: Isolation) -> (Xid, u64) {
        let options = BeginOptions {
            isolation,
            ..options("alice")
        };
        let info = self.registry.start_branch(xid(name), options).unwrap();
        (xid(name), info.id)
    }

    /// Does `work` in a branch of alice's, which is idle then.
    fn branch_of<R>(&self, name: &str, isolation: Isolation, work: impl FnOnce(&mut Txn) -> R) -> Xid {
        let (xid, id) = self.start_branch(name, isolation);
        self.registry.with(id, "alice", work).unwrap();
        self.registry.end_branch(&xid, "alice").unwrap();
        xid
    }

    fn prepared<R>(&self, name: &str, work: impl FnOnce(&mut Txn) -> R) -> Xid {
        let xid = self.branch_of(name, Isolation::Snapshot, work);
        self.prepare(&xid).unwrap();
        xid
    }

    fn prepare(&self, xid: &Xid) -> Result<Vote> {
        Ok(self.registry.prepare_branch(xid, "alice")?.0)
    }

    fn commit(&self, xid: &Xid) -> Result<CommitOutcome> {
        Ok(self.registry.commit_branch(xid, BranchUser::owner("alice"))?.0)
    }

    fn rollback(&self, xid: &Xid) -> Result<()> {
        let user = BranchUser::owner("alice");
        self.registry.rollback_branch(xid, user).map(drop)
    }

    fn names(&self, user: BranchUser<'_>) -> Vec<Xid> {
        let found = self.registry.recover(user, None, usize::MAX);
        found.into_iter().map(|info| info.branch.unwrap().xid).collect()
    }

    /// What a transaction of several calls is told which does this now; it is rolled back.
    fn tried(&self, work: impl FnOnce(&mut Txn) -> Result<()>) -> Result<()> {
        let id = self.registry.begin(options("bob")).unwrap().id;
        let done = self.registry.with(id, "bob", work).unwrap();
        self.registry.rollback(id, "bob").unwrap();
        done
    }

    /// What a transaction is told at its commit which locks nothing.
    fn committed(&self, work: impl FnOnce(&mut Txn)) -> Result<()> {
        let mut txn = self.tables.begin().unwrap();
        work(&mut txn);
        txn.commit().map(drop)
    }

    fn records(&self) -> usize {
        let snapshot = self.tables.store().snapshot().unwrap();
        let all = KeyRange::default();
        snapshot.scan(SpaceId::PREPARED, &all, usize::MAX).unwrap().len()
    }
}

fn options(owner: &str) -> BeginOptions {
    BeginOptions {
        owner: owner.to_owned(),
        owner_name: owner.to_owned(),
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

fn xid(name: &str) -> Xid {
    Xid::new(1, name.as_bytes(), b"here").unwrap()
}

fn insert(table: &TableDef, id: i32, name: &str) -> impl FnOnce(&mut Txn) {
    move |txn| drop(txn.insert(table, vec![int(id), text(name)]).unwrap())
}

fn update(table: &TableDef, id: i32, name: &str) -> impl FnOnce(&mut Txn) {
    move |txn| {
        drop(
            txn.update(table, &key(table, id), vec![int(id), text(name)])
                .unwrap(),
        )
    }
}

fn must_wait(tried: Result<()>) -> bool {
    matches!(tried, Err(TableError::MustWait))
}

fn in_doubt(done: Result<()>) -> bool {
    matches!(done, Err(TableError::InDoubt { .. }))
}

#[test]
fn each_call_is_for_branches_in_the_states_it_is_made_for() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let registry = &server.registry;
    let states = [BranchState::Active, BranchState::Idle, BranchState::Prepared];
    let calls = [
        "statement",
        "commit by number",
        "roll back by number",
        "end",
        "resume",
        "prepare",
        "commit",
        "commit in one phase",
        "roll back",
    ];
    let mut row = 10;
    for state in states {
        for call in calls {
            row += 1;
            let name = format!("{state} {call}");
            let (xid, id) = server.start_branch(&name, Isolation::Snapshot);
            registry.with(id, "alice", insert(&table, row, "new")).unwrap();
            if state != BranchState::Active {
                registry.end_branch(&xid, "alice").unwrap();
            }
            if state == BranchState::Prepared {
                assert_eq!(server.prepare(&xid).unwrap(), Vote::Prepared);
            }
            let user = BranchUser::owner("alice");
            let answer = match call {
                "statement" => registry.with(id, "alice", |_| ()),
                "commit by number" => registry.commit(id, "alice").map(drop),
                "roll back by number" => registry.rollback(id, "alice"),
                "end" => registry.end_branch(&xid, "alice").map(drop),
                "resume" => registry.resume_branch(&xid, "alice").map(drop),
                "prepare" => server.prepare(&xid).map(drop),
                "commit" => server.commit(&xid).map(drop),
                "commit in one phase" => registry.commit_branch_one_phase(&xid, "alice").map(drop),
                _ => server.rollback(&xid),
            };
            let (allowed, then) = match (state, call) {
                (BranchState::Active, "statement") => (true, Some(BranchState::Active)),
                (BranchState::Active, "end") => (true, Some(BranchState::Idle)),
                (BranchState::Idle, "resume") => (true, Some(BranchState::Active)),
                (BranchState::Idle, "prepare") => (true, Some(BranchState::Prepared)),
                (BranchState::Idle, "commit in one phase" | "roll back") => (true, None),
                (BranchState::Prepared, "commit" | "roll back") => (true, None),
                _ => (false, Some(state)),
            };
            assert_eq!(answer.is_ok(), allowed, "{name}: {answer:?}");
            match answer {
                Ok(()) => {}
                Err(TableError::BranchState { state: told, .. }) => assert_eq!(told, state, "{name}"),
                Err(TableError::IsBranch {
                    id: named,
                    state: told,
                    ..
                }) => assert_eq!((named, told), (id, state), "{name}"),
                Err(error) => panic!("{name}: {error}"),
            }
            let now = registry.branch(&xid, user).ok();
            assert_eq!(now.map(|info| info.branch.unwrap().state), then, "{name}");
            let there = committed_rows(&server.tables, &table)
                .iter()
                .any(|found| found[0] == int(row));
            assert_eq!(there, allowed && call.starts_with("commit"), "{name}");
        }
    }
}

#[test]
fn a_name_is_free_once_its_branch_has_ended_and_tells_how() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let registry = &server.registry;
    let never = server.commit(&xid("never")).unwrap_err();
    assert!(matches!(never, TableError::BranchNotFound { .. }), "{never}");
    for rolled_back in [true, false] {
        let id = 10 + i32::from(rolled_back);
        let xid = server.prepared("a", insert(&table, id, "x"));
        let again = registry.start_branch(xid.clone(), options("bob")).unwrap_err();
        assert!(matches!(again, TableError::BranchExists { .. }), "{again}");
        let expected = match rolled_back {
            true => server.rollback(&xid).map(|()| EndReason::RolledBack),
            false => server.commit(&xid).map(|_| EndReason::Committed),
        };
        for error in [
            server.commit(&xid).map(drop).unwrap_err(),
            server.rollback(&xid).unwrap_err(),
        ] {
            let TableError::BranchEnded { reason, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(reason, *expected.as_ref().unwrap());
        }
    }
}

#[test]
fn a_prepared_branch_is_there_after_a_restart_and_keeps_everybody_from_what_it_holds() {
    let server = Server::start();
    filled(&server.tables, 2);
    let accounts = create(
        &server.tables,
        spec("accounts", &["id integer", "name text"], &["id"], &[&["name"]]),
    );
    let (xid, id) = server.start_branch("a", Isolation::Snapshot);
    server.clock.advance_us(7);
    server
        .registry
        .with(id, "alice", |txn| {
            let table = txn.table("main", "public", "t").unwrap().unwrap();
            update(&table, 1, "changed")(txn);
            insert(&accounts, 5, "unique")(txn);
            let locks = txn.locks().unwrap();
            locks.take(Resource::named("agreed"), LockMode::X).unwrap();
        })
        .unwrap();
    server.registry.end_branch(&xid, "alice").unwrap();
    server.prepare(&xid).unwrap();
    let before = server.registry.branch(&xid, BranchUser::owner("alice")).unwrap();
    assert_eq!(
        before.branch.as_ref().unwrap().prepared_at_us,
        Some(before.started_at_us + 7)
    );

    let server = server.restart();
    let mut after = server.registry.branch(&xid, BranchUser::owner("alice")).unwrap();
    assert!(std::mem::take(&mut after.branch.as_mut().unwrap().recovered));
    // What only counts for an open transaction is not kept.
    after.last_used_at_us = before.last_used_at_us;
    assert_eq!(after, before);
    let counts = server.registry.branch_counts();
    assert_eq!((counts.recovered, counts.in_doubt, counts.prepared), (1, 1, 0));

    let table = || {
        let txn = server.tables.begin().unwrap();
        txn.table("main", "public", "t").unwrap().unwrap()
    };
    let name = |id: usize| committed_rows(&server.tables, &table())[id - 1][1].clone();
    let t = table();
    assert_eq!(name(1), text("n1"));
    assert!(must_wait(server.tried(|txn| {
        txn.update(&t, &key(&t, 1), vec![int(1), text("x")]).map(drop)
    })));
    assert!(must_wait(
        server.tried(|txn| txn.delete(&t, &key(&t, 1)).map(drop))
    ));
    assert!(must_wait(server.tried(|txn| {
        txn.insert(&accounts, vec![int(6), text("unique")]).map(drop)
    })));
    assert!(must_wait(server.tried(|txn| {
        txn.insert(&accounts, vec![int(5), text("other")]).map(drop)
    })));
    assert!(must_wait(
        server.tried(|txn| txn.drop_table("main", "public", "t"))
    ));
    assert!(must_wait(server.tried(|txn| {
        let locks = txn.locks().unwrap();
        locks.take(Resource::named("agreed"), LockMode::S).map(drop)
    })));
    // Other rows are nobody's.
    server
        .tried(|txn| txn.update(&t, &key(&t, 2), vec![int(2), text("x")]).map(drop))
        .unwrap();
    // Who locks nothing is refused at the commit.
    assert!(in_doubt(server.committed(update(&t, 1, "x"))));
    assert!(in_doubt(server.committed(insert(&accounts, 6, "unique"))));
    let drops = |txn: &mut Txn| txn.drop_table("main", "public", "t").unwrap();
    assert!(in_doubt(server.committed(drops)));

    let outcome = server.commit(&xid).unwrap();
    let changed = |table: &str| {
        let of = outcome.changes.iter().find(|changes| changes.table == table);
        of.map(|changes| (changes.inserted, changes.updated))
    };
    assert_eq!((changed("t"), changed("accounts")), (Some((0, 1)), Some((1, 0))));
    assert_eq!(name(1), text("changed"));
    assert_eq!(server.records(), 0);
    server.tried(|txn| txn.delete(&t, &key(&t, 1)).map(drop)).unwrap();
    server.committed(update(&t, 1, "x")).unwrap();
    assert_eq!(server.registry.branch_counts().in_doubt, 0);
    assert!(server.tables.locks().locks().list().is_empty());
}

#[test]
fn its_commit_is_in_the_change_log_when_it_commits_and_says_whose_it_is() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let told = |server: &Server, after: CommitSeq| -> Vec<LogRecord> {
        let entries = server.tables.store().log_after(after, usize::MAX).unwrap();
        entries
            .iter()
            .map(|entry| change_log::decode(&entry.payload).unwrap())
            .collect()
    };
    let newest = server.tables.begin().unwrap().snapshot_seq();
    let xid = server.prepared("a", update(&table, 1, "x"));
    let id = server
        .registry
        .branch(&xid, BranchUser::owner("alice"))
        .unwrap()
        .id;
    assert!(told(&server, newest).is_empty());
    let server = server.restart();
    server.commit(&xid).unwrap();
    let [LogRecord::Origin(origin), LogRecord::Row(row)] = &told(&server, newest)[..] else {
        panic!("{:?}", told(&server, newest))
    };
    assert_eq!((origin.transaction_id, origin.user.as_str()), (Some(id), "alice"));
    assert_eq!(row.table, "t");
}

#[test]
fn a_rollback_leaves_nothing_before_and_after_a_restart() {
    let mut server = Server::start();
    let table = filled(&server.tables, 1);
    for restarted in [false, true] {
        let xid = server.prepared("a", update(&table, 1, "x"));
        assert!(server.records() > 0);
        if restarted {
            server = server.restart();
        }
        server.rollback(&xid).unwrap();
        assert_eq!(server.records(), 0);
        assert_eq!(committed_rows(&server.tables, &table), [[int(1), text("n1")]]);
        server.committed(update(&table, 1, "n1")).unwrap();
        server = server.restart();
        assert!(server.names(BranchUser::administrator("root")).is_empty());
    }
}

#[test]
fn who_wrote_nothing_votes_so_and_has_ended() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let xid = server.branch_of("a", Isolation::Serializable, |txn| {
        assert_eq!(all_rows(txn, &table).len(), 1);
        txn.lock_rows(&table, &[key(&table, 1)], LockMode::S).unwrap();
    });
    assert_eq!(server.prepare(&xid).unwrap(), Vote::ReadOnly);
    let ended = server.commit(&xid).unwrap_err();
    assert!(
        matches!(ended, TableError::BranchEnded { reason, .. } if reason == EndReason::Committed),
        "{ended}"
    );
    assert_eq!(server.records(), 0);
    assert!(server.tables.locks().locks().list().is_empty());
    let counts = server.registry.branch_counts();
    assert_eq!((counts.read_only, counts.prepared, counts.in_doubt), (1, 0, 0));
}

#[test]
fn who_could_not_commit_can_not_prepare_and_was_rolled_back() {
    let server = Server::start();
    let table = filled(&server.tables, 2);
    let write_skew = server.branch_of("a", Isolation::Serializable, |txn| {
        txn.get(&table, &key(&table, 1)).unwrap();
        update(&table, 2, "x")(txn);
    });
    let defines = server.branch_of("b", Isolation::Snapshot, |txn| {
        txn.create_table(spec("new", &["id integer"], &[], &[])).unwrap();
    });
    server.committed(update(&table, 1, "y")).unwrap();
    create(&server.tables, spec("new", &["id integer"], &[], &[]));
    for xid in [write_skew, defines] {
        let refused = server.prepare(&xid).unwrap_err();
        assert!(matches!(refused, TableError::WriteConflict { .. }), "{refused}");
        let ended = server.commit(&xid).unwrap_err();
        assert!(matches!(ended, TableError::BranchEnded { .. }), "{ended}");
    }
    assert_eq!(server.records(), 0);
    assert!(server.tables.locks().locks().list().is_empty());
    let counts = server.registry.branch_counts();
    assert_eq!((counts.refused, counts.rolled_back), (2, 2));
    // No pledge of theirs is left.
    server.committed(update(&table, 2, "z")).unwrap();
}

/// Otherwise a reader could see a later commit and not this one, which comes before it in the order of what they read.
#[test]
fn what_a_serializable_branch_has_read_stays_as_it_is_until_it_ends() {
    for restarted in [false, true] {
        let mut server = Server::start();
        let table = filled(&server.tables, 3);
        let xid = server.branch_of("a", Isolation::Serializable, |txn| {
            txn.get(&table, &key(&table, 1)).unwrap();
            update(&table, 2, "x")(txn);
        });
        server.prepare(&xid).unwrap();
        if restarted {
            server = server.restart();
        }
        assert!(in_doubt(server.committed(update(&table, 1, "y"))));
        // Two that are prepared must be able to commit in either order.
        let other = server.branch_of("b", Isolation::Serializable, |txn| {
            txn.get(&table, &key(&table, 2)).unwrap();
            update(&table, 3, "y")(txn);
        });
        assert!(in_doubt(server.prepare(&other).map(drop)));
        server.committed(update(&table, 3, "y")).unwrap();
        server.commit(&xid).unwrap();
        server.committed(update(&table, 1, "y")).unwrap();
        let names: Vec<_> = committed_rows(&server.tables, &table)
            .into_iter()
            .map(|row| row[1].clone())
            .collect();
        assert_eq!(names, [text("y"), text("x"), text("y")]);
    }
}

#[test]
fn definitions_that_a_prepared_branch_relies_on_or_changes_stay_until_it_ends() {
    for restarted in [false, true] {
        let mut server = Server::start();
        let table = filled(&server.tables, 1);
        create(&server.tables, spec("old", &["id integer"], &["id"], &[]));
        let xid = server.prepared("a", |txn| {
            txn.create_view(view("v", &["t"]), false).unwrap();
            txn.create_table(spec("new", &["id integer"], &["id"], &[]))
                .unwrap();
            txn.drop_table("main", "public", "old").unwrap();
        });
        if restarted {
            server = server.restart();
        }
        // It reads this one in a view.
        assert!(in_doubt(
            server.committed(|txn| txn.drop_table("main", "public", "t").unwrap())
        ));
        // It has taken this name.
        assert!(in_doubt(server.committed(|txn| {
            txn.create_table(spec("new", &["id integer"], &[], &[])).unwrap();
        })));
        // It drops this one.
        let old = |txn: &Txn| txn.table("main", "public", "old").unwrap().unwrap();
        assert!(in_doubt(server.committed(|txn| {
            let old = old(txn);
            txn.insert(&old, vec![int(1)]).unwrap();
        })));
        assert!(in_doubt(server.committed(|txn| {
            txn.create_view(view("w", &["old"]), false).unwrap();
        })));
        assert!(must_wait(server.tried(|txn| {
            let old = old(txn);
            txn.insert(&old, vec![int(1)]).map(drop)
        })));
        // Rows of the other one are nobody's.
        server.committed(insert(&table, 2, "x")).unwrap();
        create(&server.tables, spec("another", &["id integer"], &[], &[]));
        server.commit(&xid).unwrap();
        let txn = server.tables.begin().unwrap();
        let tables = txn.tables("main").unwrap();
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["another", "new", "t"]);
        assert_eq!(txn.views("main").unwrap().len(), 1);
    }
}

#[test]
fn who_changes_a_table_whose_index_is_being_built_can_commit_but_not_prepare() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let mut tried = 0;
    let mut watch = |_| {
        if tried == 0 {
            let xid = server.branch_of("a", Isolation::Snapshot, |txn| {
                let table = txn.table("main", "public", "t").unwrap().unwrap();
                insert(&table, 2, "x")(txn);
            });
            let refused = server.prepare(&xid).unwrap_err();
            assert!(
                matches!(refused, TableError::BranchDuringBuild { .. }),
                "{refused}"
            );
            server.registry.commit_branch_one_phase(&xid, "alice").unwrap();
        }
        tried += 1;
        ControlFlow::Continue(())
    };
    let by = Builder {
        origin: None,
        statement: None,
        watch: &mut watch,
    };
    server
        .tables
        .create_index(&index("by_name", "t", &["name"], false), by)
        .unwrap();
    assert!(tried > 0);
    assert_eq!(committed_rows(&server.tables, &table).len(), 2);
}

#[test]
fn a_prepared_branch_outlives_every_time_out_and_others_do_not() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let prepared = server.prepared("prepared", update(&table, 1, "x"));
    let idle = server.branch_of("idle", Isolation::Snapshot, insert(&table, 2, "x"));
    let (active, id) = server.start_branch("active", Isolation::Snapshot);
    server.clock.advance_us(IDLE_TIMEOUT_US_DEFAULT + 1);
    assert_eq!(server.registry.sweep().len(), 2);
    for xid in [idle, active] {
        let ended = server.registry.end_branch(&xid, "alice").unwrap_err();
        assert!(
            matches!(ended, TableError::BranchEnded { reason, .. } if reason == EndReason::TimedOut),
            "{ended}"
        );
    }
    assert!(server.registry.info(id, "alice").is_err());
    let server = server.restart();
    server.clock.advance_us(crate::transactions::TIMEOUT_US_MAX);
    assert_eq!(server.registry.sweep(), [0; 0]);
    server.commit(&prepared).unwrap();
    assert_eq!(committed_rows(&server.tables, &table), [[int(1), text("x")]]);
}

#[test]
fn only_its_owner_and_once_it_is_prepared_an_administrator_may_use_a_branch() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let xid = server.branch_of("a", Isolation::Snapshot, update(&table, 1, "x"));
    let (bob, root) = (BranchUser::owner("bob"), BranchUser::administrator("root"));
    let missing = |tried: Result<TransactionInfo>| matches!(tried, Err(TableError::BranchNotFound { .. }));
    let registry = &server.registry;
    assert!(missing(registry.rollback_branch(&xid, bob)));
    assert!(missing(registry.rollback_branch(&xid, root)));
    assert!(missing(registry.resume_branch(&xid, "bob")));
    server.prepare(&xid).unwrap();
    assert!(missing(registry.rollback_branch(&xid, bob)));
    assert!(missing(registry.commit_branch(&xid, bob).map(|(_, info)| info)));
    assert!(server.names(bob).is_empty());
    assert_eq!(server.names(root), std::slice::from_ref(&xid));
    registry.commit_branch(&xid, root).unwrap();
    assert!(missing(registry.rollback_branch(&xid, bob)));
}

#[test]
fn recover_lists_prepared_branches_in_pages() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let names = ["c", "a", "b", "e", "d"];
    for (id, name) in (10..).zip(names) {
        server.prepared(name, insert(&table, id, "x"));
    }
    server.branch_of("idle", Isolation::Snapshot, insert(&table, 30, "x"));
    let server = server.restart();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = server
            .registry
            .recover(BranchUser::owner("alice"), after.as_ref(), 2);
        found.extend(page.iter().map(|info| info.branch.clone().unwrap().xid));
        if page.len() < 2 {
            break;
        }
        after = found.last().cloned();
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"].map(xid));
}

#[test]
fn a_large_branch_is_kept_in_pieces() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let long = "x".repeat(100_000);
    let xid = server.prepared("a", |txn| {
        for id in 10..20 {
            insert(&table, id, &format!("{id}{long}"))(txn);
        }
    });
    assert!(server.records() > 5, "{}", server.records());
    let server = server.restart();
    server.commit(&xid).unwrap();
    assert_eq!(server.records(), 0);
    let rows = committed_rows(&server.tables, &table);
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[10][1], text(&format!("19{long}")));
}

#[test]
fn two_branches_get_their_row_locks_back_though_each_would_take_the_whole_table_now() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    for (name, first) in [("a", 100), ("b", 200)] {
        server.prepared(name, |txn| {
            for id in first..first + 30 {
                insert(&table, id, "x")(txn);
            }
        });
    }
    let store = Arc::clone(server.tables.store());
    let clock = Arc::clone(&server.clock);
    drop(server);
    let tables = Tables::open(store, clock.clone()).unwrap();
    let settings = tables.locks().locks().settings();
    settings.set_escalate_after(10);
    settings.set_locks_per_owner_max(5);
    let server = Server::on(tables.clone(), clock);
    assert_eq!(
        (settings.escalate_after(), settings.locks_per_owner_max()),
        (10, 5)
    );
    for id in [110, 210] {
        assert!(must_wait(server.tried(|txn| {
            txn.insert(&table, vec![int(id), text("y")]).map(drop)
        })));
    }
    server
        .tried(|txn| txn.insert(&table, vec![int(300), text("y")]).map(drop))
        .unwrap();
    server.commit(&xid("a")).unwrap();
    server.commit(&xid("b")).unwrap();
    assert_eq!(committed_rows(&server.tables, &table).len(), 61);
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl TransactionObserver for Heard {
    fn began(&self, _: &TransactionInfo) {
        self.0.lock().push("began".to_owned());
    }

    fn ended(&self, _: &TransactionInfo, reason: EndReason) {
        self.0.lock().push(format!("{reason:?}"));
    }

    fn branch(&self, transaction: &TransactionInfo, step: BranchStep) {
        assert!(transaction.branch.is_some());
        self.0.lock().push(format!("branch {step:?}"));
    }
}

#[test]
fn observers_hear_of_each_step() {
    let server = Server::start();
    let table = filled(&server.tables, 1);
    let heard = Arc::new(Heard::default());
    let observed = |server: Server| {
        let Server {
            tables,
            clock,
            registry,
        } = server;
        let registry = Arc::into_inner(registry).unwrap().observed(heard.clone());
        Server {
            tables,
            clock,
            registry: Arc::new(registry),
        }
    };
    let server = observed(server);
    let (xid, id) = server.start_branch("a", Isolation::Snapshot);
    server.registry.with(id, "alice", update(&table, 1, "x")).unwrap();
    server.registry.end_branch(&xid, "alice").unwrap();
    server.registry.resume_branch(&xid, "alice").unwrap();
    server.registry.end_branch(&xid, "alice").unwrap();
    server.prepare(&xid).unwrap();
    assert_eq!(
        heard.take(),
        [
            "began",
            "branch Started",
            "branch Ended",
            "branch Resumed",
            "branch Ended",
            "branch Preparing",
            "branch Prepared"
        ]
    );
    let server = observed(server.restart());
    assert_eq!(heard.take(), ["branch Recovered"]);
    server.commit(&xid).unwrap();
    assert_eq!(heard.take(), ["branch Committed", "Committed"]);
    let read_only = server.branch_of("b", Isolation::Snapshot, |_| ());
    server.prepare(&read_only).unwrap();
    assert_eq!(
        heard.take()[3..],
        ["branch Preparing", "branch ReadOnly", "Committed"]
    );
    let one_phase = server.branch_of("c", Isolation::Snapshot, |_| ());
    server
        .registry
        .commit_branch_one_phase(&one_phase, "alice")
        .unwrap();
    assert_eq!(heard.take()[3..], ["branch CommittedOnePhase", "Committed"]);
    server.branch_of("d", Isolation::Snapshot, |_| ());
    server.clock.advance_us(IDLE_TIMEOUT_US_DEFAULT + 1);
    server.registry.sweep();
    assert_eq!(heard.take()[3..], ["branch RolledBack", "TimedOut"]);
    // What is no branch is not told as one.
    let id = server.registry.begin(options("bob")).unwrap().id;
    server.registry.rollback(id, "bob").unwrap();
    assert_eq!(heard.take(), ["began", "RolledBack"]);
}
