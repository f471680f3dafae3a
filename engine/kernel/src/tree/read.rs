//! Reading a tree as a snapshot sees it.

use super::Tree;
use super::search::{PageQuery, PageSource, Target, descend};
use crate::error::{KernelError, Result};
use crate::ids::{PageId, Ts};
use crate::page::node::{self, CELL_HEADER_BYTES, Cell, OVERFLOW, OwnedVersionKey, TOMBSTONE, VersionKey};
use crate::page::overflow::{self, Pointer};
use crate::page::{PageBuf, PageRead, Torn, slotted};
use crate::planted::planted;

/// A value and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub ts: Ts,
    pub value: Vec<u8>,
}

/// A version that is stored, whether or not anybody can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    pub ts: Ts,
    /// `None` where the commit removed the key.
    pub value: Option<Vec<u8>>,
}

/// A version as its leaf has it.
struct Stored {
    ts: Ts,
    flags: u8,
    /// The value, or where it is.
    value: Vec<u8>,
}

/// The newest version of `key` that is not newer than `snapshot`; `None` where that is a tombstone or there is none.
pub fn get<S: PageSource>(source: &S, tree: Tree, key: &[u8], snapshot: Ts) -> Result<Option<Version>> {
    match find(source, tree, key, snapshot)? {
        Some(stored) if stored.flags & TOMBSTONE == 0 => Ok(Some(Version {
            ts: stored.ts,
            value: whole_value(source, tree.owner, stored.flags, stored.value)?,
        })),
        _ => Ok(None),
    }
}

/// The versions of `key` that are not newer than `newest`, newest first and `versions_max` at most.
pub fn versions<S: PageSource>(
    source: &S,
    tree: Tree,
    key: &[u8],
    newest: Ts,
    versions_max: usize,
) -> Result<Vec<StoredVersion>> {
    let mut found = Vec::new();
    let mut next = Some(newest);
    while let Some(from) = next
        && found.len() < versions_max
        && let Some(stored) = find(source, tree, key, from)?
    {
        let value = match stored.flags & TOMBSTONE == 0 {
            true => Some(whole_value(source, tree.owner, stored.flags, stored.value)?),
            false => None,
        };
        next = stored.ts.0.checked_sub(1).map(Ts);
        found.push(StoredVersion { ts: stored.ts, value });
    }
    Ok(found)
}

/// Of the leaf that holds `from`: how many of its versions a reader of `newest` sees, how many others there are, and where the
/// next leaf begins. The versions of a key that begin in the leaf before are all taken for dead.
pub fn count_leaf<S: PageSource>(
    source: &S,
    tree: Tree,
    from: VersionKey<'_>,
    newest: Ts,
) -> Result<(u64, u64, Option<OwnedVersionKey>)> {
    let mut page = PageBuf::zeroed();
    let (leaf, ()) = descend(source, tree, 0, Target::At(from), &mut Copy(&mut page))?;
    let torn = |_: Torn| KernelError::misshapen(leaf, "cells of a leaf");
    let lower = node::lower_fence(&page).map_err(torn)?;
    let (mut live, mut dead) = (0, 0);
    // Whose newest version was passed: of the first key perhaps in the leaf before.
    let mut seen = lower.filter(|fence| fence.ts != Ts::MAX).map(|fence| fence.key);
    for cell in cells(&page, leaf)? {
        if cell.ts > newest {
            continue;
        }
        match seen != Some(cell.key) && !cell.is_tombstone() {
            true => live += 1,
            false => dead += 1,
        }
        seen = Some(cell.key);
    }
    let next = node::upper_fence(&page).map_err(torn)?.map(VersionKey::to_owned);
    Ok((live, dead, next))
}

/// The commit of the newest version of `key` that is not newer than `snapshot`; `None` as for [`get`].
pub fn version_of<S: PageSource>(source: &S, tree: Tree, key: &[u8], snapshot: Ts) -> Result<Option<Ts>> {
    let stored = find(source, tree, key, snapshot)?;
    Ok(stored
        .filter(|stored| stored.flags & TOMBSTONE == 0)
        .map(|stored| stored.ts))
}

/// Bytes of the newest value of `key`; `None` where that is a tombstone or there is none.
pub fn value_bytes<S: PageSource>(source: &S, tree: Tree, key: &[u8]) -> Result<Option<u64>> {
    match find(source, tree, key, Ts::MAX)? {
        Some(stored) if stored.flags & TOMBSTONE != 0 => Ok(None),
        Some(stored) if stored.flags & OVERFLOW != 0 => match Pointer::parse(&stored.value) {
            Ok(pointer) => Ok(Some(u64::from(pointer.bytes))),
            Err(Torn) => Err(KernelError::misshapen(tree.root, "pointer to a long value")),
        },
        Some(stored) => Ok(Some(stored.value.len() as u64)),
        None => Ok(None),
    }
}

