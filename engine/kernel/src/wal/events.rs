//! What the log tells whoever listens.

use crate::ids::{Lsn, Ts};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Something that happened to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WalEvent {
    /// Bytes were given to the operating system; they are not durable yet.
    Write {
        lsn: Lsn,
        bytes: u64,
    },
    /// All groups up to `durable` are durable.
    Flush {
        durable: Lsn,
        ts: Ts,
        latency_us: u64,
    },
    /// A segment was begun, in a recycled or a new file.
    SegmentCreated {
        number: u64,
    },
    SegmentArchived {
        number: u64,
        path: String,
    },
    /// A segment left the log; its file was kept for another when `recycled`.
    SegmentRemoved {
        number: u64,
        recycled: bool,
    },
    /// The log begins with segment `first` now.
    Truncate {
        before: Lsn,
        first: u64,
        removed: u64,
    },
    CorruptionDetected {
        lsn: Lsn,
        what: String,
    },
}

/// Listens to the log. Called by the thread to which it happens, which holds no lock that another call of the log
/// needs, but may be in the middle of a commit: return soon.
pub trait WalEvents: Send + Sync + 'static {
    fn event(&self, event: WalEvent);
}

/// Whoever listens. Costs one relaxed load when nobody does.
#[derive(Default)]
pub(super) struct Listener {
    listens: AtomicBool,
    to: arc_swap::ArcSwapOption<Arc<dyn WalEvents>>,
}

impl Listener {
    pub fn set(&self, events: Option<Arc<dyn WalEvents>>) {
        let listens = events.is_some();
        self.to.store(events.map(Arc::new));
        self.listens.store(listens, Ordering::Relaxed);
    }

    pub fn tell(&self, event: impl FnOnce() -> WalEvent) {
        if self.listens.load(Ordering::Relaxed)
            && let Some(listener) = self.to.load_full()
        {
            listener.event(event());
        }
    }
}
