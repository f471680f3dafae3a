//! The bytes of one page in memory that one thread owns.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes of a page, in memory and on disk.
pub const PAGE_BYTES: usize = 8192;

/// Aligned as the widest number of a page is, so that copies from and to frames go word by word.
#[repr(C, align(8))]
#[derive(Clone)]
struct Aligned([u8; PAGE_BYTES]);

/// A private copy of a page on the heap: what a group works on, and what goes to and comes from the disk.
#[derive(Clone)]
pub struct PageBuf(Box<Aligned>);

impl PageBuf {
    /// A page of zeros. It is not a valid page until its header is set and sealed.
    pub fn zeroed() -> PageBuf {
        PageBuf(Box::new(Aligned([0; PAGE_BYTES])))
    }

    /// A copy of `bytes`; `None` unless there are [`PAGE_BYTES`] of them.
    pub fn from_slice(bytes: &[u8]) -> Option<PageBuf> {
        let bytes: &[u8; PAGE_BYTES] = bytes.try_into().ok()?;
        let mut page = PageBuf::zeroed();
        page.copy_from_slice(bytes);
        Some(page)
    }

    /// Whether every byte is zero, as in a page that was allocated and never written.
    pub fn is_zero(&self) -> bool {
        self.0.0.iter().all(|&byte| byte == 0)
    }
}

impl Deref for PageBuf {
    type Target = [u8; PAGE_BYTES];

    fn deref(&self) -> &[u8; PAGE_BYTES] {
        &self.0.0
    }
}

impl DerefMut for PageBuf {
    fn deref_mut(&mut self) -> &mut [u8; PAGE_BYTES] {
        &mut self.0.0
    }
}

impl PartialEq for PageBuf {
    fn eq(&self, other: &PageBuf) -> bool {
        self.0.0 == other.0.0
    }
}

impl Eq for PageBuf {}

/// The header alone: 8 KiB of numbers help nobody.
impl fmt::Debug for PageBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageBuf({:02x?}..)", &self[..super::header::HEADER_BYTES])
    }
}
