//! Checks and applies a batch inside one redb write transaction. It is checked in full before its first change.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, WriteTransaction};

use super::errors::failed;
use super::layout::{
    self, LOG, LOG_KEY_BYTES, META, META_LOG_BYTES, META_LOG_TRIMMED, META_NEWEST, ROWS, STATS, StatsRow,
};
use crate::error::StoreError;
use crate::seam::{CommitSeq, KeyRange, SpaceId, SpaceStats, Write, WriteBatch};

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The batch is in, at this position.
    Applied(CommitSeq),
    /// The batch holds only guards, all met; the newest position.
    Held(CommitSeq),
    /// The first expectation that another commit broke.
    Conflict { space: SpaceId, key: Vec<u8> },
}

/// The open tables of a write transaction.
pub(super) struct Transaction<'txn> {
    rows: Table<'txn, &'static [u8], &'static [u8]>,
    stats: Table<'txn, u64, StatsRow>,
    log: Table<'txn, &'static [u8; LOG_KEY_BYTES], &'static [u8]>,
    meta: Table<'txn, &'static str, u64>,
    newest: CommitSeq,
    log_bytes: u64,
    log_trimmed_to: CommitSeq,
    /// Statistics of the spaces that were touched; the default stands for a space that is gone.
    touched: BTreeMap<SpaceId, SpaceStats>,
    key_buffer: Vec<u8>,
    value_buffer: Vec<u8>,
}

