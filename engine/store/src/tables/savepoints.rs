//! Named points in a transaction to which it can return.
//!
//! Names may come twice: the latest one counts, as in SQL. Locks that were taken after a savepoint stay when the
//! transaction returns to it; they end with the transaction.

use std::sync::Arc;

use crate::tables::{Mark, Result, TableError, Txn};

/// Savepoints that a transaction may have.
pub const SAVEPOINTS_MAX: usize = 100;

/// A named point.
#[derive(Clone)]
pub struct Savepoint {
    pub name: String,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
    mark: Mark,
}

/// What happened to a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointEvent {
    pub name: String,
    pub change: SavepointChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavepointChange {
    Created,
    /// Those made after it are gone too.
    Released,
    /// It stays; those made after it are gone.
    RolledBackTo,
}

impl Txn {
    pub fn create_savepoint(&mut self, name: &str) -> Result<()> {
        if self.state.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(TableError::TooManySavepoints { max: SAVEPOINTS_MAX });
        }
        let savepoint = Savepoint {
            name: name.to_owned(),
            created_at_us: self.tables.inner.clock.now_us(),
            mark: self.mark(),
        };
        Arc::make_mut(&mut self.state).savepoints.push(savepoint);
        self.note_savepoint(name, SavepointChange::Created);
        Ok(())
    }

    /// Forgets the savepoint and those made after it; what was done since stays.
    pub fn release_savepoint(&mut self, name: &str) -> Result<()> {
        let place = self.savepoint(name)?;
        Arc::make_mut(&mut self.state).savepoints.truncate(place);
        self.note_savepoint(name, SavepointChange::Released);
        Ok(())
    }

    /// Undoes what was done since the savepoint, which stays; those made after it go.
    pub fn rollback_to_savepoint(&mut self, name: &str) -> Result<()> {
        let place = self.savepoint(name)?;
        let savepoint = self.state.savepoints[place].clone();
        // What happened since is undone, but it did happen.
        let events = self.take_savepoint_events();
        self.undo_to(&savepoint.mark);
        let state = Arc::make_mut(&mut self.state);
        state.savepoints.push(savepoint);
        state.savepoint_events = events;
        self.note_savepoint(name, SavepointChange::RolledBackTo);
        Ok(())
    }

    /// Oldest first.
    pub fn savepoints(&self) -> &[Savepoint] {
        &self.state.savepoints
    }

    /// What happened to savepoints since this was last asked, in order; not what was undone with a statement that failed.
    pub(crate) fn take_savepoint_events(&mut self) -> Vec<SavepointEvent> {
        match self.state.savepoint_events.is_empty() {
            true => Vec::new(),
            false => std::mem::take(&mut Arc::make_mut(&mut self.state).savepoint_events),
        }
    }

    fn note_savepoint(&mut self, name: &str, change: SavepointChange) {
        let name = name.to_owned();
        let events = &mut Arc::make_mut(&mut self.state).savepoint_events;
        events.push(SavepointEvent { name, change });
    }

    fn savepoint(&self, name: &str) -> Result<usize> {
        let place = self
            .state
            .savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name);
        place.ok_or_else(|| TableError::SavepointNotFound {
            name: name.to_owned(),
        })
    }
}
