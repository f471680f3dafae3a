//! Who wrote what, and which transactions took effect.

use crate::history::{History, Key, Op, Outcome, Transaction, Value};
use std::collections::{BTreeMap, HashMap};

pub(crate) struct Index<'h> {
    pub history: &'h History,
    writes: HashMap<(Key, Value), Write>,
    effective: Vec<bool>,
}

#[derive(Clone, Copy)]
pub(crate) struct Write {
    /// The writer's number.
    pub by: usize,
    /// What the writer gave to the key last. Others than this are intermediate.
    pub last: Value,
}

impl<'h> Index<'h> {
    pub fn new(history: &'h History) -> Index<'h> {
        let mut writes = HashMap::new();
        for (by, transaction) in history.transactions().iter().enumerate() {
            let written = || transaction.ops.iter().filter_map(Op::written);
            let last: HashMap<Key, Value> = written().collect();
            writes.extend(written().map(|(key, value)| ((key, value), Write { by, last: last[&key] })));
        }
        let mut index = Index {
            history,
            writes,
            effective: Vec::new(),
        };
        index.effective = index.effective();
        index
    }

    /// The committed, and of the unknown those that one of the effective saw. Aborted ones never are.
    fn effective(&self) -> Vec<bool> {
        let transactions = self.history.transactions();
        let committed = |t: &Transaction| matches!(t.outcome, Outcome::Committed(_));
        let mut effective: Vec<bool> = transactions.iter().map(committed).collect();
        let mut to_look_at: Vec<usize> = (0..transactions.len()).filter(|&i| effective[i]).collect();
        while let Some(reader) = to_look_at.pop() {
            for op in &transactions[reader].ops {
                for &value in op.answered() {
                    let Some(write) = self.write(op.key(), value) else {
                        continue;
                    };
                    if transactions[write.by].outcome == Outcome::Unknown && !effective[write.by] {
                        effective[write.by] = true;
                        to_look_at.push(write.by);
                    }
                }
            }
        }
        effective
    }

    pub fn is_effective(&self, number: usize) -> bool {
        self.effective[number]
    }

    pub fn transaction(&self, number: usize) -> &'h Transaction {
        &self.history.transactions()[number]
    }

    pub fn write(&self, key: Key, value: Value) -> Option<Write> {
        self.writes.get(&(key, value)).copied()
    }

    /// The writer of a version, which must have one.
    pub fn writer(&self, key: Key, value: Value) -> usize {
        self.writes[&(key, value)].by
    }

    /// The transactions that took effect, with their numbers, in the order of their beginnings.
    pub fn effective_ones(&self) -> impl Iterator<Item = (usize, &'h Transaction)> {
        self.history
            .transactions()
            .iter()
            .enumerate()
            .filter(|(i, _)| self.effective[*i])
    }

    /// For each key, what the effective transactions gave to it: in their order of beginnings, and for each of
    /// them in the order of its operations.
    pub fn written(&self) -> BTreeMap<Key, Vec<(usize, Value)>> {
        let mut written: BTreeMap<Key, Vec<(usize, Value)>> = BTreeMap::new();
        for (number, transaction) in self.effective_ones() {
            for (key, value) in transaction.ops.iter().filter_map(Op::written) {
                written.entry(key).or_default().push((number, value));
            }
        }
        written
    }
}
