//! What prepared transactions rely on, and that no other commit may change until they have ended.
//!
//! A prepared transaction must be able to commit whatever others do. Its locks make those wait who lock what they change:
//! rows, values of unique constraints, tables. What is relied on without a lock is kept here: definitions, and whatever a
//! serializable transaction has read. A commit that would change any of it is refused with [`TableError::InDoubt`].
//!
//! With that a prepared transaction might as well run whole at its commit, for all that it read is as it was; so the order
//! of the commits explains every answer, as it does without two-phase commit ([`crate::reads`]). To place it at its vote
//! instead, and let others change what it read, would not do: one who reads after such a change, and commits before the
//! prepared one, sees the later of the two without the earlier.
//!
//! Pledges are made while no other commits (`commit_gate`, exclusive), and looked at under the same gate, shared, which is
//! held until the commit was made. So a commit is either before a pledge, and then the vote finds what it did, or it knows
//! of the pledge.
//!
//! [`TableError::InDoubt`]: crate::tables::TableError::InDoubt

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::reads::ReadSet;
use crate::seam::{SpaceId, WriteBatch};

/// The pledges of all prepared transactions, by number.
#[derive(Default)]
pub(super) struct Pledges {
    /// How many there are: almost always none.
    count: AtomicUsize,
    made: RwLock<BTreeMap<u64, Pledge>>,
}

/// What one prepared transaction relies on.
#[derive(Default)]
pub(super) struct Pledge {
    writes: Keys,
    guards: Keys,
    dropped: BTreeSet<SpaceId>,
    reads: ReadSet,
}

/// Where a commit and a pledge meet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) branch: u64,
    pub(super) space: SpaceId,
    pub(super) key: Vec<u8>,
}

#[derive(Default)]
struct Keys(BTreeMap<SpaceId, BTreeSet<Vec<u8>>>);

impl Keys {
    fn insert(&mut self, space: SpaceId, key: &[u8]) {
        self.0.entry(space).or_default().insert(key.to_vec());
    }

    fn holds(&self, space: SpaceId, key: &[u8]) -> bool {
        self.0.get(&space).is_some_and(|keys| keys.contains(key))
    }

    fn of_space(&self, space: SpaceId) -> bool {
        self.0.contains_key(&space)
    }

    fn iter(&self) -> impl Iterator<Item = (SpaceId, &[u8])> {
        self.0
            .iter()
            .flat_map(|(space, keys)| keys.iter().map(move |key| (*space, key.as_slice())))
    }
}

impl Pledge {
    /// `reads` of a transaction that is serializable.
    pub(super) fn of(batch: &WriteBatch, reads: Option<&ReadSet>) -> Pledge {
        let mut pledge = Pledge {
            dropped: batch.dropped_spaces.iter().copied().collect(),
            reads: reads.cloned().unwrap_or_default(),
            ..Pledge::default()
        };
        for write in &batch.writes {
            pledge.writes.insert(write.space, &write.key);
        }
        for guard in &batch.guards {
            pledge.guards.insert(guard.space, &guard.key);
        }
        pledge
    }

    /// Whether the key may not be written.
    fn needs(&self, space: SpaceId, key: &[u8]) -> bool {
        self.dropped.contains(&space)
            || self.writes.holds(space, key)
            || self.guards.holds(space, key)
            || self.reads.touches(space, key)
    }

    /// Whether nobody may rely on the key as it is.
    fn changes(&self, space: SpaceId, key: &[u8]) -> bool {
        self.dropped.contains(&space) || self.writes.holds(space, key)
    }

    /// Whether the space may not go.
    fn needs_space(&self, space: SpaceId) -> bool {
        self.writes.of_space(space)
            || self.guards.of_space(space)
            || self.dropped.contains(&space)
            || self.reads.spaces().any(|(read, _)| read == space)
    }

    /// The first place where what a commit changes, or relies on, is what this one relies on, or changes.
    fn meets<'k>(
        &self,
        mut writes: impl Iterator<Item = (SpaceId, &'k [u8])>,
        mut guards: impl Iterator<Item = (SpaceId, &'k [u8])>,
        mut dropped: impl Iterator<Item = SpaceId>,
    ) -> Option<(SpaceId, Vec<u8>)> {
        let owned = |(space, key): (SpaceId, &[u8])| (space, key.to_vec());
        writes
            .find(|(space, key)| self.needs(*space, key))
            .or_else(|| guards.find(|(space, key)| self.changes(*space, key)))
            .map(owned)
            .or_else(|| {
                let space = dropped.find(|space| self.needs_space(*space))?;
                Some((space, Vec::new()))
            })
    }

    fn meets_batch(&self, batch: &WriteBatch) -> Option<(SpaceId, Vec<u8>)> {
        self.meets(
            batch
                .writes
                .iter()
                .map(|write| (write.space, write.key.as_slice())),
            batch
                .guards
                .iter()
                .map(|guard| (guard.space, guard.key.as_slice())),
            batch.dropped_spaces.iter().copied(),
        )
    }

    fn meets_pledge(&self, other: &Pledge) -> Option<(SpaceId, Vec<u8>)> {
        self.meets(
            other.writes.iter(),
            other.guards.iter(),
            other.dropped.iter().copied(),
        )
    }
}

impl Pledges {
    /// Where a commit would break a pledge. The caller holds the gate until the commit was made.
    pub(super) fn broken_by(&self, batch: &WriteBatch) -> Option<Met> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let made = self.made.read();
        made.iter().find_map(|(&branch, pledge)| {
            let (space, key) = pledge.meets_batch(batch)?;
            Some(Met { branch, space, key })
        })
    }

