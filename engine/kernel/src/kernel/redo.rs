//! Makes the changes of the log again.
//!
//! Pages are made again beside the pool, which nobody uses yet, in the memory that it does not have yet: many changes of a
//! page one after the other, and it is written when the pages at hand are too many or the log has ended. So a change costs
//! about its own bytes, and not a copy of its page out of a frame and one back in; and a page that the log has whole is
//! never read.
//!
//! Log before page holds here too. What is read of the log may be in the machine's memory only, when the process ended and not
//! the machine: so until the log has ended, and was made durable, no page is written whose last group is not known to be.

use std::collections::{HashMap, HashSet};

use super::changes::{Changes, Trim};
use super::{Published, log};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId, Ts};
use crate::page::{PageBuf, header, redo};
use crate::planted::planted;
use crate::pool::PageIo;
use crate::space::PageFiles;
use crate::wal;

/// Pages that go to the disk with one call: half a MiB.
const BATCH_PAGES: usize = 64;
/// Part of the pages at hand that are let go of when they are too many.
const LET_GO_PART: usize = 4;

/// What recovery has made again so far.
pub(super) struct Redo<'r> {
    files: &'r PageFiles,
    /// Pages at hand at a time.
    pages_max: usize,
    /// Pages are let go of when there are so many: more than `pages_max` when those that there are can't be written yet.
    let_go_at: usize,
    /// The log is durable up to here.
    durable: Lsn,
    /// After the newest group.
    pub state: Published,
    at_hand: HashMap<PageId, AtHand>,
    /// Pages that can't be read, until their image comes.
    damaged: HashSet<PageId>,
    pub groups: u64,
    /// Changes that were made.
    pub pages: u64,
}

/// A page as the log has made it so far.
struct AtHand {
    page: PageBuf,
    /// The disk does not have it so.
    changed: bool,
    /// It was wanted since pages were last let go of.
    used: bool,
}

impl<'r> Redo<'r> {
    /// Goes on from `state`, where the log begins; has `pages_max` pages in memory at most.
    pub fn new(files: &'r PageFiles, pages_max: usize, state: Published) -> Redo<'r> {
        let pages_max = pages_max.max(1);
        Redo {
            files,
            pages_max,
            let_go_at: pages_max,
            durable: Lsn(0),
            state,
            at_hand: HashMap::new(),
            damaged: HashSet::new(),
            groups: 0,
            pages: 0,
        }
    }

    pub fn group(&mut self, group: wal::Group<'_>) -> Result<()> {
        let changes = log::parse(group.body, group.lsn, true)?;
        self.note(group.ts, &changes);
        self.durable = self.durable.max(group.durable);
        self.groups += 1;
        for (id, bytes) in &changes.pages {
            let mark = match planted!("redo-marks-group-end") {
                true => group.end,
                false => group.lsn,
            };
            self.page(*id, bytes, group.lsn, mark)?;
        }
        Ok(())
    }

    fn note(&mut self, ts: Ts, changes: &Changes<'_>) {
        self.state.ts = ts;
        self.state.totals = changes.totals_before;
        for entry in &changes.entries {
            self.state.totals.add(entry);
        }
        if let Some(trim) = changes.trim {
            self.state.trimmed = match planted!("trim-totals-lost") {
                true => Trim {
                    to: trim.to,
                    ..self.state.trimmed
                },
                false => trim,
            };
        }
    }

    /// Makes the changes of the group at `lsn`; the page has the LSN `mark` then.
    fn page(&mut self, id: PageId, bytes: &[u8], lsn: Lsn, mark: Lsn) -> Result<()> {
        let is_whole = redo::begins_with_image(bytes);
        let Some(found) = self.at_hand(id, is_whole)? else {
            return Ok(());
        };
        if !is_whole && header::lsn(&found.page[..]) >= lsn {
            return Ok(());
        }
        redo::apply_all(&mut found.page, bytes).map_err(|_| KernelError::CorruptLog {
            lsn,
            what: format!("changes of page {id} that don't fit it"),
        })?;
        header::set_lsn(&mut found.page[..], mark);
        found.changed = true;
        self.pages += 1;
        Ok(())
    }

    /// The page; what is in it does not matter when it is to be made whole. `None` where nothing is to be made again.
    fn at_hand(&mut self, id: PageId, is_whole: bool) -> Result<Option<&mut AtHand>> {
        if !self.at_hand.contains_key(&id) {
            // It was dropped by a later group, and its files are gone.
            if !self.files.has_tablespace(id.tablespace()) && !planted!("dropped-tablespace-redone") {
                return Ok(None);
            }
            if self.at_hand.len() >= self.let_go_at {
                self.let_go()?;
            }
            self.files.ensure(id)?;
            let Some(page) = self.fetch(id, is_whole)? else {
                return Ok(None);
            };
            let fetched = AtHand {
                page,
                changed: false,
                used: false,
            };
            self.at_hand.insert(id, fetched);
        }
        let mut found = self.at_hand.get_mut(&id);
        if let Some(found) = &mut found {
            found.used = true;
        }
        Ok(found)
    }

    /// The page from the disk, or zeros when it is to be made whole; `None` of one that is damaged.
    fn fetch(&mut self, id: PageId, is_whole: bool) -> Result<Option<PageBuf>> {
        let mut page = PageBuf::zeroed();
        if is_whole {
            self.damaged.remove(&id);
            return Ok(Some(page));
        }
        if self.damaged.contains(&id) {
            return Ok(None);
        }
        match self.files.read(id, &mut page) {
            Ok(()) => Ok(Some(page)),
            // It is isolated, not the store: whoever reads it is told.
            Err(KernelError::CorruptPage { .. }) => {
                self.damaged.insert(id);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets go of pages: those that were not wanted since the last time, and others when those are too few.
    fn let_go(&mut self) -> Result<()> {
        let go_min = self.at_hand.len().div_ceil(LET_GO_PART);
        let durable = self.durable;
        let may_go = |page: &AtHand| !page.changed || header::lsn(&page.page[..]) < durable;
        let of = |used: bool| {
            let pages = self.at_hand.iter();
            pages.filter(move |(_, page)| page.used == used && may_go(page))
        };
        let mut go: Vec<PageId> = of(false).map(|(&id, _)| id).collect();
        go.extend(of(true).map(|(&id, _)| id).take(go_min.saturating_sub(go.len())));
        let going = go.iter().filter_map(|id| Some((*id, self.at_hand.remove(id)?)));
        let going = going.collect();
        for page in self.at_hand.values_mut() {
            page.used = false;
        }
        self.let_go_at = self.pages_max.max(self.at_hand.len() + go_min);
        self.write(going)
    }

    /// Writes what is left: the log has ended, and is durable. The files are to be synced.
    pub fn finish(&mut self) -> Result<()> {
        let left = self.at_hand.drain().collect();
        self.write(left)
    }

    /// Writes those of the pages that were changed, neighbours together.
    fn write(&self, pages: Vec<(PageId, AtHand)>) -> Result<()> {
        let changed = pages.into_iter().filter(|(_, page)| page.changed);
        let mut changed: Vec<_> = changed.map(|(id, page)| (id, page.page)).collect();
        changed.sort_unstable_by_key(|(id, _)| *id);
        for batch in changed.chunks_mut(BATCH_PAGES) {
            self.files.write_many(batch)?;
        }
        Ok(())
    }
}
