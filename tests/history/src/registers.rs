//! The order of a register's versions. A read shows one version and nothing of its past, so it must come from
//! elsewhere: from commit positions, if all writers have one; otherwise a transaction's write comes after what the
//! transaction read, and, if asked for, a write that began after another one had ended comes after it.

use crate::anomaly::Anomaly;
use crate::graph::{Adjacency, Components};
use crate::history::{Key, Value};
use crate::index::Index;
use crate::level::Kind;
use crate::order;
use crate::reads::RegisterRead;
use crate::versions::Versions;
use std::collections::{HashMap, HashSet};

pub(crate) struct Register<'a> {
    pub index: &'a Index<'a>,
    pub key: Key,
    pub reads: &'a [RegisterRead],
    /// What effective transactions wrote, with the number of each.
    pub writes: &'a [(usize, Value)],
    pub realtime: bool,
}

impl Register<'_> {
    pub fn versions(&self, anomalies: &mut Vec<Anomaly>) -> Versions {
        let last: HashMap<usize, Value> = self.writes.iter().copied().collect();
        let mut finals: Vec<(usize, Value)> = last.iter().map(|(&by, &version)| (by, version)).collect();
        finals.sort_unstable();
        let mut next = self.by_position(&finals, anomalies);
        if finals
            .iter()
            .any(|&(by, _)| self.index.transaction(by).position().is_none())
        {
            next.extend(self.by_reads(&last));
            if self.realtime {
                next.extend(self.by_time(&last));
            }
            if let Some(anomaly) = self.circle(&finals, &next) {
                anomalies.push(anomaly);
                next.clear();
            }
        }
        let preceded: HashSet<Value> = next.iter().map(|&(_, later)| later).collect();
        let first = finals
            .iter()
            .map(|&(_, version)| version)
            .filter(|version| !preceded.contains(version));
        let first: Vec<_> = first.map(|version| (None, version)).collect();
        let next = next.into_iter().map(|(version, later)| (Some(version), later));
        Versions {
            key: self.key,
            next: next.chain(first).collect(),
            reads: self
                .reads
                .iter()
                .map(|read| (read.reader, read.version))
                .collect(),
        }
    }

    fn by_position(&self, finals: &[(usize, Value)], anomalies: &mut Vec<Anomaly>) -> Vec<(Value, Value)> {
        let position =
            |&(by, version): &(usize, Value)| Some((self.index.transaction(by).position()?, by, version));
        let mut placed: Vec<_> = finals.iter().filter_map(position).collect();
        placed.sort_unstable();
        if let Some(two) = placed.windows(2).find(|two| two[0].0 == two[1].0) {
            let what = format!("two commits that wrote {} are both at {}", self.key, two[0].0);
            let members = [two[0].1, two[1].1];
            anomalies.push(Anomaly::of_data(
                Kind::CommitOrder,
                what,
                &members,
                self.index.history,
            ));
        }
        placed.windows(2).map(|two| (two[0].2, two[1].2)).collect()
    }

    fn by_reads(&self, last: &HashMap<usize, Value>) -> impl Iterator<Item = (Value, Value)> {
        self.reads
            .iter()
            .filter_map(|read| Some((read.version?, *last.get(&read.reader)?)))
    }

    fn by_time(&self, last: &HashMap<usize, Value>) -> Vec<(Value, Value)> {
        let writers = last.keys().map(|&by| (by, self.index.transaction(by)));
        order::realtime(writers)
            .into_iter()
            .map(|(one, other)| (last[&one], last[&other]))
            .collect()
    }

    /// Versions each of which must have come before the other.
    fn circle(&self, finals: &[(usize, Value)], next: &[(Value, Value)]) -> Option<Anomaly> {
        let places: HashMap<Value, usize> = finals.iter().enumerate().map(|(i, &(_, v))| (v, i)).collect();
        let pairs = next
            .iter()
            .map(|(version, later)| (places[version], places[later]));
        let adjacency = Adjacency::new(finals.len(), pairs.collect());
        let components = Components::of(&adjacency);
        let (version, later) = next
            .iter()
            .find(|(one, other)| components.same(places[one], places[other]))?;
        let circle = (0..finals.len()).filter(|&i| components.same(i, places[version]));
        let members: Vec<usize> = circle.map(|i| finals[i].0).collect();
        let what = format!(
            "of {} both {version} before {later} and the reverse must hold",
            self.key
        );
        Some(Anomaly::of_data(
            Kind::IncompatibleOrder,
            what,
            &members,
            self.index.history,
        ))
    }
}
