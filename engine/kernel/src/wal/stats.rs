//! Counters of the log since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a histogram of latencies.
pub const LATENCY_BUCKETS: usize = 32;

/// What the log did since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalStats {
    pub groups: u64,
    /// Bytes of groups with all headers and padding.
    pub bytes: u64,
    /// Writes given to the operating system, and their bytes.
    pub writes: u64,
    pub written_bytes: u64,
    /// Syncs of segment files, all but those of making spare segments.
    pub syncs: u64,
    /// Bucket i counts syncs that took at least 2^i µs and less than 2^(i+1); the first also those below 1 µs, the
    /// last all that took longer.
    pub sync_latency_us: [u64; LATENCY_BUCKETS],
    pub sync_latency_sum_us: u64,
    /// Bytes in the buffer now, not yet written.
    pub buffer_bytes: u64,
    /// Segments begun.
    pub segments_created: u64,
    /// Files of segments filled with zeros and kept ready.
    pub spares_made: u64,
    /// Segments that left the log and whose files wait to be used again.
    pub segments_recycled: u64,
    /// Segments that left the log and whose files were removed.
    pub segments_removed: u64,
    pub segments_archived: u64,
    /// Files that wait to become segments, now.
    pub spares: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub groups: AtomicU64,
    pub bytes: AtomicU64,
    pub writes: AtomicU64,
    pub written_bytes: AtomicU64,
    pub syncs: AtomicU64,
    sync_latency_us: [AtomicU64; LATENCY_BUCKETS],
    sync_latency_sum_us: AtomicU64,
    pub segments_created: AtomicU64,
    pub spares_made: AtomicU64,
    pub segments_recycled: AtomicU64,
    pub segments_removed: AtomicU64,
    pub segments_archived: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub fn synced(&self, latency_us: u64) {
        let bucket = (latency_us.max(1).ilog2() as usize).min(LATENCY_BUCKETS - 1);
        count(&self.syncs, 1);
        count(&self.sync_latency_us[bucket], 1);
        count(&self.sync_latency_sum_us, latency_us);
    }

    pub fn read(&self, buffer_bytes: u64, spares: u64) -> WalStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WalStats {
            groups: get(&self.groups),
            bytes: get(&self.bytes),
            writes: get(&self.writes),
            written_bytes: get(&self.written_bytes),
            syncs: get(&self.syncs),
            sync_latency_us: std::array::from_fn(|bucket| get(&self.sync_latency_us[bucket])),
            sync_latency_sum_us: get(&self.sync_latency_sum_us),
            buffer_bytes,
            segments_created: get(&self.segments_created),
            spares_made: get(&self.spares_made),
            segments_recycled: get(&self.segments_recycled),
            segments_removed: get(&self.segments_removed),
            segments_archived: get(&self.segments_archived),
            spares,
        }
    }
}
