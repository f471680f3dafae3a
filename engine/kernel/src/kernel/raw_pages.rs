//! Clients change raw pages as a whole: take them into use, give them other content, put them on disk.
//!
//! Each call is one group of the log, and durable when it returns. A page that is given is judged before anything happens
//! ([`raw::check`]); what a client can't know, LSN and checksum, is set here.

use std::collections::BTreeSet;

use super::raw::{RawError, RawResult, must_be_online};
use super::tablespaces::Registry;
use super::{Inner, Kernel};
use crate::error::Result;
use crate::group::{Group, KernelEvent};
use crate::ids::{PageId, TablespaceId};
use crate::page::header;
use crate::page::redo::Change;
use crate::page::{PageBuf, raw};

/// What a flush of staged pages did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Staged {
    pub pages: u64,
    /// Requests that carried them: neighbours go together.
    pub requests: u64,
}

impl Kernel {
    /// Takes a page of a raw tablespace into use, without records. With `keep` it has one pin for clients.
    ///
    /// # Errors
    /// Besides those of every change: `TablespaceFull` and `DiskFull`.
    pub fn allocate_page(&self, id: TablespaceId, keep: bool) -> RawResult<PageId> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        must_be_online(&registry, id)?;
        let (page, pin) = inner.change_raw(|group| {
            let page = group.allocate(id)?;
            group.work.create(page, |content| {
                raw::format(content, page);
                Ok(())
            })?;
            let pin = keep.then(|| inner.pool.pin_new(page)).transpose()?;
            Ok((page, pin))
        })?;
        if pin.is_some() {
            // It is in a frame and stays there, so this can't fail for want of one.
            inner.pool.pin_for_client(page)?;
        }
        Ok(page)
    }

    /// Pins a page in use once more for clients; how many such pins it has. They end with its tablespace.
    pub fn pin_page(&self, id: PageId) -> RawResult<u32> {
        let registry = self.inner.registry.read();
        self.inner.must_be_in_use(&registry, id)?;
        Ok(self.inner.pool.pin_for_client(id)?)
    }

    /// Gives pages other content, all or none, and puts them on disk.
    ///
    /// # Errors
    /// Besides those of every change: `BadImage`.
    pub fn write_pages(&self, pages: Vec<(PageId, PageBuf)>) -> RawResult<()> {
        self.inner.write_raw(pages).map(drop)
    }

    /// Gives a page other content, and leaves it to [`Kernel::flush_staged`] or a checkpoint to put it on disk. It is in
    /// the log when this returns, and so survives a crash.
    pub fn stage_page(&self, id: PageId, page: PageBuf) -> RawResult<()> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.put_images(&registry, vec![(id, page)], "write")?;
        inner.staged.lock().insert(id);
        Ok(())
    }

    /// Staged pages that are not on disk yet.
    pub fn staged_pages(&self) -> usize {
        let mut staged = self.inner.staged.lock();
        staged.retain(|id| self.inner.is_dirty(*id));
        staged.len()
    }

    /// Puts the staged pages on disk, neighbours with one request.
    pub fn flush_staged(&self) -> RawResult<Staged> {
        let inner = &*self.inner;
        let _registry = inner.registry.read();
        let staged = std::mem::take(&mut *inner.staged.lock());
        let flushed = inner.put_on_disk(&staged);
        if flushed.is_err() {
            inner.staged.lock().extend(staged);
        }
        Ok(flushed?)
    }

    /// Gives the page that the image names the content of the image, whose checksum must be right.
    pub fn load_page(&self, image: &PageBuf) -> RawResult<PageId> {
        let inner = &*self.inner;
        let bad = |what, expected: u64, found: u64| RawError::BadImage {
            page: header::page_id(&image[..]),
            what,
            expected,
            found,
        };
        let (stored, computed) = header::checksums(image);
        if stored != computed {
            return Err(bad("checksum", computed.into(), stored.into()));
        }
        let number = u64::from_le_bytes(std::array::from_fn(|at| image[header::PAGE_ID + at]));
        let id = PageId::from_number(number).ok_or_else(|| bad("page id", (1 << 48) - 1, number))?;
        let registry = inner.registry.read();
        inner.put_images(&registry, vec![(id, image.clone())], "load")?;
        Ok(id)
    }

    /// Makes the page dirty as it is: it is logged whole.
    pub fn touch_page(&self, id: PageId) -> RawResult<()> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.change_raw(|group| {
            inner.must_be_changeable(&registry, id)?;
            group.work.rewrite(id, |_| Ok(()))?;
            tell_modified(group, id, "touch");
            Ok(())
        })
    }

    /// Removes all records and slots. A page that can't be read can be used again afterwards.
    pub fn reset_page(&self, id: PageId) -> RawResult<()> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.change_raw(|group| {
            inner.must_be_changeable(&registry, id)?;
            group.work.create(id, |page| {
                raw::format(page, id);
                Ok(())
            })?;
            tell_modified(group, id, "reset");
            Ok(())
        })
    }

    /// Closes the gaps between records; how many bytes they were. Without gaps nothing happens.
    pub fn compact_page(&self, id: PageId) -> RawResult<usize> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.change_raw(|group| {
            inner.must_be_changeable(&registry, id)?;
            let bytes = usize::from(header::unused(&group.work.page(id)?[..]));
            if bytes > 0 {
                group.work.change(id, Change::Compact)?;
                tell_modified(group, id, "compact");
                group.tell(|| KernelEvent::PageCompacted { page: id, bytes });
            }
            Ok(bytes)
        })
    }

    /// Takes what is on disk, if that is a raw page but for its checksum, and puts it there with the right one, which is
    /// given back. A frame that is newer is written first, and then is what is on disk.
    ///
    /// # Errors
    /// Besides those of every change: `BadImage` when what is on disk makes no sense.
    pub fn reseal_page(&self, id: PageId) -> RawResult<u32> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        let mut committer = inner.committer.lock();
        inner.must_be_changeable(&registry, id)?;
        inner.check_poison()?;
        inner.note(inner.pool.flush_page(id))?;
        let mut page = PageBuf::zeroed();
        inner
            .pool
            .undisturbed(id, |_| inner.files.read_unverified(id, &mut page))?;
        raw::check(&page, id).map_err(|bad| RawError::bad_image(id, bad))?;
        raw::normalise(&mut page);
        let (ts, now_us) = (committer.applied, inner.clock.now_us());
        let ((), ticket) = inner.make(&mut committer, ts, now_us, |commit| {
            let group = &mut commit.group;
            put_image(group, id, &page)?;
            tell_modified(group, id, "checksum");
            Ok::<_, RawError>(())
        })?;
        inner.make_visible(ticket.end)?;
        inner.put_on_disk(&BTreeSet::from([id]))?;
        inner.pool.copy(id, &mut page)?;
        Ok(header::checksums(&page).1)
    }
}

