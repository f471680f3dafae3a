//! What can go wrong in the kernel.

use crate::ids::{Lsn, PageId, TablespaceId, Ts};

pub type Result<T, E = KernelError> = std::result::Result<T, E>;

/// Failure of the kernel. Never a panic: what a disk gives back is untrusted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A page on disk is not what was written there.
    #[error("page {page} is corrupt: {what}; expected {expected:#x}, found {found:#x}")]
    CorruptPage {
        page: PageId,
        what: &'static str,
        expected: u64,
        found: u64,
    },
    /// The log is damaged before its end: what it held there was acknowledged.
    #[error("the log is corrupt at {lsn}: {what}")]
    CorruptLog { lsn: Lsn, what: String },
    /// What a reader asked for has left the log.
    #[error("the log no longer holds what follows commit {}; its oldest segment begins behind commit {}", after.0, oldest.0)]
    LogGone { after: Ts, oldest: Ts },
    /// Another part of the data directory is not what was written there.
    #[error("{file} is corrupt: {what}")]
    CorruptFile { file: String, what: String },
    /// The files are of another format.
    #[error("the data directory has format version {found}, this binary reads {supported}")]
    FormatVersion { found: u32, supported: u32 },
    /// An earlier write or sync failed; nothing is accepted until the store is opened again.
    #[error("the store stopped accepting writes after an earlier failure: {reason}; restart the server")]
    Poisoned { reason: String },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// There is no room on the device; nothing was changed, and the call may be repeated once there is.
    #[error("no space is left on the device: {what}")]
    DiskFull { what: String },
    /// The tablespace has all the pages that it may have; nothing was changed.
    #[error("tablespace {} is full at {pages_max} pages; raise its limit", tablespace.0)]
    TablespaceFull {
        tablespace: TablespaceId,
        pages_max: u32,
    },
    /// Every frame of the buffer pool is pinned or not yet durable.
    #[error("all {frames} frames of the buffer pool are in use; make the pool larger or repeat the call")]
    PoolExhausted { frames: u64 },
    /// A part of a batch is over a bound; nothing of the batch is kept.
    #[error("a {what} of size {size} is over the limit of {size_max}")]
    TooLarge {
        what: &'static str,
        size: usize,
        size_max: usize,
    },
    /// The operating system failed a request.
    #[error("{what}: {reason}")]
    Io { what: String, reason: String },
}

impl KernelError {
    /// A page whose checksum holds and whose content makes no sense: it was written so.
    pub fn misshapen(page: PageId, what: &'static str) -> KernelError {
        KernelError::CorruptPage {
            page,
            what,
            expected: 0,
            found: 0,
        }
    }

    /// An error of the operating system while doing `what`.
    pub fn io(what: impl Into<String>, error: &std::io::Error) -> KernelError {
        let what = what.into();
        if error.kind() == std::io::ErrorKind::StorageFull {
            return KernelError::DiskFull { what };
        }
        KernelError::Io {
            what,
            reason: error.to_string(),
        }
    }
}
