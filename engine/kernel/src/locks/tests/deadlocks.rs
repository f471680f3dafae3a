//! Cycles, and only cycles, have victims.

use super::*;
use LockMode::{S, X};

/// Owners 0 to `n`, of which each holds its row and waits for the next one's; the last, for the first one's.
fn ring(fixture: &Fixture, n: u8) -> (Vec<Owner>, Vec<WaitTicket>) {
    let owners: Vec<Owner> = (0..n).map(|id| fixture.owner(u64::from(id))).collect();
    for id in 0..n {
        fixture.granted(&owners[usize::from(id)], &row(id), X);
    }
    let tickets = (0..n).map(|id| fixture.queued(&owners[usize::from(id)], &row((id + 1) % n), X));
    let tickets = tickets.collect();
    (owners, tickets)
}

fn owners_of(deadlock: &Deadlock) -> Vec<u64> {
    let mut owners: Vec<u64> = deadlock.members.iter().map(|member| member.owner.0).collect();
    owners.sort_unstable();
    owners
}

#[test]
fn the_youngest_of_a_ring_is_its_victim() {
    for n in [2, 3, 10] {
        let fixture = Fixture::new();
        fixture.clock.advance_us(3);
        let (owners, tickets) = ring(&fixture, n);
        let found = fixture.locks.detect();
        assert_eq!(found.len(), 1);
        let deadlock = &found[0];
        let youngest = u64::from(n - 1);
        assert_eq!((deadlock.id, deadlock.victim.0), (1, youngest));
        assert_eq!(deadlock.detected_at_us, 1_000_003);
        assert_eq!(owners_of(deadlock), (0..u64::from(n)).collect::<Vec<_>>());
        let next = deadlock.members.iter().cycle().skip(1);
        for (member, next) in deadlock.members.iter().zip(next) {
            let blocker = member.blocked_by;
            assert_eq!(
                (blocker.owner, blocker.mode, blocker.granted),
                (next.owner, X, true)
            );
        }
        let victims = tickets.iter().filter(|ticket| ticket.end().is_some());
        let ends: Vec<_> = victims.map(|ticket| ticket.end()).collect();
        assert_eq!(ends, [Some(WaitEnd::Deadlock(deadlock.clone()))]);
        // Its locks stay until it releases them; then the others go on, one by one.
        assert_eq!(owners[usize::from(n - 1)].held(), 1);
        assert_eq!(fixture.locks.detect(), []);
        for id in (0..usize::from(n)).rev() {
            fixture.locks.release_all(&owners[id]);
            if id > 0 {
                assert!(is_granted(&tickets[id - 1]));
            }
        }
        assert_empty(&fixture.locks);
    }
}

#[test]
fn a_long_chain_is_no_deadlock() {
    let fixture = Fixture::new();
    let (_owners, mut tickets) = ring(&fixture, 200);
    drop(tickets.pop());
    assert_eq!(fixture.locks.detect(), []);
    assert_eq!(fixture.locks.detect_from(&tickets[0]), []);
    assert!(fixture.locks.graph().edges.iter().all(|edge| !edge.in_cycle));
}

#[test]
fn two_rings_have_two_victims() {
    let fixture = Fixture::new();
    let (_owners, tickets) = ring(&fixture, 3);
    let others: Vec<Owner> = (10..12).map(|id| fixture.owner(id)).collect();
    for (owner, number) in others.iter().zip([50, 51]) {
        fixture.granted(owner, &row(number), X);
    }
    let first = fixture.queued(&others[0], &row(51), S);
    let second = fixture.queued(&others[1], &row(50), S);
    assert_eq!(fixture.locks.detect_from(&tickets[1]).len(), 1);
    assert!(first.end().is_none() && second.end().is_none());
    let found = fixture.locks.detect();
    assert_eq!(
        found.iter().map(|deadlock| deadlock.victim.0).collect::<Vec<_>>(),
        [11]
    );
    assert_eq!(fixture.locks.counts().deadlocks, 2);
}

