//! Pages as clients see them: what can go wrong with them, and looking at any page of any tablespace.
//!
//! Whether a page is in use say the maps as the frames have them, which may be ahead of what is durable.

use super::tablespaces::{Registry, TablespaceState};
use super::{DIRECTORY_OWNER, GRAVEYARD_OWNER, Inner, Kernel, NAMED, REGISTRY};
use crate::error::{KernelError, Result};
use crate::group::work::copy_of;
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::page::header::{self, PageKind};
use crate::page::{PageBuf, Torn, bitmap, raw, slotted};

pub(super) type RawResult<T> = Result<T, RawError>;

/// Why something was not done with a tablespace or a page. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("there is no tablespace {id}; list the tablespaces for those that there are")]
    TablespaceNotFound { id: u16 },
    #[error("there is a tablespace named {name:?} already; choose another name")]
    TablespaceExists { name: String },
    #[error(
        "tablespace {id} is the system's: it can't be dropped and is always online; make one of your own"
    )]
    TablespaceIsSystem { id: u16 },
    #[error("tablespace {id} is read-only; set it online to change its pages")]
    TablespaceReadOnly { id: u16 },
    #[error(
        "a limit of {pages_max} pages is too low for tablespace {id}, which needs {pages}; give at least that many"
    )]
    LimitBelowUse { id: u16, pages: u32, pages_max: u32 },
    #[error("all {} numbers of tablespaces are taken; drop one", u16::MAX)]
    TooManyTablespaces,
    #[error("page {0} is not in use; allocate it, or list the pages of its tablespace for those that are")]
    PageNotFound(PageId),
    #[error("page {page} belongs to {by}; only pages that were allocated in a raw tablespace can be changed")]
    PageInUse { page: PageId, by: &'static str },
    #[error("page {page} has {free} bytes of room, and {needed} are needed; use or allocate another page")]
    PageFull {
        page: PageId,
        free: usize,
        needed: usize,
    },
    #[error("page {page} has no record in slot {slot}; list its records for those that there are")]
    RecordNotFound { page: PageId, slot: u16 },
    #[error("a record of {size} bytes is longer than a page holds, {size_max}; split it")]
    RecordTooLarge { size: usize, size_max: usize },
    #[error(
        "the image{} is no raw page: {what} is {found:#x} in place of {expected:#x}; give a page as it was read",
        .page.map_or(String::new(), |page| format!(" of page {page}"))
    )]
    BadImage {
        page: Option<PageId>,
        what: &'static str,
        expected: u64,
        found: u64,
    },
    #[error("page {page} has {records} records; a page with two at least can be split")]
    CannotSplit { page: PageId, records: usize },
    #[error(
        "the records of page {with} need {needed} bytes, and page {page} has room for {free}; move some elsewhere"
    )]
    CannotMerge {
        page: PageId,
        with: PageId,
        needed: usize,
        free: usize,
    },
    #[error("{requests_max} requests for pages are queued already; process some")]
    QueueFull { requests_max: usize },
}

impl RawError {
    pub(super) fn bad_image(page: PageId, bad: raw::Bad) -> RawError {
        RawError::BadImage {
            page: Some(page),
            what: bad.what,
            expected: bad.expected,
            found: bad.found,
        }
    }
}

/// A page as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageFacts {
    pub id: PageId,
    /// `Free` of a page that is not in use; then there are no numbers of its content.
    pub kind: PageKind,
    /// Number of the tree, 0 of none.
    pub owner: u64,
    pub level: u8,
    /// Group that last changed it.
    pub lsn: Lsn,
    /// Empty ones too.
    pub slots: usize,
    pub records: usize,
    /// Between slots and cells, and in gaps.
    pub free_bytes: usize,
    /// Between cells.
    pub gap_bytes: usize,
    /// It is in a frame.
    pub resident: bool,
    /// The frame is newer than the disk.
    pub dirty: bool,
    pub pins: u32,
}

/// A page in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageListed {
    pub id: PageId,
    pub in_use: bool,
    pub resident: bool,
    pub dirty: bool,
    pub pins: u32,
}

/// Pages of a tablespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    pub pages: u64,
    pub in_use: u64,
    pub free: u64,
}

/// What a look at a page on disk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Checksum that the page has.
    pub stored: u32,
    /// Checksum that its bytes have.
    pub computed: u32,
    /// `None` of a page that is whole, and of one that is not in use.
    pub problem: Option<String>,
}

