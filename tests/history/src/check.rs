//! From a history to a verdict.

use crate::anomaly::{Anomaly, Edge, Scope, Why};
use crate::history::{History, Key, Outcome};
use crate::index::Index;
use crate::level::{Kind, Level};
use crate::lists::List;
use crate::registers::Register;
use crate::{cycles, edges, order, reads};
use std::collections::BTreeMap;
use std::fmt;

/// Orders that are asked for beside the one of the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// A transaction comes after earlier ones of its process ("strong session").
    pub process: bool,
    /// A transaction comes after those that ended before it began ("strong", "strict"). Of a system with one place
    /// of truth this can be asked at any level; of one that reads from replicas only if it says so.
    pub realtime: bool,
}

/// What a history had in it. A test that is to mean something looks at it: a history without reads has no anomalies.
#[derive(Clone, Debug)]
pub struct Report {
    pub level: Level,
    pub options: Options,
    /// Transactions that were committed, or of unknown outcome and seen.
    pub effective: usize,
    pub aborted: usize,
    /// Transactions of unknown outcome, seen or not.
    pub unknown: usize,
    /// Dependencies that were found.
    pub edges: Edges,
    /// Anomalies which the level admits: for cycles one of each kind in each component of the graph.
    pub admitted: Vec<Anomaly>,
}

/// Numbers of dependencies, by why they are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edges {
    pub ww: usize,
    pub wr: usize,
    pub rw: usize,
    pub process: usize,
    pub realtime: usize,
}

/// The promise is broken. Shows the witnesses, also in the message of an `unwrap`.
#[derive(Clone, thiserror::Error)]
pub struct Violation {
    /// The anomalies which the level forbids; at least one.
    pub forbidden: Vec<Anomaly>,
    pub report: Report,
}

/// So many anomalies of one kind are shown; the others are counted.
const SHOWN_MAX: usize = 3;

/// Holds a history against a level, with the orders that the level itself asks for.
///
/// Takes time linear in the history and its dependencies for what a correct system does; when there are cycles, up to
/// the product of the anti-dependencies and the size of the components that have the cycles.
///
/// # Errors
/// The anomalies that the level forbids, each with a smallest witness.
pub fn check(history: &History, level: Level) -> Result<Report, Violation> {
    check_with(history, level, Options::default())
}

/// As [`check`], with further orders.
///
/// # Errors
/// The anomalies that the level forbids, each with a smallest witness.
pub fn check_with(history: &History, level: Level, options: Options) -> Result<Report, Violation> {
    let strict = level == Level::StrictSerializable;
    let options = Options {
        process: options.process || strict,
        realtime: options.realtime || strict,
    };
    let index = Index::new(history);
    let (data, mut anomalies) = dependencies(&index, options);
    let (cycles, edges) = cycles(&index, data, options);
    anomalies.extend(
        cycles
            .into_iter()
            .map(|(kind, cycle)| Anomaly::of_cycle(kind, cycle, history)),
    );
    anomalies.sort_by_key(|anomaly| (anomaly.kind, anomaly.scope));

    let (forbidden, admitted): (Vec<_>, Vec<_>) = anomalies
        .into_iter()
        .partition(|anomaly| level.forbids(anomaly.kind));
    let outcomes = |outcome| {
        history
            .transactions()
            .iter()
            .filter(|t| t.outcome == outcome)
            .count()
    };
    let report = Report {
        level,
        options,
        effective: index.effective_ones().count(),
        aborted: outcomes(Outcome::Aborted),
        unknown: outcomes(Outcome::Unknown),
        edges,
        admitted,
    };
    if forbidden.is_empty() {
        Ok(report)
    } else {
        Err(Violation { forbidden, report })
    }
}

/// The dependencies of the data, and the anomalies that show before there are any.
fn dependencies(index: &Index, options: Options) -> (Vec<Edge>, Vec<Anomaly>) {
    let mut reads = reads::reads(index);
    let mut anomalies = std::mem::take(&mut reads.anomalies);
    let written = index.written();
    let written_to = |key: Key| written.get(&key).map_or(&[][..], Vec::as_slice);
    let realtime = options.realtime;
    let mut data = Vec::new();
    for (&key, reads) in &reads.lists {
        let list = List {
            index,
            key,
            reads,
            appends: written_to(key),
            realtime,
        };
        edges::edges(index, &list.versions(&mut anomalies), &mut data);
    }
    for (&key, reads) in &reads.registers {
        let register = Register {
            index,
            key,
            reads,
            writes: written_to(key),
            realtime,
        };
        edges::edges(index, &register.versions(&mut anomalies), &mut data);
    }
    (data, anomalies)
}

/// The cycles of the data alone, then those that need the further orders, and how many edges there were in all.
fn cycles(index: &Index, data: Vec<Edge>, options: Options) -> (Vec<(Kind, Vec<Edge>)>, Edges) {
    let mut orders = vec![(Scope::Data, data)];
    if options.process {
        orders.push((Scope::Process, order::process_edges(index)));
    }
    if options.realtime {
        orders.push((Scope::Realtime, order::realtime_edges(index)));
    }
    let (mut edges, mut found, mut count) = (Vec::new(), Vec::new(), Edges::default());
    for (scope, more) in orders {
        edges.extend(more);
        let cycles = cycles::Cycles::new(index.history.transactions().len(), edges);
        found.extend(cycles.find(scope));
        count = Edges::of(cycles.edges());
        edges = cycles.into_edges();
    }
    (found, count)
}

impl Edges {
    fn of(edges: &[Edge]) -> Edges {
        let mut count = Edges::default();
        for edge in edges {
            *match edge.why {
                Why::Ww { .. } => &mut count.ww,
                Why::Wr { .. } => &mut count.wr,
                Why::Rw { .. } => &mut count.rw,
                Why::Process { .. } => &mut count.process,
                Why::Realtime { .. } => &mut count.realtime,
            } += 1;
        }
        count
    }
}

impl Report {
    /// How many anomalies of a kind there were that the level admits.
    pub fn count(&self, kind: Kind) -> usize {
        self.admitted
            .iter()
            .filter(|anomaly| anomaly.kind == kind)
            .count()
    }
}

impl Violation {
    /// Whether a forbidden anomaly of this kind was found.
    pub fn has(&self, kind: Kind) -> bool {
        self.forbidden.iter().any(|anomaly| anomaly.kind == kind)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            level,
            effective,
            aborted,
            unknown,
            edges,
            ..
        } = self;
        let Edges {
            ww,
            wr,
            rw,
            process,
            realtime,
        } = edges;
        write!(
            f,
            "{level}: {effective} transactions took effect, {aborted} aborted, {unknown} unknown; "
        )?;
        write!(
            f,
            "{ww} ww, {wr} wr, {rw} rw, {process} process, {realtime} realtime; admitted: "
        )?;
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        self.admitted
            .iter()
            .for_each(|anomaly| *kinds.entry(anomaly.kind).or_default() += 1);
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        f.write_str(if kinds.is_empty() { "none" } else { "" })?;
        f.write_str(&kinds.join(", "))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.report)?;
        let mut shown: BTreeMap<(Kind, Scope), usize> = BTreeMap::new();
        for anomaly in &self.forbidden {
            let shown = shown.entry((anomaly.kind, anomaly.scope)).or_default();
            *shown += 1;
            if *shown <= SHOWN_MAX {
                write!(f, "\n{anomaly}")?;
            }
        }
        for ((kind, _), count) in shown.into_iter().filter(|(_, count)| *count > SHOWN_MAX) {
            write!(f, "\nand {} more of {kind}", count - SHOWN_MAX)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
