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
        Ok(())
    }

    /// Forgets the savepoint and those made after it; what was done since stays.
    pub fn release_savepoint(&mut self, name: &str) -> Result<()> {
        let place = self.savepoint(name)?;
        Arc::make_mut(&mut self.state).savepoints.truncate(place);
        Ok(())
    }

    /// Undoes what was done since the savepoint, which stays; those made after it go.
    pub fn rollback_to_savepoint(&mut self, name: &str) -> Result<()> {
        let place = self.savepoint(name)?;
        let savepoint = self.state.savepoints[place].clone();
        self.undo_to(&savepoint.mark);
        Arc::make_mut(&mut self.state).savepoints.push(savepoint);
        Ok(())
    }

    /// Oldest first.
    pub fn savepoints(&self) -> &[Savepoint] {
        &self.state.savepoints
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
