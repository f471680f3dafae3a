//! Adding versions to a tree, pruning those that nobody can see, and splitting pages that are full.

use super::read;
use super::search::{PageQuery, PageSource, Target, Which, descend};
use super::{LEVELS_MAX, Tree};
use crate::error::{KernelError, Result};
use crate::group::{Group, KernelEvent, Pruned, TreeEvent};
use crate::ids::PageId;
use crate::page::header::{self, PageKind};
use crate::page::node::{
    self, CELL_BYTES_MAX, CELL_HEADER_BYTES, Cell, KEY_BYTES_MAX, OVERFLOW, OwnedVersionKey, TOMBSTONE,
    VersionKey,
};
use crate::page::overflow::{self, CONTENT_BYTES, POINTER_BYTES, Pointer};
use crate::page::redo::Change;
use crate::page::{PageBuf, PageRead, Torn, slotted};
use crate::planted::planted;

/// Longest value.
pub const VALUE_BYTES_MAX: usize = 256 << 20;

impl Group<'_> {
    /// Makes an empty tree with its root at `root`, a page that is allocated.
    pub fn create_tree(&mut self, tree: Tree) -> Result<()> {
        self.work.create(tree.root, |page| {
            header::initialise(&mut page[..], tree.root, PageKind::TreeLeaf);
            node::format(page, tree.owner, 0, None, None)
        })
    }

    /// Adds the version of this group to `key`: a value, or a tombstone. One that the group added before is replaced.
    pub fn put(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let target = VersionKey { key, ts: self.ts };
        let cell = self.make_cell(tree, target, value)?;
        for _ in 0..SPLITS_MAX {
            let (leaf, ()) = descend(&self.work, tree, 0, Target::At(target), &mut Which)?;
            if self.put_in_leaf(tree, leaf, target, &cell)? {
                return Ok(());
            }
            if !self.prune(tree, leaf)? {
                self.split(tree, leaf, target)?;
            }
        }
        Err(KernelError::misshapen(tree.root, "no room after splits"))
    }

    /// `false` when the leaf is full.
    fn put_in_leaf(&mut self, tree: Tree, leaf: PageId, target: VersionKey<'_>, cell: &[u8]) -> Result<bool> {
        let page = self.work.page(leaf)?;
        let torn = |_: Torn| KernelError::misshapen(leaf, "cells of a leaf");
        let slot = node::lower_bound(&**page, target).map_err(torn)?;
        if slot < slotted::count(&**page).map_err(torn)? {
            let found = node::cell(page, slot).map_err(torn)?;
            if found.version_key() == target {
                let old = Chain::of(&found, leaf)?;
                let slot = slot as u16;
                let fits = self.work.change(leaf, Change::Replace { slot, cell })?;
                if fits && let Some(old) = old {
                    self.free_chain(tree, old)?;
                }
                return Ok(fits);
            }
        }
        self.left_versions |= self.prune_key(tree, leaf, slot, target.key)?;
        self.work.change(
            leaf,
            Change::Insert {
                slot: slot as u16,
                cell,
            },
        )
    }

    /// The cell for a version; a long value goes to overflow pages.
    pub(super) fn make_cell(
        &mut self,
        tree: Tree,
        target: VersionKey<'_>,
        value: Option<&[u8]>,
    ) -> Result<Vec<u8>> {
        within("key", target.key.len(), KEY_BYTES_MAX)?;
        let long = value.filter(|value| CELL_HEADER_BYTES + target.key.len() + value.len() > CELL_BYTES_MAX);
        let pointer;
        let (flags, value) = match (value, long) {
            (None, _) => (TOMBSTONE, &[][..]),
            (Some(value), None) => (0, value),
            (Some(_), Some(long)) => {
                within("value", long.len(), VALUE_BYTES_MAX)?;
                pointer = self.make_chain(tree, long)?.to_bytes();
                (OVERFLOW, &pointer[..])
            }
        };
        let cell = Cell {
            ts: target.ts,
            flags,
            key: target.key,
            value,
        };
        let mut bytes = Vec::with_capacity(CELL_HEADER_BYTES + cell.key.len() + value.len());
        cell.append_to(&mut bytes);
        Ok(bytes)
    }

    fn make_chain(&mut self, tree: Tree, value: &[u8]) -> Result<Pointer> {
        let tablespace = tree.root.tablespace();
        let mut pages = Vec::new();
        for _ in 0..value.len().div_ceil(CONTENT_BYTES) {
            pages.push(self.allocate(tablespace)?);
        }
        for (place, content) in value.chunks(CONTENT_BYTES).enumerate() {
            let (id, next) = (pages[place], pages.get(place + 1).copied());
            self.work.create(id, |page| {
                overflow::format(page, id, tree.owner, place as u32, next, content);
                Ok(())
            })?;
        }
        Ok(Pointer {
            bytes: value.len() as u32,
            first: pages[0],
        })
    }

    /// Gives the pages of a long value back.
    pub fn free_chain(&mut self, tree: Tree, chain: Chain) -> Result<()> {
        let mut pages = Vec::new();
        chain.walk(&self.work, tree.owner, &mut |page| pages.push(page))?;
        pages.into_iter().try_for_each(|page| self.free(page))
    }

    /// Removes versions of `key`, which begin at `slot`, that nobody sees; whether older ones are left.
    fn prune_key(&mut self, tree: Tree, leaf: PageId, slot: usize, key: &[u8]) -> Result<bool> {
        loop {
            let page = self.work.page(leaf)?;
            let torn = |_: Torn| KernelError::misshapen(leaf, "cells of a leaf");
            let count = slotted::count(&**page).map_err(torn)?;
            // The newest is seen by new snapshots; a later one is dead when nobody reads between it and the one before.
            let (mut dead, mut left) = (None, false);
            for index in slot + 1..count {
                let (newer, cell) = (node::cell(page, index - 1), node::cell(page, index));
                let (newer, cell) = (newer.map_err(torn)?, cell.map_err(torn)?);
                if cell.key != key {
                    break;
                }
                if !self.readers.see(cell.ts, newer.ts) {
                    let chain = Chain::of(&cell, leaf)?;
                    dead = Some((index, chain, content_bytes(&cell, chain)));
                    break;
                }
                left = true;
            }
            let Some((index, chain, bytes)) = dead else {
                return Ok(left);
            };
            self.pruned.add(Pruned { versions: 1, bytes });
            self.work.change(leaf, Change::Remove { slot: index as u16 })?;
            if let Some(chain) = chain {
                self.free_chain(tree, chain)?;
            }
        }
    }

    /// Removes what no snapshot sees from a leaf; whether anything was removed. Other pages have nothing to remove.
    pub fn prune(&mut self, tree: Tree, leaf: PageId) -> Result<bool> {
        let page = self.work.page(leaf)?.clone();
        if header::level(&page[..]) > 0 {
            return Ok(false);
        }
        let cells = read::cells(&page, leaf)?;
        let torn = |_: Torn| KernelError::misshapen(leaf, "cells of a leaf");
        // The versions of the last key may go on in the next leaf, and then its tombstone must stay to hide them.
        let continued = node::upper_fence(&page)
            .map_err(torn)?
            .map(|fence| fence.key)
            .filter(|_| !planted!("tombstone-pruned-at-fence"));
        let mut kept = Vec::with_capacity(cells.len());
        let mut chains = Vec::new();
        let mut gone = Pruned::default();
        for (index, cell) in cells.iter().enumerate() {
            let newer = index
                .checked_sub(1)
                .map(|index| &cells[index])
                .filter(|newer| newer.key == cell.key);
            if newer.is_some_and(|newer| !self.readers.see(cell.ts, newer.ts)) {
                let chain = Chain::of(cell, leaf)?;
                gone.add(Pruned {
                    versions: 1,
                    bytes: content_bytes(cell, chain),
                });
                chains.extend(chain);
            } else {
                kept.push(*cell);
            }
            // Behind the last version of a key a tombstone hides nothing.
            let ends = cells.get(index + 1).is_none_or(|next| next.key != cell.key);
            while ends
                && continued != Some(cell.key)
                && let Some(mark) = kept.pop_if(|last| last.key == cell.key && last.is_tombstone())
            {
                gone.add(Pruned {
                    versions: 1,
                    bytes: mark.key.len() as u64,
                });
            }
        }
        if kept.len() == cells.len() {
            return Ok(false);
        }
        self.pruned.add(gone);
        self.refill(leaf, &page, &kept)?;
        for chain in chains {
            self.free_chain(tree, chain)?;
        }
        Ok(true)
    }

    /// Makes the page anew with these cells only.
    fn refill(&mut self, id: PageId, old: &PageBuf, cells: &[Cell<'_>]) -> Result<()> {
        let torn = |_: Torn| KernelError::misshapen(id, "fences");
        let lower = node::lower_fence(old).map_err(torn)?;
        let upper = node::upper_fence(old).map_err(torn)?;
        let (owner, level) = (header::owner(&old[..]), header::level(&old[..]));
        self.work
            .rewrite(id, |page| fill(page, owner, level, lower, upper, cells))
    }

    /// Moves the greater half of a page's cells to a new page; of the last page of its level that is about to get a greater
    /// key none, so that ascending keys fill their pages.
    fn split(&mut self, tree: Tree, id: PageId, incoming: VersionKey<'_>) -> Result<()> {
        let page = self.work.page(id)?.clone();
        let cells = read::cells(&page, id)?;
        let torn = |_: Torn| KernelError::misshapen(id, "fences");
        let (lower, upper) = (
            node::lower_fence(&page).map_err(torn)?,
            node::upper_fence(&page).map_err(torn)?,
        );
        let level = header::level(&page[..]);
        let last = cells
            .last()
            .ok_or_else(|| KernelError::misshapen(id, "full without a cell"))?;
        if cells.len() < 2 && upper.is_some() {
            return Err(KernelError::misshapen(id, "full with one cell"));
        }
        let between = |at: usize| {
            let right = cells.get(at).map_or(incoming, Cell::version_key);
            separator_at(level, cells[at - 1].version_key(), right)
        };
        let at = if upper.is_none() && last.version_key() < incoming {
            let room = slotted::free_bytes(&*page).map_err(torn)?;
            // The fence needs room too; one cell less makes enough.
            if node::FENCE_HEADER_BYTES + between(cells.len()).key.len() <= room {
                cells.len()
            } else {
                (cells.len() - 1).max(1)
            }
        } else {
            middle(&cells)
        };
        let separator = between(at);
        let fence = separator.borrow();
        let (left, right) = cells.split_at(at);
        let (owner, tablespace) = (tree.owner, tree.root.tablespace());
        let to = self.allocate(tablespace)?;
        self.work.create(to, |page| {
            header::initialise(&mut page[..], to, PageKind::TreeLeaf);
            fill(page, owner, level, Some(fence), upper, right)
        })?;
        self.tell(|| {
            KernelEvent::Tree(TreeEvent::Split {
                owner,
                page: id,
                to,
                level,
                cells_before: cells.len() as u32,
                cells_after: left.len() as u32,
                separator: separator.key.clone(),
            })
        });
        if id != tree.root {
            self.work
                .rewrite(id, |page| fill(page, owner, level, lower, Some(fence), left))?;
            return self.insert_child(tree, level + 1, fence, to);
        }
        // The root keeps its number: what it held goes to two new pages.
        let low = self.allocate(tablespace)?;
        self.work.create(low, |page| {
            header::initialise(&mut page[..], low, PageKind::TreeLeaf);
            fill(page, owner, level, None, Some(fence), left)
        })?;
        let (low_child, child) = (low.to_number().to_le_bytes(), to.to_number().to_le_bytes());
        let cells = [
            inner_cell(VersionKey::FIRST, &low_child),
            inner_cell(fence, &child),
        ];
        self.work
            .rewrite(id, |page| fill(page, owner, level + 1, None, None, &cells))
    }

    /// Puts the way to the new page `child`, which begins at `fence`, into the level above it.
    fn insert_child(&mut self, tree: Tree, level: u8, fence: VersionKey<'_>, child: PageId) -> Result<()> {
        if level > LEVELS_MAX {
            return Err(KernelError::misshapen(tree.root, "too many levels"));
        }
        let number = child.to_number().to_le_bytes();
        let mut cell = Vec::new();
        inner_cell(fence, &number).append_to(&mut cell);
        for _ in 0..SPLITS_MAX {
            let (parent, ()) = descend(&self.work, tree, level, Target::At(fence), &mut Which)?;
            let page = self.work.page(parent)?;
            let slot = node::lower_bound(&**page, fence)
                .map_err(|Torn| KernelError::misshapen(parent, "cells of an inner page"))?;
            if self.work.change(
                parent,
                Change::Insert {
                    slot: slot as u16,
                    cell: &cell,
                },
            )? {
                return Ok(());
            }
            self.split(tree, parent, fence)?;
        }
        Err(KernelError::misshapen(tree.root, "no room after splits"))
    }
}

