#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;

use rustydb_runtime::ManualClock;

use super::*;
use crate::tables::tests::support::{
    all_rows, committed_rows, create, filled, int, key, spec, tables_and_clock, text,
};

fn registry() -> (Arc<TransactionRegistry>, Tables, Arc<ManualClock>) {
    let (tables, clock) = tables_and_clock();
    (Arc::new(TransactionRegistry::new(tables.clone())), tables, clock)
}

fn options(owner: &str) -> BeginOptions {
    BeginOptions {
        owner: owner.to_owned(),
        owner_name: owner.to_owned(),
        session: None,
        database: "main".to_owned(),
        isolation: Isolation::default(),
        read_only: false,
        idle_timeout_us: None,
        timeout_us: None,
        lock_timeout_us: None,
    }
}

fn begin(registry: &TransactionRegistry, owner: &str) -> u64 {
    registry.begin(options(owner)).unwrap().id
}

fn serializable(registry: &TransactionRegistry, owner: &str) -> u64 {
    let options = BeginOptions {
        isolation: Isolation::Serializable,
        ..options(owner)
    };
    registry.begin(options).unwrap().id
}

#[test]
fn calls_of_one_transaction_build_on_each_other_until_it_commits() {
    let (registry, tables, clock) = registry();
    let table = filled(&tables, 1);
    let begun = registry.begin(options("alice")).unwrap();
    assert_eq!((begun.calls, begun.in_use, begun.read_only), (0, false, false));
    clock.advance_us(5);
    registry
        .with(begun.id, "alice", |txn| {
            txn.insert(&table, vec![int(2), text("b")])
        })
        .unwrap()
        .unwrap();
    clock.advance_us(5);
    registry
        .with(begun.id, "alice", |txn| {
            assert_eq!(all_rows(txn, &table).len(), 2)
        })
        .unwrap();
    let info = registry.info(begun.id, "alice").unwrap();
    assert_eq!((info.calls, info.changes[0].inserted), (2, 1));
    assert_eq!(info.last_used_at_us, info.started_at_us + 10);
    assert_eq!(committed_rows(&tables, &table).len(), 1);
    let outcome = registry.commit(begun.id, "alice").unwrap();
    assert!(outcome.wrote);
    assert_eq!(committed_rows(&tables, &table).len(), 2);
    assert!(registry.list(None).is_empty());
}

#[test]
fn an_ended_transaction_says_how_it_ended_and_an_unknown_one_that_it_is_unknown() {
    let (registry, tables, clock) = registry();
    let table = filled(&tables, 1);
    let (committed, rolled_back, timed_out, refused) = (
        begin(&registry, "a"),
        begin(&registry, "a"),
        begin(&registry, "a"),
        serializable(&registry, "a"),
    );
    let change = |txn: &mut Txn| {
        drop(
            txn.update(&table, &key(&table, 1), vec![int(1), text("x")])
                .unwrap(),
        )
    };
    registry.with(committed, "a", change).unwrap();
    registry
        .with(refused, "a", |txn| {
            txn.get(&table, &key(&table, 1)).unwrap();
            txn.insert(&table, vec![int(9), text("x")]).unwrap();
        })
        .unwrap();
    registry.commit(committed, "a").unwrap();
    registry.rollback(rolled_back, "a").unwrap();
    assert!(registry.commit(refused, "a").unwrap_err().is_retryable());
    clock.advance_us(IDLE_TIMEOUT_US_DEFAULT + 1);
    assert_eq!(registry.sweep(), [timed_out]);
    for (id, expected) in [
        (committed, EndReason::Committed),
        (rolled_back, EndReason::RolledBack),
        (timed_out, EndReason::TimedOut),
        (refused, EndReason::RolledBack),
    ] {
        for error in [
            registry.with(id, "a", |_| ()).unwrap_err(),
            registry.commit(id, "a").map(|_| ()).unwrap_err(),
            registry.rollback(id, "a").unwrap_err(),
            registry.info(id, "a").map(|_| ()).unwrap_err(),
        ] {
            let TableError::TransactionNotActive { id: told, reason } = error else {
                panic!("{error}")
            };
            assert_eq!((told, reason), (id, expected));
        }
        assert!(matches!(
            registry.with(id, "b", |_| ()),
            Err(TableError::NotOwner { .. })
        ));
    }
    assert!(matches!(
        registry.with(1 << 40, "a", |_| ()),
        Err(TableError::TransactionNotFound { .. })
    ));
}

