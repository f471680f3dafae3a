//! The files of one tablespace.

use std::io::{self, IoSlice};

use rustydb_runtime::Clock;
use rustydb_runtime::disk::{Disk, DiskFile, DiskSpace, OpenMode};

use super::PageFilesOptions;
use super::events::{IoEvent, IoListener};
use super::stats::Counters;
use crate::error::{KernelError, Result};
use crate::ids::{PageId, TablespaceId};
use crate::page::{PAGE_BYTES, PageBuf};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, RwLock};

/// A tablespace at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablespaceInfo {
    pub id: TablespaceId,
    /// Where it lies on its disk.
    pub folder: String,
    pub files: u32,
    /// Pages that there is room for.
    pub pages: u32,
}

pub(super) struct Tablespace {
    pub id: TablespaceId,
    disk: Arc<dyn Disk>,
    folder: String,
    clock: Arc<dyn Clock>,
    options: PageFilesOptions,
    files: RwLock<Vec<Arc<PageFile>>>,
    /// Pages that there is room for. Changes under `growth`.
    pages: AtomicU32,
    growth: Mutex<()>,
    pub counters: Counters,
    listener: Arc<IoListener>,
}

struct PageFile {
    file: Arc<dyn DiskFile>,
    path: String,
    /// Whether something was written, or the file grew, since the last sync was begun.
    is_unsynced: AtomicBool,
    /// Held during a sync: whoever finds the file synced must know that the sync is over. Keeps the first failure,
    /// because a later sync that succeeds says nothing of what was written before it.
    sync: Mutex<Option<KernelError>>,
}

impl PageFile {
    fn new(file: Arc<dyn DiskFile>, path: String) -> Arc<PageFile> {
        Arc::new(PageFile {
            file,
            path,
            // What an earlier process left may not be durable either.
            is_unsynced: AtomicBool::new(true),
            sync: Mutex::new(None),
        })
    }
}

impl Tablespace {
    /// Opens the files in `folder`, which must be there.
    pub fn open(
        id: TablespaceId,
        disk: Arc<dyn Disk>,
        folder: String,
        clock: Arc<dyn Clock>,
        options: PageFilesOptions,
        listener: Arc<IoListener>,
    ) -> Result<Tablespace> {
        let listed = disk
            .list(&folder)
            .map_err(|error| KernelError::io(format!("listing {folder}"), &error))?;
        let numbers = listed
            .iter()
            .filter_map(|entry| entry.name.strip_suffix(".pages")?.parse().ok());
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        let (mut files, mut pages) = (Vec::new(), 0);
        for (number, found) in (0..).zip(numbers) {
            let path = file_path(&folder, number);
            if found != number || pages != number * options.file_pages {
                return Err(KernelError::CorruptFile {
                    what: format!(
                        "there is a file {found} behind it, but it is missing or shorter than a full one"
                    ),
                    file: file_path(&folder, if found == number { number - 1 } else { number }),
                });
            }
            let file = disk.open(&path, OpenMode::Existing);
            let file = file.map_err(|error| KernelError::io(format!("opening {path}"), &error))?;
            let bytes = file
                .length()
                .map_err(|error| KernelError::io(format!("asking for the length of {path}"), &error))?;
            let whole = u32::try_from(bytes / PAGE_BYTES as u64).unwrap_or(u32::MAX);
            pages += whole.min(options.file_pages);
            files.push(PageFile::new(file, path));
        }
        Ok(Tablespace {
            id,
            disk,
            folder,
            clock,
            options,
            files: RwLock::new(files),
            pages: AtomicU32::new(pages),
            growth: Mutex::new(()),
            counters: Counters::default(),
            listener,
        })
    }

    pub fn info(&self) -> TablespaceInfo {
        TablespaceInfo {
            id: self.id,
            folder: self.folder.clone(),
            files: self.files.read().len() as u32,
            pages: self.pages(),
        }
    }

    pub fn pages(&self) -> u32 {
        self.pages.load(Ordering::Acquire)
    }

    pub fn space(&self) -> Result<DiskSpace> {
        let space = self.disk.space(&self.folder);
        space.map_err(|error| KernelError::io(format!("asking for the room of {}", self.folder), &error))
    }

    /// Makes room for `pages` in all, rounded up to whole extents. What grew before an error stays.
    pub fn grow_to(&self, pages: u32) -> Result<()> {
        let _growth = self.growth.lock();
        loop {
            let present = self.pages();
            if present >= pages {
                return Ok(());
            }
            let number = present / self.options.file_pages;
            if number as usize == self.files.read().len() {
                self.make_file(number)?;
            }
            let file = Arc::clone(&self.files.read()[number as usize]);
            // After a crash a file may end within an extent.
            let wanted = pages - number * self.options.file_pages;
            let end = wanted
                .next_multiple_of(self.options.extent_pages)
                .min(self.options.file_pages);
            let begin = present % self.options.file_pages;
            let bytes = (end - begin) as usize * PAGE_BYTES;
            let grown = self
                .counters
                .growths
                .measure(&*self.clock, (end - begin) as usize, || {
                    file.file
                        .allocate(u64::from(begin) * PAGE_BYTES as u64, bytes as u64)
                });
            file.is_unsynced.store(true, Ordering::Release);
            grown.map_err(|error| {
                KernelError::io(format!("growing {} by {bytes} bytes", file.path), &error)
            })?;
            self.pages
                .store(number * self.options.file_pages + end, Ordering::Release);
        }
    }

