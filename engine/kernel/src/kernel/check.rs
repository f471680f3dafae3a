//! Whether a whole store keeps its rules: every page in use is what it should be and somebody's, once.

use std::collections::HashSet;

use super::commit::Space;
use super::raw::is_format;
use super::tablespaces::Registry;
use super::{DIRECTORY, GRAVEYARD, Inner, Kernel, upkeep};
use crate::error::{KernelError, Result};
use crate::group::Capacity;
use crate::group::work::copy_of;
use crate::ids::{PageId, TablespaceId, Ts};
use crate::page::header::{self, PageKind};
use crate::page::{PageBuf, bitmap, raw};
use crate::tree::Tree;
use crate::tree::read::Scan;
use crate::tree::verify::{self, Shape, Size};
use crate::wal::Verified;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Space whose tree it is in; none of the store's own.
    pub space: Option<u64>,
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Spaces that were walked.
    pub spaces: u64,
    /// Pages of the main tablespace that its maps say are in use.
    pub pages_in_use: u64,
    pub raw_tablespaces: u64,
    /// Pages of raw tablespaces that are in use: headers and maps too.
    pub raw_pages_in_use: u64,
    /// Versions of all keys.
    pub versions: u64,
    /// Finished segments of the log that were read.
    pub log_segments: u64,
    /// Copies of segments that were read.
    pub archived_segments: u64,
}

impl Kernel {
    /// Reads every page in use of all tablespaces and walks every tree. Commits wait meanwhile.
    pub fn check(&self) -> Result<Report> {
        let registry = self.inner.registry.read();
        let _committer = self.inner.committer.lock();
        let mut check = Check {
            inner: &self.inner,
            report: Report::default(),
            claimed: HashSet::new(),
        };
        check.trees()?;
        check.header(TablespaceId::MAIN);
        check.maps()?;
        check.tablespaces(&registry)?;
        Ok(check.report)
    }

    /// Reads the finished segments of the log and their copies in the folder `archive`, and adds what it found to the report.
    pub fn check_log(&self, archive: &str, report: &mut Report) -> Result<()> {
        let log = self.inner.wal.verify()?;
        report.log_segments += log.segments;
        let copies = self.inner.wal.verify_archive(archive)?;
        report.archived_segments += copies.segments;
        report.note_segments(log);
        report.note_segments(copies);
        Ok(())
    }

    /// Counts the pages of the tree of a space; `None` when it has none. Reads no leaf. A tree that
    /// changes meanwhile may be counted with a part of the change; where that can't be, commits wait until it is counted.
    pub fn tree_size(&self, space: u64) -> Result<Option<Size>> {
        let tree = || self.inner.trees.read().get(&space).map(|(tree, _)| *tree);
        if let Some(tree) = tree()
            && let Ok(size) = verify::measure(&self.inner.pool, tree)
        {
            return Ok(Some(size));
        }
        let _committer = self.inner.committer.lock();
        tree()
            .map(|tree| verify::measure(&self.inner.pool, tree))
            .transpose()
    }

    /// Walks the tree of a space; `None` when it has none. Commits wait meanwhile.
    pub fn check_space(&self, space: u64) -> Result<Option<Shape>> {
        let _committer = self.inner.committer.lock();
        let Some((tree, _)) = self.inner.trees.read().get(&space).copied() else {
            return Ok(None);
        };
        verify::walk(&self.inner.pool, tree, &mut |_| {}).map(Some)
    }
}

impl Report {
    fn note_segments(&mut self, verified: Verified) {
        self.findings
            .extend(verified.damages.into_iter().map(|damage| Finding {
                space: None,
                what: format!(
                    "{} is damaged at byte {}: {}",
                    damage.file, damage.offset, damage.what
                ),
            }));
    }
}

struct Check<'c> {
    inner: &'c Inner,
    report: Report,
    /// Pages that belong to something.
    claimed: HashSet<PageId>,
}

