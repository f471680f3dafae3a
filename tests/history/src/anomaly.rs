//! An anomaly with its witness, as it is shown to whoever has to find the defect.

use crate::history::{History, Key, Moment, Process, Transaction, TxnNo, Value};
use crate::level::Kind;
use std::fmt;

/// Something that a level may forbid, and the smallest set of transactions that shows it.
#[derive(Clone, Debug)]
pub struct Anomaly {
    pub kind: Kind,
    pub scope: Scope,
    /// What the transactions show, if they are no cycle; otherwise empty.
    pub what: String,
    /// The cycle: each edge begins where the one before it ends, the first one where the last one ends.
    pub cycle: Vec<Edge>,
    /// The transactions that the witness is made of, each once.
    pub transactions: Vec<(TxnNo, Transaction)>,
}

/// Which orders a cycle rests on beside the data itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// None.
    Data,
    /// That a process sees its own transactions in order.
    Process,
    /// That what ended is seen by what begins.
    Realtime,
}

/// One transaction comes before another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Edge {
    pub from: TxnNo,
    pub to: TxnNo,
    pub why: Why,
}

/// Why it does. A version of a key is named by the value that made it; `None` is the key as nobody has written it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// ww: `from` wrote a version, `to` a later one.
    Ww { key: Key, version: Value, later: Value },
    /// wr: `from` wrote the version that `to` read.
    Wr { key: Key, version: Value },
    /// rw, an anti-dependency: `from` read a version, `to` wrote a later one.
    Rw {
        key: Key,
        version: Option<Value>,
        later: Value,
    },
    /// `from` is an earlier transaction of the same process.
    Process { process: Process },
    /// `from` ended before `to` began.
    Realtime { end: Moment, begin: Moment },
}

impl Why {
    pub fn is_rw(&self) -> bool {
        matches!(self, Why::Rw { .. })
    }

    /// The key that it is about, if it is about data.
    pub fn key(&self) -> Option<Key> {
        match self {
            Why::Ww { key, .. } | Why::Wr { key, .. } | Why::Rw { key, .. } => Some(*key),
            Why::Process { .. } | Why::Realtime { .. } => None,
        }
    }

    pub fn scope(&self) -> Scope {
        match self {
            Why::Ww { .. } | Why::Wr { .. } | Why::Rw { .. } => Scope::Data,
            Why::Process { .. } => Scope::Process,
            Why::Realtime { .. } => Scope::Realtime,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Why::Ww { .. } => "ww",
            Why::Wr { .. } => "wr",
            Why::Rw { .. } => "rw",
            Why::Process { .. } => "process",
            Why::Realtime { .. } => "realtime",
        }
    }
}

impl Anomaly {
    pub(crate) fn of_cycle(kind: Kind, cycle: Vec<Edge>, history: &History) -> Anomaly {
        let scope = cycle
            .iter()
            .map(|edge| edge.why.scope())
            .max()
            .unwrap_or(Scope::Data);
        let members = cycle.iter().map(|edge| edge.from.0).collect::<Vec<_>>();
        Anomaly {
            kind,
            scope,
            what: String::new(),
            cycle,
            transactions: of(history, &members),
        }
    }

    pub(crate) fn of_data(kind: Kind, what: String, members: &[usize], history: &History) -> Anomaly {
        Anomaly {
            kind,
            scope: Scope::Data,
            what,
            cycle: Vec::new(),
            transactions: of(history, members),
        }
    }
}

fn of(history: &History, members: &[usize]) -> Vec<(TxnNo, Transaction)> {
    let mut members = members.to_vec();
    members.sort_unstable();
    members.dedup();
    members
        .into_iter()
        .map(|i| (TxnNo(i), history.transactions()[i].clone()))
        .collect()
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Edge { from, to, why } = self;
        write!(f, "{from} -{}-> {to}: ", why.name())?;
        match why {
            Why::Ww { key, version, later } => write!(f, "{from} wrote {key} {version}, {to} then {later}"),
            Why::Wr { key, version } => write!(f, "{to} read {key} {version}, which {from} wrote"),
            Why::Rw {
                key,
                version: Some(version),
                later,
            } => {
                write!(
                    f,
                    "{from} read {key} {version}, and not {later}, which {to} wrote after it"
                )
            }
            Why::Rw {
                key,
                version: None,
                later,
            } => {
                write!(
                    f,
                    "{from} read {key} unwritten, and not {later}, which {to} wrote"
                )
            }
            Why::Process { process } => write!(f, "{from} is before {to} in {process}"),
            Why::Realtime { end, begin } => write!(f, "{from} ended at {end}, before {to} began at {begin}"),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Data => "",
            Scope::Process => ", by the order of a process",
            Scope::Realtime => ", by the order of time",
        };
        write!(f, "{}{scope}", self.kind)?;
        if !self.what.is_empty() {
            write!(f, ": {}", self.what)?;
        }
        for edge in &self.cycle {
            write!(f, "\n  {edge}")?;
        }
        for (number, transaction) in &self.transactions {
            write!(f, "\n    {number} {transaction}")?;
        }
        Ok(())
    }
}
