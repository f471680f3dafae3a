//! A page in a frame as a reader sees it that holds no latch.

use std::cmp::Ordering as Order;
// Not of the sync shim: a copy of a page would be a thousand places to switch threads. Frames name some of them.
use std::sync::atomic::{AtomicU64, Ordering};

use crate::page::{PAGE_BYTES, PageBuf};

pub(super) const PAGE_WORDS: usize = PAGE_BYTES / 8;

/// The words of a page, each its eight bytes as a little-endian number.
pub(super) type Words = [AtomicU64; PAGE_WORDS];

/// What a reader read makes no sense: bytes outside of the page, or a number that no page holds. Either the page
/// was changed meanwhile, then the read is repeated; or it is corrupt, then this becomes the error's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {found:#x}")]
pub struct Torn {
    pub what: &'static str,
    pub expected: u64,
    pub found: u64,
}

impl Torn {
    /// `found` is not what a page holds there.
    pub fn new(what: &'static str, expected: u64, found: u64) -> Torn {
        Torn {
            what,
            expected,
            found,
        }
    }

    #[cold]
    fn outside(offset: usize, len: usize) -> Torn {
        Torn::new(
            "an offset in it points outside of it",
            PAGE_BYTES as u64,
            offset.saturating_add(len) as u64,
        )
    }
}

/// A page whose bytes may change while they are read. Whatever comes from here is a guess until
/// [`Pool::read`](super::Pool::read) returns it. No access panics, whatever the page holds.
#[derive(Clone, Copy)]
pub struct PageView<'a> {
    words: &'a Words,
}

impl<'a> PageView<'a> {
    #[inline]
    pub(super) fn new(words: &'a Words) -> PageView<'a> {
        PageView { words }
    }

    /// The word `index`: the bytes from `8 * index` on.
    #[inline]
    pub fn word(&self, index: usize) -> Result<u64, Torn> {
        match self.words.get(index) {
            Some(word) => Ok(word.load(Ordering::Relaxed)),
            None => Err(Torn::outside(index.saturating_mul(8), 8)),
        }
    }

    #[inline]
    pub fn u8(&self, offset: usize) -> Result<u8, Torn> {
        Ok(self.load(offset, 1)? as u8)
    }

    #[inline]
    pub fn u16(&self, offset: usize) -> Result<u16, Torn> {
        Ok(self.load(offset, 2)? as u16)
    }

    #[inline]
    pub fn u32(&self, offset: usize) -> Result<u32, Torn> {
        Ok(self.load(offset, 4)? as u32)
    }

    #[inline]
    pub fn u64(&self, offset: usize) -> Result<u64, Torn> {
        self.load(offset, 8)
    }

    /// Appends the `len` bytes from `offset` on to `bytes`, which is as before after an error.
    pub fn bytes_into(&self, offset: usize, len: usize, bytes: &mut Vec<u8>) -> Result<(), Torn> {
        check(offset, len)?;
        bytes.reserve(len);
        let mut at = offset;
        while at + 8 <= offset + len {
            bytes.extend_from_slice(&self.at(at, 8).to_le_bytes());
            at += 8;
        }
        let rest = offset + len - at;
        if rest > 0 {
            bytes.extend_from_slice(&self.at(at, rest).to_le_bytes()[..rest]);
        }
        Ok(())
    }

    /// How the `len` bytes from `offset` on compare with `key`, byte by byte.
    pub fn compare(&self, offset: usize, len: usize, key: &[u8]) -> Result<Order, Torn> {
        check(offset, len)?;
        let common = len.min(key.len());
        let mut chunks = key[..common].chunks_exact(8);
        let mut at = offset;
        for chunk in &mut chunks {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            // The first byte decides first: compared as big-endian numbers.
            let (here, there) = (self.at(at, 8).swap_bytes(), u64::from_be_bytes(bytes));
            if here != there {
                return Ok(here.cmp(&there));
            }
            at += 8;
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            let mut mine = [0; 8];
            mine[..rest.len()].copy_from_slice(&self.at(at, rest.len()).to_le_bytes()[..rest.len()]);
            let order = u64::from_be_bytes(mine).cmp(&u64::from_be_bytes(bytes));
            if order != Order::Equal {
                return Ok(order);
            }
        }
        Ok(len.cmp(&key.len()))
    }

    /// Copies the whole page.
    pub fn copy_to(&self, page: &mut PageBuf) {
        for (index, (bytes, word)) in page.chunks_exact_mut(8).zip(self.words).enumerate() {
            if index.is_multiple_of(INTERLEAVE_WORDS) {
                crate::sync::interleave();
            }
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }

    #[inline]
    fn load(&self, offset: usize, len: usize) -> Result<u64, Torn> {
        check(offset, len)?;
        Ok(self.at(offset, len))
    }

    /// Up to eight bytes inside of the page as a little-endian number; what lies above them is not cleared.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> u64 {
        let (index, bit) = (offset / 8, offset % 8 * 8);
        let low = self.words[index].load(Ordering::Relaxed) >> bit;
        if bit + len * 8 <= 64 {
            return low;
        }
        low | self.words[index + 1].load(Ordering::Relaxed) << (64 - bit)
    }
}

/// Distance between the places where shuttle may switch threads while a page is copied.
const INTERLEAVE_WORDS: usize = PAGE_WORDS / 4;

/// Stores a whole page. The caller has the frame's latch.
pub(super) fn store(words: &Words, page: &PageBuf) {
    for (index, (bytes, word)) in page.chunks_exact(8).zip(words).enumerate() {
        if index.is_multiple_of(INTERLEAVE_WORDS) {
            crate::sync::interleave();
        }
        let mut value = [0; 8];
        value.copy_from_slice(bytes);
        word.store(u64::from_le_bytes(value), Ordering::Relaxed);
    }
}

#[inline]
fn check(offset: usize, len: usize) -> Result<(), Torn> {
    if len <= PAGE_BYTES && offset <= PAGE_BYTES - len {
        return Ok(());
    }
    Err(Torn::outside(offset, len))
}
