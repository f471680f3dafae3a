//! Kinds of anomalies, and which of them a level forbids.

use std::fmt;

/// What a system promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// PL-2 of Adya: nothing of an unfinished transaction is seen, and writes of two do not mix.
    ReadCommitted,
    /// Each transaction reads one state of the database, and of two that are concurrent and write the same key one
    /// is refused. The state need not be the newest one; [`Options::realtime`](crate::Options) asks for that.
    SnapshotIsolation,
    /// PL-3 of Adya: there is an order in which the transactions, one after the other, would have seen the same.
    Serializable,
    /// That order also puts what ended before what began later.
    StrictSerializable,
}

/// A kind of anomaly. Those up to [`Kind::CommitOrder`] are seen in single reads or keys, the others are cycles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A transaction does not see what it has itself written before, or sees what it has yet to write.
    Internal,
    /// A transaction reads a key twice and gets two answers which its own writes do not explain.
    NonRepeatableRead,
    /// A value that nobody wrote.
    GarbageRead,
    /// A list that has one append twice.
    DuplicateAppend,
    /// An acknowledged append which no read has, although an append that came later, or a read, must have had it.
    LostAppend,
    /// Reads of a key that are not states of one growing list, or of one that grew otherwise than a transaction
    /// asked; or writes of a register, each of which must have come before the other.
    IncompatibleOrder,
    /// Versions whose order, as reads show it, is not the order of the commit positions that the system told.
    CommitOrder,
    /// G1a, aborted read: a value of an aborted transaction.
    G1a,
    /// G1b, intermediate read: a value which its writer replaced later in the same transaction.
    G1b,
    /// G0, write cycle: ww only.
    G0,
    /// G1c, circular information flow: ww and wr, at least one of them wr.
    G1c,
    /// P4: read, then overwritten by another, then written all the same. It is the G-single that is on one key, or
    /// two rw where the order of a register is not known, and is told as this only.
    LostUpdate,
    /// G-single, read skew: exactly one rw.
    GSingle,
    /// Two or more rw, no two of them adjacent. A snapshot does not admit it.
    GNonadjacent,
    /// G2, write skew and its longer forms: two or more rw, some of them adjacent. Snapshots admit it.
    G2,
}

impl Level {
    /// Whether a history with such an anomaly breaks the promise.
    ///
    /// For snapshots this is what Cerone and Gotsman prove in "Analysing Snapshot Isolation" (JACM 2018): the cycles
    /// that are admitted are those with two adjacent rw.
    pub fn forbids(self, kind: Kind) -> bool {
        match kind {
            Kind::Internal
            | Kind::GarbageRead
            | Kind::DuplicateAppend
            | Kind::LostAppend
            | Kind::IncompatibleOrder
            | Kind::CommitOrder
            | Kind::G0
            | Kind::G1a
            | Kind::G1b
            | Kind::G1c => true,
            Kind::NonRepeatableRead | Kind::LostUpdate | Kind::GSingle | Kind::GNonadjacent => {
                self != Level::ReadCommitted
            }
            Kind::G2 => matches!(self, Level::Serializable | Level::StrictSerializable),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::ReadCommitted => "read committed",
            Level::SnapshotIsolation => "snapshot isolation",
            Level::Serializable => "serializable",
            Level::StrictSerializable => "strict serializable",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Internal => "internal inconsistency",
            Kind::NonRepeatableRead => "non-repeatable read",
            Kind::GarbageRead => "garbage read",
            Kind::DuplicateAppend => "duplicate append",
            Kind::LostAppend => "lost append",
            Kind::IncompatibleOrder => "incompatible order",
            Kind::CommitOrder => "commit order",
            Kind::G1a => "G1a",
            Kind::G1b => "G1b",
            Kind::G0 => "G0",
            Kind::G1c => "G1c",
            Kind::LostUpdate => "lost update",
            Kind::GSingle => "G-single",
            Kind::GNonadjacent => "G-nonadjacent",
            Kind::G2 => "G2",
        })
    }
}
