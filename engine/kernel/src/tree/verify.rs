//! Whether a tree keeps its own rules.

use std::collections::HashSet;

use super::search::PageSource;
use super::write::Chain;
use super::{LEVELS_MAX, Tree, read};
use crate::error::{KernelError, Result};
use crate::group::work::copy_of;
use crate::ids::PageId;
use crate::page::header::{self, PageKind};
use crate::page::node::{self, Cell, OwnedVersionKey, VersionKey};
use crate::page::{PageBuf, Torn, slotted};

/// What a tree is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Levels, the leaves' included.
    pub height: u32,
    pub leaf_pages: u64,
    pub inner_pages: u64,
    pub overflow_pages: u64,
    /// Versions of all keys, tombstones included.
    pub versions: u64,
    pub tombstones: u64,
    /// Bytes of leaves and inner pages that no cell uses.
    pub free_bytes: u64,
}

/// Pages of a tree, overflow pages left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Levels, the leaves' included.
    pub height: u32,
    pub leaf_pages: u64,
    pub inner_pages: u64,
}

/// Counts the pages of a tree without reading its leaves. Fails as [`walk`] does, and where it met a change half way.
pub fn measure<S: PageSource>(source: &S, tree: Tree) -> Result<Size> {
    let shape = walk_to(source, tree, &mut |_| {}, false)?;
    Ok(Size {
        height: shape.height,
        leaf_pages: shape.leaf_pages,
        inner_pages: shape.inner_pages,
    })
}

/// Walks the tree; every page and its number go to `each`. Fails with the first page that breaks a rule: kind, owner and
/// level; fences that are those of its parent's cells; cells in order and between the fences; heads and prefix of the keys;
/// each page once. Nothing may change meanwhile.
pub fn walk<S: PageSource>(source: &S, tree: Tree, each: &mut dyn FnMut(PageId)) -> Result<Shape> {
    walk_to(source, tree, each, true)
}

fn walk_to<S: PageSource>(
    source: &S,
    tree: Tree,
    each: &mut dyn FnMut(PageId),
    reads_leaves: bool,
) -> Result<Shape> {
    let mut walk = Walk {
        source,
        tree,
        each,
        reads_leaves,
        shape: Shape::default(),
        seen: HashSet::new(),
    };
    let root = copy_of(source, tree.root)?;
    let level = header::level(&root[..]);
    if level > LEVELS_MAX {
        return Err(KernelError::misshapen(tree.root, "too many levels"));
    }
    walk.shape.height = u32::from(level) + 1;
    walk.page(tree.root, level, None, None)?;
    Ok(walk.shape)
}

/// Gives the pages of a tree that is being freed to `each`: its fences need not fit any more.
pub fn pages_of<S: PageSource>(source: &S, tree: Tree, each: &mut dyn FnMut(PageId)) -> Result<()> {
    let mut left = vec![tree.root];
    let mut seen = HashSet::new();
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            return Err(KernelError::misshapen(id, "twice in its tree"));
        }
        each(id);
        let page = copy_of(source, id)?;
        if header::owner(&page[..]) != tree.owner {
            return Err(KernelError::misshapen(id, "a page of another tree"));
        }
        let is_leaf = header::level(&page[..]) == 0;
        for cell in read::cells(&page, id)? {
            if !is_leaf {
                left.push(
                    cell.child()
                        .map_err(|Torn| KernelError::misshapen(id, "no child"))?,
                );
            } else if let Some(chain) = Chain::of(&cell, id)? {
                chain.walk(source, tree.owner, each)?;
            }
        }
    }
    Ok(())
}

struct Walk<'w, S> {
    source: &'w S,
    tree: Tree,
    each: &'w mut dyn FnMut(PageId),
    /// Leaves are counted only, otherwise.
    reads_leaves: bool,
    shape: Shape,
    seen: HashSet<PageId>,
}

