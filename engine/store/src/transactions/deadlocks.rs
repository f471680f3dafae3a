//! The deadlocks that were found: who waited for whom, and what they ran. They are kept over restarts.
//!
//! The locks find a deadlock while everything else on them stands still, so that it is only noted then
//! ([`DeadlockLog::note`]). Its victim keeps it ([`DeadlockLog::keep`]) before it answers its caller.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustydb_kernel::locks::{Deadlock, LockMode};
use serde::{Deserialize, Serialize};

use crate::locking::Activity;
use crate::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use crate::tables::{Counter, Place, Places, Result, Tables, corrupt};

/// Deadlocks that are kept; the oldest go first.
pub const DEADLOCKS_KEPT_MAX: usize = 1_000;
/// Numbers reserved at once.
const ID_BLOCK: u64 = 16;

/// A deadlock that was found and ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockRecord {
    pub id: u64,
    /// Microseconds since the Unix epoch.
    pub detected_at_us: i64,
    /// Each waited for the next, the last for the first, which is the victim.
    pub members: Vec<DeadlockMember>,
    /// Its transaction was rolled back.
    pub victim: u64,
}

/// One transaction of a deadlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockMember {
    pub transaction: u64,
    pub username: String,
    pub statement: String,
    /// What it waited for, and in which mode.
    pub place: Place,
    pub mode: String,
}

/// All deadlocks that are remembered.
pub struct DeadlockLog {
    tables: Tables,
    ids: Counter,
    noted: Mutex<Vec<Noted>>,
    kept: Mutex<VecDeque<Arc<DeadlockRecord>>>,
    /// Those of which the victim holds its locks still: the number that the locks gave them, and the record.
    unresolved: Mutex<VecDeque<(u64, Arc<DeadlockRecord>)>>,
    listener: OnceLock<Arc<dyn DeadlockListener>>,
}

/// Hears of deadlocks that were found.
pub trait DeadlockListener: Send + Sync {
    /// The record is durable. Called under the log's lock, so that records are told in the order of their numbers: it must be
    /// quick and must not call back.
    fn kept(&self, record: &DeadlockRecord);
    /// The victim has released its locks.
    fn resolved(&self, record: &DeadlockRecord);
}

/// A deadlock that is not kept yet.
struct Noted {
    deadlock: Deadlock,
    activities: Vec<Activity>,
}

impl DeadlockLog {
    /// Reads what was kept before.
    pub fn open(tables: Tables) -> Result<DeadlockLog> {
        let found = tables
            .store()
            .snapshot()?
            .scan(SpaceId::DEADLOCKS, &KeyRange::default(), usize::MAX)?;
        let mut kept = VecDeque::new();
        for (_, record) in found {
            let record: DeadlockRecord = serde_json::from_slice(&record.value)
                .map_err(|error| corrupt(format!("the record of a deadlock does not decode: {error}")))?;
            kept.push_back(Arc::new(record));
        }
        let ids = Counter::new(tables.store().clone(), b"counter/deadlock", 1, ID_BLOCK);
        Ok(DeadlockLog {
            tables,
            ids,
            noted: Mutex::default(),
            kept: Mutex::new(kept),
            unresolved: Mutex::default(),
            listener: OnceLock::new(),
        })
    }

    /// Who hears of deadlocks from now on; the first stays.
    pub fn listen(&self, listener: Arc<dyn DeadlockListener>) {
        // Only its owner calls this, once.
        let _ = self.listener.set(listener);
    }

    /// Notes a deadlock that was just found, with what its members run now.
    pub fn note(&self, deadlock: &Deadlock) {
        let activity = |id| self.tables.locks().activity(id).unwrap_or_default();
        let activities = deadlock.members.iter().map(|member| activity(member.owner.0));
        self.noted.lock().push(Noted {
            activities: activities.collect(),
            deadlock: deadlock.clone(),
        });
    }

