//! The seam in memory: the model that the durable store is compared with, and a quick store for tests.
//!
//! A commit copies every space it changes, so that snapshots stay as they are. Nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use rustydb_runtime::Clock;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::reads::{ReadInterest, RecentWrites};
use crate::seam::{
    CommitSeq, KeyRange, LogEntry, LogExtent, SpaceId, SpaceStats, StoreSnapshot, TableStore, Versioned,
    WriteBatch,
};

/// Nothing outlives it, so every such store may have the same.
const EPOCH: u64 = 1;

pub struct MemStore {
    clock: Arc<dyn Clock>,
    newest: Mutex<Arc<State>>,
    log: Mutex<Log>,
    recent: RecentWrites,
    commits: watch::Sender<CommitSeq>,
}

#[derive(Default)]
struct Log {
    entries: Vec<LogEntry>,
    trimmed_to: CommitSeq,
}

#[derive(Clone, Default)]
struct State {
    seq: CommitSeq,
    spaces: BTreeMap<SpaceId, Arc<Space>>,
}

#[derive(Clone, Default)]
struct Space {
    entries: BTreeMap<Vec<u8>, Versioned>,
    stats: SpaceStats,
}

struct MemSnapshot(Arc<State>);

impl MemStore {
    pub fn new(clock: Arc<dyn Clock>) -> MemStore {
        MemStore {
            clock,
            newest: Mutex::default(),
            log: Mutex::default(),
            recent: RecentWrites::default(),
            commits: watch::Sender::default(),
        }
    }
}

impl TableStore for MemStore {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        Ok(Arc::new(MemSnapshot(self.newest.lock().clone())))
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        let mut newest = self.newest.lock();
        let expectations = batch
            .writes
            .iter()
            .map(|write| (write.space, &write.key, write.expected))
            .chain(
                batch
                    .guards
                    .iter()
                    .map(|guard| (guard.space, &guard.key, guard.expected)),
            );
        for (space, key, expected) in expectations {
            if newest.version(space, key) != expected {
                return Err(StoreError::Conflict {
                    space,
                    key: key.clone(),
                });
            }
        }
        if let Some(validated) = &batch.reads
            && let Some((space, key)) = self.recent.conflict(&validated.reads, validated.snapshot)
        {
            return Err(StoreError::Conflict { space, key });
        }
        if batch.changes_nothing() {
            return Ok(newest.seq);
        }
        let mut state = State::clone(&newest);
        state.seq.0 += 1;
        self.recent.note(state.seq, &batch);
        let committed_at_us = self.clock.now_us();
        for space in batch.dropped_spaces {
            state.spaces.remove(&space);
        }
        for write in batch.writes {
            let space = Arc::make_mut(state.spaces.entry(write.space).or_default());
            let key_bytes = write.key.len() as u64;
            let removed = match write.value {
                Some(value) => {
                    space.stats.entries += 1;
                    space.stats.bytes += key_bytes + value.len() as u64;
                    space.entries.insert(
                        write.key,
                        Versioned {
                            version: state.seq,
                            value,
                        },
                    )
                }
                None => space.entries.remove(&write.key),
            };
            if let Some(removed) = removed {
                space.stats.entries -= 1;
                space.stats.bytes -= key_bytes + removed.value.len() as u64;
            }
            space.stats.modified = state.seq;
            space.stats.modified_at_us = committed_at_us;
        }
        let entries = batch.log.into_iter().zip(0..);
        let mut log = self.log.lock();
        log.entries.extend(entries.map(|(payload, index)| LogEntry {
            commit: state.seq,
            index,
            committed_at_us,
            payload,
        }));
        if let Some(last) = batch.trim_log_to {
            log.trimmed_to = log.trimmed_to.max(last.min(state.seq));
            let kept_from = log.trimmed_to;
            log.entries.retain(|entry| entry.commit > kept_from);
        }
        drop(log);
        let seq = state.seq;
        *newest = Arc::new(state);
        self.commits.send_replace(seq);
        Ok(seq)
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        let log = self.log.lock();
        if after < log.trimmed_to {
            return Err(StoreError::LogTrimmed {
                after,
                trimmed_to: log.trimmed_to,
            });
        }
        let log = &log.entries;
        let start = log.partition_point(|entry| entry.commit <= after);
        let mut end = start.saturating_add(entries_max.max(1)).min(log.len());
        while end < log.len() && end > start && log[end].commit == log[end - 1].commit {
            end += 1;
        }
        Ok(log[start..end].to_vec())
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        let newest = self.newest.lock().seq;
        let log = self.log.lock();
        Ok(LogExtent {
            epoch: EPOCH,
            trimmed_to: log.trimmed_to,
            newest,
            bytes: log.entries.iter().map(LogEntry::bytes).sum(),
        })
    }

    fn commits(&self) -> watch::Receiver<CommitSeq> {
        self.commits.subscribe()
    }

    fn read_interest(&self) -> ReadInterest {
        self.recent.interest()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn version(&self, space: SpaceId, key: &[u8]) -> Option<CommitSeq> {
        self.spaces
            .get(&space)?
            .entries
            .get(key)
            .map(|found| found.version)
    }
}

impl StoreSnapshot for MemSnapshot {
    fn seq(&self) -> CommitSeq {
        self.0.seq
    }

    fn get(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        Ok(self
            .0
            .spaces
            .get(&space)
            .and_then(|space| space.entries.get(key))
            .cloned())
    }

    fn scan(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        let Some(space) = self.0.spaces.get(&space) else {
            return Ok(Vec::new());
        };
        let start = match (&range.from, &range.after) {
            (Some(from), Some(after)) if from > after => Bound::Included(from),
            (_, Some(after)) => Bound::Excluded(after),
            (Some(from), None) => Bound::Included(from),
            (None, None) => Bound::Unbounded,
        };
        let before_end = |key: &Vec<u8>| range.until.as_ref().is_none_or(|until| key < until);
        Ok(space
            .entries
            .range::<Vec<u8>, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| before_end(key))
            .take(entries_max)
            .map(|(key, found)| (key.clone(), found.clone()))
            .collect())
    }

    fn space_stats(&self, space: SpaceId) -> Result<SpaceStats, StoreError> {
        Ok(self
            .0
            .spaces
            .get(&space)
            .map(|space| space.stats)
            .unwrap_or_default())
    }
}
