//! How long things took, cheap to note from many threads.

use std::cell::Cell;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Bucket n counts from 2^(n-1) up to, but without, 2^n nanoseconds; bucket 0 counts 0. The last one, from 2^46
/// (20 hours) on, has no end.
const BUCKETS: usize = 48;

/// Copies of the counters, so that threads seldom share a cache line.
const STRIPES: usize = 8;

/// Two lines: processors fetch them in pairs.
#[repr(align(128))]
struct Stripe {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Stripe {
    fn default() -> Self {
        Stripe {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

/// Counts durations by their binary logarithm.
pub struct Histogram {
    stripes: Box<[Stripe]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }
}

impl Histogram {
    pub fn record(&self, duration_ns: u64) {
        let stripe = &self.stripes[stripe()];
        stripe.counts[bucket(duration_ns)].fetch_add(1, Ordering::Relaxed);
        stripe.sum_ns.fetch_add(duration_ns, Ordering::Relaxed);
        stripe.max_ns.fetch_max(duration_ns, Ordering::Relaxed);
    }

    /// What was recorded so far. What other threads record meanwhile may be there in part.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        for stripe in &self.stripes {
            let counts = std::array::from_fn(|n| stripe.counts[n].load(Ordering::Relaxed));
            sum.add(&HistogramSnapshot {
                counts,
                sum_ns: stripe.sum_ns.load(Ordering::Relaxed),
                max_ns: stripe.max_ns.load(Ordering::Relaxed),
            });
        }
        sum
    }

    /// Forgets all. What other threads record meanwhile may be kept in part.
    pub fn reset(&self) {
        for stripe in &self.stripes {
            for count in &stripe.counts {
                count.store(0, Ordering::Relaxed);
            }
            stripe.sum_ns.store(0, Ordering::Relaxed);
            stripe.max_ns.store(0, Ordering::Relaxed);
        }
    }
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    counts: [u64; BUCKETS],
    sum_ns: u64,
    max_ns: u64,
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        HistogramSnapshot {
            counts: [0; BUCKETS],
            sum_ns: 0,
            max_ns: 0,
        }
    }
}

impl HistogramSnapshot {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The longest, exactly.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// `None` of nothing.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count())
    }

    /// A duration that `per_mille` of 1000 recorded ones do not exceed, at most twice the exact one; `None` of
    /// nothing.
    pub fn quantile_ns(&self, per_mille: u64) -> Option<u64> {
        let count = self.count();
        let rank = u64::try_from((u128::from(count) * u128::from(per_mille)).div_ceil(1000)).unwrap_or(count);
        let mut below = 0;
        let bucket = self.counts.iter().position(|bucket| {
            below += bucket;
            count > 0 && below >= rank.max(1)
        })?;
        Some(upper_bound_ns(bucket).min(self.max_ns))
    }

    /// Buckets that are not empty: the largest duration that counts in it, and how many did.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let numbered = self.counts.iter().enumerate();
        numbered
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (upper_bound_ns(bucket), *count))
    }

    /// As if what `other` counts had been recorded here too.
    pub fn add(&mut self, other: &HistogramSnapshot) {
        for (sum, count) in std::iter::zip(&mut self.counts, &other.counts) {
            *sum += count;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

fn bucket(duration_ns: u64) -> usize {
    ((u64::BITS - duration_ns.leading_zeros()) as usize).min(BUCKETS - 1)
}

fn upper_bound_ns(bucket: usize) -> u64 {
    if bucket == BUCKETS - 1 {
        u64::MAX
    } else {
        (1 << bucket) - 1
    }
}

/// The stripe of this thread.
fn stripe() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = Cell::new(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % STRIPES);
    }
    STRIPE.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_bound_the_exact_ones_from_above_by_twice_at_most() {
        let histogram = Histogram::default();
        let durations: Vec<u64> = (1..=1000).map(|n| n * n).collect();
        for duration in &durations {
            histogram.record(*duration);
        }
        let found = histogram.snapshot();
        assert_eq!((found.count(), found.max_ns()), (1000, 1_000_000));
        assert_eq!(found.sum_ns(), durations.iter().sum::<u64>());
        assert_eq!(found.mean_ns(), Some(durations.iter().sum::<u64>() / 1000));
        for per_mille in [1, 10, 500, 990, 999, 1000] {
            let exact = durations[per_mille as usize - 1];
            let quantile = found.quantile_ns(per_mille).expect("not empty");
            assert!(
                exact <= quantile && quantile <= 2 * exact,
                "{per_mille}: {exact}, {quantile}"
            );
        }
    }

    #[test]
    fn the_ends_of_the_scale_are_counted() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile_ns(500), None);
        assert_eq!(histogram.snapshot().mean_ns(), None);
        histogram.record(0);
        histogram.record(1);
        histogram.record(u64::MAX);
        let buckets: Vec<_> = histogram.snapshot().buckets().collect();
        assert_eq!(buckets, [(0, 1), (1, 1), (u64::MAX, 1)]);
        histogram.reset();
        assert_eq!(histogram.snapshot(), HistogramSnapshot::default());
    }

    #[test]
    fn threads_lose_no_count() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|n| histogram.record(n)));
            }
        });
        let found = histogram.snapshot();
        assert_eq!(
            (found.count(), found.sum_ns()),
            (40_000, 4 * (10_000 * 9_999 / 2))
        );
    }
}
