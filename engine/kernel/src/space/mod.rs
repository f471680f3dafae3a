//! Pages on disk: tablespaces, their files, and requests for pages.
//!
//! A tablespace is a folder of files of [`FILE_PAGES`] pages each. Page n of a tablespace lies in file n / `FILE_PAGES`.
//! Files grow by extents, so that a write never needs room that is not there:
//!
//! ```text
//! <folder>/00000/0000.pages    pages 0 to 131071 of tablespace 0, 1 GiB
//! <folder>/00000/0001.pages    pages 131072 on; the last file is as long as it has grown
//! <folder>/00007/0000.pages    tablespace 7
//! ```
//!
//! [`PageFiles`] is what the buffer pool reads from and writes to ([`PageIo`](crate::pool::PageIo)). Which pages are
//! free, and when a tablespace comes and goes, others know; here a page is a place. [`IoQueue`] takes requests that
//! nobody waits for, in order of priority, and joins neighbours. [`ReadAhead`] notices who reads page after page.
//! [`IoEvents`] is told of requests and of what came of them.
//!
//! Durability: a write is durable after [`PageFiles::sync_all`], or a sync of its tablespace, was begun after it and
//! returned. When a sync fails, nobody knows what is durable: writes and syncs are refused from then on
//! ([`Poisoned`](crate::error::KernelError::Poisoned)), reads go on.
//!
//! After a crash the last file of a tablespace may be shorter than it had grown, because a length that was not
//! synced is lost. Whoever replays the log calls [`PageFiles::ensure`] for the pages that it names. Files before the
//! last are whole: each is synced before the one behind it is made.

mod events;
mod files;
mod histogram;
mod queue;
mod read_ahead;
mod stats;
mod tablespace;
#[cfg(test)]
mod tests;

pub use events::{IoEvent, IoEvents};
pub use files::{PageFiles, PageFilesOptions};
pub use histogram::{Histogram, HistogramSnapshot};
pub use queue::{IoPriority, IoQueue, IoQueueOptions, QueueLength, Served, Ticket};
pub use read_ahead::{ReadAhead, ReadAheadOptions};
pub use stats::{RequestStats, SpaceStats};
pub use tablespace::TablespaceInfo;

/// Pages of a full file: 1 GiB.
pub const FILE_PAGES: u32 = 131_072;

/// Pages by which a file grows: 512 KiB.
pub const EXTENT_PAGES: u32 = 64;
