//! What the pool needs of others: pages from the disk, and to know how far the log is durable.

use crate::error::Result;
use crate::ids::{Lsn, PageId, TablespaceId};
use crate::page::PageBuf;

/// Pages on disk. Calls block, come from many threads, and never for one page from two threads at once.
pub trait PageIo: Send + Sync + 'static {
    /// Reads the page `id` into `page`. What is not that page, whole and unchanged, is
    /// [`CorruptPage`](crate::error::KernelError::CorruptPage).
    fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()>;

    /// Reads each page into the buffer beside its id, neighbours with one request. The ids ascend. After an error
    /// the buffers hold nothing of use.
    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()>;

    /// Reads those of the pages that are whole, as [`read_many`](PageIo::read_many) does; which they are. One that is not may be
    /// one that nobody uses, so nobody is told of it.
    fn read_some(&self, pages: &mut [(PageId, PageBuf)]) -> Result<Vec<bool>> {
        self.read_many(pages)?;
        Ok(vec![true; pages.len()])
    }

    /// Pages that a tablespace has room for, as far as they may be read ahead.
    fn pages(&self, _id: TablespaceId) -> u32 {
        0
    }

    /// Sets the checksums and writes, neighbours with one request. The ids ascend. The pages are durable only after a
    /// sync of their files, which is the affair of whoever takes the checkpoint. After an error any of them may
    /// have been written, in part too. Gives how many requests that took.
    fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64>;
}

/// How far the log is durable. A page is written only when the log holds what changed it.
pub trait LogGate: Send + Sync + 'static {
    /// Every group that begins before this position is durable to its end.
    fn durable(&self) -> Lsn;

    /// Makes the log durable, so that [`durable`](LogGate::durable) is at least `end` afterwards. `end` may lie in the
    /// middle of a group; then it is durable to its end.
    fn sync_to(&self, end: Lsn) -> Result<()>;
}