    /// Makes a pledge, unless it and another one can't both be kept, in whichever order the two commit. The caller holds the
    /// gate alone.
    pub(super) fn make(&self, id: u64, pledge: Pledge) -> Result<(), Met> {
        let mut made = self.made.write();
        for (&branch, other) in made.iter() {
            let met = other.meets_pledge(&pledge).or_else(|| pledge.meets_pledge(other));
            if let Some((space, key)) = met {
                return Err(Met { branch, space, key });
            }
        }
        made.insert(id, pledge);
        self.count.store(made.len(), Ordering::Release);
        Ok(())
    }

    /// The transaction has ended.
    pub(super) fn release(&self, id: u64) {
        let mut made = self.made.write();
        made.remove(&id);
        self.count.store(made.len(), Ordering::Release);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::seam::{Guard, KeyRange, Write};

    const ROWS: SpaceId = SpaceId(2000);
    const INDEX: SpaceId = SpaceId(2001);

    fn batch(writes: &[(SpaceId, u8)], guards: &[(SpaceId, u8)], dropped: &[SpaceId]) -> WriteBatch {
        WriteBatch {
            writes: writes
                .iter()
                .map(|(space, key)| Write {
                    space: *space,
                    key: vec![*key],
                    expected: None,
                    value: None,
                })
                .collect(),
            guards: guards
                .iter()
                .map(|(space, key)| Guard {
                    space: *space,
                    key: vec![*key],
                    expected: None,
                })
                .collect(),
            dropped_spaces: dropped.to_vec(),
            ..WriteBatch::default()
        }
    }

    fn reads() -> ReadSet {
        let mut reads = ReadSet::default();
        reads.range(
            INDEX,
            &KeyRange {
                from: Some(vec![5]),
                until: Some(vec![7]),
                ..KeyRange::default()
            },
        );
        reads
    }

    #[test]
    fn what_is_relied_on_can_not_be_written_and_what_is_written_not_relied_on() {
        let pledges = Pledges::default();
        let own = batch(
            &[(ROWS, 1), (SpaceId::CATALOG, 1)],
            &[(SpaceId::CATALOG, 2)],
            &[SpaceId(3000)],
        );
        pledges.make(7, Pledge::of(&own, Some(&reads()))).unwrap();
        let refused = [
            batch(&[(ROWS, 1)], &[], &[]),
            batch(&[(SpaceId::CATALOG, 1)], &[], &[]),
            batch(&[(SpaceId::CATALOG, 2)], &[], &[]),
            batch(&[(INDEX, 5)], &[], &[]),
            batch(&[(INDEX, 6)], &[], &[]),
            batch(&[(SpaceId(3000), 9)], &[], &[]),
            batch(&[], &[(ROWS, 1)], &[]),
            batch(&[], &[(SpaceId::CATALOG, 1)], &[]),
            batch(&[], &[(SpaceId(3000), 9)], &[]),
            batch(&[], &[], &[ROWS]),
            batch(&[], &[], &[INDEX]),
            batch(&[], &[], &[SpaceId(3000)]),
        ];
        for batch in &refused {
            let met = pledges.broken_by(batch);
            assert!(
                met.as_ref().is_some_and(|met| met.branch == 7),
                "{batch:?}: {met:?}"
            );
        }
        let admitted = [
            batch(
                &[(ROWS, 2), (SpaceId::CATALOG, 3), (INDEX, 4), (INDEX, 7)],
                &[],
                &[],
            ),
            batch(&[], &[(SpaceId::CATALOG, 2), (INDEX, 5)], &[SpaceId(2002)]),
        ];
        for batch in &admitted {
            assert_eq!(pledges.broken_by(batch), None, "{batch:?}");
        }
        pledges.release(7);
        for batch in &refused {
            assert_eq!(pledges.broken_by(batch), None, "{batch:?}");
        }
    }

    /// Of two that are prepared, none may have read what the other is to write: each may be the first to commit.
    #[test]
    fn two_pledges_are_kept_in_either_order_or_the_second_is_not_made() {
        let writer = || Pledge::of(&batch(&[(INDEX, 6)], &[], &[]), None);
        let reader = || Pledge::of(&batch(&[(ROWS, 1)], &[], &[]), Some(&reads()));
        for (first, second) in [(writer(), reader()), (reader(), writer())] {
            let pledges = Pledges::default();
            pledges.make(1, first).unwrap();
            let met = pledges.make(2, second).unwrap_err();
            assert_eq!((met.branch, met.space, met.key), (1, INDEX, vec![6]));
        }
        let pledges = Pledges::default();
        pledges.make(1, writer()).unwrap();
        let shared = || Pledge::of(&batch(&[], &[(SpaceId::CATALOG, 1)], &[]), None);
        pledges.make(2, shared()).unwrap();
        pledges.make(3, shared()).unwrap();
    }
}
