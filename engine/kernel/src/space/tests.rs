#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use rustydb_runtime::disk::simulated::{Fault, Survival};
use rustydb_runtime::disk::{Disk, OpenMode, RealDisk, SimDisk};
use rustydb_runtime::{Clock, ManualClock, SeededRng};

use super::*;
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::page::header::{self, PageKind};
use crate::page::{PAGE_BYTES, PageBuf};
use crate::pool::PageIo;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};

const FOLDER: &str = "kernel/tablespaces";
const MAIN: TablespaceId = TablespaceId::MAIN;

/// Small, so that few pages make many files.
const OPTIONS: PageFilesOptions = PageFilesOptions {
    file_pages: 8,
    extent_pages: 3,
    request_pages_max: 4,
};

fn open_on(disk: &SimDisk) -> Result<PageFiles> {
    PageFiles::open(
        Arc::new(disk.clone()),
        FOLDER,
        Arc::new(ManualClock::new(7)),
        OPTIONS,
    )
}

/// A tablespace with room for `pages`.
fn files_with(disk: &SimDisk, pages: u32) -> PageFiles {
    let files = open_on(disk).unwrap();
    files.create_tablespace(MAIN).unwrap();
    files.grow(MAIN, pages).unwrap();
    files
}

fn id(number: u32) -> PageId {
    PageId::new(MAIN, number)
}

fn page(id: PageId, lsn: u64) -> (PageId, PageBuf) {
    let mut page = PageBuf::zeroed();
    header::initialise(&mut page[..], id, PageKind::RawSlotted);
    header::set_lsn(&mut page[..], Lsn(lsn));
    page[header::HEADER_BYTES..].fill(lsn as u8);
    (id, page)
}

fn write(files: &PageFiles, number: u32, lsn: u64) -> Result<()> {
    files.write_many(&mut [page(id(number), lsn)]).map(drop)
}

fn read(files: &PageFiles, number: u32) -> Result<u64> {
    let mut page = PageBuf::zeroed();
    files.read(id(number), &mut page)?;
    Ok(header::lsn(&page[..]).0)
}

fn what(outcome: Result<impl std::fmt::Debug>) -> &'static str {
    match outcome {
        Err(KernelError::CorruptPage { what, .. }) => what,
        other => panic!("expected a corrupt page: {other:?}"),
    }
}

fn path(file: u32) -> String {
    format!("{FOLDER}/00000/{file:04}.pages")
}

#[test]
fn pages_are_read_as_written_and_lie_where_the_format_says() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = SimDisk::new(1);
    let disks: [Arc<dyn Disk>; 2] = [Arc::new(simulated), Arc::new(RealDisk::new(folder.path()))];
    for disk in disks {
        let clock = Arc::new(ManualClock::new(0));
        let files = PageFiles::open(Arc::clone(&disk), FOLDER, clock, OPTIONS).unwrap();
        files.create_tablespace(MAIN).unwrap();
        assert_eq!(files.grow(MAIN, 20).unwrap(), 22);
        let numbers = [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 21];
        let mut pages: Vec<_> = numbers
            .iter()
            .map(|number| page(id(*number), u64::from(*number) + 100))
            .collect();
        files.write_many(&mut pages).unwrap();
        let mut found: Vec<_> = numbers
            .iter()
            .map(|number| (id(*number), PageBuf::zeroed()))
            .collect();
        files.read_many(&mut found).unwrap();
        assert!(found == pages);
        for number in numbers {
            assert_eq!(read(&files, number).unwrap(), u64::from(number) + 100);
        }
        // A run ends with its file, and with the size of a request: 0-2, 6-7, 8-11, 12-13, 21.
        let stats = files.stats();
        assert_eq!((stats.writes.requests, stats.writes.pages), (5, 12));
        assert_eq!((stats.reads.requests, stats.reads.pages), (5 + 12, 24));
        assert_eq!(stats.writes.bytes(), 12 * PAGE_BYTES as u64);

        let mut raw = PageBuf::zeroed();
        let file = disk.open(&path(1), OpenMode::Existing).unwrap();
        file.read_at(&mut raw[..], 5 * PAGE_BYTES as u64).unwrap();
        assert!(raw == pages[10].1);
        assert_eq!(file.length().unwrap(), 8 * PAGE_BYTES as u64);
    }
}

