//! What is told of pages: they are taken into use, changed, compacted, split and merged.

use rustydb_contract_storage::{
    PageAllocated, PageCompacted, PageMerged, PageModified, PageOperation, PageSplit, PageSplitReason,
    StoragePageEventsEvent as Told,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::{KernelEvent, TreeEvent};

use super::bounded;

/// The event of what the kernel tells; `None` of what is not about pages.
pub(crate) fn told(event: &KernelEvent) -> Option<Told> {
    Some(match event {
        KernelEvent::Tree(TreeEvent::Split { page, to, level, .. }) => {
            let reason = match level {
                0 => PageSplitReason::LeafFull,
                _ => PageSplitReason::InnerFull,
            };
            split(*page, *to, reason)
        }
        KernelEvent::Tree(TreeEvent::Merge { page, from, .. }) | KernelEvent::PageMerged { page, from } => {
            Told::PageMerged(PageMerged {
                page_id: page.to_number(),
                from_page_id: from.to_number(),
            })
        }
        KernelEvent::PageSplit { page, new } => split(*page, *new, PageSplitReason::Raw),
        KernelEvent::PageAllocated { page } => Told::PageAllocated(PageAllocated {
            page_id: page.to_number(),
        }),
        KernelEvent::PageModified { page, operation } => Told::PageModified(PageModified {
            page_id: page.to_number(),
            operation: known(operation),
        }),
        KernelEvent::PageCompacted { page, bytes } => Told::PageCompacted(PageCompacted {
            page_id: page.to_number(),
            bytes_reclaimed: bounded(*bytes),
        }),
        _ => return None,
    })
}

fn split(page: PageId, new: PageId, reason: PageSplitReason) -> Told {
    Told::PageSplit(PageSplit {
        original_page_id: page.to_number(),
        new_page_id: new.to_number(),
        reason,
    })
}

fn known(operation: &str) -> PageOperation {
    match operation {
        "insert_record" => PageOperation::InsertRecord,
        "update_record" => PageOperation::UpdateRecord,
        "delete_record" => PageOperation::DeleteRecord,
        "reset" => PageOperation::Reset,
        "write" => PageOperation::Write,
        "load" => PageOperation::Load,
        "touch" => PageOperation::Touch,
        "compact" => PageOperation::Compact,
        "split" => PageOperation::Split,
        "merge" => PageOperation::Merge,
        "checksum" => PageOperation::Checksum,
        other => PageOperation::Unrecognized(other.to_owned()),
    }
}

/// The page that an event is about.
pub(super) fn page(event: &Told) -> u64 {
    match event {
        Told::PageAllocated(event) => event.page_id,
        Told::PageModified(event) => event.page_id,
        Told::PageCompacted(event) => event.page_id,
        Told::PageSplit(event) => event.original_page_id,
        Told::PageMerged(event) => event.page_id,
    }
}
