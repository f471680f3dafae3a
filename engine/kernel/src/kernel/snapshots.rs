//! Which states may still be read, so that nothing is pruned that one of them shows.
//!
//! Everybody may read the states of open snapshots, of named ones, and of every commit since the *window* began: the newest
//! commit that is as old as versions are kept ([`KernelOptions::version_retention_us`]), or the newest at all where they are not
//! kept. A version goes once a newer one was written before the window and no such snapshot lies between the two: so an old
//! snapshot keeps the versions that it shows, and not all that were written since.
//!
//! [`KernelOptions::version_retention_us`]: super::KernelOptions::version_retention_us

use std::collections::{BTreeMap, BTreeSet};

use super::commit_times::CommitTimes;
use super::versions::{NamedSnapshot, VersionError};
use crate::ids::Ts;
use crate::planted::planted;
use crate::sync::Mutex;

/// What may be read, as of the making of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readers {
    /// Snapshots, ascending.
    points: Vec<Ts>,
    /// Every commit from this one on may be read.
    window: Ts,
}

impl Readers {
    /// Of a store that nobody reads: everything may go that is not the newest.
    pub fn none(newest: Ts) -> Readers {
        Readers {
            points: Vec::new(),
            window: newest,
        }
    }

    /// The oldest state that anybody may read.
    pub fn oldest(&self) -> Ts {
        let first = self.points.first().copied();
        first.map_or(self.window, |first| first.min(self.window))
    }

    /// The oldest commit from which on each one may be read.
    pub fn window(&self) -> Ts {
        self.window
    }

    /// Whether somebody may read a version of commit `written` that one of commit `newer` follows.
    pub fn see(&self, written: Ts, newer: Ts) -> bool {
        if newer > self.window {
            return true;
        }
        let next = self
            .points
            .partition_point(|point| match planted!("pruned-too-far") {
                true => *point <= written,
                false => *point < written,
            });
        self.points.get(next).is_some_and(|point| *point < newer)
    }
}

/// The snapshots of a store, and when its commits were made.
#[derive(Default)]
pub struct Snapshots {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Open snapshots by their commit, and how many are open of each.
    open: BTreeMap<Ts, usize>,
    named: BTreeMap<String, NamedSnapshot>,
    retention_us: u64,
    times: CommitTimes,
    /// What was the window of a group: states before it may be gone, but for those of snapshots.
    window: Ts,
}

impl State {
    /// Where the window begins now. It never goes back: what was pruned is gone.
    fn move_window(&mut self, now_us: i64, newest: Ts) -> Ts {
        let begins = match self.retention_us {
            0 => Some(newest),
            kept_us => {
                let kept_us = i64::try_from(kept_us).unwrap_or(i64::MAX);
                self.times.newest_at(now_us.saturating_sub(kept_us))
            }
        };
        self.window = self.window.max(begins.unwrap_or_default().min(newest));
        self.window
    }

    fn open(&mut self, ts: Ts) {
        *self.open.entry(ts).or_insert(0) += 1;
    }
}

impl Snapshots {
    /// Opens one at the commit that `newest` gives, which is asked under the lock: otherwise what is pruned might be
    /// decided between the two.
    pub fn open(&self, newest: impl FnOnce() -> Ts) -> Ts {
        let mut state = self.state.lock();
        let ts = newest();
        state.open(ts);
        ts
    }

    /// Opens one at `ts`, if that state is still there.
    pub fn open_at(&self, ts: Ts, now_us: i64, newest: impl FnOnce() -> Ts) -> Result<(), VersionError> {
        let mut state = self.state.lock();
        let newest = newest();
        if ts > newest {
            return Err(VersionError::NotReached { ts, newest });
        }
        let window = state.move_window(now_us, newest);
        let is_pinned = || state.open.contains_key(&ts) || state.named.values().any(|named| named.ts == ts);
        if ts < window && !is_pinned() {
            return Err(VersionError::TooOld { ts, oldest: window });
        }
        state.open(ts);
        Ok(())
    }

    /// One at `ts` is closed.
    pub fn close(&self, ts: Ts) {
        let open = &mut self.state.lock().open;
        if let Some(count) = open.get_mut(&ts) {
            *count -= 1;
            if *count == 0 {
                open.remove(&ts);
            }
        }
    }

