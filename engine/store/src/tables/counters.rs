//! Numbers that are never given twice, not even across restarts.
//!
//! A durable counter in the space `META` is moved on by a block at a time, in a commit of its own; numbers of
//! the block are then given from memory. What is left of a block at a restart is skipped. So inserting rows
//! never makes two transactions conflict over a counter, and costs a commit once in thousands of rows.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::StoreError;
use crate::seam::{SpaceId, TableStore, Write, WriteBatch};
use crate::tables::{Result, TableError, corrupt};

/// Tries to move a counter on before giving up; each failure means that somebody else succeeded.
const RESERVE_TRIES_MAX: usize = 64;

pub(crate) struct Counter {
    store: Arc<dyn TableStore>,
    /// Key in the space `META`; the value is the first number not yet reserved, 8 bytes big-endian.
    key: &'static [u8],
    first: u64,
    block: u64,
    reserved: Mutex<std::ops::Range<u64>>,
}

impl Counter {
    /// Numbers from `first` on, reserved `block` at a time.
    pub(crate) fn new(store: Arc<dyn TableStore>, key: &'static [u8], first: u64, block: u64) -> Counter {
        Counter {
            store,
            key,
            first,
            block,
            reserved: Mutex::new(0..0),
        }
    }

    /// The first of `count` consecutive numbers.
    pub(crate) fn take(&self, count: u64) -> Result<u64> {
        let mut reserved = self.reserved.lock();
        if reserved.end - reserved.start < count {
            *reserved = self.reserve(count.max(self.block))?;
        }
        let start = reserved.start;
        reserved.start += count;
        Ok(start)
    }

    fn reserve(&self, count: u64) -> Result<std::ops::Range<u64>> {
        for _ in 0..RESERVE_TRIES_MAX {
            let current = self.store.snapshot()?.get(SpaceId::META, self.key)?;
            let start = match &current {
                None => self.first,
                Some(current) => current
                    .value
                    .as_slice()
                    .try_into()
                    .map(u64::from_be_bytes)
                    .map_err(|_| corrupt("a counter is not eight bytes long"))?,
            };
            let end = start
                .checked_add(count)
                .ok_or_else(|| corrupt("a counter has run out of numbers"))?;
            let write = Write {
                space: SpaceId::META,
                key: self.key.to_vec(),
                expected: current.map(|current| current.version),
                value: Some(end.to_be_bytes().to_vec()),
            };
            match self.store.commit(WriteBatch {
                writes: vec![write],
                ..WriteBatch::default()
            }) {
                Ok(_) => return Ok(start..end),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TableError::WriteConflict {
            object: "a counter".to_owned(),
        })
    }
}
