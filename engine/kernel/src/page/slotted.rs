//! Slotted pages: an array of slots that grows up from the header, and cells that grow down from the page's end.
//!
//! ```text
//! | header | slot 0 | slot 1 | ... |      free      | cell | (gap) | cell | ... |
//! 0        48                      ^ end of slots   ^ heap                     8192
//! ```
//!
//! A slot is one 8-byte word: offset of its cell (2 bytes), the cell's length (2), and four bytes that its owner may
//! use, which tree pages do: [`super::node`] puts the first bytes of the key there. A slot of offset 0 is empty: raw pages
//! keep such slots, so that a record keeps its number when one before it is deleted.
//!
//! Gaps left by removed cells are counted in the header; an insertion that finds too little contiguous room closes
//! them first. All changes are deterministic, so that redo makes the same page again.

use super::PAGE_BYTES;
use super::access::{PageRead, Torn, bytes_at};
use super::header::{self, HEADER_BYTES};

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 8;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub offset: usize,
    pub length: usize,
    /// The owner's four bytes, as a number.
    pub head: u32,
}

impl Slot {
    fn from_word(word: u64) -> Slot {
        Slot {
            offset: (word & 0xffff) as usize,
            length: (word >> 16 & 0xffff) as usize,
            head: (word >> 32) as u32,
        }
    }

    fn to_word(self) -> u64 {
        self.offset as u64 | (self.length as u64) << 16 | u64::from(self.head) << 32
    }

