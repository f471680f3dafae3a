//! What is told of the buffer pool: pages that leave it and are written as it happens, hits, misses and numbers in
//! intervals.
//!
//! The pool tells each hit to whoever listens, in the middle of a read: so it is listened to only while somebody watches, and a
//! hit is no more than one look at whether a page is noted. How many there were comes of the pool's own counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::stream;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use rustydb_contract_storage::{
    BufferPoolMetrics, PageEvicted, PageEvictionReason, PageFlushed, PageHit, PageMiss, PagePinned,
    PageUnpinned, PoolStats, StorageBufferPoolEventsEvent as Told, StorageBufferPoolEventsInput,
    StorageBufferPoolMetricsInput,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_kernel::pool::{EvictionReason, PoolCounts, PoolEvent, PoolEvents};

use super::lies_in;
use super::pool::evictions;
use crate::listeners::Listeners;
use crate::samples::Samples;

/// Time between two looks when the caller names none.
const EVENTS_INTERVAL_MS_DEFAULT: u32 = 100;
const METRICS_INTERVAL_SECONDS_DEFAULT: u32 = 1;

/// Who watches the pool.
pub(super) struct PoolWatch {
    kernel: Arc<Kernel>,
    tap: Arc<Tap>,
    listeners: Arc<Listeners>,
    samples: Samples<Told>,
}

impl PoolWatch {
    pub fn new(kernel: Arc<Kernel>) -> PoolWatch {
        let tap = Arc::new(Tap {
            facts: Topic::new(),
            hit: Noted::default(),
            miss: Noted::default(),
        });
        // A subscription does not keep the kernel from being closed.
        let (told, pool) = (Arc::clone(&tap), Arc::downgrade(&kernel));
        let listeners = Listeners::new(move |listens| {
            let Some(kernel) = pool.upgrade() else { return };
            let listener = || -> Box<dyn PoolEvents> { Box::new(Listener(Arc::clone(&told))) };
            kernel.pool().listen(listens.then(listener));
        });
        PoolWatch {
            kernel,
            tap,
            listeners,
            samples: Samples::default(),
        }
    }

    pub fn events(&self, input: StorageBufferPoolEventsInput) -> Subscription<Told> {
        let interval_ms = input.interval_ms.unwrap_or(EVENTS_INTERVAL_MS_DEFAULT);
        let tablespace = input.tablespace;
        let listening = self.listeners.join();
        let facts = self.tap.facts.subscribe(move |event| {
            // The pool is listened to for as long as this is.
            let _ = &listening;
            let here = page(event).is_none_or(|page| lies_in(page, tablespace));
            here.then(|| event.clone())
        });
        let interval = Duration::from_millis(u64::from(interval_ms));
        let samples = self.samples(interval, |event| Some(event.clone()));
        let (_, facts) = facts.into_parts();
        let (_, samples) = samples.into_parts();
        Subscription::new(None, stream::select(facts, samples))
    }

    pub fn metrics(&self, input: StorageBufferPoolMetricsInput) -> Subscription<BufferPoolMetrics> {
        let seconds = input.interval_seconds.unwrap_or(METRICS_INTERVAL_SECONDS_DEFAULT);
        let interval = match input.interval_ms {
            Some(interval_ms) => Duration::from_millis(u64::from(interval_ms)),
            None => Duration::from_secs(u64::from(seconds)),
        };
        self.samples(interval, |event| match event {
            Told::PoolStats(stats) => Some(BufferPoolMetrics {
                size_bytes: stats.size_bytes,
                total_pages: stats.total_pages,
                free_pages: stats.free_pages,
                dirty_pages: stats.dirty_pages,
                hit_ratio: stats.hit_rate,
                cache_hits: stats.cache_hits,
                cache_misses: stats.cache_misses,
                evictions: stats.evictions,
            }),
            _ => None,
        })
    }

    fn samples<V: Send + 'static>(
        &self,
        interval: Duration,
        choose: impl FnMut(&Told) -> Option<V> + Send + 'static,
    ) -> Subscription<V> {
        let begin = || {
            let mut looks = Looks {
                kernel: Arc::downgrade(&self.kernel),
                tap: Arc::clone(&self.tap),
                told: self.kernel.pool().counts(),
            };
            move || Ok(looks.look())
        };
        self.samples.subscribe(interval, begin, choose)
    }

    pub fn pinned(&self, page_id: u64, pin_count: u32) {
        self.tap
            .facts
            .publish(|| Told::PagePinned(PagePinned { page_id, pin_count }));
    }

    pub fn unpinned(&self, page_id: u64, pin_count: u32) {
        self.tap
            .facts
            .publish(|| Told::PageUnpinned(PageUnpinned { page_id, pin_count }));
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.listeners.count() == 0 && !self.samples.is_looking()
    }
}

