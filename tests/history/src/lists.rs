//! The order of a list's versions: a list that is only appended to shows all of its past.
//!
//! The longest read is the order; every other read must be a beginning of it. Appends that no read has come after it.

use crate::anomaly::Anomaly;
use crate::history::{Key, TxnNo, Value};
use crate::index::Index;
use crate::level::Kind;
use crate::reads::ListRead;
use crate::versions::Versions;
use std::collections::{HashMap, HashSet};

pub(crate) struct List<'a> {
    pub index: &'a Index<'a>,
    pub key: Key,
    pub reads: &'a [ListRead],
    /// What effective transactions appended, with the number of each.
    pub appends: &'a [(usize, Value)],
    pub realtime: bool,
}

impl List<'_> {
    pub fn versions(&self, anomalies: &mut Vec<Anomaly>) -> Versions {
        let longest = self.reads.iter().rev().max_by_key(|read| read.values.len());
        let trace = longest.map_or(&[][..], |read| read.values.as_slice());
        let (reads, other): (Vec<&ListRead>, Vec<&ListRead>) = self
            .reads
            .iter()
            .partition(|read| trace.starts_with(&read.values));
        if let (Some(other), Some(longest)) = (other.first(), longest) {
            anomalies.push(self.incompatible(other, longest));
        }
        anomalies.extend(self.out_of_own_order(trace));
        anomalies.extend(self.out_of_commit_order(trace));

        let (lost, unread) = self.unread(trace);
        anomalies.extend(lost);
        let (after_trace, unordered) = self.ordered(unread);
        let in_trace = trace
            .iter()
            .map(|&value| (self.index.writer(self.key, value), value));
        let runs = runs(in_trace.chain(after_trace));

        let last = runs.last().map(|run| run.version);
        let of = |len: usize| (len > 0).then(|| runs[runs.partition_point(|run| run.end < len)].version);
        let chain = runs.iter().scan(None, |before, run| {
            Some((before.replace(run.version), run.version))
        });
        Versions {
            key: self.key,
            next: chain
                .chain(unordered.into_iter().map(|version| (last, version)))
                .collect(),
            reads: reads
                .iter()
                .map(|read| (read.reader, of(read.values.len() - read.own)))
                .collect(),
        }
    }

    /// Appends that no read has: anomalies for those that one must have had, and the others.
    fn unread(&self, trace: &[Value]) -> (Vec<Anomaly>, Vec<(usize, Value)>) {
        let read: HashSet<Value> = trace.iter().copied().collect();
        let mut writers: Vec<usize> = trace
            .iter()
            .map(|&value| self.index.writer(self.key, value))
            .collect();
        writers.dedup();
        let (mut lost, mut unread) = (Vec::new(), Vec::new());
        for (i, &(by, value)) in self
            .appends
            .iter()
            .enumerate()
            .filter(|(_, (_, value))| !read.contains(value))
        {
            let mut own = self.appends[i + 1..].iter().take_while(|append| append.0 == by);
            if own.any(|append| read.contains(&append.1)) {
                lost.push(self.lost(by, value, by));
            } else if let Some(later) = self.later_one(by, &writers) {
                lost.push(self.lost(by, value, later));
            } else {
                unread.push((by, value));
            }
        }
        (lost, unread)
    }

    /// One of the transactions that appended what was read, or, if time counts, that read, which came after `by`.
    fn later_one(&self, by: usize, writers: &[usize]) -> Option<usize> {
        let this = self.index.transaction(by);
        let told_after = |&other: &usize| {
            let (position, other) = (this.position(), self.index.transaction(other).position());
            position.is_some() && other > position
        };
        let began_after = |&other: &usize| {
            this.effective()
                .is_some_and(|end| self.index.transaction(other).begin > end)
        };
        let mut in_time = self
            .reads
            .iter()
            .map(|read| read.reader)
            .chain(writers.iter().copied());
        let told = writers.iter().copied().find(told_after);
        told.or_else(|| in_time.find(|other| self.realtime && began_after(other)))
    }

    fn lost(&self, by: usize, value: Value, later: usize) -> Anomaly {
        let (key, writer, other) = (self.key, TxnNo(by), TxnNo(later));
        let what = if by == later {
            format!("no read of {key} has {value} of {writer}, but one has what it appended later")
        } else {
            format!("no read of {key} has {value} of {writer}, and {other} came after it")
        };
        Anomaly::of_data(Kind::LostAppend, what, &[by, later], self.index.history)
    }

    /// Unread appends whose order commit positions tell, or else the last one of each transaction.
    fn ordered(&self, mut unread: Vec<(usize, Value)>) -> (Vec<(usize, Value)>, Vec<Value>) {
        let position = |&(by, _): &(usize, Value)| self.index.transaction(by).position();
        let by_one = unread.windows(2).all(|two| two[0].0 == two[1].0);
        if by_one || unread.iter().all(|append| position(append).is_some()) {
            unread.sort_by_key(position);
            return (unread, Vec::new());
        }
        let runs = runs(unread.into_iter());
        (Vec::new(), runs.into_iter().map(|run| run.version).collect())
    }

    fn incompatible(&self, one: &ListRead, other: &ListRead) -> Anomaly {
        let show = |read: &ListRead| {
            let values: Vec<String> = read.values.iter().map(Value::to_string).collect();
            format!("{} read [{}]", TxnNo(read.reader), values.join(" "))
        };
        let what = format!("{} is not one list: {}, {}", self.key, show(one), show(other));
        let members = [one.reader, other.reader];
        Anomaly::of_data(Kind::IncompatibleOrder, what, &members, self.index.history)
    }

    /// The first two appends of one transaction, if any, that are not in the order in which it asked for them.
    fn out_of_own_order(&self, trace: &[Value]) -> Option<Anomaly> {
        let asked: HashMap<Value, usize> = self.appends.iter().enumerate().map(|(i, a)| (a.1, i)).collect();
        let mut last: HashMap<usize, Value> = HashMap::new();
        let (before, value) = trace.iter().find_map(|&value| {
            let before = last.insert(self.index.writer(self.key, value), value)?;
            (asked[&before] > asked[&value]).then_some((before, value))
        })?;
        let by = self.index.writer(self.key, value);
        let what = format!(
            "{} has {before} before {value}, but {} asked for {value} first",
            self.key,
            TxnNo(by)
        );
        Some(Anomaly::of_data(
            Kind::IncompatibleOrder,
            what,
            &[by],
            self.index.history,
        ))
    }

    /// The first neighbours in the list, if any, that the system told to be committed the other way round.
    fn out_of_commit_order(&self, trace: &[Value]) -> Option<Anomaly> {
        let pairs = trace.windows(2).map(|two| (two[0], two[1]));
        let mut writers = pairs.map(|(one, other)| {
            (
                one,
                self.index.writer(self.key, one),
                other,
                self.index.writer(self.key, other),
            )
        });
        let (one, by, other, next) = writers.find(|&(_, one, _, other)| {
            let (before, after) = (
                self.index.transaction(one).position(),
                self.index.transaction(other).position(),
            );
            one != other && before.is_some() && after.is_some() && before >= after
        })?;
        let what = format!(
            "{} has {one} before {other}, but commits are the other way",
            self.key
        );
        Some(Anomaly::of_data(
            Kind::CommitOrder,
            what,
            &[by, next],
            self.index.history,
        ))
    }
}

/// Neighbouring appends of one transaction, which are one version.
struct Run {
    by: usize,
    /// The last of them.
    version: Value,
    /// So many values has the list with them.
    end: usize,
}

fn runs(appends: impl Iterator<Item = (usize, Value)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, (by, version)) in appends.enumerate() {
        match runs.last_mut() {
            Some(run) if run.by == by => (run.version, run.end) = (version, i + 1),
            _ => runs.push(Run {
                by,
                version,
                end: i + 1,
            }),
        }
    }
    runs
}
