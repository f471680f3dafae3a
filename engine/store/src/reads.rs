//! What a serializable transaction has read, and the check that it still stands at the commit.
//!
//! **Method.** Backward validation: a transaction reads its snapshot, and its commit is accepted only when no commit
//! since that snapshot wrote a key that it read, or would have found in a range that it read. Then everything it read
//! is at the commit as it was, so that it might as well have run whole at that moment; the order of the commits is a
//! serial order that explains every answer. The idea is of Kung and Robinson, "On Optimistic Methods for Concurrency
//! Control", TODS 1981; checking the ranges once more to keep phantoms out is as in Larson et al., "High-Performance
//! Concurrency Control Mechanisms for Main-Memory Databases", VLDB 2012.
//!
//! A transaction that writes nothing is not checked: its snapshot is the state after a commit, which is a place in
//! that order. So who only reads never waits and is never refused.
//!
//! ```text
//! a: begin at 7, reads x and y, writes x        b: begin at 7, reads x and y, writes y
//! a: commit: nothing it read was written since 7: commit 8, which writes x
//! b: commit: commit 8 wrote x, which b has read: refused; under snapshot isolation this write skew would pass
//! ```
//!
//! A [`ReadSet`] is exact up to a bound; beyond it keys become ranges and ranges whole spaces, which refuses more
//! transactions than need be and never fewer. [`RecentWrites`] is what commits wrote, bounded as well: who is older
//! than what is remembered is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::seam::{CommitSeq, KeyRange, SpaceId, WriteBatch};

/// Keys and ranges of one space that are told apart; one more, and the whole space counts as read.
const READS_PER_SPACE_MAX: usize = 10_000;
/// Keys of commits that are remembered while a serializable transaction is open.
const KEYS_MAX: usize = 1 << 20;
/// The same while none is: one that begins may read a state that commits on their way to the disk have left behind.
const KEYS_IDLE_MAX: usize = 1 << 12;

/// What a transaction has read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    spaces: BTreeMap<SpaceId, SpaceReads>,
}

/// What was read of one space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpaceReads {
    /// Any key counts as read.
    pub whole: bool,
    pub keys: BTreeSet<Vec<u8>>,
    /// Start, included, and end, excluded where there is one; by start.
    pub ranges: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl ReadSet {
    pub fn key(&mut self, space: SpaceId, key: &[u8]) {
        let reads = self.spaces.entry(space).or_default();
        if !reads.touches(key) {
            reads.keys.insert(key.to_vec());
            reads.bound();
        }
    }

    /// The range was read whole.
    pub fn range(&mut self, space: SpaceId, range: &KeyRange) {
        // The first key behind another is that one with a byte 0 more.
        let after = range
            .after
            .as_ref()
            .map(|after| [after.as_slice(), &[0]].concat());
        let from = range.from.clone().max(after).unwrap_or_default();
        self.spaces
            .entry(space)
            .or_default()
            .add_range(from, range.until.clone());
    }

    /// The whole space was read, its size for instance.
    pub fn space(&mut self, space: SpaceId) {
        self.spaces.entry(space).or_default().add_range(Vec::new(), None);
    }

    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    pub fn spaces(&self) -> impl Iterator<Item = (SpaceId, &SpaceReads)> {
        self.spaces.iter().map(|(&space, reads)| (space, reads))
    }

    /// Whether the key was read, or a range that it is in.
    pub fn touches(&self, space: SpaceId, key: &[u8]) -> bool {
        self.spaces.get(&space).is_some_and(|reads| reads.touches(key))
    }
}

impl SpaceReads {
    fn touches(&self, key: &[u8]) -> bool {
        self.whole || self.keys.contains(key) || self.in_range(key)
    }

    fn in_range(&self, key: &[u8]) -> bool {
        // Ranges do not overlap, so that only the last to begin at or before the key may hold it.
        self.begun_at(key)
            .is_some_and(|(_, until)| until.as_deref().is_none_or(|until| key < until))
    }

