//! Frames: the memory that pages are read into.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::AtomicU64 as Word;

use super::latch::Latch;
use super::view::{self, PAGE_WORDS, PageView, Words};
use crate::ids::{Lsn, PageId};
use crate::page::{PageBuf, header};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Names a frame of the pool as long as the pool has it.
pub(super) type FrameNo = u32;

/// The end of a chain of frames.
pub(super) const NO_FRAME: FrameNo = FrameNo::MAX;

/// Frames in a full chunk.
pub(super) const CHUNK_FRAMES: usize = 1024;

/// No page's number.
const NO_PAGE: u64 = u64::MAX;

/// Above it a hit leaves the frequency alone, as S3-FIFO does.
const FREQUENCY_MAX: u8 = 3;

const LSN_WORD: usize = header::LSN / 8;

/// What a frame holds. Changes with the shard of its page locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// No page.
    Empty = 0,
    /// A page that is being read; who does it has the latch.
    Loading = 1,
    /// A page.
    Resident = 2,
    /// Zeros, for a page that was allocated and is installed later.
    Blank = 3,
}

/// One page in memory and all that the pool knows of it.
///
/// The page's header follows the fields in the same line of the processor's cache.
#[repr(align(64))]
pub(super) struct Frame {
    pub latch: Latch,
    /// Number of the page or [`NO_PAGE`]. Changes with the latch held and the page's shard locked.
    page: AtomicU64,
    /// Changes with the page's shard locked.
    pins: AtomicU32,
    /// The next frame of the chain in the page table.
    pub next: AtomicU32,
    /// Hits since it was last looked at, up to [`FREQUENCY_MAX`].
    frequency: AtomicU8,
    state: AtomicU8,
    /// Whether the dirty list names the page. Changes with that list locked.
    pub dirty: AtomicBool,
    /// Whether a resize takes the frame out of use. Changes with the replacement locked.
    pub retiring: AtomicBool,
    words: Words,
}

impl Frame {
    fn new() -> Frame {
        Frame {
            latch: Latch::new(),
            page: AtomicU64::new(NO_PAGE),
            pins: AtomicU32::new(0),
            next: AtomicU32::new(NO_FRAME),
            frequency: AtomicU8::new(0),
            state: AtomicU8::new(State::Empty as u8),
            dirty: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            words: [const { Word::new(0) }; PAGE_WORDS],
        }
    }

    /// Whether it holds the page, or will when it is loaded. Certain only with the version of the latch validated or
    /// the shard locked.
    #[inline]
    pub fn holds(&self, id: PageId) -> bool {
        self.page.load(Ordering::Relaxed) == id.to_number()
    }

    pub fn page(&self) -> Option<PageId> {
        PageId::from_number(self.page.load(Ordering::Relaxed))
    }

    pub fn set_page(&self, id: Option<PageId>) {
        self.page
            .store(id.map_or(NO_PAGE, PageId::to_number), Ordering::Relaxed);
    }

    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Empty,
            1 => State::Loading,
            2 => State::Resident,
            _ => State::Blank,
        }
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub fn pins(&self) -> u32 {
        self.pins.load(Ordering::Relaxed)
    }

    /// Changes the pins by `change`, and gives what they are then. The shard is locked.
    pub fn add_pins(&self, change: i32) -> u32 {
        let pins = self.pins.load(Ordering::Relaxed).wrapping_add_signed(change);
        self.pins.store(pins, Ordering::Relaxed);
        pins
    }

    pub fn frequency(&self) -> u8 {
        self.frequency.load(Ordering::Relaxed)
    }

    pub fn set_frequency(&self, frequency: u8) {
        self.frequency.store(frequency, Ordering::Relaxed);
    }

    /// Remembers a hit. Two at once may count as one; that is as good.
    #[inline]
    pub fn touch(&self) {
        let frequency = self.frequency.load(Ordering::Relaxed);
        if frequency < FREQUENCY_MAX {
            self.frequency.store(frequency + 1, Ordering::Relaxed);
        }
    }

    #[inline]
    pub fn view(&self) -> PageView<'_> {
        PageView::new(&self.words)
    }

    /// The page's LSN as it stands there now; certain only like everything in a view.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.words[LSN_WORD].load(Ordering::Relaxed))
    }

    /// Stores a page. The latch is held.
    pub fn store(&self, page: &PageBuf) {
        view::store(&self.words, page);
    }

    /// Stores a page with another LSN than its own. The latch is held.
    pub fn store_at(&self, page: &PageBuf, lsn: Lsn) {
        self.store(page);
        self.words[LSN_WORD].store(lsn.0, Ordering::Relaxed);
    }

    /// Stores zeros. The latch is held.
    pub fn clear(&self) {
        for word in &self.words {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Frames that are made and given back together.
pub(super) struct Chunk {
    frames: Box<[Frame]>,
}

impl Chunk {
    /// `frames` of them, at most [`CHUNK_FRAMES`], with their memory touched, so that no hit pays for it.
    pub fn new(frames: usize) -> Arc<Chunk> {
        Arc::new(Chunk {
            frames: (0..frames.min(CHUNK_FRAMES)).map(|_| Frame::new()).collect(),
        })
    }

    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

/// A frame that stays in memory as long as this does, though the pool may have given it up.
#[derive(Clone)]
pub(super) struct FrameRef {
    chunk: Arc<Chunk>,
    no: FrameNo,
}

impl FrameRef {
    pub fn new(chunk: &Arc<Chunk>, no: FrameNo) -> Option<FrameRef> {
        chunk.frames.get(slot_of(no))?;
        Some(FrameRef {
            chunk: chunk.clone(),
            no,
        })
    }

    pub fn no(&self) -> FrameNo {
        self.no
    }
}

impl Deref for FrameRef {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.chunk.frames[slot_of(self.no)]
    }
}

impl fmt::Debug for FrameRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} of {:?}", self.no, self.page())
    }
}

/// Which chunk of the pool a frame is in.
#[inline]
pub(super) fn chunk_of(no: FrameNo) -> usize {
    no as usize / CHUNK_FRAMES
}

/// Place of a frame in its chunk.
#[inline]
pub(super) fn slot_of(no: FrameNo) -> usize {
    no as usize % CHUNK_FRAMES
}
