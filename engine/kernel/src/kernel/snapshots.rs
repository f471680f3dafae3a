//! Which snapshots are open, so that nothing is pruned that one of them sees.

use std::collections::BTreeMap;

use crate::ids::Ts;
use crate::planted::planted;
use crate::sync::Mutex;

/// Open snapshots by their commit, and how many are open of each.
#[derive(Default)]
pub struct Snapshots {
    open: Mutex<BTreeMap<Ts, usize>>,
}

impl Snapshots {
    /// Opens one at the commit that `newest` gives, which is asked under the lock: otherwise what is pruned might be
    /// decided between the two.
    pub fn open(&self, newest: impl FnOnce() -> Ts) -> Ts {
        let mut open = self.open.lock();
        let ts = newest();
        *open.entry(ts).or_insert(0) += 1;
        ts
    }

    /// One at `ts` is closed.
    pub fn close(&self, ts: Ts) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&ts) {
            *count -= 1;
            if *count == 0 {
                open.remove(&ts);
            }
        }
    }

    /// The oldest commit that anybody may still read at: of an open snapshot, or the newest, which the next one gets.
    pub fn horizon(&self, newest: impl FnOnce() -> Ts) -> Ts {
        let open = self.open.lock();
        let newest = newest();
        let oldest = match planted!("oldest-reader-overlooked") {
            true => open.keys().next_back(),
            false => open.keys().next(),
        };
        oldest.map_or(newest, |oldest| (*oldest).min(newest))
    }

    /// Snapshots that are open.
    pub fn count(&self) -> usize {
        self.open.lock().values().sum()
    }
}