/// The page behind one of a long value.
struct NextOf {
    owner: u64,
    place: u32,
}

impl PageQuery for NextOf {
    type Answer = Option<PageId>;

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<Option<PageId>, Torn> {
        overflow::next(page, self.owner, self.place)
    }
}

/// One version needs at most two splits; more are a defect, and an error is better than no end.
const SPLITS_MAX: usize = 8;

fn within(what: &'static str, size: usize, size_max: usize) -> Result<()> {
    if size > size_max {
        return Err(KernelError::TooLarge { what, size, size_max });
    }
    Ok(())
}

/// The chain of a long value.
#[derive(Debug, Clone, Copy)]
pub struct Chain(Pointer);

impl Chain {
    /// That of the cell, if its value is long.
    pub fn of(cell: &Cell<'_>, leaf: PageId) -> Result<Option<Chain>> {
        if cell.flags & OVERFLOW == 0 {
            return Ok(None);
        }
        let pointer = Pointer::parse(cell.value);
        pointer
            .map(|pointer| Some(Chain(pointer)))
            .map_err(|Torn| KernelError::misshapen(leaf, "pointer to a long value"))
    }

    /// Gives each page of the chain to `each`, in order.
    pub fn walk<S: PageSource>(self, source: &S, owner: u64, each: &mut dyn FnMut(PageId)) -> Result<()> {
        let mut next = Some(self.0.first);
        for place in 0..self.0.pages() {
            let id = next.ok_or_else(|| KernelError::misshapen(self.0.first, "chain of a long value"))?;
            each(id);
            let place = place as u32;
            next = source.query(id, &mut NextOf { owner, place })?;
        }
        Ok(())
    }

