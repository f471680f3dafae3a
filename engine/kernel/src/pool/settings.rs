//! What may be set while the pool runs. The pool itself reads the share of the small queue; the rest is for whoever
//! calls `flush_some` in the background.

use std::sync::atomic::{AtomicU64, Ordering};

/// Each may be changed at any time, and takes effect with the next use.
#[derive(Debug)]
pub struct PoolSettings {
    small_queue_permille: AtomicU64,
    flush_interval_ms: AtomicU64,
    flush_pages_max: AtomicU64,
    dirty_permille_max: AtomicU64,
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings {
            small_queue_permille: AtomicU64::new(100),
            flush_interval_ms: AtomicU64::new(200),
            flush_pages_max: AtomicU64::new(256),
            dirty_permille_max: AtomicU64::new(500),
        }
    }
}

impl PoolSettings {
    /// Share of the frames for pages that are new to the pool, in thousandths.
    pub fn small_queue_permille(&self) -> u64 {
        self.small_queue_permille.load(Ordering::Relaxed)
    }

    /// Takes 1 to 900.
    pub fn set_small_queue_permille(&self, permille: u64) {
        self.small_queue_permille
            .store(permille.clamp(1, 900), Ordering::Relaxed);
    }

    /// Milliseconds between two calls of `flush_some` in the background.
    pub fn flush_interval_ms(&self) -> u64 {
        self.flush_interval_ms.load(Ordering::Relaxed)
    }

    /// Takes 1 and more.
    pub fn set_flush_interval_ms(&self, interval_ms: u64) {
        self.flush_interval_ms
            .store(interval_ms.max(1), Ordering::Relaxed);
    }

    /// Pages that one such call writes at most.
    pub fn flush_pages_max(&self) -> u64 {
        self.flush_pages_max.load(Ordering::Relaxed)
    }

    /// Takes 1 and more.
    pub fn set_flush_pages_max(&self, pages_max: u64) {
        self.flush_pages_max.store(pages_max.max(1), Ordering::Relaxed);
    }

    /// Share of the frames that may be dirty before the background writer goes on without a pause, in thousandths.
    pub fn dirty_permille_max(&self) -> u64 {
        self.dirty_permille_max.load(Ordering::Relaxed)
    }

    /// Takes 1 to 1000.
    pub fn set_dirty_permille_max(&self, permille: u64) {
        self.dirty_permille_max
            .store(permille.clamp(1, 1000), Ordering::Relaxed);
    }
}
