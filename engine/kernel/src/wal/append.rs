//! Appending groups.

use super::state::{Appending, State};
use super::stats::count;
use super::{Appended, Shared, Wal, WalPosition};
use crate::error::Result;
use crate::ids::{Lsn, Ts};
use crate::sync::MutexGuard;

/// Bytes of a segment for each of which the index has about one place.
pub(super) const INDEX_BYTES: u64 = 64 << 10;

impl Wal {
    /// Appends a group, the bytes of `body` one behind the other, that makes commit `ts`; a group that makes none
    /// repeats the newest. It is in memory only: [`Wal::sync_to`] makes it durable. Groups are in the order of the calls.
    ///
    /// Writes, without a sync, when the buffer is full, and makes a spare segment when the group reaches into one that
    /// does not exist; [`Wal::prepare`] does so beforehand.
    ///
    /// # Errors
    /// `DiskFull` and `Io` when a segment could not be made: nothing was changed, and the call may be repeated.
    /// `Poisoned` is final.
    ///
    /// # Panics
    /// When `ts` is below that of an earlier group.
    pub fn append(&self, ts: Ts, body: &[&[u8]]) -> Result<Appended> {
        let shared = self.shared.as_ref();
        let _appender = shared.appender.lock();
        let mut group = Appending::new(body, ts, shared.clock.now_us());
        let length = group.left();

        let mut state = shared.reserve(shared.state.lock(), length)?;
        let newest = state.committed.ts;
        assert!(
            ts >= newest,
            "commit {} is appended after commit {}",
            ts.0,
            newest.0
        );
        let bytes = state.end_after(length).0 - state.tail_lsn().0;
        let (before, start, end) = if state.buffer.len() as u64 + bytes <= shared.options.buffer_bytes_max {
            loop {
                if let Some(appended) = state.push(&mut group) {
                    break appended;
                }
            }
        } else {
            shared.append_writing(state, &mut group)?
        };
        shared.note_place(before);
        count(&shared.counters.groups, 1);
        count(&shared.counters.bytes, end.0 - start.0);
        Ok(Appended { start, end })
    }

    /// Whether groups may be appended: `Poisoned` once a write or a sync has failed.
    pub fn check_writable(&self) -> Result<()> {
        self.shared.state.lock().check()
    }

    /// Makes a spare segment if there is none, so that no append has to. For a thread in the background.
    ///
    /// # Errors
    /// `DiskFull` and `Io`; the log goes on as before.
    pub fn prepare(&self) -> Result<()> {
        self.shared.make_spares(1)
    }
}

impl Shared {
    /// Makes sure of the spare segments that a group of `length` bytes needs.
    fn reserve<'a>(&'a self, mut state: MutexGuard<'a, State>, length: u64) -> Result<MutexGuard<'a, State>> {
        loop {
            state.check()?;
            let needed = state.spares_needed(state.end_after(length));
            if needed <= state.spares.len() as u64 {
                return Ok(state);
            }
            drop(state);
            self.make_spares(needed)?;
            // A mark may have moved the end meanwhile.
            state = self.state.lock();
        }
    }

    /// Appends a group that the buffer has no room for: with the role, so that nobody takes half of it to be synced.
    fn append_writing<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        group: &mut Appending<'_>,
    ) -> Result<(WalPosition, Lsn, Lsn)> {
        let state = self.take_role(state)?;
        let mut state = match self.reserve(state, group.left()) {
            Ok(state) => state,
            Err(error) => {
                self.give_up_role(self.state.lock());
                return Err(error);
            }
        };
        let mut first = true;
        loop {
            if std::mem::take(&mut first) || state.buffer.len() as u64 >= self.options.buffer_bytes_max {
                let batch = state.take();
                drop(state);
                let written = self.write(&batch);
                state = self.state.lock();
                state.give_back(batch.bytes);
                if let Err(error) = written {
                    return Err(self.fail(state, &error));
                }
            }
            if let Some(appended) = state.push(group) {
                self.give_up_role(state);
                return Ok(appended);
            }
        }
    }

    /// Notes a place to begin reading at, unless there is one near before it.
    pub(super) fn note_place(&self, place: WalPosition) {
        let mut index = self.index.lock();
        let places = index.entry(self.layout.number(place.lsn)).or_default();
        let near = places
            .last()
            .is_some_and(|last| place.lsn.0 < last.lsn.0 + INDEX_BYTES);
        if !near && self.layout.offset(place.lsn) >= INDEX_BYTES {
            places.push(place);
        }
    }
}
