//! The write-ahead log.
//!
//! A *group* is what one commit changed, as bytes that the log does not look into. It is durable wholly or not at
//! all. The log is a row of bytes that never ends, and an [`Lsn`] is a place in it; files of one size, the
//! *segments*, hold it: segment n holds the bytes from n times that size on. A group is cut into *fragments*, none of
//! which spans segments. docs/format/log.md has the byte tables.
//!
//! # Appending
//! [`Wal::append`] copies a group into a buffer. [`Wal::sync_to`] waits until it is durable: the first to come
//! writes and syncs everything appended so far, for all; those who come meanwhile wait, and one of them does the same
//! for everything appended since. One thread at a time writes or syncs; it has the *role*, and holds no lock that an
//! append needs. A failed write or sync is final ([`KernelError::Poisoned`](crate::error::KernelError::Poisoned)):
//! nobody knows what the disk holds then.
//!
//! # The end of the log
//! Nothing says where the log ends; the end is where no fragment continues it. A fragment names its own LSN, so what
//! a recycled file held before is none, and the checksum of the fragment before it, so what an earlier life wrote
//! at the same place is none. Opening puts a copy of the newest segment in its place besides, with nothing behind the end:
//! a life that does exactly what an earlier one did would have the same checksums, and what was read may be
//! lost on the disk itself after a sync that failed.
//!
//! A torn end and damage in the middle look alike at the place itself. So each fragment also names the LSN up to
//! which the log was durable when it was appended, and each sync writes a fragment with the newest such LSN behind
//! its groups, a *mark* if need be. An end with a valid fragment behind it that says that more was durable is
//! damage. What only the last sync acknowledged has no such witness: damage there reads as a torn end, unless
//! [`Wal::seal`] was called since.
//!
//! # Segments
//! A segment is filled with zeros once, when its file is made, so that writing to it changes no metadata of the file
//! system. [`Wal::truncate_before`] takes whole segments off the beginning; their files are kept as *spares* and used
//! again. An append that reaches into the next segment first makes sure of a spare: if there is no room on the disk it
//! fails with `DiskFull` and changes nothing, and the write that follows cannot fail for want of room.
//!
//! # Locks
//! `appender` before `io` before `state`; `table` and `index` are leaves. No lock but `appender` and `io` is held over
//! a request to the disk, and `io` belongs to whoever has the role.

mod append;
mod archive;
mod chain;
mod events;
mod flush;
mod fragment;
mod layout;
mod progress;
mod reader;
mod recovery;
mod segment;
mod segments;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod truncate;
mod verify;

pub use events::{WalEvent, WalEvents};
pub use progress::{ReplayProgress, Replayed};
pub use reader::Reader;
pub use segments::{SegmentInfo, SegmentState};
pub use stats::{LATENCY_BUCKETS, WalStats};
pub use truncate::Truncated;
pub use verify::{Damage, Verified};

use std::collections::BTreeMap;

use rustydb_runtime::Clock;
use rustydb_runtime::disk::Disk;

use self::events::Listener;
use self::flush::Io;
use self::layout::Layout;
use self::segments::Segment;
use self::state::State;
use self::stats::Counters;
use crate::error::Result;
use crate::ids::{Lsn, Ts};
use crate::pool::LogGate;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Condvar, Mutex, RwLock};

pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalOptions {
    /// Size of a segment of a log that is made. Taken into the bounds above and up to whole KiB. An existing log keeps
    /// its own.
    pub segment_bytes: u64,
    /// An append that would make the buffer larger writes it first. Groups larger than that go out in pieces.
    pub buffer_bytes_max: u64,
    /// Files of segments that left the log are kept for new ones up to this number, and removed above it.
    pub spare_segments_max: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        WalOptions {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            buffer_bytes_max: 4 << 20,
            spare_segments_max: 4,
        }
    }
}

/// What a log is made of.
#[derive(Clone)]
pub struct WalSetup {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    /// Folder on `disk` that belongs to the log alone, without a slash at the end.
    pub folder: String,
    /// Random number of the store, the same for its whole life. It goes into every checksum.
    pub epoch: u64,
    pub options: WalOptions,
    pub events: Option<Arc<dyn WalEvents>>,
    /// Is told how far [`Wal::open`] is.
    pub progress: Arc<ReplayProgress>,
}

/// A place between groups, with what the next fragment must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalPosition {
    pub lsn: Lsn,
    /// Checksum of the fragment before.
    pub prev_crc: u32,
    /// Newest commit before.
    pub ts: Ts,
}

