//! What happens on the way to the disk, for whoever listens.

use crate::ids::PageId;
use crate::listener::Listener;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoEvent {
    /// A request for `pages` neighbours from `page` on is made of the disk.
    Started {
        write: bool,
        page: PageId,
        pages: usize,
        /// In the file of the page, in bytes.
        offset: u64,
    },
    /// It was done.
    Completed {
        write: bool,
        page: PageId,
        pages: usize,
        latency_ns: u64,
    },
    /// The disk failed it.
    Failed {
        write: bool,
        page: PageId,
        reason: String,
    },
    /// A page that was read is not what was written.
    ChecksumFailure {
        page: PageId,
        /// Checksum of its bytes.
        expected: u64,
        /// Checksum that it has.
        found: u64,
    },
    /// Requests that wait in the queue or are being served changed to these numbers.
    QueueDepth { reads: usize, writes: usize },
}

/// A listener. It is called in the middle of a request, by many threads: it returns soon and calls nothing of the kernel.
pub trait IoEvents: Send + Sync + 'static {
    fn event(&self, event: IoEvent);
}

pub(crate) type IoListener = Listener<dyn IoEvents>;

impl IoListener {
    /// Tells what `event` makes, if somebody listens.
    pub fn event(&self, event: impl FnOnce() -> IoEvent) {
        self.tell(|listener| listener.event(event()));
    }
}
