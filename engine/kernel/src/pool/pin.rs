//! Pins: pages that stay in their frames, and the way changes come in.

use std::fmt;

use super::events::PoolEvent;
use super::flush::Writing;
use super::frame::{FrameRef, State};
use super::stats::count;
use super::view::{PageView, Torn};
use super::{Inner, Pool};
use crate::error::Result;
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::page::PageBuf;
use crate::sync::Arc;

/// A page that stays in its frame until this is dropped.
pub struct Pin {
    inner: Arc<Inner>,
    id: PageId,
    frame: FrameRef,
}

impl Pin {
    pub(super) fn new(inner: &Arc<Inner>, id: PageId, frame: FrameRef) -> Pin {
        Pin {
            inner: inner.clone(),
            id,
            frame,
        }
    }

    pub fn id(&self) -> PageId {
        self.id
    }

    /// Puts `page` in the place of what is in the frame, with `group` as its LSN whatever its header says, and makes it
    /// dirty from that group on if it was clean. The group has been appended to the log. One thread at a time
    /// installs a page, with LSNs that never fall.
    pub fn install(&self, page: &PageBuf, group: Lsn) {
        let mut latch = self.frame.latch.exclusive(&self.inner.parking);
        latch.change();
        self.frame.store_at(page, group);
        if self.frame.state() == State::Blank {
            let _shard = self.inner.table.lock(self.id);
            self.frame.set_state(State::Resident);
        }
        self.inner.dirty.mark(&self.frame, self.id, group);
        drop(latch);
        count(&self.inner.stats.here().installs);
    }

    /// As [`Pool::read`], without the search for the frame.
    pub fn read<T>(&self, mut look: impl FnMut(&PageView<'_>) -> Result<T, Torn>) -> Result<T> {
        self.inner
            .read_frame(&self.frame, self.id, &mut look)
            .expect("a pinned page stays in its frame")
    }

    /// Copies the page.
    pub fn copy(&self, page: &mut PageBuf) -> Result<()> {
        self.read(|view| {
            view.copy_to(page);
            Ok(())
        })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.inner.unpin(self.id, &self.frame);
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({})", self.id)
    }
}

impl Inner {
    /// The page's frame with one more pin.
    pub(super) fn pin(&self, id: PageId) -> Result<FrameRef> {
        loop {
            let located = self.locate(id)?;
            if self.try_pin(id, &located) {
                return Ok(FrameRef::clone(&located));
            }
            located.latch.wait(&self.parking);
        }
    }

    /// The page's frame, or one of zeros, with one more pin.
    pub(super) fn pin_new(&self, id: PageId) -> Result<FrameRef> {
        loop {
            let found = self.table.lock(id).find(id);
            if let Some(frame) = found {
                if self.try_pin(id, &frame) {
                    return Ok(frame);
                }
                frame.latch.wait(&self.parking);
                continue;
            }
            let frame = self.obtain()?;
            if let Some(latch) = self.enter(id, &frame, State::Blank, 1) {
                frame.clear();
                drop(latch);
                self.listener.event(PoolEvent::Pinned(id));
                return Ok(FrameRef::clone(&frame));
            }
        }
    }

    /// `false` when the frame does not hold the page, or does not yet.
    fn try_pin(&self, id: PageId, frame: &FrameRef) -> bool {
        let shard = self.table.lock(id);
        if !frame.holds(id) || frame.state() == State::Loading {
            return false;
        }
        frame.add_pins(1);
        drop(shard);
        frame.touch();
        self.listener.event(PoolEvent::Pinned(id));
        true
    }

    fn unpin(&self, id: PageId, frame: &FrameRef) {
        let shard = self.table.lock(id);
        let pins = frame.add_pins(-1);
        let blank = frame.state() == State::Blank;
        drop(shard);
        self.listener.event(PoolEvent::Unpinned(id));
        if pins == 0 && blank {
            self.discard_frame(id, frame, State::Blank);
        }
    }
}

/// Pins that a client names by page, and that live until it takes them back.
impl Pool {
    /// Pins the page once more for clients; gives how many such pins it has.
    pub fn pin_for_client(&self, id: PageId) -> Result<u32> {
        let inner = &*self.inner;
        let frame = inner.pin(id)?;
        let mut pins = inner.client_pins.lock();
        let (count, kept) = pins.entry(id).or_insert_with(|| (0, frame.clone()));
        *count += 1;
        let (count, surplus) = (*count, *count > 1);
        debug_assert_eq!(kept.no(), frame.no(), "a pinned page stays in its frame");
        drop(pins);
        if surplus {
            inner.unpin(id, &frame);
        }
        Ok(count)
    }

    /// Takes back one such pin; gives how many are left, `None` when there was none.
    pub fn unpin_for_client(&self, id: PageId) -> Option<u32> {
        let inner = &*self.inner;
        let mut pins = inner.client_pins.lock();
        let (count, frame) = pins.get_mut(&id)?;
        *count -= 1;
        if *count > 0 {
            return Some(*count);
        }
        let frame = frame.clone();
        pins.remove(&id);
        drop(pins);
        inner.unpin(id, &frame);
        Some(0)
    }

    /// Lets go of all clients' pins on pages of a tablespace, and forgets its pages and their changes: it was dropped, and
    /// nobody changes them any more. A page that somebody else has pinned stays for so long, clean.
    pub fn discard_tablespace(&self, id: TablespaceId) {
        let inner = &*self.inner;
        let pinned = {
            let mut pins = inner.client_pins.lock();
            let of_it: Vec<PageId> = pins
                .keys()
                .copied()
                .filter(|page| page.tablespace() == id)
                .collect();
            let removed = of_it
                .into_iter()
                .filter_map(|page| Some((page, pins.remove(&page)?)));
            removed.collect::<Vec<_>>()
        };
        for (page, (_, frame)) in pinned {
            inner.unpin(page, &frame);
        }
        let resident: Vec<PageId> = self.resident_pages().iter().map(|frame| frame.page).collect();
        for page in resident.into_iter().filter(|page| page.tablespace() == id) {
            if !self.discard(page) {
                Writing::new(&inner.dirty, inner.dirty.claim_wait(page)).forget();
            }
        }
    }

    /// Pages that clients have pinned, and how often, in the order of the ids.
    pub fn client_pins(&self) -> Vec<(PageId, u32)> {
        let pins = self.inner.client_pins.lock();
        pins.iter().map(|(&id, &(count, _))| (id, count)).collect()
    }
}
