//! What is in the pool, for those who ask.

use std::collections::BTreeMap;

use super::Pool;
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::sync::atomic::Ordering;

/// The pool at one moment. Work goes on while it is counted, so the numbers may not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolInfo {
    /// Frames in use.
    pub frames: usize,
    /// Frames that hold a page.
    pub resident: usize,
    pub pinned: usize,
    pub dirty: usize,
    /// Oldest recovery LSN of a dirty page.
    pub oldest_dirty: Option<Lsn>,
    /// Frames in the queue for pages that came lately.
    pub small_queue: usize,
    /// Frames in the queue for pages that were used again.
    pub main_queue: usize,
    /// Pages that left lately and would come back into the main queue.
    pub ghost_queue: usize,
}

/// A page in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    pub page: PageId,
    pub pins: u32,
    /// Hits since a search for victims came by, up to 3.
    pub frequency: u8,
    /// LSN of the group that last changed it.
    pub lsn: Lsn,
    /// Its recovery LSN; `None` of a clean page.
    pub dirty_since: Option<Lsn>,
}

/// Pages of one tablespace in the pool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TablespacePages {
    pub resident: u64,
    pub pinned: u64,
    pub dirty: u64,
}

impl Pool {
    /// Goes over all frames.
    pub fn info(&self) -> PoolInfo {
        let (frames, [small_queue, main_queue, ghost_queue]) = {
            let replacement = self.inner.replacement.lock();
            (replacement.frames(), replacement.queue_lengths())
        };
        let (mut resident, mut pinned) = (0, 0);
        self.each_page(|page| {
            resident += 1;
            pinned += usize::from(page.pins > 0);
        });
        PoolInfo {
            frames,
            resident,
            pinned,
            dirty: self.dirty_pages(),
            oldest_dirty: self.oldest_dirty(),
            small_queue,
            main_queue,
            ghost_queue,
        }
    }

    /// The page, if it is in a frame.
    pub fn page_info(&self, id: PageId) -> Option<FrameInfo> {
        let frame = self.inner.table.lock(id).find(id)?;
        Some(FrameInfo {
            page: id,
            pins: frame.pins(),
            frequency: frame.frequency(),
            lsn: frame.lsn(),
            dirty_since: self.inner.dirty.since(id),
        })
    }

    /// All pages in frames, in no order.
    pub fn resident_pages(&self) -> Vec<FrameInfo> {
        let mut pages = Vec::new();
        self.each_page(|page| pages.push(page));
        pages
    }

    /// The pinned pages, in the order of the ids.
    pub fn pinned_pages(&self) -> Vec<FrameInfo> {
        let mut pages = Vec::new();
        self.each_page(|page| {
            if page.pins > 0 {
                pages.push(page);
            }
        });
        pages.sort_unstable_by_key(|page| page.page);
        pages
    }

    /// Pages in frames, by tablespace.
    pub fn tablespaces(&self) -> BTreeMap<TablespaceId, TablespacePages> {
        let mut counts: BTreeMap<TablespaceId, TablespacePages> = BTreeMap::new();
        self.each_page(|page| {
            let pages = counts.entry(page.page.tablespace()).or_default();
            pages.resident += 1;
            pages.pinned += u64::from(page.pins > 0);
            pages.dirty += u64::from(page.dirty_since.is_some());
        });
        counts
    }

    fn each_page(&self, mut each: impl FnMut(FrameInfo)) {
        for (_, frame) in self.inner.table.layout().frames() {
            let Some(page) = frame.page() else { continue };
            let dirty = frame.dirty.load(Ordering::Relaxed);
            each(FrameInfo {
                page,
                pins: frame.pins(),
                frequency: frame.frequency(),
                lsn: frame.lsn(),
                dirty_since: dirty.then(|| self.inner.dirty.since(page)).flatten(),
            });
        }
    }
}
