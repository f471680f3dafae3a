//! Making commits.

use std::collections::BTreeMap;

use super::changes::{self, LogTotals, Trim};
use super::emptied::Removed;
use super::{Committer, DIRECTORY, GRAVEYARD, Inner, Kernel, Pending, Published, SPACES_MAX};
use crate::error::{KernelError, Result};
use crate::group::{Changed, Group};
use crate::ids::{Lsn, PageId, TablespaceId, Ts};
use crate::planted::planted;
use crate::pool::Pin;
use crate::sync::atomic::Ordering;
use crate::tree::{Tree, read};

/// Most pages whose frames are pinned before their group is in the log, as a part of the pool's frames. A larger group is made
/// durable first.
const PINNED_PART: usize = 4;

/// A space is swept once so many of its versions, and this part of its keys besides, were given newer ones: as PostgreSQL's
/// autovacuum does it.
const SWEEP_VERSIONS_MIN: u64 = 50;
const SWEEP_PART: u64 = 5;

/// Size of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpaceStats {
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Commit that last changed it; 0 when none has.
    pub modified: Ts,
    /// When that was, microseconds since 1970; 0 when none has.
    pub modified_at_us: i64,
}

/// What the directory says of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub root: PageId,
    pub stats: SpaceStats,
}

impl Space {
    /// Bytes in the directory: root, entries, bytes, modified, modified at, 8 each, little-endian.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let numbers = [
            self.root.to_number(),
            self.stats.entries,
            self.stats.bytes,
            self.stats.modified.0,
            self.stats.modified_at_us as u64,
        ];
        for (target, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            target.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Result<Space> {
        let corrupt = || KernelError::misshapen(DIRECTORY.root, "record of the directory");
        if bytes.len() != 40 {
            return Err(corrupt());
        }
        let number =
            |at: usize| u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"));
        Ok(Space {
            root: PageId::from_number(number(0)).ok_or_else(corrupt)?,
            stats: SpaceStats {
                entries: number(1),
                bytes: number(2),
                modified: Ts(number(3)),
                modified_at_us: number(4) as i64,
            },
        })
    }

    pub fn tree(self, space: u64) -> Tree {
        Tree {
            root: self.root,
            owner: space,
        }
    }
}

/// A commit that is in the log's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is not waited for may not be durable"]
pub struct Ticket {
    pub ts: Ts,
    /// It is durable once the log is, up to here.
    pub end: Lsn,
}

/// A commit in the making. Dropped without effect when its closure fails.
pub struct Commit<'k> {
    pub(super) group: Group<'k>,
    committer: &'k mut Committer,
    inner: &'k Inner,
    now_us: i64,
    /// Spaces that were looked at; `None` of one that is not there.
    spaces: BTreeMap<u64, Option<Space>>,
    changed: Vec<u64>,
    entries: Vec<Vec<u8>>,
    trim_to: Option<Ts>,
    insisted: bool,
    emptied: Removed,
    /// Versions per space that this commit gave a newer one.
    overwritten: BTreeMap<u64, u64>,
}

impl Kernel {
    /// Makes the changes of `make` one commit, made at `now_us`. Others wait meanwhile. When `make` fails, nothing
    /// happened. A commit that changes nothing has the number of the newest. It is durable after [`Kernel::wait`].
    pub fn commit<T, E: From<KernelError>>(
        &self,
        now_us: i64,
        make: impl FnOnce(&mut Commit<'_>) -> Result<T, E>,
    ) -> Result<(T, Ticket), E> {
        let mut committer = self.inner.committer.lock();
        let ts = Ts(committer.applied.0 + 1);
        self.inner.make(&mut committer, ts, now_us, make)
    }

    /// Blocks until the commit is durable and visible.
    ///
    /// # Errors
    /// `Poisoned` and `Io`: nobody knows whether it is durable, and nothing is accepted any more.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        if planted!("early-acknowledgement") {
            self.inner.publish(Lsn(u64::MAX));
            return Ok(());
        }
        self.inner.make_visible(ticket.end)
    }

    /// Blocks until everything that was committed before the call is durable and visible.
    pub fn wait_for_all(&self) -> Result<()> {
        let end = {
            let _committer = self.inner.committer.lock();
            self.inner.wal.end()
        };
        self.inner.make_visible(end)
    }
}

