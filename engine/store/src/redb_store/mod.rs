//! [`RedbStore`]: the seam of [`crate::seam`] on redb, one file, crash-safe.
//!
//! # How a commit goes
//!
//! Callers of [`TableStore::commit`] hand their batch to the one writer thread and block. The writer takes what
//! is queued, checks and applies batch by batch in one redb write transaction, commits it with one `fsync`,
//! publishes the new state and answers. Say A and B both read key `k` at version 7 and write it, and C writes
//! elsewhere. All three are queued while an earlier group syncs:
//!
//! ```text
//! batch  expectation     state it is checked against   verdict
//! A      k at 7          commit 41                     becomes commit 42
//! B      k at 7          commit 42 (A's, not durable)  Conflict, nothing of B is applied
//! C      c absent        commit 42                     becomes commit 43
//! ```
//!
//! Then one sync makes 42 and 43 durable, and all three are answered. B learns of its conflict only then, so its
//! retry reads A's version and not the old one again.
//!
//! # What holds
//!
//! - Acknowledged means synced. A state is shown to readers only when it is durable.
//! - Commit positions are dense and ascending; a batch is in whole or not at all, with its statistics and its
//!   change-log entries.
//! - Expectations are compared with the state *before* the batch, also for keys in spaces it drops and for keys
//!   it writes twice; changes then apply in order, so the last write of a key stays. Writes are compared before
//!   guards.
//! - Readers take no lock that a writer holds while it works: a snapshot is a shared pointer to the newest
//!   published redb read transaction, and the writer holds that pointer's lock only to replace it.
//! - After a failed write, sync or commit the outcome of the group is unknown. Its callers get
//!   [`StoreError::Io`], everybody after them [`StoreError::Poisoned`], until the store is opened again.
//! - A snapshot does not outlive the store: once the store is dropped, a read through it answers from pages that
//!   are still cached, or fails.
//!
//! # What is absent
//!
//! No write transaction but the writer's, none longer than a group. No async, but word of each commit for those who
//! are. No knowledge of rows or columns. No retry of a failed sync: the kernel may have dropped the dirty pages, and a
//! second sync would succeed without them.
//!
//! # Choices about redb
//!
//! - *One table for all spaces*, keyed by space and key: a batch over many spaces dirties one tree path per
//!   leaf, and a table per space would cost an opening per space and snapshot. Dropping a space removes its
//!   range in the same transaction.
//! - *One-phase commit with checksums*: one `fsync` per group instead of two. After a crash redb verifies the
//!   newest commit by its XXH3-128 Merkle tree and falls back to the one before. Two-phase commit guards
//!   besides against somebody who controls page write-back, the moment of the crash and all of the file's
//!   content; such a person has the file anyway.
//! - *No quick repair*: it implies two-phase commit and writes the allocator state with every commit. Either
//!   halves the rate of durable commits of a single caller (374 against 172 a second on the disk it was measured
//!   on). The price is that opening after a crash reads the whole file once, about half a gigabyte a second.
//! - *Cache*: [`CACHE_BYTES_DEFAULT`], see [`RedbOptions`].
//!
//! The file's bytes: docs/format/store.md.

mod apply;
#[cfg(any(test, feature = "test-support"))]
pub mod cut_disk;
mod errors;
mod layout;
mod open;
mod snapshot;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};
use redb::{Database, ReadableDatabase, StorageBackend};
use rustydb_runtime::Clock;
use tokio::sync::watch;

pub use self::layout::FORMAT_VERSION;
pub use self::snapshot::RedbSnapshot;
use crate::limits;

use self::errors::failed;
use self::writer::{Published, QUEUE_BATCHES_MAX, Request, Writer};
use crate::error::StoreError;
use crate::seam::{CommitSeq, LogEntry, LogExtent, StoreSnapshot, TableStore, WriteBatch};

/// Page cache of a store that is opened without options.
pub const CACHE_BYTES_DEFAULT: usize = 256 << 20;

/// How to open a store.
#[derive(Clone)]
pub struct RedbOptions {
    /// Memory for cached pages, clean and dirty together, in bytes.
    pub cache_bytes: usize,
    /// What a test observes or breaks on purpose.
    #[cfg(any(test, feature = "test-support"))]
    pub hooks: TestHooks,
}

impl Default for RedbOptions {
    fn default() -> Self {
        RedbOptions {
            cache_bytes: CACHE_BYTES_DEFAULT,
            #[cfg(any(test, feature = "test-support"))]
            hooks: TestHooks::default(),
        }
    }
}

