//! Records of raw pages, each in a slot whose number it keeps until it is deleted, or goes to another page with its like.
//!
//! A deleted record leaves its slot empty, and the next that is inserted takes it. Empty slots at the end are removed.

use super::raw::{RawError, RawResult, record_in};
use super::raw_pages::tell_modified;
use super::{Inner, Kernel};
use crate::error::KernelError;
use crate::group::{Group, KernelEvent};
use crate::ids::PageId;
use crate::page::redo::Change;
use crate::page::slotted::{self, SLOT_BYTES};
use crate::page::{PageBuf, Torn, raw};

/// What a split did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawSplit {
    /// Page of the records that moved, numbered from slot 0.
    pub new: PageId,
    pub records_moved: usize,
    /// The slot that became slot 0 there; those behind it followed.
    pub first_slot: u16,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawMerge {
    pub records_moved: usize,
    /// What slot 0 of the page that is no more became; those behind it followed.
    pub first_slot: u16,
}

impl Kernel {
    /// Adds a record, in the first empty slot or a new one; which it is.
    ///
    /// # Errors
    /// Besides those of every change: `RecordTooLarge` and `PageFull`.
    pub fn insert_record(&self, id: PageId, record: &[u8]) -> RawResult<u16> {
        check_size(record)?;
        self.inner.change_page(id, "insert_record", |group, page| {
            let empty = raw::first_empty(page).map_err(torn(id))?;
            let slot = match empty {
                Some(slot) => slot,
                None => slotted::count(&**page).map_err(torn(id))?,
            };
            let free = slotted::free_bytes(&**page).map_err(torn(id))?;
            let needed = record.len() + if empty.is_some() { 0 } else { SLOT_BYTES };
            if free < needed {
                return Err(RawError::PageFull {
                    page: id,
                    free,
                    needed,
                });
            }
            let number = slot as u16;
            let change = match empty {
                Some(_) => Change::Replace {
                    slot: number,
                    cell: record,
                },
                None => Change::Insert {
                    slot: number,
                    cell: record,
                },
            };
            must_fit(id, group.work.change(id, change)?)?;
            Ok(number)
        })
    }

    /// Gives the slot another record.
    ///
    /// # Errors
    /// Besides those of every change: `RecordNotFound`, `RecordTooLarge` and `PageFull`.
    pub fn update_record(&self, id: PageId, slot: u16, record: &[u8]) -> RawResult<()> {
        check_size(record)?;
        self.inner.change_page(id, "update_record", |group, page| {
            let old = record_in(page, id, slot)?.len();
            let free = slotted::free_bytes(&**page).map_err(torn(id))? + old;
            if free < record.len() {
                return Err(RawError::PageFull {
                    page: id,
                    free,
                    needed: record.len(),
                });
            }
            must_fit(id, group.work.change(id, Change::Replace { slot, cell: record })?)
        })
    }

    /// Removes the record in a slot.
    ///
    /// # Errors
    /// Besides those of every change: `RecordNotFound`.
    pub fn delete_record(&self, id: PageId, slot: u16) -> RawResult<()> {
        self.inner.change_page(id, "delete_record", |group, page| {
            record_in(page, id, slot)?;
            group.work.change(id, Change::Clear { slot })?;
            if usize::from(slot) + 1 == slotted::count(&**page).map_err(torn(id))? {
                group.work.change(id, Change::TrimSlots)?;
            }
            Ok(())
        })
    }

    /// Moves the slots behind the middle of the records' bytes to a page that is allocated in the same tablespace.
    ///
    /// # Errors
    /// Besides those of every change and of [`Kernel::allocate_page`]: `CannotSplit`.
    pub fn split_page(&self, id: PageId) -> RawResult<RawSplit> {
        self.inner.change_page(id, "split", |group, page| {
            let slots = raw::records(page).map_err(torn(id))?;
            let records = slots.iter().flatten().count();
            let middle = middle(&slots).ok_or(RawError::CannotSplit { page: id, records })?;
            let new = group.allocate(id.tablespace())?;
            let moved = &slots[middle..];
            group.work.create(new, |target| {
                raw::format(target, new);
                moved.iter().enumerate().try_for_each(|(slot, record)| {
                    let made = slotted::insert(target, slot, 0, record.unwrap_or_default());
                    made.map_err(|_| Torn)?;
                    match record {
                        Some(_) => Ok(()),
                        None => slotted::clear(target, slot),
                    }
                })?;
                slotted::trim_slots(target)
            })?;
            for slot in (middle..slots.len()).rev() {
                group.work.change(id, Change::Remove { slot: slot as u16 })?;
            }
            group.work.change(id, Change::TrimSlots)?;
            group.tell(|| KernelEvent::PageSplit { page: id, new });
            Ok(RawSplit {
                new,
                records_moved: moved.iter().flatten().count(),
                first_slot: middle as u16,
            })
        })
    }