    pub fn is_empty(self) -> bool {
        self.offset == 0
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no room; the page is as it was.
    Full,
    /// The page makes no sense. Whoever changes it drops the copy: a part of the change may have been made.
    Torn,
}

impl From<Torn> for Refused {
    fn from(_: Torn) -> Refused {
        Refused::Torn
    }
}

/// Number of slots, empty ones too.
pub fn count<P: PageRead + ?Sized>(page: &P) -> Result<usize, Torn> {
    let count = usize::from(page.u16(header::SLOTS)?);
    if HEADER_BYTES + count * SLOT_BYTES > PAGE_BYTES {
        return Err(Torn);
    }
    Ok(count)
}

pub fn slot<P: PageRead + ?Sized>(page: &P, index: usize) -> Result<Slot, Torn> {
    let slot = Slot::from_word(page.word(HEADER_BYTES / 8 + index)?);
    if slot.offset + slot.length > PAGE_BYTES {
        return Err(Torn);
    }
    Ok(slot)
}

/// Bytes of the cell of slot `index`; of an empty slot none.
pub fn cell(page: &[u8; PAGE_BYTES], index: usize) -> Result<&[u8], Torn> {
    if index >= count(page)? {
        return Err(Torn);
    }
    let slot = slot(page, index)?;
    bytes_at(page, slot.offset, slot.length)
}

/// Room between slots and heap, and in gaps, in bytes. A new cell takes its length and, but for an empty slot that it
/// fills, [`SLOT_BYTES`].
pub fn free_bytes<P: PageRead + ?Sized>(page: &P) -> Result<usize, Torn> {
    Ok(contiguous_bytes(page)? + usize::from(page.u16(header::UNUSED)?))
}

fn contiguous_bytes<P: PageRead + ?Sized>(page: &P) -> Result<usize, Torn> {
    let heap = usize::from(page.u16(header::HEAP)?);
    if heap > PAGE_BYTES {
        return Err(Torn);
    }
    heap.checked_sub(HEADER_BYTES + count(page)? * SLOT_BYTES)
        .ok_or(Torn)
}

/// Puts `cell` into a slot of its own at `index`, moving those from there on up by one.
pub fn insert(page: &mut [u8; PAGE_BYTES], index: usize, head: u32, cell: &[u8]) -> Result<(), Refused> {
    let count = count(page)?;
    if index > count {
        return Err(Refused::Torn);
    }
    make_room(page, SLOT_BYTES, cell.len())?;
    let at = HEADER_BYTES + index * SLOT_BYTES;
    page.copy_within(at..HEADER_BYTES + count * SLOT_BYTES, at + SLOT_BYTES);
    put_u16(page, header::SLOTS, count + 1);
    let offset = push_cell(page, cell)?;
    put_slot(
        page,
        index,
        Slot {
            offset,
            length: cell.len(),
            head,
        },
    );
    Ok(())
}

/// Puts `cell` where the cell of slot `index` was; the slot may have been empty.
pub fn replace(page: &mut [u8; PAGE_BYTES], index: usize, head: u32, cell: &[u8]) -> Result<(), Refused> {
    if index >= count(page)? {
        return Err(Refused::Torn);
    }
    let old = slot(page, index)?;
    if old.length >= cell.len() && !old.is_empty() {
        let length = cell.len();
        page.get_mut(old.offset..old.offset + length)
            .ok_or(Torn)?
            .copy_from_slice(cell);
        add_gap(page, old.length - length)?;
        put_slot(
            page,
            index,
            Slot {
                offset: old.offset,
                length,
                head,
            },
        );
        return Ok(());
    }
    if free_bytes(page)? + old.length < cell.len() {
        return Err(Refused::Full);
    }
    clear(page, index)?;
    make_room(page, 0, cell.len())?;
    let offset = push_cell(page, cell)?;
    put_slot(
        page,
        index,
        Slot {
            offset,
            length: cell.len(),
            head,
        },
    );
    Ok(())
}

/// Removes slot `index` and its cell, moving the slots behind it down by one.
pub fn remove(page: &mut [u8; PAGE_BYTES], index: usize) -> Result<(), Torn> {
    let count = count(page)?;
    if index >= count {
        return Err(Torn);
    }
    clear(page, index)?;
    let at = HEADER_BYTES + index * SLOT_BYTES;
    page.copy_within(at + SLOT_BYTES..HEADER_BYTES + count * SLOT_BYTES, at);
    put_u16(page, header::SLOTS, count - 1);
    Ok(())
}

/// Removes the cell of slot `index`; the slot stays, empty.
pub fn clear(page: &mut [u8; PAGE_BYTES], index: usize) -> Result<(), Torn> {
    if index >= count(page)? {
        return Err(Torn);
    }
    let old = slot(page, index)?;
    put_slot(
        page,
        index,
        Slot {
            offset: 0,
            length: 0,
            head: 0,
        },
    );
    if old.offset == usize::from(page.u16(header::HEAP)?) {
        put_u16(page, header::HEAP, old.offset + old.length);
    } else {
        add_gap(page, old.length)?;
    }
    Ok(())
}

/// Removes slots from the end as long as they are empty.
pub fn trim_slots(page: &mut [u8; PAGE_BYTES]) -> Result<(), Torn> {
    let mut count = count(page)?;
    while count > 0 && slot(page, count - 1)?.is_empty() {
        count -= 1;
    }
    put_u16(page, header::SLOTS, count);
    Ok(())
}

/// Closes the gaps between cells; how many bytes they were.
pub fn compact(page: &mut [u8; PAGE_BYTES]) -> Result<usize, Torn> {
    let gaps = usize::from(page.u16(header::UNUSED)?);
    let count = count(page)?;
    let old = *page;
    let mut heap = PAGE_BYTES;
    let mut moved = |old_offset: usize, length: usize| -> Result<usize, Torn> {
        heap = heap.checked_sub(length).ok_or(Torn)?;
        let bytes = bytes_at(&old, old_offset, length)?;
        page.get_mut(heap..heap + length)
            .ok_or(Torn)?
            .copy_from_slice(bytes);
        Ok(heap)
    };
    // Fences of tree pages lie in the heap and belong to no slot.
    let mut fences = [0; 2];
    for (fence, at) in fences.iter_mut().zip([header::LOWER_FENCE, header::UPPER_FENCE]) {
        let offset = usize::from(old.u16(at)?);
        if offset != 0 {
            *fence = moved(offset, super::node::fence_bytes(&old, offset)?)?;
        }
    }
    let mut slots = Vec::with_capacity(count);
    for index in 0..count {
        let mut slot = slot(&old, index)?;
        if !slot.is_empty() {
            slot.offset = moved(slot.offset, slot.length)?;
        }
        slots.push(slot);
    }
    if heap < HEADER_BYTES + count * SLOT_BYTES {
        *page = old;
        return Err(Torn);
    }
    for (index, slot) in slots.into_iter().enumerate() {
        put_slot(page, index, slot);
    }
    put_u16(page, header::LOWER_FENCE, fences[0]);
    put_u16(page, header::UPPER_FENCE, fences[1]);
    put_u16(page, header::HEAP, heap);
    put_u16(page, header::UNUSED, 0);
    page[HEADER_BYTES + count * SLOT_BYTES..heap].fill(0);
    Ok(gaps)
}

/// Makes a page with no slots of one that may hold anything; the rest of the header stays.
pub fn clear_all(page: &mut [u8; PAGE_BYTES]) {
    page[HEADER_BYTES..].fill(0);
    put_u16(page, header::SLOTS, 0);
    put_u16(page, header::HEAP, PAGE_BYTES);
    put_u16(page, header::UNUSED, 0);
    put_u16(page, header::LOWER_FENCE, 0);
    put_u16(page, header::UPPER_FENCE, 0);
}

/// Puts bytes that belong to no slot at the heap's start; where they lie. Their owner must know them again when gaps
/// are closed.
pub(super) fn push_cell(page: &mut [u8; PAGE_BYTES], cell: &[u8]) -> Result<usize, Torn> {
    let heap = usize::from(page.u16(header::HEAP)?);
    let offset = heap.checked_sub(cell.len()).ok_or(Torn)?;
    page.get_mut(offset..heap).ok_or(Torn)?.copy_from_slice(cell);
    put_u16(page, header::HEAP, offset);
    Ok(offset)
}

/// Sees to `slot_bytes + cell_bytes` of contiguous room.
fn make_room(page: &mut [u8; PAGE_BYTES], slot_bytes: usize, cell_bytes: usize) -> Result<(), Refused> {
    let needed = slot_bytes + cell_bytes;
    if contiguous_bytes(page)? >= needed {
        return Ok(());
    }
    if free_bytes(page)? < needed {
        return Err(Refused::Full);
    }
    compact(page)?;
    if contiguous_bytes(page)? < needed {
        return Err(Refused::Torn);
    }
    Ok(())
}

fn add_gap(page: &mut [u8; PAGE_BYTES], bytes: usize) -> Result<(), Torn> {
    let gaps = usize::from(page.u16(header::UNUSED)?) + bytes;
    if gaps > PAGE_BYTES {
        return Err(Torn);
    }
    put_u16(page, header::UNUSED, gaps);
    Ok(())
}

fn put_slot(page: &mut [u8; PAGE_BYTES], index: usize, slot: Slot) {
    let at = HEADER_BYTES + index * SLOT_BYTES;
    page[at..at + SLOT_BYTES].copy_from_slice(&slot.to_word().to_le_bytes());
}

/// `value` is at most [`PAGE_BYTES`].
pub(super) fn put_u16(page: &mut [u8; PAGE_BYTES], offset: usize, value: usize) {
    let value = u16::try_from(value).expect("offsets and lengths within a page fit 16 bits");
    page[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}