    /// Makes what was noted durable; blocks until it is. The records that this call has kept.
    pub fn keep(&self) -> Result<Vec<Arc<DeadlockRecord>>> {
        // Whoever finds nothing to keep has waited for who was before.
        let mut kept = self.kept.lock();
        let noted = std::mem::take(&mut *self.noted.lock());
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        let places = Places::of(&self.tables.begin_read_only()?.reader())?;
        let mut records = Vec::with_capacity(noted.len());
        let mut unresolved = Vec::with_capacity(noted.len());
        for noted in noted {
            let found = noted.deadlock.id;
            let record = Arc::new(noted.record(self.ids.take(1)?, &places));
            unresolved.push((found, Arc::clone(&record)));
            records.push(record);
        }
        let excess = (kept.len() + records.len()).saturating_sub(DEADLOCKS_KEPT_MAX);
        let oldest: Vec<u64> = kept.iter().take(excess).map(|record| record.id).collect();
        self.commit(&records, &oldest)?;
        kept.drain(..oldest.len());
        kept.extend(records.iter().cloned());
        if let Some(listener) = self.listener.get() {
            records.iter().for_each(|record| listener.kept(record));
            let mut known = self.unresolved.lock();
            known.extend(unresolved);
            let excess = known.len().saturating_sub(DEADLOCKS_KEPT_MAX);
            known.drain(..excess);
        }
        Ok(records)
    }

    /// Notes that the victim of a deadlock, which was kept, has released its locks.
    pub fn resolved(&self, deadlock: &Deadlock) {
        let record = {
            let mut unresolved = self.unresolved.lock();
            let place = unresolved.iter().position(|(found, _)| *found == deadlock.id);
            place.and_then(|place| unresolved.remove(place))
        };
        if let (Some((_, record)), Some(listener)) = (record, self.listener.get()) {
            listener.resolved(&record);
        }
    }

    /// Oldest first.
    pub fn list(&self) -> Vec<Arc<DeadlockRecord>> {
        self.kept.lock().iter().cloned().collect()
    }

    fn commit(&self, records: &[Arc<DeadlockRecord>], removed: &[u64]) -> Result<()> {
        let store: &Arc<dyn TableStore> = self.tables.store();
        let snapshot = store.snapshot()?;
        let mut batch = WriteBatch::default();
        for record in records {
            batch.writes.push(Write {
                space: SpaceId::DEADLOCKS,
                key: record.id.to_be_bytes().to_vec(),
                expected: None,
                value: Some(serde_json::to_vec(record).expect("records have text keys only")),
            });
        }
        for id in removed {
            let key = id.to_be_bytes().to_vec();
            batch.writes.push(Write {
                expected: snapshot.get(SpaceId::DEADLOCKS, &key)?.map(|found| found.version),
                space: SpaceId::DEADLOCKS,
                key,
                value: None,
            });
        }
        store.commit(batch)?;
        Ok(())
    }
}

impl Noted {
    fn record(self, id: u64, places: &Places) -> DeadlockRecord {
        let mut members: Vec<_> = self.deadlock.members.iter().zip(self.activities).collect();
        let victim = members
            .iter()
            .position(|(member, _)| member.owner == self.deadlock.victim);
        members.rotate_left(victim.unwrap_or(0));
        DeadlockRecord {
            id,
            detected_at_us: self.deadlock.detected_at_us,
            members: members
                .into_iter()
                .map(|(member, activity)| DeadlockMember {
                    transaction: member.owner.0,
                    username: activity.username,
                    statement: activity.statement,
                    place: places.place(&member.resource),
                    mode: mode_name(member.mode).to_owned(),
                })
                .collect(),
            victim: self.deadlock.victim.0,
        }
    }
}

/// The mode as SQL texts and the contract write it.
pub fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::IS => "IS",
        LockMode::IX => "IX",
        LockMode::S => "S",
        LockMode::SIX => "SIX",
        LockMode::X => "X",
    }
}
