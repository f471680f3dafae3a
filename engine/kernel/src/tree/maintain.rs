//! Giving room back: merging thin pages, and freeing dropped trees, a bounded number of pages a group.

use super::search::{Target, Which, descend};
use super::write::{Chain, fill};
use super::{LEVELS_MAX, Tree, read};
use crate::error::{KernelError, Result};
use crate::group::{Group, KernelEvent, TreeEvent, work::copy_of};
use crate::ids::PageId;
use crate::page::header::{self, HEADER_BYTES};
use crate::page::node::{self, CELL_HEADER_BYTES, Cell, OwnedVersionKey, VersionKey};
use crate::page::redo::Change;
use crate::page::{PAGE_BYTES, PageBuf, Torn, slotted};

/// A page with less content than this is merged with a neighbour where both fit.
const THIN_BYTES: usize = PAGE_BYTES / 4;
/// The most content of a page that a merge makes, so that it is not split at once again.
const MERGED_BYTES_MAX: usize = PAGE_BYTES / 4 * 3;

impl Group<'_> {
    /// Prunes the leaf for `from` and merges it when it has become thin. Where the next leaf begins, `None` behind the
    /// last: a merge may give the next leaf's keys to this one, and then it is looked at again.
    pub fn tidy_leaf(&mut self, tree: Tree, from: VersionKey<'_>) -> Result<Option<OwnedVersionKey>> {
        let (leaf, ()) = descend(&self.work, tree, 0, Target::At(from), &mut Which)?;
        let page = copy_of(&self.work, leaf)?;
        let next = node::upper_fence(&page)
            .map_err(|Torn| misshapen(leaf))?
            .map(VersionKey::to_owned);
        if self.has_dead_cells(&page, leaf)? {
            self.prune(tree, leaf)?;
        }
        if leaf != tree.root && content_bytes(&copy_of(&self.work, leaf)?, leaf)? < THIN_BYTES {
            self.merge(tree, 0, from)?;
        }
        Ok(next)
    }

    /// Whether pruning might remove something; decides what is copied to be changed.
    fn has_dead_cells(&self, page: &PageBuf, leaf: PageId) -> Result<bool> {
        let cells = read::cells(page, leaf)?;
        let hidden = cells
            .windows(2)
            .any(|pair| pair[0].key == pair[1].key && !self.readers.see(pair[1].ts, pair[0].ts));
        let ends = |at: usize| cells.get(at + 1).is_none_or(|next| next.key != cells[at].key);
        Ok(hidden || (0..cells.len()).any(|at| cells[at].is_tombstone() && ends(at)))
    }

    /// Merges the page of `level` that holds `key` with a neighbour of the same parent, if both fit into one, and then the
    /// parent in the same way.
    fn merge(&mut self, tree: Tree, level: u8, key: VersionKey<'_>) -> Result<()> {
        if level >= LEVELS_MAX {
            return Err(KernelError::misshapen(tree.root, "too many levels"));
        }
        let (parent, ()) = descend(&self.work, tree, level + 1, Target::At(key), &mut Which)?;
        let page = copy_of(&self.work, parent)?;
        let count = slotted::count(&*page).map_err(|Torn| misshapen(parent))?;
        let at = node::child_index(&*page, key).map_err(|Torn| misshapen(parent))?;
        // Whoever goes over the leaves in order has been at the left neighbour, and not at the right one yet.
        let pairs = [at.checked_sub(1), Some(at)].into_iter().flatten();
        let child = |index| node::child_at(&*page, index).map_err(|Torn| misshapen(parent));
        let mut joined = None;
        for left_at in pairs.filter(|left_at| left_at + 1 < count) {
            if self.join(tree, child(left_at)?, child(left_at + 1)?)? {
                joined = Some(left_at + 1);
                break;
            }
        }
        let Some(slot) = joined else {
            return Ok(());
        };
        let slot = slot as u16;
        self.work.change(parent, Change::Remove { slot })?;
        if parent == tree.root {
            return self.lower_root(tree);
        }
        if content_bytes(self.work.page(parent)?, parent)? < THIN_BYTES {
            self.merge(tree, level + 1, key)?;
        }
        Ok(())
    }

    /// Puts the cells of `right` into `left`, its neighbour, and gives `right` back; `false` when they don't fit.
    fn join(&mut self, tree: Tree, left: PageId, right: PageId) -> Result<bool> {
        let (left_page, right_page) = (copy_of(&self.work, left)?, copy_of(&self.work, right)?);
        let together = content_bytes(&left_page, left)? + content_bytes(&right_page, right)?;
        let lower = node::lower_fence(&left_page).map_err(|Torn| misshapen(left))?;
        let upper = node::upper_fence(&right_page).map_err(|Torn| misshapen(right))?;
        let fence_bytes = |fence: Option<VersionKey<'_>>| {
            fence.map_or(0, |fence| node::FENCE_HEADER_BYTES + fence.key.len())
        };
        let room = PAGE_BYTES - HEADER_BYTES - fence_bytes(lower) - fence_bytes(upper);
        if together > MERGED_BYTES_MAX.min(room) {
            return Ok(false);
        }
        let mut cells: Vec<Cell<'_>> = read::cells(&left_page, left)?;
        let cells_before = cells.len() as u32;
        cells.extend(read::cells(&right_page, right)?);
        let (owner, level) = (tree.owner, header::level(&left_page[..]));
        self.work
            .rewrite(left, |page| fill(page, owner, level, lower, upper, &cells))?;
        self.free(right)?;
        self.tell(|| {
            KernelEvent::Tree(TreeEvent::Merge {
                owner,
                page: left,
                from: right,
                level,
                cells_before,
                cells_after: cells.len() as u32,
            })
        });
        Ok(true)
    }

    /// Takes the content of an only child into the root, as long as it has only one.
    fn lower_root(&mut self, tree: Tree) -> Result<()> {
        for _ in 0..LEVELS_MAX {
            let root = self.work.page(tree.root)?;
            let count = slotted::count(&**root).map_err(|Torn| misshapen(tree.root))?;
            if header::level(&root[..]) == 0 || count != 1 {
                return Ok(());
            }
            let child = node::child_at(&**root, 0).map_err(|Torn| misshapen(tree.root))?;
            let page = copy_of(&self.work, child)?;
            let cells = read::cells(&page, child)?;
            let level = header::level(&page[..]);
            self.work.rewrite(tree.root, |root| {
                fill(root, tree.owner, level, None, None, &cells)
            })?;
            self.free(child)?;
        }
        Ok(())
    }

    /// Gives pages of a tree that nobody reads any more back, about `pages_max` of them; `true` once none is left. What is
    /// left is a tree still, so that the next group goes on with it.
    pub fn free_tree(&mut self, tree: Tree, pages_max: usize) -> Result<bool> {
        let mut freed = 0;
        while freed < pages_max {
            let leaf = last_page(self, tree, 0)?;
            let page = copy_of(&self.work, leaf)?;
            for cell in read::cells(&page, leaf)? {
                if let Some(chain) = Chain::of(&cell, leaf)? {
                    self.free_chain(tree, chain)?;
                    freed += chain.pages();
                }
            }
            self.free(leaf)?;
            freed += 1;
            if leaf == tree.root {
                return Ok(true);
            }
            freed += self.drop_last_child(tree, 1)?;
        }
        Ok(false)
    }

    /// Removes the way to the last page below `level`, and the pages that lose their last child by that; how many.
    fn drop_last_child(&mut self, tree: Tree, level: u8) -> Result<usize> {
        let parent = last_page(self, tree, level)?;
        let count = slotted::count(&**self.work.page(parent)?).map_err(|Torn| misshapen(parent))?;
        if count > 1 {
            let slot = (count - 1) as u16;
            self.work.change(parent, Change::Remove { slot })?;
            return Ok(0);
        }
        if parent == tree.root {
            // Nothing is left but the root, which becomes an empty leaf.
            self.work
                .rewrite(parent, |page| node::format(page, tree.owner, 0, None, None))?;
            return Ok(0);
        }
        self.free(parent)?;
        Ok(1 + self.drop_last_child(tree, level + 1)?)
    }
}

/// The page of `level` with the greatest keys, by the last child of each page, whatever its fences say: those of a tree that
/// is being freed no longer fit.
fn last_page(group: &Group<'_>, tree: Tree, level: u8) -> Result<PageId> {
    let mut id = tree.root;
    for _ in 0..=LEVELS_MAX {
        let page = copy_of(&group.work, id)?;
        if header::owner(&page[..]) != tree.owner || header::level(&page[..]) < level {
            return Err(misshapen(id));
        }
        if header::level(&page[..]) == level {
            return Ok(id);
        }
        id = node::last_child(&*page).map_err(|Torn| misshapen(id))?;
    }
    Err(misshapen(id))
}

fn misshapen(page: PageId) -> KernelError {
    KernelError::misshapen(page, "not where its tree has it")
}

/// Bytes that the cells of a page take.
fn content_bytes(page: &PageBuf, id: PageId) -> Result<usize> {
    let cells = read::cells(page, id)?;
    let bytes = |cell: &Cell<'_>| node::footprint(CELL_HEADER_BYTES + cell.key.len() + cell.value.len());
    Ok(cells.iter().map(bytes).sum())
}
