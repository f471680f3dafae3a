//! The narrow seam between tables and whatever keeps their bytes.
//!
//! Everything above speaks of ordered *spaces* of versioned keys; everything below keeps them durable. The
//! rules of the seam:
//!
//! - A [`StoreSnapshot`] shows one commit position for as long as it lives and never blocks a writer.
//! - [`TableStore::commit`] is the only way to change anything. It checks every expectation of the batch
//!   against the newest state, applies the batch and its log entries as one unit, and returns only when they
//!   are durable. No write transaction of the implementation outlives that call. [`TableStore::commit_unsynced`] does the
//!   same, and returns before: nobody sees what it did until it is durable, but later commits are checked against it.
//! - A version is the position of the commit that wrote the key. First committer wins: a batch names the
//!   version it read of every key it writes or relies on, and is refused when one has changed.
//! - A failed write or sync is final: the store refuses every later commit until it is reopened.

use std::sync::Arc;

use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::VersionError;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::reads::{ReadInterest, Validated};

/// Position of a commit in the order of all commits. 0 is the state before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct CommitSeq(pub u64);

/// One ordered keyspace: the rows of a table, an index, or a system collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct SpaceId(pub u64);

impl SpaceId {
    /// Store-wide facts: format version, identifier counters.
    pub const META: SpaceId = SpaceId(0);
    /// Databases, schemas, tables, views.
    pub const CATALOG: SpaceId = SpaceId(1);
    /// User accounts by id.
    pub const USERS: SpaceId = SpaceId(2);
    /// API keys by id.
    pub const API_KEYS: SpaceId = SpaceId(3);
    /// Login sessions by id.
    pub const SESSIONS: SpaceId = SpaceId(4);
    /// Jobs by id.
    pub const JOBS: SpaceId = SpaceId(5);
    /// What jobs came to, by the job's id.
    pub const JOB_RESULTS: SpaceId = SpaceId(6);
    /// Deadlocks that were found, by number.
    pub const DEADLOCKS: SpaceId = SpaceId(7);
    /// Branches of distributed transactions that are prepared, in parts.
    pub const PREPARED: SpaceId = SpaceId(8);
    /// First space handed to a table or index; smaller ids are reserved for the system.
    pub const FIRST_USER: SpaceId = SpaceId(1024);
}

/// A value together with the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub version: CommitSeq,
    pub value: Vec<u8>,
}

/// Versions of one key: the commit of each, and the value, `None` where it removed the key.
pub type StoredVersions = Vec<(CommitSeq, Option<Vec<u8>>)>;

/// Bounds of a scan, in key order. `after` and `from` are alternatives: the greater start wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// First key, included.
    pub from: Option<Vec<u8>>,
    /// Start behind this key: how a caller goes on after a page.
    pub after: Option<Vec<u8>>,
    /// End of the range, excluded.
    pub until: Option<Vec<u8>>,
}

/// Size of a space, exact at its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpaceStats {
    pub entries: u64,
    /// Sum of key and value bytes as stored, without the store's own overhead.
    pub bytes: u64,
    /// Commit that last changed the space; 0 when none has.
    pub modified: CommitSeq,
    /// When that commit was made, microseconds since the Unix epoch; 0 when none has.
    pub modified_at_us: i64,
}

/// One change to one key. `value: None` removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub space: SpaceId,
    pub key: Vec<u8>,
    /// The version the writer saw; `None` means that it saw no such key.
    pub expected: Option<CommitSeq>,
    pub value: Option<Vec<u8>>,
}

/// A key the batch relies on without writing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub space: SpaceId,
    pub key: Vec<u8>,
    pub expected: Option<CommitSeq>,
}

/// All that one transaction does at its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    pub writes: Vec<Write>,
    pub guards: Vec<Guard>,
    /// Spaces to remove whole, with every key and their statistics; applied before `writes`.
    pub dropped_spaces: Vec<SpaceId>,
    /// Change-log entries in order, opaque to the store, durable with the batch.
    pub log: Vec<Vec<u8>>,
    /// Removes the change-log entries of this commit and of all before it.
    pub trim_log_to: Option<CommitSeq>,
    /// What the transaction read, where that must still stand.
    pub reads: Option<Validated>,
}

impl WriteBatch {
    /// Whether it only checks: there is nothing that would make a commit.
    pub fn changes_nothing(&self) -> bool {
        self.writes.is_empty()
            && self.dropped_spaces.is_empty()
            && self.log.is_empty()
            && self.trim_log_to.is_none()
    }
}

/// How much of the change log there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogExtent {
    /// Names this history of commits: drawn at random when the store is made. A position is worth something only
    /// together with it.
    pub epoch: u64,
    /// Entries of later commits are all there, those of this one and before are gone; 0 when none is.
    pub trimmed_to: CommitSeq,
    pub newest: CommitSeq,
    /// Sum of key and value bytes of the entries, without the store's own overhead.
    pub bytes: u64,
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub commit: CommitSeq,
    /// Place within its commit, from 0.
    pub index: u32,
    /// When the commit was made, microseconds since the Unix epoch.
    pub committed_at_us: i64,
    pub payload: Vec<u8>,
}

impl LogEntry {
    /// Bytes of commit, index and time.
    pub(crate) const HEADER_BYTES: u64 = 8 + 4 + 8;

    /// What it adds to [`LogExtent::bytes`].
    pub fn bytes(&self) -> u64 {
        LogEntry::HEADER_BYTES + self.payload.len() as u64
    }
}

/// Is called once, with what became of a commit.
pub type OnDurable = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What a store knows of a commit that it may not have synced yet.
pub trait Unsynced: Send + Sync {
    fn is_durable(&self) -> bool;