    /// Who may read what while a group is made; `newest` is asked under the lock, as in [`Snapshots::open`].
    pub fn readers(&self, now_us: i64, newest: impl FnOnce() -> Ts) -> Readers {
        let mut state = self.state.lock();
        let window = state.move_window(now_us, newest());
        let named = state.named.values().map(|named| named.ts);
        let points: Vec<Ts> = match state.named.is_empty() {
            true => state.open.keys().copied().collect(),
            false => named
                .chain(state.open.keys().copied())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        };
        let points = match planted!("oldest-reader-overlooked") {
            true => points.into_iter().skip(1).collect(),
            false => points,
        };
        Readers { points, window }
    }

    /// The commit `ts`, made at `at_us`, is durable.
    pub fn note_commit(&self, ts: Ts, at_us: i64) {
        let mut state = self.state.lock();
        let kept_us = i64::try_from(state.retention_us).unwrap_or(i64::MAX);
        state.times.note(ts, at_us, kept_us);
    }

    /// Begins with the state of commit `newest`: older ones are not there.
    pub fn begin(&self, newest: Ts, at_us: i64, retention_us: u64, named: Vec<NamedSnapshot>) {
        let mut state = self.state.lock();
        state.window = newest;
        state.retention_us = retention_us;
        state.times = CommitTimes::default();
        state.times.note(newest, at_us, 0);
        state.named = named
            .into_iter()
            .map(|named| (named.name.clone(), named))
            .collect();
    }

    pub fn retention_us(&self) -> u64 {
        self.state.lock().retention_us
    }

    pub fn set_retention_us(&self, retention_us: u64) {
        self.state.lock().retention_us = retention_us;
    }

    /// The newest commit that was made at `at_us` or before.
    pub fn commit_at(&self, at_us: i64, now_us: i64) -> Result<Ts, VersionError> {
        let state = self.state.lock();
        if at_us > now_us {
            return Err(VersionError::TimeNotReached { at_us, now_us });
        }
        state.times.newest_at(at_us).ok_or(VersionError::TimeTooOld {
            at_us,
            oldest_us: state.times.oldest_us().unwrap_or(now_us),
        })
    }

    /// The oldest commit whose state, and that of each later one, may be read.
    pub fn window(&self, now_us: i64, newest: impl FnOnce() -> Ts) -> Ts {
        self.state.lock().move_window(now_us, newest())
    }

    /// The oldest state of a snapshot, open or named.
    pub fn oldest(&self) -> Option<Ts> {
        let state = self.state.lock();
        let named = state.named.values().map(|named| named.ts).min();
        state.open.keys().next().copied().into_iter().chain(named).min()
    }

    /// Snapshots that are open.
    pub fn count(&self) -> usize {
        self.state.lock().open.values().sum()
    }

    pub fn named(&self) -> Vec<NamedSnapshot> {
        self.state.lock().named.values().cloned().collect()
    }

    pub fn find_named(&self, name: &str) -> Option<NamedSnapshot> {
        self.state.lock().named.get(name).cloned()
    }

    /// From now on the snapshot keeps its state; a name of `None` is forgotten.
    pub fn set_named(&self, name: &str, snapshot: Option<NamedSnapshot>) {
        let named = &mut self.state.lock().named;
        match snapshot {
            Some(snapshot) => named.insert(name.to_owned(), snapshot),
            None => named.remove(name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition: a version is seen when some state that may be read lies at or behind it and before the next.
    #[test]
    fn readers_see_what_some_readable_state_shows() {
        for bits in 0..64_u64 {
            let points: Vec<Ts> = (0..6).filter(|bit| bits >> bit & 1 == 1).map(Ts).collect();
            for window in 0..8 {
                let readers = Readers {
                    points: points.clone(),
                    window: Ts(window),
                };
                let readable = |ts: u64| ts >= window || points.contains(&Ts(ts));
                for written in 0..8 {
                    for newer in written + 1..10 {
                        let expected = (written..newer).any(readable);
                        assert_eq!(
                            readers.see(Ts(written), Ts(newer)),
                            expected,
                            "{readers:?}: {written} to {newer}"
                        );
                    }
                }
                let oldest = (0..=window).find(|ts| readable(*ts)).expect("the window");
                assert_eq!(readers.oldest(), Ts(oldest));
            }
        }
    }
}
