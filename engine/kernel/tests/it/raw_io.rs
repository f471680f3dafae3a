//! What is told of raw pages, of requests to the disk, and what comes of queued requests, of reading ahead and of the
//! settings of the background writer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, KernelEvent, KernelEvents, KernelOptions, RawError, TreeEvent};
use rustydb_kernel::page::{PageBuf, header, raw, slotted};
use rustydb_kernel::space::{IoEvent, IoEvents, IoPriority, ReadAheadOptions};
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::Fault;
use rustydb_runtime::{ManualClock, SeededRng, SystemClock};

use crate::model::Act;
use crate::random::{commit, open, options};
use crate::raw_model::random_image;

struct Heard<E>(Mutex<Vec<E>>);

impl<E> Heard<E> {
    fn nothing() -> Arc<Heard<E>> {
        Arc::new(Heard(Mutex::new(Vec::new())))
    }

    fn take(&self) -> Vec<E> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl KernelEvents for Heard<KernelEvent> {
    fn event(&self, event: KernelEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl IoEvents for Heard<IoEvent> {
    fn event(&self, event: IoEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// A store with a raw tablespace of so many pages in use, each with its number as record, opened again since.
fn store(pages: u32) -> (SimDisk, Kernel, Vec<PageId>) {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(0)));
    let kernel = open(&disk, &clock).unwrap();
    let space = kernel.create_tablespace("mine", 0, 10_000).unwrap().id;
    let ids = (0..pages).map(|_| {
        let id = kernel.allocate_page(space, false).unwrap();
        kernel.insert_record(id, &id.number().to_le_bytes()).unwrap();
        id
    });
    let ids = ids.collect();
    drop(kernel);
    let kernel = open(&disk, &clock).unwrap();
    (disk, kernel, ids)
}

/// A page with one record.
fn image(id: PageId, record: &[u8]) -> PageBuf {
    let mut page = PageBuf::zeroed();
    raw::format(&mut page, id);
    slotted::insert(&mut page, 0, 0, record).unwrap();
    page
}

#[test]
fn each_change_of_a_raw_page_is_told_once_and_in_order() {
    let (_, kernel, ids) = store(2);
    let (a, b) = (ids[0], ids[1]);
    let heard = Heard::nothing();
    kernel.listen(Some(heard.clone()));
    let modified = |page, operation| KernelEvent::PageModified { page, operation };
    assert_eq!(kernel.insert_record(a, b"more").unwrap(), 1);
    kernel.update_record(a, 0, b"x").unwrap();
    assert_eq!(
        heard.take(),
        [modified(a, "insert_record"), modified(a, "update_record")]
    );
    let gap = kernel.page_facts(a).unwrap().gap_bytes;
    kernel.compact_page(a).unwrap();
    let compacted = KernelEvent::PageCompacted { page: a, bytes: gap };
    assert_eq!(heard.take(), [modified(a, "compact"), compacted]);
    // Without gaps nothing happens, and nothing is told.
    kernel.compact_page(a).unwrap();
    kernel.delete_record(a, 7).unwrap_err();
    assert_eq!(heard.take(), []);
    let new = kernel.split_page(a).unwrap().new;
    let split = KernelEvent::PageSplit { page: a, new };
    assert_eq!(
        heard.take(),
        [
            KernelEvent::PageAllocated { page: new },
            split,
            modified(a, "split")
        ]
    );
    kernel.merge_pages(a, new).unwrap();
    assert_eq!(
        heard.take(),
        [
            modified(a, "merge"),
            KernelEvent::PageMerged { page: a, from: new }
        ]
    );
    kernel.delete_record(a, 0).unwrap();
    kernel.touch_page(a).unwrap();
    kernel.reset_page(a).unwrap();
    kernel.reseal_page(a).unwrap();
    let operations = ["delete_record", "touch", "reset", "checksum"];
    assert_eq!(heard.take(), operations.map(|operation| modified(a, operation)));
    kernel
        .write_pages(vec![(a, image(a, b"1")), (b, image(b, b"2"))])
        .unwrap();
    kernel.stage_page(b, image(b, b"3")).unwrap();
    let mut sealed = image(b, b"4");
    header::seal(&mut sealed);
    kernel.load_page(&sealed).unwrap();
    assert_eq!(
        heard.take(),
        [
            modified(a, "write"),
            modified(b, "write"),
            modified(b, "write"),
            modified(b, "load")
        ]
    );
    let checkpoint = kernel.checkpoint().unwrap();
    match heard.take().as_slice() {
        [
            KernelEvent::Checkpoint {
                redo,
                pages_written,
                files_synced,
                ..
            },
        ] => {
            assert_eq!(
                (*redo, *pages_written),
                (checkpoint.redo, checkpoint.pages_written)
            );
            assert_eq!(*files_synced, checkpoint.files_synced);
            assert!(*pages_written > 0 && *files_synced > 0);
        }
        told => panic!("{told:?}"),
    }
    // Trees tell of their splits, and of the pages that they take.
    let acts: Vec<Act> = (0..200_u32)
        .map(|key| Act::Write(1, key.to_be_bytes().to_vec(), Some(vec![0; 100])))
        .collect();
    commit(&kernel, &acts, 0).unwrap();
    let told = heard.take();
    let splits = told
        .iter()
        .filter(|event| matches!(event, KernelEvent::Tree(TreeEvent::Split { .. })));
    let pages = told
        .iter()
        .filter(|event| matches!(event, KernelEvent::PageAllocated { .. }));
    let (splits, pages) = (splits.count(), pages.count());
    // The root, and two for its first split.
    assert!(splits > 1 && pages == splits + 2, "{splits} {pages}");
    kernel.listen(None);
    kernel.touch_page(a).unwrap();
    assert_eq!(heard.take(), []);
}

#[test]
fn what_is_not_durable_is_not_told() {
    let (disk, kernel, ids) = store(1);
    let heard = Heard::nothing();
    kernel.listen(Some(heard.clone()));
    disk.inject(Fault::fail_sync(0).below("kernel/wal").forever());
    assert!(matches!(
        kernel.insert_record(ids[0], b"x"),
        Err(RawError::Kernel(
            KernelError::Io { .. } | KernelError::Poisoned { .. }
        ))
    ));
    assert!(kernel.allocate_page(ids[0].tablespace(), false).is_err());
    assert!(kernel.create_tablespace("other", 1, 100).is_err());
    drop(kernel);
    assert_eq!(heard.take(), []);
}

#[test]
fn requests_to_the_disk_are_told_with_their_ends() {
    let (disk, kernel, ids) = store(30);
    let heard = Heard::nothing();
    kernel.files().listen(Some(heard.clone()));
    kernel.fetch_page(ids[4]).unwrap();
    let of_page = |id: PageId| {
        heard
            .take()
            .into_iter()
            .filter(|event| match event {
                IoEvent::Started { page, .. } | IoEvent::Completed { page, .. } => *page == id,
                IoEvent::Failed { page, .. } | IoEvent::ChecksumFailure { page, .. } => *page == id,
                _ => false,
            })
            .collect::<Vec<_>>()
    };
    let offset = u64::from(ids[4].number()) * 8192;
    let ended = |write, page, pages, offset| {
        [
            IoEvent::Started {
                write,
                page,
                pages,
                offset,
            },
            // The clock stands still.
            IoEvent::Completed {
                write,
                page,
                pages,
                latency_ns: 0,
            },
        ]
    };
    assert_eq!(of_page(ids[4]), ended(false, ids[4], 1, offset));
    let pages = [0, 1, 2].map(|at| (ids[at], image(ids[at], b"x")));
    kernel.write_pages(pages.to_vec()).unwrap();
    assert_eq!(of_page(ids[0]), ended(true, ids[0], 3, 2 * 8192));
    disk.flip_bit("kernel/tablespaces/00001/0000.pages", offset * 8 + 60_000)
        .unwrap();
    let verdict = kernel.verify_page(ids[4]).unwrap();
    assert_eq!(
        of_page(ids[4]).last(),
        Some(&IoEvent::ChecksumFailure {
            page: ids[4],
            expected: verdict.computed.into(),
            found: verdict.stored.into(),
        })
    );
    disk.inject(Fault::fail_read(0).below("kernel/tablespaces"));
    kernel.fetch_page(ids[20]).unwrap_err();
    match of_page(ids[20]).as_slice() {
        [
            IoEvent::Started { .. },
            IoEvent::Failed {
                write: false, reason, ..
            },
        ] => assert!(!reason.is_empty()),
        told => panic!("{told:?}"),
    }
    kernel.files().listen(None);
    kernel.fetch_page(ids[20]).unwrap();
    assert_eq!(heard.take(), []);
}

#[test]
fn queued_requests_are_served_by_urgency_and_told_with_their_outcome() {
    let (_, kernel, ids) = store(12);
    let heard = Heard::nothing();
    kernel.files().listen(Some(heard.clone()));
    let low = kernel.submit_read(ids[8], IoPriority::Low).unwrap();
    let normal = kernel
        .submit_write(ids[2], image(ids[2], b"new"), IoPriority::Normal)
        .unwrap();
    let critical = kernel.submit_read(ids[6], IoPriority::Critical).unwrap();
    let behind = kernel.submit_read(ids[2], IoPriority::Normal).unwrap();
    let mut depths = heard.take();
    depths.retain(|event| matches!(event, IoEvent::QueueDepth { .. }));
    assert_eq!(
        depths,
        [(1, 0), (1, 1), (2, 1), (3, 1)].map(|(reads, writes)| IoEvent::QueueDepth { reads, writes })
    );
    let length = kernel.io_queue();
    assert_eq!((length.reads, length.writes, length.in_service), (3, 1, 0));
    let first = kernel.process_io(1).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(
        (first[0].request, first[0].page, first[0].is_write),
        (critical, ids[6], false)
    );
    let served = kernel.process_io(100).unwrap();
    let order: Vec<_> = served
        .iter()
        .map(|served| (served.request, served.is_write))
        .collect();
    assert_eq!(order, [(normal, true), (behind, false), (low, false)]);
    assert!(served.iter().all(|served| served.outcome.is_ok()));
    assert_eq!(kernel.record(ids[2], 0).unwrap(), b"new");
    assert!(!kernel.page_facts(ids[2]).unwrap().dirty);
    assert!(kernel.page_facts(ids[8]).unwrap().resident);
    assert_eq!(kernel.io_queue(), Default::default());
    // A page that is given back meanwhile: its neighbours don't suffer.
    for id in &ids[3..6] {
        kernel
            .submit_write(*id, image(*id, b"later"), IoPriority::Normal)
            .unwrap();
    }
    kernel.merge_pages(ids[0], ids[4]).unwrap();
    let served = kernel.process_io(100).unwrap();
    let failed: Vec<PageId> = served
        .iter()
        .filter(|served| served.outcome.is_err())
        .map(|served| served.page)
        .collect();
    assert_eq!((served.len(), failed), (3, vec![ids[4]]));
    assert_eq!(kernel.record(ids[5], 0).unwrap(), b"later");
    kernel.check_writable().unwrap();
}

#[test]
fn requests_that_make_no_sense_or_are_too_many_are_refused() {
    let (_, kernel, ids) = store(1);
    let free = PageId::new(ids[0].tablespace(), 50);
    assert!(matches!(
        kernel.submit_read(free, IoPriority::Normal),
        Err(RawError::PageNotFound(_))
    ));
    let write = |id| kernel.submit_write(id, random_image(&SeededRng::new(1), id).0, IoPriority::High);
    assert!(matches!(write(free), Err(RawError::PageNotFound(_))));
    assert!(matches!(
        write(PageId::new(TablespaceId::MAIN, 2)),
        Err(RawError::PageInUse { .. })
    ));
    assert!(matches!(
        write(PageId::new(TablespaceId(9), 2)),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    let bad = kernel.submit_write(ids[0], PageBuf::zeroed(), IoPriority::Normal);
    assert!(matches!(bad, Err(RawError::BadImage { .. })));
    for _ in 0..4096 {
        kernel.submit_read(ids[0], IoPriority::Normal).unwrap();
    }
    assert!(matches!(
        kernel.submit_read(ids[0], IoPriority::Critical),
        Err(RawError::QueueFull { requests_max: 4096 })
    ));
    assert_eq!(kernel.process_io(10).unwrap().len(), 10);
    kernel.submit_read(ids[0], IoPriority::Critical).unwrap();
    assert_eq!(kernel.process_io(usize::MAX).unwrap().len(), 4087);
}

#[test]
fn a_reader_in_order_finds_pages_that_were_read_ahead() {
    let (disk, kernel, ids) = store(60);
    // What was never written lies behind, and is no damage.
    for id in &ids {
        assert_eq!(kernel.record(*id, 0).unwrap(), id.number().to_le_bytes());
    }
    let counts = kernel.pool().counts();
    assert!(counts.prefetched > 40, "{counts:?}");
    let stats = kernel.files().tablespace_stats(ids[0].tablespace()).unwrap();
    assert!(stats.reads.requests < 25, "{stats:?}");
    assert_eq!(stats.corrupt_pages, 0);
    drop(kernel);
    let kernel = open(&disk, &Arc::new(ManualClock::new(0))).unwrap();
    kernel.read_ahead().set_options(ReadAheadOptions {
        is_on: false,
        ..ReadAheadOptions::default()
    });
    let before = kernel.pool().counts().prefetched;
    for id in &ids {
        kernel.record(*id, 0).unwrap();
    }
    assert_eq!(kernel.pool().counts().prefetched, before);
}

#[test]
fn what_cannot_be_read_ahead_is_told_to_nobody_but_its_reader() {
    let (disk, kernel, ids) = store(60);
    let damaged = ids[20];
    let bit = u64::from(damaged.number()) * 65_536 + 50_000;
    disk.flip_bit("kernel/tablespaces/00001/0000.pages", bit).unwrap();
    for id in &ids {
        let found = kernel.record(*id, 0);
        assert_eq!(found.is_err(), *id == damaged, "{id}: {found:?}");
    }
    let stats = kernel.files().tablespace_stats(damaged.tablespace()).unwrap();
    assert_eq!(stats.corrupt_pages, 1);
}

#[test]
fn a_page_that_is_corrupt_is_counted_once_though_it_was_read_with_others() {
    let (disk, kernel, ids) = store(10);
    drop(kernel);
    for damaged in [ids[3], ids[7]] {
        let bit = u64::from(damaged.number()) * 65_536 + 50_000;
        disk.flip_bit("kernel/tablespaces/00001/0000.pages", bit).unwrap();
    }
    let kernel = open(&disk, &Arc::new(ManualClock::new(0))).unwrap();
    for id in &ids {
        kernel.submit_read(*id, IoPriority::Normal).unwrap();
    }
    let failed: Vec<PageId> = kernel
        .process_io(usize::MAX)
        .unwrap()
        .into_iter()
        .filter(|served| served.outcome.is_err())
        .map(|served| served.page)
        .collect();
    assert_eq!(failed, [ids[3], ids[7]]);
    let stats = kernel.files().tablespace_stats(ids[0].tablespace()).unwrap();
    assert_eq!(stats.corrupt_pages, 2);
}

/// One is dropped while others pin its pages.
#[test]
fn no_pin_outlives_its_tablespace() {
    let kernel = open(&SimDisk::new(1), &Arc::new(ManualClock::new(0))).unwrap();
    for _ in 0..100 {
        let space = kernel.create_tablespace("mine", 0, 100).unwrap().id;
        let page = kernel.allocate_page(space, false).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| while kernel.pin_page(page).is_ok() {});
            }
            kernel.drop_tablespace(space).unwrap();
        });
        assert_eq!(kernel.pool().client_pins(), []);
    }
}

#[test]
fn the_pool_is_made_larger_and_smaller() {
    let (_, kernel, _) = store(1);
    assert_eq!(kernel.set_pool_bytes(200 * 8192).unwrap(), 200 * 8192);
    assert_eq!(kernel.pool().info().frames, 200);
    assert_eq!(kernel.set_pool_bytes(1).unwrap(), 8 * 8192);
    assert_eq!(kernel.set_pool_bytes(50 * 8192 + 1).unwrap(), 50 * 8192);
}

/// Waits until it is so; the store's own thread does it.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} never came to be");
}

