//! What the log has of a change makes the same page again.

use rustydb_runtime::SeededRng;

use super::{each_seed, empty, random_bytes, random_cell};
use crate::ids::Ts;
use crate::page::header::{self, HEADER_BYTES, PageKind};
use crate::page::node::{self, Cell, VersionKey};
use crate::page::redo::{self, Change};
use crate::page::slotted::{self, Refused, SLOT_BYTES};
use crate::page::{PAGE_BYTES, PageBuf};

fn random_change<'c>(rng: &SeededRng, page: &PageBuf, cell: &'c [u8]) -> Change<'c> {
    let count = u64::from(header::slots(&page[..]));
    let slot = rng.below(count + 1) as u16;
    match rng.below(12) {
        0..=5 => Change::Insert { slot, cell },
        6..=7 => Change::Replace { slot, cell },
        8 => Change::Remove { slot },
        9 => Change::Clear { slot },
        10 => Change::Compact,
        _ => Change::TrimSlots,
    }
}

fn tree_cell(rng: &SeededRng) -> Vec<u8> {
    let (key, value) = (random_bytes(rng, 40), random_cell(rng));
    let mut bytes = Vec::new();
    Cell {
        ts: Ts(rng.below(9)),
        flags: 0,
        key: &key,
        value: &value,
    }
    .append_to(&mut bytes);
    bytes
}

/// Makes random changes; the page before, their bytes, and the page after.
fn changed(rng: &SeededRng, kind: PageKind) -> (PageBuf, Vec<u8>, PageBuf) {
    let mut page = empty(kind);
    if kind == PageKind::TreeLeaf {
        let (lower, upper) = (VersionKey::newest(b"a"), VersionKey::newest(b"ab"));
        node::format(&mut page, 3, 0, Some(lower), Some(upper)).expect("fences fit");
    }
    let mut before = page.clone();
    let mut log = Vec::new();
    for step in 0..400 {
        if step == 150 {
            // What is redone may begin anywhere.
            before = page.clone();
            log.clear();
        }
        let cell = if kind == PageKind::TreeLeaf {
            tree_cell(rng)
        } else {
            random_cell(rng)
        };
        let change = random_change(rng, &page, &cell);
        let unchanged = page.clone();
        match change.apply(&mut page) {
            Ok(()) => change.append_to(&mut log),
            Err(Refused::Full | Refused::Torn) => assert_eq!(page, unchanged, "{change:?}"),
        }
    }
    (before, log, page)
}

#[test]
fn changes_that_are_made_again_make_the_same_bytes() {
    each_seed(60, |rng| {
        for kind in [PageKind::RawSlotted, PageKind::TreeLeaf] {
            let (mut page, log, expected) = changed(rng, kind);
            redo::apply_all(&mut page, &log).expect("its own log");
            assert_eq!(page, expected);
        }
    });
}

#[test]
fn bits_and_bytes_that_are_set_again_make_the_same_bytes() {
    each_seed(30, |rng| {
        let mut page = empty(PageKind::Bitmap);
        let before = page.clone();
        let mut log = Vec::new();
        for _ in 0..100 {
            let (first, bits) = (rng.below(70_000) as u16, rng.below(3000) as u16);
            let bytes = random_bytes(rng, 50);
            let offset = rng.below(PAGE_BYTES as u64 + 20) as u16;
            let change = match rng.below(3) {
                0 => Change::SetBits { first, bits },
                1 => Change::ClearBits { first, bits },
                _ => Change::Overwrite {
                    offset,
                    bytes: &bytes,
                },
            };
            let unchanged = page.clone();
            match change.apply(&mut page) {
                Ok(()) => change.append_to(&mut log),
                Err(_) => assert_eq!(page, unchanged),
            }
        }
        assert_eq!(
            page[..header::OWNER],
            before[..header::OWNER],
            "what says which page it is stays"
        );
        let mut again = before;
        redo::apply_all(&mut again, &log).expect("its own log");
        assert_eq!(again, page);
    });
}

/// Of a page with slots, what lies between slots and cells is of no meaning and not logged.
fn without_free_room(mut page: PageBuf) -> PageBuf {
    let from = HEADER_BYTES + usize::from(header::slots(&page[..])) * SLOT_BYTES;
    let until = usize::from(header::heap(&page[..]));
    page[from..until].fill(0);
    page
}

#[test]
fn an_image_makes_the_page_whatever_was_there_and_changes_go_on_from_it() {
    each_seed(60, |rng| {
        for kind in [PageKind::RawSlotted, PageKind::TreeLeaf] {
            let (image, log, expected) = changed(rng, kind);
            let mut body = Vec::new();
            redo::append_image(&image, &mut body).expect("a page of its own making");
            assert!(redo::begins_with_image(&body));
            assert!(!redo::begins_with_image(&log));
            let mut page = PageBuf::from_slice(&random_page(rng)).expect("a page");
            redo::apply_all(&mut page, &body).expect("its own image");
            assert_eq!(page, without_free_room(image));
            body.extend_from_slice(&log);
            redo::apply_all(&mut page, &body).expect("its own log");
            assert_eq!(without_free_room(page), without_free_room(expected));
        }
        let mut page = PageBuf::from_slice(&random_page(rng)).expect("a page");
        header::initialise(&mut page[..], super::id(), PageKind::Overflow);
        let mut body = Vec::new();
        redo::append_image(&page, &mut body).expect("a page without slots");
        let mut again = PageBuf::zeroed();
        redo::apply_all(&mut again, &body).expect("its own image");
        assert_eq!(again, page);
    });
}

fn random_page(rng: &SeededRng) -> Vec<u8> {
    let mut bytes = vec![0; PAGE_BYTES];
    rustydb_runtime::Rng::fill(rng, &mut bytes);
    bytes
}

/// An image without the room between slots and cells is what keeps the log small.
#[test]
fn the_image_of_an_empty_page_is_short() {
    let page = empty(PageKind::RawSlotted);
    let mut body = Vec::new();
    redo::append_image(&page, &mut body).expect("an empty page");
    assert!(body.len() < 64, "{}", body.len());
    assert_eq!(slotted::count(&*page), Ok(0));
}