fn find<S: PageSource>(source: &S, tree: Tree, key: &[u8], snapshot: Ts) -> Result<Option<Stored>> {
    let mut from = VersionKey { key, ts: snapshot };
    loop {
        let (_, found) = descend(source, tree, 0, Target::At(from), &mut Find { from })?;
        match found {
            Found::Version(stored) => return Ok(Some(stored)),
            Found::Nothing => return Ok(None),
            // The versions of the key go on in the next leaf.
            Found::Behind(ts) => from.ts = ts,
        }
    }
}

enum Found {
    Version(Stored),
    Nothing,
    /// The leaf ends within the versions of the key, with this one.
    Behind(Ts),
}

struct Find<'k> {
    from: VersionKey<'k>,
}

impl PageQuery for Find<'_> {
    type Answer = Found;

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<Found, Torn> {
        let index = node::lower_bound(page, self.from)?;
        if index == slotted::count(page)? {
            return Ok(match node::upper_fence_ts(page, self.from.key)? {
                Some(ts) => Found::Behind(ts),
                None => Found::Nothing,
            });
        }
        let slot = slotted::slot(page, index)?;
        let key_bytes = node::cell_key_bytes(page, slot)?;
        if page
            .compare(slot.offset + CELL_HEADER_BYTES, key_bytes, self.from.key)?
            .is_ne()
        {
            return Ok(Found::Nothing);
        }
        let start = CELL_HEADER_BYTES + key_bytes;
        let mut value = Vec::with_capacity(slot.length - start);
        page.append_to(slot.offset + start, slot.length - start, &mut value)?;
        Ok(Found::Version(Stored {
            ts: Ts(page.u64(slot.offset)?),
            flags: page.u8(slot.offset + 10)?,
            value,
        }))
    }
}

/// The value of a cell, from its overflow pages where it is there.
pub fn whole_value<S: PageSource>(source: &S, owner: u64, flags: u8, value: Vec<u8>) -> Result<Vec<u8>> {
    if flags & OVERFLOW == 0 {
        return Ok(value);
    }
    let torn = |page| move |_: Torn| KernelError::misshapen(page, "chain of a long value");
    let pointer = Pointer::parse(&value).map_err(torn(PageId::FIRST))?;
    let mut whole = Vec::new();
    let mut next = Some(pointer.first);
    for place in 0..pointer.pages() {
        let page = next.ok_or_else(|| KernelError::misshapen(pointer.first, "chain of a long value"))?;
        let mut part = Part {
            owner,
            place: place as u32,
            bytes: Vec::new(),
        };
        next = source.query(page, &mut part)?;
        whole.append(&mut part.bytes);
    }
    if whole.len() != pointer.bytes as usize {
        return Err(KernelError::misshapen(pointer.first, "chain of a long value"));
    }
    Ok(whole)
}

struct Part {
    owner: u64,
    place: u32,
    bytes: Vec<u8>,
}

impl PageQuery for Part {
    type Answer = Option<PageId>;

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<Option<PageId>, Torn> {
        self.bytes.clear();
        overflow::read_into(page, self.owner, self.place, &mut self.bytes)
    }
}

/// Copies a page.
pub struct Copy<'b>(pub &'b mut PageBuf);

impl PageQuery for Copy<'_> {
    type Answer = ();

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<(), Torn> {
        page.copy_to(self.0);
        Ok(())
    }
}

/// Keys of a tree in ascending order, as `snapshot` sees them, from `from` on and before `until`. Reads leaf by leaf and
/// holds none: what is scanned may be changed meanwhile, and the scan does not see it.
pub struct Scan<'s, S> {
    source: &'s S,
    tree: Tree,
    snapshot: Ts,
    until: Option<Vec<u8>>,
    /// Where the next leaf begins; `None` behind the last.
    next: Option<OwnedVersionKey>,
    leaf: PageBuf,
    leaf_id: PageId,
    slot: usize,
    slots: usize,
    /// Key whose visible version was seen, so that its older ones are passed over, also in the next leaf.
    seen: Option<Vec<u8>>,
}

