//! No reader panics, whatever it reads: of a private copy, and of a frame.

use rustydb_runtime::{Rng, SeededRng};

use super::{each_seed, empty, id, random_cell};
use crate::error::Result as KernelResult;
use crate::ids::{Lsn, PageId, Ts};
use crate::page::header::{self, HEADER_BYTES, PageKind};
use crate::page::node::{self, Cell, Place, VersionKey};
use crate::page::redo::{self, Change};
use crate::page::{PAGE_BYTES, PageBuf, PageRead, Torn, bitmap, overflow, slotted};
use crate::pool::{LogGate, PageIo, Pool};
use crate::sync::{Arc, Mutex};
use crate::tree::search::{PageQuery, PageSource};

/// Random bytes; a plausible header before random bytes; or a sound page with a few bytes changed.
fn garbage(rng: &SeededRng) -> PageBuf {
    let mut page = PageBuf::zeroed();
    let kind = PageKind::from_byte(rng.below(7) as u8).expect("a kind");
    match rng.below(3) {
        0 => rng.fill(&mut page[..]),
        1 => {
            rng.fill(&mut page[..]);
            header::initialise(&mut page[..], id(), kind);
            let offset =
                |rng: &SeededRng| [rng.below(9000) as u16, rng.below(65_536) as u16][rng.below(2) as usize];
            let slots = [rng.below(1100) as u16, 1016 + rng.below(3) as u16, offset(rng)];
            header::set_slots(&mut page[..], slots[rng.below(3) as usize]);
            header::set_heap(&mut page[..], offset(rng));
            header::set_unused(&mut page[..], offset(rng));
            header::set_lower_fence(&mut page[..], offset(rng));
            header::set_upper_fence(&mut page[..], offset(rng));
            header::set_specific(&mut page[..], rng.next_u64() as u32);
        }
        _ => {
            page = empty(PageKind::TreeLeaf);
            node::format(
                &mut page,
                3,
                0,
                Some(VersionKey::newest(b"a")),
                Some(VersionKey::newest(b"b")),
            )
            .expect("fences fit");
            for _ in 0..40 {
                let mut cell = Vec::new();
                let value = random_cell(rng);
                Cell {
                    ts: Ts(1),
                    flags: 0,
                    key: b"abc",
                    value: &value,
                }
                .append_to(&mut cell);
                let _ = node::insert(&mut page, 0, &cell);
            }
            for _ in 0..rng.below(8) {
                let end = if rng.below(2) == 0 {
                    PAGE_BYTES
                } else {
                    HEADER_BYTES + 100
                };
                let at = header::OWNER as u64 + rng.below((end - header::OWNER) as u64);
                page[at as usize] = rng.next_u64() as u8;
            }
        }
    }
    page
}

/// Calls everything that reads a page of any kind.
fn read_all<P: PageRead + ?Sized>(page: &P, rng: &SeededRng) -> Result<(), Torn> {
    let key = VersionKey {
        key: &random_cell(rng),
        ts: Ts(rng.next_u64()),
    };
    let index = rng.below(1200) as usize;
    let _ = slotted::count(page);
    let _ = slotted::free_bytes(page);
    let _ = slotted::slot(page, index).map(|slot| node::cell_key_bytes(page, slot));
    let _ = node::lower_bound(page, key);
    let _ = node::compare_lower(page, key);
    let _ = node::compare_upper(page, key);
    let _ = node::upper_fence_ts(page, key.key);
    let _ = node::has_upper_fence(page);
    let _ = node::child_for(page, key);
    let _ = node::child_before(page, key);
    let _ = node::last_child(page);
    let _ = node::child_at(page, index);
    let place = Place {
        page: id(),
        owner: 3,
        level: 0,
    };
    let _ = node::is_at(page, place);
    let mut value = Vec::new();
    for (owner, place) in [(0, 0), (page.u64(header::OWNER)?, (page.u64(56)? >> 32) as u32)] {
        if overflow::read_into(page, owner, place, &mut value).is_ok() {
            assert!(value.len() <= overflow::CONTENT_BYTES);
        }
        let _ = overflow::next(page, owner, place);
    }
    Ok(())
}

