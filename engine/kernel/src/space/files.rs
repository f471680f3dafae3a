//! Reads, writes and makes durable the pages of all tablespaces.

use std::collections::BTreeMap;

use rustydb_runtime::Clock;
use rustydb_runtime::disk::{Disk, DiskSpace};

use super::events::{IoEvent, IoEvents, IoListener};
use super::stats::SpaceStats;
use super::tablespace::{Tablespace, TablespaceInfo};
use super::{EXTENT_PAGES, FILE_PAGES};
use crate::error::{KernelError, Result};
use crate::ids::{PageId, TablespaceId};
use crate::page::{PageBuf, header};
use crate::pool::PageIo;
use crate::sync::atomic::{AtomicI64, Ordering};
use crate::sync::{Arc, Mutex, RwLock};

/// How pages lie in files. What is on disk must have been made with the same `file_pages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageFilesOptions {
    /// Pages of a full file, from 1.
    pub file_pages: u32,
    /// Pages by which a file grows, from 1.
    pub extent_pages: u32,
    /// Neighbouring pages that one request carries, from 1.
    pub request_pages_max: usize,
}

impl Default for PageFilesOptions {
    fn default() -> Self {
        PageFilesOptions {
            file_pages: FILE_PAGES,
            extent_pages: EXTENT_PAGES,
            request_pages_max: 128,
        }
    }
}

/// The files of all tablespaces. Calls block until the disk is done, and may be made from many threads; two of them
/// for one page at a time, of which one writes, leave it to chance what is read or stays.
pub struct PageFiles {
    disk: Arc<dyn Disk>,
    folder: String,
    clock: Arc<dyn Clock>,
    options: PageFilesOptions,
    tablespaces: RwLock<BTreeMap<TablespaceId, Arc<Tablespace>>>,
    /// Counts of tablespaces that are no more, so that sums do not fall.
    removed: Mutex<SpaceStats>,
    counting_since_us: AtomicI64,
    /// Why nothing is written any more.
    poison: Mutex<Option<KernelError>>,
    listener: Arc<IoListener>,
}

