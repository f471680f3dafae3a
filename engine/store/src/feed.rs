//! Committed transactions, in order, as they become durable: the change log read by many at once.
//!
//! A [`FeedReader`] is a position in the log and nothing else. It owns no queue that could overflow: what has not been
//! read lies in the log, and a reader that is slower than the log is kept is told so instead of skipping. Since the
//! position is fixed before the reader is handed out, no commit after that is missed.
//!
//! Readers near the end share what is read and decoded of it: of those that a commit wakes the first reads the log, and
//! the others take its `Arc`s. Nobody reads while there are no readers.
//!
//! ```text
//! log      1  2  3  4  5  6  7  8        newest durable commit: 8
//! shared               (4 ....... 8]     decoded, for readers at 4 and later
//! reader a    at 1                       reads pages of its own until it is at 4
//! reader b                     at 7      takes 8 of the shared ones
//! reader c                        at 8   waits
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::change_log::{self, CommitOrigin, DdlChange, LogRecord, RowChange};
use crate::error::StoreError;
use crate::seam::{CommitSeq, LogEntry, TableStore};

/// Log entries read at once, give or take a commit.
const PAGE_ENTRIES: usize = 1024;
/// What the shared commits hold at most, in bytes of the log, the newest commit not counted.
const SHARED_BYTES_MAX: u64 = 16 << 20;

/// One transaction that changed something.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub seq: CommitSeq,
    /// Microseconds since the Unix epoch.
    pub committed_at_us: i64,
    /// Who made it, where that is known.
    pub origin: Option<CommitOrigin>,
    /// In the order of the statements, each with its place in the log, which names it within the commit.
    pub changes: Vec<(u32, Change)>,
    log_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Row(RowChange),
    Definition {
        change: DdlChange,
        /// Text of the SQL statement that made it, where one did.
        statement: Option<Arc<str>>,
    },
}

/// All readers of one store's log. A clone is another handle to the same.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn TableStore>,
    shared: Mutex<Shared>,
}

/// The commits after `from` up to and including `to` that have entries.
#[derive(Default)]
struct Shared {
    from: CommitSeq,
    to: CommitSeq,
    commits: VecDeque<Arc<Commit>>,
    log_bytes: u64,
}

/// What a look at the log found.
struct Found {
    commits: Vec<Arc<Commit>>,
    /// Nothing up to this position is missing from `commits`.
    to: CommitSeq,
}

impl Feed {
    pub fn new(store: Arc<dyn TableStore>) -> Feed {
        Feed {
            inner: Arc::new(Inner {
                store,
                shared: Mutex::default(),
            }),
        }
    }

    /// Reads the commits after `after`. Whether they are all still there is known by the first
    /// [`FeedReader::next`].
    pub fn after(&self, after: CommitSeq) -> FeedReader {
        FeedReader {
            feed: self.clone(),
            announced: self.inner.store.commits(),
            page: VecDeque::new(),
            position: after,
            seen: after,
        }
    }

    /// Reads the commits that are not durable yet.
    pub fn from_now(&self) -> FeedReader {
        let announced = self.inner.store.commits();
        let newest = *announced.borrow();
        self.after(newest)
    }
}

impl Inner {
    /// Commits after `after` that are shared already, if they can be had without waiting.
    fn ready(&self, after: CommitSeq) -> Option<Found> {
        let shared = self.shared.try_lock()?;
        (shared.from..shared.to)
            .contains(&after)
            .then(|| shared.after(after))
    }

    /// Commits after `after`, as many as a page has; none when there is none yet.
    fn look(&self, after: CommitSeq) -> Result<Found, StoreError> {
        {
            let mut shared = self.shared.lock();
            if after >= shared.from {
                if after >= shared.to {
                    shared.follow(after, &*self.store)?;
                }
                let found = shared.after(after);
                shared.trim();
                return Ok(found);
            }
        }
        page(&*self.store, after)
    }
}

impl Shared {
    /// Reads what is new. The lock is held meanwhile, so that of many readers one reads.
    fn follow(&mut self, after: CommitSeq, store: &dyn TableStore) -> Result<(), StoreError> {
        if after > self.to {
            // Nobody has followed for a while; what was shared is of no use to a reader that is further.
            *self = Shared {
                from: after,
                to: after,
                ..Shared::default()
            };
        }
        let found = page(store, self.to)?;
        self.to = found.to;
        for commit in found.commits {
            self.log_bytes += commit.log_bytes;
            self.commits.push_back(commit);
        }
        Ok(())
    }

