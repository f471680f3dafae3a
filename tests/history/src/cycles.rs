//! Cycles of dependencies: finds the components of the graph that have any, and in each the smallest of each kind.
//!
//! Whether a kind of cycle exists is asked of the components of a graph made for the kind, in linear time:
//!
//! | kind | graph whose components are taken | a cycle begins with | and goes on with |
//! |---|---|---|---|
//! | G0 | ww | ww | ww |
//! | G1c | ww, wr | wr | ww, wr |
//! | G-single | without two rw in a row | rw | ww, wr |
//! | G-nonadjacent | without two rw in a row | rw | any, but never two rw in a row; in all two rw or more |
//! | lost update | all | rw | ww, rw of the same key |
//! | G2 | all | rw | rw, then any |
//!
//! Edges of processes and of time go wherever ww goes. The graph without two rw in a row has two nodes for each
//! transaction: reached by rw, and reached otherwise; an rw leaves only the second. It has cycles exactly if the
//! history is not one of snapshots (Cerone and Gotsman, JACM 2018), so for a system that keeps its
//! snapshots nothing is searched for G-single or G-nonadjacent, whatever write skews there are.
//!
//! A walk that passes a transaction twice is no cycle and is not reported. That hides no verdict: of a walk without
//! two rw in a row, one of the parts is a shorter one, and the shortest with fewer than two rw is of a kind that is
//! found.

use crate::anomaly::{Edge, Scope, Why};
use crate::graph::{Adjacency, Components, Search};
use crate::level::Kind;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// Reached otherwise than by rw, and by rw. G-nonadjacent has each of them twice: `PHASE_SECOND` is added once there
/// was a second rw.
const PHASE_OTHER: usize = 0;
const PHASE_RW: usize = 1;
const PHASE_SECOND: usize = 2;
const PHASES: usize = 4;

const CYCLES: [Kind; 6] = [
    Kind::G0,
    Kind::G1c,
    Kind::LostUpdate,
    Kind::GSingle,
    Kind::GNonadjacent,
    Kind::G2,
];

pub(crate) struct Cycles {
    edges: Vec<Edge>,
    /// For each transaction, its edges.
    out: Vec<Range<usize>>,
    all: Components,
}

impl Cycles {
    pub fn new(transactions: usize, mut edges: Vec<Edge>) -> Cycles {
        edges.sort_unstable();
        edges.dedup();
        let first = |node: usize| edges.partition_point(|edge| edge.from.0 < node);
        let out = (0..transactions)
            .map(|node| first(node)..first(node + 1))
            .collect();
        let pairs = edges.iter().map(|edge| (edge.from.0, edge.to.0)).collect();
        let all = Components::of(&Adjacency::new(transactions, pairs));
        Cycles { edges, out, all }
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    pub fn into_edges(self) -> Vec<Edge> {
        self.edges
    }

    /// For each kind and each component, a smallest cycle that rests on `scope`.
    pub fn find(&self, scope: Scope) -> Vec<(Kind, Vec<Edge>)> {
        let mut found = Vec::new();
        if !self.edges.iter().any(|edge| self.in_component(edge)) {
            return found;
        }
        let mut search = Search::new(self.out.len() * PHASES);
        for kind in CYCLES {
            for (_, openings) in self.openings(kind) {
                found.extend(
                    self.smallest(kind, &openings, &mut search)
                        .map(|cycle| (kind, cycle)),
                );
            }
        }
        found.retain(|(kind, cycle)| {
            let told = *kind != Kind::LostUpdate && is_lost_update(cycle);
            cycle.iter().any(|edge| edge.why.scope() == scope) && !told
        });
        found
    }

    /// Whether the edge is on a cycle of any kind.
    fn in_component(&self, edge: &Edge) -> bool {
        self.all.same(edge.from.0, edge.to.0)
    }

    /// The edges with which cycles of the kind may begin, by the components of the kind's graph.
    fn openings(&self, kind: Kind) -> BTreeMap<usize, Vec<usize>> {
        let nodes = self.out.len();
        // Reached by rw is nodes + n; which edges the kind's graph has, and between which of its nodes.
        let place = |edge: &Edge| -> Vec<(usize, usize)> {
            let (from, to) = (edge.from.0, edge.to.0);
            match (kind, edge.why) {
                (Kind::G0, Why::Wr { .. } | Why::Rw { .. }) | (Kind::G1c, Why::Rw { .. }) => vec![],
                (Kind::GSingle | Kind::GNonadjacent, Why::Rw { .. }) => vec![(from, nodes + to)],
                (Kind::GSingle | Kind::GNonadjacent, _) => vec![(from, to), (nodes + from, to)],
                _ => vec![(from, to)],
            }
        };
        let pairs = self
            .edges
            .iter()
            .filter(|edge| self.in_component(edge))
            .flat_map(place)
            .collect();
        let components = Components::of(&Adjacency::new(nodes * 2, pairs));
        let mut openings: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, edge) in self.edges.iter().enumerate() {
            let opens = match kind {
                Kind::G0 => matches!(edge.why, Why::Ww { .. }),
                Kind::G1c => matches!(edge.why, Why::Wr { .. }),
                _ => edge.why.is_rw(),
            };
            let inside = |&(from, to): &(usize, usize)| components.same(from, to);
            if opens && let Some((from, _)) = place(edge).into_iter().find(inside) {
                openings.entry(components.number(from)).or_default().push(i);
            }
        }
        openings
    }

