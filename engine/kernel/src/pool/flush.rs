//! Dirty pages are written: the log first, then the page.

use super::dirty::{Claim, DirtyList};
use super::events::PoolEvent;
use super::stats::{count, count_n};
use super::{Inner, Pool};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId};
use crate::page::{PageBuf, header};
use crate::planted::planted;

/// Pages that are copied and handed to the disk with one call: half a MiB.
const BATCH_PAGES: usize = 64;

/// What a call wrote.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Pages written.
    pub pages: u64,
    /// Requests that carried them.
    pub requests: u64,
    /// Dirty pages passed over because their last group was not durable.
    pub not_durable: u64,
}

/// What becomes of a page whose last group is not durable in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotDurable {
    Skip,
    SyncLog,
}

impl Pool {
    /// Writes the page if it is dirty, syncing the log for it where needed. Whether it was. Like all that flushes, this
    /// leaves it to the caller to sync the files of the pages.
    pub fn flush_page(&self, id: PageId) -> Result<bool> {
        match self.inner.dirty.claim_wait(id) {
            Some(claim) => Ok(self.inner.write(vec![claim], NotDurable::SyncLog)?.pages == 1),
            None => Ok(false),
        }
    }

    /// Writes those of the pages that are dirty, as [`Pool::flush_page`] does, neighbours with one request. The ids ascend.
    pub fn flush_pages(&self, ids: &[PageId]) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        for batch in ids.chunks(BATCH_PAGES) {
            // Whoever waits for a claim with claims of its own waits for greater ids only.
            let claims = batch.iter().filter_map(|id| self.inner.dirty.claim_wait(*id));
            flushed.add(self.inner.write(claims.collect(), NotDurable::SyncLog)?);
        }
        Ok(flushed)
    }

    /// Runs `look`, which is told whether the page is dirty, while nobody writes it, unless it becomes dirty meanwhile: the
    /// caller keeps it from that.
    pub fn undisturbed<T>(&self, id: PageId, look: impl FnOnce(bool) -> T) -> T {
        let claim = Writing::new(&self.inner.dirty, self.inner.dirty.claim_wait(id));
        look(!claim.is_empty())
    }

    /// Writes every page that is dirty now, syncing the log where needed, in the order of the ids. When it returns, no
    /// page is dirty from an install of before the call.
    pub fn flush_all(&self) -> Result<Flushed> {
        self.inner.flush_until(self.inner.dirty.newest())
    }

    /// Writes every page with a recovery LSN below `lsn`, as [`Pool::flush_all`] does: afterwards redo may begin there.
    pub fn flush_before(&self, lsn: Lsn) -> Result<Flushed> {
        match lsn.0.checked_sub(1) {
            Some(until) => self.inner.flush_until(Lsn(until)),
            None => Ok(Flushed::default()),
        }
    }

    /// Writes up to `pages_max` dirty pages that are durable in the log: those with the oldest recovery LSN, and their
    /// dirty neighbours on disk, for they go with the same request.
    pub fn flush_some(&self, pages_max: usize) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        let mut left = pages_max;
        while left > 0 {
            let claims = self.inner.dirty.claim_oldest(left.min(BATCH_PAGES));
            if claims.is_empty() {
                break;
            }
            left -= claims.len();
            let batch = self.inner.write(claims, NotDurable::Skip)?;
            flushed.add(batch);
            if batch.not_durable > 0 {
                // The oldest that are left are those that were passed over.
                break;
            }
        }
        Ok(flushed)
    }

    /// The oldest recovery LSN of a dirty page; `None` when all are clean. Redo from there finds every change that is
    /// on no disk.
    pub fn oldest_dirty(&self) -> Option<Lsn> {
        self.inner.dirty.oldest()
    }

    /// Dirty pages.
    pub fn dirty_pages(&self) -> usize {
        self.inner.dirty.len()
    }
}

impl Flushed {
    fn add(&mut self, other: Flushed) {
        self.pages += other.pages;
        self.requests += other.requests;
        self.not_durable += other.not_durable;
    }
}