/// Calls everything that reads a private copy only.
fn read_copy(page: &PageBuf, rng: &SeededRng) {
    for index in [0, 1, rng.below(1200) as usize] {
        let _ = slotted::cell(page, index);
        let _ = node::cell(page, index).map(|cell| cell.child());
    }
    let _ = node::lower_fence(page);
    let _ = node::upper_fence(page);
    let _ = bitmap::get(page, rng.next_u64() as u16);
    let _ = bitmap::first_clear(page, rng.next_u64() as u16);
    let _ = bitmap::count(page);
    let mut image = Vec::new();
    if redo::append_image(page, &mut image).is_ok() {
        let mut again = PageBuf::zeroed();
        redo::apply_all(&mut again, &image).expect("an image fits any page");
    }
}

#[test]
fn no_reader_panics_on_any_page() {
    each_seed(4000, |rng| {
        let page = garbage(rng);
        let _ = read_all(&*page, rng);
        read_copy(&page, rng);
    });
}

#[test]
fn no_change_panics_on_any_page() {
    each_seed(4000, |rng| {
        let mut page = garbage(rng);
        let cell = random_cell(rng);
        for _ in 0..6 {
            let slot = [rng.below(4) as u16, rng.below(1100) as u16][rng.below(2) as usize];
            let (first, bits) = (rng.next_u64() as u16, rng.next_u64() as u16);
            let change = match rng.below(9) {
                0 => Change::Insert { slot, cell: &cell },
                1 => Change::Replace { slot, cell: &cell },
                2 => Change::Remove { slot },
                3 => Change::Clear { slot },
                4 => Change::Compact,
                5 => Change::Overwrite {
                    offset: first,
                    bytes: &cell,
                },
                6 => Change::SetBits { first, bits },
                7 => Change::ClearBits { first, bits },
                _ => Change::TrimSlots,
            };
            let _ = change.apply(&mut page);
        }
    });
}

#[test]
fn no_log_of_changes_panics() {
    each_seed(4000, |rng| {
        let mut page = garbage(rng);
        let mut log = random_cell(rng);
        if let Some(tag) = log.first_mut() {
            *tag %= 12;
        }
        let _ = redo::apply_all(&mut page, &log);
    });
}

/// Gives one page for every number.
struct One(Mutex<PageBuf>);

impl PageIo for One {
    fn read(&self, _: PageId, page: &mut PageBuf) -> KernelResult<()> {
        page.copy_from_slice(&self.0.lock()[..]);
        Ok(())
    }

    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> KernelResult<()> {
        pages.iter_mut().try_for_each(|(id, page)| self.read(*id, page))
    }

    fn write_many(&self, _: &mut [(PageId, PageBuf)]) -> KernelResult<u64> {
        Ok(0)
    }
}

impl LogGate for One {
    fn durable(&self) -> Lsn {
        Lsn(u64::MAX)
    }

    fn sync_to(&self, _: Lsn) -> KernelResult<()> {
        Ok(())
    }
}

struct ReadAll<'r>(&'r SeededRng);

impl PageQuery for ReadAll<'_> {
    type Answer = ();

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<(), Torn> {
        read_all(page, self.0)
    }
}

#[test]
fn no_reader_panics_on_any_frame() {
    each_seed(40, |rng| {
        let io = Arc::new(One(Mutex::new(PageBuf::zeroed())));
        let pool = Pool::new(16, io.clone(), io.clone());
        for number in 0..100 {
            let page = garbage(rng);
            io.0.lock().copy_from_slice(&page[..]);
            let id = PageId::new(crate::ids::TablespaceId::MAIN, number);
            let _ = pool.query(id, &mut ReadAll(rng));
            let mut copy = PageBuf::zeroed();
            pool.copy(id, &mut copy).expect("a page that can be read");
            assert_eq!(copy, page);
        }
    });
}
