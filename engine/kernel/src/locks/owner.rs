//! Who holds locks, and what it holds.

use std::collections::BTreeMap;
use std::fmt;

use super::error::LockError;
use super::resource::Key;
use super::ticket::Request;
use super::{LockId, LockMode, Locks, Resource};
use crate::sync::{Arc, Mutex};

/// A transaction, as far as its locks go; the caller's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wants to own locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerInfo {
    /// Not that of another owner.
    pub id: u64,
    /// Place in the order in which transactions began. The youngest of a deadlock, with the largest number, is its victim.
    pub began_order: u64,
}

/// An owner of locks. When it is dropped, whatever it holds is released.
pub struct Owner {
    pub(super) locks: Locks,
    pub(super) state: Arc<OwnerState>,
}

impl Owner {
    pub fn id(&self) -> OwnerId {
        self.state.id
    }

    pub fn began_order(&self) -> u64 {
        self.state.began_order
    }

    /// Number of locks that it holds.
    pub fn held(&self) -> usize {
        self.state.locks.lock().held.len()
    }

    /// What a lock of its is on, and in which mode.
    pub fn lock(&self, lock_id: LockId) -> Option<(Resource, LockMode)> {
        let locks = self.state.locks.lock();
        let held = locks.held.get(&lock_id)?;
        Some((held.key.resource.clone(), held.mode))
    }

    /// All that it holds, in the order of the ids.
    pub fn locks(&self) -> Vec<(LockId, Resource, LockMode)> {
        let locks = self.state.locks.lock();
        let told = |(id, held): (&LockId, &Held)| (*id, held.key.resource.clone(), held.mode);
        locks.held.iter().map(told).collect()
    }

    /// The lock that it waits for.
    pub fn waits_for(&self) -> Option<LockId> {
        Some(self.state.locks.lock().waiting.as_ref()?.lock_id)
    }

    pub fn killable(&self) -> bool {
        self.state.locks.lock().killable
    }

    /// Says whether it may be the victim of a deadlock; a prepared branch of a two-phase commit may not. Who may not does
    /// not wait either: what it asks for is refused where another one would be queued. So a deadlock always has a victim.
    ///
    /// Fails with [`LockError::Waiting`] while it waits.
    pub fn set_killable(&self, killable: bool) -> Result<(), LockError> {
        let mut locks = self.state.locks.lock();
        locks.may_ask()?;
        locks.killable = killable;
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.locks.release_all(self);
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

pub(super) struct OwnerState {
    pub id: OwnerId,
    pub began_order: u64,
    pub locks: Mutex<OwnerLocks>,
}

impl OwnerState {
    pub fn new(info: OwnerInfo) -> OwnerState {
        OwnerState {
            id: OwnerId(info.id),
            began_order: info.began_order,
            locks: Mutex::new(OwnerLocks {
                held: BTreeMap::new(),
                tables: BTreeMap::new(),
                waiting: None,
                killable: true,
            }),
        }
    }
}

impl fmt::Debug for OwnerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("id", &self.id.0)
            .field("began_order", &self.began_order)
            .finish_non_exhaustive()
    }
}

pub(super) struct Held {
    pub key: Key,
    pub mode: LockMode,
}

/// What an owner has of one table.
#[derive(Default)]
struct OfTable {
    lock: Option<(LockId, LockMode)>,
    rows: u64,
    /// Those of them that are locked to be written.
    written: u64,
    /// How many rows were locked when they were last to become one lock on the table.
    tried_at: u64,
}

/// What an owner has on the table of a row that it wants to lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTable {
    /// A lock that makes one on the row needless.
    Covers(LockId),
    Holds(LockMode),
    Nothing,
}

/// Locks of one owner. They enter after they are granted, and leave before they are released.
pub(super) struct OwnerLocks {
    /// By id, which is nearly the order in which they came.
    held: BTreeMap<LockId, Held>,
    tables: BTreeMap<u64, OfTable>,
    pub waiting: Option<Arc<Request>>,
    pub killable: bool,
}