    fn wait(&self) -> Result<(), StoreError>;

    fn on_durable(&self, told: OnDurable);
}

/// A commit that was made, and when it is durable. Dropping it changes nothing.
pub struct CommitTicket {
    seq: CommitSeq,
    unsynced: Option<Box<dyn Unsynced>>,
}

impl CommitTicket {
    /// Of a commit that is durable.
    pub fn durable(seq: CommitSeq) -> CommitTicket {
        CommitTicket { seq, unsynced: None }
    }

    pub fn unsynced(seq: CommitSeq, unsynced: Box<dyn Unsynced>) -> CommitTicket {
        CommitTicket {
            seq,
            unsynced: Some(unsynced),
        }
    }

    pub fn seq(&self) -> CommitSeq {
        self.seq
    }

    /// Whether it is durable, and so seen by snapshots that are opened from now on.
    pub fn is_durable(&self) -> bool {
        self.unsynced
            .as_ref()
            .is_none_or(|unsynced| unsynced.is_durable())
    }

    /// Makes it durable, or waits for whoever does; blocks the thread until then.
    ///
    /// # Errors
    /// Nobody knows whether it is durable, and nothing is accepted any more.
    pub fn wait(&self) -> Result<CommitSeq, StoreError> {
        match &self.unsynced {
            None => Ok(self.seq),
            Some(unsynced) => unsynced.wait().map(|()| self.seq),
        }
    }

    /// `told` is called once, when it is durable or nobody knows any more whether it is: at once, or by the thread that syncs,
    /// in the middle of its work. So it returns soon and calls nothing of the store.
    pub fn on_durable(&self, told: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        match &self.unsynced {
            None => told(Ok(())),
            Some(unsynced) => unsynced.on_durable(Box::new(told)),
        }
    }
}

/// A state of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// After this commit.
    Commit(CommitSeq),
    /// After the newest commit that was made in the millisecond of this time or before, microseconds since the Unix epoch.
    Time(i64),
    /// That was kept under this name.
    Name(String),
}

/// Keeps spaces of versioned keys, durably.
pub trait TableStore: Send + Sync + 'static {
    /// The newest durable state.
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError>;

    /// A state of the past, where the store keeps some. This is of one that keeps the newest alone.
    ///
    /// Fails with [`StoreError::Version`] when there is no such state, or no longer.
    fn snapshot_at(&self, at: &AsOf) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        let newest = self.snapshot()?;
        let (oldest, asked) = (Ts(newest.seq().0), at);
        Err(StoreError::Version(match asked {
            AsOf::Commit(seq) if *seq == newest.seq() => return Ok(newest),
            AsOf::Commit(seq) if *seq < newest.seq() => VersionError::TooOld {
                ts: Ts(seq.0),
                oldest,
            },
            AsOf::Commit(seq) => VersionError::NotReached {
                ts: Ts(seq.0),
                newest: oldest,
            },
            AsOf::Time(at_us) => VersionError::TimeTooOld {
                at_us: *at_us,
                oldest_us: i64::MAX,
            },
            AsOf::Name(name) => VersionError::NoSuchName { name: name.clone() },
        }))
    }

    /// The durable versions of a key that are stored, newest first and `versions_max` at most; a value of `None` where the commit
    /// removed the key. This is of a store that keeps the newest alone.
    fn versions(
        &self,
        space: SpaceId,
        key: &[u8],
        versions_max: usize,
    ) -> Result<StoredVersions, StoreError> {
        let newest = self.snapshot()?.get(space, key)?;
        let newest = newest.map(|found| (found.version, Some(found.value)));
        Ok(newest.into_iter().take(versions_max).collect())
    }

    /// Checks, applies and makes durable; blocks the calling thread until then.
    ///
    /// Fails with [`StoreError::Conflict`] naming the first key whose version is not the expected one, and
    /// then nothing of the batch is kept. An empty batch answers the newest position without writing.
    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError>;

    /// As [`TableStore::commit`], but may return before the commit is durable, where the store was opened so that it does. Until
    /// the ticket says so a failure of the power takes it back, with all later commits and no earlier ones. It is synced without
    /// anybody asking, soon.
    fn commit_unsynced(&self, batch: WriteBatch) -> Result<CommitTicket, StoreError> {
        self.commit(batch).map(CommitTicket::durable)
    }

    /// Returns once every commit that was made before is durable, so that a snapshot shows it.
    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Log entries of commits after `after`, oldest first, whole commits only: at least one commit when there
    /// is one, and no further commit once `entries_max` is reached. Commits without entries are not seen.
    ///
    /// Fails with [`StoreError::LogTrimmed`] when a commit after `after` may have had entries that are gone.
    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError>;

    fn log_extent(&self) -> Result<LogExtent, StoreError>;

    /// The newest durable commit, and word of each later one. Told before the commit is acknowledged.
    fn commits(&self) -> watch::Receiver<CommitSeq>;

    /// To be called before the snapshot of a transaction is taken whose batch will name its [`WriteBatch::reads`], and kept
    /// until its commit. Without it the commit may be refused for want of knowing.
    fn read_interest(&self) -> ReadInterest;

    /// Whether commits are accepted: [`StoreError::Poisoned`] after a failure of the disk that is final, another error while
    /// some fail, for want of room say.
    fn check_writable(&self) -> Result<(), StoreError>;
}

/// One consistent state.
pub trait StoreSnapshot: Send + Sync {
    fn seq(&self) -> CommitSeq;

    fn get(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>, StoreError>;

    /// At most `entries_max` entries of the range in key order; fewer means that the range is exhausted.
    fn scan(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError>;

    fn space_stats(&self, space: SpaceId) -> Result<SpaceStats, StoreError>;
}
