//! Private copies of pages, and what is changed in them, as the log will have it.

use std::collections::HashMap;

use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId};
use crate::page::redo::{self, Change};
use crate::page::slotted::Refused;
use crate::page::{PageBuf, Torn, header};
use crate::planted::planted;
use crate::pool::Pool;
use crate::tree::read::Copy;
use crate::tree::search::{PageQuery, PageSource};

/// A page with more bytes of changes is logged whole: that is about what its image takes.
const CHANGES_BYTES_MAX: usize = 4096;

/// The pages that a group has looked at to change them.
pub struct WorkSet<'k> {
    pool: &'k Pool,
    /// The first change of a page that was last changed before this is logged as the whole page.
    images_before: Lsn,
    pages: HashMap<PageId, WorkPage>,
    /// Changed pages in the order of their first change; new ones come before those that lead to them.
    order: Vec<PageId>,
}

struct WorkPage {
    page: PageBuf,
    /// Changes as the log has them; of no use once `whole`.
    changes: Vec<u8>,
    /// It is logged as it stands at the end.
    whole: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Read,
    Changed,
    /// Made by this group: nothing of it is on disk or in a frame that counts.
    New,
}

/// A page that a group changed.
#[derive(Debug)]
pub struct Changed {
    pub id: PageId,
    pub page: PageBuf,
    pub is_new: bool,
}

impl<'k> WorkSet<'k> {
    pub fn new(pool: &'k Pool, images_before: Lsn) -> WorkSet<'k> {
        WorkSet {
            pool,
            images_before,
            pages: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// The page as the group has made it so far.
    pub fn page(&mut self, id: PageId) -> Result<&PageBuf> {
        Ok(&self.entry(id)?.page)
    }

    fn entry(&mut self, id: PageId) -> Result<&mut WorkPage> {
        use std::collections::hash_map::Entry;
        match self.pages.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let mut page = PageBuf::zeroed();
                self.pool.copy(id, &mut page)?;
                let whole = header::lsn(&page[..]) < self.images_before && !planted!("no-page-image");
                Ok(unknown.insert(WorkPage {
                    page,
                    changes: Vec::new(),
                    whole,
                    state: State::Read,
                }))
            }
        }
    }

    /// The page, marked as changed.
    fn touched(&mut self, id: PageId) -> Result<&mut WorkPage> {
        let entry = self.entry(id)?;
        let first = entry.state == State::Read;
        if first {
            entry.state = State::Changed;
            self.order.push(id);
        }
        self.entry(id)
    }

    /// Makes the change; `false` when the page has no room for it, and then it is as it was.
    pub fn change(&mut self, id: PageId, change: Change<'_>) -> Result<bool> {
        let entry = self.touched(id)?;
        match change.apply(&mut entry.page) {
            Ok(()) => {}
            Err(Refused::Full) => return Ok(false),
            Err(Refused::Torn) => {
                return Err(KernelError::misshapen(
                    id,
                    "slots and cells that a change does not fit",
                ));
            }
        }
        if !entry.whole {
            change.append_to(&mut entry.changes);
            if entry.changes.len() > CHANGES_BYTES_MAX {
                entry.whole = true;
                entry.changes = Vec::new();
            }
        }
        Ok(true)
    }

    /// Changes the page in any way; it is logged whole.
    pub fn rewrite(
        &mut self,
        id: PageId,
        change: impl FnOnce(&mut PageBuf) -> Result<(), Torn>,
    ) -> Result<()> {
        let entry = self.touched(id)?;
        entry.whole = true;
        entry.changes = Vec::new();
        change(&mut entry.page).map_err(|Torn| KernelError::misshapen(id, "more cells than it has room for"))
    }

    /// Makes the page `id`, whatever was there, of a page of zeros.
    pub fn create(&mut self, id: PageId, fill: impl FnOnce(&mut PageBuf) -> Result<(), Torn>) -> Result<()> {
        let mut page = PageBuf::zeroed();
        fill(&mut page).map_err(|Torn| KernelError::misshapen(id, "more cells than it has room for"))?;
        let new = WorkPage {
            page,
            changes: Vec::new(),
            whole: true,
            state: State::New,
        };
        let replaced = self.pages.insert(id, new);
        if replaced.is_none_or(|old| old.state == State::Read) {
            self.order.push(id);
        }
        Ok(())
    }

    /// Whether nothing was changed.
    pub fn is_unchanged(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of changed pages.
    pub fn changed_pages(&self) -> usize {
        self.order.len()
    }

    /// Appends the changed pages and their changes as the log has them: number of pages (4), then of each its number (8), length
    /// of the changes (4) and they.
    pub fn append_redo(&self, target: &mut Vec<u8>) -> Result<()> {
        target.extend_from_slice(&(self.order.len() as u32).to_le_bytes());
        for id in &self.order {
            let entry = &self.pages[id];
            target.extend_from_slice(&id.to_number().to_le_bytes());
            let length_at = target.len();
            target.extend_from_slice(&[0; 4]);
            if entry.whole {
                redo::append_image(&entry.page, target)
                    .map_err(|Torn| KernelError::misshapen(*id, "slots and cells"))?;
            } else {
                target.extend_from_slice(&entry.changes);
            }
            let length = (target.len() - length_at - 4) as u32;
            target[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    /// Numbers of the changed pages, and whether each is new.
    pub fn changed(&self) -> impl Iterator<Item = (PageId, bool)> {
        self.order
            .iter()
            .map(|id| (*id, self.pages[id].state == State::New))
    }

    /// The changed pages: new ones first, so that whoever is led to one finds it.
    pub fn into_changed(mut self) -> Vec<Changed> {
        let mut changed: Vec<Changed> = self
            .order
            .iter()
            .filter_map(|id| {
                let entry = self.pages.remove(id)?;
                Some(Changed {
                    id: *id,
                    page: entry.page,
                    is_new: entry.state == State::New,
                })
            })
            .collect();
        changed.sort_by_key(|changed| !changed.is_new);
        changed
    }
}

impl PageSource for WorkSet<'_> {
    const SHARED: bool = false;

    fn query<Q: PageQuery>(&self, id: PageId, query: &mut Q) -> Result<Q::Answer> {
        match self.pages.get(&id) {
            Some(entry) => query
                .ask(&*entry.page)
                .map_err(|Torn| KernelError::misshapen(id, "slots and cells")),
            None => self.pool.query(id, query),
        }
    }
}

impl PageSource for Pool {
    const SHARED: bool = true;

    fn query<Q: PageQuery>(&self, id: PageId, query: &mut Q) -> Result<Q::Answer> {
        self.read(id, |view| {
            query
                .ask(view)
                .map_err(|Torn| crate::pool::Torn::new("slots and cells", 0, 0))
        })
    }
}

/// A copy of the page as `source` has it.
pub fn copy_of<S: PageSource>(source: &S, id: PageId) -> Result<PageBuf> {
    let mut page = PageBuf::zeroed();
    source.query(id, &mut Copy(&mut page))?;
    Ok(page)
}