#[test]
fn what_is_not_the_page_that_was_written_is_refused_and_counted() {
    let disk = SimDisk::new(2);
    let files = files_with(&disk, 8);
    (0..4).for_each(|number| write(&files, number, 1).unwrap());
    assert_eq!(what(read(&files, 5)), "never written");
    let mut raw = page(id(0), 9).1;
    files.read_unverified(id(5), &mut raw).unwrap();
    assert!(raw.is_zero());
    assert_eq!(what(read(&files, 8)), "behind the end of its tablespace");
    assert_eq!(what(write(&files, 8, 1)), "behind the end of its tablespace");
    assert_eq!(
        what(files.write_many(&mut [(id(1), page(id(2), 5).1)])),
        "page id, before it is written"
    );

    disk.flip_bit(&path(0), (PAGE_BYTES as u64 * 2 + 5000) * 8 + 3)
        .unwrap();
    assert_eq!(what(read(&files, 2)), "checksum");
    let mut run: Vec<_> = (1..4).map(|number| (id(number), PageBuf::zeroed())).collect();
    assert_eq!(what(files.read_many(&mut run)), "checksum");
    disk.inject(Fault::flip_read(0));
    assert_eq!(what(read(&files, 1)), "checksum");
    assert_eq!(read(&files, 1).unwrap(), 1);
    assert_eq!(files.stats().corrupt_pages, 4);
}

#[test]
fn a_write_that_lands_elsewhere_is_found() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let files = files_with(&disk, 16);
        (0..16).for_each(|number| write(&files, number, 1).unwrap());
        disk.inject(Fault::misdirect_write(0));
        write(&files, 3, 2).unwrap();
        // Landing between two pages, it damages both; whoever lost the write itself reads the older page.
        let found: Vec<_> = (0..16).map(|number| read(&files, number)).collect();
        assert!(
            found.iter().any(|outcome| outcome.is_err()),
            "seed {seed}: {found:?}"
        );
        assert!(
            found.iter().all(|outcome| !matches!(outcome, Ok(2))),
            "seed {seed}: {found:?}"
        );
    }
}

#[test]
fn a_full_device_refuses_growth_and_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1);
    let files = files_with(&disk, 3);
    disk.set_capacity(Some(8 * PAGE_BYTES as u64));
    assert_eq!(files.grow(MAIN, 1).unwrap(), 6);
    let full = files.grow(MAIN, 10).unwrap_err();
    assert!(
        matches!(&full, KernelError::DiskFull { what } if what.contains("0001.pages")),
        "{full}"
    );
    assert_eq!(files.pages(MAIN).unwrap(), 8);
    (0..8).for_each(|number| write(&files, number, 1).unwrap());
    assert_eq!(files.space(MAIN).unwrap().available_bytes, 0);
    disk.set_capacity(None);
    assert_eq!(files.grow(MAIN, 8).unwrap(), 16);
    write(&files, 15, 1).unwrap();
    files.ensure(id(15)).unwrap();
    files.ensure(id(20)).unwrap();
    assert_eq!(files.pages(MAIN).unwrap(), 22);
    let full = files.ensure(id(u32::MAX)).unwrap_err();
    assert!(matches!(full, KernelError::DiskFull { .. }), "{full}");
    assert_eq!(files.stats().growths.failures, 1);
}

#[test]
fn only_files_that_were_written_are_synced() {
    let disk = SimDisk::new(1);
    let files = files_with(&disk, 24);
    assert_eq!(
        files.sync_all().unwrap(),
        1,
        "files before the last are synced as they are full"
    );
    assert_eq!(files.sync_all().unwrap(), 0);
    let syncs = || [0, 1, 2].map(|file| disk.syncs(&path(file)).unwrap().count);
    let before = syncs();
    write(&files, 3, 1).unwrap();
    write(&files, 20, 1).unwrap();
    assert_eq!(files.sync_tablespace(MAIN).unwrap(), 2);
    assert_eq!(syncs(), [before[0] + 1, before[1], before[2] + 1]);
    // Of a file that was there at the start nobody knows.
    assert_eq!(open_on(&disk).unwrap().sync_all().unwrap(), 3);
}

#[test]
fn after_a_sync_that_failed_nothing_is_written_and_reads_go_on() {
    let disk = SimDisk::new(1);
    let files = files_with(&disk, 8);
    write(&files, 1, 1).unwrap();
    disk.inject(Fault::fail_sync(0));
    let poisoned = |outcome: Result<()>| matches!(outcome, Err(KernelError::Poisoned { .. }));
    assert!(files.poison().is_none());
    assert!(poisoned(files.sync_all().map(drop)));
    assert!(files.poison().unwrap().to_string().contains("0000.pages"));
    assert!(poisoned(files.sync_all().map(drop)) && poisoned(files.sync_tablespace(MAIN).map(drop)));
    assert!(poisoned(write(&files, 1, 2)) && poisoned(files.grow(MAIN, 1).map(drop)));
    assert!(poisoned(files.ensure(id(100))) && poisoned(files.create_tablespace(TablespaceId(5))));
    assert_eq!(read(&files, 1).unwrap(), 1);
}

