//! Requests of clients for pages that nobody waits for: queued, and served when a client lends its thread.
//!
//! A read brings the page into a frame; a write is [`Kernel::write_pages`]. Both are judged when they are queued, and again
//! when they are served, for the page may have been given back meanwhile.

use super::raw::{RawError, RawResult};
use super::{Inner, Kernel};
use crate::error::{KernelError, Result};
use crate::ids::PageId;
use crate::page::PageBuf;
use crate::pool::PageIo;
use crate::space::{IoPriority, IoQueue, IoQueueOptions, QueueLength, Ticket};
use crate::sync::{Arc, Weak};

/// What became of a request.
#[derive(Debug, Clone)]
pub struct IoOutcome {
    /// The number that it was given when it was queued.
    pub request: u64,
    pub page: PageId,
    pub is_write: bool,
    pub outcome: Result<()>,
}

impl Kernel {
    /// Queues a read of a page in use into a frame; the number of the request.
    ///
    /// # Errors
    /// `TablespaceNotFound`, `PageNotFound` and `QueueFull`.
    pub fn submit_read(&self, id: PageId, priority: IoPriority) -> RawResult<u64> {
        self.inner.must_be_in_use(&self.inner.registry.read(), id)?;
        submitted(self.queue.read(id, priority))
    }

    /// Queues a write of a raw page; the number of the request.
    ///
    /// # Errors
    /// Those of [`Kernel::write_pages`], and `QueueFull`.
    pub fn submit_write(&self, id: PageId, page: PageBuf, priority: IoPriority) -> RawResult<u64> {
        self.inner.must_take(&self.inner.registry.read(), id, &page)?;
        submitted(self.queue.write(id, page, priority))
    }

    /// Serves up to `requests_max` queued requests, the most urgent first, each with those for its neighbours. What became of
    /// them, in the order in which they were served.
    pub fn process_io(&self, requests_max: usize) -> RawResult<Vec<IoOutcome>> {
        let served = self.queue.process(requests_max).into_iter();
        let outcomes = served.map(|served| IoOutcome {
            request: served.request,
            page: served.page,
            is_write: served.is_write,
            outcome: served.outcome,
        });
        Ok(outcomes.collect())
    }

    /// Requests that are queued or being served.
    pub fn io_queue(&self) -> QueueLength {
        self.queue.length()
    }
}

/// A queue whose requests `inner` serves.
pub(super) fn queue(inner: &Arc<Inner>) -> IoQueue {
    let pages = Requests {
        inner: Arc::downgrade(inner),
    };
    let listener = Arc::clone(inner.files.listener());
    IoQueue::telling(Arc::new(pages), IoQueueOptions::default(), listener)
}

fn submitted(ticket: Result<Ticket>) -> RawResult<u64> {
    match ticket {
        Ok(ticket) => Ok(ticket.number()),
        // The only bound that the queue has.
        Err(KernelError::TooLarge { size_max, .. }) => Err(RawError::QueueFull {
            requests_max: size_max,
        }),
        Err(error) => Err(error.into()),
    }
}

/// Pages as clients read and write them.
struct Requests {
    inner: Weak<Inner>,
}

impl Requests {
    fn serve<T>(&self, id: PageId, serve: impl FnOnce(&Inner) -> RawResult<T>) -> Result<T> {
        let inner = self.inner.upgrade().ok_or(KernelError::Closed)?;
        serve(&inner).map_err(|error| match error {
            RawError::Kernel(error) => error,
            refused => KernelError::Io {
                what: format!("serving a request for page {id}"),
                reason: refused.to_string(),
            },
        })
    }
}

impl PageIo for Requests {
    fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        self.serve(id, |inner| {
            inner.must_be_in_use(&inner.registry.read(), id)?;
            Ok(inner.pool.copy(id, page)?)
        })
    }

    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
        let ids: Vec<PageId> = pages.iter().map(|(id, _)| *id).collect();
        if let (Some(inner), Some(first)) = (self.inner.upgrade(), ids.first()) {
            let registry = inner.registry.read();
            if inner.must_be_in_use(&registry, *first).is_ok() {
                // Neighbours with one request; each is judged by itself.
                inner.pool.prefetch_whole(&ids);
            }
        }
        pages.iter_mut().try_for_each(|(id, page)| self.read(*id, page))
    }

    fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64> {
        let Some((first, _)) = pages.first() else {
            return Ok(0);
        };
        self.serve(*first, |inner| Ok(inner.write_raw(pages.to_vec())?.requests))
    }
}