impl PageFiles {
    /// Opens every tablespace in `folder` of `disk`. The folder is made where there is none.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &str,
        clock: Arc<dyn Clock>,
        options: PageFilesOptions,
    ) -> Result<PageFiles> {
        assert!(
            options.file_pages > 0 && options.extent_pages > 0 && options.request_pages_max > 0,
            "files, extents and requests hold pages: {options:?}"
        );
        create_folder_durably(&*disk, folder)?;
        let listed = disk
            .list(folder)
            .map_err(|error| KernelError::io(format!("listing {folder}"), &error))?;
        let files = PageFiles {
            disk: Arc::clone(&disk),
            folder: folder.to_owned(),
            counting_since_us: AtomicI64::new(clock.now_us()),
            clock,
            options,
            tablespaces: RwLock::new(BTreeMap::new()),
            removed: Mutex::new(SpaceStats::default()),
            poison: Mutex::new(None),
            listener: Arc::default(),
        };
        for entry in listed.iter().filter(|entry| entry.is_folder) {
            if let Ok(number) = entry.name.parse() {
                files.attach(
                    TablespaceId(number),
                    Arc::clone(&disk),
                    &format!("{folder}/{}", entry.name),
                )?;
            }
        }
        Ok(files)
    }

    /// Opens the tablespace that lies in `folder` of `disk`, for those that don't lie with the others.
    pub fn attach(&self, id: TablespaceId, disk: Arc<dyn Disk>, folder: &str) -> Result<()> {
        let mut tablespaces = self.tablespaces.write();
        if tablespaces.contains_key(&id) {
            return Err(refused(
                format!("opening tablespace {} in {folder}", id.0),
                "it is open already",
            ));
        }
        let clock = Arc::clone(&self.clock);
        let listener = Arc::clone(&self.listener);
        let tablespace = Tablespace::open(id, disk, folder.to_owned(), clock, self.options, listener)?;
        tablespaces.insert(id, Arc::new(tablespace));
        Ok(())
    }

    /// Makes a tablespace without pages, durably, and opens it. A folder that a crash left behind is taken as it is.
    pub fn create_tablespace(&self, id: TablespaceId) -> Result<()> {
        self.check_poison()?;
        let folder = format!("{}/{:05}", self.folder, id.0);
        create_folder_durably(&*self.disk, &folder)?;
        self.attach(id, Arc::clone(&self.disk), &folder)
    }

    /// Removes a tablespace and its files, durably. After an error it is not open any more, and a part of its files
    /// is gone.
    pub fn remove_tablespace(&self, id: TablespaceId) -> Result<()> {
        let tablespace = self.tablespace(id)?;
        self.tablespaces.write().remove(&id);
        self.removed.lock().add(&tablespace.counters.stats());
        tablespace.remove()
    }

    pub fn tablespaces(&self) -> Vec<TablespaceInfo> {
        self.tablespaces
            .read()
            .values()
            .map(|tablespace| tablespace.info())
            .collect()
    }

    /// Whether there is a tablespace of this number.
    pub fn has_tablespace(&self, id: TablespaceId) -> bool {
        self.tablespaces.read().contains_key(&id)
    }

    pub fn tablespace_info(&self, id: TablespaceId) -> Result<TablespaceInfo> {
        Ok(self.tablespace(id)?.info())
    }

    /// Pages of the tablespace that there is room for.
    pub fn pages(&self, id: TablespaceId) -> Result<u32> {
        Ok(self.tablespace(id)?.pages())
    }

    /// Makes the tablespace `pages` longer, rounded up to whole extents, and returns how many it has then. They read
    /// as zeros. On [`DiskFull`](KernelError::DiskFull) it has grown by a part or not at all, and the call may be
    /// repeated. The length is durable with the next sync; see the module for what a crash leaves.
    pub fn grow(&self, id: TablespaceId, pages: u32) -> Result<u32> {
        self.check_poison()?;
        let tablespace = self.tablespace(id)?;
        let wanted = tablespace
            .pages()
            .checked_add(pages)
            .ok_or_else(|| KernelError::DiskFull {
                what: format!(
                    "growing tablespace {} by {pages} pages: it can't have more than {}",
                    id.0,
                    u32::MAX
                ),
            })?;
        self.note(tablespace.grow_to(wanted))?;
        Ok(tablespace.pages())
    }

    /// Makes room for the page `id` where there is none.
    pub fn ensure(&self, id: PageId) -> Result<()> {
        let tablespace = self.tablespace(id.tablespace())?;
        if id.number() < tablespace.pages() {
            return Ok(());
        }
        self.check_poison()?;
        let wanted = id.number().checked_add(1).ok_or_else(|| KernelError::DiskFull {
            what: format!("growing tablespace {} to page {}", id.tablespace().0, id.number()),
        })?;
        self.note(tablespace.grow_to(wanted))
    }

    /// Reads the page `id` as it is, unverified: for tools that look at what is there.
    pub fn read_unverified(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        let tablespace = self.tablespace(id.tablespace())?;
        tablespace.run_max(id)?;
        tablespace.read(id, &mut [&mut page[..]])
    }

    /// Makes what was written to any tablespace durable. Returns how many files needed it.
    pub fn sync_all(&self) -> Result<usize> {
        self.check_poison()?;
        let tablespaces: Vec<_> = self.tablespaces.read().values().cloned().collect();
        let mut synced = 0;
        for tablespace in tablespaces {
            synced += self.note(tablespace.sync())?;
        }
        Ok(synced)
    }

    /// Makes what was written to a tablespace durable. Returns how many files needed it.
    pub fn sync_tablespace(&self, id: TablespaceId) -> Result<usize> {
        self.check_poison()?;
        self.note(self.tablespace(id)?.sync())
    }

    /// Room on the device of a tablespace.
    pub fn space(&self, id: TablespaceId) -> Result<DiskSpace> {
        self.tablespace(id)?.space()
    }

    /// Requests of all tablespaces.
    pub fn stats(&self) -> SpaceStats {
        let mut sum = self.removed.lock().clone();
        for tablespace in self.tablespaces.read().values() {
            sum.add(&tablespace.counters.stats());
        }
        sum
    }

    /// Requests of one tablespace.
    pub fn tablespace_stats(&self, id: TablespaceId) -> Result<SpaceStats> {
        Ok(self.tablespace(id)?.counters.stats())
    }

    /// When counting began: at the start or the last reset, in microseconds since the Unix epoch.
    pub fn counting_since_us(&self) -> i64 {
        self.counting_since_us.load(Ordering::Relaxed)
    }

    /// Sets all counts to 0.
    pub fn reset_stats(&self) {
        *self.removed.lock() = SpaceStats::default();
        for tablespace in self.tablespaces.read().values() {
            tablespace.counters.reset();
        }
        self.counting_since_us
            .store(self.clock.now_us(), Ordering::Relaxed);
    }

    /// Sets who is told of requests from now on, in the place of who was.
    pub fn listen(&self, events: Option<Arc<dyn IoEvents>>) {
        self.listener.set(events);
    }

    /// For others whose requests come here.
    pub(crate) fn listener(&self) -> &Arc<IoListener> {
        &self.listener
    }

    /// Whether `page` is what was last written at the place `id`; counts and tells when it is not.
    pub fn verify(&self, id: PageId, page: &PageBuf) -> Result<()> {
        let verified = header::verify(page, id);
        if verified.is_err() {
            let tablespace = self.tablespace(id.tablespace())?;
            tablespace.counters.corrupt_pages.fetch_add(1, Ordering::Relaxed);
            let (stored, computed) = header::checksums(page);
            if stored != computed {
                self.listener.event(|| IoEvent::ChecksumFailure {
                    page: id,
                    expected: computed.into(),
                    found: stored.into(),
                });
            }
        }
        verified
    }

    /// Why writes are refused; `None` as long as they are not.
    pub fn poison(&self) -> Option<KernelError> {
        self.poison.lock().clone()
    }

    fn check_poison(&self) -> Result<()> {
        self.poison().map_or(Ok(()), Err)
    }

    /// Keeps the first failure after which nobody knows what is durable.
    fn note<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(failure @ KernelError::Poisoned { .. }) = &outcome {
            self.poison.lock().get_or_insert_with(|| failure.clone());
        }
        outcome
    }

    fn tablespace(&self, id: TablespaceId) -> Result<Arc<Tablespace>> {
        let tablespace = self.tablespaces.read().get(&id).cloned();
        tablespace.ok_or_else(|| {
            refused(
                format!("using tablespace {}", id.0),
                "there is none of this number",
            )
        })
    }

    /// The first pages of `pages` that are neighbours and that one request can carry; how many, and their tablespace.
    fn first_run(&self, pages: &[(PageId, PageBuf)]) -> Result<(usize, Arc<Tablespace>)> {
        let first = pages[0].0;
        let tablespace = self.tablespace(first.tablespace())?;
        let run_max = tablespace.run_max(first)?;
        let follows =
            |(id, distance): (&(PageId, PageBuf), u64)| id.0.to_number() == first.to_number() + distance;
        let run = pages
            .iter()
            .zip(0..)
            .take(run_max)
            .take_while(|page| follows(*page))
            .count();
        Ok((run, tablespace))
    }
}

