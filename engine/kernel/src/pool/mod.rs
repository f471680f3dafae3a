//! The buffer pool: pages of the disk in frames of memory.
//!
//! # What it does
//!
//! ```text
//!            read(id, closure)                      pin(id) ... install(page, lsn)
//!                  |                                          |
//!   table.rs   id -> frame, no lock                 latch, store, mark dirty
//!                  | miss                                     |
//!   load.rs    take a frame, read, admit            dirty.rs  by recovery LSN
//!                  |                                          |
//!   evict.rs   empty a frame  <--- writes dirty victims --- flush.rs   log first, then the page
//!                  |
//!   replacement.rs   S3-FIFO over frames
//! ```
//!
//! Reads take neither latch nor pin. A closure looks at the words of the frame while they may change, and what it
//! returns is believed only if the version of the latch says that nothing did; else it runs again. Changes come
//! as whole pages: a group works on copies, pins the frames of what it changed, appends to the log and installs.
//!
//! # What it never does
//!
//! - It never writes a page whose last group is not durable in the log. ([`LogGate`]; the test
//!   `pages_are_written_only_after_their_log` holds it.)
//! - It never holds a mutex over a call to the disk or the log. Over a read from the disk it holds the latch of
//!   the frame that is filled; who wants the page sleeps until it is there.
//! - It never loses a change: a page leaves its frame only when clean, and is clean only when a copy that holds
//!   all of its changes has been written.
//!
//! # Order of locks
//!
//! A resize, the latch of one frame, one shard of the page table. The lists of dirty pages, of frames to replace
//! and of client pins are each the last lock that is taken. A thread holds two latches only when it reads ahead,
//! and then waits for nobody.

mod dirty;
mod events;
mod evict;
mod flush;
mod frame;
mod info;
mod latch;
mod load;
mod page_read;
mod pin;
mod read;
mod replacement;
mod resize;
mod seams;
mod settings;
mod stats;
mod table;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use events::{EvictionReason, PoolEvent, PoolEvents};
pub use flush::Flushed;
pub use info::{FrameInfo, PoolInfo, TablespacePages};
pub use pin::Pin;
pub use seams::{LogGate, PageIo};
pub use settings::PoolSettings;
pub use stats::PoolCounts;
pub use view::{PageView, Torn};

use crate::error::{KernelError, Result};
use crate::ids::PageId;
use crate::page::PageBuf;
use crate::space::{ReadAhead, ReadAheadOptions};
use crate::sync::{Arc, Condvar, Mutex};
use dirty::DirtyList;
use events::Listener;
use frame::{CHUNK_FRAMES, Chunk, FrameRef};
use latch::Parking;
use replacement::Replacement;
use stats::Stats;
use table::PageTable;

/// Fewest frames of a pool: a group pins the pages of a root split with their parents, and others read meanwhile.
pub const FRAMES_MIN: usize = 8;

/// Most frames of a pool: 8 TiB of pages.
pub const FRAMES_MAX: usize = 1 << 30;

/// The pool. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    table: PageTable,
    parking: Parking,
    replacement: Mutex<Replacement>,
    /// A frame's flux has ended.
    settled: Condvar,
    dirty: DirtyList,
    /// Pins of clients by page, each kept by one pin of the frame.
    client_pins: Mutex<BTreeMap<PageId, (u32, FrameRef)>>,
    /// Held while the number of frames changes.
    resizing: Mutex<()>,
    io: Arc<dyn PageIo>,
    log: Arc<dyn LogGate>,
    stats: Stats,
    listener: Listener,
    settings: PoolSettings,
    read_ahead: ReadAhead,
}

