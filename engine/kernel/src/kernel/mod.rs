//! The kernel as a whole: spaces of versioned keys, durable, with snapshots and a change log.
//!
//! | to | look at |
//! |---|---|
//! | open a store, and what recovery does | [`open`], [`redo`] |
//! | make a commit | [`commit`] |
//! | make one that is answered before it is durable | [`unwaited`] |
//! | read | [`read`] |
//! | read what commits told | [`log`] |
//! | verify a whole store | [`check`] |
//! | bound recovery, take room back | [`upkeep`], [`emptied`] |
//! | make tablespaces for pages of clients | [`tablespaces`] |
//! | look at pages, and change those of clients | [`raw`], [`raw_pages`], [`raw_records`], [`raw_io`] |
//!
//! # A write, from call to sync
//!
//! ```text
//! Kernel::commit(closure)
//!   commit latch ─────────────────────────────────┐
//!     closure: reads, Commit::write, log ...        │ private copies of pages (group::WorkSet)
//!     directory: statistics of each changed space   │
//!     frames for the changed pages are pinned       │ the last that can fail
//!     Wal::append: entries, changes of pages        │ into the log's buffer
//!     Pin::install of each page                     │ readers of frames see them, no snapshot does
//!   ────────────────────────────────────────────────┘
//! Kernel::wait(ticket)
//!   Wal::sync_to: one thread writes and syncs for all that wait
//!   the newest durable commit is published: new snapshots see it
//! ```
//!
//! # A read, from call to frame
//!
//! A snapshot is a commit's number. It finds the space's tree, in memory or in the directory, and descends from the root:
//! each page is found in the pool without a lock, read as it stands, and read again when it changed meanwhile.
//!
//! # Order of locks
//!
//! The registry of tablespaces, the checkpoint's, the commit latch, then the log's, then one frame's latch at a time.
//! `pending`, `published` and who is to be told ([`unwaited`]) are taken under any of them and held over nothing but calls of
//! those who listen.

mod changes;
mod check;
mod commit;
mod control;
mod emptied;
mod log;
mod open;
mod progress;
mod raw;
mod raw_io;
mod raw_pages;
mod raw_records;
mod read;
mod redo;
mod snapshots;
mod tablespaces;
#[cfg(test)]
mod tests;
mod unwaited;
mod upkeep;

use std::collections::{BTreeSet, HashMap, VecDeque};

use rustydb_runtime::disk::{Disk, DiskFile};
use rustydb_runtime::{Clock, Rng};

pub use self::changes::{LogTotals, Trim};
pub use self::check::{Finding, Report};
pub use self::commit::{Commit, SpaceStats, Ticket};
pub use self::control::FORMAT_VERSION;
pub use self::log::{LogExtent, LogGroup};
pub use self::open::{KernelOptions, RecoveryInfo};
pub use self::progress::{OpenNow, OpenPhase, OpenProgress};
pub use self::raw::{PageCounts, PageFacts, PageListed, RawError, Verdict};
pub use self::raw_io::IoOutcome;
pub use self::raw_pages::Staged;
pub use self::raw_records::{RawMerge, RawSplit};
pub use self::read::Snapshot;
pub use self::tablespaces::{TablespaceDef, TablespaceKind, TablespaceState};
pub use self::unwaited::SYNC_SOON_MAX;
pub use self::upkeep::Checkpoint;
pub use crate::group::{KernelEvent, TreeEvent};

use self::control::ControlFile;
use self::emptied::EmptiedRanges;
use self::snapshots::Snapshots;
use self::tablespaces::Registry;
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId, TablespaceId, Ts};
use crate::listener::Listener;
use crate::pool::Pool;
use crate::space::{IoQueue, PageFiles};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, RwLock};
use crate::tree::Tree;
use crate::wal::Wal;

/// Owner of the pages of the directory, which says where each space's tree is.
const DIRECTORY_OWNER: u64 = u64::MAX;
/// Owner of the pages of the graveyard, which says which dropped trees have pages to give back.
const GRAVEYARD_OWNER: u64 = u64::MAX - 1;
/// Owner of the pages of the registry, a space of the directory that says which raw tablespaces there are.
const REGISTRY: u64 = u64::MAX - 2;
/// Spaces have smaller numbers than this.
pub const SPACES_MAX: u64 = u64::MAX - 15;

