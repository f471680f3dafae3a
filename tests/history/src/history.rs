//! What was observed: transactions, what they did, and when.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// An object that is read and written: a row, a document, a list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u64);

/// What is appended or written. No two writes to one key have the same value, so that a value names its writer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Value(pub u64);

/// Who runs transactions one after the other: a thread, a connection, a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Process(pub u32);

/// A place in the one order of all invocations and completions that the observer saw. It is no unit of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment(pub u64);

/// A place in the order of commits, as the system told it. Larger is later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(pub u64);

/// A transaction's place in its history, from 0, in the order of beginnings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TxnNo(pub usize);

/// One operation, in the order in which the transaction asked for it. A write that may have reached the system is
/// here even if it was never answered; a read is here only if it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Puts a value at the end of a list.
    Append { key: Key, value: Value },
    /// A list as it was answered. One that does not exist is empty.
    ReadList { key: Key, list: Vec<Value> },
    /// Replaces the value of a register.
    Write { key: Key, value: Value },
    /// A register as it was answered; `None` if it was never written.
    ReadRegister { key: Key, value: Option<Value> },
}

/// What the client was told of the end of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Acknowledged, with its place in the order of commits if the system tells one.
    Committed(Option<Position>),
    /// Rolled back, or refused: none of it may ever be seen.
    Aborted,
    /// The answer was lost. It counts as committed if, and only if, one that is committed saw something of it.
    Unknown,
}

/// One transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub process: Process,
    /// Before anything of it was sent.
    pub begin: Moment,
    /// After its end was answered. Of an unknown outcome, when the client gave up; it may take effect later.
    pub end: Moment,
    pub outcome: Outcome,
    pub ops: Vec<Op>,
}

/// A set of transactions from which something can be inferred.
#[derive(Clone, Debug)]
pub struct History {
    transactions: Vec<Transaction>,
}

/// Why transactions are no history. It is a fault of the test, not of the system.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    #[error("a transaction of {process} ends at {end}, which is not after its beginning at {begin}")]
    EndsBeforeItBegins {
        process: Process,
        begin: Moment,
        end: Moment,
    },
    #[error("two invocations or completions are at {0}; give each a moment of its own")]
    SharedMoment(Moment),
    #[error(
        "{process} begins a transaction at {begin}, before its previous one ends; give it another process"
    )]
    TwoAtOnce { process: Process, begin: Moment },
    #[error("{key} is given {value} twice; a value must name its writer")]
    ValueTwice { key: Key, value: Value },
    #[error("{0} is used as a list and as a register; use two keys")]
    ListAndRegister(Key),
}

impl Op {
    pub fn key(&self) -> Key {
        match self {
            Op::Append { key, .. }
            | Op::ReadList { key, .. }
            | Op::Write { key, .. }
            | Op::ReadRegister { key, .. } => *key,
        }
    }

    /// What the operation gives to its key, if it writes.
    pub fn written(&self) -> Option<(Key, Value)> {
        match self {
            Op::Append { key, value } | Op::Write { key, value } => Some((*key, *value)),
            Op::ReadList { .. } | Op::ReadRegister { .. } => None,
        }
    }

    /// The values that the operation was answered, if it reads.
    pub fn answered(&self) -> &[Value] {
        match self {
            Op::ReadList { list, .. } => list,
            Op::ReadRegister { value, .. } => value.as_slice(),
            Op::Append { .. } | Op::Write { .. } => &[],
        }
    }

    fn is_of_list(&self) -> bool {
        matches!(self, Op::Append { .. } | Op::ReadList { .. })
    }
}

impl Transaction {
    /// Its place in the order of commits, if it has one and told it.
    pub fn position(&self) -> Option<Position> {
        match self.outcome {
            Outcome::Committed(position) => position,
            Outcome::Aborted | Outcome::Unknown => None,
        }
    }

    /// The moment after which it has surely taken effect.
    pub fn effective(&self) -> Option<Moment> {
        matches!(self.outcome, Outcome::Committed(_)).then_some(self.end)
    }
}

impl History {
    /// Sorts the transactions by their beginnings and judges whether anything can be inferred from them.
    ///
    /// # Errors
    /// Moments that are no order, values that do not name a writer, keys that are two things: see [`Malformed`].
    pub fn new(mut transactions: Vec<Transaction>) -> Result<History, Malformed> {
        transactions.sort_by_key(|transaction| transaction.begin);
        moments_are_an_order(&transactions)?;
        values_name_writers(&transactions)?;
        keys_are_of_one_kind(&transactions)?;
        Ok(History { transactions })
    }

    /// All transactions, in the order of their beginnings; a [`TxnNo`] is an index of it.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }
}

fn moments_are_an_order(sorted: &[Transaction]) -> Result<(), Malformed> {
    let mut moments = HashSet::new();
    let mut last_of = HashMap::new();
    for &Transaction {
        process, begin, end, ..
    } in sorted
    {
        if end <= begin {
            return Err(Malformed::EndsBeforeItBegins { process, begin, end });
        }
        if let Some(shared) = [begin, end].into_iter().find(|moment| !moments.insert(*moment)) {
            return Err(Malformed::SharedMoment(shared));
        }
        if last_of
            .insert(process, end)
            .is_some_and(|last: Moment| last > begin)
        {
            return Err(Malformed::TwoAtOnce { process, begin });
        }
    }
    Ok(())
}

fn values_name_writers(transactions: &[Transaction]) -> Result<(), Malformed> {
    let mut written = HashSet::new();
    let mut writes = transactions.iter().flat_map(|t| &t.ops).filter_map(Op::written);
    match writes.find(|write| !written.insert(*write)) {
        Some((key, value)) => Err(Malformed::ValueTwice { key, value }),
        None => Ok(()),
    }
}

fn keys_are_of_one_kind(transactions: &[Transaction]) -> Result<(), Malformed> {
    let mut kinds = HashMap::new();
    let mut ops = transactions.iter().flat_map(|t| &t.ops);
    match ops.find(|op| *kinds.entry(op.key()).or_insert(op.is_of_list()) != op.is_of_list()) {
        Some(op) => Err(Malformed::ListAndRegister(op.key())),
        None => Ok(()),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for TxnNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Append { key, value } => write!(f, "append {key} {value}"),
            Op::ReadList { key, list } => {
                let list: Vec<String> = list.iter().map(Value::to_string).collect();
                write!(f, "read {key} = [{}]", list.join(" "))
            }
            Op::Write { key, value } => write!(f, "write {key} {value}"),
            Op::ReadRegister {
                key,
                value: Some(value),
            } => write!(f, "read {key} = {value}"),
            Op::ReadRegister { key, value: None } => write!(f, "read {key} = nothing"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Committed(Some(position)) => write!(f, "committed {position}"),
            Outcome::Committed(None) => write!(f, "committed"),
            Outcome::Aborted => write!(f, "aborted"),
            Outcome::Unknown => write!(f, "unknown"),
        }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "({} {}..{} {})",
            self.process, self.begin, self.end, self.outcome
        )?;
        for (i, op) in self.ops.iter().enumerate() {
            write!(f, "{} {op}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
