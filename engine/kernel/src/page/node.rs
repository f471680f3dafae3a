//! Pages of a B+tree.
//!
//! A cell of a leaf is one version of one key, a cell of an inner page leads to a child:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | version: the commit that wrote it |
//! | 8 | 2 | length of the key |
//! | 10 | 1 | flags: [`TOMBSTONE`], [`OVERFLOW`] |
//! | 11 | 1 | 0 |
//! | 12 | | key |
//! | | | value; of an inner page the child's [`PageId`], 8 bytes |
//!
//! Cells are in the order of [`VersionKey`]: keys ascending as byte strings, versions of a key newest first. So the
//! newest version that a snapshot sees is the first at or behind (key, snapshot).
//!
//! A page knows the part of the order that it is for: from its lower fence, which is included, to its upper fence, which
//! is not. The root of a tree has neither. Fences are (version, length, key) in the heap. They do three things: a reader
//! that comes to a page which no longer holds what it seeks notices; the bytes that both fences begin with are those of
//! every key of the page, so that comparisons skip them; and a page that hangs in the wrong place is found by `verify`.
//! (Graefe, "A Survey of B-Tree Locking Techniques", 2010, has fences; the four bytes of the key in each slot, which
//! decide most comparisons without touching the cell, are the "poor man's normalized key" of Graefe and Larson, 2001.)

use std::cmp::Ordering;

use super::PAGE_BYTES;
use super::access::{PageRead, Torn, bytes_at};
use super::header::{self, LOWER_FENCE, PageKind, SPECIFIC as PREFIX, UPPER_FENCE};
use super::slotted::{self, Refused, SLOT_BYTES, Slot};
use crate::ids::{PageId, Ts};

/// The version removes the key.
pub const TOMBSTONE: u8 = 1;
/// The value is elsewhere: the cell has its length (4 bytes) and its first page (8 bytes).
pub const OVERFLOW: u8 = 2;

/// Bytes of a cell before its key.
pub const CELL_HEADER_BYTES: usize = 12;
/// Bytes of a fence before its key.
pub const FENCE_HEADER_BYTES: usize = 10;

/// Longest key. A page then holds two fences and three cells of longest keys.
pub const KEY_BYTES_MAX: usize = 1536;
/// Longest cell; a longer one keeps its value in overflow pages. Any page of such cells can be split in two that have
/// room for one more: with fences of up to F bytes and C bytes a cell, C <= (8192 - 48) / 2 - 1.5 F.
pub const CELL_BYTES_MAX: usize = 1720;

/// A key and one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionKey<'k> {
    pub key: &'k [u8],
    pub ts: Ts,
}

impl<'k> VersionKey<'k> {
    /// Before all others.
    pub const FIRST: VersionKey<'static> = VersionKey {
        key: &[],
        ts: Ts::MAX,
    };

    /// Where the versions of `key` begin.
    pub fn newest(key: &'k [u8]) -> VersionKey<'k> {
        VersionKey { key, ts: Ts::MAX }
    }

    pub fn to_owned(self) -> OwnedVersionKey {
        OwnedVersionKey {
            key: self.key.to_vec(),
            ts: self.ts,
        }
    }
}

impl Ord for VersionKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key).then(other.ts.cmp(&self.ts))
    }
}

impl PartialOrd for VersionKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A [`VersionKey`] with bytes of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedVersionKey {
    pub key: Vec<u8>,
    pub ts: Ts,
}

impl OwnedVersionKey {
    pub fn borrow(&self) -> VersionKey<'_> {
        VersionKey {
            key: &self.key,
            ts: self.ts,
        }
    }
}

/// A cell of a private copy, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'p> {
    pub ts: Ts,
    pub flags: u8,
    pub key: &'p [u8],
    pub value: &'p [u8],
}

