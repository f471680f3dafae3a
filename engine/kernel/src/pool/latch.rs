//! The latch of a frame: one writer, and readers that take nothing.
//!
//! A latch is a version. A writer makes it odd (bit 0), changes the page and leaves a greater version behind. A
//! reader remembers the version, reads words that may change under it, and believes them only if the version is
//! still the same: a sequence lock, see Boehm, "Can seqlocks get along with programming language memory models?"
//! (MSPC 2012) for why the fences stand where they do.
//!
//! Who has to wait for a writer spins shortly and then sleeps. Sleepers set bit 1 of the version and wait at one of
//! the [`Parking`]'s condition variables, chosen by the latch's address, so that a frame needs no room for one.

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::{Backoff, Condvar, Mutex};

const EXCLUSIVE: u64 = 1;
/// Somebody sleeps until the writer is done. Set only beside [`EXCLUSIVE`].
const WAITERS: u64 = 2;
const VERSION_STEP: u64 = 4;

/// A version at which no writer had the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(u64);

#[derive(Debug)]
pub(super) struct Latch(AtomicU64);

impl Latch {
    pub fn new() -> Latch {
        Latch(AtomicU64::new(0))
    }

    /// Begins an optimistic read. `None` while a writer has the latch.
    #[inline]
    pub fn version(&self) -> Option<Version> {
        let version = self.0.load(Ordering::Acquire);
        (version & EXCLUSIVE == 0).then_some(Version(version))
    }

    /// Whether all that was read since `version` was taken belongs together.
    #[inline]
    pub fn validate(&self, version: Version) -> bool {
        // The words were read with Relaxed loads: the fence keeps them before the load of the version.
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == version.0
    }

    /// Sleeps until no writer has the latch.
    pub fn wait(&self, parking: &Parking) {
        let backoff = Backoff::new();
        while self.0.load(Ordering::Acquire) & EXCLUSIVE != 0 {
            if backoff.is_completed() {
                self.sleep(parking);
            } else {
                backoff.snooze();
            }
        }
    }

    /// Takes the latch, waiting for another writer to be done.
    pub fn exclusive<'a>(&'a self, parking: &'a Parking) -> Exclusive<'a> {
        loop {
            if let Some(held) = self.try_exclusive(parking) {
                return held;
            }
            self.wait(parking);
        }
    }

    /// Takes the latch unless another writer has it.
    pub fn try_exclusive<'a>(&'a self, parking: &'a Parking) -> Option<Exclusive<'a>> {
        let Version(version) = self.version()?;
        self.0
            .compare_exchange(version, version | EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        // The stores to words that follow must not be seen before the version is odd.
        fence(Ordering::Release);
        Some(Exclusive {
            latch: self,
            parking,
            version,
            changed: false,
        })
    }

    fn sleep(&self, parking: &Parking) {
        let stripe = parking.stripe(self);
        let mut guard = stripe.mutex.lock();
        loop {
            let version = self.0.load(Ordering::Acquire);
            if version & EXCLUSIVE == 0 {
                return;
            }
            // The writer clears the bit before it locks the stripe, and the bit is set with the stripe locked: either the
            // exchange fails, or the writer sees the bit and finds this thread asleep.
            let marked =
                self.0
                    .compare_exchange(version, version | WAITERS, Ordering::Relaxed, Ordering::Relaxed);
            if marked.is_ok() {
                stripe.condition.wait(&mut guard);
            }
        }
    }
}

/// The right to change a page; ends when dropped.
#[derive(Debug)]
pub(super) struct Exclusive<'a> {
    latch: &'a Latch,
    parking: &'a Parking,
    /// The version before.
    version: u64,
    changed: bool,
}

impl Exclusive<'_> {
    /// Says that the page or what it is changes, so that optimistic reads of before fail. Comes before the change.
    pub fn change(&mut self) {
        self.changed = true;
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        let step = if self.changed { VERSION_STEP } else { 0 };
        let before = self
            .latch
            .0
            .swap(self.version.wrapping_add(step), Ordering::Release);
        if before & WAITERS != 0 {
            let stripe = self.parking.stripe(self.latch);
            drop(stripe.mutex.lock());
            stripe.condition.notify_all();
        }
    }
}

const STRIPES: usize = 64;

/// Where threads sleep that wait for latches.
#[derive(Debug)]
pub(super) struct Parking(Box<[Stripe]>);

#[derive(Debug)]
struct Stripe {
    mutex: Mutex<()>,
    condition: Condvar,
}

impl Parking {
    pub fn new() -> Parking {
        let stripe = |_| Stripe {
            mutex: Mutex::new(()),
            condition: Condvar::new(),
        };
        Parking((0..STRIPES).map(stripe).collect())
    }

    fn stripe(&self, latch: &Latch) -> &Stripe {
        let address = std::ptr::from_ref(latch).addr() as u64;
        // Frames lie at even distances; the multiplication spreads them over the upper bits.
        let spread = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.0[spread as usize % STRIPES]
    }
}
