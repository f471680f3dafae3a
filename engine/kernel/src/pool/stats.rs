//! Counters of the pool.
//!
//! Each thread counts in one of [`STRIPES`] sets, so that threads that hit pages don't fight for the line of one
//! counter. A sum over the sets may miss what is being counted at the moment.

use std::cell::Cell;
// Counters are no part of what shuttle explores.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

const STRIPES: usize = 16;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Counters { $(pub $name: AtomicU64,)* }

        /// Counts since the pool was made or they were last reset.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct PoolCounts { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            fn add_to(&self, sum: &mut PoolCounts) {
                $(sum.$name += self.$name.load(Ordering::Relaxed);)*
            }

            fn reset(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// Reads that found their page in a frame.
    hits,
    /// Reads that did not.
    misses,
    /// Pages read from the disk because one was missed.
    loads,
    /// Pages read ahead.
    prefetched,
    /// Reads from the disk that failed.
    load_failures,
    /// Optimistic reads that were repeated because the page was changed meanwhile.
    read_retries,
    /// Reads that took the latch because too many optimistic ones had failed.
    read_latched,
    /// Times that a thread waited for a frame because all were in flux.
    frame_waits,
    /// Pages installed.
    installs,
    /// Pages that left because they were not used again.
    evicted_not_reused,
    /// Pages that left the main queue.
    evicted_aged,
    /// Pages that left because the pool was made smaller.
    evicted_resized,
    /// Pages that were discarded.
    evicted_discarded,
    /// Victims that were dirty and had to be written first.
    evictions_with_write,
    /// Frames that the searches for victims looked at.
    frames_scanned,
    /// Searches for victims.
    scans,
    /// Pages written.
    pages_flushed,
    /// Calls of `write_many`.
    flush_batches,
    /// Dirty pages that were passed over because their group was not durable.
    flush_not_durable,
    /// Times that the log had to be synced for a page to be written.
    log_syncs,
    /// Calls that failed for want of a frame.
    exhausted,
}

#[derive(Debug)]
pub(super) struct Stats(Box<[CachePadded<Counters>]>);

impl Stats {
    pub fn new() -> Stats {
        Stats((0..STRIPES).map(|_| CachePadded::default()).collect())
    }

    /// The counters of the calling thread.
    #[inline]
    pub fn here(&self) -> &Counters {
        &self.0[stripe()]
    }

    pub fn sum(&self) -> PoolCounts {
        let mut sum = PoolCounts::default();
        for counters in &self.0 {
            counters.add_to(&mut sum);
        }
        sum
    }

    pub fn reset(&self) {
        for counters in &self.0 {
            counters.reset();
        }
    }
}

/// Counts one.
#[inline]
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Counts `n`.
pub(super) fn count_n(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get() % STRIPES
    })
}
