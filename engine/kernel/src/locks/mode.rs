//! Modes of locks, which of them go together, and which is the weakest that is as strong as two.
//!
//! Gray, Lorie, Putzolu, Traiger, "Granularity of Locks and Degrees of Consistency in a Shared Data Base", IFIP 1976.

use std::fmt;

use crate::planted::planted;

/// How a resource is locked. An intention says that parts of it are, or will be, locked in that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// Intention to read parts.
    IS,
    /// Intention to read and write parts.
    IX,
    /// Reading the whole.
    S,
    /// Reading the whole and intention to write parts.
    SIX,
    /// Writing the whole.
    X,
}

use LockMode::{IS, IX, S, SIX, X};

impl LockMode {
    pub const ALL: [LockMode; 5] = [IS, IX, S, SIX, X];

    /// Whether two owners may hold the modes at once.
    pub const fn compatible(self, other: LockMode) -> bool {
        !self.conflicts().contains(other)
    }

    /// The modes that no other may hold beside this one.
    pub(super) const fn conflicts(self) -> ModeSet {
        match self {
            IS => ModeSet::of(&[X]),
            IX if planted!("lock-mode-cell-wrong") => ModeSet::of(&[SIX, X]),
            IX => ModeSet::of(&[S, SIX, X]),
            S if planted!("lock-mode-cell-wrong") => ModeSet::of(&[SIX, X]),
            S => ModeSet::of(&[IX, SIX, X]),
            SIX => ModeSet::of(&[IX, S, SIX, X]),
            X => ModeSet::of(&[IS, IX, S, SIX, X]),
        }
    }

    /// The weakest mode that allows what either allows.
    #[must_use]
    pub const fn join(self, other: LockMode) -> LockMode {
        match (self, other) {
            (X, _) | (_, X) => X,
            (SIX, _) | (_, SIX) | (IX, S) | (S, IX) => SIX,
            (S, _) | (_, S) => S,
            (IX, _) | (_, IX) => IX,
            (IS, IS) => IS,
        }
    }

    /// Whether who holds this mode may do what `other` allows.
    pub const fn covers(self, other: LockMode) -> bool {
        self.join(other) as u8 == self as u8
    }

    /// What to hold on a table before a row of it is locked in this mode.
    #[must_use]
    pub const fn intention(self) -> LockMode {
        match self {
            IS | S => IS,
            IX | SIX | X => IX,
        }
    }

    /// Whether a table locked in this mode makes a lock of this mode on its rows needless.
    pub const fn covers_row(self, row: LockMode) -> bool {
        match self {
            IS | IX => false,
            S | SIX => !row.writes(),
            X => true,
        }
    }

    /// Whether the mode is for a writer.
    pub const fn writes(self) -> bool {
        matches!(self.intention(), IX)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IS => "IS",
            IX => "IX",
            S => "S",
            SIX => "SIX",
            X => "X",
        })
    }
}

/// A set of modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ModeSet(u8);

impl ModeSet {
    const fn of(modes: &[LockMode]) -> ModeSet {
        let mut bits = 0;
        let mut index = 0;
        while index < modes.len() {
            bits |= modes[index].bit();
            index += 1;
        }
        ModeSet(bits)
    }

    pub const fn contains(self, mode: LockMode) -> bool {
        self.0 & mode.bit() != 0
    }

    pub const fn meets(self, other: ModeSet) -> bool {
        self.0 & other.0 != 0
    }

    pub fn insert(&mut self, mode: LockMode) {
        self.0 |= mode.bit();
    }
}
