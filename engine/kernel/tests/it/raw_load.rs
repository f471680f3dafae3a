//! Raw tablespaces under load: many threads, more pages than frames, full disks and failing ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, KernelOptions, RawError};
use rustydb_kernel::space::IoPriority;
use rustydb_runtime::disk::Disk;
use rustydb_runtime::disk::simulated::{Fault, FaultOn, SimDisk, Survival};
use rustydb_runtime::{ManualClock, SeededRng, SystemClock};

use crate::model::Act;
use crate::random::{Places, commit, open, options, seed_of};
use crate::raw_model::{RawModel, check_rules, random_image};

/// Refusals that come of what others do at the same time.
fn tolerate<T>(done: Result<T, RawError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(
            RawError::TablespaceNotFound { .. }
            | RawError::PageNotFound(_)
            // Of a page that is merged into itself.
            | RawError::PageInUse { .. }
            | RawError::PageFull { .. }
            | RawError::CannotMerge { .. }
            | RawError::CannotSplit { .. }
            | RawError::RecordNotFound { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn tablespaces_come_and_go_while_others_work() {
    let seed = seed_of("tablespaces_come_and_go_while_others_work", 5);
    let (disk, clock) = (SimDisk::new(seed), Arc::new(SystemClock::new()));
    let options = KernelOptions {
        background: true,
        pool_bytes: 128 * 8192,
        ..options()
    };
    let open = || {
        Kernel::open(
            Arc::new(disk.clone()),
            "kernel",
            clock.clone(),
            &SeededRng::new(7),
            options.clone(),
        )
    };
    let kernel = open().unwrap();
    kernel.pool().settings().set_flush_interval_ms(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (kernel, done) = (&kernel, &done);
        let makers: Vec<_> = (0..2_u64)
            .map(|maker| {
                scope.spawn(move || {
                    let rng = SeededRng::new(seed + maker);
                    for round in 0..40 {
                        let name = format!("{maker}.{round}");
                        let space = kernel.create_tablespace(&name, 0, 200).unwrap().id;
                        for number in 0..rng.below(40) {
                            let page = kernel.allocate_page(space, number % 3 == 0).unwrap();
                            tolerate(kernel.insert_record(page, &[maker as u8; 100]));
                        }
                        kernel.drop_tablespace(space).unwrap();
                    }
                })
            })
            .collect();
        for worker in 0..2_u64 {
            scope.spawn(move || {
                let rng = SeededRng::new(seed + 10 + worker);
                while !done.load(Ordering::Relaxed) {
                    let page = PageId::new(TablespaceId(1 + rng.below(2) as u16), 2 + rng.below(30) as u32);
                    match rng.below(12) {
                        0 => drop(tolerate(kernel.split_page(page))),
                        1 => drop(tolerate(
                            kernel.merge_pages(page, PageId::new(page.tablespace(), 2)),
                        )),
                        2 => drop(tolerate(kernel.stage_page(page, random_image(&rng, page).0))),
                        3 => drop(tolerate(kernel.flush_staged())),
                        4 => drop(tolerate(
                            kernel.write_pages(vec![(page, random_image(&rng, page).0)]),
                        )),
                        5 => drop(tolerate(kernel.submit_write(
                            page,
                            random_image(&rng, page).0,
                            IoPriority::Normal,
                        ))),
                        6 => drop(kernel.process_io(3).unwrap()),
                        7 => {
                            if let Some(verdict) = tolerate(kernel.verify_page(page)) {
                                assert_eq!(verdict.problem, None, "{page}");
                            }
                        }
                        8 => drop(tolerate(kernel.fetch_page(page))),
                        9 => drop(kernel.tablespaces().unwrap()),
                        10 => drop(tolerate(kernel.list_pages(page.tablespace(), 0, 100))),
                        _ => drop(tolerate(kernel.insert_record(page, b"some record"))),
                    }
                }
            });
        }
        scope.spawn(move || {
            for number in 0..u64::MAX {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let acts = [Act::Write(
                    1,
                    (number % 500).to_be_bytes().to_vec(),
                    Some(vec![3; 200]),
                )];
                commit(kernel, &acts, 0).unwrap();
                if number % 50 == 0 {
                    kernel.checkpoint().unwrap();
                }
            }
        });
        for maker in makers {
            maker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    kernel.check_writable().unwrap();
    check_rules(&kernel, "at the end");
    assert_eq!(kernel.tablespaces().unwrap().len(), 1);
    drop(kernel);
    check_rules(&open().unwrap(), "opened again");
}

#[test]
fn more_pages_than_frames_are_written_at_once_wholly_or_not_at_all() {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(0)));
    let kernel = open(&disk, &clock).unwrap();
    let space = kernel.create_tablespace("mine", 0, 1000).unwrap().id;
    let ids: Vec<PageId> = (0..150)
        .map(|_| kernel.allocate_page(space, false).unwrap())
        .collect();
    let rng = SeededRng::new(2);
    let images: Vec<_> = ids.iter().map(|id| (*id, random_image(&rng, *id).0)).collect();
    kernel.write_pages(images.clone()).unwrap();
    let found = RawModel::of(&kernel).unwrap();
    let crashed = open(&disk.crash(Survival::Nothing), &clock).unwrap();
    assert!(RawModel::of(&crashed).unwrap().is(&found));
    for (id, image) in images.iter().rev() {
        crashed.stage_page(*id, image.clone()).unwrap();
    }
    assert!(RawModel::of(&crashed).unwrap().is(&found));
    check_rules(&crashed, "after a crash");
}

#[test]
fn a_full_disk_makes_no_tablespace_and_harms_none() {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(0)));
    let kernel = open(&disk, &clock).unwrap();
    let space = kernel.create_tablespace("mine", 0, 100_000).unwrap().id;
    let page = kernel.allocate_page(space, false).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    let refused = kernel.create_tablespace("large", 1000, 1000);
    assert!(
        matches!(refused, Err(RawError::Kernel(KernelError::DiskFull { .. }))),
        "{refused:?}"
    );
    assert_eq!(kernel.cramped(), None);
    assert_eq!(disk.list("kernel/tablespaces").unwrap().len(), 2);
    kernel.insert_record(page, b"there is room for this").unwrap();
    disk.set_capacity(None);
    let def = kernel.create_tablespace("large", 1000, 1000).unwrap();
    assert_eq!((def.id, def.pages), (TablespaceId(2), 1000));
    check_rules(&kernel, "with room");
}

#[test]
fn files_that_cannot_be_made_or_removed_leave_no_tablespace_half_done() {
    for kind in [FaultOn::Names, FaultOn::Resize] {
        for nth in 0..8 {
            let context = format!("{kind:?} {nth}");
            let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(0)));
            let kernel = open(&disk, &clock).unwrap();
            let first = kernel.create_tablespace("first", 0, 100).unwrap().id;
            let page = kernel.allocate_page(first, true).unwrap();
            kernel.insert_record(page, b"of the first").unwrap();
            let fault = Fault::fail(kind, nth, std::io::ErrorKind::PermissionDenied);
            disk.inject(fault.below("kernel/tablespaces"));
            let made = kernel.create_tablespace("second", 70, 100);
            let dropped = kernel.drop_tablespace(first);
            for failed in [made.as_ref().err(), dropped.as_ref().err()]
                .into_iter()
                .flatten()
            {
                assert!(
                    matches!(failed, RawError::Kernel(KernelError::Io { .. })),
                    "{context}: {failed}"
                );
            }
            disk.clear_faults();
            let names = |kernel: &Kernel| -> Vec<String> {
                let all = kernel.tablespaces().unwrap();
                all.into_iter().map(|def| def.name).collect()
            };
            let expected: &[&str] = if made.is_ok() {
                &["main", "second"]
            } else {
                &["main"]
            };
            assert_eq!(names(&kernel), expected, "{context}");
            let third = kernel.create_tablespace("third", 0, 100).unwrap().id;
            assert_eq!(third, first, "{context}");
            assert_eq!(kernel.allocate_page(third, false).unwrap(), page, "{context}");
            let facts = kernel.page_facts(page).unwrap();
            assert_eq!((facts.records, facts.pins), (0, 0), "{context}");
            check_rules(&kernel, &context);
            let before = names(&kernel);
            drop(kernel);
            let kernel = open(&disk, &clock).unwrap();
            assert_eq!(names(&kernel), before, "{context}");
            check_rules(&kernel, &context);
        }
    }
}