impl Pool {
    /// A pool of `frames` frames, between [`FRAMES_MIN`] and [`FRAMES_MAX`]. Its memory, a little over 8 KiB a frame,
    /// is touched here.
    pub fn new(frames: usize, io: Arc<dyn PageIo>, log: Arc<dyn LogGate>) -> Pool {
        let frames = frames.clamp(FRAMES_MIN, FRAMES_MAX);
        let mut chunks = Vec::new();
        let mut numbers = Vec::with_capacity(frames);
        let mut left = frames;
        while left > 0 {
            let chunk = Chunk::new(left);
            let first = chunks.len() * CHUNK_FRAMES;
            numbers.extend((first..first + chunk.frames().len()).map(|no| no as frame::FrameNo));
            left -= chunk.frames().len();
            chunks.push(Some(chunk));
        }
        // The last comes first out of the list of free frames.
        numbers.reverse();
        let mut replacement = Replacement::default();
        replacement.add(numbers);
        Pool {
            inner: Arc::new(Inner {
                table: PageTable::new(chunks),
                parking: Parking::new(),
                replacement: Mutex::new(replacement),
                settled: Condvar::new(),
                dirty: DirtyList::new(),
                client_pins: Mutex::new(BTreeMap::new()),
                resizing: Mutex::new(()),
                io,
                log,
                stats: Stats::new(),
                listener: Listener::default(),
                settings: PoolSettings::default(),
                read_ahead: ReadAhead::new(ReadAheadOptions::default()),
            }),
        }
    }

    /// Runs `look` over the page and gives what it returns of one state of the page, reading it from the disk when it
    /// is in no frame.
    ///
    /// `look` runs again when the page was changed meanwhile, so it must have no effect but its result, or undo what
    /// it did before. It may see half of a change: it must end and not panic whatever it sees. It must not call the pool:
    /// a frame is held for it after a miss. [`Torn`] of a page that was not changed becomes
    /// [`KernelError::CorruptPage`].
    ///
    /// No lock and no latch is taken on a hit, but after many changes underfoot.
    #[inline]
    pub fn read<T>(&self, id: PageId, look: impl FnMut(&PageView<'_>) -> Result<T, Torn>) -> Result<T> {
        self.inner.read(id, look)
    }

    /// Copies the page.
    pub fn copy(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        self.inner.read(id, |view| {
            view.copy_to(page);
            Ok(())
        })
    }

    /// Keeps the page in a frame, reading it from the disk when it is in none.
    pub fn pin(&self, id: PageId) -> Result<Pin> {
        self.inner.pin(id).map(|frame| Pin::new(&self.inner, id, frame))
    }

    /// Keeps a frame for a page that was allocated just now: nothing is read, and the page is zeros until it is
    /// installed. When it is not installed before its last pin goes, the frame is let go of. A page that is
    /// in a frame already, from before it was freed, stays as it is until it is installed.
    pub fn pin_new(&self, id: PageId) -> Result<Pin> {
        self.inner
            .pin_new(id)
            .map(|frame| Pin::new(&self.inner, id, frame))
    }

    /// Forgets the page and its changes: it was freed, or its tablespace was dropped. Whether it was in a frame and
    /// isn't any more; a pinned page stays. A copy of it that is being written is waited for.
    pub fn discard(&self, id: PageId) -> bool {
        self.inner.discard(id)
    }

    /// Reads those of the pages that are in no frame, neighbours with one request, for reads that come soon. Stops when
    /// frames cannot be had without a wait. Gives how many pages were read. After an error, which a read of the page
    /// would meet too, some may have been.
    pub fn prefetch(&self, ids: &[PageId]) -> Result<u64> {
        self.inner.prefetch(ids)
    }

    /// The same of pages in order; those that are damaged are left to who reads them.
    pub fn prefetch_whole(&self, ids: &[PageId]) {
        self.inner.prefetch_whole(ids);
    }

    /// Who reads in order, and how much is read ahead for them.
    pub fn read_ahead(&self) -> &ReadAhead {
        &self.inner.read_ahead
    }

    pub fn settings(&self) -> &PoolSettings {
        &self.inner.settings
    }

    /// Sets who hears of what happens, in the place of who did.
    pub fn listen(&self, listener: Option<Box<dyn PoolEvents>>) {
        self.inner.listener.set(listener);
    }

    pub fn counts(&self) -> PoolCounts {
        self.inner.stats.sum()
    }

    /// Sets all counts to 0.
    pub fn reset_counts(&self) {
        self.inner.stats.reset();
    }
}

impl Torn {
    fn into_error(self, page: PageId) -> KernelError {
        KernelError::CorruptPage {
            page,
            what: self.what,
            expected: self.expected,
            found: self.found,
        }
    }
}
