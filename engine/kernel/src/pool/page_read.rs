//! Frames are read by the code that reads private copies.

use std::cmp::Ordering;

use super::view::PageView;
use crate::page::{PageBuf, PageRead, Torn};

/// A frame's nonsense is of no interest: it is read again.
fn torn(_: super::Torn) -> Torn {
    Torn
}

impl PageRead for PageView<'_> {
    #[inline]
    fn word(&self, index: usize) -> Result<u64, Torn> {
        PageView::word(self, index).map_err(torn)
    }

    #[inline]
    fn append_to(&self, offset: usize, length: usize, target: &mut Vec<u8>) -> Result<(), Torn> {
        self.bytes_into(offset, length, target).map_err(torn)
    }

    #[inline]
    fn compare(&self, offset: usize, length: usize, other: &[u8]) -> Result<Ordering, Torn> {
        PageView::compare(self, offset, length, other).map_err(torn)
    }

    fn copy_to(&self, target: &mut PageBuf) {
        PageView::copy_to(self, target);
    }

    #[inline]
    fn u64(&self, offset: usize) -> Result<u64, Torn> {
        PageView::u64(self, offset).map_err(torn)
    }
}