#[test]
fn a_write_that_failed_may_be_repeated() {
    let disk = SimDisk::new(1);
    let files = files_with(&disk, 8);
    disk.inject(Fault::fail_write(0));
    let failed = write(&files, 1, 1).unwrap_err();
    assert!(
        matches!(&failed, KernelError::Io { what, .. } if what.contains("0000.pages at 8192")),
        "{failed}"
    );
    write(&files, 1, 1).unwrap();
    files.sync_all().unwrap();
    assert_eq!(
        read(&open_on(&disk.crash(Survival::Nothing)).unwrap(), 1).unwrap(),
        1
    );
    assert_eq!(files.stats().writes.failures, 1);
}

#[test]
fn tablespaces_come_and_go_and_may_lie_on_other_disks() {
    let (disk, other) = (SimDisk::new(1), SimDisk::new(2));
    let files = files_with(&disk, 3);
    files.create_tablespace(TablespaceId(12)).unwrap();
    other.create_folder("fast").unwrap();
    files
        .attach(TablespaceId(300), Arc::new(other.clone()), "fast")
        .unwrap();
    files.grow(TablespaceId(300), 9).unwrap();
    let far = PageId::new(TablespaceId(300), 8);
    files.write_many(&mut [page(id(0), 1), page(far, 2)]).unwrap();
    assert!(files.create_tablespace(MAIN).is_err());
    let found = files.tablespaces();
    let summary: Vec<_> = found
        .iter()
        .map(|info| (info.id.0, info.folder.as_str(), info.files, info.pages))
        .collect();
    let folder = |number: u32| format!("{FOLDER}/{number:05}");
    assert_eq!(
        summary,
        [
            (0, &folder(0)[..], 1, 3),
            (12, &folder(12)[..], 0, 0),
            (300, "fast", 2, 11)
        ]
    );
    assert_eq!(files.tablespace_stats(TablespaceId(300)).unwrap().writes.pages, 1);

    files.remove_tablespace(TablespaceId(300)).unwrap();
    assert!(other.crash(Survival::Nothing).contents().is_empty());
    assert_eq!(files.stats().writes.pages, 2, "sums do not fall");
    assert!(files.read(far, &mut PageBuf::zeroed()).is_err());
    let again = open_on(&disk).unwrap();
    assert_eq!(again.tablespaces().len(), 2);
    assert_eq!(read(&again, 0).unwrap(), 1);
}

/// Moves on by a microsecond whenever it is asked.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_us(&self) -> i64 {
        self.now_mono_us() as i64
    }

    fn now_mono_ns(&self) -> u64 {
        self.0.fetch_add(1000, Ordering::Relaxed)
    }
}

#[test]
fn requests_are_measured_until_a_reset() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(Ticking(AtomicU64::new(0)));
    let files = PageFiles::open(Arc::new(disk), FOLDER, clock, OPTIONS).unwrap();
    files.create_tablespace(MAIN).unwrap();
    files.grow(MAIN, 9).unwrap();
    write(&files, 0, 1).unwrap();
    files.sync_all().unwrap();
    let stats = files.stats();
    let requests =
        [&stats.growths, &stats.writes, &stats.syncs].map(|kind| (kind.requests, kind.pages, kind.failures));
    assert_eq!(requests, [(2, 11, 0), (1, 1, 0), (3, 0, 0)]);
    assert_eq!(
        (stats.syncs.latency.mean_ns(), stats.syncs.latency.max_ns()),
        (Some(1000), 1000)
    );
    let before_us = files.counting_since_us();
    files.reset_stats();
    assert_eq!(files.stats(), SpaceStats::default());
    assert!(files.counting_since_us() > before_us);
}

#[test]
fn a_missing_or_short_file_before_the_last_is_told() {
    let corrupt = |disk: &SimDisk| match open_on(disk).err().unwrap() {
        KernelError::CorruptFile { file, .. } => file,
        other => panic!("{other}"),
    };
    let disk = SimDisk::new(1);
    drop(files_with(&disk, 24));
    disk.open(&path(1), OpenMode::Existing)
        .unwrap()
        .set_length(7 * PAGE_BYTES as u64)
        .unwrap();
    assert_eq!(corrupt(&disk), path(1));
    disk.remove_file(&path(1)).unwrap();
    assert_eq!(corrupt(&disk), path(1));
}