const DIRECTORY: Tree = Tree {
    root: PageId::new(TablespaceId::MAIN, 2),
    owner: DIRECTORY_OWNER,
};
const GRAVEYARD: Tree = Tree {
    root: PageId::new(TablespaceId::MAIN, 3),
    owner: GRAVEYARD_OWNER,
};

/// An open store.
pub struct Kernel {
    inner: Arc<Inner>,
    keeper: Option<upkeep::Keeper>,
    syncer: Option<unwaited::Syncer>,
    /// Requests of clients that nobody waits for.
    queue: IoQueue,
    /// Locked while the store is open.
    _lock: Arc<dyn DiskFile>,
}

/// Is told of the newest durable commit.
type OnPublish = Arc<dyn Fn(Ts) + Send + Sync>;

struct Inner {
    options: KernelOptions,
    /// Frames that the pool is to have.
    pool_frames: AtomicUsize,
    clock: Arc<dyn Clock>,
    /// The store was closed: snapshots that outlive it read nothing more, since others may change the files.
    closed: AtomicBool,
    /// A group is in the log, and only a part of its pages in the frames: they show no commit's state.
    half_installed: AtomicBool,
    pool: Pool,
    files: Arc<PageFiles>,
    wal: Wal,
    control: ControlFile,
    epoch: u64,
    /// The commit latch: whoever holds it may change pages.
    committer: Mutex<Committer>,
    /// One checkpoint at a time.
    checkpointing: Mutex<()>,
    /// What becomes visible once the log is durable up to an LSN, in order.
    pending: Mutex<VecDeque<Pending>>,
    unwaited: unwaited::Unwaited,
    published: RwLock<Published>,
    on_publish: RwLock<Option<OnPublish>>,
    snapshots: Snapshots,
    emptied: EmptiedRanges,
    /// Trees of the spaces that the newest group has, and the commit that made each.
    trees: RwLock<HashMap<u64, (Tree, Ts)>>,
    /// Why nothing is accepted any more.
    poison: Mutex<Option<String>>,
    cramped: Mutex<Cramped>,
    /// The raw tablespaces. Whoever changes pages of one, or its files, keeps it from being dropped meanwhile.
    registry: RwLock<Registry>,
    /// Raw pages that were staged, and may have been written since.
    staged: Mutex<BTreeSet<PageId>>,
    listener: Listener<dyn KernelEvents>,
    recovery: RecoveryInfo,
}

/// A listener. It is called by the thread that made the group durable, in the middle of its work: it returns soon and
/// calls nothing of the kernel.
pub trait KernelEvents: Send + Sync + 'static {
    fn event(&self, event: KernelEvent);
}

/// What happens once the log is durable up to `end`.
struct Pending {
    end: Lsn,
    published: Published,
    events: Vec<KernelEvent>,
}

/// Why the store can't grow at the moment.
#[derive(Default)]
struct Cramped {
    /// There is no spare segment of the log.
    log: Option<String>,
    /// A commit got no pages.
    pages: Option<String>,
}

/// State of the newest group, durable or not.
struct Committer {
    applied: Ts,
    totals: LogTotals,
    trimmed: Trim,
    /// A page last changed before this is logged whole when it is changed.
    images_before: Lsn,
    /// Where to look for free pages.
    hints: HashMap<TablespaceId, u32>,
    /// What the directory says of spaces that commits looked at; `None` of one that is not there.
    spaces: HashMap<u64, Option<commit::Space>>,
}

/// What everybody may know: it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Published {
    ts: Ts,
    totals: LogTotals,
    trimmed: Trim,
}