    /// The last range to begin at or before the key.
    fn begun_at(&self, key: &[u8]) -> Option<(&Vec<u8>, &Option<Vec<u8>>)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        self.ranges.range::<[u8], _>(up_to).next_back()
    }

    /// Adds a range, joined with those that it meets.
    fn add_range(&mut self, mut from: Vec<u8>, mut until: Option<Vec<u8>>) {
        if self.whole || until.as_ref().is_some_and(|until| *until <= from) {
            return;
        }
        if let Some((start, end)) = self.begun_at(&from)
            && end.as_ref().is_none_or(|end| *end >= from)
        {
            from.clone_from(start);
            until = later(until, end.clone());
        }
        loop {
            let met = self.ranges.range(from.clone()..).next();
            let meets = |start: &Vec<u8>| until.as_ref().is_none_or(|until| start <= until);
            let Some((start, end)) = met.filter(|(start, _)| meets(start)) else {
                break;
            };
            let start = start.clone();
            until = later(until, end.clone());
            self.ranges.remove(&start);
        }
        self.ranges.insert(from, until);
        self.bound();
    }

    fn bound(&mut self) {
        let everything = self.ranges.get(&[] as &[u8]).is_some_and(Option::is_none);
        if everything || self.keys.len() + self.ranges.len() > READS_PER_SPACE_MAX {
            *self = SpaceReads {
                whole: true,
                ..SpaceReads::default()
            };
        }
    }
}

/// The later of two ends; none is behind everything.
fn later(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> Option<Vec<u8>> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// Reads that a batch relies on: at its commit they must be what they were in the state after `snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    pub snapshot: CommitSeq,
    pub reads: Arc<ReadSet>,
}

/// What commits wrote lately. Its owner calls it under the latch that orders commits.
#[derive(Debug, Default)]
pub struct RecentWrites {
    log: Mutex<Log>,
    interested: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Log {
    commits: VecDeque<Written>,
    keys: usize,
    /// What this commit and those before it wrote is not remembered.
    forgotten_to: CommitSeq,
}

#[derive(Debug)]
struct Written {
    commit: CommitSeq,
    keys: Vec<(SpaceId, Vec<u8>)>,
    dropped: Vec<SpaceId>,
}

/// As long as it lives, more of what commits write is remembered.
#[derive(Debug)]
pub struct ReadInterest(Arc<AtomicUsize>);

impl Drop for ReadInterest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl RecentWrites {
    /// To be called when a store is opened whose newest commit is this one.
    pub fn starting_at(newest: CommitSeq) -> RecentWrites {
        let recent = RecentWrites::default();
        recent.log.lock().forgotten_to = newest;
        recent
    }

    /// To be called before the snapshot is taken whose reads are to be validated.
    pub fn interest(&self) -> ReadInterest {
        self.interested.fetch_add(1, Ordering::AcqRel);
        ReadInterest(Arc::clone(&self.interested))
    }

    /// The first key that was read and that a commit after `since` wrote.
    pub fn conflict(&self, reads: &ReadSet, since: CommitSeq) -> Option<(SpaceId, Vec<u8>)> {
        let log = self.log.lock();
        if since < log.forgotten_to {
            let space = reads.spaces().next().map(|(space, _)| space)?;
            return Some((space, Vec::new()));
        }
        let first = log.commits.partition_point(|written| written.commit <= since);
        log.commits.range(first..).find_map(|written| {
            let dropped = written
                .dropped
                .iter()
                .find(|space| reads.spaces.contains_key(space));
            let key = written
                .keys
                .iter()
                .find(|(space, key)| reads.touches(*space, key));
            dropped.map(|space| (*space, Vec::new())).or_else(|| key.cloned())
        })
    }

    /// Remembers what the commit wrote.
    pub fn note(&self, commit: CommitSeq, batch: &WriteBatch) {
        let keys: Vec<_> = batch
            .writes
            .iter()
            .map(|write| (write.space, write.key.clone()))
            .collect();
        let keys_max = match self.interested.load(Ordering::Acquire) {
            0 => KEYS_IDLE_MAX,
            _ => KEYS_MAX,
        };
        let mut log = self.log.lock();
        log.keys += keys.len();
        log.commits.push_back(Written {
            commit,
            keys,
            dropped: batch.dropped_spaces.clone(),
        });
        // Commits without keys take room too.
        while log.keys + log.commits.len() > keys_max
            && let Some(oldest) = log.commits.pop_front()
        {
            log.keys -= oldest.keys.len();
            log.forgotten_to = oldest.commit;
        }
    }

    /// The newest commit that is remembered or forgotten.
    pub fn newest(&self) -> CommitSeq {
        let log = self.log.lock();
        log.commits
            .back()
            .map_or(log.forgotten_to, |written| written.commit)
    }
}

#[cfg(test)]
mod tests;
