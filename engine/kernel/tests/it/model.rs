//! What a store should hold: every version of every key.

use std::collections::BTreeMap;

use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::{Kernel, Snapshot};

/// Versions of one key, oldest first.
type Versions = Vec<(Ts, Option<Vec<u8>>)>;

#[derive(Clone, Default, Debug)]
pub struct Model {
    pub newest: Ts,
    /// Spaces by number, each with the history of its keys.
    spaces: BTreeMap<u64, BTreeMap<Vec<u8>, Versions>>,
    /// When each space was last changed: commit and time.
    modified: BTreeMap<u64, Vec<(Ts, i64)>>,
    pub log: Vec<(Ts, i64, Vec<Vec<u8>>)>,
    pub trimmed_to: Ts,
}

/// What one commit does, in order.
#[derive(Clone, Debug)]
pub enum Act {
    Write(u64, Vec<u8>, Option<Vec<u8>>),
    Drop(u64),
    Log(Vec<u8>),
    Trim(Ts),
}

impl Model {
    /// The commit that the store must make of `acts`; `None` when they change nothing.
    pub fn commit(&mut self, acts: &[Act], now_us: i64) -> Option<Ts> {
        let before = self.clone();
        let ts = Ts(self.newest.0 + 1);
        let mut log = Vec::new();
        let mut changed = false;
        for act in acts {
            match act {
                Act::Write(space, key, value) => {
                    if value.is_none() && self.at(*space, key, Ts::MAX).is_none() {
                        continue;
                    }
                    let versions = self
                        .spaces
                        .entry(*space)
                        .or_default()
                        .entry(key.clone())
                        .or_default();
                    versions.retain(|version| version.0 != ts);
                    versions.push((ts, value.clone()));
                    self.modified.entry(*space).or_default().push((ts, now_us));
                    changed = true;
                }
                Act::Drop(space) => {
                    let keys: Vec<Vec<u8>> = self.spaces.entry(*space).or_default().keys().cloned().collect();
                    for key in keys {
                        if self.at(*space, &key, Ts::MAX).is_some() {
                            let versions = self.spaces.get_mut(space).unwrap().get_mut(&key).unwrap();
                            versions.retain(|version| version.0 != ts);
                            versions.push((ts, None));
                        }
                    }
                    let known = self.modified.entry(*space).or_default();
                    if known.last().is_some_and(|last| last.0 != Ts(0)) {
                        // As if it had never been: no statistics.
                        known.push((Ts(0), 0));
                        changed = true;
                    }
                }
                Act::Log(payload) => {
                    log.push(payload.clone());
                    changed = true;
                }
                Act::Trim(to) => {
                    self.trimmed_to = self.trimmed_to.max((*to).min(ts));
                    changed = true;
                }
            }
        }
        if !changed {
            *self = before;
            return None;
        }
        if !log.is_empty() {
            self.log.push((ts, now_us, log));
        }
        self.newest = ts;
        Some(ts)
    }

    fn at(&self, space: u64, key: &[u8], ts: Ts) -> Option<(Ts, &Vec<u8>)> {
        let versions = self.spaces.get(&space)?.get(key)?;
        let (version, value) = versions.iter().rev().find(|version| version.0 <= ts)?;
        Some((*version, value.as_ref()?))
    }

    /// Whether the commit `ts` gave the key this value.
    pub fn had(&self, space: u64, key: &[u8], ts: Ts, value: &[u8]) -> bool {
        let versions = self.spaces.get(&space).and_then(|keys| keys.get(key));
        versions.is_some_and(|versions| {
            let mut of_ts = versions.iter().filter(|version| version.0 == ts);
            of_ts.any(|version| version.1.as_deref() == Some(value))
        })
    }

    /// All keys of a space at `ts`, ascending.
    pub fn all(&self, space: u64, ts: Ts) -> Vec<(Vec<u8>, Ts, Vec<u8>)> {
        let Some(keys) = self.spaces.get(&space) else {
            return Vec::new();
        };
        keys.keys()
            .filter_map(|key| {
                self.at(space, key, ts)
                    .map(|(version, value)| (key.clone(), version, value.clone()))
            })
            .collect()
    }

    /// What the snapshot must show of a space, in each way of asking.
    pub fn check_space(&self, snapshot: &Snapshot, space: u64, context: &str) {
        let expected = self.all(space, snapshot.ts());
        let flat =
            |found: Vec<(Vec<u8>, rustydb_kernel::tree::read::Version)>| -> Vec<(Vec<u8>, Ts, Vec<u8>)> {
                found
                    .into_iter()
                    .map(|(key, version)| (key, version.ts, version.value))
                    .collect()
            };
        let up = flat(snapshot.scan(space, &[], None, usize::MAX).unwrap());
        assert!(
            up == expected,
            "{context}: space {space} at {:?}: {} keys, expected {}",
            snapshot.ts(),
            up.len(),
            expected.len()
        );
        let mut down = flat(snapshot.scan_back(space, &[], None, usize::MAX).unwrap());
        down.reverse();
        assert!(
            down == expected,
            "{context}: space {space} at {:?} downwards: {} keys, expected {}",
            snapshot.ts(),
            down.len(),
            expected.len()
        );
        for (key, ts, value) in &expected {
            let found = snapshot.get(space, key).unwrap();
            assert!(
                found
                    .as_ref()
                    .is_some_and(|found| (found.ts, &found.value) == (*ts, value)),
                "{context}: space {space} key {key:?} at {:?}: {found:?}",
                snapshot.ts()
            );
        }
        let stats = snapshot.stats(space).unwrap();
        assert_eq!(
            stats.entries,
            expected.len() as u64,
            "{context}: entries of {space}"
        );
        let bytes: usize = expected
            .iter()
            .map(|(key, _, value)| key.len() + value.len())
            .sum();
        assert_eq!(stats.bytes, bytes as u64, "{context}: bytes of {space}");
    }

    /// Spaces that ever were.
    pub fn spaces(&self) -> Vec<u64> {
        self.spaces.keys().copied().collect()
    }

    /// Log entries after a commit.
    pub fn log_after(&self, after: Ts) -> Vec<(Ts, i64, Vec<Vec<u8>>)> {
        self.log.iter().filter(|group| group.0 > after).cloned().collect()
    }

    /// Whether the store's newest state and log are the model's.
    pub fn check(&self, kernel: &Kernel, context: &str) {
        let snapshot = kernel.snapshot();
        assert_eq!(snapshot.ts(), self.newest, "{context}: newest commit");
        for space in self.spaces() {
            self.check_space(&snapshot, space, context);
        }
        let extent = kernel.log_extent();
        assert_eq!(extent.trimmed_to, self.trimmed_to, "{context}: trimmed to");
        let found = kernel.log_after(self.trimmed_to, usize::MAX).unwrap().unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|group| (group.ts, group.committed_at_us, group.entries))
            .collect();
        let expected = self.log_after(self.trimmed_to);
        assert_eq!(found.len(), expected.len(), "{context}: commits in the log");
        assert!(found == expected, "{context}: the log");
        let entries: usize = expected.iter().map(|group| group.2.len()).sum();
        let bytes: usize = expected.iter().flat_map(|group| &group.2).map(Vec::len).sum();
        assert_eq!(
            extent.totals.entries, entries as u64,
            "{context}: entries of the log"
        );
        assert_eq!(extent.totals.bytes, bytes as u64, "{context}: bytes of the log");
        let report = kernel.check().unwrap();
        assert!(report.findings.is_empty(), "{context}: {:#?}", report.findings);
    }
}
