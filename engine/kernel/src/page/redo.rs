//! Changes of a page as the log keeps them. Bytes: docs/format/kernel.md.
//!
//! A change is applied by the same code when it is made and when it is redone, to the same bytes, so redo gives the
//! same page.

use super::access::{PageRead, Torn};
use super::header::{self, HEADER_BYTES, PageKind};
use super::slotted::{self, Refused};
use super::{PAGE_BYTES, bitmap, node};

/// A change of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'c> {
    Insert { slot: u16, cell: &'c [u8] },
    Replace { slot: u16, cell: &'c [u8] },
    Remove { slot: u16 },
    Clear { slot: u16 },
    Compact,
    Overwrite { offset: u16, bytes: &'c [u8] },
    SetBits { first: u16, bits: u16 },
    ClearBits { first: u16, bits: u16 },
    TrimSlots,
}

const IMAGE: u8 = 1;
const INSERT: u8 = 2;
const REPLACE: u8 = 3;
const REMOVE: u8 = 4;
const CLEAR: u8 = 5;
const COMPACT: u8 = 6;
const OVERWRITE: u8 = 7;
const SET_BITS: u8 = 8;
const CLEAR_BITS: u8 = 9;
const TRIM_SLOTS: u8 = 10;

impl Change<'_> {
    /// Makes the change. A page that is full stays as it was.
    pub fn apply(self, page: &mut [u8; PAGE_BYTES]) -> Result<(), Refused> {
        match self {
            Change::Insert { slot, cell } if is_tree(page) => node::insert(page, slot.into(), cell),
            Change::Insert { slot, cell } => slotted::insert(page, slot.into(), 0, cell),
            Change::Replace { slot, cell } if is_tree(page) => node::replace(page, slot.into(), cell),
            Change::Replace { slot, cell } => slotted::replace(page, slot.into(), 0, cell),
            Change::Remove { slot } => Ok(slotted::remove(page, slot.into())?),
            Change::Clear { slot } => Ok(slotted::clear(page, slot.into())?),
            Change::Compact => Ok(slotted::compact(page).map(|_| ())?),
            Change::Overwrite { offset, bytes } => overwrite(page, offset.into(), bytes),
            Change::SetBits { first, bits } => Ok(bitmap::set(page, first, bits, true)?),
            Change::ClearBits { first, bits } => Ok(bitmap::set(page, first, bits, false)?),
            Change::TrimSlots => Ok(slotted::trim_slots(page)?),
        }
    }

    /// Appends the change's bytes to `target`.
    pub fn append_to(self, target: &mut Vec<u8>) {
        match self {
            Change::Insert { slot, cell } => append(target, INSERT, &[slot, length(cell)], cell),
            Change::Replace { slot, cell } => append(target, REPLACE, &[slot, length(cell)], cell),
            Change::Remove { slot } => append(target, REMOVE, &[slot], &[]),
            Change::Clear { slot } => append(target, CLEAR, &[slot], &[]),
            Change::Compact => append(target, COMPACT, &[], &[]),
            Change::Overwrite { offset, bytes } => append(target, OVERWRITE, &[offset, length(bytes)], bytes),
            Change::SetBits { first, bits } => append(target, SET_BITS, &[first, bits], &[]),
            Change::ClearBits { first, bits } => append(target, CLEAR_BITS, &[first, bits], &[]),
            Change::TrimSlots => append(target, TRIM_SLOTS, &[], &[]),
        }
    }
}

fn is_tree(page: &[u8; PAGE_BYTES]) -> bool {
    page[header::KIND] == PageKind::TreeLeaf as u8 || page[header::KIND] == PageKind::TreeInner as u8
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).expect("what fits into a page has a length of 16 bits")
}

fn append(target: &mut Vec<u8>, tag: u8, numbers: &[u16], bytes: &[u8]) {
    target.push(tag);
    for number in numbers {
        target.extend_from_slice(&number.to_le_bytes());
    }
    target.extend_from_slice(bytes);
}