impl PageFiles {
    /// Reads pages unverified, neighbours with one request.
    fn read_runs(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
        let mut rest = pages;
        while !rest.is_empty() {
            let (run, tablespace) = self.first_run(rest)?;
            let (now, later) = rest.split_at_mut(run);
            let first = now[0].0;
            let mut buffers: Vec<&mut [u8]> = now.iter_mut().map(|(_, page)| &mut page[..]).collect();
            tablespace.read(first, &mut buffers)?;
            rest = later;
        }
        Ok(())
    }
}

impl PageIo for PageFiles {
    fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        let tablespace = self.tablespace(id.tablespace())?;
        tablespace.run_max(id)?;
        tablespace.read(id, &mut [&mut page[..]])?;
        self.verify(id, page)
    }

    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
        self.read_runs(pages)?;
        pages.iter().try_for_each(|(id, page)| self.verify(*id, page))
    }

    fn read_some(&self, pages: &mut [(PageId, PageBuf)]) -> Result<Vec<bool>> {
        self.read_runs(pages)?;
        Ok(pages
            .iter()
            .map(|(id, page)| header::verify(page, *id).is_ok())
            .collect())
    }

    fn pages(&self, id: TablespaceId) -> u32 {
        self.tablespace(id).map_or(0, |tablespace| tablespace.pages())
    }

    fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64> {
        self.check_poison()?;
        for (id, page) in &mut *pages {
            let found = header::page_id(&page[..]);
            if found != Some(*id) {
                return Err(KernelError::CorruptPage {
                    page: *id,
                    what: "page id, before it is written",
                    expected: id.to_number(),
                    found: found.map_or(u64::MAX, PageId::to_number),
                });
            }
            header::seal(page);
        }
        let mut rest = &*pages;
        let mut requests = 0;
        while !rest.is_empty() {
            let (run, tablespace) = self.first_run(rest)?;
            let (now, later) = rest.split_at(run);
            tablespace.write(now[0].0, now)?;
            requests += 1;
            rest = later;
        }
        Ok(requests)
    }
}

/// Makes a folder and those above it, with durable names.
fn create_folder_durably(disk: &dyn Disk, folder: &str) -> Result<()> {
    let made = disk.create_folder(folder).and_then(|()| {
        disk.sync_folder("")?;
        let ends = folder.match_indices('/').map(|(at, _)| at);
        ends.map(|end| &folder[..end])
            .try_for_each(|above| disk.sync_folder(above))
    });
    made.map_err(|error| KernelError::io(format!("making the folder {folder}"), &error))
}

fn refused(what: String, reason: &str) -> KernelError {
    KernelError::Io {
        what,
        reason: reason.to_owned(),
    }
}