/// What listens to the pool.
struct Tap {
    facts: Arc<Topic<Told>>,
    hit: Noted,
    miss: Noted,
}

struct Listener(Arc<Tap>);

impl PoolEvents for Listener {
    fn event(&self, event: PoolEvent) {
        match event {
            PoolEvent::Hit(page) => self.0.hit.note(page),
            PoolEvent::Miss(page) => self.0.miss.note(page),
            PoolEvent::Evicted { page, reason } => self.0.facts.publish(|| {
                Told::PageEvicted(PageEvicted {
                    page_id: page.to_number(),
                    reason: match reason {
                        EvictionReason::NotReused => PageEvictionReason::NotReused,
                        EvictionReason::Aged => PageEvictionReason::Aged,
                        EvictionReason::Resized => PageEvictionReason::Resized,
                        EvictionReason::Discarded => PageEvictionReason::Discarded,
                    },
                })
            }),
            PoolEvent::Flushed { page, .. } => self.0.facts.publish(|| {
                Told::PageFlushed(PageFlushed {
                    page_id: page.to_number(),
                })
            }),
            // The store pins and unpins all the time; clients' pins are told by the operations.
            _ => {}
        }
    }
}

/// No number of a page.
const NOTHING: u64 = u64::MAX;

/// The first page that was read after the last look. Nothing hangs on the order of looks of several intervals: what another one
/// took was read later than the own last look.
struct Noted {
    first: AtomicU64,
    taken: AtomicU64,
}

impl Default for Noted {
    fn default() -> Noted {
        Noted {
            first: AtomicU64::new(NOTHING),
            taken: AtomicU64::new(NOTHING),
        }
    }
}

impl Noted {
    fn note(&self, page: PageId) {
        if self.first.load(Ordering::Relaxed) == NOTHING {
            self.first.store(page.to_number(), Ordering::Relaxed);
        }
    }

    fn take(&self) -> Option<u64> {
        match self.first.swap(NOTHING, Ordering::Relaxed) {
            NOTHING => {}
            first => self.taken.store(first, Ordering::Relaxed),
        }
        Some(self.taken.load(Ordering::Relaxed)).filter(|page| *page != NOTHING)
    }
}

/// Looks in one interval.
struct Looks {
    /// Between looks nobody keeps it from being closed.
    kernel: Weak<Kernel>,
    tap: Arc<Tap>,
    /// Hits and misses up to here are told.
    told: PoolCounts,
}

impl Looks {
    fn look(&mut self) -> Vec<Told> {
        let mut events = Vec::new();
        let Some(kernel) = self.kernel.upgrade() else {
            return events;
        };
        let (info, counts) = (kernel.pool().info(), kernel.pool().counts());
        // Without a page they are counted with the next.
        let hits = counts.hits.saturating_sub(self.told.hits);
        if let (1.., Some(page_id)) = (hits, self.tap.hit.take()) {
            self.told.hits = counts.hits;
            events.push(Told::PageHit(PageHit { page_id, count: hits }));
        }
        let misses = counts.misses.saturating_sub(self.told.misses);
        if let (1.., Some(page_id)) = (misses, self.tap.miss.take()) {
            self.told.misses = counts.misses;
            events.push(Told::PageMiss(PageMiss {
                page_id,
                count: misses,
            }));
        }
        let reads = counts.hits + counts.misses;
        events.push(Told::PoolStats(PoolStats {
            hit_rate: (reads > 0).then(|| counts.hits as f64 / reads as f64),
            total_pages: info.frames as u64,
            used_pages: info.resident as u64,
            dirty_pages: info.dirty as u64,
            free_pages: info.frames.saturating_sub(info.resident) as u64,
            size_bytes: (info.frames * PAGE_BYTES) as u64,
            cache_hits: counts.hits,
            cache_misses: counts.misses,
            evictions: evictions(&counts),
        }));
        events
    }
}

/// The page of what is told one by one.
fn page(event: &Told) -> Option<u64> {
    match event {
        Told::PageEvicted(event) => Some(event.page_id),
        Told::PageFlushed(event) => Some(event.page_id),
        Told::PagePinned(event) => Some(event.page_id),
        Told::PageUnpinned(event) => Some(event.page_id),
        Told::PageHit(_) | Told::PageMiss(_) | Told::PoolStats(_) => None,
    }
}