#[test]
fn the_store_s_own_thread_writes_when_and_as_much_as_it_was_told() {
    let options = KernelOptions {
        background: true,
        ..options()
    };
    let kernel = Kernel::open(
        Arc::new(SimDisk::new(1)),
        "kernel",
        Arc::new(SystemClock::new()),
        &SeededRng::new(7),
        options,
    );
    let kernel = kernel.unwrap();
    let settings = kernel.pool().settings();
    settings.set_flush_interval_ms(3_600_000);
    settings.set_dirty_permille_max(1000);
    // A flush may be under way with the interval from before.
    std::thread::sleep(Duration::from_millis(400));
    let space = kernel.create_tablespace("mine", 0, 100).unwrap().id;
    let ids: Vec<PageId> = (0..30)
        .map(|_| kernel.allocate_page(space, false).unwrap())
        .collect();
    let dirty = kernel.pool().dirty_pages();
    assert!(dirty >= 30, "{dirty}");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(kernel.pool().dirty_pages(), dirty);
    // Of 64 frames 12 may be dirty: what is above goes, a few pages at a time and without a pause.
    settings.set_flush_pages_max(2);
    settings.set_dirty_permille_max(200);
    eventually("a pool that is less dirty", || kernel.pool().dirty_pages() <= 12);
    let left = kernel.pool().dirty_pages();
    assert!(left > 10, "{left}");
    settings.set_flush_interval_ms(1);
    eventually("a clean pool", || kernel.pool().dirty_pages() == 0);
    kernel.touch_page(ids[0]).unwrap();
    eventually("a clean pool", || kernel.pool().dirty_pages() == 0);
}
