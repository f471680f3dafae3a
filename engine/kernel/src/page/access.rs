//! Reading a page whose bytes are not to be trusted.
//!
//! The same code reads a private copy of a page and one in a frame that a writer may be changing at that moment. In
//! both cases an offset or a length may be nonsense: of a copy because the page is corrupt, of a frame because it was
//! read half old and half new. So every access is checked, and nonsense is [`Torn`], never a panic.

use std::cmp::Ordering;

use super::{PAGE_BYTES, PageBuf};

/// The bytes make no sense. The reader of a frame tries again; of a copy it means corruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn;

/// A page to read from. All numbers are little-endian.
pub trait PageRead {
    /// The 8 bytes from `8 * index` on.
    fn word(&self, index: usize) -> Result<u64, Torn>;

    /// Appends `length` bytes from `offset` on to `target`.
    fn append_to(&self, offset: usize, length: usize, target: &mut Vec<u8>) -> Result<(), Torn>;

    /// How `length` bytes from `offset` on compare with `other`, as byte strings.
    fn compare(&self, offset: usize, length: usize, other: &[u8]) -> Result<Ordering, Torn>;

    /// Copies the whole page.
    fn copy_to(&self, target: &mut PageBuf);

    fn u8(&self, offset: usize) -> Result<u8, Torn> {
        Ok((self.word(offset / 8)? >> (8 * (offset % 8))) as u8)
    }

    /// `offset` must be even.
    fn u16(&self, offset: usize) -> Result<u16, Torn> {
        debug_assert_eq!(offset % 2, 0);
        Ok((self.word(offset / 8)? >> (8 * (offset % 8))) as u16)
    }

    /// Any offset.
    fn u64(&self, offset: usize) -> Result<u64, Torn> {
        let (index, shift) = (offset / 8, 8 * (offset % 8) as u32);
        let low = self.word(index)?;
        if shift == 0 {
            return Ok(low);
        }
        Ok(low >> shift | self.word(index + 1)? << (64 - shift))
    }
}

/// A private copy.
impl PageRead for [u8; PAGE_BYTES] {
    fn word(&self, index: usize) -> Result<u64, Torn> {
        let bytes = self.get(8 * index..8 * index + 8).ok_or(Torn)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn append_to(&self, offset: usize, length: usize, target: &mut Vec<u8>) -> Result<(), Torn> {
        target.extend_from_slice(bytes_at(self, offset, length)?);
        Ok(())
    }

    fn compare(&self, offset: usize, length: usize, other: &[u8]) -> Result<Ordering, Torn> {
        Ok(bytes_at(self, offset, length)?.cmp(other))
    }

    fn copy_to(&self, target: &mut PageBuf) {
        target.copy_from_slice(self);
    }

    fn u64(&self, offset: usize) -> Result<u64, Torn> {
        let bytes = bytes_at(self, offset, 8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}

/// `length` bytes of a copy from `offset` on.
pub fn bytes_at(page: &[u8; PAGE_BYTES], offset: usize, length: usize) -> Result<&[u8], Torn> {
    page.get(offset..offset.checked_add(length).ok_or(Torn)?)
        .ok_or(Torn)
}