/// Whatever survives of growing and removing, the rest opens, and grows to what it was.
#[test]
fn a_crash_while_growing_or_removing_leaves_a_tablespace_that_opens() {
    let disk = SimDisk::new(9);
    disk.record();
    let files = files_with(&disk, 3);
    for pages in [4, 4, 9, 1] {
        files.grow(MAIN, pages).unwrap();
    }
    let grown = files.pages(MAIN).unwrap();
    files.create_tablespace(TablespaceId(1)).unwrap();
    files.remove_tablespace(MAIN).unwrap();
    for cut in disk.cuts() {
        for survival in Survival::ALL {
            let crashed = cut.crash(survival);
            let context = format!("operation {}, {survival:?}", cut.operations());
            let files = open_on(&crashed).unwrap_or_else(|error| panic!("{context}: {error}"));
            if files.pages(MAIN).is_err() {
                files.create_tablespace(MAIN).unwrap();
            }
            files.ensure(id(grown - 1)).unwrap();
            assert_eq!(files.pages(MAIN).unwrap(), grown, "{context}");
            write(&files, grown - 1, 1).unwrap();
        }
    }
}

/// Random writes and syncs with a crash at every operation: what was synced is there, and what was not is a version that
/// was written later, or torn, and then told.
#[test]
fn synced_pages_survive_and_others_are_whole_or_told() {
    for seed in 0..3 {
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let files = files_with(&disk, 24);
        files.sync_all().unwrap();
        disk.record();
        let mut newest = BTreeMap::new();
        // What is durable from an operation on.
        let mut durable = vec![(disk.operations(), newest.clone())];
        for lsn in 1..60 {
            let (first, pages) = (rng.below(20) as u32, 1 + rng.below(5) as u32);
            let mut run: Vec<_> = (first..(first + pages).min(24))
                .map(|number| page(id(number), lsn))
                .collect();
            files.write_many(&mut run).unwrap();
            newest.extend(run.iter().map(|(id, _)| (id.number(), lsn)));
            if rng.below(6) == 0 {
                files.sync_all().unwrap();
                durable.push((disk.operations(), newest.clone()));
            }
        }
        for cut in disk.cuts() {
            let synced = &durable
                .iter()
                .rfind(|(operation, _)| *operation <= cut.operations())
                .unwrap()
                .1;
            for survival in Survival::ALL {
                let found = open_on(&cut.crash(survival)).unwrap();
                for number in 0..24 {
                    let context = format!(
                        "seed {seed}, operation {}, {survival:?}, page {number}",
                        cut.operations()
                    );
                    let oldest = synced.get(&number).copied().unwrap_or(0);
                    match read(&found, number) {
                        Ok(lsn) => assert!(lsn >= oldest && lsn > 0, "{context}: {lsn}"),
                        Err(KernelError::CorruptPage {
                            what: "never written",
                            ..
                        }) => {
                            assert!(oldest == 0 || survival == Survival::Zeroed, "{context}");
                        }
                        Err(KernelError::CorruptPage { what: "checksum", .. }) => {
                            assert!(
                                !matches!(survival, Survival::Nothing | Survival::Everything),
                                "{context}"
                            );
                        }
                        Err(error) => panic!("{context}: {error}"),
                    }
                    if cut.unsynced() == 0 {
                        assert_eq!(read(&found, number).unwrap_or(0), oldest, "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_queue_on_files_joins_neighbours_and_reports_bad_pages_alone() {
    let disk = SimDisk::new(1);
    let files = Arc::new(files_with(&disk, 16));
    let queue = IoQueue::new(Arc::clone(&files) as Arc<dyn PageIo>, IoQueueOptions::default());
    for number in [3, 1, 2, 0] {
        queue
            .write(id(number), page(id(number), 5).1, IoPriority::Normal)
            .unwrap();
    }
    queue.flush_writes();
    assert_eq!(
        (files.stats().writes.requests, files.stats().writes.pages),
        (1, 4)
    );
    disk.flip_bit(&path(0), PAGE_BYTES as u64 * 8 + 1000).unwrap();
    let tickets = [0, 1, 2].map(|number| queue.read(id(number), IoPriority::High).unwrap());
    queue.process(3);
    let lsn = |ticket: Ticket| ticket.wait().map(|page| header::lsn(&page[..]).0).ok();
    assert_eq!(tickets.map(lsn), [Some(5), None, Some(5)]);
}
