//! One commit position, read through one redb read transaction.

use redb::{ReadOnlyTable, ReadTransaction};

use super::errors::failed;
use super::layout::{
    self, LOG, LOG_KEY_BYTES, META, META_EPOCH, META_LOG_BYTES, META_LOG_TRIMMED, META_NEWEST, ROWS, STATS,
    StatsRow,
};
use crate::error::StoreError;
use crate::seam::{CommitSeq, KeyRange, LogEntry, LogExtent, SpaceId, SpaceStats, StoreSnapshot, Versioned};

/// Entries to reserve room for at most, whatever a caller asks: a scan of few rows may name a large bound.
const RESERVE_ENTRIES_MAX: usize = 1024;

/// A state of the store. The tables keep the read transaction, and with it the pages, alive.
pub struct RedbSnapshot {
    log_extent: LogExtent,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    stats: ReadOnlyTable<u64, StatsRow>,
    log: ReadOnlyTable<&'static [u8; LOG_KEY_BYTES], &'static [u8]>,
}

impl RedbSnapshot {
    /// Opens the tables of `transaction`, once for all reads through the snapshot.
    pub(super) fn open(transaction: &ReadTransaction) -> Result<RedbSnapshot, StoreError> {
        let meta = transaction.open_table(META).map_err(failed)?;
        let number = |name| layout::meta_number(&meta, name);
        Ok(RedbSnapshot {
            log_extent: LogExtent {
                epoch: number(META_EPOCH)?,
                trimmed_to: CommitSeq(number(META_LOG_TRIMMED)?),
                newest: CommitSeq(number(META_NEWEST)?),
                bytes: number(META_LOG_BYTES)?,
            },
            rows: transaction.open_table(ROWS).map_err(failed)?,
            stats: transaction.open_table(STATS).map_err(failed)?,
            log: transaction.open_table(LOG).map_err(failed)?,
        })
    }

    pub(super) fn log_extent(&self) -> LogExtent {
        self.log_extent
    }

    /// See [`TableStore::log_after`](crate::seam::TableStore::log_after). One descent, then a walk along the
    /// leaves: the log is in commit order.
    pub(super) fn log_after(
        &self,
        after: CommitSeq,
        entries_max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let trimmed_to = self.log_extent.trimmed_to;
        if after < trimmed_to {
            return Err(StoreError::LogTrimmed { after, trimmed_to });
        }
        let Some(first) = after.0.checked_add(1) else {
            return Ok(Vec::new());
        };
        let mut entries: Vec<LogEntry> = Vec::new();
        let start = layout::log_key(CommitSeq(first), 0);
        for item in self.log.range::<&[u8; LOG_KEY_BYTES]>(&start..).map_err(failed)? {
            let (key, value) = item.map_err(failed)?;
            let (commit, index) = layout::split_log_key(key.value());
            let begins_commit = entries.last().is_some_and(|last| last.commit != commit);
            if begins_commit && entries.len() >= entries_max {
                break;
            }
            let (committed_at_us, payload) = layout::split_log_value(value.value())?;
            entries.push(LogEntry {
                commit,
                index,
                committed_at_us,
                payload: payload.to_vec(),
            });
        }
        Ok(entries)
    }
}

impl StoreSnapshot for RedbSnapshot {
    fn seq(&self) -> CommitSeq {
        self.log_extent.newest
    }

    fn get(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let row_key = layout::row_key(space, key);
        match self.rows.get(row_key.as_slice()).map_err(failed)? {
            Some(value) => layout::versioned(value.value()).map(Some),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        let Some(bounds) = layout::row_bounds(space, range) else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::with_capacity(entries_max.min(RESERVE_ENTRIES_MAX));
        let rows = self
            .rows
            .range::<&[u8]>(layout::as_slices(&bounds))
            .map_err(failed)?;
        for item in rows.take(entries_max) {
            let (key, value) = item.map_err(failed)?;
            entries.push((
                layout::key_in_space(key.value())?.to_vec(),
                layout::versioned(value.value())?,
            ));
        }
        Ok(entries)
    }

    fn space_stats(&self, space: SpaceId) -> Result<SpaceStats, StoreError> {
        let row = self.stats.get(space.0).map_err(failed)?;
        Ok(row
            .map(|row| layout::stats_from_row(row.value()))
            .unwrap_or_default())
    }
}
