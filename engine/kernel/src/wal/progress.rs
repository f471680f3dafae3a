//! How much of the log a recovery has read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the log that a recovery has read, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Up to the end of the last group whose changes were made again.
    pub bytes: u64,
    /// Up to the end of the last segment, which need not be full: where the log ends is known once it is reached, and is told
    /// here then. 0 before the segments were counted.
    pub bytes_max: u64,
}

/// [`Replayed`], while it goes on.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    bytes: AtomicU64,
    bytes_max: AtomicU64,
}

impl ReplayProgress {
    pub fn now(&self) -> Replayed {
        // In this order it is never more than there may be.
        let bytes = self.bytes.load(Ordering::Acquire);
        Replayed {
            bytes,
            bytes_max: self.bytes_max.load(Ordering::Acquire),
        }
    }

    pub(super) fn begin(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Release);
    }

    pub(super) fn reach(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Release);
    }

    /// The log ended here.
    pub(super) fn end(&self, bytes: u64) {
        self.bytes_max.store(bytes, Ordering::Release);
        self.bytes.store(bytes, Ordering::Release);
    }
}
