//! Which frame holds a page: a hash table whose lookups take no lock.
//!
//! Frames of one bucket are chained by their `next` fields. A lookup follows the chain while others change it, so
//! it may miss what is there, and it may find a frame that is just leaving. The first is repeated with the shard
//! locked, before anything is loaded; the second is found out when the latch's version is validated, for a frame
//! changes its page only with the latch held.
//!
//! Order of locks: latch of a frame, then one shard. A shard is held for a few instructions, never over a call
//! to the disk or the log. Only a resize locks all shards, in ascending order.

use arc_swap::{ArcSwap, Guard};

use super::frame::{CHUNK_FRAMES, Chunk, Frame, FrameNo, FrameRef, NO_FRAME, chunk_of, slot_of};
use crate::ids::PageId;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard};

const SHARDS: usize = 64;

/// Links that a lookup without a lock follows: a chain that changes underfoot may lead anywhere.
const CHAIN_MAX: usize = 64;

/// The frames that are there and the heads of the chains. Replaced as a whole by a resize.
pub(super) struct Layout {
    /// A gap was given back by a resize.
    pub chunks: Vec<Option<Arc<Chunk>>>,
    /// A power of two of them, at least [`SHARDS`], so that every bucket belongs to one shard.
    buckets: Arc<[AtomicU32]>,
}

impl Layout {
    #[inline]
    pub fn frame(&self, no: FrameNo) -> Option<&Frame> {
        self.chunks.get(chunk_of(no))?.as_ref()?.frames().get(slot_of(no))
    }

    pub fn frame_ref(&self, no: FrameNo) -> Option<FrameRef> {
        FrameRef::new(self.chunks.get(chunk_of(no))?.as_ref()?, no)
    }

    /// All frames with their numbers.
    pub fn frames(&self) -> impl Iterator<Item = (FrameNo, &Frame)> {
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(|(index, chunk)| {
            let frames = chunk.iter().flat_map(|chunk| chunk.frames().iter());
            frames
                .enumerate()
                .map(move |(slot, frame)| ((index * CHUNK_FRAMES + slot) as FrameNo, frame))
        })
    }

    #[inline]
    fn bucket(&self, id: PageId) -> usize {
        hash(id) & (self.buckets.len() - 1)
    }

    /// Finds a frame that holds the page, perhaps: see the module.
    #[inline]
    pub fn lookup(&self, id: PageId) -> Option<&Frame> {
        let mut no = self.buckets[self.bucket(id)].load(Ordering::Acquire);
        for _ in 0..CHAIN_MAX {
            let frame = self.frame(no)?;
            if frame.holds(id) {
                return Some(frame);
            }
            no = frame.next.load(Ordering::Acquire);
        }
        None
    }
}

#[inline]
fn hash(id: PageId) -> usize {
    (id.to_number().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

pub(super) struct PageTable {
    layout: ArcSwap<Layout>,
    shards: Box<[Mutex<()>]>,
}

impl PageTable {
    pub fn new(chunks: Vec<Option<Arc<Chunk>>>) -> PageTable {
        let buckets = buckets(&chunks);
        PageTable {
            layout: ArcSwap::from_pointee(Layout { chunks, buckets }),
            shards: (0..SHARDS).map(|_| Mutex::new(())).collect(),
        }
    }

    #[inline]
    pub fn layout(&self) -> Guard<Arc<Layout>> {
        self.layout.load()
    }

    /// Locks the shard of the page.
    pub fn lock(&self, id: PageId) -> Shard<'_> {
        let guard = self.shards[hash(id) % SHARDS].lock();
        Shard {
            // Loaded with the lock held: every frame in the shard's chains is in it.
            layout: self.layout.load(),
            _guard: guard,
        }
    }

    /// Puts other chunks in the place of those that are there. Frames that are left out hold no page.
    pub fn replace(&self, chunks: Vec<Option<Arc<Chunk>>>) {
        let _all: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let layout = Layout {
            buckets: buckets(&chunks),
            chunks,
        };
        for (no, frame) in layout.frames() {
            if let Some(id) = frame.page() {
                let head = &layout.buckets[layout.bucket(id)];
                frame.next.store(head.load(Ordering::Relaxed), Ordering::Release);
                head.store(no, Ordering::Release);
            }
        }
        self.layout.store(Arc::new(layout));
    }
}

/// Two to four times as many as frames, so that chains are short.
fn buckets(chunks: &[Option<Arc<Chunk>>]) -> Arc<[AtomicU32]> {
    let frames: usize = chunks.iter().flatten().map(|chunk| chunk.frames().len()).sum();
    let count = (frames * 2).next_power_of_two().max(SHARDS);
    (0..count).map(|_| AtomicU32::new(NO_FRAME)).collect()
}

/// A locked shard: what it says of its pages is certain.
pub(super) struct Shard<'a> {
    layout: Guard<Arc<Layout>>,
    _guard: MutexGuard<'a, ()>,
}

impl Shard<'_> {
    pub fn find(&self, id: PageId) -> Option<FrameRef> {
        let mut no = self.layout.buckets[self.layout.bucket(id)].load(Ordering::Relaxed);
        loop {
            let frame = self.layout.frame(no)?;
            if frame.holds(id) {
                return self.layout.frame_ref(no);
            }
            no = frame.next.load(Ordering::Relaxed);
        }
    }

    /// Enters a frame that holds the page from now on. No other frame does.
    pub fn link(&self, frame: &FrameRef, id: PageId) {
        let head = &self.layout.buckets[self.layout.bucket(id)];
        frame.set_page(Some(id));
        frame.next.store(head.load(Ordering::Relaxed), Ordering::Release);
        head.store(frame.no(), Ordering::Release);
    }

    /// Takes out a frame; it holds no page from now on.
    pub fn unlink(&self, frame: &FrameRef, id: PageId) {
        let mut link = &self.layout.buckets[self.layout.bucket(id)];
        loop {
            let no = link.load(Ordering::Relaxed);
            if no == frame.no() {
                link.store(frame.next.load(Ordering::Relaxed), Ordering::Release);
                break;
            }
            link = &self
                .layout
                .frame(no)
                .expect("a frame that holds a page is in the chain of that page")
                .next;
        }
        frame.set_page(None);
    }
}
