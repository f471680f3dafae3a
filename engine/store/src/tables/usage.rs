//! How often indexes are read. Kept in memory alone: it begins anew with each opening.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::types::ObjectId;

/// What was read by way of an index since the tables were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexUse {
    /// Ranges of it that were read.
    pub scans: u64,
    /// Rows that were found so.
    pub rows_read: u64,
}

/// The same of all indexes. Ids are never given twice, so what is kept of a dropped index misleads nobody.
#[derive(Default)]
pub(super) struct IndexUsage {
    counts: Mutex<HashMap<ObjectId, Arc<Counts>>>,
}

#[derive(Default)]
struct Counts {
    scans: AtomicU64,
    rows_read: AtomicU64,
}

impl IndexUsage {
    pub(super) fn note(&self, index: ObjectId, scans: u64, rows_read: u64) {
        let counts = Arc::clone(self.counts.lock().entry(index).or_default());
        counts.scans.fetch_add(scans, Ordering::Relaxed);
        counts.rows_read.fetch_add(rows_read, Ordering::Relaxed);
    }

    pub(super) fn of(&self, index: ObjectId) -> IndexUse {
        match self.counts.lock().get(&index) {
            None => IndexUse::default(),
            Some(counts) => IndexUse {
                scans: counts.scans.load(Ordering::Relaxed),
                rows_read: counts.rows_read.load(Ordering::Relaxed),
            },
        }
    }

    pub(super) fn forget(&self, index: ObjectId) {
        self.counts.lock().remove(&index);
    }
}
