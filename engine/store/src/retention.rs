//! How much of the change log is kept.
//!
//! Readers of the log never hold it back: one that is slower than the log is kept is told so by
//! [`StoreError::LogTrimmed`](crate::error::StoreError::LogTrimmed).

use crate::error::StoreError;
use crate::seam::{CommitSeq, TableStore, WriteBatch};

/// A day.
pub const AGE_US_DEFAULT: u64 = 24 * 3600 * 1_000_000;
/// 4 GiB.
pub const BYTES_DEFAULT: u64 = 4 << 30;

/// Entries that one step reads at most, give or take a commit.
const STEP_ENTRIES: usize = 4096;

/// The oldest commits are removed as soon as either bound is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRetention {
    /// Age of the oldest commit, in microseconds.
    pub age_us: u64,
    /// Size of the log as [`LogExtent::bytes`](crate::seam::LogExtent::bytes) counts it.
    pub bytes: u64,
}

impl Default for LogRetention {
    fn default() -> Self {
        LogRetention {
            age_us: AGE_US_DEFAULT,
            bytes: BYTES_DEFAULT,
        }
    }
}

impl LogRetention {
    /// Removes commits that are beyond a bound, a bounded number of them; blocks until that is durable. Whether
    /// there may be more of them.
    pub fn step(&self, store: &dyn TableStore, now_us: i64) -> Result<bool, StoreError> {
        let extent = store.log_extent()?;
        let entries = store.log_after(extent.trimmed_to, STEP_ENTRIES)?;
        let oldest_kept_us = now_us.saturating_sub_unsigned(self.age_us);
        let mut excess = extent.bytes.saturating_sub(self.bytes);
        let mut last: Option<CommitSeq> = None;
        let mut kept = false;
        for commit in entries.chunk_by(|one, next| one.commit == next.commit) {
            let first = &commit[0];
            if first.committed_at_us >= oldest_kept_us && excess == 0 {
                kept = true;
                break;
            }
            let bytes: u64 = commit.iter().map(|entry| entry.bytes()).sum();
            excess = excess.saturating_sub(bytes);
            last = Some(first.commit);
        }
        if last.is_none() {
            return Ok(false);
        }
        store.commit(WriteBatch {
            trim_log_to: last,
            ..WriteBatch::default()
        })?;
        Ok(!kept)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use rustydb_runtime::{Clock, ManualClock};

    use super::*;
    use crate::testing::MemStore;
    use crate::testing::kernel_store;

    const SECOND_US: u64 = 1_000_000;
    const PAYLOAD_BYTES: usize = 80;
    /// Payload, commit, index and time.
    const ENTRY_BYTES: u64 = 100;

    fn stores() -> Vec<(Arc<dyn TableStore>, Arc<ManualClock>)> {
        let clock = || Arc::new(ManualClock::new(0));
        let (mem, durable) = (clock(), clock());
        vec![
            (Arc::new(MemStore::new(mem.clone())), mem),
            (Arc::new(kernel_store(durable.clone())), durable),
        ]
    }

    /// Commits of `entries` entries each, a second apart.
    fn fill(store: &dyn TableStore, clock: &ManualClock, commits: usize, entries: usize) {
        for _ in 0..commits {
            clock.advance_us(SECOND_US);
            let batch = WriteBatch {
                log: vec![vec![7; PAYLOAD_BYTES]; entries],
                ..WriteBatch::default()
            };
            store.commit(batch).unwrap();
        }
    }

    /// Steps until nothing is left to do.
    fn trim(retention: LogRetention, store: &dyn TableStore, now_us: i64) {
        while retention.step(store, now_us).unwrap() {}
    }

    fn kept(store: &dyn TableStore) -> Vec<u64> {
        let extent = store.log_extent().unwrap();
        let entries = store.log_after(extent.trimmed_to, usize::MAX).unwrap();
        let bytes: u64 = entries.iter().map(|entry| entry.bytes()).sum();
        assert_eq!(bytes, extent.bytes);
        let mut commits: Vec<u64> = entries.iter().map(|entry| entry.commit.0).collect();
        commits.dedup();
        commits
    }

    #[test]
    fn commits_older_than_the_bound_go_and_no_other() {
        for (store, clock) in stores() {
            fill(&*store, &clock, 10, 3);
            let retention = LogRetention {
                age_us: 4 * SECOND_US,
                bytes: u64::MAX,
            };
            trim(retention, &*store, 10 * SECOND_US as i64);
            assert_eq!(kept(&*store), [6, 7, 8, 9, 10]);
            // Nothing has become older: nothing is done.
            let before = store.log_extent().unwrap();
            trim(retention, &*store, 10 * SECOND_US as i64);
            assert_eq!(store.log_extent().unwrap(), before);
        }
    }

    #[test]
    fn the_oldest_commits_go_whole_until_the_log_fits() {
        for (store, clock) in stores() {
            fill(&*store, &clock, 10, 3);
            assert_eq!(store.log_extent().unwrap().bytes, 30 * ENTRY_BYTES);
            let retention = LogRetention {
                age_us: u64::MAX,
                bytes: 10 * ENTRY_BYTES,
            };
            trim(retention, &*store, 0);
            assert_eq!(kept(&*store), [8, 9, 10]);
        }
    }

    #[test]
    fn more_than_a_step_takes_several() {
        for (store, clock) in stores() {
            fill(&*store, &clock, 2 * STEP_ENTRIES / 100, 100);
            let nothing = LogRetention { age_us: 0, bytes: 0 };
            let now_us = clock.now_us() + 1;
            assert!(nothing.step(&*store, now_us).unwrap());
            assert_ne!(kept(&*store), Vec::<u64>::new());
            trim(nothing, &*store, now_us);
            assert_eq!(kept(&*store), Vec::<u64>::new());
        }
    }

    #[test]
    fn a_reader_behind_the_bound_is_told_and_never_skips() {
        for (store, clock) in stores() {
            fill(&*store, &clock, 5, 1);
            let batch = WriteBatch {
                trim_log_to: Some(CommitSeq(3)),
                ..WriteBatch::default()
            };
            store.commit(batch).unwrap();
            for after in 0..3 {
                let found = store.log_after(CommitSeq(after), 10);
                assert!(
                    matches!(
                        found,
                        Err(StoreError::LogTrimmed {
                            trimmed_to: CommitSeq(3),
                            ..
                        })
                    ),
                    "{after}: {found:?}"
                );
            }
            assert_eq!(store.log_after(CommitSeq(3), 10).unwrap().len(), 2);
            // A position of the future removes what there is, and nothing that is to come.
            let batch = WriteBatch {
                trim_log_to: Some(CommitSeq(99)),
                ..WriteBatch::default()
            };
            let last = store.commit(batch).unwrap();
            fill(&*store, &clock, 1, 1);
            assert_eq!(store.log_after(last, 10).unwrap().len(), 1);
        }
    }

    #[test]
    fn each_durable_commit_is_announced() {
        for (store, clock) in stores() {
            let mut commits = store.commits();
            let begun = *commits.borrow_and_update();
            fill(&*store, &clock, 2, 1);
            assert!(commits.has_changed().unwrap());
            assert_eq!(commits.borrow_and_update().0, begun.0 + 2);
            assert!(!commits.has_changed().unwrap());
        }
    }
}