/// What a test observes or breaks on purpose; not part of a build without `test-support`.
#[cfg(any(test, feature = "test-support"))]
#[derive(Clone, Default)]
pub struct TestHooks {
    /// Called by the writer just before it answers a commit that was applied, once for each.
    pub on_acknowledge: Option<Arc<dyn Fn(CommitSeq) + Send + Sync>>,
    /// A planted bug: answers before the redb commit. Crash tests must catch it. A caller's next snapshot may
    /// then lack what it was just told is committed.
    pub acknowledge_before_commit: bool,
}

/// Keeps spaces of versioned keys in one redb file. See the module's documentation.
///
/// Dropping it lets queued commits finish, joins the writer thread and closes the file.
pub struct RedbStore {
    /// `None` only while dropping: the writer ends when the last sender is gone.
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    published: Arc<Published>,
}

impl RedbStore {
    /// Opens the store in the file `path`, creating it if there is none. Its folder must exist.
    ///
    /// Refuses a file of another format version, and one that another process has open.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<RedbStore, StoreError> {
        RedbStore::open_with(path, clock, RedbOptions::default())
    }

    /// [`RedbStore::open`] with options.
    pub fn open_with(
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
        options: RedbOptions,
    ) -> Result<RedbStore, StoreError> {
        RedbStore::start(clock, options, |cache_bytes| {
            open::file(path.as_ref(), cache_bytes)
        })
    }

    /// Opens the store that `backend` holds, creating it if the backend is empty.
    pub fn open_backend(
        backend: impl StorageBackend,
        clock: Arc<dyn Clock>,
    ) -> Result<RedbStore, StoreError> {
        RedbStore::open_backend_with(backend, clock, RedbOptions::default())
    }

    /// [`RedbStore::open_backend`] with options.
    pub fn open_backend_with(
        backend: impl StorageBackend,
        clock: Arc<dyn Clock>,
        options: RedbOptions,
    ) -> Result<RedbStore, StoreError> {
        RedbStore::start(clock, options, |cache_bytes| open::backend(backend, cache_bytes))
    }

    /// A store that forgets everything when dropped, for tests and temporary servers.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<RedbStore, StoreError> {
        RedbStore::open_backend(redb::backends::InMemoryBackend::new(), clock)
    }

    /// Starts the writer on the database that `open` gives, which is told the size of the cache.
    fn start(
        clock: Arc<dyn Clock>,
        options: RedbOptions,
        open: impl FnOnce(usize) -> Result<Database, StoreError>,
    ) -> Result<RedbStore, StoreError> {
        let database = Arc::new(open(options.cache_bytes)?);
        let newest = RedbSnapshot::open(&database.begin_read().map_err(failed)?)?;
        let published = Arc::new(Published::new(newest));
        let (requests, queue) = bounded(QUEUE_BATCHES_MAX);
        let writer = Writer {
            database,
            published: Arc::clone(&published),
            clock,
            #[cfg(any(test, feature = "test-support"))]
            hooks: options.hooks,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| StoreError::Io(format!("cannot start the store's writer thread: {error}")))?;
        Ok(RedbStore {
            requests: Some(requests),
            writer: Some(writer),
            published,
        })
    }

    fn newest(&self) -> Arc<RedbSnapshot> {
        Arc::clone(&self.published.newest.read())
    }
}

impl TableStore for RedbStore {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        Ok(self.newest())
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        if let Some(poisoned) = self.published.poisoned() {
            return Err(poisoned);
        }
        if batch.changes_nothing() && batch.guards.is_empty() {
            return Ok(self.newest().seq());
        }
        limits::check(&batch)?;
        let bytes = writer::batch_bytes(&batch);
        let (answer, answered) = bounded(1);
        let requests = self
            .requests
            .as_ref()
            .expect("the queue is open until the store is dropped");
        // Either end gone means that the writer thread panicked; the panic itself has been reported.
        let stopped = || {
            let reason = self
                .published
                .failure
                .get_or_init(|| "the store's writer thread stopped".to_owned());
            StoreError::Poisoned {
                reason: reason.clone(),
            }
        };
        requests
            .send(Request { batch, bytes, answer })
            .map_err(|_| stopped())?;
        answered.recv().map_err(|_| stopped())?
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.newest().log_after(after, entries_max)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        Ok(self.newest().log_extent())
    }

    fn commits(&self) -> watch::Receiver<CommitSeq> {
        self.published.commits.subscribe()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match self.published.failure.get() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Poisoned {
                reason: reason.clone(),
            }),
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been printed by its own thread and poisoned the store.
            let _ = writer.join();
        }
    }
}

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<RedbSnapshot>();
    shared_between_threads::<RedbStore>();
};