impl<'s, S: PageSource> Scan<'s, S> {
    pub fn new(source: &'s S, tree: Tree, snapshot: Ts, from: &[u8], until: Option<&[u8]>) -> Scan<'s, S> {
        Scan {
            source,
            tree,
            snapshot: match planted!("visibility-off-by-one") {
                true => Ts(snapshot.0.saturating_add(1)),
                false => snapshot,
            },
            until: until.map(<[u8]>::to_vec),
            next: Some(VersionKey::newest(from).to_owned()),
            leaf: PageBuf::zeroed(),
            leaf_id: tree.root,
            slot: 0,
            slots: 0,
            seen: None,
        }
    }

    /// The next key with its value.
    pub fn next_entry(&mut self) -> Result<Option<(Vec<u8>, Version)>> {
        loop {
            let torn = |id| move |_: Torn| KernelError::misshapen(id, "cells of a leaf");
            while self.slot < self.slots {
                let cell = node::cell(&self.leaf, self.slot).map_err(torn(self.leaf_id))?;
                self.slot += 1;
                if self.until.as_deref().is_some_and(|until| cell.key >= until) {
                    (self.slots, self.next) = (0, None);
                    return Ok(None);
                }
                if cell.ts > self.snapshot || self.seen.as_deref() == Some(cell.key) {
                    continue;
                }
                let key = cell.key.to_vec();
                let (ts, flags, value) = (cell.ts, cell.flags, cell.value.to_vec());
                self.seen = Some(key.clone());
                if flags & TOMBSTONE != 0 {
                    continue;
                }
                let value = whole_value(self.source, self.tree.owner, flags, value)?;
                return Ok(Some((key, Version { ts, value })));
            }
            let Some(from) = self.next.take() else {
                return Ok(None);
            };
            self.load(from)?;
        }
    }

    /// Goes to the leaf that holds `from`.
    fn load(&mut self, from: OwnedVersionKey) -> Result<()> {
        let from = from.borrow();
        let copy = &mut Copy(&mut self.leaf);
        let (id, ()) = descend(self.source, self.tree, 0, Target::At(from), copy)?;
        let torn = |_: Torn| KernelError::misshapen(id, "cells of a leaf");
        self.leaf_id = id;
        self.slot = node::lower_bound(&*self.leaf, from).map_err(torn)?;
        self.slots = slotted::count(&*self.leaf).map_err(torn)?;
        self.next = node::upper_fence(&self.leaf)
            .map_err(torn)?
            .map(VersionKey::to_owned);
        Ok(())
    }
}

/// As [`Scan`], in descending order: keys before `until` and not before `from`.
pub struct ScanBack<'s, S> {
    source: &'s S,
    tree: Tree,
    snapshot: Ts,
    from: Vec<u8>,
    /// Behind which the next leaf ends; `None` once the first was read.
    next: Option<Option<OwnedVersionKey>>,
    leaf: PageBuf,
    leaf_id: PageId,
    slot: usize,
    /// Newest visible version seen so far of the key whose versions are being passed, oldest first.
    held: Option<(Vec<u8>, Ts, u8, Vec<u8>)>,
}

impl<'s, S: PageSource> ScanBack<'s, S> {
    pub fn new(
        source: &'s S,
        tree: Tree,
        snapshot: Ts,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> ScanBack<'s, S> {
        ScanBack {
            source,
            tree,
            snapshot,
            from: from.to_vec(),
            next: match until {
                // Nothing is before the first key.
                Some([]) => None,
                until => Some(until.map(|until| VersionKey::newest(until).to_owned())),
            },
            leaf: PageBuf::zeroed(),
            leaf_id: tree.root,
            slot: 0,
            held: None,
        }
    }

    /// The next smaller key with its value.
    pub fn next_entry(&mut self) -> Result<Option<(Vec<u8>, Version)>> {
        loop {
            while self.slot > 0 {
                let torn = |_: Torn| KernelError::misshapen(self.leaf_id, "cells of a leaf");
                let cell = node::cell(&self.leaf, self.slot - 1).map_err(torn)?;
                if cell.key < self.from.as_slice() {
                    (self.slot, self.next) = (0, None);
                    break;
                }
                let passed = self.held.as_ref().is_some_and(|held| held.0 != cell.key);
                if passed {
                    // The cell is looked at again once the key behind it is given out.
                    break;
                }
                self.slot -= 1;
                if cell.ts <= self.snapshot {
                    self.held = Some((cell.key.to_vec(), cell.ts, cell.flags, cell.value.to_vec()));
                }
            }
            if self.slot == 0
                && let Some(until) = self.next.take()
            {
                self.load(until)?;
                continue;
            }
            let Some((key, ts, flags, value)) = self.held.take() else {
                if self.slot == 0 {
                    return Ok(None);
                }
                continue;
            };
            if flags & TOMBSTONE == 0 {
                let value = whole_value(self.source, self.tree.owner, flags, value)?;
                return Ok(Some((key, Version { ts, value })));
            }
        }
    }

    /// Goes to the leaf that holds what is just before `until`, or the last.
    fn load(&mut self, until: Option<OwnedVersionKey>) -> Result<()> {
        let target = match &until {
            Some(until) => Target::Before(until.borrow()),
            None => Target::Last,
        };
        let copy = &mut Copy(&mut self.leaf);
        let (id, ()) = descend(self.source, self.tree, 0, target, copy)?;
        let torn = |_: Torn| KernelError::misshapen(id, "cells of a leaf");
        self.leaf_id = id;
        self.slot = match &until {
            Some(until) => node::lower_bound(&*self.leaf, until.borrow()).map_err(torn)?,
            None => slotted::count(&*self.leaf).map_err(torn)?,
        };
        let lower = node::lower_fence(&self.leaf).map_err(torn)?;
        self.next = lower.map(|lower| Some(lower.to_owned()));
        Ok(())
    }
}

/// The cells of a leaf's copy, for those who look at all versions.
pub fn cells(leaf: &PageBuf, id: PageId) -> Result<Vec<Cell<'_>>> {
    let torn = |_: Torn| KernelError::misshapen(id, "cells of a leaf");
    let count = slotted::count(&**leaf).map_err(torn)?;
    (0..count)
        .map(|index| node::cell(leaf, index).map_err(torn))
        .collect()
}
