//! A raw page against a list of cells.

use rustydb_runtime::SeededRng;

use super::{each_seed, empty, random_cell};
use crate::page::header::{self, HEADER_BYTES, PageKind};
use crate::page::slotted::{self, Refused, SLOT_BYTES};
use crate::page::{PAGE_BYTES, PageBuf};

/// What each slot holds; `None` of an empty one.
type Model = Vec<Option<Vec<u8>>>;

fn check(page: &PageBuf, model: &Model) {
    assert_eq!(slotted::count(&**page), Ok(model.len()));
    let mut used = HEADER_BYTES;
    for (index, expected) in model.iter().enumerate() {
        let slot = slotted::slot(&**page, index).expect("a slot");
        assert_eq!(slot.is_empty(), expected.is_none());
        let expected = expected.as_deref().unwrap_or_default();
        assert_eq!(slotted::cell(page, index), Ok(expected));
        used += SLOT_BYTES + expected.len();
    }
    assert_eq!(slotted::free_bytes(&**page), Ok(PAGE_BYTES - used));
    assert!(slotted::cell(page, model.len()).is_err());
}

fn step(rng: &SeededRng, page: &mut PageBuf, model: &mut Model) {
    let free = slotted::free_bytes(&**page).expect("a page of its own making");
    let at = rng.below(model.len() as u64 + 1) as usize;
    let is_slot = at < model.len();
    let before = page.clone();
    match rng.below(12) {
        0..=4 => {
            let cell = random_cell(rng);
            match slotted::insert(page, at, 7, &cell) {
                Ok(()) => model.insert(at, Some(cell)),
                Err(refused) => {
                    assert_eq!(refused, Refused::Full);
                    assert!(cell.len() + SLOT_BYTES > free, "there was room");
                    assert_eq!(*page, before);
                }
            }
        }
        5..=7 if is_slot => {
            let cell = random_cell(rng);
            let old_bytes = model[at].as_ref().map_or(0, Vec::len);
            match slotted::replace(page, at, 9, &cell) {
                Ok(()) => model[at] = Some(cell),
                Err(refused) => {
                    assert_eq!(refused, Refused::Full);
                    assert!(cell.len() > free + old_bytes, "there was room");
                    assert_eq!(*page, before);
                }
            }
        }
        8 if is_slot => {
            slotted::remove(page, at).expect("a slot");
            model.remove(at);
        }
        9 if is_slot => {
            slotted::clear(page, at).expect("a slot");
            model[at] = None;
        }
        10 => {
            slotted::trim_slots(page).expect("a page of its own making");
            while model.last().is_some_and(Option::is_none) {
                model.pop();
            }
        }
        11 => {
            let gaps = header::unused(&page[..]);
            assert_eq!(slotted::compact(page), Ok(gaps.into()));
            assert_eq!(header::unused(&page[..]), 0);
        }
        _ => assert_eq!(slotted::remove(page, model.len()).ok(), None),
    }
}

#[test]
fn a_page_holds_the_cells_that_its_model_holds() {
    each_seed(60, |rng| {
        let mut page = empty(PageKind::RawSlotted);
        let mut model = Model::new();
        for _ in 0..600 {
            step(rng, &mut page, &mut model);
            check(&page, &model);
        }
    });
}

#[test]
fn a_page_is_filled_to_the_last_byte() {
    let mut page = empty(PageKind::RawSlotted);
    let room = PAGE_BYTES - HEADER_BYTES - SLOT_BYTES;
    assert_eq!(
        slotted::insert(&mut page, 0, 0, &vec![1; room + 1]),
        Err(Refused::Full)
    );
    slotted::insert(&mut page, 0, 0, &vec![1; room]).expect("room");
    assert_eq!(slotted::free_bytes(&*page), Ok(0));
    assert_eq!(slotted::insert(&mut page, 1, 0, &[]), Err(Refused::Full));
    slotted::replace(&mut page, 0, 0, &vec![2; room]).expect("the room of the old cell");
    assert_eq!(slotted::cell(&page, 0), Ok(&vec![2; room][..]));
}

/// Slots that hold nothing take room all the same.
#[test]
fn slots_alone_fill_a_page() {
    let mut page = empty(PageKind::RawSlotted);
    let slots = (PAGE_BYTES - HEADER_BYTES) / SLOT_BYTES;
    for index in 0..slots {
        slotted::insert(&mut page, index, 0, &[]).expect("room");
    }
    assert_eq!(slotted::insert(&mut page, 0, 0, &[]), Err(Refused::Full));
    assert_eq!(slotted::count(&*page), Ok(slots));
}
