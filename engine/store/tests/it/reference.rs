//! What a store must do, in the plainest form: ordered maps, recounted statistics, no cleverness.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rustydb_runtime::{Rng, SystemRng};
use rustydb_store::seam::{
    CommitSeq, KeyRange, LogEntry, SpaceId, SpaceStats, StoreSnapshot, TableStore, Versioned, WriteBatch,
};

/// Names the seed of a random test, and takes one to run it again.
const SEED_VARIABLE: &str = "RUSTYDB_TEST_SEED";

/// A seed, printed so that a failure can be repeated.
pub fn seed_of(test: &str) -> u64 {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().expect("the seed is a number"),
        Err(_) => {
            let mut bytes = [0; 8];
            SystemRng.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        }
    };
    println!("{test}: {SEED_VARIABLE}={seed}");
    seed
}

/// A store's whole content at one position.
#[derive(Clone, Default)]
pub struct Reference {
    pub newest: CommitSeq,
    pub rows: BTreeMap<SpaceId, BTreeMap<Vec<u8>, Versioned>>,
    /// Last change of each space that has had one since it was last dropped.
    modified: BTreeMap<SpaceId, (CommitSeq, i64)>,
    pub log: Vec<LogEntry>,
}

impl Reference {
    pub fn version(&self, space: SpaceId, key: &[u8]) -> Option<CommitSeq> {
        self.rows.get(&space)?.get(key).map(|row| row.version)
    }

    /// The position that the batch gets, or the key on which it conflicts.
    pub fn commit(&mut self, batch: &WriteBatch, now_us: i64) -> Result<CommitSeq, (SpaceId, Vec<u8>)> {
        let writes = batch
            .writes
            .iter()
            .map(|write| (write.space, &write.key, write.expected));
        let guards = batch
            .guards
            .iter()
            .map(|guard| (guard.space, &guard.key, guard.expected));
        for (space, key, expected) in writes.chain(guards) {
            if self.version(space, key) != expected {
                return Err((space, key.clone()));
            }
        }
        if batch.writes.is_empty() && batch.dropped_spaces.is_empty() && batch.log.is_empty() {
            return Ok(self.newest);
        }
        self.newest.0 += 1;
        for space in &batch.dropped_spaces {
            self.rows.remove(space);
            self.modified.remove(space);
        }
        for write in &batch.writes {
            let rows = self.rows.entry(write.space).or_default();
            let changed = match &write.value {
                Some(value) => {
                    rows.insert(
                        write.key.clone(),
                        Versioned {
                            version: self.newest,
                            value: value.clone(),
                        },
                    );
                    true
                }
                None => rows.remove(&write.key).is_some(),
            };
            if changed {
                self.modified.insert(write.space, (self.newest, now_us));
            }
        }
        for (index, payload) in batch.log.iter().enumerate() {
            self.log.push(LogEntry {
                commit: self.newest,
                index: index as u32,
                committed_at_us: now_us,
                payload: payload.clone(),
            });
        }
        Ok(self.newest)
    }

    pub fn stats(&self, space: SpaceId) -> SpaceStats {
        let (modified, modified_at_us) = self.modified.get(&space).copied().unwrap_or_default();
        let mut stats = SpaceStats {
            modified,
            modified_at_us,
            ..SpaceStats::default()
        };
        for (key, row) in self.rows.get(&space).into_iter().flatten() {
            stats.entries += 1;
            stats.bytes += (key.len() + row.value.len()) as u64;
        }
        stats
    }

