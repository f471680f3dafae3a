//! Which pages are in use: free-space maps as a group changes them.
//!
//! Page 0 of a tablespace counts the pages that its files hold, [`CAPACITY`]. They grow by an extent at a time, before the
//! count does, so that a full disk is noticed while nothing has happened yet.

use super::{Group, KernelEvent};
use crate::error::{KernelError, Result};
use crate::ids::{PageId, TablespaceId};
use crate::page::header::{self, HEADER_BYTES, PageKind};
use crate::page::redo::Change;
use crate::page::{PageBuf, bitmap};
use crate::planted::planted;

/// Pages that a tablespace grows by.
pub const EXTENT_PAGES: u32 = 64;
/// Offset of the number of pages in page 0, 4 bytes.
const CAPACITY: usize = HEADER_BYTES;
/// Offset of the most pages it may have, 4 bytes, in page 0.
const CAPACITY_MAX: usize = HEADER_BYTES + 4;

/// Makes room for pages on disk.
pub trait Allocator: Send + Sync {
    /// Returns once the files of the tablespace hold `pages` pages.
    fn ensure(&self, tablespace: TablespaceId, pages: u32) -> Result<()>;
}

/// Extents that a tablespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Pages that its files hold.
    pub pages: u32,
    /// Pages that it may grow to.
    pub pages_max: u32,
}

impl Capacity {
    /// What page 0 of a tablespace says.
    pub fn of(page: &PageBuf) -> Capacity {
        let number = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().expect("four bytes"));
        Capacity {
            pages: number(CAPACITY),
            pages_max: number(CAPACITY_MAX),
        }
    }
}

impl Group<'_> {
    /// Makes the tablespace's first pages: an extent of them, or `pages_max` where that is less.
    pub fn format_tablespace(&mut self, tablespace: TablespaceId, owner: u64, pages_max: u32) -> Result<()> {
        let pages = EXTENT_PAGES.min(pages_max);
        self.allocator.ensure(tablespace, pages)?;
        let first = PageId::new(tablespace, 0);
        self.work.create(first, |page| {
            header::initialise(&mut page[..], first, PageKind::SpaceHeader);
            header::set_owner(&mut page[..], owner);
            page[CAPACITY..CAPACITY + 4].copy_from_slice(&pages.to_le_bytes());
            page[CAPACITY_MAX..CAPACITY_MAX + 4].copy_from_slice(&pages_max.to_le_bytes());
            Ok(())
        })?;
        self.format_map(tablespace, 0)
    }

    /// Makes free-space map `map`, of which its own page is in use, and of the first map page 0.
    fn format_map(&mut self, tablespace: TablespaceId, map: u32) -> Result<()> {
        let id = PageId::new(tablespace, bitmap::map_page(map));
        self.work.create(id, |page| {
            header::initialise(&mut page[..], id, PageKind::Bitmap);
            if map == 0 {
                bitmap::set(page, 0, 1, true)?;
            }
            bitmap::set(page, 1, 1, true)
        })
    }

    pub fn capacity(&mut self, tablespace: TablespaceId) -> Result<Capacity> {
        Ok(Capacity::of(self.work.page(PageId::new(tablespace, 0))?))
    }

    /// Lets the tablespace grow to `pages_max` pages, which are not fewer than it has.
    pub fn limit(&mut self, tablespace: TablespaceId, pages_max: u32) -> Result<()> {
        let bytes = pages_max.to_le_bytes();
        let change = Change::Overwrite {
            offset: CAPACITY_MAX as u16,
            bytes: &bytes,
        };
        self.work.change(PageId::new(tablespace, 0), change)?;
        Ok(())
    }

    /// Sees to it that the tablespace has `pages` pages at least, in whole extents as far as its limit allows.
    pub fn grow_to(&mut self, tablespace: TablespaceId, pages: u32) -> Result<()> {
        let capacity = self.capacity(tablespace)?;
        if pages <= capacity.pages {
            return Ok(());
        }
        self.grow(tablespace, capacity, pages)
    }

    /// Takes the free page of the lowest number into use. What it holds is the caller's to make.
    pub fn allocate(&mut self, tablespace: TablespaceId) -> Result<PageId> {
        let mut number = self.hints.get(&tablespace).copied().unwrap_or(0);
        loop {
            let capacity = self.capacity(tablespace)?;
            if number >= capacity.pages {
                self.grow(tablespace, capacity, capacity.pages.saturating_add(1))?;
                continue;
            }
            let (map, bit) = bitmap::place(number);
            let map = PageId::new(tablespace, map);
            let free = bitmap::first_clear(self.work.page(map)?, bit);
            let run = number - u32::from(bit);
            match free.filter(|free| u32::from(*free) < bitmap::PAGES) {
                Some(free) if run + u32::from(free) < capacity.pages => {
                    number = run + u32::from(free);
                    // A crash may have left the files shorter than page 0 says: their length is durable with the
                    // next checkpoint only.
                    if !planted!("growth-only-counted") {
                        self.allocator.ensure(tablespace, number + 1)?;
                    }
                    self.work.change(map, Change::SetBits { first: free, bits: 1 })?;
                    self.hints.insert(tablespace, number + 1);
                    let page = PageId::new(tablespace, number);
                    self.tell(|| KernelEvent::PageAllocated { page });
                    return Ok(page);
                }
                Some(_) => number = capacity.pages,
                None => number = run + bitmap::PAGES,
            }
        }
    }

    /// Adds extents, until there are `wanted` pages.
    fn grow(&mut self, tablespace: TablespaceId, capacity: Capacity, wanted: u32) -> Result<()> {
        let extents = (wanted - capacity.pages).div_ceil(EXTENT_PAGES);
        let pages = capacity
            .pages
            .saturating_add(extents.saturating_mul(EXTENT_PAGES))
            .min(capacity.pages_max);
        if pages < wanted {
            return Err(KernelError::TablespaceFull {
                tablespace,
                pages_max: capacity.pages_max,
            });
        }
        self.allocator.ensure(tablespace, pages)?;
        let bytes = pages.to_le_bytes();
        let change = Change::Overwrite {
            offset: CAPACITY as u16,
            bytes: &bytes,
        };
        self.work.change(PageId::new(tablespace, 0), change)?;
        // The second page of each run is its map.
        let maps = |pages: u32| pages.saturating_sub(2) / bitmap::PAGES + 1;
        for map in maps(capacity.pages)..maps(pages) {
            self.format_map(tablespace, map)?;
        }
        Ok(())
    }

    /// Gives a page back. Nobody may be led to it once this group is seen.
    pub fn free(&mut self, id: PageId) -> Result<()> {
        let (map, bit) = bitmap::place(id.number());
        let map = PageId::new(id.tablespace(), map);
        let in_use = bitmap::get(self.work.page(map)?, bit)
            .map_err(|_| KernelError::misshapen(map, "free-space map"))?;
        if !in_use {
            return Err(KernelError::misshapen(id, "given back twice"));
        }
        self.work.change(map, Change::ClearBits { first: bit, bits: 1 })?;
        let hint = self.hints.entry(id.tablespace()).or_insert(0);
        *hint = (*hint).min(id.number());
        Ok(())
    }
}
