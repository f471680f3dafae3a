//! States of the past: snapshots at older commits, named ones that outlive a restart, the stored versions of a key, and
//! vacuum.
//!
//! A named snapshot is a record of a space of the store's own: it is durable before the name is known, and keeps its state
//! from being pruned ([`super::snapshots`]). When the store is opened, older states than the newest are there for named snapshots
//! only.

use super::commit::Space;
use super::read::Snapshot;
use super::{Inner, Kernel, NAMED};
use crate::error::{KernelError, Result};
use crate::group::Pruned;
use crate::ids::Ts;
use crate::page::node::{OwnedVersionKey, VersionKey};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::tree::read::{self, Scan, StoredVersion};

/// Named snapshots that a store may have.
pub const NAMED_SNAPSHOTS_MAX: usize = 64;
/// Longest name of a snapshot, in bytes.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 255;
/// Longest time for which versions may be kept: an hour.
pub const VERSION_RETENTION_US_MAX: u64 = 3_600_000_000;

/// A state that is kept until it is dropped by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSnapshot {
    pub name: String,
    /// The commit whose state it is.
    pub ts: Ts,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
}

/// Why a state of the past is not to be had.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    #[error("the state of commit {} is gone; commit {} is the oldest that can be read", ts.0, oldest.0)]
    TooOld { ts: Ts, oldest: Ts },
    #[error("there is no commit {} yet; commit {} is the newest", ts.0, newest.0)]
    NotReached { ts: Ts, newest: Ts },
    /// Microseconds since the Unix epoch.
    #[error("the state at {at_us} is gone; {oldest_us} is the oldest time that can be read")]
    TimeTooOld { at_us: i64, oldest_us: i64 },
    #[error("{at_us} lies in the future; it is {now_us} now")]
    TimeNotReached { at_us: i64, now_us: i64 },
    #[error("there is a snapshot {name:?} already")]
    NameTaken { name: String },
    #[error("there is no snapshot {name:?}")]
    NoSuchName { name: String },
    #[error("the name of a snapshot has 1 to {SNAPSHOT_NAME_BYTES_MAX} bytes, and this one has {bytes}")]
    NameLength { bytes: usize },
    #[error("there are {max} named snapshots already; drop one first")]
    TooMany { max: usize },
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// What may be read of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionsReport {
    pub newest: Ts,
    /// The state of this commit and of each later one may be read.
    pub oldest_readable: Ts,
    /// The oldest commit whose state a snapshot, open or named, keeps; `None` when there is none.
    pub oldest_snapshot: Option<Ts>,
    pub retention_us: u64,
    pub open_snapshots: usize,
    pub named_snapshots: usize,
    /// Versions that were removed since the store was opened, by vacuum and otherwise.
    pub pruned: Pruned,
}

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionCounts {
    /// Newest versions of keys that are there.
    pub live: u64,
    /// All others, and the marks of removed keys.
    pub dead: u64,
}

impl VersionCounts {
    pub fn add(&mut self, other: VersionCounts) {
        self.live += other.live;
        self.dead += other.dead;
    }
}

impl Kernel {
    /// The state after commit `ts`.
    pub fn snapshot_at(&self, ts: Ts) -> Result<Snapshot, VersionError> {
        let inner = Arc::clone(&self.inner);
        let newest = || inner.published.read().ts;
        inner.snapshots.open_at(ts, inner.clock.now_us(), newest)?;
        Ok(Snapshot::opened(inner, ts))
    }

    /// The newest commit that was made in the millisecond of `at_us`, microseconds since the Unix epoch, or before. Its state may
    /// be gone by the time that it is asked for.
    pub fn commit_at(&self, at_us: i64) -> Result<Ts, VersionError> {
        self.inner.snapshots.commit_at(at_us, self.inner.clock.now_us())
    }

    /// The state that is kept under a name.
    pub fn snapshot_named(&self, name: &str) -> Result<Snapshot, VersionError> {
        let found = self.inner.snapshots.find_named(name);
        let found = found.ok_or_else(|| VersionError::NoSuchName {
            name: name.to_owned(),
        })?;
        match self.snapshot_at(found.ts) {
            // It was dropped meanwhile.
            Err(VersionError::TooOld { .. }) => Err(VersionError::NoSuchName {
                name: name.to_owned(),
            }),
            opened => opened,
        }
    }

    /// Keeps the state after the newest durable commit under a name; durable when this returns.
    pub fn create_snapshot(&self, name: &str) -> Result<NamedSnapshot, VersionError> {
        if !(1..=SNAPSHOT_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(VersionError::NameLength { bytes: name.len() });
        }
        let inner = &*self.inner;
        let _one = inner.naming.lock();
        if inner.snapshots.find_named(name).is_some() {
            return Err(VersionError::NameTaken {
                name: name.to_owned(),
            });
        }
        if inner.snapshots.named().len() >= NAMED_SNAPSHOTS_MAX {
            return Err(VersionError::TooMany {
                max: NAMED_SNAPSHOTS_MAX,
            });
        }
        let pinned = self.snapshot();
        let snapshot = NamedSnapshot {
            name: name.to_owned(),
            ts: pinned.ts(),
            created_at_us: inner.clock.now_us(),
        };
        inner.put_named(name, Some(&snapshot))?;
        inner.snapshots.set_named(name, Some(snapshot.clone()));
        Ok(snapshot)
    }