/// Bytes behind the part of the header that says which page it is.
fn overwrite(page: &mut [u8; PAGE_BYTES], offset: usize, bytes: &[u8]) -> Result<(), Refused> {
    if offset < header::OWNER {
        return Err(Refused::Torn);
    }
    page.get_mut(offset..offset + bytes.len())
        .ok_or(Torn)?
        .copy_from_slice(bytes);
    Ok(())
}

/// Appends the whole page, but for the zeros between slots and heap of a slotted page.
pub fn append_image(page: &[u8; PAGE_BYTES], target: &mut Vec<u8>) -> Result<(), Torn> {
    let (from, until) = free_range(page)?;
    target.push(IMAGE);
    target.extend_from_slice(&page[..HEADER_BYTES]);
    target.extend_from_slice(&length(&page[HEADER_BYTES..from]).to_le_bytes());
    target.extend_from_slice(&page[HEADER_BYTES..from]);
    target.extend_from_slice(&length(&page[until..]).to_le_bytes());
    target.extend_from_slice(&page[until..]);
    Ok(())
}

/// Where a page has nothing between two parts. Empty for pages without slots.
fn free_range(page: &[u8; PAGE_BYTES]) -> Result<(usize, usize), Torn> {
    match header::kind(page) {
        Some(PageKind::TreeLeaf | PageKind::TreeInner | PageKind::RawSlotted) => {
            let from = HEADER_BYTES + slotted::count(page)? * slotted::SLOT_BYTES;
            let until = usize::from(page.u16(header::HEAP)?);
            if from > until || until > PAGE_BYTES {
                return Err(Torn);
            }
            Ok((from, until))
        }
        _ => Ok((PAGE_BYTES, PAGE_BYTES)),
    }
}

/// Whether the changes begin with the whole page, so that what the page was before does not matter.
pub fn begins_with_image(changes: &[u8]) -> bool {
    changes.first() == Some(&IMAGE)
}

/// Applies what [`Change::append_to`] and [`append_image`] made, in order.
pub fn apply_all(page: &mut [u8; PAGE_BYTES], changes: &[u8]) -> Result<(), Torn> {
    let mut reader = Reader { bytes: changes };
    while !reader.bytes.is_empty() {
        match reader.u8()? {
            IMAGE => {
                let header = reader.take(HEADER_BYTES)?;
                page[..HEADER_BYTES].copy_from_slice(header);
                let front = reader.sized()?;
                let back = reader.sized()?;
                let until = PAGE_BYTES.checked_sub(back.len()).ok_or(Torn)?;
                let from = HEADER_BYTES + front.len();
                if from > until {
                    return Err(Torn);
                }
                page[HEADER_BYTES..from].copy_from_slice(front);
                page[from..until].fill(0);
                page[until..].copy_from_slice(back);
            }
            tag => {
                let change = reader.change(tag)?;
                change.apply(page).map_err(|_| Torn)?;
            }
        }
    }
    Ok(())
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Torn> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Torn)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Torn> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Torn> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn sized(&mut self) -> Result<&'b [u8], Torn> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn change(&mut self, tag: u8) -> Result<Change<'b>, Torn> {
        Ok(match tag {
            INSERT => Change::Insert {
                slot: self.u16()?,
                cell: self.sized()?,
            },
            REPLACE => Change::Replace {
                slot: self.u16()?,
                cell: self.sized()?,
            },
            REMOVE => Change::Remove { slot: self.u16()? },
            CLEAR => Change::Clear { slot: self.u16()? },
            COMPACT => Change::Compact,
            OVERWRITE => Change::Overwrite {
                offset: self.u16()?,
                bytes: self.sized()?,
            },
            SET_BITS => Change::SetBits {
                first: self.u16()?,
                bits: self.u16()?,
            },
            CLEAR_BITS => Change::ClearBits {
                first: self.u16()?,
                bits: self.u16()?,
            },
            TRIM_SLOTS => Change::TrimSlots,
            _ => return Err(Torn),
        })
    }
}
