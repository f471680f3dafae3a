//! Which pages are to be written, and from where on the log must be kept for them.
//!
//! A page is dirty from its first install until a copy that holds all of its changes has been written. Its recovery
//! LSN is that of the first group whose change no written copy holds. A page that is installed while a copy of it
//! is being written stays dirty, from that install on.
//!
//! Order of locks: latch of a frame, then this list.

use std::collections::{BTreeMap, BTreeSet};

use super::frame::FrameRef;
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex};

#[derive(Debug)]
pub(super) struct DirtyList {
    pages: Mutex<DirtyPages>,
    /// Some write has ended.
    written: Condvar,
}

#[derive(Debug, Default)]
struct DirtyPages {
    pages: BTreeMap<PageId, Dirty>,
    by_age: BTreeSet<(Lsn, PageId)>,
    /// The newest LSN that was ever installed.
    newest: Lsn,
}

#[derive(Debug)]
struct Dirty {
    frame: FrameRef,
    /// The recovery LSN.
    since: Lsn,
    /// Somebody is writing a copy.
    writing: bool,
    /// The first install since that copy was begun.
    again: Option<Lsn>,
}

/// The right to write a copy of a page, which nobody else has until it ends. The frame holds the page till then.
#[derive(Debug)]
pub(super) struct Claim {
    pub id: PageId,
    pub frame: FrameRef,
}

impl DirtyList {
    pub fn new() -> DirtyList {
        DirtyList {
            pages: Mutex::new(DirtyPages::default()),
            written: Condvar::new(),
        }
    }

    /// The page was changed by the group at `lsn`. The frame's latch is held and its words are stored.
    pub fn mark(&self, frame: &FrameRef, id: PageId, lsn: Lsn) {
        let mut list = self.pages.lock();
        list.newest = list.newest.max(lsn);
        if let Some(page) = list.pages.get_mut(&id) {
            if page.writing && page.again.is_none() {
                page.again = Some(lsn);
            }
            return;
        }
        let dirty = Dirty {
            frame: frame.clone(),
            since: lsn,
            writing: false,
            again: None,
        };
        list.pages.insert(id, dirty);
        list.by_age.insert((lsn, id));
        frame.dirty.store(true, Ordering::Release);
    }

    /// Claims the page for writing. `None` when it is clean or claimed.
    pub fn claim(&self, id: PageId) -> Option<Claim> {
        self.pages.lock().claim(id)
    }

    /// Claims the page for writing, waiting for whoever has it. `None` when it is clean.
    pub fn claim_wait(&self, id: PageId) -> Option<Claim> {
        let mut list = self.pages.lock();
        loop {
            if let Some(claim) = list.claim(id) {
                return Some(claim);
            }
            list.pages.get(&id)?;
            self.written.wait(&mut list);
        }
    }

    /// Claims up to `pages_max` pages with a recovery LSN up to `until`, of ids above `after`, in the order of the ids.
    pub fn claim_range(&self, after: Option<PageId>, until: Lsn, pages_max: usize) -> Vec<Claim> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut list = self.pages.lock();
        let from = after.map_or(Unbounded, Excluded);
        let due = list.pages.range((from, Unbounded));
        let due = due.filter(|(_, page)| page.since <= until && !page.writing);
        let ids: Vec<PageId> = due.map(|(&id, _)| id).take(pages_max).collect();
        ids.into_iter().filter_map(|id| list.claim(id)).collect()
    }

    /// Claims up to `pages_max` pages, those with the oldest recovery LSN and their neighbours on disk, in the order of
    /// the ids.
    pub fn claim_oldest(&self, pages_max: usize) -> Vec<Claim> {
        let mut list = self.pages.lock();
        let oldest: Vec<PageId> = list.by_age.iter().map(|&(_, id)| id).take(pages_max).collect();
        let mut claims: Vec<Claim> = Vec::new();
        for id in oldest {
            let mut next = Some(id);
            while let Some(id) = next {
                if claims.len() == pages_max {
                    break;
                }
                let Some(claim) = list.claim(id) else { break };
                claims.push(claim);
                next = neighbour(id);
            }
        }
        claims.sort_unstable_by_key(|claim| claim.id);
        claims
    }

    /// Waits until no page with a recovery LSN up to `until` is claimed. Whether there was one to wait for.
    pub fn wait_written(&self, until: Lsn) -> bool {
        let mut list = self.pages.lock();
        let mut waited = false;
        let claimed = |list: &DirtyPages| {
            let mut due = list.by_age.range(..=(until, LAST_PAGE));
            due.any(|(_, id)| list.pages.get(id).is_some_and(|page| page.writing))
        };
        while claimed(&list) {
            waited = true;
            self.written.wait(&mut list);
        }
        waited
    }

    /// Ends claims. After a `written` one the page is clean, unless it was installed since.
    pub fn end<'a>(&self, claims: impl IntoIterator<Item = &'a Claim>, written: bool) {
        let mut list = self.pages.lock();
        for claim in claims {
            list.end(claim.id, written);
        }
        drop(list);
        self.written.notify_all();
    }

    /// Ends claims of pages that are of no use any more and are never written: they are clean.
    pub fn forget(&self, claims: &[Claim]) {
        let mut list = self.pages.lock();
        for claim in claims {
            if let Some(page) = list.pages.remove(&claim.id) {
                list.by_age.remove(&(page.since, claim.id));
                page.frame.dirty.store(false, Ordering::Release);
            }
        }
        drop(list);
        self.written.notify_all();
    }

    /// The oldest recovery LSN.
    pub fn oldest(&self) -> Option<Lsn> {
        self.pages.lock().by_age.first().map(|&(since, _)| since)
    }

    /// The newest LSN that was ever installed; 0 when nothing was.
    pub fn newest(&self) -> Lsn {
        self.pages.lock().newest
    }

    pub fn len(&self) -> usize {
        self.pages.lock().pages.len()
    }

    /// The page's recovery LSN; `None` when it is clean.
    pub fn since(&self, id: PageId) -> Option<Lsn> {
        self.pages.lock().pages.get(&id).map(|page| page.since)
    }
}

impl DirtyPages {
    fn claim(&mut self, id: PageId) -> Option<Claim> {
        let page = self.pages.get_mut(&id)?;
        if page.writing {
            return None;
        }
        page.writing = true;
        page.again = None;
        Some(Claim {
            id,
            frame: page.frame.clone(),
        })
    }

    fn end(&mut self, id: PageId, written: bool) {
        let Some(page) = self.pages.get_mut(&id) else {
            return;
        };
        page.writing = false;
        let again = page.again.take();
        if !written {
            return;
        }
        self.by_age.remove(&(page.since, id));
        match again {
            Some(lsn) => {
                page.since = lsn;
                self.by_age.insert((lsn, id));
            }
            None => {
                page.frame.dirty.store(false, Ordering::Release);
                self.pages.remove(&id);
            }
        }
    }
}

const LAST_PAGE: PageId = PageId::new(TablespaceId(u16::MAX), u32::MAX);

/// The page behind it in the same tablespace.
fn neighbour(id: PageId) -> Option<PageId> {
    Some(PageId::new(id.tablespace(), id.number().checked_add(1)?))
}