    fn smallest(&self, kind: Kind, openings: &[usize], search: &mut Search) -> Option<Vec<Edge>> {
        let mut smallest: Option<Vec<Edge>> = None;
        for &opening in openings {
            // With the opening, at least one less than the smallest so far; no cycle is longer than all nodes.
            let hops_max = smallest
                .as_ref()
                .map_or(self.out.len() * 2, |cycle| cycle.len() - 2);
            if hops_max == 0 {
                break;
            }
            if let Some(cycle) = self.closed(kind, opening, hops_max, search) {
                smallest = Some(cycle);
            }
        }
        smallest
    }

    /// The smallest cycle of a kind that begins with an edge, if what follows the edge has at most `hops_max`.
    fn closed(&self, kind: Kind, opening: usize, hops_max: usize, search: &mut Search) -> Option<Vec<Edge>> {
        let first = &self.edges[opening];
        let (start, goal) = match kind {
            Kind::GNonadjacent => (PHASE_RW, PHASE_OTHER + PHASE_SECOND),
            Kind::G2 => (PHASE_RW, PHASE_OTHER),
            _ => (PHASE_OTHER, PHASE_OTHER),
        };
        let walk = search.shortest(
            first.to.0 * PHASES + start,
            first.from.0 * PHASES + goal,
            hops_max,
            |state, found| {
                for i in self.out[state / PHASES].clone() {
                    let edge = &self.edges[i];
                    if self.all.same(edge.to.0, first.to.0)
                        && let Some(phase) = phase_after(kind, first, state % PHASES, edge)
                    {
                        found(i, edge.to.0 * PHASES + phase);
                    }
                }
            },
        )?;
        let cycle: Vec<Edge> = [opening].into_iter().chain(walk).map(|i| self.edges[i]).collect();
        let mut passed = HashSet::new();
        cycle.iter().all(|edge| passed.insert(edge.from)).then_some(cycle)
    }
}

/// Whether a cycle is one of writes to one key and at least one read of it; its component has the lost update too.
fn is_lost_update(cycle: &[Edge]) -> bool {
    let key = cycle[0].why.key();
    let of_key = |edge: &Edge| edge.why.key() == key && !matches!(edge.why, Why::Wr { .. });
    key.is_some() && cycle.iter().all(of_key) && cycle.iter().any(|edge| edge.why.is_rw())
}

/// The phase into which an edge leads from a phase, if a cycle of the kind that opened with `first` may have it there.
fn phase_after(kind: Kind, first: &Edge, phase: usize, edge: &Edge) -> Option<usize> {
    let plain = |may: bool| may.then_some(PHASE_OTHER);
    match (kind, edge.why) {
        (Kind::G0, why) => plain(!matches!(why, Why::Wr { .. } | Why::Rw { .. })),
        (Kind::LostUpdate, why) => plain(why.key() == first.why.key() && !matches!(why, Why::Wr { .. })),
        // The second rw leaves the transaction in the middle, to which nothing comes back.
        (Kind::G2, why) => plain((phase == PHASE_OTHER || why.is_rw()) && edge.to != first.to),
        (Kind::GNonadjacent, Why::Rw { .. }) => {
            (phase % PHASE_SECOND == PHASE_OTHER).then_some(PHASE_RW + PHASE_SECOND)
        }
        (Kind::GNonadjacent, _) => Some(phase / PHASE_SECOND * PHASE_SECOND + PHASE_OTHER),
        (_, why) => plain(!why.is_rw()),
    }
}
