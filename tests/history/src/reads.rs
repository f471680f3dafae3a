//! What can be said of one read by itself, and what it saw of others.

use crate::anomaly::Anomaly;
use crate::history::{Key, Op, TxnNo, Value};
use crate::index::Index;
use crate::level::Kind;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A read of a list from which an order can be inferred. It has only values of effective transactions.
pub(crate) struct ListRead {
    pub reader: usize,
    pub values: Vec<Value>,
    /// So many of them, at the end, are the reader's own.
    pub own: usize,
}

/// A read of a register as others left it: the last value of an effective transaction, or nothing.
pub(crate) struct RegisterRead {
    pub reader: usize,
    pub version: Option<Value>,
}

/// The reads of each key that an effective transaction reads or writes.
#[derive(Default)]
pub(crate) struct Reads {
    pub lists: BTreeMap<Key, Vec<ListRead>>,
    pub registers: BTreeMap<Key, Vec<RegisterRead>>,
    pub anomalies: Vec<Anomaly>,
}

/// Judges the reads of the effective transactions one by one.
pub(crate) fn reads(index: &Index) -> Reads {
    let mut reads = Reads::default();
    for (reader, transaction) in index.effective_ones() {
        let mut of_one = OfOne {
            index,
            reader,
            own: HashMap::new(),
            earlier: HashMap::new(),
            reads: &mut reads,
        };
        transaction.ops.iter().for_each(|op| of_one.op(op));
    }
    reads
}

/// The state of one transaction, as far as the operations have been gone through.
struct OfOne<'a> {
    index: &'a Index<'a>,
    reader: usize,
    own: HashMap<Key, Vec<Value>>,
    /// What the last read of each key had of others.
    earlier: HashMap<Key, &'a [Value]>,
    reads: &'a mut Reads,
}

impl<'a> OfOne<'a> {
    fn op(&mut self, op: &'a Op) {
        match op {
            Op::Append { key, value } => {
                self.own.entry(*key).or_default().push(*value);
                self.reads.lists.entry(*key).or_default();
            }
            Op::Write { key, value } => {
                self.own.entry(*key).or_default().push(*value);
                self.reads.registers.entry(*key).or_default();
            }
            Op::ReadList { key, list } => self.read_list(*key, list, op),
            Op::ReadRegister { key, value } => self.read_register(*key, value.as_slice(), op),
        }
    }

    fn read_list(&mut self, key: Key, list: &'a [Value], op: &Op) {
        let mut seen = HashSet::new();
        if let Some(twice) = list.iter().find(|value| !seen.insert(**value)) {
            return self.report(
                Kind::DuplicateAppend,
                format!("{} has {twice} twice", self.says(op)),
                &[],
            );
        }
        let own = self.own.get(&key).map_or(&[][..], Vec::as_slice);
        let Some(others) = list.strip_suffix(own) else {
            return self.report(
                Kind::Internal,
                format!("{} does not end with its own appends", self.says(op)),
                &[],
            );
        };
        let own = own.len();
        if self.others_are_real(key, others, op) {
            self.is_not_intermediate(key, others, op);
            let effective = |value: &&Value| self.index.is_effective(self.index.writer(key, **value));
            let values = list.iter().filter(effective).copied().collect();
            self.reads.lists.entry(key).or_default().push(ListRead {
                reader: self.reader,
                values,
                own,
            });
        }
    }

    fn read_register(&mut self, key: Key, value: &'a [Value], op: &Op) {
        if let Some(own) = self.own.get(&key).and_then(|own| own.last()) {
            if value != [*own] {
                let what = format!("{}, but it has written {own} before", self.says(op));
                self.report(Kind::Internal, what, &[]);
            }
            return;
        }
        if self.others_are_real(key, value, op) {
            self.is_not_intermediate(key, value, op);
            let write = value.first().and_then(|value| self.index.write(key, *value));
            if write.is_none_or(|write| self.index.is_effective(write.by)) {
                let version = write.map(|write| write.last);
                let read = RegisterRead {
                    reader: self.reader,
                    version,
                };
                self.reads.registers.entry(key).or_default().push(read);
            }
        }
    }

    /// Whether each value was written, and by another transaction. Aborted ones are told of, and are real.
    fn others_are_real(&mut self, key: Key, others: &'a [Value], op: &Op) -> bool {
        for &value in others {
            match self.index.write(key, value) {
                None => {
                    self.report(
                        Kind::GarbageRead,
                        format!("{}: nobody wrote {value}", self.says(op)),
                        &[],
                    );
                    return false;
                }
                Some(write) if write.by == self.reader => {
                    let what = format!(
                        "{}: its own {value} is not what it should see there",
                        self.says(op)
                    );
                    self.report(Kind::Internal, what, &[]);
                    return false;
                }
                Some(write) if !self.index.is_effective(write.by) => {
                    let what = format!("{}: {} wrote {value} and aborted", self.says(op), TxnNo(write.by));
                    self.report(Kind::G1a, what, &[write.by]);
                }
                Some(_) => {}
            }
        }
        if let Some(earlier) = self.earlier.insert(key, others)
            && earlier != others
        {
            let earlier: Vec<String> = earlier.iter().map(Value::to_string).collect();
            let earlier = earlier.join(" ");
            let what = format!("{}, but it read [{earlier}] of others before", self.says(op));
            self.report(Kind::NonRepeatableRead, what, &[]);
        }
        true
    }

    fn is_not_intermediate(&mut self, key: Key, others: &[Value], op: &Op) {
        let newest = others
            .last()
            .and_then(|value| Some((*value, self.index.write(key, *value)?)));
        if let Some((value, write)) = newest
            && value != write.last
            && self.index.is_effective(write.by)
        {
            let writer = TxnNo(write.by);
            let what = format!(
                "{}: {writer} wrote {value}, and then {}",
                self.says(op),
                write.last
            );
            self.report(Kind::G1b, what, &[write.by]);
        }
    }

    fn says(&self, op: &Op) -> String {
        format!("{}: {op}", TxnNo(self.reader))
    }

    fn report(&mut self, kind: Kind, what: String, others: &[usize]) {
        let members = [&[self.reader], others].concat();
        self.reads
            .anomalies
            .push(Anomaly::of_data(kind, what, &members, self.index.history));
    }
}
