//! What has to be done now and then: checkpoints, writing dirty pages, giving room back ([`super::emptied`] too).

use std::time::Duration;

use super::{DIRECTORY, DIRECTORY_OWNER, GRAVEYARD, Inner, Kernel};
use crate::error::{KernelError, Result};
use crate::group::{Group, KernelEvent, Pruned};
use crate::ids::{Lsn, PageId, TablespaceId, Ts};
use crate::page::PAGE_BYTES;
use crate::page::node::{OwnedVersionKey, VersionKey};
use crate::planted::planted;
use crate::space::ReadAhead;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Condvar, Mutex, thread};
use crate::tree::Tree;
use crate::tree::read::Scan;
use crate::wal::Truncated;

/// Pages of a dropped tree that one group gives back.
const FREED_PAGES_MAX: usize = 256;
/// How often the store's own thread looks whether something is due.
const STEP_INTERVAL: Duration = Duration::from_millis(100);

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Recovery begins here from now on.
    pub redo: Lsn,
    pub pages_written: u64,
    pub files_synced: u64,
    /// Segments that nothing needs any more have left the log.
    pub truncated: Truncated,
}

impl Kernel {
    /// Writes every page that is dirty now, so that recovery needs nothing of the log before the call.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        self.inner.checkpoint()
    }

    /// Where recovery would begin, and when the checkpoint that says so was begun, microseconds since 1970.
    pub fn last_checkpoint(&self) -> (Lsn, i64) {
        let control = self.inner.control.newest();
        (control.redo.lsn, control.checkpoint_at_us)
    }

    /// Does what is due: a checkpoint, pages of one dropped tree, and leaves where keys were removed. Whether there may be more to do. For a store without
    /// a thread of its own. `DiskFull` when the store can't grow at the moment; the rest was done all the same.
    pub fn step(&self) -> Result<bool> {
        self.inner.step()
    }

    /// Makes what was written of pages durable. Gives how many files needed it.
    ///
    /// # Errors
    /// `Io` and `Poisoned` are final: nobody knows what is on the disk.
    pub fn sync_files(&self) -> Result<u64> {
        self.inner
            .note(self.inner.files.sync_all())
            .map(|files| files as u64)
    }

    /// Gives the pool as many frames as `bytes` hold; the bytes that it has then, more when too many frames are pinned.
    pub fn set_pool_bytes(&self, bytes: u64) -> Result<u64> {
        let frames = usize::try_from(bytes / PAGE_BYTES as u64).unwrap_or(usize::MAX);
        self.inner.pool_frames.store(frames, Ordering::Release);
        Ok(self.inner.pool.resize(frames)? as u64 * PAGE_BYTES as u64)
    }

    /// Who reads pages in order, and how many are read ahead for them: a miss that follows others does it.
    pub fn read_ahead(&self) -> &ReadAhead {
        self.inner.pool.read_ahead()
    }

    /// Prunes the leaf of the space that holds `from` and merges it with a neighbour when it is thin; where the next leaf
    /// begins, `None` behind the last.
    pub fn tidy(&self, space: u64, from: &OwnedVersionKey) -> Result<Option<OwnedVersionKey>> {
        Ok(self.inner.tidy(space, from)?.1)
    }

    /// [`Kernel::tidy`] over a whole space.
    pub fn tidy_space(&self, space: u64) -> Result<()> {
        let mut from = Some(VersionKey::FIRST.to_owned());
        while let Some(next) = from {
            from = self.tidy(space, &next)?;
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn tidy(
        &self,
        space: u64,
        from: &OwnedVersionKey,
    ) -> Result<(Pruned, Option<OwnedVersionKey>)> {
        self.change(|group| {
            // Under the commit latch: nobody drops it meanwhile.
            let tree = match space {
                DIRECTORY_OWNER => Some(DIRECTORY),
                _ => self.trees.read().get(&space).map(|(tree, _)| *tree),
            };
            match tree {
                Some(tree) => {
                    let next = group.tidy_leaf(tree, from.borrow())?;
                    Ok((group.pruned, next))
                }
                None => Ok((Pruned::default(), None)),
            }
        })
    }

    /// Makes changes that are no commit: nobody sees a difference but in room.
    pub(super) fn change<T>(&self, make: impl FnOnce(&mut Group<'_>) -> Result<T>) -> Result<T> {
        let mut committer = self.committer.lock();
        // What is pruned was durable when the newest published commit was; what is written has the newest version.
        let ts = committer.applied;
        let now_us = self.clock.now_us();
        let (made, _) = self.make(&mut committer, ts, now_us, |commit| make(&mut commit.group))?;
        Ok(made)
    }

    pub(super) fn checkpoint(&self) -> Result<Checkpoint> {
        let _one = self.checkpointing.lock();
        self.check_poison()?;
        let begun_us = self.clock.now_mono_us();
        let (redo, state) = {
            let mut committer = self.committer.lock();
            let (redo, state) = Inner::position(&committer, &self.wal);
            committer.images_before = redo.lsn;
            (redo, state)
        };
        let checkpoint_at_us = self.clock.now_us();
        self.note(self.wal.sync_to(redo.lsn))?;
        let written = self.note(self.pool.flush_before(redo.lsn))?;
        let files_synced = match planted!("pages-not-synced") {
            true => 0,
            false => self.note(self.files.sync_all())? as u64,
        };
        if planted!("log-reset-early") {
            self.wal.truncate_before(redo.lsn)?;
        }
        let before = self.control.newest();
        let control = super::control::Control {
            redo,
            totals: state.totals,
            trimmed: state.trimmed,
            checkpoint_at_us,
            ..before
        };
        self.note(self.control.write(control))?;
        let truncated = self.truncate()?;
        let duration_us = self.clock.now_mono_us().saturating_sub(begun_us);
        self.listener.tell(|listener| {
            listener.event(KernelEvent::Checkpoint {
                redo: redo.lsn,
                pages_written: written.pages,
                files_synced,
                duration_us,
            });
        });
        Ok(Checkpoint {
            redo: redo.lsn,
            pages_written: written.pages,
            files_synced,
            truncated,
        })
    }

    /// Takes segments off the log that neither recovery nor the change log needs.
    fn truncate(&self) -> Result<Truncated> {
        let control = self.control.newest();
        let keep = control.redo.lsn.min(self.entries_after(control.trimmed.to)?);
        self.wal.truncate_before(keep)
    }

    pub(super) fn step(&self) -> Result<bool> {
        self.upkeep(true)
    }

    /// [`Kernel::step`]; dirty pages are written only with `flush`, or by a checkpoint that is due.
    fn upkeep(&self, flush: bool) -> Result<bool> {
        let begun = self.control.newest().redo.lsn;
        let mut segment = self.make_segment();
        if segment.is_err() {
            // A checkpoint gives segments of the log back, which is what a full disk needs.
            self.checkpoint()?;
            segment = self.make_segment();
        } else if self.wal.end().0 - begun.0 >= self.options.checkpoint_bytes {
            self.checkpoint()?;
        } else if flush {
            self.flush_oldest()?;
        }
        let more = self.free_dropped()? | self.tidy_emptied()?;
        if !more {
            // Nobody waits for what this did; who watches is told once it is durable.
            self.note(self.wal.sync_to(self.wal.end()))?;
        }
        segment.and_then(|()| self.make_pages()).map(|()| more)
    }

    /// Writes as many of the oldest dirty pages as the settings say; how many that were.
    fn flush_oldest(&self) -> Result<u64> {
        let pages_max = self.pool.settings().flush_pages_max() as usize;
        Ok(self.note(self.pool.flush_some(pages_max))?.pages)
    }

    /// Whether more pages are dirty than the settings say.
    fn is_too_dirty(&self) -> bool {
        let dirty_max = self.pool.frames() as u64 * self.pool.settings().dirty_permille_max() / 1000;
        self.pool.dirty_pages() as u64 > dirty_max
    }

    /// Gives the pool the frames that the options or [`Kernel::set_pool_bytes`] say. One that stays smaller is slow, not wrong.
    fn resize_to_wanted(&self) {
        loop {
            let wanted = self.pool_frames.load(Ordering::Acquire);
            let resized = self.pool.resize(wanted);
            // Another number that came meanwhile may have been resized to before this one.
            if resized.is_err() || self.pool_frames.load(Ordering::Acquire) == wanted {
                return;
            }
        }
    }

    /// Sees to a spare segment of the log.
    fn make_segment(&self) -> Result<()> {
        let made = self.wal.prepare();
        self.cramped.lock().log = made.as_ref().err().map(KernelError::to_string);
        made
    }

    /// Where a commit got no pages, tries whether there are some now.
    fn make_pages(&self) -> Result<()> {
        if self.cramped.lock().pages.is_none() {
            return Ok(());
        }
        let pages = self.files.pages(TablespaceId::MAIN)?;
        self.files.ensure(PageId::new(TablespaceId::MAIN, pages))?;
        self.cramped.lock().pages = None;
        Ok(())
    }

    /// Gives pages of one dropped tree back that no snapshot can see any more. Whether there may be more.
    fn free_dropped(&self) -> Result<bool> {
        self.change(|group| {
            let oldest = group.readers.oldest();
            let mut scan = Scan::new(&group.work, GRAVEYARD, Ts::MAX, &[], None);
            let mut found = None;
            while let Some((key, version)) = scan.next_entry()? {
                let (tree, dropped) = grave(&key, &version.value)?;
                if dropped <= oldest || planted!("dropped-tree-freed-early") {
                    found = Some((key, tree));
                    break;
                }
            }
            let Some((key, tree)) = found else {
                return Ok(false);
            };
            if group.free_tree(tree, FREED_PAGES_MAX)? {
                group.put(GRAVEYARD, &key, None)?;
            }
            Ok(true)
        })
    }
}

/// A tree that was dropped, and by which commit.
pub(super) fn grave(key: &[u8], value: &[u8]) -> Result<(Tree, Ts)> {
    let corrupt = || KernelError::misshapen(PageId::new(TablespaceId::MAIN, 3), "record of a dropped tree");
    let number = |bytes: Option<&[u8]>| -> Result<[u8; 8]> {
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(corrupt)
    };
    let root = PageId::from_number(u64::from_be_bytes(number(Some(key))?)).ok_or_else(corrupt)?;
    let owner = u64::from_le_bytes(number(value.get(..8))?);
    let dropped = Ts(u64::from_le_bytes(number(value.get(8..))?));
    Ok((Tree { root, owner }, dropped))
}

/// The store's own thread.
pub(super) struct Keeper {
    signal: Arc<(Mutex<bool>, Condvar)>,
    thread: thread::JoinHandle<()>,
}

impl Keeper {
    pub fn start(inner: &Arc<Inner>) -> Result<Keeper> {
        let signal = Arc::new((Mutex::new(false), Condvar::new()));
        let (inner, theirs) = (Arc::clone(inner), Arc::clone(&signal));
        let thread = thread::Builder::new()
            .name("store-keeper".to_owned())
            .spawn(move || keep(&inner, &theirs))
            .map_err(|error| KernelError::io("starting the store's thread", &error))?;
        Ok(Keeper { signal, thread })
    }

    /// Ends the thread and waits for it.
    pub fn stop(self) {
        *self.signal.0.lock() = true;
        self.signal.1.notify_all();
        // A panic of the thread has been printed by it.
        let _ = self.thread.join();
    }
}

/// Does what is due until told to stop. An error is noted where it is final; others, a full disk say, are met again.
fn keep(inner: &Inner, signal: &(Mutex<bool>, Condvar)) {
    inner.resize_to_wanted();
    let interval = || Duration::from_millis(inner.pool.settings().flush_interval_ms());
    let (mut step_in, mut flush_in) = (STEP_INTERVAL, interval());
    let (mut more_steps, mut more_flushes) = (false, false);
    loop {
        let pause = match more_steps || more_flushes {
            true => Duration::ZERO,
            false => step_in.min(flush_in),
        };
        {
            let mut stop = signal.0.lock();
            if !*stop && !pause.is_zero() {
                signal.1.wait_for(&mut stop, pause);
            }
            if *stop {
                return;
            }
        }
        step_in = step_in.saturating_sub(pause);
        // It may have been set to less meanwhile.
        flush_in = flush_in.saturating_sub(pause).min(interval());
        if more_steps || step_in.is_zero() {
            more_steps = inner.upkeep(false).unwrap_or(false);
            step_in = STEP_INTERVAL;
        }
        more_flushes = false;
        if flush_in.is_zero() || inner.is_too_dirty() {
            let flushed = inner.flush_oldest().unwrap_or(0);
            more_flushes = flushed > 0 && inner.is_too_dirty();
            flush_in = interval();
        }
    }
}
