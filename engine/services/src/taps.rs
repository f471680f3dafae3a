//! What the kernel tells as it works, for the views that watch it.
//!
//! Each tap is called in the middle of the kernel's work, on the thread that does it: it passes the fact on to a topic,
//! which makes an event of it only when somebody listens.

use std::sync::Arc;

use rustydb_contract::Lsn;
use rustydb_contract::topic::Topic;
use rustydb_contract_indexes::IndexesIndexEventsEvent;
use rustydb_contract_storage::StoragePageEventsEvent;
use rustydb_contract_transactions::{
    TransactionsWalEventsEvent, WalCheckpoint, WalFlush, WalSegmentArchived, WalSegmentCreated,
    WalSegmentRemovalReason, WalSegmentRemoved, WalTruncate, WalWrite,
};
use rustydb_kernel::kernel::{Kernel, KernelEvent, KernelEvents, TreeEvent};
use rustydb_kernel::wal::{WalEvent, WalEvents};

use crate::storage::page_events;

/// What is told of indexes.
pub(crate) enum IndexFact {
    /// Of a tree, which whoever listens finds the name of.
    Tree(TreeEvent),
    Rebuild(IndexesIndexEventsEvent),
}

/// What listens to a kernel. A clone hears the same.
#[derive(Clone)]
pub(crate) struct Taps {
    pub wal: Arc<Topic<TransactionsWalEventsEvent>>,
    pub indexes: Arc<Topic<IndexFact>>,
    pub pages: Arc<Topic<StoragePageEventsEvent>>,
}

impl Taps {
    /// Listens to the kernel from now on, in the place of who did.
    pub fn new(kernel: &Kernel) -> Taps {
        let taps = Taps {
            wal: Topic::new(),
            indexes: Topic::new(),
            pages: Topic::new(),
        };
        let listener = Arc::new(taps.clone());
        kernel.wal().set_events(Some(listener.clone()));
        kernel.listen(Some(listener));
        taps
    }
}

impl WalEvents for Taps {
    fn event(&self, event: WalEvent) {
        use TransactionsWalEventsEvent as Told;
        let told = match event {
            WalEvent::Write { lsn, bytes } => Told::WalWrite(WalWrite {
                position: lsn.0,
                size_bytes: bytes,
            }),
            WalEvent::Flush {
                durable,
                ts,
                latency_us,
            } => Told::WalFlush(WalFlush {
                lsn: Lsn(ts.0),
                position: durable.0,
                latency_us,
            }),
            WalEvent::SegmentCreated { number } => {
                Told::WalSegmentCreated(WalSegmentCreated { segment_id: number })
            }
            WalEvent::SegmentArchived { number, path } => Told::WalSegmentArchived(WalSegmentArchived {
                segment_id: number,
                archive_path: path,
            }),
            WalEvent::SegmentRemoved { number, recycled } => Told::WalSegmentRemoved(WalSegmentRemoved {
                segment_id: number,
                reason: match recycled {
                    true => WalSegmentRemovalReason::Recycled,
                    false => WalSegmentRemovalReason::Removed,
                },
            }),
            WalEvent::Truncate {
                before,
                first,
                removed,
            } => Told::WalTruncate(WalTruncate {
                position: before.0,
                first_segment: first,
                segments_removed: removed,
            }),
            // Who reads what is damaged is told by an error, which is logged.
            _ => return,
        };
        self.wal.publish(|| told);
    }
}

impl KernelEvents for Taps {
    fn event(&self, event: KernelEvent) {
        if let Some(told) = page_events::told(&event) {
            self.pages.publish(|| told);
        }
        match event {
            KernelEvent::Tree(event) => self.indexes.publish(|| IndexFact::Tree(event)),
            KernelEvent::Checkpoint {
                redo,
                pages_written,
                files_synced,
                duration_us,
            } => self.wal.publish(|| {
                TransactionsWalEventsEvent::WalCheckpoint(WalCheckpoint {
                    position: redo.0,
                    pages_written,
                    files_synced,
                    duration_ms: duration_us as f64 / 1_000.0,
                })
            }),
            _ => {}
        }
    }
}
