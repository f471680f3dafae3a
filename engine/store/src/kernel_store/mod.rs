//! [`KernelStore`]: the seam of [`crate::seam`] on the kernel, a folder of files.
//!
//! A space is a tree of the kernel and a commit one of its groups; the change log is read from the write-ahead log. What
//! holds besides the seam's rules is in `rustydb_kernel::kernel`. Bytes: docs/format/kernel.md, docs/format/log.md.

mod errors;
mod unsynced;

use std::path::Path;
use std::sync::Arc;

use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::{Commit, Kernel, Snapshot, Ticket};
use rustydb_runtime::disk::{Disk, RealDisk};
use rustydb_runtime::{Clock, Rng};
use tokio::sync::watch;

use self::errors::failed;
use crate::error::StoreError;
use crate::limits;
use crate::reads::{ReadInterest, RecentWrites};
use crate::seam::{
    AsOf, CommitSeq, CommitTicket, KeyRange, LogEntry, LogExtent, SpaceId, SpaceStats, StoreSnapshot,
    StoredVersions, TableStore, Versioned, WriteBatch,
};

pub use rustydb_kernel::kernel::{FORMAT_VERSION, KernelOptions, OpenPhase, OpenProgress, Report};

/// Keeps spaces of versioned keys in the kernel. See the module's documentation.
pub struct KernelStore {
    kernel: Arc<Kernel>,
    clock: Arc<dyn Clock>,
    commits: watch::Sender<CommitSeq>,
    recent: RecentWrites,
}

impl KernelStore {
    /// Opens the store in the folder `name` of the folder `path`, which exists, and makes one where there is none.
    ///
    /// Refuses a folder of another format version, and one that another process has open.
    pub fn open(
        path: &Path,
        name: &str,
        clock: Arc<dyn Clock>,
        rng: &dyn Rng,
        options: KernelOptions,
    ) -> Result<KernelStore, StoreError> {
        let disk = RealDisk::new(path.to_owned());
        let opened = KernelStore::open_on(Arc::new(disk), name, clock, rng, options);
        // The kernel's names begin in `path`.
        opened.map_err(|error| match error {
            StoreError::Io(what) => StoreError::Io(format!("{}: {what}", path.display())),
            StoreError::Corrupt(what) => StoreError::Corrupt(format!("{}: {what}", path.display())),
            StoreError::CorruptPage(page) => StoreError::Corrupt(format!("{}: {page}", path.display())),
            other => other,
        })
    }

    /// [`KernelStore::open`] on a disk of the caller's.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        name: &str,
        clock: Arc<dyn Clock>,
        rng: &dyn Rng,
        options: KernelOptions,
    ) -> Result<KernelStore, StoreError> {
        let kernel = Kernel::open(disk, name, Arc::clone(&clock), rng, options).map_err(failed)?;
        let commits = watch::Sender::new(CommitSeq(kernel.newest().0));
        let told = commits.clone();
        kernel.on_publish(move |ts| {
            told.send_replace(CommitSeq(ts.0));
        });
        let recent = RecentWrites::starting_at(CommitSeq(kernel.newest().0));
        Ok(KernelStore {
            kernel: Arc::new(kernel),
            clock,
            commits,
            recent,
        })
    }

    /// Reads every page in use and walks every tree, and reads the finished segments of the log and their copies in the folder
    /// `archive`; commits wait meanwhile.
    pub fn check(&self, archive: &str) -> Result<Report, StoreError> {
        let mut report = self.kernel.check().map_err(failed)?;
        self.kernel.check_log(archive, &mut report).map_err(failed)?;
        Ok(report)
    }

    /// Refuses a batch. Whoever is refused reads again, and is to find what refused it.
    fn refused<T>(&self, space: SpaceId, key: Vec<u8>) -> Result<T, StoreError> {
        self.kernel.wait_for_all().map_err(failed)?;
        Err(StoreError::Conflict { space, key })
    }

    /// What lies below: pages, pool and log.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Makes the batch a commit; `None` where it has nothing to do. Whoever is answered waits for the ticket first.
    fn make(&self, batch: WriteBatch) -> Result<Option<Ticket>, StoreError> {
        self.kernel.check_writable().map_err(failed)?;
        if batch.changes_nothing() && batch.guards.is_empty() {
            return Ok(None);
        }
        limits::check(&batch)?;
        let recent = &self.recent;
        let mut checked_to = CommitSeq(0);
        if let Some(validated) = &batch.reads {
            // Most of the work, before others have to wait for it.
            checked_to = recent.newest().max(validated.snapshot);
            if let Some((space, key)) = recent.conflict(&validated.reads, validated.snapshot) {
                return self.refused(space, key);
            }
        }
        let made = self.kernel.commit(self.clock.now_us(), |commit| {
            apply(commit, batch, recent, checked_to)
        });
        match made {
            Ok(((), ticket)) => Ok(Some(ticket)),
            Err(Refusal(StoreError::Conflict { space, key })) => self.refused(space, key),
            Err(Refusal(error)) => Err(error),
        }
    }
}