impl<'txn> Transaction<'txn> {
    /// `newest` is the position before it.
    pub(super) fn open(
        transaction: &'txn WriteTransaction,
        newest: CommitSeq,
    ) -> Result<Transaction<'txn>, StoreError> {
        let meta = transaction.open_table(META).map_err(failed)?;
        let log_bytes = layout::meta_number(&meta, META_LOG_BYTES)?;
        let log_trimmed_to = CommitSeq(layout::meta_number(&meta, META_LOG_TRIMMED)?);
        Ok(Transaction {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            stats: transaction.open_table(STATS).map_err(failed)?,
            log: transaction.open_table(LOG).map_err(failed)?,
            meta,
            newest,
            log_bytes,
            log_trimmed_to,
            touched: BTreeMap::new(),
            key_buffer: Vec::new(),
            value_buffer: Vec::new(),
        })
    }

    /// Checks the batch and applies it when every expectation holds. An error means that the storage failed
    /// and the whole transaction must be given up.
    pub(super) fn submit(&mut self, batch: &WriteBatch, now_us: i64) -> Result<Verdict, StoreError> {
        let written = batch
            .writes
            .iter()
            .map(|write| (write.space, &write.key, write.expected));
        let guarded = batch
            .guards
            .iter()
            .map(|guard| (guard.space, &guard.key, guard.expected));
        for (space, key, expected) in written.chain(guarded) {
            if self.version_of(space, key)? != expected {
                return Ok(Verdict::Conflict {
                    space,
                    key: key.clone(),
                });
            }
        }
        if batch.changes_nothing() {
            return Ok(Verdict::Held(self.newest));
        }
        self.newest = CommitSeq(self.newest.0 + 1);
        for space in &batch.dropped_spaces {
            self.drop_space(*space)?;
        }
        for write in &batch.writes {
            self.write(write, now_us)?;
        }
        self.append_log(&batch.log, now_us)?;
        if let Some(last) = batch.trim_log_to {
            self.trim_log(last)?;
        }
        Ok(Verdict::Applied(self.newest))
    }

    /// Writes the statistics and the newest position; the transaction can be committed after that.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        for (space, stats) in &self.touched {
            if *stats == SpaceStats::default() {
                self.stats.remove(space.0).map_err(failed)?;
            } else {
                self.stats
                    .insert(space.0, layout::stats_to_row(stats))
                    .map_err(failed)?;
            }
        }
        for (name, value) in [
            (META_NEWEST, self.newest.0),
            (META_LOG_BYTES, self.log_bytes),
            (META_LOG_TRIMMED, self.log_trimmed_to.0),
        ] {
            self.meta.insert(name, value).map_err(failed)?;
        }
        Ok(())
    }

    fn version_of(&mut self, space: SpaceId, key: &[u8]) -> Result<Option<CommitSeq>, StoreError> {
        layout::row_key_into(&mut self.key_buffer, space, key);
        match self.rows.get(self.key_buffer.as_slice()).map_err(failed)? {
            Some(value) => Ok(Some(layout::split_row_value(value.value())?.0)),
            None => Ok(None),
        }
    }

    fn drop_space(&mut self, space: SpaceId) -> Result<(), StoreError> {
        let bounds =
            layout::row_bounds(space, &KeyRange::default()).expect("a whole space is never an empty range");
        self.rows
            .retain_in::<&[u8], _>(layout::as_slices(&bounds), |_, _| false)
            .map_err(failed)?;
        self.touched.insert(space, SpaceStats::default());
        Ok(())
    }

    fn write(&mut self, write: &Write, now_us: i64) -> Result<(), StoreError> {
        layout::row_key_into(&mut self.key_buffer, write.space, &write.key);
        let row_key = self.key_buffer.as_slice();
        let old_bytes = {
            let old = match &write.value {
                Some(value) => {
                    layout::row_value_into(&mut self.value_buffer, self.newest, value);
                    self.rows
                        .insert(row_key, self.value_buffer.as_slice())
                        .map_err(failed)?
                }
                None => self.rows.remove(row_key).map_err(failed)?,
            };
            match old {
                Some(old) => Some(layout::split_row_value(old.value())?.1.len() as u64),
                None => None,
            }
        };
        let new_bytes = write.value.as_ref().map(|value| value.len() as u64);
        if old_bytes.is_none() && new_bytes.is_none() {
            return Ok(());
        }
        let newest = self.newest;
        let key_bytes = write.key.len() as u64;
        let stats = self.stats_of(write.space)?;
        if let Some(bytes) = old_bytes {
            let left = stats
                .entries
                .checked_sub(1)
                .zip(stats.bytes.checked_sub(key_bytes + bytes));
            let (entries, bytes) = left.ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "space {} holds more than its statistics say",
                    write.space.0
                ))
            })?;
            (stats.entries, stats.bytes) = (entries, bytes);
        }
        if let Some(bytes) = new_bytes {
            stats.entries += 1;
            stats.bytes += key_bytes + bytes;
        }
        stats.modified = newest;
        stats.modified_at_us = now_us;
        Ok(())
    }

    fn stats_of(&mut self, space: SpaceId) -> Result<&mut SpaceStats, StoreError> {
        use std::collections::btree_map::Entry;
        match self.touched.entry(space) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let row = self.stats.get(space.0).map_err(failed)?;
                Ok(unknown.insert(
                    row.map(|row| layout::stats_from_row(row.value()))
                        .unwrap_or_default(),
                ))
            }
        }
    }

    fn append_log(&mut self, payloads: &[Vec<u8>], now_us: i64) -> Result<(), StoreError> {
        for (index, payload) in (0u32..).zip(payloads) {
            layout::log_value_into(&mut self.value_buffer, now_us, payload);
            let key = layout::log_key(self.newest, index);
            self.log_bytes += layout::log_entry_bytes(&self.value_buffer);
            self.log
                .insert(&key, self.value_buffer.as_slice())
                .map_err(failed)?;
        }
        Ok(())
    }

    fn trim_log(&mut self, last: CommitSeq) -> Result<(), StoreError> {
        // No entry of a commit to come is named by a position, so none is lost by a position too large.
        let last = last.min(self.newest);
        if last <= self.log_trimmed_to {
            return Ok(());
        }
        let end = layout::log_key(last, u32::MAX);
        let mut removed = 0;
        self.log
            .retain_in::<&[u8; LOG_KEY_BYTES], _>(..=&end, |_, value| {
                removed += layout::log_entry_bytes(value);
                false
            })
            .map_err(failed)?;
        self.log_bytes = self.log_bytes.checked_sub(removed).ok_or_else(|| {
            StoreError::Corrupt("the change log holds more than its size in bytes says".to_owned())
        })?;
        self.log_trimmed_to = last;
        Ok(())
    }
}
