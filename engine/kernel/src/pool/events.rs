//! What happens in the pool, for whoever listens.

use arc_swap::ArcSwapOption;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ids::{Lsn, PageId};
use crate::sync::Arc;

/// Why a page left its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvictionReason {
    /// It was read at most once since it came, and another page needed a frame.
    NotReused,
    /// It was read often once, but not lately, and another page needed a frame.
    Aged,
    /// The pool was made smaller.
    Resized,
    /// It was discarded, or allocated and never installed.
    Discarded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A read found the page in a frame.
    Hit(PageId),
    /// The page was not in a frame and is read from the disk.
    Miss(PageId),
    Evicted {
        page: PageId,
        reason: EvictionReason,
    },
    /// The page was written to the disk, with the changes of groups up to this one.
    Flushed {
        page: PageId,
        lsn: Lsn,
    },
    Pinned(PageId),
    Unpinned(PageId),
    /// A call failed for want of a frame.
    Full {
        frames: u64,
    },
}

/// A listener. It is called in the middle of the pool's work: it returns soon and calls nothing of the pool.
pub trait PoolEvents: Send + Sync + 'static {
    fn event(&self, event: PoolEvent);
}

/// The listener, if there is one. Nobody listening costs one relaxed load for each event.
#[derive(Default)]
pub(super) struct Listener {
    listening: AtomicBool,
    listener: ArcSwapOption<Box<dyn PoolEvents>>,
}

impl Listener {
    pub fn set(&self, listener: Option<Box<dyn PoolEvents>>) {
        let listening = listener.is_some();
        self.listener.store(listener.map(Arc::new));
        self.listening.store(listening, Ordering::Release);
    }

    #[inline]
    pub fn event(&self, event: PoolEvent) {
        if self.listening.load(Ordering::Relaxed) {
            self.tell(event);
        }
    }

    #[cold]
    fn tell(&self, event: PoolEvent) {
        if let Some(listener) = &*self.listener.load() {
            listener.event(event);
        }
    }
}
