//! What raw tablespaces should hold, and random operations on both.

use std::collections::BTreeMap;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, RawError, TablespaceDef, TablespaceState};
use rustydb_kernel::page::header::{self, PageKind};
use rustydb_kernel::page::{PageBuf, raw, slotted};
use rustydb_runtime::SeededRng;

/// Tablespaces that a load has at most.
const SPACES_MAX: usize = 3;
/// Pages in use of one that a load has at most.
const PAGES_MAX: usize = 90;
/// Bytes of a page that slots and records share.
const ROOM: usize = 8192 - 48;

/// Slots of a page, each with its record; the last has one.
pub type Slots = Vec<Option<Vec<u8>>>;

/// A raw tablespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    pub name: String,
    pub read_only: bool,
    pub pages: u32,
    pub pages_max: u32,
    pub in_use: BTreeMap<u32, Slots>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawModel {
    pub spaces: BTreeMap<u16, Space>,
    names_given: u64,
}

/// Bytes that a page with these slots has left.
fn free(slots: &Slots) -> usize {
    ROOM - 8 * slots.len() - slots.iter().flatten().map(Vec::len).sum::<usize>()
}

fn trim(slots: &mut Slots) {
    while slots.last().is_some_and(Option::is_none) {
        slots.pop();
    }
}

fn state(read_only: bool) -> TablespaceState {
    match read_only {
        true => TablespaceState::ReadOnly,
        false => TablespaceState::Online,
    }
}

fn random_record(rng: &SeededRng) -> Vec<u8> {
    let length = match rng.below(12) {
        0 => 0,
        1 => rng.below(8200),
        2..=4 => rng.below(2500),
        _ => rng.below(200),
    };
    vec![rng.below(256) as u8; length as usize]
}

/// A page that a client could have made, with gaps and empty slots.
pub fn random_image(rng: &SeededRng, id: PageId) -> (PageBuf, Slots) {
    let mut page = PageBuf::zeroed();
    raw::format(&mut page, id);
    let mut slots = Slots::new();
    for _ in 0..rng.below(20) {
        let mut record = random_record(rng);
        record.truncate(2000);
        if slotted::insert(&mut page, slots.len(), 0, &record).is_ok() {
            slots.push(Some(record));
        }
        if rng.below(4) == 0 && !slots.is_empty() {
            let slot = rng.below(slots.len() as u64) as usize;
            slotted::clear(&mut page, slot).unwrap();
            slots[slot] = None;
        }
    }
    trim(&mut slots);
    slotted::trim_slots(&mut page).unwrap();
    // What a client can't know.
    header::set_lsn(&mut page[..], rustydb_kernel::ids::Lsn(rng.next_u64()));
    (page, slots)
}

impl RawModel {
    /// What the store has.
    pub fn of(kernel: &Kernel) -> Result<RawModel, RawError> {
        let mut model = RawModel::default();
        for def in kernel.tablespaces()? {
            if def.id == TablespaceId::MAIN {
                continue;
            }
            let mut in_use = BTreeMap::new();
            let listed = kernel.list_pages(def.id, 0, usize::MAX)?;
            assert_eq!(listed.len(), def.pages as usize);
            let counts = kernel.count_pages(def.id)?;
            let listed: Vec<_> = listed.iter().filter(|page| page.in_use).collect();
            assert_eq!(counts.in_use, listed.len() as u64);
            assert_eq!(counts.free, u64::from(def.pages) - counts.in_use);
            assert_eq!(u64::from(def.pages_in_use), counts.in_use);
            for page in listed {
                let facts = kernel.page_facts(page.id)?;
                if facts.kind != PageKind::RawSlotted {
                    assert!(page.id.number() < 2, "{facts:?}");
                    continue;
                }
                let slots: Slots = (0..facts.slots as u16)
                    .map(|slot| match kernel.record(page.id, slot) {
                        Ok(record) => Ok(Some(record)),
                        Err(RawError::RecordNotFound { .. }) => Ok(None),
                        Err(error) => Err(error),
                    })
                    .collect::<Result<_, _>>()?;
                assert_eq!(facts.free_bytes, free(&slots), "{facts:?}");
                assert_eq!(facts.records, slots.iter().flatten().count());
                in_use.insert(page.id.number(), slots);
            }
            let space = Space {
                name: def.name,
                read_only: def.state == TablespaceState::ReadOnly,
                pages: def.pages,
                pages_max: def.pages_max,
                in_use,
            };
            model.spaces.insert(def.id.0, space);
        }
        Ok(model)
    }