    fn trim(&mut self) {
        while self.log_bytes > SHARED_BYTES_MAX && self.commits.len() > 1 {
            if let Some(oldest) = self.commits.pop_front() {
                self.log_bytes -= oldest.log_bytes;
                self.from = oldest.seq;
            }
        }
    }

    fn after(&self, after: CommitSeq) -> Found {
        let start = self.commits.partition_point(|commit| commit.seq <= after);
        Found {
            commits: self.commits.iter().skip(start).cloned().collect(),
            to: self.to.max(after),
        }
    }
}

/// Reads and decodes one page of the log.
fn page(store: &dyn TableStore, after: CommitSeq) -> Result<Found, StoreError> {
    // Known before the log is read: every commit up to here is in what is read, or has no entries.
    let newest = *store.commits().borrow();
    let entries = store.log_after(after, PAGE_ENTRIES)?;
    let full = entries.len() >= PAGE_ENTRIES;
    let commits = entries
        .chunk_by(|one, next| one.commit == next.commit)
        .map(|entries| decoded(entries).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let last = commits.last().map_or(after, |commit| commit.seq);
    let to = if full { last } else { last.max(newest) };
    Ok(Found {
        commits,
        to: to.max(after),
    })
}

fn decoded(entries: &[LogEntry]) -> Result<Commit, StoreError> {
    let first = entries
        .first()
        .ok_or_else(|| StoreError::Corrupt("a commit of the change log has no entries".to_owned()))?;
    let mut commit = Commit {
        seq: first.commit,
        committed_at_us: first.committed_at_us,
        origin: None,
        changes: Vec::with_capacity(entries.len()),
        log_bytes: entries.iter().map(LogEntry::bytes).sum(),
    };
    let mut statement: Option<Arc<str>> = None;
    for entry in entries {
        let change = match change_log::decode(&entry.payload)? {
            LogRecord::Origin(origin) => {
                commit.origin = Some(origin);
                continue;
            }
            LogRecord::Statement(text) => {
                statement = Some(text.into());
                continue;
            }
            LogRecord::Row(change) => Change::Row(change),
            LogRecord::Ddl(change) => Change::Definition {
                change,
                statement: statement.clone(),
            },
        };
        commit.changes.push((entry.index, change));
    }
    Ok(commit)
}

/// One position in the log. Dropping it is all there is to ending it.
pub struct FeedReader {
    feed: Feed,
    announced: watch::Receiver<CommitSeq>,
    page: VecDeque<Arc<Commit>>,
    position: CommitSeq,
    /// Nothing after `position` up to here is missing from `page`.
    seen: CommitSeq,
}

impl FeedReader {
    /// The next commit that changed something; waits for it. Dropping the future loses nothing.
    ///
    /// Fails with [`StoreError::LogTrimmed`] when commits after the position are no longer kept; the reader stays
    /// where it is.
    pub async fn next(&mut self) -> Result<Arc<Commit>, StoreError> {
        loop {
            if let Some(commit) = self.ready().await? {
                return Ok(commit);
            }
            if self.announced.changed().await.is_err() {
                // The store is gone, and with it whatever could be committed.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next commit that changed something, `None` when there is none yet. Otherwise as [`FeedReader::next`].
    pub async fn ready(&mut self) -> Result<Option<Arc<Commit>>, StoreError> {
        loop {
            if let Some(commit) = self.page.pop_front() {
                self.position = commit.seq;
                return Ok(Some(commit));
            }
            self.position = self.seen;
            // Marked before the look: a commit that comes after it is announced again.
            let newest = *self.announced.borrow_and_update();
            let found = match self.feed.inner.ready(self.position) {
                Some(found) => found,
                None => self.look().await?,
            };
            self.page = found.commits.into();
            self.seen = found.to;
            if !self.page.is_empty() {
                continue;
            }
            self.position = self.seen;
            // What is shared may end before the newest commit.
            if self.seen >= newest {
                return Ok(None);
            }
        }
    }

    /// Every change up to here has been handed out, or there was none: where to go on after a restart.
    pub fn position(&self) -> CommitSeq {
        if self.page.is_empty() {
            self.seen
        } else {
            self.position
        }
    }

    /// The log may lie on the disk: reading it must not hold up other tasks of the thread.
    async fn look(&self) -> Result<Found, StoreError> {
        let (feed, after) = (Arc::clone(&self.feed.inner), self.position);
        let look = tokio::task::spawn_blocking(move || feed.look(after));
        match look.await {
            Ok(found) => found,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Io(
                    "the runtime stopped while the change log was read".to_owned(),
                )),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
