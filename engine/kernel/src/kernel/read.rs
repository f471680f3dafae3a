//! Reading a commit's state.

use super::commit::{Space, SpaceStats};
use super::{DIRECTORY, Inner, Kernel};
use crate::error::{KernelError, Result};
use crate::ids::Ts;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::tree::read::{self, Scan, ScanBack, Version};
use crate::tree::{Tree, search::PageSource};

/// The state after one commit, for as long as this lives. Blocks nobody; what it sees is not pruned meanwhile.
pub struct Snapshot {
    inner: Arc<Inner>,
    ts: Ts,
}

impl Kernel {
    /// The state after the newest durable commit.
    pub fn snapshot(&self) -> Snapshot {
        let inner = Arc::clone(&self.inner);
        let ts = inner.snapshots.open(|| inner.published.read().ts);
        Snapshot { inner, ts }
    }

    /// Snapshots that are open.
    pub fn open_snapshots(&self) -> usize {
        self.inner.snapshots.count()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.inner.snapshots.close(self.ts);
    }
}

impl Snapshot {
    /// One that is counted as open.
    pub(super) fn opened(inner: Arc<Inner>, ts: Ts) -> Snapshot {
        Snapshot { inner, ts }
    }

    /// The commit whose state it is.
    pub fn ts(&self) -> Ts {
        self.ts
    }

    /// The value of a key and the commit that wrote it.
    pub fn get(&self, space: u64, key: &[u8]) -> Result<Option<Version>> {
        match self.tree(space)? {
            None => Ok(None),
            Some(tree) => read::get(&self.inner.pool, tree, key, self.ts),
        }
    }

    /// At most `entries_max` keys from `from` on and before `until`, ascending.
    pub fn scan(
        &self,
        space: u64,
        from: &[u8],
        until: Option<&[u8]>,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Version)>> {
        let Some(tree) = self.tree(space)? else {
            return Ok(Vec::new());
        };
        let mut scan = Scan::new(&self.inner.pool, tree, self.ts, from, until);
        take(entries_max, || scan.next_entry())
    }

    /// At most `entries_max` keys before `until` and not before `from`, descending.
    pub fn scan_back(
        &self,
        space: u64,
        from: &[u8],
        until: Option<&[u8]>,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Version)>> {
        let Some(tree) = self.tree(space)? else {
            return Ok(Vec::new());
        };
        let mut scan = ScanBack::new(&self.inner.pool, tree, self.ts, from, until);
        take(entries_max, || scan.next_entry())
    }

    /// Size of a space; zeros of one that is not there.
    pub fn stats(&self, space: u64) -> Result<SpaceStats> {
        self.check_open()?;
        let found = self.inner.space_at(&self.inner.pool, space, self.ts)?;
        Ok(found.map(|found| found.stats).unwrap_or_default())
    }

    fn check_open(&self) -> Result<()> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(KernelError::Closed);
        }
        if self.inner.half_installed.load(Ordering::Acquire) {
            self.inner.check_poison()?;
        }
        Ok(())
    }

    /// The space's tree; `None` when it has none.
    pub fn tree(&self, space: u64) -> Result<Option<Tree>> {
        self.check_open()?;
        if let Some((tree, since)) = self.inner.trees.read().get(&space)
            && *since <= self.ts
        {
            return Ok(Some(*tree));
        }
        let found = self.inner.space_at(&self.inner.pool, space, self.ts)?;
        Ok(found.map(|found| found.tree(space)))
    }
}

/// At most `entries_max` of what `next` gives.
fn take<T>(entries_max: usize, mut next: impl FnMut() -> Result<Option<T>>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    while found.len() < entries_max
        && let Some(entry) = next()?
    {
        found.push(entry);
    }
    Ok(found)
}

impl Inner {
    /// What the directory said of a space after the commit `ts`.
    pub(super) fn space_at<S: PageSource>(&self, source: &S, space: u64, ts: Ts) -> Result<Option<Space>> {
        read::get(source, DIRECTORY, &space.to_be_bytes(), ts)?
            .map(|version| Space::parse(&version.value))
            .transpose()
    }
}
