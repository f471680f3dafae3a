//! Rows, the lock on their table, and escalation.

use super::*;
use LockMode::{IS, IX, S, SIX, X};

fn lock_row(fixture: &Fixture, owner: &Owner, key: u8, mode: LockMode) -> Acquired {
    let acquired = fixture.locks.acquire_row(owner, (1, 1, &[key]), mode, Wait::Yes);
    acquired.expect("no bound is near and the owner doesn't wait")
}

fn granted_row(fixture: &Fixture, owner: &Owner, key: u8, mode: LockMode) -> LockId {
    match lock_row(fixture, owner, key, mode) {
        Acquired::Granted { lock_id, .. } => lock_id,
        other => panic!("{owner:?} gets no {mode} on row {key}: {other:?}"),
    }
}

fn modes(owner: &Owner) -> Vec<(Resource, LockMode)> {
    let locks = owner.locks().into_iter();
    locks.map(|(_, resource, mode)| (resource, mode)).collect()
}

#[test]
fn a_row_is_locked_under_an_intention_on_its_table() {
    let fixture = Fixture::new();
    let owner = fixture.owner(1);
    granted_row(&fixture, &owner, 1, S);
    assert_eq!(modes(&owner), [(Resource::Table(1), IS), (row(1), S)]);
    granted_row(&fixture, &owner, 2, X);
    granted_row(&fixture, &owner, 1, X);
    assert_eq!(
        modes(&owner),
        [(Resource::Table(1), IX), (row(1), X), (row(2), X)]
    );
}

#[test]
fn a_table_is_waited_for_before_its_row() {
    let fixture = Fixture::new();
    let (reader, writer) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&reader, &Resource::Table(1), S);
    let Acquired::Queued(ticket) = lock_row(&fixture, &writer, 1, X) else {
        panic!("the table is read");
    };
    assert_eq!((ticket.resource(), ticket.mode()), (&Resource::Table(1), IX));
    fixture.locks.release_all(&reader);
    assert!(is_granted(&ticket));
    granted_row(&fixture, &writer, 1, X);
}

#[test]
fn a_row_of_a_table_that_is_locked_needs_no_lock() {
    for (table_mode, covered) in [(S, vec![S]), (SIX, vec![S]), (X, vec![S, X])] {
        let fixture = Fixture::new();
        let owner = fixture.owner(1);
        let table = fixture.granted(&owner, &Resource::Table(1), table_mode);
        for mode in covered {
            assert_eq!(granted_row(&fixture, &owner, 1, mode), table);
            assert_eq!(fixture.granted(&owner, &row(1), mode), table);
        }
        assert_eq!(owner.held(), 1);
        if table_mode != X {
            assert_ne!(granted_row(&fixture, &owner, 1, X), table);
            assert_eq!(owner.lock(table), Some((Resource::Table(1), SIX)));
        }
    }
}

#[test]
fn many_row_locks_become_one_on_the_table() {
    for (mode, table_mode) in [(S, S), (X, X)] {
        let fixture = Fixture::new();
        fixture.locks.settings().set_escalate_after(5);
        let (owner, other) = (fixture.owner(1), fixture.owner(2));
        for key in 0..5 {
            granted_row(&fixture, &owner, key, mode);
        }
        assert_eq!(owner.held(), 6);
        let elsewhere = Resource::row(2, 1, &[1]);
        fixture.granted(&owner, &elsewhere, X);
        let table = granted_row(&fixture, &owner, 5, mode);
        assert_eq!(modes(&owner), [(Resource::Table(1), table_mode), (elsewhere, X)]);
        assert_eq!(owner.locks()[0].0, table);
        assert_eq!(fixture.locks.counts().escalations, 1);
        assert_eq!(fixture.locks.holders(&row(1)), []);
        // The rows are locked as much as they were.
        assert!(matches!(
            lock_row(&fixture, &other, 1, X),
            Acquired::Queued(ticket) if ticket.resource() == &Resource::Table(1)
        ));
    }
}

#[test]
fn rows_that_are_read_and_then_written_become_one_lock_twice() {
    let fixture = Fixture::new();
    fixture.locks.settings().set_escalate_after(3);
    let owner = fixture.owner(1);
    for key in 0..4 {
        granted_row(&fixture, &owner, key, S);
    }
    assert_eq!(modes(&owner), [(Resource::Table(1), S)]);
    for key in 0..3 {
        granted_row(&fixture, &owner, key, X);
    }
    assert_eq!(modes(&owner)[0], (Resource::Table(1), SIX));
    assert_eq!(owner.held(), 4);
    granted_row(&fixture, &owner, 3, X);
    assert_eq!(modes(&owner), [(Resource::Table(1), X)]);
    assert_eq!(fixture.locks.counts().escalations, 2);
}

#[test]
fn an_escalation_that_would_wait_is_put_off() {
    let fixture = Fixture::new();
    fixture.locks.settings().set_escalate_after(5);
    let (owner, other) = (fixture.owner(1), fixture.owner(2));
    granted_row(&fixture, &other, 100, X);
    for key in 0..7 {
        granted_row(&fixture, &owner, key, X);
    }
    assert_eq!(owner.held(), 8);
    fixture.locks.release_all(&other);
    // It was tried at the sixth row, and is again at the eleventh.
    for key in 7..10 {
        granted_row(&fixture, &owner, key, X);
    }
    assert_eq!(owner.held(), 11);
    granted_row(&fixture, &owner, 10, X);
    assert_eq!(owner.held(), 1);
}

#[test]
fn rows_are_not_escalated_when_nobody_wants_that() {
    let fixture = Fixture::new();
    fixture.locks.settings().set_escalate_after(0);
    let owner = fixture.owner(1);
    for key in 0..200 {
        granted_row(&fixture, &owner, key, X);
    }
    assert_eq!(owner.held(), 201);
}
