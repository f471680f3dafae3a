//! Raw tablespaces and pages: against a model, and each way in which they refuse.

use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::{Lsn, PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, RawError, TablespaceKind, TablespaceState};
use rustydb_kernel::page::header::{self, PageKind};
use rustydb_kernel::page::{PageBuf, raw, slotted};
use rustydb_kernel::space::ReadAheadOptions;
use rustydb_runtime::disk::simulated::{SimDisk, Survival};
use rustydb_runtime::disk::{Disk, OpenMode};
use rustydb_runtime::{ManualClock, SeededRng};

use crate::model::Act;
use crate::random::{commit, open, seed_of};
use crate::raw_model::{RawModel, check_rules, random_image};

/// A store with a raw tablespace, 1, of one page with three records.
struct Fixture {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    kernel: Kernel,
    space: TablespaceId,
    page: PageId,
}

impl Fixture {
    fn new() -> Fixture {
        let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(5_000)));
        let kernel = open(&disk, &clock).unwrap();
        let space = kernel.create_tablespace("mine", 10, 128).unwrap().id;
        let page = kernel.allocate_page(space, false).unwrap();
        for (slot, record) in (0..).zip([&b"one"[..], b"two", b"three"]) {
            assert_eq!(kernel.insert_record(page, record).unwrap(), slot);
        }
        Fixture {
            disk,
            clock,
            kernel,
            space,
            page,
        }
    }

    fn reopen(self) -> Fixture {
        let Fixture {
            disk,
            clock,
            kernel,
            space,
            page,
        } = self;
        drop(kernel);
        let kernel = open(&disk, &clock).unwrap();
        Fixture {
            disk,
            clock,
            kernel,
            space,
            page,
        }
    }

    /// What a crash now leaves.
    fn crashed(&self) -> Kernel {
        open(&self.disk.crash(Survival::Nothing), &self.clock).unwrap()
    }

    /// Changes a byte of a page behind the kernel's back.
    fn damage(&self, page: PageId, at: u64) {
        let path = format!("kernel/tablespaces/{:05}/0000.pages", page.tablespace().0);
        let file = self.disk.open(&path, OpenMode::Existing).unwrap();
        let offset = u64::from(page.number()) * 8192 + at;
        let mut byte = [0];
        file.read_at(&mut byte, offset).unwrap();
        file.write_at(&[byte[0] ^ 0x5a], offset).unwrap();
    }
}

fn run(seed: u64, steps: u64) {
    let rng = SeededRng::new(seed);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let disk = SimDisk::new(seed);
    let mut kernel = open(&disk, &clock).unwrap();
    let mut model = RawModel::default();
    for step in 0..steps {
        let context = format!("RUSTYDB_SEED={seed} step {step}");
        clock.advance_us(1 + rng.below(1000));
        let done = model.step(&kernel, &rng);
        done.unwrap_or_else(|error| panic!("{context}: {error}"));
        match rng.below(60) {
            0 => drop(kernel.checkpoint().unwrap()),
            1 => drop(kernel.step().unwrap()),
            2 => model.check(&kernel, &context),
            3 => {
                drop(kernel);
                kernel = open(&disk, &clock).unwrap();
                model.check(&kernel, &context);
            }
            _ => {}
        }
    }
    model.check(&kernel, &format!("RUSTYDB_SEED={seed} at the end"));
}

#[test]
fn raw_tablespaces_hold_what_their_model_does() {
    let seed = seed_of("raw_tablespaces_hold_what_their_model_does", 1);
    for seed in seed..seed + 6 {
        run(seed, 1500);
    }
}

