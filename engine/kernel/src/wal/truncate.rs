//! Taking segments off the beginning of the log.

use super::events::WalEvent;
use super::segment::FileName;
use super::stats::count;
use super::{Shared, Wal};
use crate::error::{KernelError, Result};
use crate::ids::Lsn;
use crate::sync::Arc;

/// What [`Wal::truncate_before`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Segments that left the log, and how many of their files are kept as spares.
    pub removed: u64,
    pub recycled: u64,
    /// Number of the segment at which it ended early because somebody reads or copies it.
    pub in_use: Option<u64>,
}

impl Shared {
    /// Takes the oldest segment off the log when it ends at `limit` or before. `Err` names it when it is in use.
    fn take_oldest(&self, limit: Lsn, opened: u64) -> Result<Option<u64>, u64> {
        let mut table = self.table.lock();
        let Some((&number, segment)) = table.first_key_value() else {
            return Ok(None);
        };
        if number >= opened || self.layout.start(number + 1) > limit {
            return Ok(None);
        }
        if Arc::strong_count(segment) > 1 {
            return Err(number);
        }
        table.remove(&number);
        Ok(Some(number))
    }

    /// Keeps the file of a segment that left the log as a spare, or removes it. Returns whether it was kept.
    fn discard(&self, number: u64) -> Result<bool> {
        let path = FileName::Segment(number).path(&self.folder);
        let spare = {
            let mut state = self.state.lock();
            let kept = (state.spares.len() as u64) < self.options.spare_segments_max;
            kept.then(|| {
                state.next_spare += 1;
                state.next_spare - 1
            })
        };
        let done = match spare {
            Some(spare) => self
                .disk
                .rename(&path, &FileName::Spare(spare).path(&self.folder)),
            None => self.disk.remove_file(&path),
        };
        done.map_err(|error| KernelError::io(format!("removing {path}"), &error))?;
        if let Some(spare) = spare {
            self.state.lock().spares.push(spare);
        }
        Ok(spare.is_some())
    }
}

impl Wal {
    /// Takes the segments off the log that hold nothing from `before` on, oldest first, up to one that a [`Reader`] or
    /// [`Wal::archive`] is in. The newest stays.
    ///
    /// `before` must not be above the position that the log is next opened from.
    ///
    /// # Errors
    /// `Io`: a file that could not be removed is there again when the log is opened. `Poisoned` is final.
    ///
    /// [`Reader`]: super::Reader
    pub fn truncate_before(&self, before: Lsn) -> Result<Truncated> {
        let shared = self.shared.as_ref();
        let (limit, opened) = {
            let state = shared.state.lock();
            (before.min(state.durable), state.opened)
        };
        let mut done = Truncated {
            removed: 0,
            recycled: 0,
            in_use: None,
        };
        loop {
            let number = match shared.take_oldest(limit, opened) {
                Ok(Some(number)) => number,
                Ok(None) => break,
                Err(number) => {
                    done.in_use = Some(number);
                    break;
                }
            };
            let recycled = shared.discard(number)?;
            done.removed += 1;
            done.recycled += u64::from(recycled);
            let counter = if recycled {
                &shared.counters.segments_recycled
            } else {
                &shared.counters.segments_removed
            };
            count(counter, 1);
            shared
                .listener
                .tell(|| WalEvent::SegmentRemoved { number, recycled });
        }
        if done.removed > 0 {
            self.forget_removed(before, done.removed)?;
        }
        Ok(done)
    }

    fn forget_removed(&self, before: Lsn, removed: u64) -> Result<()> {
        let shared = self.shared.as_ref();
        let first = shared.table.lock().keys().next().copied().unwrap_or(0);
        let mut index = shared.index.lock();
        *index = index.split_off(&first);
        drop(index);
        if let Err(error) = shared.disk.sync_folder(&shared.folder) {
            // A file may have lost its old name or not: what is written to it next could appear under that name.
            let error = KernelError::io("sync of the folder of the log", &error);
            let mut state = shared.state.lock();
            state.poison(&error);
            return state.check();
        }
        shared.listener.tell(|| WalEvent::Truncate {
            before,
            first,
            removed,
        });
        Ok(())
    }
}
