//! Time, from the machine or set by a test.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine learns the time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch. May step when the machine's clock is set.
    fn now_us(&self) -> i64;
    /// Microseconds since an arbitrary start. Never goes back: for durations and time-outs.
    fn now_mono_us(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub fn new() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn now_mono_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock {
    start_us: i64,
    passed_us: AtomicI64,
}

impl ManualClock {
    /// Starts at `start_us` microseconds since the Unix epoch.
    pub fn new(start_us: i64) -> ManualClock {
        ManualClock {
            start_us,
            passed_us: AtomicI64::new(0),
        }
    }

    /// Moves both readings on by `by_us` microseconds.
    pub fn advance_us(&self, by_us: u64) {
        self.passed_us
            .fetch_add(i64::try_from(by_us).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.start_us + self.passed_us.load(Ordering::SeqCst)
    }

    fn now_mono_us(&self) -> u64 {
        u64::try_from(self.passed_us.load(Ordering::SeqCst)).unwrap_or(0)
    }
}
