//! What can go wrong below the tables.

use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::VersionError;

use crate::seam::{CommitSeq, SpaceId};

/// Failure of the store. Callers tell conflicts, which are worth a retry, from the rest, which are not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction changed a key first.
    #[error("another transaction changed a key of space {} since this one read it", space.0)]
    Conflict { space: SpaceId, key: Vec<u8> },
    /// An earlier write or sync failed; nothing is accepted until the store is reopened.
    #[error("the store stopped accepting writes after an earlier failure: {reason}; restart the server")]
    Poisoned { reason: String },
    /// The files on disk are of another format.
    #[error("the data directory has format version {found}, this binary reads {supported}")]
    FormatVersion { found: u32, supported: u32 },
    /// A part of a batch is over a bound of the store; nothing of the batch is kept.
    #[error("a {what} of size {size} is over the limit of {size_max}")]
    TooLarge {
        what: &'static str,
        size: usize,
        size_max: usize,
    },
    /// Entries after `after` are asked for, and some of them are no longer kept.
    #[error("the change log is kept from behind commit {} on, and commits after {} are asked for", trimmed_to.0, after.0)]
    LogTrimmed { after: CommitSeq, trimmed_to: CommitSeq },
    /// A page on the disk is not what was written there; what lies in others can be used.
    #[error(transparent)]
    CorruptPage(#[from] CorruptPage),
    /// Stored bytes do not decode: corruption, never a user's mistake.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
    /// There is no room for what a commit writes, on the device or within the limit of the tablespace. Nothing of it is kept, and
    /// it may be repeated once there is.
    #[error("{0}")]
    Full(String),
    /// More of the buffer pool is in use than a commit leaves room for. Nothing of it is kept, and it may be repeated.
    #[error("{0}")]
    Busy(String),
    /// A state of the past that is not to be had.
    #[error(transparent)]
    Version(VersionError),
    /// The operating system or the storage library failed.
    #[error("storage failed: {0}")]
    Io(String),
}

/// What of a page is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page {page} is corrupt: {what}; expected {expected:#x}, found {found:#x}")]
pub struct CorruptPage {
    pub page: PageId,
    pub what: &'static str,
    pub expected: u64,
    pub found: u64,
}