impl Kernel {
    /// What a page is. Reads it from the disk when it is in no frame, unless it is not in use.
    ///
    /// # Errors
    /// `TablespaceNotFound`, and `PageNotFound` behind the tablespace's end.
    pub fn page_facts(&self, id: PageId) -> RawResult<PageFacts> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        match inner.is_in_use(&registry, id)? {
            true => inner.facts(id),
            false => Ok(inner.with_frame(PageFacts {
                id,
                kind: PageKind::Free,
                owner: 0,
                level: 0,
                lsn: Lsn(0),
                slots: 0,
                records: 0,
                free_bytes: 0,
                gap_bytes: 0,
                resident: false,
                dirty: false,
                pins: 0,
            })),
        }
    }

    /// Up to `pages_max` pages of the tablespace from the page `from` on, in use or not, in order.
    pub fn list_pages(&self, id: TablespaceId, from: u32, pages_max: usize) -> RawResult<Vec<PageListed>> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        let capacity = inner.capacity(&registry, id)?;
        let mut listed = Vec::new();
        let mut map: Option<(u32, PageBuf)> = None;
        for number in (from..capacity.pages).take(pages_max) {
            let (map_page, bit) = bitmap::place(number);
            if map.as_ref().is_none_or(|(known, _)| *known != map_page) {
                map = Some((map_page, copy_of(&inner.pool, PageId::new(id, map_page))?));
            }
            let Some((_, bits)) = &map else { break };
            let page = PageId::new(id, number);
            let in_use =
                bitmap::get(bits, bit).map_err(|Torn| KernelError::misshapen(page, "free-space map"))?;
            let frame = inner.pool.page_info(page);
            listed.push(PageListed {
                id: page,
                in_use,
                resident: frame.is_some(),
                dirty: frame.is_some_and(|frame| frame.dirty_since.is_some()),
                pins: frame.map_or(0, |frame| frame.pins),
            });
        }
        Ok(listed)
    }

    pub fn count_pages(&self, id: TablespaceId) -> RawResult<PageCounts> {
        let registry = self.inner.registry.read();
        let capacity = self.inner.capacity(&registry, id)?;
        let in_use = u64::from(self.inner.pages_in_use(id, capacity)?);
        let pages = u64::from(capacity.pages);
        Ok(PageCounts {
            pages,
            in_use,
            free: pages.saturating_sub(in_use),
        })
    }

    /// Sees to it that a page in use is in a frame; what it is, and whether it was in one before.
    pub fn fetch_page(&self, id: PageId) -> RawResult<(PageFacts, bool)> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.must_be_in_use(&registry, id)?;
        let hit = inner.pool.page_info(id).is_some();
        Ok((inner.facts(id)?, hit))
    }

    /// The page as it is on disk, unverified, and whether a frame has a newer one.
    pub fn page_on_disk(&self, id: PageId) -> RawResult<(PageBuf, bool)> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.is_in_use(&registry, id)?;
        // Nothing becomes dirty meanwhile, so nothing is written while it is read.
        let _committer = inner.committer.lock();
        let mut page = PageBuf::zeroed();
        let (read, newer) = inner
            .pool
            .undisturbed(id, |dirty| (inner.files.read_unverified(id, &mut page), dirty));
        read?;
        Ok((page, newer))
    }

    /// Reads the page from the disk and judges it. A frame that is newer is written first.
    pub fn verify_page(&self, id: PageId) -> RawResult<Verdict> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        let in_use = inner.is_in_use(&registry, id)?;
        let _committer = inner.committer.lock();
        if in_use {
            inner.note(inner.pool.flush_page(id))?;
        }
        let mut page = PageBuf::zeroed();
        inner
            .pool
            .undisturbed(id, |_| inner.files.read_unverified(id, &mut page))?;
        let (stored, computed) = header::checksums(&page);
        let is_raw = id.tablespace() != TablespaceId::MAIN && !is_format(id);
        let problem = match in_use.then(|| inner.files.verify(id, &page)) {
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(())) if is_raw => raw::check(&page, id)
                .err()
                .map(|bad| RawError::bad_image(id, bad).to_string()),
            _ => None,
        };
        Ok(Verdict {
            stored,
            computed,
            problem,
        })
    }

    /// Writes the page if its frame is newer than the disk, and makes it durable. Whether it was.
    pub fn flush_page(&self, id: PageId) -> RawResult<bool> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.must_be_in_use(&registry, id)?;
        let written = inner.note(inner.pool.flush_page(id))?;
        inner.note(inner.files.sync_tablespace(id.tablespace()))?;
        Ok(written)
    }

    /// The record in a slot of a page with slots.
    pub fn record(&self, id: PageId, slot: u16) -> RawResult<Vec<u8>> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        inner.must_be_in_use(&registry, id)?;
        let page = copy_of(&inner.pool, id)?;
        let found = record_in(&page, id, slot)?;
        Ok(found.to_vec())
    }
}

