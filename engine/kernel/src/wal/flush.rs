//! Writing and syncing. One thread at a time has the role to do so; it does all that is there to do, for everyone.

use rustydb_runtime::disk::DiskFile;

use super::events::WalEvent;
use super::segment::{FileName, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segments::Segment;
use super::state::{Batch, State};
use super::stats::count;
use super::{Shared, Wal};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::planted::planted;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, MutexGuard};

/// The segment that is written to.
pub(super) struct Io {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
}

impl Wal {
    /// Returns once all groups that end at `end` or before are durable, and [`Wal::on_durable`] was told. Whoever finds nobody at it writes and syncs
    /// all that was appended; the others wait, and the first of them to wake does the same for the rest. An `end` behind
    /// the last group stands for the end of that.
    ///
    /// # Errors
    /// `Poisoned` when a write or a sync fails or has failed. Whether the group is durable is then unknown until the
    /// log is opened again.
    pub fn sync_to(&self, end: Lsn) -> Result<()> {
        let shared = self.shared.as_ref();
        if Lsn(shared.told.load(Ordering::Acquire)) >= end {
            return Ok(());
        }
        let mut state = shared.state.lock();
        let end = end.min(state.committed.lsn);
        while Lsn(shared.told.load(Ordering::Acquire)) < end {
            state.check()?;
            if state.busy {
                shared.role_free.wait(&mut state);
            } else {
                state = shared.lead(state)?;
            }
        }
        Ok(())
    }

    /// Makes all that was appended durable. See [`Wal::sync_to`].
    pub fn flush(&self) -> Result<()> {
        self.sync_to(self.end())
    }

    /// Makes all that was appended durable and notes in the log that it is, so that damage anywhere before is told from
    /// a torn end. For an orderly stop. Where the segment has no room for the note, which is rare, only the last flush
    /// stays without it.
    ///
    /// # Errors
    /// As [`Wal::sync_to`].
    pub fn seal(&self) -> Result<()> {
        self.flush()?;
        let state = self.shared.wait_for_role(self.shared.state.lock())?;
        self.shared.lead(state).map(drop)
    }

    /// Ends the segment: the next group begins another. What was appended is durable then. Does nothing while the
    /// segment is empty. So that [`Wal::archive`] can take what the log holds.
    ///
    /// # Errors
    /// As [`Wal::sync_to`].
    pub fn switch_segment(&self) -> Result<()> {
        let shared = self.shared.as_ref();
        let _appender = shared.appender.lock();
        self.flush()?;
        let mut state = shared.take_role(shared.state.lock())?;
        match state.switch() {
            Some(batch) => shared.write_and_sync(state, batch).map(drop),
            None => {
                shared.give_up_role(state);
                Ok(())
            }
        }
    }
}

impl Shared {
    pub(super) fn wait_for_role<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>> {
        while state.busy {
            self.role_free.wait(&mut state);
        }
        state.check()?;
        Ok(state)
    }

    pub(super) fn take_role<'a>(&'a self, state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>> {
        let mut state = self.wait_for_role(state)?;
        state.busy = true;
        Ok(state)
    }

    pub(super) fn give_up_role(&self, mut state: MutexGuard<'_, State>) {
        state.busy = false;
        drop(state);
        self.role_free.notify_all();
    }

    /// Gives up the role for good: what the disk holds is unknown.
    pub(super) fn fail(&self, mut state: MutexGuard<'_, State>, error: &KernelError) -> KernelError {
        state.poison(error);
        let poisoned = state.check().expect_err("it was poisoned the line above");
        self.give_up_role(state);
        poisoned
    }