impl<S: PageSource> Walk<'_, S> {
    fn page(
        &mut self,
        id: PageId,
        level: u8,
        lower: Option<VersionKey<'_>>,
        upper: Option<VersionKey<'_>>,
    ) -> Result<()> {
        self.once(id)?;
        let page = copy_of(self.source, id)?;
        let wrong = |what| KernelError::misshapen(id, what);
        let kind = if level == 0 {
            PageKind::TreeLeaf
        } else {
            PageKind::TreeInner
        };
        if header::kind(&page[..]) != Some(kind) || header::level(&page[..]) != level {
            return Err(wrong("another level than its parent says"));
        }
        if header::owner(&page[..]) != self.tree.owner {
            return Err(wrong("a page of another tree"));
        }
        let fences = (node::lower_fence(&page), node::upper_fence(&page));
        if fences != (Ok(lower), Ok(upper)) {
            return Err(wrong("other fences than its parent says"));
        }
        let cells = read::cells(&page, id)?;
        check_order(&page, &cells, lower, upper).map_err(wrong)?;
        self.shape.free_bytes += slotted::free_bytes(&*page).map_err(|Torn| wrong("heap"))? as u64;
        if level == 0 {
            self.shape.leaf_pages += 1;
            return match self.reads_leaves {
                true => self.leaf(id, &cells),
                false => Ok(()),
            };
        }
        self.shape.inner_pages += 1;
        if cells.is_empty() {
            return Err(wrong("an inner page without children"));
        }
        if cells[0].version_key() != lower.unwrap_or(VersionKey::FIRST) {
            return Err(wrong("first child behind the lower fence"));
        }
        if level == 1 && !self.reads_leaves {
            self.shape.leaf_pages += cells.len() as u64;
            return Ok(());
        }
        for (index, cell) in cells.iter().enumerate() {
            let child = cell.child().map_err(|Torn| wrong("no child"))?;
            let from = if index == 0 {
                lower
            } else {
                Some(cell.version_key())
            };
            let until = cells.get(index + 1).map(Cell::version_key).or(upper);
            self.page(child, level - 1, from, until)?;
        }
        Ok(())
    }

    fn leaf(&mut self, id: PageId, cells: &[Cell<'_>]) -> Result<()> {
        for cell in cells {
            self.shape.versions += 1;
            self.shape.tombstones += u64::from(cell.is_tombstone());
            if let Some(chain) = Chain::of(cell, id)? {
                let mut pages = Vec::new();
                chain.walk(self.source, self.tree.owner, &mut |page| pages.push(page))?;
                for page in pages {
                    self.once(page)?;
                    self.shape.overflow_pages += 1;
                }
            }
        }
        Ok(())
    }

    fn once(&mut self, id: PageId) -> Result<()> {
        if !self.seen.insert(id) {
            return Err(KernelError::misshapen(id, "twice in its tree"));
        }
        (self.each)(id);
        Ok(())
    }
}

fn check_order(
    page: &PageBuf,
    cells: &[Cell<'_>],
    lower: Option<VersionKey<'_>>,
    upper: Option<VersionKey<'_>>,
) -> Result<(), &'static str> {
    if cells
        .windows(2)
        .any(|pair| pair[0].version_key() >= pair[1].version_key())
    {
        return Err("cells out of order");
    }
    let first = cells.first().map(Cell::version_key);
    let last = cells.last().map(Cell::version_key);
    if lower.zip(first).is_some_and(|(lower, first)| first < lower)
        || upper.zip(last).is_some_and(|(upper, last)| last >= upper)
    {
        return Err("cells outside the fences");
    }
    // What a search relies on: each cell is found by its own key.
    for (index, cell) in cells.iter().enumerate() {
        if node::lower_bound(&**page, cell.version_key()) != Ok(index) {
            return Err("a cell that a search does not find");
        }
    }
    Ok(())
}

/// All keys of a tree with their versions, in order: what a test compares with a model.
pub fn all_versions<S: PageSource>(
    source: &S,
    tree: Tree,
) -> Result<Vec<(OwnedVersionKey, Option<Vec<u8>>)>> {
    use super::search::{Target, descend};
    let mut found = Vec::new();
    let mut from = Some(VersionKey::FIRST.to_owned());
    while let Some(target) = from.take() {
        let mut leaf = PageBuf::zeroed();
        let (id, ()) = descend(
            source,
            tree,
            0,
            Target::At(target.borrow()),
            &mut read::Copy(&mut leaf),
        )?;
        for cell in read::cells(&leaf, id)? {
            let value = read::whole_value(source, tree.owner, cell.flags, cell.value.to_vec())?;
            found.push((
                cell.version_key().to_owned(),
                (!cell.is_tombstone()).then_some(value),
            ));
        }
        from = node::upper_fence(&leaf)
            .map_err(|Torn| KernelError::misshapen(id, "fences"))?
            .map(VersionKey::to_owned);
    }
    Ok(found)
}