#[test]
fn only_the_owner_may_use_a_transaction() {
    let (registry, _, _) = registry();
    let id = begin(&registry, "alice");
    assert!(matches!(
        registry.with(id, "bob", |_| ()),
        Err(TableError::NotOwner { .. })
    ));
    assert!(matches!(
        registry.commit(id, "bob"),
        Err(TableError::NotOwner { .. })
    ));
    assert!(matches!(
        registry.rollback(id, "bob"),
        Err(TableError::NotOwner { .. })
    ));
    assert!(matches!(
        registry.info(id, "bob"),
        Err(TableError::NotOwner { .. })
    ));
    assert!(registry.list(Some("bob")).is_empty());
    assert_eq!(registry.list(Some("alice")).len(), 1);
    registry.commit(id, "alice").unwrap();
}

#[test]
fn idle_means_unused_for_longer_than_the_time_out_that_was_asked_for() {
    let (registry, _, clock) = registry();
    let short = registry
        .begin(BeginOptions {
            idle_timeout_us: Some(2_000),
            ..options("a")
        })
        .unwrap()
        .id;
    let long = begin(&registry, "a");
    for _ in 0..5 {
        clock.advance_us(2_000);
        registry.with(short, "a", |_| ()).unwrap();
        assert!(registry.sweep().is_empty());
    }
    // While a call runs, time does not count.
    registry
        .with(short, "a", |_| {
            clock.advance_us(10_000);
            assert!(registry.sweep().is_empty());
            assert!(registry.info(short, "a").unwrap().in_use);
        })
        .unwrap();
    assert!(registry.sweep().is_empty());
    clock.advance_us(2_001);
    // Nobody swept: whoever comes is told all the same.
    let late = registry.with(short, "a", |_| ()).unwrap_err();
    assert!(matches!(
        late,
        TableError::TransactionNotActive {
            reason: EndReason::TimedOut,
            ..
        }
    ));
    assert_eq!(
        registry.list(None).iter().map(|info| info.id).collect::<Vec<_>>(),
        [long]
    );
    for wrong in [0, TIMEOUT_US_MIN - 1, IDLE_TIMEOUT_US_MAX + 1] {
        let refused = registry.begin(BeginOptions {
            idle_timeout_us: Some(wrong),
            ..options("a")
        });
        assert!(matches!(refused, Err(TableError::InvalidTimeout { .. })));
    }
}

#[test]
fn a_call_waits_for_the_running_one_of_its_transaction_only() {
    let (registry, tables, _) = registry();
    let table = filled(&tables, 0);
    let (busy, other) = (begin(&registry, "a"), begin(&registry, "a"));
    let (started, has_started) = crossbeam::channel::unbounded();
    let (finish, may_finish) = crossbeam::channel::unbounded::<()>();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            registry.with(busy, "a", |txn| {
                started.send(()).unwrap();
                may_finish.recv().unwrap();
                txn.insert(&table, vec![int(1), text("first")]).unwrap();
            })
        });
        has_started.recv().unwrap();
        // The other transaction, the list and a new one go on while the call runs.
        registry
            .with(other, "a", |txn| txn.insert(&table, vec![int(9), text("x")]))
            .unwrap()
            .unwrap();
        let third = begin(&registry, "a");
        assert_eq!(registry.list(None).iter().filter(|info| info.in_use).count(), 1);
        registry.rollback(third, "a").unwrap();
        registry.commit(other, "a").unwrap();
        let second = scope.spawn(|| registry.with(busy, "a", |txn| all_rows(txn, &table).len()));
        finish.send(()).unwrap();
        first.join().unwrap().unwrap();
        assert_eq!(
            second.join().unwrap().unwrap(),
            1,
            "the second call saw what the first did"
        );
    });
}

#[test]
fn a_call_that_waited_for_the_commit_learns_that_it_is_over() {
    let (registry, _, _) = registry();
    let id = begin(&registry, "a");
    let lease = futures::executor::block_on(registry.lease(id, "a")).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.with(id, "a", |_| ()));
        let ending = scope.spawn(|| registry.rollback(id, "a"));
        drop(lease);
        ending.join().unwrap().unwrap();
        // First or second in the queue, both are right.
        if let Err(error) = waiting.join().unwrap() {
            assert!(matches!(
                error,
                TableError::TransactionNotActive {
                    reason: EndReason::RolledBack,
                    ..
                }
            ));
        }
    });
}

#[test]
fn a_lease_may_be_held_over_await_and_by_other_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (registry, tables, _) = registry();
    let table = filled(&tables, 1);
    let id = begin(&registry, "a");
    let call = is_send(async {
        let mut lease = registry.lease(id, "a").await.unwrap();
        std::future::ready(()).await;
        lease.delete(&table, &key(&table, 1)).unwrap()
    });
    assert!(futures::executor::block_on(call));
    registry.commit(id, "a").unwrap();
    assert!(committed_rows(&tables, &table).is_empty());
}