    /// Makes the next file, with a durable name. The one before it is durable then, so that no crash leaves a gap.
    fn make_file(&self, number: u32) -> Result<()> {
        let before = self.files.read().last().cloned();
        if let Some(before) = before {
            self.sync_file(&before)?;
        }
        let path = file_path(&self.folder, number);
        let made = self.disk.open(&path, OpenMode::New).and_then(|file| {
            self.disk.sync_folder(&self.folder)?;
            Ok(file)
        });
        let file = made.map_err(|error| KernelError::io(format!("making {path}"), &error))?;
        self.files.write().push(PageFile::new(file, path));
        Ok(())
    }

    /// How many pages from `id` on, at most `pages_max`, one request can carry. Refuses a page that there is no room
    /// for.
    pub fn run_max(&self, id: PageId) -> Result<usize> {
        let pages = self.pages();
        if id.number() >= pages {
            return Err(self.behind_the_end(id));
        }
        let in_file = self.options.file_pages - id.number() % self.options.file_pages;
        let in_all = in_file.min(pages - id.number()) as usize;
        Ok(in_all.min(self.options.request_pages_max))
    }

    /// Fills `buffers` with the pages from `first` on, which lie in one file.
    pub fn read(&self, first: PageId, buffers: &mut [&mut [u8]]) -> Result<()> {
        let (file, offset) = self.place(first)?;
        let pages = buffers.len();
        let read = self.request(false, first, pages, offset, || match buffers {
            [buffer] => file.file.read_at(buffer, offset),
            _ => file.file.read_vectored_at(buffers, offset),
        });
        read.map_err(|error| KernelError::io(format!("reading {} at {offset}", file.path), &error))
    }

    /// Writes the pages from `first` on, which lie in one file.
    pub fn write(&self, first: PageId, pages: &[(PageId, PageBuf)]) -> Result<()> {
        let (file, offset) = self.place(first)?;
        let written = self.request(true, first, pages.len(), offset, || match pages {
            [(_, page)] => file.file.write_at(&page[..], offset),
            _ => {
                let slices: Vec<IoSlice<'_>> =
                    pages.iter().map(|(_, page)| IoSlice::new(&page[..])).collect();
                file.file.write_vectored_at(&slices, offset)
            }
        });
        // Behind the write: a sync that clears the mark before then doesn't cover it, and it must stand for the next.
        file.is_unsynced.store(true, Ordering::Release);
        written.map_err(|error| KernelError::io(format!("writing {} at {offset}", file.path), &error))
    }

    /// Makes a request of the disk for `pages` pages, counts it and tells of it.
    fn request(
        &self,
        write: bool,
        page: PageId,
        pages: usize,
        offset: u64,
        request: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.listener.event(|| IoEvent::Started {
            write,
            page,
            pages,
            offset,
        });
        let requests = match write {
            true => &self.counters.writes,
            false => &self.counters.reads,
        };
        let outcome = requests.measure(&*self.clock, pages, request);
        self.listener.event(|| match &outcome {
            Ok(latency_ns) => IoEvent::Completed {
                write,
                page,
                pages,
                latency_ns: *latency_ns,
            },
            Err(error) => IoEvent::Failed {
                write,
                page,
                reason: error.to_string(),
            },
        });
        outcome.map(drop)
    }

    fn place(&self, page: PageId) -> Result<(Arc<PageFile>, u64)> {
        let (number, within) = (
            page.number() / self.options.file_pages,
            page.number() % self.options.file_pages,
        );
        let file = self.files.read().get(number as usize).cloned();
        let file = file.ok_or_else(|| self.behind_the_end(page))?;
        Ok((file, u64::from(within) * PAGE_BYTES as u64))
    }

    fn behind_the_end(&self, page: PageId) -> KernelError {
        KernelError::CorruptPage {
            page,
            what: "behind the end of its tablespace",
            expected: u64::from(self.pages()),
            found: u64::from(page.number()),
        }
    }

    /// Makes what was written durable. Returns how many files needed it. After an error nobody knows what is durable.
    pub fn sync(&self) -> Result<usize> {
        let files = self.files.read().clone();
        let mut synced = 0;
        for file in files {
            synced += usize::from(self.sync_file(&file)?);
        }
        Ok(synced)
    }

    fn sync_file(&self, file: &PageFile) -> Result<bool> {
        let mut failure = file.sync.lock();
        if let Some(failure) = &*failure {
            return Err(failure.clone());
        }
        if !file.is_unsynced.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        let synced = self
            .counters
            .syncs
            .measure(&*self.clock, 0, || file.file.sync_data());
        if let Err(error) = synced {
            let poisoned = KernelError::Poisoned {
                reason: format!("the sync of {} failed: {error}", file.path),
            };
            return Err(failure.insert(poisoned).clone());
        }
        Ok(true)
    }

    /// Removes the files and the folder. Requests for its pages fail from now on.
    pub fn remove(&self) -> Result<()> {
        let _growth = self.growth.lock();
        self.pages.store(0, Ordering::Release);
        let mut files = self.files.write();
        let removed = (|| -> io::Result<()> {
            // From the last to the first: a crash leaves a tablespace without a gap.
            while let Some(file) = files.pop() {
                self.disk.remove_file(&file.path)?;
            }
            self.disk.remove_folder(&self.folder)?;
            let above = self.folder.rsplit_once('/').map_or("", |(above, _)| above);
            self.disk.sync_folder(above)
        })();
        removed.map_err(|error| KernelError::io(format!("removing {}", self.folder), &error))
    }
}

fn file_path(folder: &str, number: u32) -> String {
    format!("{folder}/{number:04}.pages")
}
