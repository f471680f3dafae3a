//! Where keys were removed, or have versions besides their newest: leaves that are pruned, and merged when they have become
//! thin, once nobody reads what they held.
//!
//! Nothing of this is durable. What a restart forgets, or what is too much to remember, is left to whoever tidies whole
//! spaces ([`Kernel::tidy_space`](super::Kernel::tidy_space)).

use std::collections::{BTreeMap, VecDeque};

use super::{DIRECTORY_OWNER, Inner, Readers};
use crate::error::Result;
use crate::ids::Ts;
use crate::page::node::{KEY_BYTES_MAX, OwnedVersionKey};
use crate::sync::Mutex;

/// Commits whose keys are one range, when they follow each other: a range waits for the newest of them.
const JOINED_COMMITS_MAX: u64 = 4096;
/// Ranges that are remembered.
const RANGES_MAX: usize = 1024;
/// Leaves that one step looks at.
const LEAVES_MAX: usize = 64;

/// Such keys of a space, or of the directory, lie from `from` to `until`, both included.
struct Emptied {
    space: u64,
    from: Vec<u8>,
    until: Vec<u8>,
    /// Where to go on, which may be within the versions of one key; `None` before its first leaf was looked at.
    next: Option<OwnedVersionKey>,
    /// The newest commit that removed or wrote some.
    ts: Ts,
    /// The oldest.
    since: Ts,
    /// They were pruned once, and snapshots read some of them still.
    pruned: bool,
}

/// Ranges in the order of the commits.
#[derive(Default)]
pub(super) struct EmptiedRanges(Mutex<VecDeque<Emptied>>);

/// Of one commit, per space the first and the last of such keys.
#[derive(Default)]
pub(super) struct Removed(BTreeMap<u64, (Vec<u8>, Vec<u8>)>);

impl Removed {
    pub fn note(&mut self, space: u64, key: &[u8]) {
        let (from, until) = self
            .0
            .entry(space)
            .or_insert_with(|| (key.to_vec(), key.to_vec()));
        if key < from.as_slice() {
            *from = key.to_vec();
        } else if key > until.as_slice() {
            *until = key.to_vec();
        }
    }

    /// All keys of the space.
    pub fn note_whole(&mut self, space: u64) {
        self.0.insert(space, (Vec::new(), vec![u8::MAX; KEY_BYTES_MAX]));
    }
}

impl EmptiedRanges {
    /// Remembers such keys of the commit `ts`.
    pub fn add(&self, removed: Removed, ts: Ts) {
        let mut ranges = self.0.lock();
        for (space, (from, until)) in removed.0 {
            // Those of commits that follow each other are one range, as of a queue: of each space, since a commit seldom
            // writes one only. Where there is no room for another range, one that waits longer is better than none.
            let is_full = ranges.len() >= RANGES_MAX;
            let joins = |range: &&mut Emptied| {
                let is_new = range.next.is_none() && !range.pruned;
                range.space == space && is_new && (is_full || ts.0 - range.since.0 < JOINED_COMMITS_MAX)
            };
            if let Some(range) = ranges.iter_mut().rev().find(joins) {
                range.from = std::mem::take(&mut range.from).min(from);
                range.until = std::mem::take(&mut range.until).max(until);
                range.ts = ts;
                continue;
            }
            if is_full {
                ranges.pop_front();
            }
            ranges.push_back(Emptied {
                space,
                from,
                until,
                next: None,
                ts,
                since: ts,
                pruned: false,
            });
        }
    }

    /// The oldest range that `readers` let prune, in part at least where it was not pruned before.
    fn take(&self, readers: &Readers) -> Option<Emptied> {
        let mut ranges = self.0.lock();
        let due = |range: &Emptied| match range.pruned {
            true => range.ts <= readers.oldest(),
            false => range.ts <= readers.window(),
        };
        let at = ranges.iter().position(due)?;
        ranges.remove(at)
    }

    /// Each of the commits left a version of the space's statistics.
    fn add_directory(&self, range: &Emptied) {
        if range.space != DIRECTORY_OWNER {
            let key = range.space.to_be_bytes().to_vec();
            self.put_back(Emptied {
                space: DIRECTORY_OWNER,
                from: key.clone(),
                until: key,
                next: None,
                ts: range.ts,
                since: range.since,
                pruned: range.pruned,
            });
        }
    }

    /// Until the snapshots are closed that keep it from being pruned.
    fn put_off(&self, range: Emptied) {
        let mut ranges = self.0.lock();
        if ranges.len() < RANGES_MAX {
            ranges.push_back(range);
        }
    }

    fn put_back(&self, range: Emptied) {
        self.0.lock().push_front(range);
    }
}

impl Inner {
    /// Tidies some leaves where keys were removed. Whether there may be more to do.
    pub(super) fn tidy_emptied(&self) -> Result<bool> {
        let readers = self
            .snapshots
            .readers(self.clock.now_us(), || self.published.read().ts);
        let Some(mut range) = self.emptied.take(&readers) else {
            return Ok(false);
        };
        let mut from = range.next.take().unwrap_or_else(|| OwnedVersionKey {
            key: range.from.clone(),
            ts: Ts::MAX,
        });
        for _ in 0..LEAVES_MAX {
            match self.tidy(range.space, &from)?.1 {
                Some(next) if next.key <= range.until => from = next,
                _ => {
                    self.emptied.add_directory(&range);
                    if !range.pruned && range.ts > readers.oldest() {
                        range.pruned = true;
                        self.emptied.put_off(range);
                    }
                    return Ok(true);
                }
            }
        }
        range.next = Some(from);
        self.emptied.put_back(range);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(ranges: &EmptiedRanges, ts: u64, keys: &[(u64, u8)]) {
        let mut removed = Removed::default();
        for (space, key) in keys {
            removed.note(*space, &[*key]);
        }
        ranges.add(removed, Ts(ts));
    }

    fn taken(ranges: &EmptiedRanges, newest: u64) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
        let readers = Readers::none(Ts(newest));
        std::iter::from_fn(|| ranges.take(&readers))
            .map(|range| (range.space, range.from, range.until))
            .collect()
    }

    #[test]
    fn commits_that_write_several_spaces_make_one_range_of_each() {
        let ranges = EmptiedRanges::default();
        let commits = JOINED_COMMITS_MAX + 10;
        for ts in 1..=commits {
            add(
                &ranges,
                ts,
                &[(1, 5), (2, 5), (1, (ts % 7) as u8), (2, 200 - (ts % 9) as u8)],
            );
        }
        let expected = [(1, vec![0], vec![6]), (2, vec![5], vec![200])];
        assert_eq!(taken(&ranges, JOINED_COMMITS_MAX), expected, "what is old enough");
        assert_eq!(taken(&ranges, commits).len(), 2, "what came since");
        assert!(taken(&ranges, commits).is_empty());
    }

    #[test]
    fn without_room_for_another_range_one_of_the_space_grows() {
        let ranges = EmptiedRanges::default();
        add(&ranges, 1, &[(0, 7)]);
        let mut ts = 1;
        while ranges.0.lock().len() < RANGES_MAX {
            ts += JOINED_COMMITS_MAX;
            add(&ranges, ts, &[(1, 3)]);
        }
        add(&ranges, ts + JOINED_COMMITS_MAX, &[(1, 9)]);
        let taken = taken(&ranges, ts + JOINED_COMMITS_MAX);
        assert_eq!(taken.len(), RANGES_MAX);
        assert_eq!(taken[0], (0, vec![7], vec![7]), "the oldest is still known");
        assert_eq!(taken[RANGES_MAX - 1], (1, vec![3], vec![9]));
    }
}