impl<'p> Cell<'p> {
    pub fn parse(bytes: &'p [u8]) -> Result<Cell<'p>, Torn> {
        let (header, rest) = bytes.split_at_checked(CELL_HEADER_BYTES).ok_or(Torn)?;
        let key_bytes = usize::from(u16::from_le_bytes([header[8], header[9]]));
        let (key, value) = rest.split_at_checked(key_bytes).ok_or(Torn)?;
        Ok(Cell {
            ts: Ts(u64::from_le_bytes(header[..8].try_into().expect("eight bytes"))),
            flags: header[10],
            key,
            value,
        })
    }

    /// Appends the cell's bytes to `target`. The key is at most [`KEY_BYTES_MAX`] long.
    pub fn append_to(&self, target: &mut Vec<u8>) {
        let key_bytes = u16::try_from(self.key.len()).expect("keys are at most KEY_BYTES_MAX long");
        target.extend_from_slice(&self.ts.0.to_le_bytes());
        target.extend_from_slice(&key_bytes.to_le_bytes());
        target.extend_from_slice(&[self.flags, 0]);
        target.extend_from_slice(self.key);
        target.extend_from_slice(self.value);
    }

    pub fn version_key(&self) -> VersionKey<'p> {
        VersionKey {
            key: self.key,
            ts: self.ts,
        }
    }

    pub fn is_tombstone(&self) -> bool {
        self.flags & TOMBSTONE != 0
    }

    /// Page that a cell of an inner page leads to.
    pub fn child(&self) -> Result<PageId, Torn> {
        let number: [u8; 8] = self.value.try_into().map_err(|_| Torn)?;
        PageId::from_number(u64::from_le_bytes(number)).ok_or(Torn)
    }
}

/// Cell `index` of a private copy.
pub fn cell(page: &[u8; PAGE_BYTES], index: usize) -> Result<Cell<'_>, Torn> {
    Cell::parse(slotted::cell(page, index)?)
}

/// What a reader checks before it believes that a page is the one it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub page: PageId,
    /// Tree that the page must belong to.
    pub owner: u64,
    pub level: u8,
}

/// Whether the page is a page of this tree and level. `false` where it has become another page since.
pub fn is_at<P: PageRead + ?Sized>(page: &P, place: Place) -> Result<bool, Torn> {
    let kind = if place.level == 0 {
        PageKind::TreeLeaf
    } else {
        PageKind::TreeInner
    };
    Ok(page.u64(header::PAGE_ID)? == place.page.to_number()
        && page.u64(header::OWNER)? == place.owner
        && page.u8(header::KIND)? == kind as u8
        && page.u8(header::LEVEL)? == place.level)
}

pub fn has_upper_fence<P: PageRead + ?Sized>(page: &P) -> Result<bool, Torn> {
    Ok(page.u16(UPPER_FENCE)? != 0)
}

/// How the lower fence compares with `key`; no fence is before everything.
pub fn compare_lower<P: PageRead + ?Sized>(page: &P, key: VersionKey<'_>) -> Result<Ordering, Torn> {
    match usize::from(page.u16(LOWER_FENCE)?) {
        0 => Ok(Ordering::Less),
        offset => compare_fence(page, offset, key),
    }
}

/// How the upper fence compares with `key`; no fence is behind everything.
pub fn compare_upper<P: PageRead + ?Sized>(page: &P, key: VersionKey<'_>) -> Result<Ordering, Torn> {
    match usize::from(page.u16(UPPER_FENCE)?) {
        0 => Ok(Ordering::Greater),
        offset => compare_fence(page, offset, key),
    }
}

fn compare_fence<P: PageRead + ?Sized>(
    page: &P,
    offset: usize,
    key: VersionKey<'_>,
) -> Result<Ordering, Torn> {
    let ts = Ts(page.u64(offset)?);
    let key_bytes = fence_key_bytes(page, offset)?;
    let order = page.compare(offset + FENCE_HEADER_BYTES, key_bytes, key.key)?;
    Ok(order.then(key.ts.cmp(&ts)))
}

fn fence_key_bytes<P: PageRead + ?Sized>(page: &P, offset: usize) -> Result<usize, Torn> {
    let low = page.u8(offset + 8)?;
    let high = page.u8(offset + 9)?;
    Ok(usize::from(u16::from_le_bytes([low, high])))
}

/// Version of the upper fence where that is of the key `key`: its versions then go on in the next page.
pub fn upper_fence_ts<P: PageRead + ?Sized>(page: &P, key: &[u8]) -> Result<Option<Ts>, Torn> {
    let offset = usize::from(page.u16(UPPER_FENCE)?);
    if offset == 0 {
        return Ok(None);
    }
    let key_bytes = fence_key_bytes(page, offset)?;
    let order = page.compare(offset + FENCE_HEADER_BYTES, key_bytes, key)?;
    if order.is_ne() {
        return Ok(None);
    }
    Ok(Some(Ts(page.u64(offset)?)))
}