/// The record in a slot.
pub(super) fn record_in(page: &PageBuf, id: PageId, slot: u16) -> RawResult<&[u8]> {
    let torn = |Torn| KernelError::misshapen(id, "slots and cells");
    let index = usize::from(slot);
    let there = has_slots(page)
        && index < slotted::count(&**page).map_err(torn)?
        && !slotted::slot(&**page, index).map_err(torn)?.is_empty();
    if !there {
        return Err(RawError::RecordNotFound { page: id, slot });
    }
    Ok(slotted::cell(page, index).map_err(torn)?)
}

fn has_slots(page: &PageBuf) -> bool {
    use PageKind::{RawSlotted, TreeInner, TreeLeaf};
    matches!(header::kind(&page[..]), Some(TreeLeaf | TreeInner | RawSlotted))
}

/// Whether the place belongs to the format of each tablespace: header or map.
pub(super) fn is_format(id: PageId) -> bool {
    id.number() == 0 || bitmap::place(id.number()).0 == id.number()
}

/// Refuses a tablespace whose pages clients can't change.
pub(super) fn must_be_online(registry: &Registry, id: TablespaceId) -> RawResult<()> {
    let number = id.0;
    match registry.get(&id) {
        None if id == TablespaceId::MAIN => Err(RawError::TablespaceIsSystem { id: number }),
        None => Err(RawError::TablespaceNotFound { id: number }),
        Some(record) if record.state == TablespaceState::ReadOnly => {
            Err(RawError::TablespaceReadOnly { id: number })
        }
        Some(_) => Ok(()),
    }
}

impl Inner {
    /// Whether a page of a tablespace is in use; refuses one behind its end.
    pub(super) fn is_in_use(&self, registry: &Registry, id: PageId) -> RawResult<bool> {
        let capacity = self.capacity(registry, id.tablespace())?;
        if id.number() >= capacity.pages {
            return Err(RawError::PageNotFound(id));
        }
        let (map, bit) = bitmap::place(id.number());
        let map = PageId::new(id.tablespace(), map);
        let byte = self
            .pool
            .read(map, |view| view.u8(bitmap::BITS + usize::from(bit) / 8))?;
        Ok(byte >> (bit % 8) & 1 == 1)
    }

    pub(super) fn must_be_in_use(&self, registry: &Registry, id: PageId) -> RawResult<()> {
        match self.is_in_use(registry, id)? {
            true => Ok(()),
            false => Err(RawError::PageNotFound(id)),
        }
    }

    /// Refuses a page that is not a client's to change. The page itself is not read: it may be damaged.
    pub(super) fn must_be_changeable(&self, registry: &Registry, id: PageId) -> RawResult<()> {
        let record = registry.get(&id.tablespace());
        if record.is_some() {
            must_be_online(registry, id.tablespace())?;
        }
        self.must_be_in_use(registry, id)?;
        let by = match id.number() {
            0 => "the format: it is the header of its tablespace",
            _ if is_format(id) => "the format: it is a free-space map",
            _ if record.is_some() => return Ok(()),
            _ => match header::owner(&copy_of(&self.pool, id)?[..]) {
                DIRECTORY_OWNER | GRAVEYARD_OWNER | REGISTRY | NAMED => "the directory of the store",
                _ => "a table or an index",
            },
        };
        Err(RawError::PageInUse { page: id, by })
    }

    /// What a page in use is.
    fn facts(&self, id: PageId) -> RawResult<PageFacts> {
        let page = copy_of(&self.pool, id)?;
        let torn = |Torn| KernelError::misshapen(id, "slots and cells");
        let bytes = &page[..];
        let kind = header::kind(bytes).ok_or_else(|| KernelError::misshapen(id, "kind of page"))?;
        let (mut slots, mut records, mut free_bytes, mut gap_bytes) = (0, 0, 0, 0);
        if has_slots(&page) {
            slots = slotted::count(&*page).map_err(torn)?;
            let found = raw::records(&page).map_err(torn)?;
            records = found.iter().flatten().count();
            free_bytes = slotted::free_bytes(&*page).map_err(torn)?;
            gap_bytes = usize::from(header::unused(bytes));
        }
        Ok(self.with_frame(PageFacts {
            id,
            kind,
            owner: header::owner(bytes),
            level: header::level(bytes),
            lsn: header::lsn(bytes),
            slots,
            records,
            free_bytes,
            gap_bytes,
            resident: false,
            dirty: false,
            pins: 0,
        }))
    }

    /// Adds what is known of the page's frame.
    fn with_frame(&self, facts: PageFacts) -> PageFacts {
        match self.pool.page_info(facts.id) {
            None => facts,
            Some(frame) => PageFacts {
                resident: true,
                dirty: frame.dirty_since.is_some(),
                pins: frame.pins,
                ..facts
            },
        }
    }
}