    /// Whether both hold the same.
    pub fn is(&self, other: &RawModel) -> bool {
        self.spaces == other.spaces
    }

    fn any_space(&self, rng: &SeededRng) -> Option<u16> {
        let place = rng.below(self.spaces.len().max(1) as u64) as usize;
        self.spaces.keys().nth(place).copied()
    }

    fn any_page(&self, rng: &SeededRng) -> Option<PageId> {
        let space = self.any_space(rng)?;
        let pages = &self.spaces[&space].in_use;
        let place = rng.below(pages.len().max(1) as u64) as usize;
        let number = pages.keys().nth(place)?;
        Some(PageId::new(TablespaceId(space), *number))
    }

    fn slots(&mut self, id: PageId) -> &mut Slots {
        let space = self.spaces.get_mut(&id.tablespace().0).unwrap();
        space.in_use.get_mut(&id.number()).unwrap()
    }

    fn is_read_only(&self, id: TablespaceId) -> bool {
        self.spaces[&id.0].read_only
    }

    /// Whether the store has refused when it must, since a tablespace is read-only.
    fn unless_read_only<T>(&self, refused: bool, got: Result<T, RawError>) -> Result<(), RawError> {
        match got {
            Err(RawError::TablespaceReadOnly { id }) if refused => {
                assert!(self.is_read_only(TablespaceId(id)));
                Ok(())
            }
            Ok(_) if refused => panic!("a read-only tablespace was changed"),
            got => got.map(drop),
        }
    }

    /// The page that an allocation must give.
    fn next_page(&mut self, id: TablespaceId) -> Option<PageId> {
        let space = self.spaces.get_mut(&id.0).unwrap();
        let number = (2..).find(|number| !space.in_use.contains_key(number)).unwrap();
        if number >= space.pages {
            if space.pages >= space.pages_max {
                return None;
            }
            space.pages = (space.pages + 64).min(space.pages_max);
        }
        space.in_use.insert(number, Slots::new());
        Some(PageId::new(id, number))
    }

    /// Makes one random operation on both. After an error of the disk the model is as if it had been made.
    pub fn step(&mut self, kernel: &Kernel, rng: &SeededRng) -> Result<(), RawError> {
        let Some(page) = self.any_page(rng) else {
            return match self.any_space(rng) {
                Some(space) if rng.below(4) > 0 => self.allocate(kernel, rng, TablespaceId(space)),
                _ => self.space_step(kernel, rng),
            };
        };
        let refused = self.is_read_only(page.tablespace());
        match rng.below(40) {
            0..=4 => self.space_step(kernel, rng),
            5..=8 => {
                let space = TablespaceId(self.any_space(rng).unwrap());
                self.allocate(kernel, rng, space)
            }
            9..=17 => self.insert(kernel, rng, page),
            18..=20 => self.update(kernel, rng, page),
            21..=24 => self.delete(kernel, rng, page),
            25..=27 => self.split(kernel, page),
            28..=30 => match self.any_page(rng) {
                Some(from) => self.merge(kernel, page, from),
                None => Ok(()),
            },
            31..=35 => self.images(kernel, rng, page),
            36 => {
                if !refused {
                    self.slots(page).clear();
                }
                self.unless_read_only(refused, kernel.reset_page(page))
            }
            37 => self.unless_read_only(refused, kernel.touch_page(page)),
            38 => self.compact(kernel, page),
            _ => {
                kernel.flush_page(page)?;
                assert_eq!(kernel.verify_page(page)?.problem, None);
                Ok(())
            }
        }
    }