impl TableStore for KernelStore {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        Ok(Arc::new(KernelSnapshot(self.kernel.snapshot())))
    }

    fn snapshot_at(&self, at: &AsOf) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        let snapshot = match at {
            AsOf::Commit(seq) => self.kernel.snapshot_at(Ts(seq.0))?,
            AsOf::Time(at_us) => self.kernel.snapshot_at(self.kernel.commit_at(*at_us)?)?,
            AsOf::Name(name) => self.kernel.snapshot_named(name)?,
        };
        Ok(Arc::new(KernelSnapshot(snapshot)))
    }

    fn versions(
        &self,
        space: SpaceId,
        key: &[u8],
        versions_max: usize,
    ) -> Result<StoredVersions, StoreError> {
        let found = self.kernel.versions(space.0, key, versions_max).map_err(failed)?;
        Ok(found
            .into_iter()
            .map(|version| (CommitSeq(version.ts.0), version.value))
            .collect())
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        let Some(ticket) = self.make(batch)? else {
            return Ok(CommitSeq(self.kernel.newest().0));
        };
        self.kernel.wait(ticket).map_err(failed)?;
        Ok(CommitSeq(ticket.ts.0))
    }

    fn commit_unsynced(&self, batch: WriteBatch) -> Result<CommitTicket, StoreError> {
        if !self.kernel.async_commits() {
            return self.commit(batch).map(CommitTicket::durable);
        }
        let Some(ticket) = self.make(batch)? else {
            return Ok(CommitTicket::durable(CommitSeq(self.kernel.newest().0)));
        };
        self.kernel.sync_soon();
        Ok(unsynced::ticket(&self.kernel, ticket))
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.kernel.wait_for_all().map_err(failed)
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        let found = self.kernel.log_after(Ts(after.0), entries_max).map_err(failed)?;
        let groups = found.map_err(|trimmed_to| StoreError::LogTrimmed {
            after,
            trimmed_to: CommitSeq(trimmed_to.0),
        })?;
        let mut entries = Vec::new();
        for group in groups {
            entries.extend((0..).zip(group.entries).map(|(index, payload)| LogEntry {
                commit: CommitSeq(group.ts.0),
                index,
                committed_at_us: group.committed_at_us,
                payload,
            }));
        }
        Ok(entries)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        let extent = self.kernel.log_extent();
        Ok(LogExtent {
            epoch: self.kernel.epoch(),
            trimmed_to: CommitSeq(extent.trimmed_to.0),
            newest: CommitSeq(extent.newest.0),
            bytes: extent.totals.bytes + extent.totals.entries * LogEntry::HEADER_BYTES,
        })
    }

    fn commits(&self) -> watch::Receiver<CommitSeq> {
        self.commits.subscribe()
    }

    fn read_interest(&self) -> ReadInterest {
        self.recent.interest()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.kernel.check_writable().map_err(failed)?;
        match self.kernel.cramped() {
            None => Ok(()),
            Some(why) => Err(StoreError::Full(why)),
        }
    }
}

/// Why a batch was not applied.
struct Refusal(StoreError);

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal(error)
    }
}

impl From<rustydb_kernel::error::KernelError> for Refusal {
    fn from(error: rustydb_kernel::error::KernelError) -> Refusal {
        Refusal(failed(error))
    }
}

/// Checks the batch, all of it before its first change, and makes it part of the commit. What it read is known to stand
/// up to the commit `checked_to`.
fn apply(
    commit: &mut Commit<'_>,
    batch: WriteBatch,
    recent: &RecentWrites,
    checked_to: CommitSeq,
) -> Result<(), Refusal> {
    let written = batch
        .writes
        .iter()
        .map(|write| (write.space, &write.key, write.expected));
    let guarded = batch
        .guards
        .iter()
        .map(|guard| (guard.space, &guard.key, guard.expected));
    for (space, key, expected) in written.chain(guarded) {
        let found = commit.version_of(space.0, key)?.map(|ts| CommitSeq(ts.0));
        if found != expected {
            let key = key.clone();
            return Err(Refusal(StoreError::Conflict { space, key }));
        }
    }
    if let Some(validated) = &batch.reads
        && let Some((space, key)) = recent.conflict(&validated.reads, checked_to)
    {
        return Err(Refusal(StoreError::Conflict { space, key }));
    }
    if batch.changes_nothing() {
        return Ok(());
    }
    commit.insist();
    // Should the commit fail all the same, somebody may be refused for nothing.
    recent.note(CommitSeq(commit.ts().0), &batch);
    for space in &batch.dropped_spaces {
        commit.drop_space(space.0)?;
    }
    for write in &batch.writes {
        commit.write(write.space.0, &write.key, write.value.as_deref())?;
    }
    for payload in batch.log {
        commit.log(payload);
    }
    if let Some(last) = batch.trim_log_to {
        commit.trim_log(Ts(last.0));
    }
    Ok(())
}

struct KernelSnapshot(Snapshot);

impl StoreSnapshot for KernelSnapshot {
    fn seq(&self) -> CommitSeq {
        CommitSeq(self.0.ts().0)
    }

    fn get(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let found = self.0.get(space.0, key).map_err(failed)?;
        Ok(found.map(versioned))
    }

    fn scan(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        // The first key behind another is that one with a byte 0 more.
        let after = range
            .after
            .as_ref()
            .map(|after| [after.as_slice(), &[0]].concat());
        let from = range.from.clone().max(after).unwrap_or_default();
        let found = self.0.scan(space.0, &from, range.until.as_deref(), entries_max);
        let found = found.map_err(failed)?;
        Ok(found
            .into_iter()
            .map(|(key, version)| (key, versioned(version)))
            .collect())
    }

    fn space_stats(&self, space: SpaceId) -> Result<SpaceStats, StoreError> {
        let stats = self.0.stats(space.0).map_err(failed)?;
        Ok(SpaceStats {
            entries: stats.entries,
            bytes: stats.bytes,
            modified: CommitSeq(stats.modified.0),
            modified_at_us: stats.modified_at_us,
        })
    }
}

fn versioned(version: rustydb_kernel::tree::read::Version) -> Versioned {
    Versioned {
        version: CommitSeq(version.ts.0),
        value: version.value,
    }
}
