//! Single pages: what they are, their bytes, splitting and merging them.

use rustydb_contract::{Bytes, Lsn, ServiceError, ServiceResult};
use rustydb_contract_core::PageCorruptDetails;
use rustydb_contract_core::errors::PAGE_CORRUPT;
use rustydb_contract_storage::{
    AllocatedPage, CompactedPage, FetchedPage, FlushedPage, LoadedPage, MergeCheck, MergedPages, PageCount,
    PageData, PageDetail, PageEntry, PageKind, PageList, PageSpace, PageVerdict, SealedPage, SplitCheck,
    SplitPage, StorageAllocatePageInput, StorageCheckPageSplitInput, StorageListPagesInput,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::{Kernel, PageFacts, RawError};
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_kernel::page::header::{self, HEADER_BYTES};

use super::errors::refused;
use super::tablespaces::named_or_main;
use super::{bounded, image, page_id, page_of_numbers, pool, tablespace_id};
use crate::identity::error::invalid_argument;

/// Bytes of a page for slots and cells.
const ROOM_BYTES: usize = PAGE_BYTES - HEADER_BYTES;
/// How full a page is to be split unless the caller says.
const USED_PERCENT_MIN_DEFAULT: f64 = 90.0;

pub(super) fn list(kernel: &Kernel, input: StorageListPagesInput) -> ServiceResult<PageList> {
    let tablespace = named_or_main(input.tablespace)?;
    let list = format!("pages {}", tablespace.0);
    let page = page_of_numbers(&list, input.limit, input.after, |from, items_max| {
        let pages = kernel.list_pages(tablespace, from, items_max).map_err(refused)?;
        Ok(pages.into_iter().map(|page| (page.id.number(), page)).collect())
    })?;
    let pins = kernel.pool().client_pins();
    let shown = page.items.into_iter().map(|page| PageEntry {
        id: page.id.to_number(),
        in_use: page.in_use,
        resident: page.resident,
        dirty: page.dirty,
        pins: pool::pins_of(&pins, page.id),
    });
    Ok(PageList {
        pages: shown.collect(),
        next: page.next,
    })
}

pub(super) fn count(kernel: &Kernel, tablespace: Option<u32>) -> ServiceResult<PageCount> {
    let counts = kernel.count_pages(named_or_main(tablespace)?).map_err(refused)?;
    Ok(PageCount {
        pages: counts.pages,
        in_use: counts.in_use,
        free: counts.free,
    })
}

pub(super) fn allocate(kernel: &Kernel, input: &StorageAllocatePageInput) -> ServiceResult<AllocatedPage> {
    let tablespace = tablespace_id("tablespace", input.tablespace)?;
    let made = kernel.allocate_page(tablespace, input.pinned.unwrap_or(false));
    let id = made.map_err(refused)?.to_number();
    Ok(AllocatedPage { id })
}

pub(super) fn get(kernel: &Kernel, id: u64) -> ServiceResult<PageDetail> {
    let facts = kernel.page_facts(page_id("id", id)?).map_err(refused)?;
    Ok(PageDetail {
        id: facts.id.to_number(),
        tablespace: u32::from(facts.id.tablespace().0),
        kind: kind(facts.kind),
        lsn: Lsn(facts.lsn.0),
        slots: bounded(facts.slots),
        records: bounded(facts.records),
        free_bytes: bounded(facts.free_bytes),
        gap_bytes: bounded(facts.gap_bytes),
        resident: facts.resident,
        dirty: facts.dirty,
        pins: pool::pins_of(&kernel.pool().client_pins(), facts.id),
    })
}

pub(super) fn fetch(kernel: &Kernel, id: u64) -> ServiceResult<FetchedPage> {
    let (facts, hit) = kernel.fetch_page(page_id("id", id)?).map_err(refused)?;
    Ok(FetchedPage {
        id,
        kind: kind(facts.kind),
        hit,
    })
}

fn kind(kind: header::PageKind) -> PageKind {
    match kind {
        header::PageKind::Free => PageKind::Free,
        header::PageKind::SpaceHeader => PageKind::Header,
        header::PageKind::Bitmap => PageKind::Map,
        header::PageKind::TreeLeaf => PageKind::TreeLeaf,
        header::PageKind::TreeInner => PageKind::TreeInner,
        header::PageKind::Overflow => PageKind::Overflow,
        header::PageKind::RawSlotted => PageKind::Raw,
    }
}

pub(super) fn load(kernel: &Kernel, data: &Bytes) -> ServiceResult<LoadedPage> {
    let loaded = kernel.load_page(&image(data)?).map_err(refused)?;
    Ok(LoadedPage {
        id: loaded.to_number(),
    })
}

pub(super) fn read(kernel: &Kernel, field: &str, id: u64) -> ServiceResult<PageData> {
    let (page, newer_in_pool) = kernel.page_on_disk(page_id(field, id)?).map_err(refused)?;
    Ok(PageData {
        id,
        data: Bytes(page.to_vec()),
        newer_in_pool,
    })
}

pub(super) fn verify(kernel: &Kernel, id: u64) -> ServiceResult<PageVerdict> {
    let verdict = kernel.verify_page(page_id("id", id)?).map_err(refused)?;
    Ok(PageVerdict {
        sound: verdict.problem.is_none(),
        stored_checksum: checksum_text(verdict.stored),
        computed_checksum: checksum_text(verdict.computed),
        problem: verdict.problem,
    })
}

/// A page that has no structure to give a checksum to is corrupt: nobody gave an image that could be wrong.
pub(super) fn reseal(kernel: &Kernel, id: u64) -> ServiceResult<SealedPage> {
    let page = page_id("id", id)?;
    let checksum = kernel.reseal_page(page).map_err(|error| match error {
        RawError::BadImage {
            what,
            expected,
            found,
            ..
        } => {
            let message = format!("page number {id}: what is on the disk is no page with records: {what}");
            ServiceError::new(
                &PAGE_CORRUPT,
                format!("{message}; write it with storage.write_page, or reset it"),
            )
            .with_details(PageCorruptDetails {
                page_id: id,
                what: what.to_owned(),
                expected: format!("{expected:x}"),
                found: format!("{found:x}"),
            })
        }
        other => refused(other),
    })?;
    Ok(SealedPage {
        checksum: checksum_text(checksum),
    })
}

pub(super) fn checksum_text(checksum: u32) -> String {
    format!("{checksum:08x}")
}

pub(super) fn space(kernel: &Kernel, id: u64) -> ServiceResult<PageSpace> {
    let page = page_id("id", id)?;
    let facts = kernel.page_facts(page).map_err(refused)?;
    if facts.kind == header::PageKind::Free {
        return Err(refused(RawError::PageNotFound(page)));
    }
    Ok(PageSpace {
        free_bytes: bounded(facts.free_bytes),
        contiguous_bytes: bounded(facts.free_bytes.saturating_sub(facts.gap_bytes)),
    })
}

pub(super) fn compact(kernel: &Kernel, id: u64) -> ServiceResult<CompactedPage> {
    let bytes = kernel.compact_page(page_id("id", id)?).map_err(refused)?;
    Ok(CompactedPage {
        reclaimed_bytes: bounded(bytes),
    })
}

pub(super) fn flush(kernel: &Kernel, id: u64) -> ServiceResult<FlushedPage> {
    let written = kernel.flush_page(page_id("id", id)?).map_err(refused)?;
    Ok(FlushedPage { written })
}

pub(super) fn check_split(kernel: &Kernel, input: &StorageCheckPageSplitInput) -> ServiceResult<SplitCheck> {
    let facts = raw_facts(kernel, page_id("id", input.id)?)?;
    let used_percent = used_bytes(&facts) as f64 * 100.0 / ROOM_BYTES as f64;
    let is_full = used_percent >= input.used_percent_min.unwrap_or(USED_PERCENT_MIN_DEFAULT);
    Ok(SplitCheck {
        should_split: is_full && facts.records >= 2,
        used_percent,
        records: bounded(facts.records),
    })
}

pub(super) fn split(kernel: &Kernel, id: u64) -> ServiceResult<SplitPage> {
    let split = kernel.split_page(page_id("id", id)?).map_err(refused)?;
    Ok(SplitPage {
        new_page: split.new.to_number(),
        first_slot: u32::from(split.first_slot),
        records_moved: bounded(split.records_moved),
    })
}

pub(super) fn check_merge(kernel: &Kernel, into: u64, from: u64) -> ServiceResult<MergeCheck> {
    let (into, from) = pair(into, from)?;
    let (into, from) = (raw_facts(kernel, into)?, raw_facts(kernel, from)?);
    let needed = used_bytes(&from);
    Ok(MergeCheck {
        mergeable: needed <= into.free_bytes,
        needed_bytes: bounded(needed),
        free_bytes: bounded(into.free_bytes),
    })
}

pub(super) fn merge(kernel: &Kernel, into: u64, from: u64) -> ServiceResult<MergedPages> {
    let (into, from) = pair(into, from)?;
    let merged = kernel.merge_pages(into, from).map_err(refused)?;
    Ok(MergedPages {
        first_slot: u32::from(merged.first_slot),
        records_moved: bounded(merged.records_moved),
    })
}

/// Two pages that can be asked to become one.
fn pair(into: u64, from: u64) -> ServiceResult<(PageId, PageId)> {
    let (into, from) = (page_id("into", into)?, page_id("from", from)?);
    let why = match () {
        () if into == from => "is the page `into` itself",
        () if into.tablespace() != from.tablespace() => "is of another tablespace than `into`",
        () => return Ok((into, from)),
    };
    let message = format!(
        "from: page {} {why}; give two pages of one tablespace",
        from.to_number()
    );
    Err(invalid_argument("from", message))
}

/// A page of records, or why it is none.
fn raw_facts(kernel: &Kernel, page: PageId) -> ServiceResult<PageFacts> {
    let facts = kernel.page_facts(page).map_err(refused)?;
    let by = match facts.kind {
        header::PageKind::RawSlotted => return Ok(facts),
        header::PageKind::Free => return Err(refused(RawError::PageNotFound(page))),
        header::PageKind::SpaceHeader | header::PageKind::Bitmap => "the format",
        header::PageKind::TreeLeaf | header::PageKind::TreeInner | header::PageKind::Overflow => {
            "a table or an index"
        }
    };
    Err(refused(RawError::PageInUse { page, by }))
}

/// Bytes of the slots and cells of a page.
fn used_bytes(facts: &PageFacts) -> usize {
    ROOM_BYTES.saturating_sub(facts.free_bytes)
}