#[test]
fn two_conversions_that_wait_for_each_other_are_a_deadlock() {
    let fixture = Fixture::new();
    let (old, young) = (fixture.owner(1), fixture.owner(2));
    fixture.granted(&old, &row(1), S);
    fixture.granted(&young, &row(1), S);
    let of_old = fixture.queued(&old, &row(1), X);
    assert_eq!(fixture.locks.detect_from(&of_old), []);
    let of_young = fixture.queued(&young, &row(1), X);
    assert_eq!(fixture.locks.detect_from(&of_old)[0].victim, young.id());
    assert!(matches!(of_young.end(), Some(WaitEnd::Deadlock(_))));
    fixture.locks.release_all(&young);
    assert!(is_granted(&of_old));
}

/// The third owner waits for nobody's lock, but for the request that is ahead of it.
#[test]
fn a_place_in_the_queue_can_be_part_of_a_deadlock() {
    let fixture = Fixture::new();
    let (reader, writer, other) = (fixture.owner(1), fixture.owner(2), fixture.owner(3));
    fixture.granted(&reader, &row(1), S);
    fixture.granted(&other, &row(2), X);
    let of_writer = fixture.queued(&writer, &row(1), X);
    let of_other = fixture.queued(&other, &row(1), S);
    assert_eq!(fixture.locks.detect(), []);
    let of_reader = fixture.queued(&reader, &row(2), S);
    let graph = fixture.locks.graph();
    assert_eq!(graph.nodes.len(), 3);
    assert!(
        graph
            .nodes
            .iter()
            .all(|node| node.waits && node.cycle == graph.nodes[0].cycle)
    );
    assert_eq!(graph.edges.len(), 3);
    assert!(graph.edges.iter().all(|edge| edge.in_cycle));
    let found = fixture.locks.detect_from(&of_reader);
    assert_eq!(owners_of(&found[0]), [1, 2, 3]);
    let blocked = found[0].members.iter().find(|member| member.owner == other.id());
    assert!(!blocked.expect("a member").blocked_by.granted);
    assert!(matches!(of_other.end(), Some(WaitEnd::Deadlock(_))));
    fixture.locks.release_all(&other);
    assert!(is_granted(&of_reader));
    assert!(of_writer.end().is_none());
}

/// The wait of a victim may have been all that others waited for.
#[test]
fn who_waited_behind_a_victim_goes_on() {
    let fixture = Fixture::new();
    let (reader, victim, behind) = (fixture.owner(1), fixture.owner(8), fixture.owner(3));
    fixture.granted(&reader, &row(1), S);
    fixture.granted(&victim, &row(2), X);
    let of_victim = fixture.queued(&victim, &row(1), X);
    let of_behind = fixture.queued(&behind, &row(1), S);
    let of_reader = fixture.queued(&reader, &row(2), X);
    assert_eq!(fixture.locks.detect().len(), 1);
    assert!(matches!(of_victim.end(), Some(WaitEnd::Deadlock(_))));
    assert!(is_granted(&of_behind));
    assert!(of_reader.end().is_none());
}

/// A prepared branch of a two-phase commit.
#[test]
fn who_may_not_be_a_victim_does_not_wait() {
    let fixture = Fixture::new();
    let (prepared, other) = (fixture.owner(9), fixture.owner(1));
    fixture.granted(&prepared, &row(1), X);
    fixture.granted(&other, &row(2), X);
    prepared.set_killable(false).expect("it doesn't wait");
    assert!(!prepared.killable());
    let _ticket = fixture.queued(&other, &row(1), X);
    let asked = fixture.ask(&prepared, &row(2), X);
    assert!(matches!(asked, Acquired::Refused { blockers } if blockers[0].owner == other.id()));
    assert_eq!(fixture.locks.detect(), []);
    fixture.granted(&prepared, &row(3), X);
}
