//! What requests to the disk were made, and how long they took.

use std::io;

use rustydb_runtime::Clock;

use super::histogram::{Histogram, HistogramSnapshot};
use crate::page::PAGE_BYTES;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestStats {
    /// Requests made of the disk, those that failed too; one carries neighbouring pages.
    pub requests: u64,
    /// Pages that requests carried; 0 of syncs.
    pub pages: u64,
    /// Requests that the disk failed.
    pub failures: u64,
    /// Of every request.
    pub latency: HistogramSnapshot,
}

impl RequestStats {
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE_BYTES as u64
    }

    pub(super) fn add(&mut self, other: &RequestStats) {
        self.requests += other.requests;
        self.pages += other.pages;
        self.failures += other.failures;
        self.latency.add(&other.latency);
    }
}

/// Requests of a tablespace, or of all, since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpaceStats {
    pub reads: RequestStats,
    pub writes: RequestStats,
    pub syncs: RequestStats,
    /// Reservations of room; pages are those that a file grew by.
    pub growths: RequestStats,
    /// Pages that were read and are not what was written.
    pub corrupt_pages: u64,
}

impl SpaceStats {
    pub(super) fn add(&mut self, other: &SpaceStats) {
        self.reads.add(&other.reads);
        self.writes.add(&other.writes);
        self.syncs.add(&other.syncs);
        self.growths.add(&other.growths);
        self.corrupt_pages += other.corrupt_pages;
    }
}

/// Counters of one kind of request.
#[derive(Default)]
pub(super) struct Requests {
    pages: AtomicU64,
    failures: AtomicU64,
    latency: Histogram,
}

impl Requests {
    /// Makes a request that carries `pages`, and counts it; nanoseconds that it took.
    pub fn measure(
        &self,
        clock: &dyn Clock,
        pages: usize,
        request: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<u64> {
        let begun_ns = clock.now_mono_ns();
        let outcome = request();
        let latency_ns = clock.now_mono_ns().saturating_sub(begun_ns);
        self.latency.record(latency_ns);
        self.pages.fetch_add(pages as u64, Ordering::Relaxed);
        self.failures
            .fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
        outcome.map(|()| latency_ns)
    }

    fn stats(&self) -> RequestStats {
        let latency = self.latency.snapshot();
        RequestStats {
            requests: latency.count(),
            pages: self.pages.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            latency,
        }
    }

    fn reset(&self) {
        self.pages.store(0, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.latency.reset();
    }
}

/// Counters of one tablespace.
#[derive(Default)]
pub(super) struct Counters {
    pub reads: Requests,
    pub writes: Requests,
    pub syncs: Requests,
    pub growths: Requests,
    pub corrupt_pages: AtomicU64,
}

impl Counters {
    pub fn stats(&self) -> SpaceStats {
        SpaceStats {
            reads: self.reads.stats(),
            writes: self.writes.stats(),
            syncs: self.syncs.stats(),
            growths: self.growths.stats(),
            corrupt_pages: self.corrupt_pages.load(Ordering::Relaxed),
        }
    }

    pub fn reset(&self) {
        self.reads.reset();
        self.writes.reset();
        self.syncs.reset();
        self.growths.reset();
        self.corrupt_pages.store(0, Ordering::Relaxed);
    }
}