impl Commit<'_> {
    /// Number that this commit will have.
    pub fn ts(&self) -> Ts {
        self.group.ts
    }

    /// The newest version of a key, with what this commit has done; `None` where there is none.
    pub fn version_of(&mut self, space: u64, key: &[u8]) -> Result<Option<Ts>> {
        match self.space(space)? {
            None => Ok(None),
            Some(found) => read::version_of(&self.group.work, found.tree(space), key, Ts::MAX),
        }
    }

    /// Sets the value of a key, or removes it.
    pub fn write(&mut self, space: u64, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        check_space(space)?;
        self.put(space, key, value)
    }

    /// [`Commit::write`], also of the spaces that are the store's own.
    pub(super) fn put(&mut self, space: u64, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let old_bytes = match self.space(space)? {
            None => None,
            Some(found) => read::value_bytes(&self.group.work, found.tree(space), key)?,
        };
        if old_bytes.is_none() && value.is_none() {
            return Ok(());
        }
        let mut found = match self.space(space)? {
            Some(found) => found,
            None => self.create_space(space)?,
        };
        self.group.put(found.tree(space), key, value)?;
        if std::mem::take(&mut self.group.left_versions) || value.is_none() {
            self.emptied.note(space, key);
        }
        if old_bytes.is_some() {
            *self.overwritten.entry(space).or_default() += 1;
        }
        let stats = &mut found.stats;
        if let Some(old_bytes) = old_bytes {
            let left = stats
                .entries
                .checked_sub(1)
                .zip(stats.bytes.checked_sub(key.len() as u64 + old_bytes));
            (stats.entries, stats.bytes) =
                left.ok_or_else(|| KernelError::misshapen(found.root, "holds more than its statistics say"))?;
        }
        if let Some(value) = value {
            stats.entries += 1;
            stats.bytes += key.len() as u64 + value.len() as u64;
        }
        stats.modified = self.group.ts;
        stats.modified_at_us = self.now_us;
        self.set_space(space, Some(found));
        Ok(())
    }

    /// Removes a space with all its keys.
    pub fn drop_space(&mut self, space: u64) -> Result<()> {
        check_space(space)?;
        let Some(found) = self.space(space)? else {
            return Ok(());
        };
        let mut record = [0; 16];
        record[..8].copy_from_slice(&space.to_le_bytes());
        record[8..].copy_from_slice(&self.group.ts.0.to_le_bytes());
        self.group
            .put(GRAVEYARD, &found.root.to_number().to_be_bytes(), Some(&record))?;
        self.set_space(space, None);
        Ok(())
    }

    /// Adds an entry to the change log.
    pub fn log(&mut self, payload: Vec<u8>) {
        self.entries.push(payload);
    }

    /// Removes the change-log entries of this commit and of all before it, but not of later ones than this.
    pub fn trim_log(&mut self, to: Ts) {
        let to = to.min(self.group.ts);
        self.trim_to = Some(self.trim_to.map_or(to, |before| before.max(to)));
    }

    /// Makes a commit of it though it may change nothing.
    pub fn insist(&mut self) {
        self.insisted = true;
    }

    fn space(&mut self, space: u64) -> Result<Option<Space>> {
        if let Some(known) = self.spaces.get(&space) {
            return Ok(*known);
        }
        let found = match self.committer.spaces.get(&space) {
            Some(known) => *known,
            None => read::get(&self.group.work, DIRECTORY, &space.to_be_bytes(), Ts::MAX)?
                .map(|version| Space::parse(&version.value))
                .transpose()?,
        };
        self.spaces.insert(space, found);
        Ok(found)
    }

    fn set_space(&mut self, space: u64, to: Option<Space>) {
        self.spaces.insert(space, to);
        if !self.changed.contains(&space) {
            self.changed.push(space);
        }
    }

    fn create_space(&mut self, space: u64) -> Result<Space> {
        let root = self.group.allocate(TablespaceId::MAIN)?;
        let found = Space {
            root,
            stats: SpaceStats::default(),
        };
        self.group.create_tree(found.tree(space))?;
        self.set_space(space, Some(found));
        Ok(found)
    }

    /// Puts the group into the log and the frames.
    fn finish(mut self) -> Result<Ticket> {
        for space in std::mem::take(&mut self.changed) {
            let record = self.spaces[&space].map(Space::to_bytes);
            let key = space.to_be_bytes();
            let known = read::version_of(&self.group.work, DIRECTORY, &key, Ts::MAX)?.is_some();
            if record.is_some() || known {
                self.group
                    .put(DIRECTORY, &key, record.as_ref().map(<[u8; 40]>::as_slice))?;
            }
        }
        let commits = self.insisted
            || !self.group.work.is_unchanged()
            || !self.entries.is_empty()
            || self.trim_to.is_some();
        if !commits {
            return Ok(Ticket {
                ts: self.committer.applied,
                end: self.inner.wal.end(),
            });
        }
        let published = self.published()?;
        let mut body = Vec::new();
        changes::encode(
            self.now_us,
            self.committer.totals,
            Some(published.trimmed).filter(|trim| *trim != self.committer.trimmed),
            &self.entries,
            &mut body,
        );
        let mut emptied = std::mem::take(&mut self.emptied);
        self.count_overwritten(&mut emptied);
        let spaces = std::mem::take(&mut self.spaces);
        let end = self
            .inner
            .install(self.committer, self.group, body, published, self.now_us)?;
        for (space, found) in spaces {
            self.committer.spaces.insert(space, found);
            self.inner
                .note_tree(space, found.map(|found| found.tree(space)), published.ts);
        }
        self.inner.emptied.add(emptied, published.ts);
        Ok(Ticket {
            ts: published.ts,
            end,
        })
    }

    /// Has a space swept once a part of its keys has older versions, which nobody meets who writes other keys.
    fn count_overwritten(&mut self, emptied: &mut Removed) {
        for (space, overwritten) in std::mem::take(&mut self.overwritten) {
            let entries = self
                .spaces
                .get(&space)
                .copied()
                .flatten()
                .map_or(0, |found| found.stats.entries);
            let so_far = self.committer.overwritten.entry(space).or_default();
            *so_far += overwritten;
            if *so_far >= SWEEP_VERSIONS_MIN + entries / SWEEP_PART {
                self.committer.overwritten.remove(&space);
                emptied.note_whole(space);
            }
        }
    }

    /// What is visible once this commit is durable.
    fn published(&self) -> Result<Published> {
        let mut totals = self.committer.totals;
        for entry in &self.entries {
            totals.add(entry);
        }
        let mut published = Published {
            ts: self.group.ts,
            totals,
            trimmed: self.committer.trimmed,
        };
        if let Some(to) = self.trim_to.filter(|to| *to > self.committer.trimmed.to) {
            let totals = match to == self.group.ts {
                true => totals,
                false => self.inner.totals_at(to, self.committer)?,
            };
            published.trimmed = Trim { to, totals };
        }
        Ok(published)
    }
}

