//! Overflow pages: the parts of a value that is too long for a cell, in a chain.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 48 | 8 | [`PageId`] of the next page, 0 of the last (page 0 of a tablespace is never one of these) |
//! | 56 | 4 | bytes of the value in this page |
//! | 60 | 4 | place in the chain, from 0 |
//! | 64 | | they |
//!
//! The cell has the length of the value and the number of the first page. A page of a chain is never changed: a new value
//! makes a new chain.

use super::PAGE_BYTES;
use super::access::{PageRead, Torn};
use super::header::{self, HEADER_BYTES, PageKind};
use crate::ids::PageId;

const NEXT: usize = HEADER_BYTES;
const LENGTH: usize = HEADER_BYTES + 8;
const PLACE: usize = HEADER_BYTES + 12;
const CONTENT: usize = HEADER_BYTES + 16;

/// Bytes of a value that one page holds.
pub const CONTENT_BYTES: usize = PAGE_BYTES - CONTENT;

/// Bytes of a cell's value that says where the real one is.
pub const POINTER_BYTES: usize = 12;

/// Where a long value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    pub bytes: u32,
    pub first: PageId,
}

impl Pointer {
    pub fn to_bytes(self) -> [u8; POINTER_BYTES] {
        let mut bytes = [0; POINTER_BYTES];
        bytes[..4].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[4..].copy_from_slice(&self.first.to_number().to_le_bytes());
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Result<Pointer, Torn> {
        let bytes: &[u8; POINTER_BYTES] = bytes.try_into().map_err(|_| Torn)?;
        let number = u64::from_le_bytes(bytes[4..].try_into().expect("eight bytes"));
        Ok(Pointer {
            bytes: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")),
            first: PageId::from_number(number).ok_or(Torn)?,
        })
    }

    /// Pages of the chain.
    pub fn pages(self) -> usize {
        (self.bytes as usize).div_ceil(CONTENT_BYTES)
    }
}

/// Makes page `place` of a chain that belongs to the tree `owner`.
pub fn format(
    page: &mut [u8; PAGE_BYTES],
    id: PageId,
    owner: u64,
    place: u32,
    next: Option<PageId>,
    content: &[u8],
) {
    page.fill(0);
    header::initialise(page, id, PageKind::Overflow);
    header::set_owner(page, owner);
    page[NEXT..NEXT + 8].copy_from_slice(&next.map_or(0, PageId::to_number).to_le_bytes());
    let length = u32::try_from(content.len()).expect("a part of a value fits a page");
    page[LENGTH..LENGTH + 4].copy_from_slice(&length.to_le_bytes());
    page[PLACE..PLACE + 4].copy_from_slice(&place.to_le_bytes());
    page[CONTENT..CONTENT + content.len()].copy_from_slice(content);
}

/// Appends the part that `page` holds to `target`; the next page. The page must be number `place` of a chain of `owner`.
pub fn read_into<P: PageRead + ?Sized>(
    page: &P,
    owner: u64,
    place: u32,
    target: &mut Vec<u8>,
) -> Result<Option<PageId>, Torn> {
    let length = checked(page, owner, place)?;
    let next = next(page, owner, place)?;
    page.append_to(CONTENT, length, target)?;
    Ok(next)
}

/// The page behind this one in its chain. The page must be number `place` of a chain of `owner`.
pub fn next<P: PageRead + ?Sized>(page: &P, owner: u64, place: u32) -> Result<Option<PageId>, Torn> {
    checked(page, owner, place)?;
    match page.u64(NEXT)? {
        0 => Ok(None),
        number => Ok(Some(PageId::from_number(number).ok_or(Torn)?)),
    }
}

/// Bytes of the value that the page holds, once it is the page that it should be.
fn checked<P: PageRead + ?Sized>(page: &P, owner: u64, place: u32) -> Result<usize, Torn> {
    let lengths = page.u64(LENGTH)?;
    let (length, found_place) = (lengths as u32 as usize, (lengths >> 32) as u32);
    if page.u8(header::KIND)? != PageKind::Overflow as u8
        || page.u64(header::OWNER)? != owner
        || found_place != place
        || length > CONTENT_BYTES
    {
        return Err(Torn);
    }
    Ok(length)
}
