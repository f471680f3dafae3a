//! Pages come from the disk into frames.

use std::ops::Deref;

use super::Inner;
use super::events::PoolEvent;
use super::evict::InFlux;
use super::frame::{FrameRef, State};
use super::latch::Exclusive;
use super::stats::{count, count_n};
use crate::error::Result;
use crate::ids::PageId;
use crate::page::PageBuf;

/// Pages that one call of `read_many` reads ahead.
const PREFETCH_BATCH_PAGES: usize = 32;

/// Pages that are read ahead at a time, as a part of the pool's frames.
const READ_AHEAD_PART: usize = 8;

/// A frame that held the page a moment ago.
pub(super) enum Located<'a> {
    /// Others may empty it at any time.
    Found(FrameRef),
    /// Loaded by this call, and held until this is dropped.
    Loaded(InFlux<'a>),
}

impl Located<'_> {
    pub fn loaded(&self) -> bool {
        matches!(self, Located::Loaded(_))
    }
}

impl Deref for Located<'_> {
    type Target = FrameRef;

    fn deref(&self) -> &FrameRef {
        match self {
            Located::Found(frame) => frame,
            Located::Loaded(frame) => frame,
        }
    }
}

impl Inner {
    /// Finds the frame of the page, loading it where there is none. The page may be being loaded by another thread.
    pub(super) fn locate(&self, id: PageId) -> Result<Located<'_>> {
        loop {
            if let Some(frame) = self.table.lock(id).find(id) {
                return Ok(Located::Found(frame));
            }
            let frame = match self.obtain() {
                Ok(frame) => frame,
                // The page may have come in the last frame while this thread looked for one.
                Err(error) => match self.table.lock(id).find(id) {
                    Some(frame) => return Ok(Located::Found(frame)),
                    None => return Err(error),
                },
            };
            if self.load(id, &frame)? {
                return Ok(Located::Loaded(frame));
            }
        }
    }

    /// Reads the page into an empty frame. `false` when another thread has or reads the page.
    fn load(&self, id: PageId, frame: &InFlux<'_>) -> Result<bool> {
        let Some(loading) = Loading::begin(self, id, frame) else {
            return Ok(false);
        };
        count(&self.stats.here().misses);
        self.listener.event(PoolEvent::Miss(id));
        let mut page = PageBuf::zeroed();
        if let Err(error) = self.io.read(id, &mut page) {
            count(&self.stats.here().load_failures);
            return Err(error);
        }
        loading.finish(&page);
        count(&self.stats.here().loads);
        Ok(true)
    }

    /// Reads those of the pages that are in no frame, as far as frames can be had without a wait and without a write
    /// of the log. Gives how many were read.
    pub(super) fn prefetch(&self, ids: &[PageId]) -> Result<u64> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut read = 0;
        for batch in ids.chunks(PREFETCH_BATCH_PAGES) {
            let loaded = self.prefetch_batch(batch, |pages| {
                self.io.read_many(pages)?;
                Ok(vec![true; pages.len()])
            })?;
            read += loaded;
        }
        Ok(read)
    }

    /// Reads ahead of a reader that goes on in order, after the miss of a page.
    pub(super) fn read_on(&self, id: PageId) {
        if !self.read_ahead.options().is_on {
            return;
        }
        // So many that they don't drive each other out.
        let ahead_max = (self.replacement.lock().frames() / READ_AHEAD_PART) as u32;
        let end = id.number().saturating_add(1).saturating_add(ahead_max);
        let ahead = self
            .read_ahead
            .missed(id, self.io.pages(id.tablespace()).min(end));
        let ids: Vec<PageId> = (1..=ahead)
            .map(|distance| PageId::new(id.tablespace(), id.number() + distance))
            .collect();
        self.prefetch_whole(&ids);
    }

    /// [`Inner::prefetch`] of pages in order, of which those that can't be had are no error: whoever wants one is told.
    pub(super) fn prefetch_whole(&self, ids: &[PageId]) {
        for batch in ids.chunks(PREFETCH_BATCH_PAGES) {
            if self
                .prefetch_batch(batch, |pages| self.io.read_some(pages))
                .is_err()
            {
                break;
            }
        }
    }

    /// Reads those of the pages that are in no frame with `request`, which gives which of them are whole.
    fn prefetch_batch(
        &self,
        ids: &[PageId],
        request: impl FnOnce(&mut [(PageId, PageBuf)]) -> Result<Vec<bool>>,
    ) -> Result<u64> {
        let mut frames: Vec<(PageId, InFlux<'_>)> = Vec::new();
        for &id in ids {
            if self.table.lock(id).find(id).is_some() {
                continue;
            }
            let Some(frame) = self.try_obtain()? else { break };
            frames.push((id, frame));
        }
        // Frames are emptied before the first latch is taken: a thread with latches waits for nobody.
        let mut loads: Vec<Loading<'_>> = Vec::new();
        let mut pages: Vec<(PageId, PageBuf)> = Vec::new();
        for (id, frame) in &frames {
            if let Some(loading) = Loading::begin(self, *id, frame) {
                loads.push(loading);
                pages.push((*id, PageBuf::zeroed()));
            }
        }
        if pages.is_empty() {
            return Ok(0);
        }
        let whole = match request(&mut pages) {
            Ok(whole) => whole,
            Err(error) => {
                count_n(&self.stats.here().load_failures, pages.len() as u64);
                return Err(error);
            }
        };
        let mut read = 0;
        for ((loading, (_, page)), whole) in loads.into_iter().zip(&pages).zip(whole) {
            if whole {
                loading.finish(page);
                read += 1;
            }
        }
        count_n(&self.stats.here().prefetched, read);
        Ok(read)
    }
}

/// A frame that is entered for a page and latched until its bytes are there. Dropped before, it is empty again.
struct Loading<'a> {
    inner: &'a Inner,
    id: PageId,
    frame: &'a FrameRef,
    finished: bool,
    // Behind the rest, so that the frame is what it is to be when the latch goes.
    _latch: Exclusive<'a>,
}

impl<'a> Loading<'a> {
    /// `None` when another frame has the page.
    fn begin(inner: &'a Inner, id: PageId, frame: &'a FrameRef) -> Option<Loading<'a>> {
        let latch = inner.enter(id, frame, State::Loading, 0)?;
        Some(Loading {
            inner,
            id,
            frame,
            finished: false,
            _latch: latch,
        })
    }

    fn finish(mut self, page: &PageBuf) {
        self.frame.store(page);
        let _shard = self.inner.table.lock(self.id);
        self.frame.set_state(State::Resident);
        self.finished = true;
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let shard = self.inner.table.lock(self.id);
            shard.unlink(self.frame, self.id);
            self.frame.set_state(State::Empty);
        }
    }
}

impl Inner {
    /// Enters an empty frame for the page and latches it. `None` when another frame has the page.
    pub(super) fn enter<'a>(
        &'a self,
        id: PageId,
        frame: &'a FrameRef,
        state: State,
        pins: i32,
    ) -> Option<Exclusive<'a>> {
        // Only readers that came here by a chain from before look at an empty frame, and one that latched it goes soon.
        let mut latch = frame.latch.exclusive(&self.parking);
        let shard = self.table.lock(id);
        if shard.find(id).is_some() {
            return None;
        }
        latch.change();
        frame.set_state(state);
        frame.set_frequency(0);
        frame.add_pins(pins);
        shard.link(frame, id);
        Some(latch)
    }
}