    pub fn scan(&self, space: SpaceId, range: &KeyRange, entries_max: usize) -> Vec<(Vec<u8>, Versioned)> {
        let inside = |key: &Vec<u8>| {
            range.from.as_ref().is_none_or(|from| key >= from)
                && range.after.as_ref().is_none_or(|after| key > after)
                && range.until.as_ref().is_none_or(|until| key < until)
        };
        let rows = self.rows.get(&space).into_iter().flatten();
        let found = rows.filter(|(key, _)| inside(key)).take(entries_max);
        found.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Whole commits, until at least `entries_max` entries are there.
    pub fn log_after(&self, after: CommitSeq, entries_max: usize) -> Vec<LogEntry> {
        let mut commits: BTreeMap<CommitSeq, Vec<LogEntry>> = BTreeMap::new();
        for entry in self.log.iter().filter(|entry| entry.commit > after) {
            commits.entry(entry.commit).or_default().push(entry.clone());
        }
        let mut entries = Vec::new();
        for commit in commits.into_values() {
            if !entries.is_empty() && entries.len() >= entries_max {
                break;
            }
            entries.extend(commit);
        }
        entries
    }

    /// The first difference between this and all that the snapshot shows of `spaces`.
    pub fn compare(&self, snapshot: &dyn StoreSnapshot, spaces: &BTreeSet<SpaceId>) -> Result<(), String> {
        if snapshot.seq() != self.newest {
            return Err(format!(
                "position {:?}, expected {:?}",
                snapshot.seq(),
                self.newest
            ));
        }
        for space in spaces.iter().copied().chain(self.rows.keys().copied()) {
            let found = scan_whole(snapshot, space)?;
            let expected = self.scan(space, &KeyRange::default(), usize::MAX);
            if found != expected {
                return Err(format!(
                    "at {:?}, {space:?} holds {found:?}, expected {expected:?}",
                    self.newest
                ));
            }
            let stats = snapshot.space_stats(space).map_err(|error| error.to_string())?;
            if stats != self.stats(space) {
                return Err(format!(
                    "at {:?}, {space:?} has {stats:?}, expected {:?}",
                    self.newest,
                    self.stats(space)
                ));
            }
        }
        Ok(())
    }

    /// [`Reference::compare`] for the newest state of a store, and its change log.
    pub fn compare_store(&self, store: &dyn TableStore, spaces: &BTreeSet<SpaceId>) -> Result<(), String> {
        let snapshot = store.snapshot().map_err(|error| error.to_string())?;
        self.compare(snapshot.as_ref(), spaces)?;
        let log = store
            .log_after(CommitSeq(0), usize::MAX)
            .map_err(|error| error.to_string())?;
        if log != self.log {
            return Err(format!(
                "at {:?}, the log is {log:?}, expected {:?}",
                self.newest, self.log
            ));
        }
        Ok(())
    }
}

/// Every entry of a space, in pages as a caller would.
fn scan_whole(snapshot: &dyn StoreSnapshot, space: SpaceId) -> Result<Vec<(Vec<u8>, Versioned)>, String> {
    const PAGE: usize = 64;
    let mut entries: Vec<(Vec<u8>, Versioned)> = Vec::new();
    loop {
        let range = KeyRange {
            after: entries.last().map(|(key, _)| key.clone()),
            ..KeyRange::default()
        };
        let page = snapshot
            .scan(space, &range, PAGE)
            .map_err(|error| error.to_string())?;
        let exhausted = page.len() < PAGE;
        entries.extend(page);
        if exhausted {
            return Ok(entries);
        }
    }
}

/// Whether the statistics of a space are those of the entries that the same snapshot shows.
pub fn check_stats(snapshot: &dyn StoreSnapshot, space: SpaceId) -> Result<(), String> {
    let stats = snapshot.space_stats(space).map_err(|error| error.to_string())?;
    let entries = scan_whole(snapshot, space)?;
    let bytes = entries
        .iter()
        .map(|(key, row)| (key.len() + row.value.len()) as u64)
        .sum::<u64>();
    if (stats.entries, stats.bytes) != (entries.len() as u64, bytes) {
        return Err(format!(
            "{space:?} has {stats:?}, but {} entries of {bytes} bytes",
            entries.len()
        ));
    }
    Ok(())
}

/// The bounds of `range` as a map takes them, to check the reference against itself.
#[test]
fn the_reference_scans_like_a_map() {
    let mut reference = Reference::default();
    let space = SpaceId(1);
    let keys: Vec<Vec<u8>> = (0..6u8).map(|n| vec![b'a' + n]).collect();
    for key in &keys {
        let row = Versioned {
            version: CommitSeq(1),
            value: Vec::new(),
        };
        reference.rows.entry(space).or_default().insert(key.clone(), row);
    }
    let range = KeyRange {
        from: Some(b"b".to_vec()),
        after: Some(b"c".to_vec()),
        until: Some(b"e".to_vec()),
    };
    let map = &reference.rows[&space];
    let expected: Vec<Vec<u8>> = map
        .range::<[u8], _>((Bound::Excluded(&b"c"[..]), Bound::Excluded(&b"e"[..])))
        .map(|(key, _)| key.clone())
        .collect();
    let found: Vec<Vec<u8>> = reference
        .scan(space, &range, usize::MAX)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(found, expected);
}