/// A group read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// LSN of its first fragment: [`Appended::start`].
    pub lsn: Lsn,
    pub end: Lsn,
    pub ts: Ts,
    /// The log was durable up to here when the end of the group was appended, and so it stays.
    pub durable: Lsn,
    pub body: &'a [u8],
}

/// Where a group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// LSN of its first fragment.
    pub start: Lsn,
    /// Durable once [`Wal::durable`] is at least this.
    pub end: Lsn,
}

/// Called with the LSN up to which the log is durable now, and the newest commit before it.
pub type OnDurable = dyn Fn(Lsn, Ts) + Send + Sync;

/// The log of one store. Cheap to clone; clones are the same log. Dropping it neither writes nor syncs.
#[derive(Clone)]
pub struct Wal {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: String,
    epoch: u64,
    options: WalOptions,
    layout: Layout,
    /// Held while a group is appended, so that its fragments follow each other.
    appender: Mutex<()>,
    state: Mutex<State>,
    /// The role was given up.
    role_free: Condvar,
    io: Mutex<Io>,
    /// The LSN of `State::durable`, for those who hold no lock.
    durable: AtomicU64,
    /// Up to where `on_durable` was told, which is where a call of [`Wal::sync_to`] may return.
    told: AtomicU64,
    /// Segments with files, oldest first.
    table: Mutex<BTreeMap<u64, Arc<Segment>>>,
    /// Per segment, places in it to begin reading at, ascending.
    index: Mutex<BTreeMap<u64, Vec<WalPosition>>>,
    counters: Counters,
    listener: Listener,
    on_durable: RwLock<Option<Arc<OnDurable>>>,
}

impl Wal {
    /// Makes a log in a new folder whose groups follow commit `after`. It is durable when this returns.
    ///
    /// # Errors
    /// `DiskFull`; `Io` also when the folder holds anything: what is left of a creation that a crash cut is for the
    /// caller to remove, who knows that there is no store yet.
    pub fn create(setup: WalSetup, after: Ts) -> Result<Wal> {
        let shared = segments::create(setup, after)?;
        Ok(Wal {
            shared: Arc::new(shared),
        })
    }

    /// Opens a log and gives every whole group from `from` on to `each`, in order. A torn group at the end is
    /// dropped. What was read is durable when this returns.
    ///
    /// `from` must have been durable when it was noted: [`Wal::position`], then [`Wal::sync_to`] its LSN.
    ///
    /// # Errors
    /// `CorruptLog` when something is damaged that was durable, `CorruptFile` when a segment belongs to another store,
    /// `FormatVersion`, `Io`, and what `each` fails with.
    pub fn open(
        setup: WalSetup,
        from: WalPosition,
        each: &mut dyn FnMut(Group<'_>) -> Result<()>,
    ) -> Result<Wal> {
        let shared = segments::open(setup, from, each)?;
        Ok(Wal {
            shared: Arc::new(shared),
        })
    }

    /// End of the last group that was appended.
    pub fn end(&self) -> Lsn {
        self.position().lsn
    }

    /// Place of the next group: where recovery begins that needs none of the groups before.
    pub fn position(&self) -> WalPosition {
        self.shared.state.lock().committed
    }

    /// All groups that end here or before are durable.
    pub fn durable(&self) -> Lsn {
        Lsn(self.shared.durable.load(Ordering::Acquire))
    }

    /// The callback is called by the thread that synced, once [`Wal::durable`] says so, so that whoever it tells finds
    /// the groups in the log, and before any call of [`Wal::sync_to`] for them returns. Calls never overlap and LSNs
    /// ascend. It must not call the log. Replaces an earlier callback.
    pub fn on_durable(&self, callback: impl Fn(Lsn, Ts) + Send + Sync + 'static) {
        *self.shared.on_durable.write() = Some(Arc::new(callback));
    }

    /// Who is told of events from now on; nobody when `None`.
    pub fn set_events(&self, events: Option<Arc<dyn WalEvents>>) {
        self.shared.listener.set(events);
    }

    /// Size of its segments, in bytes.
    pub fn segment_bytes(&self) -> u64 {
        self.shared.layout.segment_bytes
    }

    pub fn stats(&self) -> WalStats {
        let state = self.shared.state.lock();
        let (buffer_bytes, spares) = (state.buffer.len() as u64, state.spares.len() as u64);
        self.shared.counters.read(buffer_bytes, spares)
    }
}

impl LogGate for Wal {
    fn durable(&self) -> Lsn {
        Wal::durable(self)
    }

    fn sync_to(&self, end: Lsn) -> Result<()> {
        Wal::sync_to(self, end)
    }
}