/// Refuses a number that no space of a client has.
fn check_space(space: u64) -> Result<()> {
    if space < SPACES_MAX {
        return Ok(());
    }
    Err(KernelError::TooLarge {
        what: "number of a space",
        size: space as usize,
        size_max: SPACES_MAX as usize - 1,
    })
}

impl Inner {
    /// Makes the changes of `make` one group of the log whose version is `ts`: the commit behind the newest, or the newest
    /// itself, and then it is no commit of its own.
    pub(super) fn make<T, E: From<KernelError>>(
        &self,
        committer: &mut Committer,
        ts: Ts,
        now_us: i64,
        make: impl FnOnce(&mut Commit<'_>) -> Result<T, E>,
    ) -> Result<(T, Ticket), E> {
        self.check_poison()?;
        let readers = self
            .snapshots
            .readers(self.clock.now_us(), || self.published.read().ts);
        let hints = committer.hints.clone();
        let mut group = Group::new(&self.pool, self, committer.images_before, ts, readers, hints);
        group.events = self.listener.listens().then(Vec::new);
        let mut commit = Commit {
            group,
            committer,
            inner: self,
            now_us,
            spaces: BTreeMap::new(),
            changed: Vec::new(),
            entries: Vec::new(),
            trim_to: None,
            insisted: false,
            emptied: Removed::default(),
            overwritten: BTreeMap::new(),
        };
        let made = make(&mut commit)?;
        let ticket = commit.finish()?;
        Ok((made, ticket))
    }

    /// Makes the log durable up to `end` and publishes what is durable then.
    pub(super) fn make_visible(&self, end: Lsn) -> Result<()> {
        self.note(self.wal.sync_to(end))
            .inspect_err(|error| self.unwaited.fail(error))?;
        // The thread that synced may have come between a group's way into the log and its way into `pending`.
        self.publish(self.wal.durable());
        Ok(())
    }

    /// Appends the group to the log and puts its pages into the frames; the end of the group in the log. It becomes
    /// `published` once that is durable.
    pub(super) fn install(
        &self,
        committer: &mut Committer,
        group: Group<'_>,
        mut body: Vec<u8>,
        published: Published,
        at_us: i64,
    ) -> Result<Lsn> {
        group.work.append_redo(&mut body)?;
        let fits = group.work.changed_pages() <= self.pool.frames() / PINNED_PART;
        let pins = match fits {
            true => Some(self.pin_all(&group)?),
            false => None,
        };
        // From here on the group is in the log, and what fails is final.
        let appended = self.wal.append(published.ts, &[&body])?;
        let Group {
            work,
            hints,
            events,
            pruned,
            ..
        } = group;
        match pins {
            Some(mut pins) => {
                for changed in work.into_changed() {
                    pins.remove(&changed.id)
                        .expect("each changed page was pinned")
                        .install(&changed.page, appended.start);
                }
            }
            None => self.note(self.install_durable(appended.start, appended.end, work.into_changed()))?,
        }
        self.pruned_versions.fetch_add(pruned.versions, Ordering::Relaxed);
        self.pruned_bytes.fetch_add(pruned.bytes, Ordering::Relaxed);
        committer.applied = published.ts;
        committer.totals = published.totals;
        committer.trimmed = published.trimmed;
        committer.hints = hints;
        self.pending.lock().push_back(Pending {
            end: appended.end,
            published,
            at_us,
            events: events.unwrap_or_default(),
        });
        self.publish(self.wal.durable());
        Ok(appended.end)
    }

    /// Tells readers where the space's tree is as of the commit `ts`.
    fn note_tree(&self, space: u64, tree: Option<Tree>, ts: Ts) {
        let known = self.trees.read().get(&space).map(|known| known.0);
        if known == tree {
            return;
        }
        let mut trees = self.trees.write();
        match tree {
            None => trees.remove(&space),
            Some(tree) => trees.insert(space, (tree, ts)),
        };
    }

    fn pin_all(&self, group: &Group<'_>) -> Result<BTreeMap<PageId, Pin>> {
        group
            .work
            .changed()
            .map(|(id, is_new)| {
                let pin = if is_new {
                    self.pool.pin_new(id)
                } else {
                    self.pool.pin(id)
                };
                Ok((id, pin?))
            })
            .collect()
    }

    /// Puts more pages into the frames than may be pinned at a time: the log is durable first, so that those that are
    /// put may be written to make room for others. What fails then is final: the group can't be taken back.
    fn install_durable(&self, start: Lsn, end: Lsn, changed: Vec<Changed>) -> Result<()> {
        self.wal.sync_to(end)?;
        for changed in changed {
            let pin = match changed.is_new {
                true => self.pool.pin_new(changed.id),
                // The whole page is at hand: that the one on disk can't be read does no harm.
                false => self
                    .pool
                    .pin(changed.id)
                    .or_else(|_| self.pool.pin_new(changed.id)),
            };
            let pin = pin.map_err(|error| {
                self.half_installed.store(true, Ordering::Release);
                KernelError::Poisoned {
                    reason: format!("putting the pages of a large commit into the buffer pool: {error}"),
                }
            })?;
            pin.install(&changed.page, start);
        }
        Ok(())
    }

    /// Change log up to the commit `to`, which is not newer than the newest.
    fn totals_at(&self, to: Ts, committer: &Committer) -> Result<LogTotals> {
        if to >= committer.applied {
            return Ok(committer.totals);
        }
        let pending = self.pending.lock();
        if let Some(found) = pending.iter().find(|pending| pending.published.ts == to) {
            return Ok(found.published.totals);
        }
        drop(pending);
        self.logged_totals_at(to)
    }
}
