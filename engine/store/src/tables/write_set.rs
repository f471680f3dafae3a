//! The private writes of a transaction, laid over its snapshot.
//!
//! Copy on write in two levels: freezing the set for a reader copies nothing, and the first write after that
//! copies the one space it touches, and only if the reader still lives.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::seam::{CommitSeq, KeyRange, SpaceId};
use crate::tables::Result;
use crate::tables::spill::Value;

#[derive(Clone, Default)]
pub(super) struct WriteSet {
    spaces: BTreeMap<SpaceId, Arc<SpaceWrites>>,
}

/// The writes in one space, and by how much they change its size.
#[derive(Clone, Default)]
pub(super) struct SpaceWrites {
    keys: BTreeMap<Vec<u8>, Pending>,
    pub(super) entries_delta: i64,
    pub(super) bytes_delta: i64,
}

/// What a transaction makes of one key.
#[derive(Clone)]
pub(super) struct Pending {
    /// What the snapshot holds; `None` when it has no such key.
    pub(super) base: Option<Base>,
    /// `None` removes the key.
    pub(super) value: Option<Value>,
}

impl Pending {
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.value.as_ref().map(Value::read).transpose()?)
    }
}

/// What is remembered of the value that the snapshot holds for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) version: CommitSeq,
    pub(super) value_bytes: usize,
}

impl WriteSet {
    pub(super) fn space(&self, space: SpaceId) -> Option<&SpaceWrites> {
        self.spaces
            .get(&space)
            .map(|writes| &**writes)
            .filter(|writes| !writes.keys.is_empty())
    }

    pub(super) fn spaces(&self) -> impl Iterator<Item = (SpaceId, &SpaceWrites)> {
        self.spaces.iter().map(|(&space, writes)| (space, &**writes))
    }

    pub(super) fn get(&self, space: SpaceId, key: &[u8]) -> Option<&Pending> {
        self.spaces.get(&space)?.keys.get(key)
    }

    /// Sets what becomes of a key, `None` forgetting it; answers what was set before.
    pub(super) fn set(&mut self, space: SpaceId, key: &[u8], pending: Option<Pending>) -> Option<Pending> {
        let writes = Arc::make_mut(self.spaces.entry(space).or_default());
        if let Some(pending) = &pending {
            writes.count(key, pending, 1);
        }
        let previous = match pending {
            Some(pending) => writes.keys.insert(key.to_vec(), pending),
            None => writes.keys.remove(key),
        };
        if let Some(previous) = &previous {
            writes.count(key, previous, -1);
        }
        previous
    }
}

impl SpaceWrites {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &Pending)> {
        self.keys.iter()
    }

    /// The keys of a range, in order.
    pub(super) fn range(&self, range: &KeyRange) -> Box<dyn Iterator<Item = (&Vec<u8>, &Pending)> + '_> {
        let (start, start_key) = match (&range.from, &range.after) {
            (None, None) => (Bound::Unbounded, None),
            (Some(from), Some(after)) if from > after => (Bound::Included(from), Some(from)),
            (_, Some(after)) => (Bound::Excluded(after), Some(after)),
            (Some(from), None) => (Bound::Included(from), Some(from)),
        };
        if let (Some(start), Some(until)) = (start_key, &range.until)
            && start >= until
        {
            return Box::new(std::iter::empty());
        }
        let end = range.until.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        Box::new(self.keys.range::<Vec<u8>, _>((start, end)))
    }

    fn count(&mut self, key: &[u8], pending: &Pending, sign: i64) {
        if let Some(base) = pending.base {
            self.entries_delta -= sign;
            self.bytes_delta -= sign * (key.len() + base.value_bytes) as i64;
        }
        if let Some(value) = &pending.value {
            self.entries_delta += sign;
            self.bytes_delta += sign * (key.len() + value.len()) as i64;
        }
    }
}
