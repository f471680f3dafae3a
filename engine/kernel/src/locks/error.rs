//! Why a request is not even considered.

use super::LockId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A bound is reached; nothing was changed.
    #[error("{of} {held} locks, as many as it may; {}", .of.advice())]
    TooManyLocks { of: LockBound, held: u64 },
    /// The owner waits for this lock; until that wait ends it asks for nothing.
    #[error("the transaction waits for lock {0} and may ask for another one after that only")]
    Waiting(LockId),
    /// The owner holds no such lock: it was released, or given up for a lock on the whole table.
    #[error("the transaction holds no lock {0}")]
    NotHeld(LockId),
}

/// Whose number of locks is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockBound {
    Owner,
    All,
}

impl LockBound {
    fn advice(self) -> &'static str {
        match self {
            LockBound::Owner => "lock the table, commit more often, or raise locks_per_owner_max",
            LockBound::All => "repeat the call when others have committed, or raise locks_max",
        }
    }
}

impl std::fmt::Display for LockBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LockBound::Owner => "the transaction has",
            LockBound::All => "the server has",
        })
    }
}
