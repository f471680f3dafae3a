//! [`RedbStore`]: the seam of [`crate::seam`] on redb, for tests.
//!
//! Another engine behind the same seam tells what the kernel should do: random batches give the same verdicts, contents,
//! statistics and log on both. So this is kept plain: one commit at a time, each a durable transaction of redb. All spaces are one
//! table, keyed by space and key.

mod apply;
mod errors;
mod layout;
mod snapshot;

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use redb::{Database, Durability, ReadableDatabase};
use rustydb_runtime::{Clock, Rng, SystemRng};
use tokio::sync::watch;

use self::apply::{Transaction, Verdict};
use self::errors::failed;
use self::layout::{LOG, META, META_EPOCH, META_LOG_BYTES, META_LOG_TRIMMED, META_NEWEST, ROWS, STATS};
use self::snapshot::RedbSnapshot;
use crate::error::StoreError;
use crate::limits;
use crate::reads::{ReadInterest, RecentWrites};
use crate::seam::{CommitSeq, LogEntry, LogExtent, StoreSnapshot, TableStore, WriteBatch};

/// Keeps spaces of versioned keys in one redb file.
pub struct RedbStore {
    database: Database,
    clock: Arc<dyn Clock>,
    /// Held for the time of a commit.
    committing: Mutex<()>,
    newest: RwLock<Arc<RedbSnapshot>>,
    commits: watch::Sender<CommitSeq>,
    recent: RecentWrites,
}

impl RedbStore {
    /// Opens the store in the file `path`, and makes one where there is none.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<RedbStore, StoreError> {
        let database = Database::create(path).map_err(failed)?;
        prepare(&database)?;
        let newest = RedbSnapshot::open(&database.begin_read().map_err(failed)?)?;
        Ok(RedbStore {
            database,
            clock,
            committing: Mutex::new(()),
            commits: watch::Sender::new(newest.seq()),
            recent: RecentWrites::starting_at(newest.seq()),
            newest: RwLock::new(Arc::new(newest)),
        })
    }

    fn newest(&self) -> Arc<RedbSnapshot> {
        Arc::clone(&self.newest.read())
    }
}

/// Makes the tables in a database that has none.
fn prepare(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(failed)?;
    if read.list_tables().map_err(failed)?.next().is_some() {
        return Ok(());
    }
    let mut epoch = [0; 8];
    SystemRng.fill(&mut epoch);
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        let numbers = [
            (META_NEWEST, 0),
            (META_EPOCH, u64::from_le_bytes(epoch)),
            (META_LOG_TRIMMED, 0),
            (META_LOG_BYTES, 0),
        ];
        for (name, value) in numbers {
            meta.insert(name, value).map_err(failed)?;
        }
        transaction.open_table(ROWS).map_err(failed)?;
        transaction.open_table(STATS).map_err(failed)?;
        transaction.open_table(LOG).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

impl TableStore for RedbStore {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        Ok(self.newest())
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        let _alone = self.committing.lock();
        let newest = self.newest().seq();
        if batch.changes_nothing() && batch.guards.is_empty() {
            return Ok(newest);
        }
        limits::check(&batch)?;
        if let Some(validated) = &batch.reads
            && let Some((space, key)) = self.recent.conflict(&validated.reads, validated.snapshot)
        {
            return Err(StoreError::Conflict { space, key });
        }
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(failed)?;
        let mut open = Transaction::open(&transaction, newest)?;
        match open.submit(&batch, self.clock.now_us())? {
            Verdict::Applied(seq) => {
                self.recent.note(seq, &batch);
                open.finish()?;
                transaction.commit().map_err(failed)?;
                let read = self.database.begin_read().map_err(failed)?;
                *self.newest.write() = Arc::new(RedbSnapshot::open(&read)?);
                self.commits.send_replace(seq);
                Ok(seq)
            }
            Verdict::Held(seq) => Ok(seq),
            Verdict::Conflict { space, key } => Err(StoreError::Conflict { space, key }),
        }
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.newest().log_after(after, entries_max)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        Ok(self.newest().log_extent())
    }

    fn commits(&self) -> watch::Receiver<CommitSeq> {
        self.commits.subscribe()
    }

    fn read_interest(&self) -> ReadInterest {
        self.recent.interest()
    }

    /// What redb latched after a failure is told by the next commit.
    fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
