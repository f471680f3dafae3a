//! Time, from the machine or set by a test.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine learns the time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch. May step when the machine's clock is set.
    fn now_us(&self) -> i64;
    /// Nanoseconds since an arbitrary start. Never goes back: for latencies that are below a microsecond.
    fn now_mono_ns(&self) -> u64;
    /// Microseconds since the same start: for durations and time-outs.
    fn now_mono_us(&self) -> u64 {
        self.now_mono_ns() / 1000
    }
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

    fn now_mono_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock {
    start_us: i64,
    passed_ns: AtomicU64,
}

impl ManualClock {
    /// Starts at `start_us` microseconds since the Unix epoch.
    pub fn new(start_us: i64) -> ManualClock {
        ManualClock {
            start_us,
            passed_ns: AtomicU64::new(0),
        }
    }

    /// Moves all readings on by `by_us` microseconds.
    pub fn advance_us(&self, by_us: u64) {
        self.advance_ns(by_us.saturating_mul(1000));
    }

    /// Moves all readings on by `by_ns` nanoseconds; what is below a microsecond adds up.
    pub fn advance_ns(&self, by_ns: u64) {
        self.passed_ns.fetch_add(by_ns, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        let passed_us = i64::try_from(self.now_mono_us()).unwrap_or(i64::MAX);
        self.start_us.saturating_add(passed_us)
    }

    fn now_mono_ns(&self) -> u64 {
        self.passed_ns.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readings_of_a_manual_clock_agree() {
        let clock = ManualClock::new(-5);
        clock.advance_us(7);
        clock.advance_ns(1999);
        assert_eq!(clock.now_us(), 3);
        assert_eq!(clock.now_mono_us(), 8);
        assert_eq!(clock.now_mono_ns(), 8999);
    }

    #[test]
    fn the_machine_does_not_go_back() {
        let clock = SystemClock::new();
        let first_ns = clock.now_mono_ns();
        assert!(clock.now_mono_ns() >= first_ns);
        assert!(clock.now_mono_us() >= first_ns / 1000);
    }
}