/// Tells that a client has changed a page.
pub(super) fn tell_modified(group: &mut Group<'_>, page: PageId, operation: &'static str) {
    group.tell(|| KernelEvent::PageModified { page, operation });
}

/// Gives a page that may be unreadable the content of another.
fn put_image(group: &mut Group<'_>, id: PageId, image: &PageBuf) -> Result<()> {
    group.work.create(id, |page| {
        page.copy_from_slice(&image[..]);
        Ok(())
    })
}

impl Inner {
    /// Makes the changes of `make` one group of the log, durable when this returns. The caller keeps the registry from being
    /// changed.
    pub(super) fn change_raw<T>(&self, make: impl FnOnce(&mut Group<'_>) -> RawResult<T>) -> RawResult<T> {
        let (made, ticket) = {
            let mut committer = self.committer.lock();
            let (ts, now_us) = (committer.applied, self.clock.now_us());
            self.make(&mut committer, ts, now_us, |commit| make(&mut commit.group))?
        };
        self.make_visible(ticket.end)?;
        Ok(made)
    }

    /// Gives pages the content of images.
    fn put_images(
        &self,
        registry: &Registry,
        mut pages: Vec<(PageId, PageBuf)>,
        operation: &'static str,
    ) -> RawResult<()> {
        self.change_raw(|group| {
            for (id, page) in &mut pages {
                self.must_take(registry, *id, page)?;
                raw::normalise(page);
                put_image(group, *id, page)?;
                tell_modified(group, *id, operation);
            }
            Ok(())
        })
    }

    /// Refuses an image for a page that is not a client's to change, and one that is no raw page.
    pub(super) fn must_take(&self, registry: &Registry, id: PageId, page: &PageBuf) -> RawResult<()> {
        self.must_be_changeable(registry, id)?;
        raw::check(page, id).map_err(|bad| RawError::bad_image(id, bad))
    }

    /// [`Kernel::write_pages`].
    pub(super) fn write_raw(&self, pages: Vec<(PageId, PageBuf)>) -> RawResult<Staged> {
        let registry = self.registry.read();
        let ids = pages.iter().map(|(id, _)| *id).collect();
        self.put_images(&registry, pages, "write")?;
        Ok(self.put_on_disk(&ids)?)
    }

    /// Writes those of the pages that are dirty, and makes them durable.
    fn put_on_disk(&self, ids: &BTreeSet<PageId>) -> Result<Staged> {
        let ids: Vec<PageId> = ids.iter().copied().collect();
        let flushed = self.note(self.pool.flush_pages(&ids))?;
        let mut tablespaces: Vec<TablespaceId> = ids.iter().map(|id| id.tablespace()).collect();
        tablespaces.dedup();
        for tablespace in tablespaces {
            self.note(self.files.sync_tablespace(tablespace))?;
        }
        Ok(Staged {
            pages: flushed.pages,
            requests: flushed.requests,
        })
    }

    fn is_dirty(&self, id: PageId) -> bool {
        let frame = self.pool.page_info(id);
        frame.is_some_and(|frame| frame.dirty_since.is_some())
    }
}