impl Kernel {
    /// Opens the store in `folder` of `disk`, and makes one where there is none.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &str,
        clock: Arc<dyn Clock>,
        rng: &dyn Rng,
        options: KernelOptions,
    ) -> Result<Kernel> {
        let (inner, lock) = open::open(disk, folder, clock, rng, options)?;
        let inner = Arc::new(inner);
        let published = Arc::downgrade(&inner);
        inner.wal.on_durable(move |durable, _| {
            if let Some(inner) = published.upgrade() {
                inner.publish(durable);
            }
        });
        let keeper = inner
            .options
            .background
            .then(|| upkeep::Keeper::start(&inner))
            .transpose()?;
        let syncer = (inner.options.background && inner.options.async_commits)
            .then(|| unwaited::Syncer::start(&inner))
            .transpose()?;
        Ok(Kernel {
            queue: raw_io::queue(&inner),
            inner,
            keeper,
            syncer,
            _lock: lock,
        })
    }

    /// Random number of the store: a commit's number means something only together with it.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// The newest durable commit.
    pub fn newest(&self) -> Ts {
        self.inner.published.read().ts
    }

    /// `callback` is told of each newest durable commit, before it is acknowledged. It must not call the kernel.
    pub fn on_publish(&self, callback: impl Fn(Ts) + Send + Sync + 'static) {
        *self.inner.on_publish.write() = Some(Arc::new(callback));
    }

    /// Whether commits are accepted.
    pub fn check_writable(&self) -> Result<()> {
        self.inner.check_poison()
    }

    /// Why the store can't grow at the moment: commits that need more pages or another segment of the log fail. Cleared as
    /// soon as there is room again.
    pub fn cramped(&self) -> Option<String> {
        let cramped = self.inner.cramped.lock();
        cramped.log.clone().or_else(|| cramped.pages.clone())
    }

    /// Sets who is told of what groups did once they are durable, in the place of who was.
    pub fn listen(&self, events: Option<Arc<dyn KernelEvents>>) {
        self.inner.listener.set(events);
    }

    /// What the opening of the store had to make again.
    pub fn recovery(&self) -> RecoveryInfo {
        self.inner.recovery
    }

    pub fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    pub fn wal(&self) -> &Wal {
        &self.inner.wal
    }

    pub fn files(&self) -> &PageFiles {
        &self.inner.files
    }
}

impl Drop for Kernel {
    /// Takes a checkpoint, makes the log durable as far as it goes and says that its end is one, so that damage to it is told
    /// from a torn end.
    fn drop(&mut self) {
        // Whoever queued requests and did not process them asks for no outcome.
        drop(self.queue.process(usize::MAX));
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
        if let Some(syncer) = self.syncer.take() {
            syncer.stop();
        }
        // So that the next opening has nothing to redo. A store that can't write any more recovers from its log.
        let _ = self.inner.checkpoint();
        self.inner.closed.store(true, Ordering::Release);
        // A store that can't write any more was told so to those who wrote.
        let _ = self.inner.wal.seal();
        self.inner.unwaited.fail(&KernelError::Closed);
    }
}

impl Inner {
    /// Shows everybody what is durable now.
    fn publish(&self, durable: Lsn) {
        let mut pending = self.pending.lock();
        let mut newest = None;
        while let Some(next) = pending.pop_front_if(|next| next.end <= durable) {
            for event in next.events {
                self.listener.tell(|listener| listener.event(event));
            }
            newest = Some(next.published);
        }
        let Some(newest) = newest else {
            return;
        };
        let before = std::mem::replace(&mut *self.published.write(), newest);
        if before.ts < newest.ts
            && let Some(told) = self.on_publish.read().as_ref()
        {
            told(newest.ts);
        }
        drop(pending);
        self.unwaited.tell(newest.ts);
    }

    fn check_poison(&self) -> Result<()> {
        match &*self.poison.lock() {
            // The log may have failed in what was no commit's business: when it was shortened, say.
            None => self.wal.check_writable(),
            Some(reason) => Err(KernelError::Poisoned {
                reason: reason.clone(),
            }),
        }
    }

    /// Notes an error after which nobody knows what is on the disk.
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let reason = match error {
                KernelError::Poisoned { reason } => Some(reason.clone()),
                KernelError::Io { .. } => Some(error.to_string()),
                _ => None,
            };
            if let Some(reason) = reason {
                self.poison.lock().get_or_insert(reason);
            }
        }
        result
    }
}
