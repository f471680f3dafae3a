//! Where keys were removed: leaves that may have become thin, which are pruned and merged once no snapshot sees what they
//! held.
//!
//! Nothing of this is durable. What a restart forgets, or what is too much to remember, is left to whoever tidies whole
//! spaces ([`Kernel::tidy_space`](super::Kernel::tidy_space)).

use std::collections::{BTreeMap, VecDeque};

use super::{DIRECTORY_OWNER, Inner};
use crate::error::Result;
use crate::ids::Ts;
use crate::page::node::OwnedVersionKey;
use crate::sync::Mutex;

/// Ranges that are remembered.
const RANGES_MAX: usize = 1024;
/// Leaves that one step looks at.
const LEAVES_MAX: usize = 64;

/// Keys that were removed of a space, or of the directory, lie from `from` to `until`, both included.
struct Emptied {
    space: u64,
    from: Vec<u8>,
    until: Vec<u8>,
    /// The newest commit that removed some.
    ts: Ts,
}

/// Ranges in the order of the commits.
#[derive(Default)]
pub(super) struct EmptiedRanges(Mutex<VecDeque<Emptied>>);

/// Of one commit, per space the first and the last key that it removed.
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
}

impl EmptiedRanges {
    /// Remembers what the commit `ts` removed.
    pub fn add(&self, removed: Removed, ts: Ts) {
        let mut ranges = self.0.lock();
        for (space, (from, until)) in removed.0 {
            // Removals one after the other in one space, as of a queue, are one range.
            if let Some(last) = ranges.back_mut().filter(|last| last.space == space) {
                last.from = std::mem::take(&mut last.from).min(from);
                last.until = std::mem::take(&mut last.until).max(until);
                last.ts = ts;
                continue;
            }
            if ranges.len() == RANGES_MAX {
                ranges.pop_front();
            }
            ranges.push_back(Emptied {
                space,
                from,
                until,
                ts,
            });
        }
    }

    /// The oldest range whose keys no snapshot at or behind `horizon` sees.
    fn take(&self, horizon: Ts) -> Option<Emptied> {
        let mut ranges = self.0.lock();
        ranges.front().filter(|oldest| oldest.ts <= horizon)?;
        ranges.pop_front()
    }

    /// Each of the commits left a version of the space's statistics.
    fn add_directory(&self, range: &Emptied) {
        if range.space != DIRECTORY_OWNER {
            let key = range.space.to_be_bytes().to_vec();
            self.put_back(Emptied {
                space: DIRECTORY_OWNER,
                from: key.clone(),
                until: key,
                ts: range.ts,
            });
        }
    }

    fn put_back(&self, range: Emptied) {
        self.0.lock().push_front(range);
    }
}

impl Inner {
    /// Tidies some leaves where keys were removed. Whether there may be more to do.
    pub(super) fn tidy_emptied(&self) -> Result<bool> {
        let horizon = self.snapshots.horizon(|| self.published.read().ts);
        let Some(mut range) = self.emptied.take(horizon) else {
            return Ok(false);
        };
        let mut from = OwnedVersionKey {
            key: std::mem::take(&mut range.from),
            ts: Ts::MAX,
        };
        for _ in 0..LEAVES_MAX {
            match self.tidy(range.space, &from)? {
                Some(next) if next.key <= range.until => from = next,
                _ => {
                    self.emptied.add_directory(&range);
                    return Ok(true);
                }
            }
        }
        range.from = from.key;
        self.emptied.put_back(range);
        Ok(true)
    }
}
