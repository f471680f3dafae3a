//! Tests of the pool, over a disk and a log in memory that watch what it does.

#[cfg(not(shuttle))]
mod behaviour;
#[cfg(not(shuttle))]
mod concurrent;
#[cfg(shuttle)]
mod explored;
#[cfg(not(shuttle))]
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::ids::{Lsn, TablespaceId};
use crate::page::header::{self, PageKind};

/// Bytes that a group takes in the log of these tests.
const GROUP_BYTES: u64 = 64;

pub fn id(number: u32) -> PageId {
    PageId::new(TablespaceId::MAIN, number)
}

/// A page all of whose words behind the header are `value`.
pub fn page(id: PageId, value: u64) -> PageBuf {
    let mut page = PageBuf::zeroed();
    header::initialise(page.as_mut_slice(), id, PageKind::RawSlotted);
    for word in page[header::HEADER_BYTES..].chunks_exact_mut(8) {
        word.copy_from_slice(&value.to_le_bytes());
    }
    page
}

/// The value of such a page; panics when its words differ.
pub fn value(page: &PageBuf) -> u64 {
    let mut words = page[header::HEADER_BYTES..].chunks_exact(8);
    let first = words.next().expect("a page has words");
    assert!(words.all(|word| word == first), "a mixture of two pages");
    u64::from_le_bytes(first.try_into().expect("eight bytes"))
}

/// A log of which only the positions are there.
#[derive(Default)]
pub struct Log {
    end: AtomicU64,
    durable: AtomicU64,
    pub syncs: AtomicU64,
}

impl Log {
    /// Appends a group, and gives its LSN.
    pub fn append(&self) -> Lsn {
        Lsn(self.end.fetch_add(GROUP_BYTES, Ordering::SeqCst))
    }

    pub fn sync(&self) {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.durable
            .fetch_max(self.end.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl LogGate for Log {
    fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::SeqCst))
    }

    fn sync_to(&self, end: Lsn) -> Result<()> {
        assert!(
            end.0 <= self.end.load(Ordering::SeqCst),
            "the log holds the group"
        );
        crate::sync::interleave();
        self.sync();
        Ok(())
    }
}

/// A disk of pages. Asserts what the pool promises to every disk.
pub struct Disk {
    log: Arc<Log>,
    /// Of the shim, so that shuttle has places to switch threads in a read and in a write.
    pages: Mutex<BTreeMap<PageId, PageBuf>>,
    busy: Mutex<BTreeSet<PageId>>,
    pub reads: AtomicU64,
    pub writes: AtomicU64,
    pub requests: AtomicU64,
    pub fail: AtomicBool,
}

impl Disk {
    pub fn new(log: &Arc<Log>) -> Arc<Disk> {
        Arc::new(Disk {
            log: log.clone(),
            pages: Mutex::new(BTreeMap::new()),
            busy: Mutex::new(BTreeSet::new()),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            fail: AtomicBool::new(false),
        })
    }

    /// Puts a page there, as if it had been written long ago.
    pub fn put(&self, id: PageId, value: u64) {
        let mut page = page(id, value);
        header::seal(&mut page);
        self.pages.lock().insert(id, page);
    }

    /// What the disk holds.
    pub fn get(&self, id: PageId) -> Option<PageBuf> {
        self.pages.lock().get(&id).cloned()
    }

    #[cfg(not(shuttle))]
    pub fn remove(&self, id: PageId) {
        self.pages.lock().remove(&id);
    }

    fn request<T>(&self, ids: &[PageId], work: impl FnOnce() -> Result<T>) -> Result<T> {
        assert!(ids.is_sorted() && !ids.is_empty(), "{ids:?} ascend");
        let mut busy = self.busy.lock();
        for id in ids {
            assert!(busy.insert(*id), "two requests for {id} at once");
        }
        drop(busy);
        self.requests.fetch_add(1, Ordering::SeqCst);
        let result = if self.fail.load(Ordering::SeqCst) {
            Err(KernelError::Io {
                what: "a request of the test's disk".to_owned(),
                reason: "it was told to fail".to_owned(),
            })
        } else {
            work()
        };
        let mut busy = self.busy.lock();
        for id in ids {
            busy.remove(id);
        }
        result
    }

    fn fetch(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.pages.lock().get(&id) {
            Some(stored) => page.copy_from_slice(stored.as_slice()),
            None => page.fill(0),
        }
        header::verify(page, id)
    }
}

impl PageIo for Disk {
    fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        self.request(&[id], || self.fetch(id, page))
    }

    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
        let ids: Vec<PageId> = pages.iter().map(|(id, _)| *id).collect();
        self.request(&ids, || {
            for (id, page) in pages {
                self.fetch(*id, page)?;
            }
            Ok(())
        })
    }

    fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64> {
        let ids: Vec<PageId> = pages.iter().map(|(id, _)| *id).collect();
        self.request(&ids, || {
            for (id, page) in pages {
                let lsn = header::lsn(page.as_slice());
                assert!(
                    lsn < self.log.durable(),
                    "{id} is written before its log at {lsn}"
                );
                value(page);
                header::seal(page);
                header::verify(page, *id)?;
                self.writes.fetch_add(1, Ordering::SeqCst);
                let before = self.pages.lock().insert(*id, page.clone());
                if let Some(before) = before {
                    let before = header::lsn(before.as_slice());
                    assert!(before <= lsn, "{id} goes back from {before} to {lsn}");
                }
            }
            Ok(1)
        })
    }
}

/// A pool with its disk and log.
pub struct Fixture {
    pub pool: Pool,
    pub disk: Arc<Disk>,
    pub log: Arc<Log>,
}

impl Fixture {
    pub fn new(frames: usize) -> Fixture {
        let log = Arc::new(Log::default());
        // LSN 0 is before the first group.
        log.append();
        let disk = Disk::new(&log);
        let pool = Pool::new(frames, disk.clone(), log.clone());
        Fixture { pool, disk, log }
    }

    /// Appends a group and installs the page with this value.
    pub fn install(&self, pin: &Pin, value: u64) -> Lsn {
        let lsn = self.log.append();
        pin.install(&page(pin.id(), value), lsn);
        lsn
    }

    pub fn value(&self, id: PageId) -> Result<u64> {
        let mut page = PageBuf::zeroed();
        self.pool.copy(id, &mut page)?;
        Ok(value(&page))
    }
}
