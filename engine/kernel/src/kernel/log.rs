//! The change log: what commits told, read from the write-ahead log.

use super::changes::{self, Changes, LogTotals};
use super::{Inner, Kernel};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::wal::Reader;

/// How much of the change log there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogExtent {
    /// Entries of later commits are there, those of this one and of all before are gone; 0 when none is.
    pub trimmed_to: Ts,
    pub newest: Ts,
    /// What is there.
    pub totals: LogTotals,
}

/// Entries of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    pub ts: Ts,
    pub committed_at_us: i64,
    pub entries: Vec<Vec<u8>>,
}

impl Kernel {
    pub fn log_extent(&self) -> LogExtent {
        let published = *self.inner.published.read();
        LogExtent {
            trimmed_to: published.trimmed.to,
            newest: published.ts,
            totals: published.totals.since(published.trimmed.totals),
        }
    }

    /// Commits with entries after `after`, oldest first: at least one when there is one, and no further one once they have
    /// `entries_max` entries together. `Err(trimmed_to)` when entries of such a commit may be gone.
    pub fn log_after(&self, after: Ts, entries_max: usize) -> Result<Result<Vec<LogGroup>, Ts>> {
        let published = *self.inner.published.read();
        if after < published.trimmed.to {
            return Ok(Err(published.trimmed.to));
        }
        let mut found = Vec::new();
        if after >= published.ts {
            return Ok(Ok(found));
        }
        let mut entries = 0;
        let mut reader = self.inner.log_reader(after)?;
        while let Some(group) = reader.next_group()? {
            if group.ts > published.ts {
                break;
            }
            let changes = parse(group.body, group.lsn, false)?;
            if changes.entries.is_empty() || group.ts <= after {
                continue;
            }
            entries += changes.entries.len();
            found.push(LogGroup {
                ts: group.ts,
                committed_at_us: changes.committed_at_us,
                entries: changes.entries.iter().map(|entry| entry.to_vec()).collect(),
            });
            if entries >= entries_max {
                break;
            }
        }
        // What was trimmed while this read may have been missed.
        let trimmed_to = self.inner.published.read().trimmed.to;
        if after < trimmed_to {
            return Ok(Err(trimmed_to));
        }
        Ok(Ok(found))
    }
}

impl Inner {
    /// Reads groups behind the commit `after`, or from the log's beginning where that is later: what left the log had no
    /// entries, or they were trimmed.
    fn log_reader(&self, after: Ts) -> Result<Reader> {
        let mut after = after;
        loop {
            match self.wal.read_after(after) {
                // The log begins later with each turn, if there is another.
                Err(KernelError::LogGone { oldest, .. }) if oldest > after => after = oldest,
                reader => return reader,
            }
        }
    }

    /// Change log up to the durable commit `to`, from the log.
    pub(super) fn logged_totals_at(&self, to: Ts) -> Result<LogTotals> {
        let mut reader = self.log_reader(to)?;
        while let Some(group) = reader.next_group()? {
            if group.ts > to {
                return Ok(parse(group.body, group.lsn, false)?.totals_before);
            }
        }
        Ok(self.published.read().totals)
    }

    /// Where the first group with entries after the commit `ts` begins; the end of what is durable when there is none.
    pub(super) fn entries_after(&self, ts: Ts) -> Result<Lsn> {
        let durable = self.wal.durable();
        let mut reader = self.log_reader(ts)?;
        while let Some(group) = reader.next_group()? {
            if group.ts > ts && !parse(group.body, group.lsn, false)?.entries.is_empty() {
                return Ok(group.lsn);
            }
        }
        Ok(durable)
    }
}

/// A group's body taken apart.
pub(super) fn parse(body: &[u8], lsn: Lsn, with_pages: bool) -> Result<Changes<'_>> {
    changes::decode(body, with_pages).ok_or_else(|| KernelError::CorruptLog {
        lsn,
        what: "a group whose checksum holds and whose content makes no sense".to_owned(),
    })
}