    /// Writes and syncs all that was appended. Nobody has the role.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>> {
        state.busy = true;
        state.push_mark();
        let batch = state.take();
        self.write_and_sync(state, batch)
    }

    /// Makes `batch` durable, which is all up to the last group, and gives up the role.
    fn write_and_sync<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        batch: Batch,
    ) -> Result<MutexGuard<'a, State>> {
        let target = state.committed;
        drop(state);
        let done = self.write(&batch).and_then(|()| self.sync(target.lsn, target.ts));
        let mut state = self.state.lock();
        state.give_back(batch.bytes);
        if let Err(error) = done {
            return Err(self.fail(state, &error));
        }
        state.durable = target.lsn;
        self.durable.store(target.lsn.0, Ordering::Release);
        drop(state);
        let callback = self.on_durable.read().clone();
        if let Some(callback) = callback {
            callback(target.lsn, target.ts);
        }
        self.told.store(target.lsn.0, Ordering::Release);
        let mut state = self.state.lock();
        state.busy = false;
        self.role_free.notify_all();
        Ok(state)
    }

    /// Writes `batch` where it belongs. Its caller has the role.
    pub(super) fn write(&self, batch: &Batch) -> Result<()> {
        let mut io = self.io.lock();
        let (mut at, mut rest) = (batch.start, batch.bytes.as_slice());
        while !rest.is_empty() {
            let room = usize::try_from(self.layout.room(at)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(rest.len().min(room));
            let number = self.layout.number(at);
            if number != io.number {
                self.begin_segment(&mut io, number, now)?;
            }
            io.file
                .write_at(now, self.layout.offset(at))
                .map_err(|error| KernelError::io(format!("writing the log at {at}"), &error))?;
            count(&self.counters.writes, 1);
            count(&self.counters.written_bytes, now.len() as u64);
            self.listener.tell(|| WalEvent::Write {
                lsn: at,
                bytes: now.len() as u64,
            });
            at.0 += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn sync(&self, durable: Lsn, ts: Ts) -> Result<()> {
        let latency_us = self.sync_file(&self.io.lock())?;
        self.listener.tell(|| WalEvent::Flush {
            durable,
            ts,
            latency_us,
        });
        Ok(())
    }

    fn sync_file(&self, io: &Io) -> Result<u64> {
        let before_us = self.clock.now_mono_us();
        let mut synced = match planted!("log-not-synced") {
            true => Ok(()),
            false => io.file.sync_data(),
        };
        if planted!("sync-repeated") && synced.is_err() {
            synced = io.file.sync_data();
        }
        synced
            .map_err(|error| KernelError::io(format!("sync of segment {} of the log", io.number), &error))?;
        let latency_us = self.clock.now_mono_us().saturating_sub(before_us);
        self.counters.synced(latency_us);
        Ok(latency_us)
    }

    /// Gives a spare the name of segment `number`, of which `bytes` are the first. The segment before is synced first,
    /// so that whatever stands in a segment, those before it are whole. The name is durable before anything
    /// is written under it, so that no file holds what its name does not say.
    fn begin_segment(&self, io: &mut Io, number: u64, bytes: &[u8]) -> Result<()> {
        self.sync_file(io)?;
        let spare = {
            let mut state = self.state.lock();
            state.opened = number;
            state.spares.pop()
        };
        let mut header = [0; SEGMENT_HEADER_BYTES];
        header.copy_from_slice(&bytes[..SEGMENT_HEADER_BYTES]);
        let (Some(spare), Some(header)) = (spare, SegmentHeader::decode(&header)?) else {
            return Err(KernelError::Io {
                what: format!("beginning segment {number} of the log"),
                reason: "no spare was kept for it".to_owned(),
            });
        };
        let path = FileName::Segment(number).path(&self.folder);
        let failed = |error| KernelError::io(format!("beginning {path}"), &error);
        self.disk
            .rename(&FileName::Spare(spare).path(&self.folder), &path)
            .map_err(failed)?;
        if !planted!("name-not-synced") {
            self.disk.sync_folder(&self.folder).map_err(failed)?;
        }
        io.file = super::recovery::open_segment(self.disk.as_ref(), &self.folder, number)?;
        io.number = number;
        self.table.lock().insert(number, Arc::new(Segment::new(&header)));
        count(&self.counters.segments_created, 1);
        self.listener.tell(|| WalEvent::SegmentCreated { number });
        Ok(())
    }
}
