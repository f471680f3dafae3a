//! Raw pages: slotted pages of no tree, whose cells are records of clients.
//!
//! A client may give a whole page. It is not trusted: [`check`] judges every field of the header and every slot, so that
//! what is stored can be searched and changed like a page that was made here.

use super::header::{self, HEADER_BYTES, PageKind};
use super::slotted::{self, SLOT_BYTES};
use super::{PAGE_BYTES, PageBuf, PageRead, Torn};
use crate::ids::PageId;

/// Longest record: the only one of its page.
pub const RECORD_BYTES_MAX: usize = PAGE_BYTES - HEADER_BYTES - SLOT_BYTES;

/// What is wrong with a page that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    pub what: &'static str,
    pub expected: u64,
    pub found: u64,
}

/// Makes the page `id` a raw one without records.
pub fn format(page: &mut PageBuf, id: PageId) {
    header::initialise(&mut page[..], id, PageKind::RawSlotted);
    slotted::clear_all(page);
}

/// Whether it is a raw page of the number `id`, whatever its checksum and LSN.
pub fn check(page: &PageBuf, id: PageId) -> Result<(), Bad> {
    let must = |what, expected: u64, found: u64| match expected == found {
        true => Ok(()),
        false => Err(Bad {
            what,
            expected,
            found,
        }),
    };
    let bytes = &page[..];
    must(
        "page format version",
        header::FORMAT_VERSION.into(),
        page[header::FORMAT].into(),
    )?;
    let number = header::page_id(bytes).map_or(u64::MAX, PageId::to_number);
    must("page id", id.to_number(), number)?;
    must(
        "kind of page",
        PageKind::RawSlotted as u64,
        page[header::KIND].into(),
    )?;
    must("flags", 0, header::flags(bytes).into())?;
    must("owner", 0, header::owner(bytes))?;
    must("level", 0, header::level(bytes).into())?;
    must("byte 39", 0, page[header::LEVEL + 1].into())?;
    must("offset of the lower fence", 0, header::lower_fence(bytes).into())?;
    must("offset of the upper fence", 0, header::upper_fence(bytes).into())?;
    must("bytes 44 to 47", 0, header::specific(bytes).into())?;
    slots(page)
}

/// Whether slots and cells make sense: within the heap, apart from each other, and with gaps of the length that the header
/// says.
fn slots(page: &PageBuf) -> Result<(), Bad> {
    let bad = |what, expected: usize, found: usize| {
        Err(Bad {
            what,
            expected: expected as u64,
            found: found as u64,
        })
    };
    let count = usize::from(header::slots(&page[..]));
    let slots_max = (PAGE_BYTES - HEADER_BYTES) / SLOT_BYTES;
    if count > slots_max {
        return bad("number of slots", slots_max, count);
    }
    let heap = usize::from(header::heap(&page[..]));
    if heap > PAGE_BYTES {
        return bad("offset of the heap", PAGE_BYTES, heap);
    }
    let slots_end = HEADER_BYTES + count * SLOT_BYTES;
    if heap < slots_end {
        return bad("offset of the heap", slots_end, heap);
    }
    let mut cells = Vec::with_capacity(count);
    for index in 0..count {
        let word = page.word(HEADER_BYTES / 8 + index).unwrap_or(u64::MAX);
        let (offset, length) = ((word & 0xffff) as usize, (word >> 16 & 0xffff) as usize);
        if word >> 32 != 0 {
            return bad("upper half of a slot", 0, (word >> 32) as usize);
        }
        match (offset, length) {
            (0, 0) => {}
            (0, _) => return bad("length of an empty slot", 0, length),
            // It takes no room, so others may move through the place where it lies.
            (1..=PAGE_BYTES, 0) => {}
            _ if offset < heap => return bad("offset of a record", heap, offset),
            _ if offset + length > PAGE_BYTES => return bad("end of a record", PAGE_BYTES, offset + length),
            _ => cells.push((offset, length)),
        }
    }
    cells.sort_unstable();
    let mut end = heap;
    let mut gaps = 0;
    for (offset, length) in cells {
        if offset < end {
            return bad("offset of a record that begins within another", end, offset);
        }
        gaps += offset - end;
        end = offset + length;
    }
    gaps += PAGE_BYTES - end;
    let unused = usize::from(header::unused(&page[..]));
    if unused != gaps {
        return bad("bytes of gaps", gaps, unused);
    }
    Ok(())
}

/// Sets to 0 what is the kernel's to set, and what lies between slots and heap. The page has passed [`check`].
pub fn normalise(page: &mut PageBuf) {
    page[header::CHECKSUM..header::FORMAT].fill(0);
    page[header::LSN..header::OWNER].fill(0);
    let slots_end = HEADER_BYTES + usize::from(header::slots(&page[..])) * SLOT_BYTES;
    let heap = usize::from(header::heap(&page[..]));
    page[slots_end..heap].fill(0);
}

/// The first empty slot, `None` when each has a record.
pub fn first_empty(page: &[u8; PAGE_BYTES]) -> Result<Option<usize>, Torn> {
    for index in 0..slotted::count(page)? {
        if slotted::slot(page, index)?.is_empty() {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Slots of the page, of each the record; `None` of an empty one.
pub fn records(page: &[u8; PAGE_BYTES]) -> Result<Vec<Option<&[u8]>>, Torn> {
    (0..slotted::count(page)?)
        .map(|index| match slotted::slot(page, index)?.is_empty() {
            true => Ok(None),
            false => slotted::cell(page, index).map(Some),
        })
        .collect()
}
