//! What the kernel tells of what its groups did.

use crate::ids::{Lsn, PageId};

/// A change of a tree's shape, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEvent {
    /// Keys of `page` went to the new page `to`.
    Split {
        owner: u64,
        page: PageId,
        to: PageId,
        level: u8,
        cells_before: u32,
        cells_after: u32,
        separator: Vec<u8>,
    },
    /// The keys of `from` went to `page`, and `from` was given back.
    Merge {
        owner: u64,
        page: PageId,
        from: PageId,
        level: u8,
        cells_before: u32,
        cells_after: u32,
    },
}

/// Something that happened. What a group did is told once the group is durable, in the order of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelEvent {
    Tree(TreeEvent),
    /// A page was taken into use, by a tree or by a client.
    PageAllocated {
        page: PageId,
    },
    /// A raw page has changed.
    PageModified {
        page: PageId,
        /// What changed it: `insert_record`, `update_record`, `delete_record`, `reset`, `write`, `load`, `touch`, `compact`,
        /// `split`, `merge` or `checksum`.
        operation: &'static str,
    },
    /// The gaps of a raw page were closed.
    PageCompacted {
        page: PageId,
        /// Bytes of the gaps.
        bytes: usize,
    },
    /// Records of a raw page went to the page `new`.
    PageSplit {
        page: PageId,
        new: PageId,
    },
    /// The records of the raw page `from` went to `page`, and `from` was given back.
    PageMerged {
        page: PageId,
        from: PageId,
    },
    /// A checkpoint was taken: recovery begins at `redo` from now on.
    Checkpoint {
        redo: Lsn,
        pages_written: u64,
        files_synced: u64,
        duration_us: u64,
    },
}