impl Check<'_> {
    fn find(&mut self, space: Option<u64>, what: impl ToString) {
        let what = what.to_string();
        self.report.findings.push(Finding { space, what });
    }

    fn trees(&mut self) -> Result<()> {
        let pool = &self.inner.pool;
        for tree in [DIRECTORY, GRAVEYARD] {
            self.tree(None, tree)?;
        }
        let mut scan = Scan::new(pool, DIRECTORY, Ts::MAX, &[], None);
        while let Some((key, version)) = scan.next_entry()? {
            let Ok(space) = key.as_slice().try_into().map(u64::from_be_bytes) else {
                self.find(None, "a key of the directory is no space");
                continue;
            };
            let found = Space::parse(&version.value)?;
            self.report.spaces += 1;
            self.tree(Some(space), found.tree(space))?;
            self.stats(space, found)?;
        }
        let mut scan = Scan::new(pool, GRAVEYARD, Ts::MAX, &[], None);
        while let Some((key, version)) = scan.next_entry()? {
            let (tree, _) = upkeep::grave(&key, &version.value)?;
            let mut pages = Vec::new();
            if let Err(error) = verify::pages_of(pool, tree, &mut |page| pages.push(page)) {
                self.find(None, error);
            }
            self.claim(None, &pages);
        }
        Ok(())
    }

    fn tree(&mut self, space: Option<u64>, tree: Tree) -> Result<()> {
        let mut pages = Vec::new();
        match verify::walk(&self.inner.pool, tree, &mut |page| pages.push(page)) {
            Ok(shape) => self.report.versions += shape.versions,
            Err(error @ (KernelError::Io { .. } | KernelError::Poisoned { .. })) => return Err(error),
            Err(error) => self.find(space, error),
        }
        self.claim(space, &pages);
        Ok(())
    }

    fn claim(&mut self, space: Option<u64>, pages: &[PageId]) {
        for page in pages {
            if !self.claimed.insert(*page) {
                self.find(space, format!("page {page} belongs to two trees"));
            }
        }
    }

    /// Whether the statistics are those of what is there.
    fn stats(&mut self, space: u64, found: Space) -> Result<()> {
        let mut scan = Scan::new(&self.inner.pool, found.tree(space), Ts::MAX, &[], None);
        let (mut entries, mut bytes) = (0, 0);
        loop {
            match scan.next_entry() {
                Ok(Some((key, version))) => {
                    entries += 1;
                    bytes += (key.len() + version.value.len()) as u64;
                }
                Ok(None) => break,
                // The walk has told of it.
                Err(KernelError::CorruptPage { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if (entries, bytes) != (found.stats.entries, found.stats.bytes) {
            self.find(
                Some(space),
                format!(
                    "it has {entries} entries of {bytes} bytes, and its statistics say {} of {}",
                    found.stats.entries, found.stats.bytes
                ),
            );
        }
        Ok(())
    }

    /// Whether page 0 is what it should be. That it counts more pages than the files hold is what a crash may leave.
    fn header(&mut self, tablespace: TablespaceId) {
        let first = PageId::new(tablespace, 0);
        match copy_of(&self.inner.pool, first) {
            Ok(page) if header::kind(&page[..]) == Some(PageKind::SpaceHeader) => {
                let capacity = Capacity::of(&page);
                if capacity.pages > capacity.pages_max {
                    self.find(
                        None,
                        format!("page {first} counts more pages than its limit: {capacity:?}"),
                    );
                }
            }
            Ok(_) => self.find(None, format!("page {first} is no header of a tablespace")),
            Err(error) => self.find(None, error),
        }
    }

    /// Whether the pages in use of a raw tablespace are its header, its maps and raw pages.
    fn raw(&mut self, tablespace: TablespaceId) -> Result<()> {
        self.report.raw_tablespaces += 1;
        let pool = &self.inner.pool;
        let first = copy_of(pool, PageId::new(tablespace, 0));
        let pages = first.map_or(0, |page| Capacity::of(&page).pages);
        let mut map = PageBuf::zeroed();
        for number in 0..pages {
            let id = PageId::new(tablespace, number);
            let (map_page, bit) = bitmap::place(number);
            if bit == 0
                && let Err(error) = pool.copy(PageId::new(tablespace, map_page), &mut map)
            {
                self.find(None, error);
                return Ok(());
            }
            let in_use = bitmap::get(&map, bit).map_err(|_| KernelError::misshapen(id, "free-space map"))?;
            if !in_use {
                if is_format(id) {
                    self.find(None, format!("page {id} belongs to the format and is not in use"));
                }
                continue;
            }
            match copy_of(pool, id).map(|page| (header::kind(&page[..]), raw::check(&page, id))) {
                Err(error @ (KernelError::Io { .. } | KernelError::Poisoned { .. })) => return Err(error),
                Err(error) => self.find(None, error),
                Ok((Some(PageKind::Bitmap), _)) if number == map_page => {}
                Ok((Some(PageKind::SpaceHeader), _)) if number == 0 => {}
                Ok((_, Ok(()))) if !is_format(id) => {}
                Ok((kind, shape)) => {
                    self.find(
                        None,
                        format!("page {id} of a raw tablespace is no raw page: {kind:?}, {shape:?}"),
                    );
                }
            }
            self.report.raw_pages_in_use += 1;
        }
        Ok(())
    }

    /// Whether there is a folder for each record and a record for each folder.
    fn tablespaces(&mut self, registry: &Registry) -> Result<()> {
        let stored = self.inner.stored_registry()?;
        if stored != *registry {
            self.find(
                None,
                format!("the registry says {stored:?}, and known are {registry:?}"),
            );
        }
        let mut folders: Vec<TablespaceId> = self
            .inner
            .files
            .tablespaces()
            .iter()
            .map(|found| found.id)
            .collect();
        folders.retain(|id| *id != TablespaceId::MAIN);
        if !folders.iter().eq(registry.keys()) {
            let known: Vec<&TablespaceId> = registry.keys().collect();
            self.find(
                None,
                format!("there are folders of {folders:?}, and known are {known:?}"),
            );
        }
        for id in registry.keys() {
            self.header(*id);
            self.raw(*id)?;
        }
        Ok(())
    }

    /// Whether the maps say of exactly the claimed pages that they are in use.
    fn maps(&mut self) -> Result<()> {
        let pages = self.inner.files.pages(TablespaceId::MAIN)?;
        self.claimed.insert(PageId::new(TablespaceId::MAIN, 0));
        let mut map = PageBuf::zeroed();
        for number in 0..pages {
            let (map_page, bit) = bitmap::place(number);
            if bit == 0 {
                let id = PageId::new(TablespaceId::MAIN, map_page);
                if map_page >= pages {
                    break;
                }
                match self.inner.pool.copy(id, &mut map) {
                    Ok(()) => {}
                    // An extent that a crash left before anything in it was used.
                    Err(KernelError::CorruptPage {
                        what: "never written",
                        ..
                    }) if number > 0 => break,
                    Err(error) => {
                        self.find(None, error);
                        return Ok(());
                    }
                }
                self.claimed.insert(id);
            }
            let id = PageId::new(TablespaceId::MAIN, number);
            let in_use = bitmap::get(&map, bit).map_err(|_| KernelError::misshapen(id, "free-space map"))?;
            self.report.pages_in_use += u64::from(in_use);
            match (in_use, self.claimed.contains(&id)) {
                (true, false) => {
                    let page = copy_of(&self.inner.pool, id);
                    let kind = page.map_or_else(
                        |error| error.to_string(),
                        |page| format!("{:?}", header::kind(&page[..])),
                    );
                    self.find(
                        None,
                        format!("page {id} is in use and belongs to nothing: {kind}"),
                    );
                }
                (false, true) => self.find(None, format!("page {id} belongs to a tree and is not in use")),
                _ => {}
            }
        }
        Ok(())
    }
}