    fn space_step(&mut self, kernel: &Kernel, rng: &SeededRng) -> Result<(), RawError> {
        let known = self.any_space(rng);
        match (known, rng.below(5)) {
            (Some(space), 0) => {
                let id = TablespaceId(space);
                self.spaces.remove(&space);
                kernel.drop_tablespace(id)
            }
            (Some(space), 1) => {
                let known = self.spaces.get_mut(&space).unwrap();
                let read_only = !known.read_only && rng.below(2) == 0;
                let pages_max = (rng.below(2) == 0).then(|| rng.below(300) as u32);
                let too_low = pages_max.is_some_and(|pages_max| pages_max < known.pages);
                if !too_low {
                    known.read_only = read_only;
                    known.pages_max = pages_max.unwrap_or(known.pages_max);
                }
                match kernel.alter_tablespace(TablespaceId(space), pages_max, Some(state(read_only))) {
                    Err(RawError::LimitBelowUse { pages, .. }) if too_low => assert_eq!(pages, known.pages),
                    Ok(def) => self.check_def(&def, too_low),
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            _ if self.spaces.len() < SPACES_MAX => self.create(kernel, rng),
            _ => Ok(()),
        }
    }

    fn check_def(&self, def: &TablespaceDef, refused: bool) {
        assert!(!refused, "{def:?}");
        let known = &self.spaces[&def.id.0];
        let found = (&def.name, def.state, def.pages, def.pages_max);
        assert_eq!(
            found,
            (&known.name, state(known.read_only), known.pages, known.pages_max)
        );
        assert_eq!(def.pages_in_use as usize, 2 + known.in_use.len());
    }

    fn create(&mut self, kernel: &Kernel, rng: &SeededRng) -> Result<(), RawError> {
        let pages = rng.below(130) as u32;
        let pages_max = rng.below(200) as u32;
        let id = (1..).find(|id| !self.spaces.contains_key(id)).unwrap();
        self.names_given += 1;
        let name = format!("space {}", self.names_given);
        let needed = pages.max(3);
        if pages_max >= needed {
            let space = Space {
                name: name.clone(),
                read_only: false,
                pages: needed.next_multiple_of(64).min(pages_max),
                pages_max,
                in_use: BTreeMap::new(),
            };
            self.spaces.insert(id, space);
        }
        match kernel.create_tablespace(&name, pages, pages_max) {
            Ok(def) => self.check_def(&def, pages_max < needed),
            Err(RawError::LimitBelowUse { pages, .. }) if pages_max < needed => assert_eq!(pages, needed),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn allocate(&mut self, kernel: &Kernel, rng: &SeededRng, space: TablespaceId) -> Result<(), RawError> {
        if self.spaces[&space.0].in_use.len() >= PAGES_MAX {
            return Ok(());
        }
        let mut after = self.clone();
        let expected = after.next_page(space);
        let read_only = self.is_read_only(space);
        let keep = rng.below(3) == 0;
        if !read_only && expected.is_some() {
            *self = after;
        }
        match kernel.allocate_page(space, keep) {
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::Kernel(KernelError::TablespaceFull { .. })) if !read_only && expected.is_none() => {
            }
            Ok(page) => {
                assert_eq!((Some(page), read_only), (expected, false));
                assert_eq!(kernel.page_facts(page)?.pins, u32::from(keep));
                assert_eq!(kernel.pool().unpin_for_client(page), keep.then_some(0));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn insert(&mut self, kernel: &Kernel, rng: &SeededRng, page: PageId) -> Result<(), RawError> {
        let record = random_record(rng);
        let read_only = self.is_read_only(page.tablespace());
        let slots = self.slots(page);
        let room = free(slots);
        let slot = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        let needed = record.len() + if slot == slots.len() { 8 } else { 0 };
        if record.len() <= ROOM - 8 && !read_only && needed <= room {
            match slots.get_mut(slot) {
                Some(empty) => *empty = Some(record.clone()),
                None => slots.push(Some(record.clone())),
            }
        }
        match kernel.insert_record(page, &record) {
            Ok(got) => assert!(got as usize == slot && needed <= room && !read_only),
            Err(RawError::RecordTooLarge { size, size_max }) => {
                assert!(size == record.len() && size > size_max && size_max == ROOM - 8);
            }
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::PageFull {
                free, needed: asked, ..
            }) => {
                assert_eq!((free, asked), (room, needed));
                assert!(needed > room);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn update(&mut self, kernel: &Kernel, rng: &SeededRng, page: PageId) -> Result<(), RawError> {
        let mut record = random_record(rng);
        record.truncate(ROOM - 8);
        let read_only = self.is_read_only(page.tablespace());
        let slots = self.slots(page);
        let slot = rng.below(slots.len() as u64 + 1) as usize;
        let room = free(slots);
        let old = slots.get_mut(slot).and_then(Option::as_mut);
        let old_length = old.as_ref().map(|old| old.len());
        let fits = old_length.is_some_and(|old| record.len() <= room + old);
        if let Some(old) = old
            && fits
            && !read_only
        {
            old.clone_from(&record);
        }
        match kernel.update_record(page, slot as u16, &record) {
            Ok(()) => assert!(fits && !read_only),
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::RecordNotFound { slot: named, .. }) => {
                assert!(old_length.is_none() && named as usize == slot);
            }
            Err(RawError::PageFull { free, needed, .. }) => {
                assert_eq!(
                    (Some(free), needed),
                    (old_length.map(|old| room + old), record.len())
                );
                assert!(!fits);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn delete(&mut self, kernel: &Kernel, rng: &SeededRng, page: PageId) -> Result<(), RawError> {
        let read_only = self.is_read_only(page.tablespace());
        let slots = self.slots(page);
        let slot = rng.below(slots.len() as u64 + 1) as usize;
        let there = slots.get(slot).is_some_and(Option::is_some);
        if there && !read_only {
            slots[slot] = None;
            trim(slots);
        }
        match kernel.delete_record(page, slot as u16) {
            Ok(()) => assert!(there && !read_only),
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::RecordNotFound { .. }) => assert!(!there),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn split(&mut self, kernel: &Kernel, page: PageId) -> Result<(), RawError> {
        let space = page.tablespace();
        if self.spaces[&space.0].in_use.len() >= PAGES_MAX {
            return Ok(());
        }
        let slots = self.slots(page).clone();
        let bytes = |slots: &[Option<Vec<u8>>]| -> usize {
            slots.iter().flatten().map(|record| record.len() + 8).sum()
        };
        // The first record of those before which both sides have the most alike numbers of bytes.
        let there = (0..slots.len()).filter(|slot| slots[*slot].is_some());
        let middle = there
            .skip(1)
            .min_by_key(|slot| bytes(&slots[..*slot]).abs_diff(bytes(&slots[*slot..])));
        let records = slots.iter().flatten().count();
        let read_only = self.is_read_only(space);
        let mut after = self.clone();
        let expected = after.next_page(space);
        let mut moved = 0;
        if let (Some(middle), Some(new), false) = (middle, expected, read_only) {
            let (mut left, right) = (slots[..middle].to_vec(), slots[middle..].to_vec());
            trim(&mut left);
            moved = right.iter().flatten().count();
            *after.slots(page) = left;
            *after.slots(new) = right;
            *self = after;
        }
        match kernel.split_page(page) {
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::CannotSplit { records: named, .. }) if records < 2 => assert_eq!(named, records),
            Err(RawError::Kernel(KernelError::TablespaceFull { .. })) if expected.is_none() => {}
            Ok(split) => {
                let found = (
                    Some(split.new),
                    Some(split.first_slot.into()),
                    split.records_moved,
                );
                assert_eq!(found, (expected, middle, moved));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn merge(&mut self, kernel: &Kernel, into: PageId, from: PageId) -> Result<(), RawError> {
        let read_only = [into, from]
            .iter()
            .any(|page| self.is_read_only(page.tablespace()));
        let (target, source) = (self.slots(into).clone(), self.slots(from).clone());
        let bytes = source.iter().flatten().map(Vec::len).sum::<usize>() + 8 * source.len();
        let room = free(&target);
        if into != from && !read_only && bytes <= room {
            self.slots(into).extend(source.clone());
            let space = self.spaces.get_mut(&from.tablespace().0).unwrap();
            space.in_use.remove(&from.number());
        }
        match kernel.merge_pages(into, from) {
            Err(RawError::TablespaceReadOnly { .. }) if read_only => {}
            Err(RawError::PageInUse { page, .. }) if into == from => assert_eq!(page, from),
            Err(RawError::CannotMerge { needed, free, .. }) => {
                assert_eq!((needed, free), (bytes, room));
                assert!(needed > room);
            }
            Ok(merge) => {
                assert!(into != from && bytes <= room && !read_only);
                assert_eq!(usize::from(merge.first_slot), target.len());
                assert_eq!(merge.records_moved, source.iter().flatten().count());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whole pages are given in each way that there is.
    fn images(&mut self, kernel: &Kernel, rng: &SeededRng, page: PageId) -> Result<(), RawError> {
        let (mut image, slots) = random_image(rng, page);
        let space = page.tablespace();
        let writes_two = rng.below(4) == 0;
        let other = self.any_page(rng).unwrap_or(page);
        let (second, second_slots) = random_image(rng, other);
        let refused = self.is_read_only(space) || writes_two && self.is_read_only(other.tablespace());
        if !refused {
            // Of two images of one page the later counts.
            if writes_two {
                *self.slots(other) = second_slots;
            }
            *self.slots(page) = slots;
        }
        let got = match rng.below(3) {
            _ if writes_two => kernel.write_pages(vec![(other, second), (page, image)]),
            0 => {
                header::seal(&mut image);
                kernel.load_page(&image).map(|id| assert_eq!(id, page))
            }
            1 => kernel.stage_page(page, image),
            _ => kernel.stage_page(page, image).and_then(|()| {
                let before = kernel.staged_pages() as u64;
                let flushed = kernel.flush_staged()?;
                assert!(before > 0 && flushed.pages == before && flushed.requests <= before);
                assert_eq!(kernel.staged_pages(), 0);
                assert!(!kernel.page_facts(page)?.dirty);
                Ok(())
            }),
        };
        if writes_two && got.is_ok() {
            assert!(!kernel.page_facts(other)?.dirty);
        }
        self.unless_read_only(refused, got)
    }

    fn compact(&mut self, kernel: &Kernel, page: PageId) -> Result<(), RawError> {
        let gaps = kernel.page_facts(page)?.gap_bytes;
        let got = kernel.compact_page(page);
        if let Ok(bytes) = got {
            assert_eq!(bytes, gaps);
            assert_eq!(kernel.page_facts(page)?.gap_bytes, 0);
        }
        self.unless_read_only(self.is_read_only(page.tablespace()), got)
    }

    /// Whether the store holds the same, and keeps its rules.
    pub fn check(&self, kernel: &Kernel, context: &str) {
        let found = RawModel::of(kernel).unwrap_or_else(|error| panic!("{context}: {error}"));
        for (id, space) in &self.spaces {
            let there = found.spaces.get(id);
            assert!(
                there == Some(space),
                "{context}: tablespace {id} differs in {:?}",
                there.map(|there| differing(there, space))
            );
        }
        assert!(self.is(&found), "{context}: {:?}", found.spaces.keys());
        check_rules(kernel, context);
    }
}

fn differing(found: &Space, expected: &Space) -> Vec<u32> {
    let pages = found.in_use.keys().chain(expected.in_use.keys());
    pages
        .copied()
        .filter(|page| found.in_use.get(page) != expected.in_use.get(page))
        .collect()
}

pub fn check_rules(kernel: &Kernel, context: &str) {
    let report = kernel
        .check()
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.findings.is_empty(), "{context}: {:#?}", report.findings);
}