impl OwnerLocks {
    pub fn may_ask(&self) -> Result<(), LockError> {
        match &self.waiting {
            Some(request) => Err(LockError::Waiting(request.lock_id)),
            None => Ok(()),
        }
    }

    pub fn len(&self) -> u64 {
        self.held.len() as u64
    }

    /// And the mode on the table that is to be tried to get in the place of its rows, if they are so many.
    pub fn on_table(
        &self,
        table: u64,
        row_mode: LockMode,
        escalate_after: u64,
    ) -> (OnTable, Option<LockMode>) {
        let Some(of_table) = self.tables.get(&table) else {
            return (OnTable::Nothing, None);
        };
        let on_table = match of_table.lock {
            Some((lock_id, held)) if held.covers_row(row_mode) => return (OnTable::Covers(lock_id), None),
            Some((_, held)) => OnTable::Holds(held),
            None => OnTable::Nothing,
        };
        if escalate_after == 0 || of_table.rows - of_table.tried_at < escalate_after {
            return (on_table, None);
        }
        let written = of_table.written > 0 || row_mode.writes();
        (on_table, Some(if written { LockMode::X } else { LockMode::S }))
    }

    /// The row locks of the table stay what they are until there are as many more.
    pub fn not_escalated(&mut self, table: u64) {
        if let Some(of_table) = self.tables.get_mut(&table) {
            of_table.tried_at = of_table.rows;
        }
    }

    pub fn insert(&mut self, lock_id: LockId, key: Key, mode: LockMode) {
        match &key.resource {
            Resource::Table(table) => self.of_table(*table).lock = Some((lock_id, mode)),
            Resource::Row { table, .. } => {
                let of_table = self.of_table(*table);
                of_table.rows += 1;
                of_table.written += u64::from(mode.writes());
            }
            Resource::Named(_) => {}
        }
        self.held.insert(lock_id, Held { key, mode });
    }

    fn of_table(&mut self, table: u64) -> &mut OfTable {
        self.tables.entry(table).or_default()
    }

    pub fn convert(&mut self, lock_id: LockId, mode: LockMode) {
        // It is not there while it is being released.
        let Some(held) = self.held.get_mut(&lock_id) else {
            return;
        };
        let from = std::mem::replace(&mut held.mode, mode);
        let table = held.key.resource.table();
        let is_row = matches!(held.key.resource, Resource::Row { .. });
        let Some(of_table) = table.and_then(|table| self.tables.get_mut(&table)) else {
            return;
        };
        if !is_row {
            of_table.lock = Some((lock_id, mode));
        } else if mode.writes() && !from.writes() {
            of_table.written += 1;
        }
    }

    pub fn remove(&mut self, lock_id: LockId) -> Option<Held> {
        let held = self.held.remove(&lock_id)?;
        let Some(table) = held.key.resource.table() else {
            return Some(held);
        };
        if let Some(of_table) = self.tables.get_mut(&table) {
            if let Resource::Table(_) = held.key.resource {
                of_table.lock = None;
            } else {
                of_table.rows -= 1;
                of_table.written -= u64::from(held.mode.writes());
                of_table.tried_at = of_table.tried_at.min(of_table.rows);
            }
            if of_table.lock.is_none() && of_table.rows == 0 {
                self.tables.remove(&table);
            }
        }
        Some(held)
    }

    /// Takes out the locks on rows of the table, in the order of their ids, and tells in which mode the table is held.
    pub fn remove_rows(&mut self, table: u64) -> (Vec<(LockId, Held)>, Option<LockMode>) {
        let of_table = |_: &LockId, held: &mut Held| match held.key.resource {
            Resource::Row { table: its, .. } => its == table,
            _ => false,
        };
        let rows = self.held.extract_if(.., of_table).collect();
        let Some(of_table) = self.tables.get_mut(&table) else {
            return (rows, None);
        };
        (of_table.rows, of_table.written, of_table.tried_at) = (0, 0, 0);
        (rows, of_table.lock.map(|(_, mode)| mode))
    }

    /// Takes out all.
    pub fn remove_all(&mut self) -> BTreeMap<LockId, Held> {
        self.tables.clear();
        std::mem::take(&mut self.held)
    }
}