    /// Pages of the chain.
    pub fn pages(self) -> usize {
        self.0.pages()
    }
}

/// Bytes of key and value of a version.
fn content_bytes(cell: &Cell<'_>, chain: Option<Chain>) -> u64 {
    let value = chain.map_or(cell.value.len() as u64, |chain| u64::from(chain.0.bytes));
    cell.key.len() as u64 + value
}

const _: () = assert!(CELL_HEADER_BYTES + KEY_BYTES_MAX + POINTER_BYTES <= CELL_BYTES_MAX);

fn inner_cell<'c>(key: VersionKey<'c>, child: &'c [u8; 8]) -> Cell<'c> {
    Cell {
        ts: key.ts,
        flags: 0,
        key: key.key,
        value: child,
    }
}

/// What parts two neighbours. An inner page begins with the key of its first cell, whose child begins there.
fn separator_at(level: u8, left: VersionKey<'_>, right: VersionKey<'_>) -> OwnedVersionKey {
    if level == 0 {
        node::separator(left, right)
    } else {
        right.to_owned()
    }
}

/// First cell of the greater half by bytes; neither half is empty.
fn middle(cells: &[Cell<'_>]) -> usize {
    let bytes = |cell: &Cell<'_>| node::footprint(CELL_HEADER_BYTES + cell.key.len() + cell.value.len());
    let half = cells.iter().map(bytes).sum::<usize>() / 2;
    let mut passed = 0;
    let at = cells.iter().position(|cell| {
        passed += bytes(cell);
        passed > half
    });
    at.unwrap_or(0).clamp(1, cells.len() - 1)
}

/// Makes a page of a tree with these cells, which fit.
pub(super) fn fill(
    page: &mut PageBuf,
    owner: u64,
    level: u8,
    lower: Option<VersionKey<'_>>,
    upper: Option<VersionKey<'_>>,
    cells: &[Cell<'_>],
) -> Result<(), Torn> {
    node::format(page, owner, level, lower, upper)?;
    let mut bytes = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        bytes.clear();
        cell.append_to(&mut bytes);
        node::insert(page, index, &bytes).map_err(|_| Torn)?;
    }
    Ok(())
}