#[test]
fn the_store_s_own_spaces_are_no_client_s() {
    let kernel = open(&SimDisk::new(1), &Arc::new(ManualClock::new(0))).unwrap();
    kernel.create_tablespace("mine", 0, 100).unwrap();
    for space in [u64::MAX - 2, u64::MAX] {
        let acts = [Act::Write(space, vec![0, 1], None)];
        assert!(matches!(
            commit(&kernel, &acts, 0),
            Err(KernelError::TooLarge { .. })
        ));
        assert!(matches!(
            commit(&kernel, &[Act::Drop(space)], 0),
            Err(KernelError::TooLarge { .. })
        ));
    }
    check_rules(&kernel, "after refusals");
}

/// Operations on raw tablespaces while one request to the disk fails: the store holds what it acknowledged, and the rest
/// wholly or not at all.
fn run_with(seed: u64, fault: Fault, context: &str) -> bool {
    let rng = SeededRng::new(seed);
    let (disk, clock) = (SimDisk::new(seed), Arc::new(ManualClock::new(0)));
    let mut model = RawModel::default();
    let mut kernel = open(&disk, &clock).unwrap();
    for _ in 0..60 {
        model.step(&kernel, &rng).unwrap();
    }
    drop(kernel);
    kernel = open(&disk, &clock).unwrap();
    disk.inject(fault);
    let mut before = model.clone();
    let mut struck = false;
    for _ in 0..60 {
        before = model.clone();
        let done = model.step(&kernel, &rng);
        let upkept = match rng.below(8) {
            0 => kernel.checkpoint().map(drop),
            1 => kernel.step().map(drop),
            _ => Ok(()),
        };
        if done.is_err() || upkept.is_err() {
            struck = true;
            break;
        }
    }
    disk.clear_faults();
    let images = [disk.crash(Survival::Nothing), disk.crash(Survival::Everything)];
    drop(kernel);
    for image in images.into_iter().chain([disk]) {
        let kernel = open(&image, &clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = RawModel::of(&kernel).unwrap_or_else(|error| panic!("{context}: {error}"));
        if !found.is(&before) {
            model.check(&kernel, context);
        }
        check_rules(&kernel, context);
    }
    struck
}

#[test]
fn a_failed_request_leaves_no_raw_operation_half_done() {
    let seed = seed_of("a_failed_request_leaves_no_raw_operation_half_done", 31);
    type Make = fn(u64) -> Fault;
    let kinds: [(&str, Make); 3] = [
        ("write", Fault::fail_write),
        ("sync", Fault::fail_sync),
        ("read", Fault::fail_read),
    ];
    for (kind, fault) in kinds {
        for folder in ["kernel/wal", "kernel/tablespaces"] {
            let mut places = Places::new(seed, 60);
            let mut struck = 0;
            for turn in 0..40 {
                let place = places.next();
                let context = format!("RUSTYDB_SEED={seed} {kind} {place} below {folder} in turn {turn}");
                struck += u32::from(run_with(seed + turn, fault(place).below(folder), &context));
            }
            eprintln!("{kind} below {folder}: {struck} of 40 struck");
        }
    }
}