/// Bytes of the fence that lies at `offset`.
pub(super) fn fence_bytes<P: PageRead + ?Sized>(page: &P, offset: usize) -> Result<usize, Torn> {
    Ok(FENCE_HEADER_BYTES + fence_key_bytes(page, offset)?)
}

/// The lower fence of a copy.
pub fn lower_fence(page: &[u8; PAGE_BYTES]) -> Result<Option<VersionKey<'_>>, Torn> {
    fence(page, LOWER_FENCE)
}

/// The upper fence of a copy.
pub fn upper_fence(page: &[u8; PAGE_BYTES]) -> Result<Option<VersionKey<'_>>, Torn> {
    fence(page, UPPER_FENCE)
}

fn fence(page: &[u8; PAGE_BYTES], at: usize) -> Result<Option<VersionKey<'_>>, Torn> {
    let offset = usize::from(page.u16(at)?);
    if offset == 0 {
        return Ok(None);
    }
    Ok(Some(VersionKey {
        ts: Ts(PageRead::u64(page, offset)?),
        key: bytes_at(page, offset + FENCE_HEADER_BYTES, fence_key_bytes(page, offset)?)?,
    }))
}

/// First slot whose key is not before `target`; the number of slots when all are.
pub fn lower_bound<P: PageRead + ?Sized>(page: &P, target: VersionKey<'_>) -> Result<usize, Torn> {
    let prefix = usize::from(page.u16(PREFIX)?);
    let head = head_of(target.key, prefix);
    let (mut low, mut high) = (0, slotted::count(page)?);
    while low < high {
        let middle = (low + high) / 2;
        let slot = slotted::slot(page, middle)?;
        let order = match slot.head.cmp(&head) {
            Ordering::Equal => compare_cell(page, slot, prefix, target)?,
            decided => decided,
        };
        match order {
            Ordering::Less => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// How the cell of `slot` compares with `target`, whose first `prefix` bytes are known to be those of the cell.
fn compare_cell<P: PageRead + ?Sized>(
    page: &P,
    slot: Slot,
    prefix: usize,
    target: VersionKey<'_>,
) -> Result<Ordering, Torn> {
    let key_bytes = cell_key_bytes(page, slot)?;
    let skipped = prefix.min(key_bytes).min(target.key.len());
    let order = page.compare(
        slot.offset + CELL_HEADER_BYTES + skipped,
        key_bytes - skipped,
        &target.key[skipped..],
    )?;
    match order {
        Ordering::Equal => Ok(target.ts.cmp(&Ts(page.u64(slot.offset)?))),
        decided => Ok(decided),
    }
}

/// Length of the key in the cell of `slot`, which is checked to lie within the cell.
pub fn cell_key_bytes<P: PageRead + ?Sized>(page: &P, slot: Slot) -> Result<usize, Torn> {
    let (low, high) = (page.u8(slot.offset + 8)?, page.u8(slot.offset + 9)?);
    let key_bytes = usize::from(u16::from_le_bytes([low, high]));
    if CELL_HEADER_BYTES + key_bytes > slot.length {
        return Err(Torn);
    }
    Ok(key_bytes)
}

/// Child of an inner page for `target`.
pub fn child_for<P: PageRead + ?Sized>(page: &P, target: VersionKey<'_>) -> Result<PageId, Torn> {
    child_at(page, child_index(page, target)?)
}

/// Slot of the child of an inner page for `target`: the last that is not behind it.
pub fn child_index<P: PageRead + ?Sized>(page: &P, target: VersionKey<'_>) -> Result<usize, Torn> {
    let bound = lower_bound(page, target)?;
    if bound < slotted::count(page)? && cell_is(page, bound, target)? {
        return Ok(bound);
    }
    bound.checked_sub(1).ok_or(Torn)
}

/// Child of an inner page for what is just before `target`: that of the last slot before it.
pub fn child_before<P: PageRead + ?Sized>(page: &P, target: VersionKey<'_>) -> Result<PageId, Torn> {
    child_at(page, lower_bound(page, target)?.checked_sub(1).ok_or(Torn)?)
}

/// Child with the greatest keys of an inner page.
pub fn last_child<P: PageRead + ?Sized>(page: &P) -> Result<PageId, Torn> {
    child_at(page, slotted::count(page)?.checked_sub(1).ok_or(Torn)?)
}

/// Child that slot `index` leads to.
pub fn child_at<P: PageRead + ?Sized>(page: &P, index: usize) -> Result<PageId, Torn> {
    let slot = slotted::slot(page, index)?;
    let at = (slot.offset + slot.length).checked_sub(8).ok_or(Torn)?;
    PageId::from_number(page.u64(at)?).ok_or(Torn)
}

fn cell_is<P: PageRead + ?Sized>(page: &P, index: usize, target: VersionKey<'_>) -> Result<bool, Torn> {
    Ok(compare_cell(page, slotted::slot(page, index)?, 0, target)? == Ordering::Equal)
}

/// The four bytes of `key` behind the page's common prefix, as a number that sorts like them.
pub fn head_of(key: &[u8], prefix: usize) -> u32 {
    let mut head = [0; 4];
    if let Some(rest) = key.get(prefix..) {
        let length = rest.len().min(4);
        head[..length].copy_from_slice(&rest[..length]);
    }
    u32::from_be_bytes(head)
}

/// Makes a page of the tree `owner` with no cells, for the keys between the fences. Page number and LSN stay.
pub fn format(
    page: &mut [u8; PAGE_BYTES],
    owner: u64,
    level: u8,
    lower: Option<VersionKey<'_>>,
    upper: Option<VersionKey<'_>>,
) -> Result<(), Torn> {
    slotted::clear_all(page);
    header::set_kind(
        page,
        if level == 0 {
            PageKind::TreeLeaf
        } else {
            PageKind::TreeInner
        },
    );
    header::set_owner(page, owner);
    page[header::LEVEL] = level;
    for (fence, at) in [(lower, LOWER_FENCE), (upper, UPPER_FENCE)] {
        if let Some(fence) = fence {
            let mut bytes = Vec::with_capacity(FENCE_HEADER_BYTES + fence.key.len());
            let key_bytes = u16::try_from(fence.key.len()).map_err(|_| Torn)?;
            bytes.extend_from_slice(&fence.ts.0.to_le_bytes());
            bytes.extend_from_slice(&key_bytes.to_le_bytes());
            bytes.extend_from_slice(fence.key);
            let offset = slotted::push_cell(page, &bytes)?;
            slotted::put_u16(page, at, offset);
        }
    }
    let prefix = match (lower, upper) {
        (Some(lower), Some(upper)) => common_prefix(lower.key, upper.key),
        _ => 0,
    };
    slotted::put_u16(page, PREFIX, prefix);
    Ok(())
}

/// Puts the cell with these bytes at `index`, where its key belongs.
pub fn insert(page: &mut [u8; PAGE_BYTES], index: usize, cell: &[u8]) -> Result<(), Refused> {
    let head = cell_head(page, cell)?;
    slotted::insert(page, index, head, cell)
}

/// Puts the cell with these bytes in the place of cell `index`, whose key it has.
pub fn replace(page: &mut [u8; PAGE_BYTES], index: usize, cell: &[u8]) -> Result<(), Refused> {
    let head = cell_head(page, cell)?;
    slotted::replace(page, index, head, cell)
}

/// What the slot of this cell says of its key.
fn cell_head(page: &[u8; PAGE_BYTES], cell: &[u8]) -> Result<u32, Torn> {
    Ok(head_of(Cell::parse(cell)?.key, usize::from(page.u16(PREFIX)?)))
}

/// Bytes that a cell takes, with its slot.
pub fn footprint(cell_bytes: usize) -> usize {
    cell_bytes + SLOT_BYTES
}

/// The shortest separator: after `left`, at or before `right`, which is the greater (suffix truncation: Bayer and
/// Unterauer, "Prefix B-Trees", 1977).
pub fn separator(left: VersionKey<'_>, right: VersionKey<'_>) -> OwnedVersionKey {
    if left.key == right.key {
        return right.to_owned();
    }
    let length = common_prefix(left.key, right.key) + 1;
    OwnedVersionKey {
        key: right.key[..length].to_vec(),
        ts: Ts::MAX,
    }
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}
