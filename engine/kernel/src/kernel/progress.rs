//! How far the opening of a store is, for whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::wal::{ReplayProgress, Replayed};

/// What the opening of a store is at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenPhase {
    /// Its files are looked for and opened, or made.
    Opening,
    /// The log is read from the last checkpoint on, and its changes are made again.
    Replaying,
    /// Changed pages are written, so that the next opening need not read that part of the log.
    Writing,
    Open,
}

/// A look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenNow {
    pub phase: OpenPhase,
    pub replay: Replayed,
}

/// Shared between the thread that opens the store and those that look. No number ever goes back.
#[derive(Debug, Clone, Default)]
pub struct OpenProgress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    phase: AtomicU8,
    replay: Arc<ReplayProgress>,
}

impl OpenProgress {
    pub fn now(&self) -> OpenNow {
        // The phase first: what was read in it is not more than what is told.
        let phase = match self.0.phase.load(Ordering::Acquire) {
            0 => OpenPhase::Opening,
            1 => OpenPhase::Replaying,
            2 => OpenPhase::Writing,
            _ => OpenPhase::Open,
        };
        OpenNow {
            phase,
            replay: self.0.replay.now(),
        }
    }

    pub(super) fn reach(&self, phase: OpenPhase) {
        self.0.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn replay(&self) -> Arc<ReplayProgress> {
        Arc::clone(&self.0.replay)
    }
}
