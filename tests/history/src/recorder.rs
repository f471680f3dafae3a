//! Writes down what clients do, while they do it.

use crate::history::{History, Key, Malformed, Moment, Op, Outcome, Position, Process, Transaction, Value};
use parking_lot::Mutex;
use std::sync::Arc;

/// Collects transactions of any number of threads or tasks. Clones share what is collected.
///
/// Its lock is a leaf and is held for some instructions; each invocation, operation and completion takes it once.
/// So the order of moments is one that all threads agree on.
#[derive(Clone, Default)]
pub struct Recorder {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    moments: u64,
    transactions: Vec<Recorded>,
}

struct Recorded {
    process: Process,
    begin: Moment,
    /// The end and outcome, once they are known.
    end: Option<(Moment, Outcome)>,
    ops: Vec<Op>,
}

/// A transaction that is being recorded. Dropped without an outcome, its outcome is unknown.
///
/// Record a write before it is sent, since it may take effect though it is never answered; record a read when it is
/// answered.
#[must_use = "dropped at once, it is a transaction of unknown outcome that did nothing"]
pub struct Recording {
    state: Arc<Mutex<State>>,
    number: usize,
}

impl State {
    fn moment(&mut self) -> Moment {
        self.moments += 1;
        Moment(self.moments)
    }
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Records an invocation. Call it before anything of the transaction is sent.
    pub fn begin(&self, process: Process) -> Recording {
        let mut state = self.state.lock();
        let begin = state.moment();
        state.transactions.push(Recorded {
            process,
            begin,
            end: None,
            ops: Vec::new(),
        });
        Recording {
            state: self.state.clone(),
            number: state.transactions.len() - 1,
        }
    }

    /// What was recorded so far. Transactions that are still open are of unknown outcome in it.
    ///
    /// # Errors
    /// As [`History::new`]: a process that had two transactions at once, values that were written twice.
    pub fn history(&self) -> Result<History, Malformed> {
        let mut state = self.state.lock();
        let given_up = state.moment();
        let later = (given_up.0..).map(Moment);
        let transactions = state.transactions.iter().zip(later).map(|(recorded, later)| {
            let (end, outcome) = recorded.end.unwrap_or((later, Outcome::Unknown));
            let Recorded {
                process,
                begin,
                ref ops,
                ..
            } = *recorded;
            Transaction {
                process,
                begin,
                end,
                outcome,
                ops: ops.clone(),
            }
        });
        History::new(transactions.collect())
    }
}

impl Recording {
    pub fn append(&mut self, key: Key, value: Value) {
        self.op(Op::Append { key, value });
    }

    pub fn read_list(&mut self, key: Key, list: Vec<Value>) {
        self.op(Op::ReadList { key, list });
    }

    pub fn write(&mut self, key: Key, value: Value) {
        self.op(Op::Write { key, value });
    }

    pub fn read_register(&mut self, key: Key, value: Option<Value>) {
        self.op(Op::ReadRegister { key, value });
    }

    pub fn op(&mut self, op: Op) {
        self.state.lock().transactions[self.number].ops.push(op);
    }

    /// The commit was acknowledged, at a place in the order of commits if the system tells one.
    pub fn committed(self, position: Option<Position>) {
        self.end(Outcome::Committed(position));
    }

    /// It was rolled back, or its commit was refused.
    pub fn aborted(self) {
        self.end(Outcome::Aborted);
    }

    /// Nobody knows what became of it. The process begins no transaction that is ordered after it.
    pub fn unknown(self) {
        self.end(Outcome::Unknown);
    }

    fn end(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if state.transactions[self.number].end.is_none() {
            let end = state.moment();
            state.transactions[self.number].end = Some((end, outcome));
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(Outcome::Unknown);
    }
}
