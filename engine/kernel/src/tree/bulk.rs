//! Filling a new tree from keys in order, leaf by leaf, without looking for a place for each.
//!
//! The pages may come about in several groups: nothing leads to them before [`BulkLoad::finish`] makes the root.

use super::Tree;
use super::write::fill;
use crate::error::{KernelError, Result};
use crate::group::Group;
use crate::ids::PageId;
use crate::page::header::{self, PageKind};
use crate::page::node::{self, Cell, OwnedVersionKey, VersionKey};
use crate::page::{PAGE_BYTES, Torn};

/// Content of a page that is filled: a little room is left, so that the first changes do not split each page.
const FILL_BYTES: usize = PAGE_BYTES / 16 * 15;

/// A tree that is being filled.
pub struct BulkLoad {
    tree: Tree,
    /// The open page of each level, leaves first.
    levels: Vec<Open>,
    last: Option<OwnedVersionKey>,
}

/// A page that is not full yet.
#[derive(Default)]
struct Open {
    lower: Option<OwnedVersionKey>,
    cells: Vec<Vec<u8>>,
    bytes: usize,
}

impl BulkLoad {
    /// Fills the tree whose root page is allocated, and not made yet.
    pub fn new(tree: Tree) -> BulkLoad {
        BulkLoad {
            tree,
            levels: vec![Open::default()],
            last: None,
        }
    }

    /// Adds a key, which is behind all that were added before, at the version of the group.
    ///
    /// # Panics
    /// When it is not.
    pub fn push(&mut self, group: &mut Group<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        let target = VersionKey { key, ts: group.ts };
        let last = self.last.as_ref().map(OwnedVersionKey::borrow);
        assert!(
            last.is_none_or(|last| last < target),
            "keys of a bulk load come in order"
        );
        let cell = group.make_cell(self.tree, target, Some(value))?;
        let separator = last.map(|last| node::separator(last, target));
        self.add(group, 0, cell, separator)?;
        self.last = Some(target.to_owned());
        Ok(())
    }

    /// Adds a cell to the open page of the level; `separator` parts it from the one before.
    fn add(
        &mut self,
        group: &mut Group<'_>,
        level: usize,
        cell: Vec<u8>,
        separator: Option<OwnedVersionKey>,
    ) -> Result<()> {
        let bytes = node::footprint(cell.len());
        let open = &self.levels[level];
        if let Some(separator) = separator
            && !open.cells.is_empty()
            && open.bytes + bytes + fences_bytes(open, &separator) > FILL_BYTES
        {
            self.close(group, level, Some(&separator))?;
            self.levels[level].lower = Some(separator);
        }
        let open = &mut self.levels[level];
        open.bytes += bytes;
        open.cells.push(cell);
        Ok(())
    }

    /// Writes the open page of the level, which ends at `upper`, and leads to it from the level above.
    fn close(&mut self, group: &mut Group<'_>, level: usize, upper: Option<&OwnedVersionKey>) -> Result<()> {
        let open = std::mem::take(&mut self.levels[level]);
        let id = group.allocate(self.tree.root.tablespace())?;
        write(group, self.tree, id, level, &open, upper)?;
        if self.levels.len() == level + 1 {
            self.levels.push(Open::default());
        }
        let from = open
            .lower
            .as_ref()
            .map_or(VersionKey::FIRST, OwnedVersionKey::borrow);
        let number = id.to_number().to_le_bytes();
        let mut cell = Vec::new();
        Cell {
            ts: from.ts,
            flags: 0,
            key: from.key,
            value: &number,
        }
        .append_to(&mut cell);
        self.add(group, level + 1, cell, open.lower)
    }

    /// Makes the last page of each level, and the root.
    pub fn finish(mut self, group: &mut Group<'_>) -> Result<()> {
        let mut level = 0;
        while level + 1 < self.levels.len() {
            self.close(group, level, None)?;
            level += 1;
        }
        write(group, self.tree, self.tree.root, level, &self.levels[level], None)
    }
}

/// Bytes of both fences of a page that would end at `upper`.
fn fences_bytes(open: &Open, upper: &OwnedVersionKey) -> usize {
    let lower = open.lower.as_ref().map_or(0, |lower| lower.key.len());
    2 * node::FENCE_HEADER_BYTES + lower + upper.key.len()
}

fn write(
    group: &mut Group<'_>,
    tree: Tree,
    id: PageId,
    level: usize,
    open: &Open,
    upper: Option<&OwnedVersionKey>,
) -> Result<()> {
    let misshapen = |Torn| KernelError::misshapen(id, "cells of a bulk load");
    let cells: Vec<Cell<'_>> = open
        .cells
        .iter()
        .map(|cell| Cell::parse(cell))
        .collect::<Result<_, Torn>>()
        .map_err(misshapen)?;
    let lower = open.lower.as_ref().map(OwnedVersionKey::borrow);
    let upper = upper.map(OwnedVersionKey::borrow);
    let level = u8::try_from(level).map_err(|_| KernelError::misshapen(id, "too many levels"))?;
    group.work.create(id, |page| {
        header::initialise(&mut page[..], id, PageKind::TreeLeaf);
        fill(page, tree.owner, level, lower, upper, &cells)
    })
}