impl Inner {
    /// Writes every page with a recovery LSN up to `until`.
    fn flush_until(&self, until: Lsn) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        while self.dirty.oldest().is_some_and(|oldest| oldest <= until) {
            let mut after = None;
            loop {
                let claims = self.dirty.claim_range(after, until, BATCH_PAGES);
                let Some(last) = claims.last() else { break };
                after = Some(last.id);
                flushed.add(self.write(claims, NotDurable::SyncLog)?);
            }
            // Somebody else is writing what is left; a page that they could not write is dirty as before.
            self.dirty.wait_written(until);
        }
        Ok(flushed)
    }

    /// Writes the page if it is dirty and durable, waiting for whoever else writes it.
    pub(super) fn write_if_durable(&self, id: PageId) -> Result<()> {
        if let Some(claim) = self.dirty.claim_wait(id) {
            self.write(vec![claim], NotDurable::Skip)?;
        }
        Ok(())
    }

    /// Writes those of the pages that are dirty and that nobody else writes.
    pub(super) fn write_pages(&self, mut ids: Vec<PageId>) -> Result<()> {
        ids.sort_unstable();
        for batch in ids.chunks(BATCH_PAGES) {
            let claims: Vec<Claim> = batch.iter().filter_map(|&id| self.dirty.claim(id)).collect();
            self.write(claims, NotDurable::SyncLog)?;
        }
        Ok(())
    }

    /// Copies the claimed pages, which ascend, and writes the copies. Ends the claims.
    fn write(&self, claims: Vec<Claim>, not_durable: NotDurable) -> Result<Flushed> {
        let mut writing = Writing::new(&self.dirty, claims);
        let mut pages = self.copies(&writing.claims)?;
        let newest = pages.iter().map(|(_, page)| header::lsn(page.as_slice())).max();
        let mut flushed = Flushed::default();
        // The copies are made: whatever is installed from here on is in none of them.
        if let Some(newest) = newest
            && newest >= self.log.durable()
            && !planted!("page-before-log")
        {
            if not_durable == NotDurable::SyncLog {
                count(&self.stats.here().log_syncs);
                self.log.sync_to(Lsn(newest.0 + 1))?;
            }
            let durable = self.log.durable();
            let before = pages.len();
            pages.retain(|(_, page)| header::lsn(page.as_slice()) < durable);
            flushed.not_durable = (before - pages.len()) as u64;
            count_n(&self.stats.here().flush_not_durable, flushed.not_durable);
            writing.keep(&pages);
            if flushed.not_durable > 0 && not_durable == NotDurable::SyncLog {
                return Err(KernelError::Io {
                    what: format!("sync the log up to {newest}"),
                    reason: format!("afterwards it is durable up to {durable}"),
                });
            }
        }
        if pages.is_empty() {
            return Ok(flushed);
        }
        flushed.requests = self.io.write_many(&mut pages)?;
        writing.done();
        flushed.pages = pages.len() as u64;
        count(&self.stats.here().flush_batches);
        count_n(&self.stats.here().pages_flushed, flushed.pages);
        for (page, bytes) in &pages {
            self.listener.event(PoolEvent::Flushed {
                page: *page,
                lsn: header::lsn(bytes.as_slice()),
            });
        }
        Ok(flushed)
    }

    fn copies(&self, claims: &[Claim]) -> Result<Vec<(PageId, PageBuf)>> {
        let mut pages = Vec::with_capacity(claims.len());
        for claim in claims {
            let mut page = PageBuf::zeroed();
            let mut copy = |view: &super::PageView<'_>| {
                view.copy_to(&mut page);
                Ok(())
            };
            self.read_frame(&claim.frame, claim.id, &mut copy)
                .expect("a dirty page stays in its frame while somebody writes it")?;
            pages.push((claim.id, page));
        }
        Ok(pages)
    }
}

/// Claims that end as not written unless somebody says otherwise.
pub(super) struct Writing<'a> {
    dirty: &'a DirtyList,
    claims: Vec<Claim>,
}

impl<'a> Writing<'a> {
    pub fn new(dirty: &'a DirtyList, claims: impl IntoIterator<Item = Claim>) -> Writing<'a> {
        let claims = claims.into_iter().collect();
        Writing { dirty, claims }
    }

    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Ends them as of pages that are never written.
    pub fn forget(&mut self) {
        self.dirty.forget(&std::mem::take(&mut self.claims));
    }

    /// Ends the claims of all but these pages.
    fn keep(&mut self, pages: &[(PageId, PageBuf)]) {
        let kept = |claim: &Claim| pages.binary_search_by_key(&claim.id, |(id, _)| *id).is_ok();
        let (kept, ended) = std::mem::take(&mut self.claims).into_iter().partition(kept);
        self.claims = kept;
        let ended: Vec<Claim> = ended;
        self.dirty.end(&ended, false);
    }

    fn done(mut self) {
        self.dirty.end(&std::mem::take(&mut self.claims), true);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.claims.is_empty() {
            self.dirty.end(&self.claims, false);
        }
    }
}