#[test]
fn a_call_that_panics_ends_its_transaction() {
    let (registry, tables, _) = registry();
    let table = filled(&tables, 1);
    let id = begin(&registry, "a");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        registry.with(id, "a", |txn| {
            txn.delete(&table, &key(&table, 1)).unwrap();
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    let ended = registry.commit(id, "a").unwrap_err();
    assert!(matches!(
        ended,
        TableError::TransactionNotActive {
            reason: EndReason::RolledBack,
            ..
        }
    ));
    assert_eq!(committed_rows(&tables, &table).len(), 1);
}

#[test]
fn the_number_of_open_transactions_is_bounded_per_owner_and_in_all() {
    let (registry, _, _) = registry();
    let first = begin(&registry, "owner 0");
    for _ in 1..OPEN_PER_OWNER_MAX {
        begin(&registry, "owner 0");
    }
    let refused = registry.begin(options("owner 0")).unwrap_err();
    assert!(matches!(
        refused,
        TableError::TooManyTransactions {
            max: OPEN_PER_OWNER_MAX,
            ..
        }
    ));
    registry.rollback(first, "owner 0").unwrap();
    begin(&registry, "owner 0");
    for owner in 1..OPEN_MAX / OPEN_PER_OWNER_MAX {
        for _ in 0..OPEN_PER_OWNER_MAX {
            begin(&registry, &format!("owner {owner}"));
        }
    }
    let refused = registry.begin(options("another")).unwrap_err();
    assert!(matches!(
        refused,
        TableError::TooManyTransactions { max: OPEN_MAX, .. }
    ));
    assert_eq!(registry.list(None).len(), OPEN_MAX);
}

#[test]
fn only_the_latest_ends_are_remembered() {
    let (registry, _, _) = registry();
    let ids: Vec<u64> = (0..=ENDED_REMEMBERED_MAX)
        .map(|_| {
            let id = begin(&registry, "a");
            registry.rollback(id, "a").unwrap();
            id
        })
        .collect();
    assert!(matches!(
        registry.info(ids[0], "a"),
        Err(TableError::TransactionNotFound { .. })
    ));
    assert!(matches!(
        registry.info(ids[1], "a"),
        Err(TableError::TransactionNotActive { .. })
    ));
}

#[test]
fn numbers_are_never_given_again_after_a_restart() {
    let (first, tables, _) = registry();
    let mut seen = HashSet::new();
    for registry in [
        &first,
        &Arc::new(TransactionRegistry::new(tables.clone())),
        &Arc::new(TransactionRegistry::new(tables)),
    ] {
        for _ in 0..3 {
            assert!(seen.insert(begin(registry, "a")));
        }
    }
    assert!(matches!(
        first.info(1 << 62, "a"),
        Err(TableError::TransactionNotFound { .. })
    ));
}

#[test]
fn a_read_only_transaction_and_one_in_no_database() {
    let (registry, tables, _) = registry();
    let table = create(&tables, spec("t", &["a integer"], &[], &[]));
    let id = registry
        .begin(BeginOptions {
            read_only: true,
            ..options("a")
        })
        .unwrap()
        .id;
    assert!(registry.info(id, "a").unwrap().read_only);
    let refused = registry
        .with(id, "a", |txn| txn.insert(&table, vec![int(1)]))
        .unwrap();
    assert!(matches!(refused, Err(TableError::ReadOnly)));
    let nowhere = registry.begin(BeginOptions {
        database: "no".to_owned(),
        ..options("a")
    });
    assert!(matches!(nowhere, Err(TableError::DatabaseNotFound { .. })));
    assert_eq!(registry.list(None).len(), 1);
}

#[test]
fn a_commit_that_was_refused_is_counted_among_the_rolled_back_and_among_the_conflicts() {
    let (tables, _) = tables_and_clock();
    let table = filled(&tables, 1);
    let registry = TransactionRegistry::new(tables.clone());
    let update = |txn: &mut Txn, name: &str| {
        let row = vec![int(1), text(name)];
        txn.update(&table, &key(&table, 1), row).map(drop).unwrap();
    };
    let id = registry.begin(options("a")).unwrap().id;
    registry.with(id, "a", |txn| update(txn, "refused")).unwrap();
    // Whoever takes no locks is not held up by them.
    let [mut first, mut second] = [(); 2].map(|()| tables.begin().unwrap());
    update(&mut first, "first");
    update(&mut second, "second");
    first.commit().unwrap();
    assert!(matches!(second.commit(), Err(TableError::WriteConflict { .. })));
    assert!(matches!(
        registry.commit(id, "a"),
        Err(TableError::WriteConflict { .. })
    ));
    let forgotten = registry.begin(options("a")).unwrap().id;
    registry.rollback(forgotten, "a").unwrap();
    let counts = registry.counts();
    assert_eq!((counts.rolled_back, counts.refused), (2, 1));
    assert_eq!(tables.commits().conflicts(), 2);
}
