//! The first 48 bytes of every page, and its checksum. Numbers are little-endian.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | crc32c of bytes 4..8192 |
//! | 4 | 1 | version of the page format |
//! | 5 | 1 | [`PageKind`] |
//! | 6 | 2 | flags |
//! | 8 | 8 | [`PageId`] |
//! | 16 | 8 | [`Lsn`] of the group that last changed the page |
//! | 24 | 8 | owner: number of the tree, 0 of none |
//! | 32 | 2 | slots |
//! | 34 | 2 | heap: cells lie in `[heap, 8192)` |
//! | 36 | 2 | bytes of the heap that no cell uses |
//! | 38 | 1 | level: 0 is a leaf |
//! | 39 | 1 | 0 |
//! | 40 | 2 | offset of the lower fence, 0 of none |
//! | 42 | 2 | offset of the upper fence, 0 of none |
//! | 44 | 4 | what the kind makes of it |
//!
//! The readers and writers here take any slice that begins with a header, and panic on one shorter than
//! [`HEADER_BYTES`]. They judge nothing: a page from the disk goes through [`verify`] first.

use crc_fast::{CrcAlgorithm, checksum};

use super::buf::{PAGE_BYTES, PageBuf};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId};
use crate::planted::planted;

pub const HEADER_BYTES: usize = 48;

/// Version of the page format that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u8 = 1;

pub const CHECKSUM: usize = 0;
pub const FORMAT: usize = 4;
pub const KIND: usize = 5;
pub const FLAGS: usize = 6;
pub const PAGE_ID: usize = 8;
pub const LSN: usize = 16;
pub const OWNER: usize = 24;
pub const SLOTS: usize = 32;
pub const HEAP: usize = 34;
pub const UNUSED: usize = 36;
pub const LEVEL: usize = 38;
pub const LOWER_FENCE: usize = 40;
pub const UPPER_FENCE: usize = 42;
pub const SPECIFIC: usize = 44;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageKind {
    Free = 0,
    SpaceHeader = 1,
    Bitmap = 2,
    TreeLeaf = 3,
    TreeInner = 4,
    Overflow = 5,
    RawSlotted = 6,
}

impl PageKind {
    pub const fn from_byte(byte: u8) -> Option<PageKind> {
        Some(match byte {
            0 => PageKind::Free,
            1 => PageKind::SpaceHeader,
            2 => PageKind::Bitmap,
            3 => PageKind::TreeLeaf,
            4 => PageKind::TreeInner,
            5 => PageKind::Overflow,
            6 => PageKind::RawSlotted,
            _ => return None,
        })
    }
}

/// Sets the checksum; nothing in the page may change from here until it is written.
pub fn seal(page: &mut PageBuf) {
    let crc = crc(page);
    put(page.as_mut_slice(), CHECKSUM, crc.to_le_bytes());
}

/// Whether `page` is what was last written at the place `id`: checksum, format version and page id.
pub fn verify(page: &PageBuf, id: PageId) -> Result<()> {
    let corrupt = |what, expected: u64, found: u64| KernelError::CorruptPage {
        page: id,
        what,
        expected,
        found,
    };
    let (stored, computed) = checksums(page);
    let ignored = planted!("page-checksum-ignored") && !page.is_zero();
    if stored != computed && !ignored {
        if page.is_zero() {
            return Err(corrupt("never written", u64::from(FORMAT_VERSION), 0));
        }
        return Err(corrupt("checksum", u64::from(computed), u64::from(stored)));
    }
    if page[FORMAT] != FORMAT_VERSION {
        return Err(corrupt(
            "page format version",
            u64::from(FORMAT_VERSION),
            u64::from(page[FORMAT]),
        ));
    }
    let found = u64::from_le_bytes(get(page.as_slice(), PAGE_ID));
    if found != id.to_number() {
        return Err(corrupt("page id", id.to_number(), found));
    }
    Ok(())
}

/// The checksum that the page has, and the one that its bytes have.
pub fn checksums(page: &PageBuf) -> (u32, u32) {
    (u32::from_le_bytes(get(page.as_slice(), CHECKSUM)), crc(page))
}

/// Makes the header of an empty page: all that [`verify`] looks at, and zeros.
pub fn initialise(page: &mut [u8], id: PageId, kind: PageKind) {
    page[..HEADER_BYTES].fill(0);
    page[FORMAT] = FORMAT_VERSION;
    page[KIND] = kind as u8;
    put(page, PAGE_ID, id.to_number().to_le_bytes());
}

/// `None` of a byte that names no kind.
pub fn kind(page: &[u8]) -> Option<PageKind> {
    PageKind::from_byte(page[KIND])
}

pub fn set_kind(page: &mut [u8], kind: PageKind) {
    page[KIND] = kind as u8;
}

pub fn flags(page: &[u8]) -> u16 {
    u16_at(page, FLAGS)
}

pub fn set_flags(page: &mut [u8], flags: u16) {
    put(page, FLAGS, flags.to_le_bytes());
}

/// `None` of a number that is too large for a page.
pub fn page_id(page: &[u8]) -> Option<PageId> {
    PageId::from_number(u64::from_le_bytes(get(page, PAGE_ID)))
}

pub fn lsn(page: &[u8]) -> Lsn {
    Lsn(u64::from_le_bytes(get(page, LSN)))
}

pub fn set_lsn(page: &mut [u8], lsn: Lsn) {
    put(page, LSN, lsn.0.to_le_bytes());
}

/// Number of the tree that the page belongs to, 0 of none.
pub fn owner(page: &[u8]) -> u64 {
    u64::from_le_bytes(get(page, OWNER))
}