    /// Forgets a name; durable when this returns. Whoever reads the state goes on.
    pub fn drop_snapshot(&self, name: &str) -> Result<NamedSnapshot, VersionError> {
        let inner = &*self.inner;
        let _one = inner.naming.lock();
        let found = inner.snapshots.find_named(name);
        let found = found.ok_or_else(|| VersionError::NoSuchName {
            name: name.to_owned(),
        })?;
        inner.put_named(name, None)?;
        inner.snapshots.set_named(name, None);
        Ok(found)
    }

    /// In the order of their names.
    pub fn named_snapshots(&self) -> Vec<NamedSnapshot> {
        self.inner.snapshots.named()
    }

    pub fn set_version_retention_us(&self, retention_us: u64) {
        self.inner
            .snapshots
            .set_retention_us(retention_us.min(VERSION_RETENTION_US_MAX));
    }

    pub fn versions_report(&self) -> VersionsReport {
        let inner = &*self.inner;
        let newest = inner.published.read().ts;
        VersionsReport {
            newest,
            oldest_readable: inner.snapshots.window(inner.clock.now_us(), || newest),
            oldest_snapshot: inner.snapshots.oldest(),
            retention_us: inner.snapshots.retention_us(),
            open_snapshots: inner.snapshots.count(),
            named_snapshots: inner.snapshots.named().len(),
            pruned: Pruned {
                versions: inner.pruned_versions.load(Ordering::Relaxed),
                bytes: inner.pruned_bytes.load(Ordering::Relaxed),
            },
        }
    }

    /// The stored versions of a key that are durable, newest first and `versions_max` at most, whether or not anybody can read
    /// them. A space that was dropped and made anew has those of the new one.
    pub fn versions(&self, space: u64, key: &[u8], versions_max: usize) -> Result<Vec<StoredVersion>> {
        let newest = self.snapshot();
        let Some(tree) = newest.tree(space)? else {
            return Ok(Vec::new());
        };
        read::versions(&self.inner.pool, tree, key, newest.ts(), versions_max)
    }

    /// Removes from one leaf of the space, the one that holds `from`, the versions that nobody can read, and merges the leaf with
    /// a neighbour when it has become thin. What was removed, and where the next leaf begins: `None` behind the last.
    pub fn vacuum_leaf(
        &self,
        space: u64,
        from: &OwnedVersionKey,
    ) -> Result<(Pruned, Option<OwnedVersionKey>)> {
        self.inner.tidy(space, from)
    }

    /// Counts the versions of one leaf of the space, as [`Kernel::vacuum_leaf`] goes over them.
    pub fn count_leaf(
        &self,
        space: u64,
        from: &OwnedVersionKey,
    ) -> Result<(VersionCounts, Option<OwnedVersionKey>)> {
        let newest = self.snapshot();
        let Some(tree) = newest.tree(space)? else {
            return Ok((VersionCounts::default(), None));
        };
        let (live, dead, next) = read::count_leaf(&self.inner.pool, tree, from.borrow(), newest.ts())?;
        Ok((VersionCounts { live, dead }, next))
    }

    /// Where the leaves of a space begin.
    pub fn first_leaf() -> OwnedVersionKey {
        VersionKey::FIRST.to_owned()
    }
}

impl Inner {
    /// Makes the record of a name, or removes it: one group, durable when this returns.
    fn put_named(&self, name: &str, snapshot: Option<&NamedSnapshot>) -> Result<()> {
        let record = snapshot.map(|snapshot| {
            let mut record = [0; 16];
            record[..8].copy_from_slice(&snapshot.ts.0.to_le_bytes());
            record[8..].copy_from_slice(&snapshot.created_at_us.to_le_bytes());
            record
        });
        let ticket = {
            let mut committer = self.committer.lock();
            let (ts, now_us) = (committer.applied, self.clock.now_us());
            let ((), ticket) = self.make(&mut committer, ts, now_us, |commit| {
                commit.put(NAMED, name.as_bytes(), record.as_ref().map(<[u8; 16]>::as_slice))
            })?;
            ticket
        };
        self.make_visible(ticket.end)
    }

    /// The named snapshots as their tree has them.
    pub(super) fn stored_named(&self) -> Result<Vec<NamedSnapshot>> {
        let mut named = Vec::new();
        let Some(space) = self.space_at(&self.pool, NAMED, Ts::MAX)? else {
            return Ok(named);
        };
        let mut scan = Scan::new(&self.pool, space.tree(NAMED), Ts::MAX, &[], None);
        while let Some((name, version)) = scan.next_entry()? {
            named.push(parse(&space, name, &version.value)?);
        }
        Ok(named)
    }
}

fn parse(space: &Space, name: Vec<u8>, record: &[u8]) -> Result<NamedSnapshot> {
    let corrupt = || KernelError::misshapen(space.root, "record of a named snapshot");
    let number = |bytes: Option<&[u8]>| -> Result<u64> {
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or_else(corrupt)
    };
    Ok(NamedSnapshot {
        name: String::from_utf8(name).map_err(|_| corrupt())?,
        ts: Ts(number(record.get(..8))?),
        created_at_us: number(record.get(8..))? as i64,
    })
}