    /// Moves the slots of `from` behind those of `into`, and gives `from` back.
    ///
    /// # Errors
    /// Besides those of every change of both pages: `CannotMerge`, and `PageInUse` when both are the same.
    pub fn merge_pages(&self, into: PageId, from: PageId) -> RawResult<RawMerge> {
        let inner = &*self.inner;
        let registry = inner.registry.read();
        let merged = inner.change_raw(|group| {
            inner.must_be_changeable(&registry, into)?;
            inner.must_be_changeable(&registry, from)?;
            if into == from {
                let by = "the merge itself, which keeps the page that it merges into";
                return Err(RawError::PageInUse { page: from, by });
            }
            let source = group.work.page(from)?.clone();
            let mut slots = raw::records(&source).map_err(torn(from))?;
            let used = slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            slots.truncate(used);
            let target = group.work.page(into)?;
            let free = slotted::free_bytes(&**target).map_err(torn(into))?;
            let first = slotted::count(&**target).map_err(torn(into))?;
            let needed = slots.iter().flatten().map(|record| record.len()).sum::<usize>() + used * SLOT_BYTES;
            if free < needed {
                return Err(RawError::CannotMerge {
                    page: into,
                    with: from,
                    needed,
                    free,
                });
            }
            for (slot, record) in (first as u16..).zip(&slots) {
                let cell = record.unwrap_or_default();
                must_fit(into, group.work.change(into, Change::Insert { slot, cell })?)?;
                if record.is_none() {
                    group.work.change(into, Change::Clear { slot })?;
                }
            }
            group.free(from)?;
            tell_modified(group, into, "merge");
            group.tell(|| KernelEvent::PageMerged { page: into, from });
            Ok(RawMerge {
                records_moved: slots.iter().flatten().count(),
                first_slot: first as u16,
            })
        })?;
        inner.staged.lock().remove(&from);
        Ok(merged)
    }
}

fn torn(id: PageId) -> impl Fn(Torn) -> KernelError {
    move |Torn| KernelError::misshapen(id, "slots and cells")
}

/// The room was counted before.
fn must_fit(id: PageId, fits: bool) -> RawResult<()> {
    match fits {
        true => Ok(()),
        false => Err(KernelError::misshapen(id, "less room than its header says").into()),
    }
}

fn check_size(record: &[u8]) -> RawResult<()> {
    if record.len() > raw::RECORD_BYTES_MAX {
        return Err(RawError::RecordTooLarge {
            size: record.len(),
            size_max: raw::RECORD_BYTES_MAX,
        });
    }
    Ok(())
}

/// The slot from which on records move, so that both halves have about as many bytes. `None` with fewer than two records.
fn middle(slots: &[Option<&[u8]>]) -> Option<usize> {
    let bytes = |slots: &[Option<&[u8]>]| -> usize {
        let records = slots.iter().flatten();
        records.map(|record| record.len() + SLOT_BYTES).sum()
    };
    let total = bytes(slots);
    let records = (0..slots.len()).filter(|slot| slots[*slot].is_some());
    records
        .skip(1)
        .min_by_key(|slot| (2 * bytes(&slots[..*slot])).abs_diff(total))
}

impl Inner {
    /// Makes one change of one page, of which `make` gets a copy.
    fn change_page<T>(
        &self,
        id: PageId,
        operation: &'static str,
        make: impl FnOnce(&mut Group<'_>, &PageBuf) -> RawResult<T>,
    ) -> RawResult<T> {
        let registry = self.registry.read();
        self.change_raw(|group| {
            self.must_be_changeable(&registry, id)?;
            let page = group.work.page(id)?.clone();
            let made = make(group, &page)?;
            tell_modified(group, id, operation);
            Ok(made)
        })
    }
}