pub fn set_owner(page: &mut [u8], owner: u64) {
    put(page, OWNER, owner.to_le_bytes());
}

pub fn slots(page: &[u8]) -> u16 {
    u16_at(page, SLOTS)
}

pub fn set_slots(page: &mut [u8], slots: u16) {
    put(page, SLOTS, slots.to_le_bytes());
}

/// Offset from which cells lie.
pub fn heap(page: &[u8]) -> u16 {
    u16_at(page, HEAP)
}

pub fn set_heap(page: &mut [u8], heap: u16) {
    put(page, HEAP, heap.to_le_bytes());
}

/// Bytes of the heap that no cell uses.
pub fn unused(page: &[u8]) -> u16 {
    u16_at(page, UNUSED)
}

pub fn set_unused(page: &mut [u8], bytes: u16) {
    put(page, UNUSED, bytes.to_le_bytes());
}

/// Distance from the leaves of the tree, which have level 0.
pub fn level(page: &[u8]) -> u8 {
    page[LEVEL]
}

pub fn set_level(page: &mut [u8], level: u8) {
    page[LEVEL] = level;
}

/// Offset of the lower fence, 0 of none.
pub fn lower_fence(page: &[u8]) -> u16 {
    u16_at(page, LOWER_FENCE)
}

pub fn set_lower_fence(page: &mut [u8], offset: u16) {
    put(page, LOWER_FENCE, offset.to_le_bytes());
}

/// Offset of the upper fence, 0 of none.
pub fn upper_fence(page: &[u8]) -> u16 {
    u16_at(page, UPPER_FENCE)
}

pub fn set_upper_fence(page: &mut [u8], offset: u16) {
    put(page, UPPER_FENCE, offset.to_le_bytes());
}

/// The four bytes that each kind uses as it likes.
pub fn specific(page: &[u8]) -> u32 {
    u32::from_le_bytes(get(page, SPECIFIC))
}

pub fn set_specific(page: &mut [u8], value: u32) {
    put(page, SPECIFIC, value.to_le_bytes());
}

fn crc(page: &[u8; PAGE_BYTES]) -> u32 {
    // The library gives every checksum as 64 bits; one of 32 bits fills the lower half.
    checksum(CrcAlgorithm::Crc32Iscsi, &page[FORMAT..]) as u32
}

fn u16_at(page: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(get(page, offset))
}

fn get<const N: usize>(page: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&page[offset..offset + N]);
    bytes
}

fn put<const N: usize>(page: &mut [u8], offset: usize, bytes: [u8; N]) {
    page[offset..offset + N].copy_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TablespaceId;

    fn sealed(id: PageId) -> PageBuf {
        let mut page = PageBuf::zeroed();
        initialise(page.as_mut_slice(), id, PageKind::TreeLeaf);
        page[HEADER_BYTES..].fill(0xa5);
        seal(&mut page);
        page
    }

    #[test]
    fn checksum_is_crc32c() {
        // The check value that the catalogue of CRCs gives for CRC-32/ISCSI.
        assert_eq!(checksum(CrcAlgorithm::Crc32Iscsi, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let id = PageId::new(TablespaceId(3), 77);
        let page = sealed(id);
        verify(&page, id).expect("as sealed");
        for bit in 0..PAGE_BYTES * 8 {
            let mut flipped = page.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            verify(&flipped, id).expect_err("a flipped bit");
        }
    }

    #[test]
    fn a_page_of_another_place_or_of_zeros_is_refused() {
        let id = PageId::new(TablespaceId(3), 77);
        let other = PageId::new(TablespaceId(3), 78);
        let what = |page: &PageBuf, id| match verify(page, id) {
            Err(KernelError::CorruptPage { what, .. }) => what,
            result => panic!("{result:?}"),
        };
        assert_eq!(what(&sealed(id), other), "page id");
        assert_eq!(what(&PageBuf::zeroed(), id), "never written");
        let mut later = sealed(id);
        later[FORMAT] = FORMAT_VERSION + 1;
        seal(&mut later);
        assert_eq!(what(&later, id), "page format version");
    }

    #[test]
    fn fields_keep_apart() {
        let id = PageId::new(TablespaceId(1), 2);
        let mut page = PageBuf::zeroed();
        initialise(page.as_mut_slice(), id, PageKind::TreeInner);
        let bytes = page.as_mut_slice();
        set_flags(bytes, 0x0102);
        set_lsn(bytes, Lsn(0x1112_1314_1516_1718));
        set_owner(bytes, 0x2122_2324_2526_2728);
        set_slots(bytes, 0x3132);
        set_heap(bytes, 0x4142);
        set_unused(bytes, 0x5152);
        set_level(bytes, 6);
        set_lower_fence(bytes, 0x7172);
        set_upper_fence(bytes, 0x8182);
        set_specific(bytes, 0x9192_9394);
        assert_eq!(kind(bytes), Some(PageKind::TreeInner));
        assert_eq!(flags(bytes), 0x0102);
        assert_eq!(page_id(bytes), Some(id));
        assert_eq!(lsn(bytes), Lsn(0x1112_1314_1516_1718));
        assert_eq!(owner(bytes), 0x2122_2324_2526_2728);
        assert_eq!(slots(bytes), 0x3132);
        assert_eq!(heap(bytes), 0x4142);
        assert_eq!(unused(bytes), 0x5152);
        assert_eq!(level(bytes), 6);
        assert_eq!(lower_fence(bytes), 0x7172);
        assert_eq!(upper_fence(bytes), 0x8182);
        assert_eq!(specific(bytes), 0x9192_9394);
    }
}