#[test]
fn tablespaces_are_listed_with_what_they_are() {
    let fixture = Fixture::new();
    let kernel = &fixture.kernel;
    let all = kernel.tablespaces().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].name.as_str(), all[0].kind),
        ("main", TablespaceKind::System)
    );
    assert_eq!(all[0].created_at_us, 5_000);
    let mine = &all[1];
    assert_eq!((mine.name.as_str(), mine.kind), ("mine", TablespaceKind::Raw));
    assert_eq!(mine.state, TablespaceState::Online);
    assert_eq!(
        (mine.pages, mine.pages_in_use, mine.pages_max, mine.files),
        (64, 3, 128, 1)
    );
    assert_eq!(mine.folder, "kernel/tablespaces/00001");
    assert_eq!(&kernel.tablespace(fixture.space).unwrap(), mine);
    let counts = kernel.count_pages(fixture.space).unwrap();
    assert_eq!((counts.pages, counts.in_use, counts.free), (64, 3, 61));
    let again = fixture.reopen();
    assert_eq!(again.kernel.tablespaces().unwrap()[1], all[1]);
}

#[test]
fn tablespaces_refuse_what_they_cannot_be() {
    let fixture = Fixture::new();
    let (kernel, space) = (&fixture.kernel, fixture.space);
    for name in ["mine", "main"] {
        let refused = kernel.create_tablespace(name, 1, 100);
        assert!(matches!(refused, Err(RawError::TablespaceExists { name: named }) if named == name));
    }
    let refused = kernel.create_tablespace(&"n".repeat(256), 1, 100);
    assert!(matches!(
        refused,
        Err(RawError::Kernel(KernelError::TooLarge {
            size: 256,
            size_max: 255,
            ..
        }))
    ));
    let refused = kernel.create_tablespace("other", 200, 100);
    assert!(matches!(
        refused,
        Err(RawError::LimitBelowUse {
            id: 2,
            pages: 200,
            pages_max: 100
        })
    ));
    let refused = kernel.alter_tablespace(space, Some(63), None);
    assert!(matches!(
        refused,
        Err(RawError::LimitBelowUse {
            id: 1,
            pages: 64,
            pages_max: 63
        })
    ));
    let refused = kernel.alter_tablespace(TablespaceId::MAIN, Some(1), None);
    assert!(matches!(
        refused,
        Err(RawError::LimitBelowUse {
            id: 0,
            pages_max: 1,
            ..
        })
    ));
    let refused = kernel.alter_tablespace(TablespaceId::MAIN, None, Some(TablespaceState::ReadOnly));
    assert!(matches!(refused, Err(RawError::TablespaceIsSystem { id: 0 })));
    assert!(matches!(
        kernel.drop_tablespace(TablespaceId::MAIN),
        Err(RawError::TablespaceIsSystem { id: 0 })
    ));
    assert!(matches!(
        kernel.allocate_page(TablespaceId::MAIN, false),
        Err(RawError::TablespaceIsSystem { id: 0 })
    ));
    let missing = TablespaceId(9);
    assert!(matches!(
        kernel.drop_tablespace(missing),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.tablespace(missing),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.count_pages(missing),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.list_pages(missing, 0, 1),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.allocate_page(missing, false),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.alter_tablespace(missing, None, None),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    let page = PageId::new(missing, 2);
    assert!(matches!(
        kernel.page_facts(page),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    assert!(matches!(
        kernel.insert_record(page, b"x"),
        Err(RawError::TablespaceNotFound { id: 9 })
    ));
    // Nothing of all that was made.
    assert_eq!(kernel.tablespaces().unwrap().len(), 2);
    assert_eq!(fixture.disk.list("kernel/tablespaces").unwrap().len(), 2);
}

#[test]
fn the_limit_of_the_main_tablespace_binds_commits() {
    let fixture = Fixture::new();
    let kernel = &fixture.kernel;
    let before = kernel.tablespace(TablespaceId::MAIN).unwrap();
    assert_eq!(before.pages_max, u32::MAX);
    let after = kernel
        .alter_tablespace(TablespaceId::MAIN, Some(before.pages), None)
        .unwrap();
    assert_eq!(after.pages_max, before.pages);
    let acts = [Act::Write(1, b"long".to_vec(), Some(vec![0; 100 * 8192]))];
    assert!(matches!(
        commit(kernel, &acts, 0),
        Err(KernelError::TablespaceFull { .. })
    ));
    kernel
        .alter_tablespace(TablespaceId::MAIN, Some(before.pages + 100), None)
        .unwrap();
    commit(kernel, &acts, 0).unwrap();
    let again = fixture.crashed().tablespace(TablespaceId::MAIN).unwrap();
    assert_eq!(again.pages_max, before.pages + 100);
}

#[test]
fn pages_of_a_read_only_tablespace_are_read_and_not_changed() {
    let fixture = Fixture::new();
    let (kernel, page) = (&fixture.kernel, fixture.page);
    let read_only = Some(TablespaceState::ReadOnly);
    assert_eq!(
        kernel
            .alter_tablespace(fixture.space, None, read_only)
            .unwrap()
            .state,
        TablespaceState::ReadOnly
    );
    let image = random_image(&SeededRng::new(1), page).0;
    let refusals = [
        kernel.allocate_page(fixture.space, false).map(drop),
        kernel.insert_record(page, b"x").map(drop),
        kernel.update_record(page, 0, b"x"),
        kernel.delete_record(page, 0),
        kernel.write_pages(vec![(page, image.clone())]),
        kernel.stage_page(page, image),
        kernel.touch_page(page),
        kernel.reset_page(page),
        kernel.compact_page(page).map(drop),
        kernel.reseal_page(page).map(drop),
        kernel.split_page(page).map(drop),
        kernel.merge_pages(page, page).map(drop),
    ];
    for refused in refusals {
        assert!(
            matches!(refused, Err(RawError::TablespaceReadOnly { id: 1 })),
            "{refused:?}"
        );
    }
    assert_eq!(kernel.record(page, 2).unwrap(), b"three");
    let crashed = fixture.crashed();
    assert!(matches!(
        crashed.touch_page(page),
        Err(RawError::TablespaceReadOnly { id: 1 })
    ));
    crashed
        .alter_tablespace(fixture.space, None, Some(TablespaceState::Online))
        .unwrap();
    crashed.touch_page(page).unwrap();
}

#[test]
fn pages_of_others_and_free_pages_are_not_changed() {
    let fixture = Fixture::new();
    let (kernel, space) = (&fixture.kernel, fixture.space);
    let acts = [Act::Write(1, b"key".to_vec(), Some(b"value".to_vec()))];
    commit(kernel, &acts, 0).unwrap();
    let tree = kernel.snapshot().tree(1).unwrap().unwrap().root;
    let of_others = [
        (PageId::new(space, 0), "header"),
        (PageId::new(space, 1), "free-space map"),
        (PageId::new(TablespaceId::MAIN, 0), "header"),
        (PageId::new(TablespaceId::MAIN, 1), "free-space map"),
        (PageId::new(TablespaceId::MAIN, 2), "directory"),
        (tree, "a table or an index"),
    ];
    for (page, owner) in of_others {
        let image = random_image(&SeededRng::new(1), page).0;
        let refusals = [
            kernel.insert_record(page, b"x").map(drop),
            kernel.reset_page(page),
            kernel.write_pages(vec![(page, image.clone())]),
            kernel.stage_page(page, image),
            kernel.reseal_page(page).map(drop),
            kernel.merge_pages(fixture.page, page).map(drop),
        ];
        for refused in refusals {
            match refused {
                Err(RawError::PageInUse { page: named, by }) => assert!(named == page && by.contains(owner)),
                refused => panic!("{page}: {refused:?}"),
            }
        }
        assert_eq!(kernel.verify_page(page).unwrap().problem, None, "{page}");
        assert!(kernel.fetch_page(page).is_ok());
    }
    for page in [
        PageId::new(space, 3),
        PageId::new(space, 64),
        PageId::new(space, u32::MAX),
    ] {
        let refusals = [
            kernel.insert_record(page, b"x").map(drop),
            kernel.record(page, 0).map(drop),
            kernel.touch_page(page),
            kernel.reset_page(page),
            kernel.fetch_page(page).map(drop),
            kernel.flush_page(page).map(drop),
            kernel.reseal_page(page).map(drop),
            kernel.split_page(page).map(drop),
            kernel.merge_pages(fixture.page, page).map(drop),
        ];
        for refused in refusals {
            assert!(
                matches!(refused, Err(RawError::PageNotFound(named)) if named == page),
                "{refused:?}"
            );
        }
    }
    assert_eq!(
        kernel.page_facts(PageId::new(space, 3)).unwrap().kind,
        PageKind::Free
    );
    assert!(matches!(
        kernel.page_facts(PageId::new(space, 64)),
        Err(RawError::PageNotFound(_))
    ));
    check_rules(kernel, "after refusals");
}

#[test]
fn records_refuse_what_does_not_fit_or_is_not_there() {
    let fixture = Fixture::new();
    let (kernel, page) = (&fixture.kernel, fixture.page);
    let too_long = vec![0; raw::RECORD_BYTES_MAX + 1];
    for refused in [
        kernel.insert_record(page, &too_long).map(drop),
        kernel.update_record(page, 0, &too_long),
    ] {
        assert!(matches!(
            refused,
            Err(RawError::RecordTooLarge {
                size: 8137,
                size_max: 8136
            })
        ));
    }
    for refused in [
        kernel.record(page, 3).map(drop),
        kernel.update_record(page, 3, b""),
        kernel.delete_record(page, 3),
    ] {
        assert!(matches!(refused, Err(RawError::RecordNotFound { slot: 3, .. })));
    }
    let room = kernel.page_facts(page).unwrap().free_bytes;
    match kernel.insert_record(page, &vec![0; room - 7]) {
        Err(RawError::PageFull { free, needed, .. }) => assert_eq!((free, needed), (room, room + 1)),
        refused => panic!("{refused:?}"),
    }
    match kernel.update_record(page, 0, &vec![0; room + 4]) {
        Err(RawError::PageFull { free, needed, .. }) => assert_eq!((free, needed), (room + 3, room + 4)),
        refused => panic!("{refused:?}"),
    }
    kernel.insert_record(page, &vec![0; room - 8]).unwrap();
    assert_eq!(kernel.page_facts(page).unwrap().free_bytes, 0);
    let other = kernel.allocate_page(fixture.space, false).unwrap();
    assert!(matches!(
        kernel.split_page(other),
        Err(RawError::CannotSplit { records: 0, .. })
    ));
    kernel.insert_record(other, b"12345").unwrap();
    match kernel.merge_pages(page, other) {
        Err(RawError::CannotMerge { needed, free, .. }) => assert_eq!((needed, free), (13, 0)),
        refused => panic!("{refused:?}"),
    }
    // A page that was merged is free, and the next that is allocated.
    let third = kernel.allocate_page(fixture.space, false).unwrap();
    kernel.merge_pages(third, other).unwrap();
    assert_eq!(kernel.record(third, 0).unwrap(), b"12345");
    assert_eq!(kernel.page_facts(other).unwrap().kind, PageKind::Free);
    assert_eq!(kernel.allocate_page(fixture.space, false).unwrap(), other);
    assert_eq!(kernel.page_facts(other).unwrap().records, 0);
}

#[test]
fn an_image_that_makes_no_sense_is_refused_with_what_is_wrong() {
    let fixture = Fixture::new();
    let (kernel, page) = (&fixture.kernel, fixture.page);
    let mut good = PageBuf::zeroed();
    raw::format(&mut good, page);
    for record in [&b"aaaa"[..], b"bbbb", b"cccc"] {
        let slot = slotted::count(&*good).unwrap();
        slotted::insert(&mut good, slot, 0, record).unwrap();
    }
    let put = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let slot = |index: usize, offset: u16, length: u16| {
        put(
            48 + 8 * index,
            &[offset.to_le_bytes(), length.to_le_bytes()].concat(),
        )
    };
    let bad = [
        ("page format version", put(header::FORMAT, &[2])),
        ("page id", put(header::PAGE_ID, &[7])),
        ("kind of page", put(header::KIND, &[PageKind::TreeLeaf as u8])),
        ("kind of page", put(header::KIND, &[99])),
        ("flags", put(header::FLAGS, &[1])),
        ("owner", put(header::OWNER, &[1])),
        ("level", put(header::LEVEL, &[1])),
        ("byte 39", put(39, &[1])),
        ("lower fence", put(header::LOWER_FENCE, &[1])),
        ("upper fence", put(header::UPPER_FENCE, &[1])),
        ("bytes 44 to 47", put(header::SPECIFIC, &[1])),
        ("number of slots", put(header::SLOTS, &2000_u16.to_le_bytes())),
        ("offset of the heap", put(header::HEAP, &9000_u16.to_le_bytes())),
        ("offset of the heap", put(header::HEAP, &50_u16.to_le_bytes())),
        ("bytes of gaps", put(header::UNUSED, &[1])),
        ("bytes of gaps", put(header::SLOTS, &2_u16.to_le_bytes())),
        ("upper half of a slot", put(48 + 4, &[1])),
        ("length of an empty slot", slot(1, 0, 4)),
        ("offset of a record", slot(1, 100, 4)),
        ("end of a record", slot(1, 8190, 4)),
        ("begins within another", slot(1, 8186, 4)),
        ("bytes of gaps", slot(1, 0, 0)),
    ];
    for (what, image) in bad {
        let refused = kernel.write_pages(vec![(page, image.clone())]);
        let Err(
            error @ RawError::BadImage {
                page: Some(named), ..
            },
        ) = refused
        else {
            panic!("{what}: {refused:?}");
        };
        assert_eq!(named, page);
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(matches!(
            kernel.stage_page(page, image),
            Err(RawError::BadImage { .. })
        ));
    }
    // One bad page of two: neither is written.
    let other = kernel.allocate_page(fixture.space, false).unwrap();
    let mut second = good.clone();
    header::initialise(&mut second[..], other, PageKind::Overflow);
    assert!(
        kernel
            .write_pages(vec![(page, good.clone()), (other, second)])
            .is_err()
    );
    assert_eq!(kernel.record(page, 0).unwrap(), b"one");
    assert!(matches!(
        kernel.load_page(&put(header::CHECKSUM, &[1])),
        Err(RawError::BadImage { what: "checksum", .. })
    ));
    let mut far = put(header::PAGE_ID, &[0xff; 8]);
    header::seal(&mut far);
    assert!(matches!(
        kernel.load_page(&far),
        Err(RawError::BadImage {
            page: None,
            what: "page id",
            ..
        })
    ));
    kernel.write_pages(vec![(page, good)]).unwrap();
    assert_eq!(kernel.record(page, 2).unwrap(), b"cccc");
    check_rules(kernel, "after refusals");
}

#[test]
fn a_written_page_is_on_disk_and_a_staged_one_after_its_flush() {
    let fixture = Fixture::new();
    let kernel = &fixture.kernel;
    let pages: Vec<PageId> = (0..4)
        .map(|_| kernel.allocate_page(fixture.space, false).unwrap())
        .collect();
    kernel.checkpoint().unwrap();
    let image = |page| random_image(&SeededRng::new(3), page).0;
    let written = pages[3];
    kernel.write_pages(vec![(written, image(written))]).unwrap();
    let (on_disk, newer) = kernel.page_on_disk(written).unwrap();
    assert!(!newer);
    header::verify(&on_disk, written).unwrap();
    assert_eq!(header::lsn(&on_disk[..]), kernel.page_facts(written).unwrap().lsn);
    for page in &pages[..3] {
        kernel.stage_page(*page, image(*page)).unwrap();
        assert!(kernel.page_on_disk(*page).unwrap().1);
    }
    assert_eq!(kernel.staged_pages(), 3);
    let flushed = kernel.flush_staged().unwrap();
    // They are neighbours.
    assert_eq!((flushed.pages, flushed.requests), (3, 1));
    assert_eq!(kernel.staged_pages(), 0);
    assert_eq!(kernel.flush_staged().unwrap(), Default::default());
    kernel.stage_page(pages[0], image(pages[0])).unwrap();
    kernel.stage_page(pages[2], image(pages[2])).unwrap();
    kernel.checkpoint().unwrap();
    assert_eq!(kernel.staged_pages(), 0);
    kernel.stage_page(pages[0], image(pages[0])).unwrap();
    kernel.stage_page(pages[2], image(pages[2])).unwrap();
    let flushed = kernel.flush_staged().unwrap();
    assert_eq!((flushed.pages, flushed.requests), (2, 2));
    kernel.touch_page(pages[0]).unwrap();
    assert!(kernel.page_facts(pages[0]).unwrap().dirty);
    assert!(kernel.flush_page(pages[0]).unwrap());
    assert!(!kernel.flush_page(pages[0]).unwrap());
}

#[test]
fn damage_on_disk_is_judged_and_resealed_or_reset() {
    let fixture = Fixture::new();
    fixture.kernel.checkpoint().unwrap();
    let page = fixture.page;
    let other = fixture.kernel.allocate_page(fixture.space, false).unwrap();
    let fixture = fixture.reopen();
    // A byte of a record, and one of the header's count of gaps.
    fixture.damage(page, 8191);
    fixture.damage(other, 36);
    let kernel = &fixture.kernel;
    let verdict = kernel.verify_page(page).unwrap();
    assert!(verdict.stored != verdict.computed && verdict.problem.unwrap().contains("checksum"));
    assert!(matches!(
        kernel.record(page, 0),
        Err(RawError::Kernel(KernelError::CorruptPage {
            what: "checksum",
            ..
        }))
    ));
    assert!(!kernel.check().unwrap().findings.is_empty());
    let sealed = kernel.reseal_page(page).unwrap();
    let verdict = kernel.verify_page(page).unwrap();
    assert_eq!(
        (verdict.stored, verdict.computed, verdict.problem),
        (sealed, sealed, None)
    );
    assert_eq!(kernel.record(page, 0).unwrap(), [b'o', b'n', b'e' ^ 0x5a]);
    match kernel.reseal_page(other) {
        Err(RawError::BadImage {
            what,
            expected,
            found,
            ..
        }) => {
            assert_eq!((what, expected, found), ("bytes of gaps", 0, 0x5a));
        }
        refused => panic!("{refused:?}"),
    }
    kernel.reset_page(other).unwrap();
    assert_eq!(kernel.page_facts(other).unwrap().records, 0);
    check_rules(kernel, "after repairs");
    let verdict = kernel.verify_page(PageId::new(fixture.space, 9)).unwrap();
    assert_eq!(verdict.problem, None, "a free page may hold anything");
    check_rules(&fixture.crashed(), "after a crash");
}

#[test]
fn fetches_and_frames_are_told() {
    let fixture = Fixture::new().reopen();
    let (kernel, page) = (&fixture.kernel, fixture.page);
    // Header and map are read in order, and the page would be read ahead.
    kernel.read_ahead().set_options(ReadAheadOptions {
        is_on: false,
        ..ReadAheadOptions::default()
    });
    assert!(!kernel.page_facts(PageId::new(fixture.space, 5)).unwrap().resident);
    let (facts, hit) = kernel.fetch_page(page).unwrap();
    assert!(!hit && facts.resident && !facts.dirty);
    assert_eq!(
        (facts.slots, facts.records, facts.gap_bytes, facts.owner),
        (3, 3, 0, 0)
    );
    assert!(kernel.fetch_page(page).unwrap().1);
    kernel.pool().pin_for_client(page).unwrap();
    kernel.delete_record(page, 1).unwrap();
    let listed = kernel.list_pages(fixture.space, 1, 3).unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|page| (page.id.number(), page.in_use, page.dirty, page.pins))
        .collect();
    assert_eq!(
        seen,
        [(1, true, false, 0), (2, true, true, 1), (3, false, false, 0)]
    );
    let facts = kernel.page_facts(page).unwrap();
    assert_eq!((facts.slots, facts.records, facts.gap_bytes), (3, 2, 3));
    assert_eq!(kernel.compact_page(page).unwrap(), 3);
    assert_eq!(kernel.compact_page(page).unwrap(), 0);
    let lsn = kernel.page_facts(page).unwrap().lsn;
    kernel.touch_page(page).unwrap();
    assert!(kernel.page_facts(page).unwrap().lsn > lsn && lsn > Lsn(0));
    // The pin does not keep the tablespace.
    kernel.drop_tablespace(fixture.space).unwrap();
    assert!(kernel.pool().client_pins().is_empty());
    assert!(kernel.pool().page_info(page).is_none());
    assert!(fixture.disk.list("kernel/tablespaces").unwrap().len() == 1);
    check_rules(kernel, "after the drop");
}

#[test]
fn a_number_is_given_again_and_nothing_of_before_is_seen() {
    let fixture = Fixture::new();
    let (kernel, page) = (&fixture.kernel, fixture.page);
    for _ in 0..70 {
        kernel.allocate_page(fixture.space, false).unwrap();
    }
    kernel.checkpoint().unwrap();
    kernel.insert_record(page, b"four").unwrap();
    kernel.drop_tablespace(fixture.space).unwrap();
    assert!(matches!(
        kernel.page_facts(page),
        Err(RawError::TablespaceNotFound { id: 1 })
    ));
    let def = kernel.create_tablespace("again", 0, 64).unwrap();
    assert_eq!((def.id, def.pages, def.pages_in_use), (fixture.space, 64, 2));
    assert_eq!(kernel.allocate_page(def.id, false).unwrap(), page);
    assert_eq!(kernel.page_facts(page).unwrap().records, 0);
    kernel.insert_record(page, b"new").unwrap();
    for kernel in [
        &fixture.crashed(),
        &open(&fixture.disk.crash(Survival::Everything), &fixture.clock).unwrap(),
    ] {
        assert_eq!(kernel.record(page, 0).unwrap(), b"new");
        assert_eq!(kernel.page_facts(page).unwrap().records, 1);
        check_rules(kernel, "after a crash");
    }
}

#[test]
fn a_folder_without_a_record_is_removed_by_the_next_opening() {
    let fixture = Fixture::new();
    let (disk, clock) = (fixture.disk.clone(), fixture.clock.clone());
    drop(fixture);
    disk.create_folder("kernel/tablespaces/00004").unwrap();
    let path = "kernel/tablespaces/00004/0000.pages";
    let file = disk.open(path, OpenMode::New).unwrap();
    file.write_at(&[1; 8192], 0).unwrap();
    drop(file);
    let kernel = open(&disk, &clock).unwrap();
    let names: Vec<_> = disk
        .list("kernel/tablespaces")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["00000", "00001"]);
    check_rules(&kernel, "afterwards");
}

#[test]
fn what_a_recovery_did_is_told() {
    let fixture = Fixture::new();
    let begun = fixture.kernel.recovery();
    assert_eq!((begun.groups, begun.pages), (0, 0));
    let checkpoint = fixture.kernel.checkpoint().unwrap();
    fixture.kernel.insert_record(fixture.page, b"four").unwrap();
    fixture.kernel.allocate_page(fixture.space, false).unwrap();
    let end = fixture.kernel.wal().end();
    fixture.clock.advance_us(77);
    let crashed = fixture.crashed();
    let recovery = crashed.recovery();
    // The record's page; then the new page and the map.
    assert_eq!((recovery.groups, recovery.pages), (2, 3));
    assert_eq!((recovery.redo, recovery.end), (checkpoint.redo, end));
    assert_eq!(recovery.began_at_us, 5_077);
    let again = fixture.reopen().kernel.recovery();
    assert_eq!((again.groups, again.pages), (0, 0));
}
