//! The wait-for graph: who waits for whom.

use std::collections::HashMap;

use super::owner::OwnerState;
use super::shard::World;
use super::ticket::Request;
use crate::sync::Arc;

/// Requests that wait, one an owner, and which of them wait for the owner of which. Owners that wait for nothing are on no
/// cycle and are left out.
pub(super) struct WaitGraph {
    pub nodes: Vec<Arc<Request>>,
    /// Of each node, the nodes of those it waits for, in the order in which the queue names them.
    edges: Vec<Vec<usize>>,
}

impl WaitGraph {
    /// What is reached from these requests. The time is as the number of edges: of one resource for which many wait, as the
    /// square of their number.
    pub fn reachable_from(world: &World<'_>, starts: impl IntoIterator<Item = Arc<Request>>) -> WaitGraph {
        let mut graph = WaitGraph {
            nodes: Vec::new(),
            edges: Vec::new(),
        };
        let mut known = HashMap::new();
        for start in starts {
            graph.node(&mut known, start);
        }
        let mut next = 0;
        while let Some(request) = graph.nodes.get(next).cloned() {
            let mut blocked_by = Vec::new();
            if let Some(head) = world.head(&request.key) {
                for blocker in head.blockers_of(&request) {
                    let waiting = match known.get(&Arc::as_ptr(blocker.owner)) {
                        Some(node) => Some(*node),
                        None => {
                            let waiting = blocker.owner.locks.lock().waiting.clone();
                            waiting.map(|waiting| graph.node(&mut known, waiting))
                        }
                    };
                    blocked_by.extend(waiting);
                }
            }
            graph.edges.push(blocked_by);
            next += 1;
        }
        graph
    }

    fn node(&mut self, known: &mut HashMap<*const OwnerState, usize>, request: Arc<Request>) -> usize {
        *known.entry(Arc::as_ptr(&request.owner)).or_insert_with(|| {
            self.nodes.push(request);
            self.nodes.len() - 1
        })
    }

    /// The shortest cycle through the node, beginning with it: each waits for the next, the last for the first.
    pub fn cycle_through(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.nodes.len()];
        let mut reached = vec![start];
        let mut next = 0;
        while let Some(&node) = reached.get(next) {
            for &other in &self.edges[node] {
                if other == start {
                    let mut cycle: Vec<usize> =
                        std::iter::successors(Some(node), |node| came_from[*node]).collect();
                    cycle.reverse();
                    return Some(cycle);
                }
                if came_from[other].is_none() {
                    came_from[other] = Some(node);
                    reached.push(other);
                }
            }
            next += 1;
        }
        None
    }

    /// A cycle through the first node that is on one.
    pub fn any_cycle(&self) -> Option<Vec<usize>> {
        let first = self.on_cycles().iter().position(Option::is_some)?;
        self.cycle_through(first)
    }

    /// For each node that is on a cycle, the number of its component: an edge within a component is on a cycle too.
    ///
    /// Tarjan, "Depth-First Search and Linear Graph Algorithms", SIAM J. Comput. 1(2), 1972; with a stack of its own, for a
    /// chain of waits may be long.
    pub fn on_cycles(&self) -> Vec<Option<usize>> {
        let mut search = Components {
            order: vec![None; self.nodes.len()],
            low: vec![0; self.nodes.len()],
            open: Vec::new(),
            is_open: vec![false; self.nodes.len()],
            component: vec![None; self.nodes.len()],
            visited: 0,
        };
        for root in 0..self.nodes.len() {
            if search.order[root].is_none() {
                search.from(root, &self.edges);
            }
        }
        search.component
    }
}

struct Components {
    order: Vec<Option<usize>>,
    low: Vec<usize>,
    /// Nodes whose component is not known yet.
    open: Vec<usize>,
    is_open: Vec<bool>,
    component: Vec<Option<usize>>,
    visited: usize,
}

impl Components {
    fn from(&mut self, root: usize, edges: &[Vec<usize>]) {
        self.enter(root);
        let mut path = vec![(root, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            if let Some(&other) = edges[node].get(*edge) {
                *edge += 1;
                match self.order[other] {
                    None => {
                        self.enter(other);
                        path.push((other, 0));
                    }
                    Some(order) if self.is_open[other] => self.low[node] = self.low[node].min(order),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.low[*parent] = self.low[*parent].min(self.low[node]);
            }
            if self.order[node] == Some(self.low[node]) {
                self.close(node);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.order[node] = Some(self.visited);
        self.low[node] = self.visited;
        self.visited += 1;
        self.open.push(node);
        self.is_open[node] = true;
    }

    /// The open nodes from this one on are a component.
    fn close(&mut self, node: usize) {
        let from = self.open.iter().rposition(|open| *open == node).unwrap_or(0);
        let of_it = self.open.split_off(from);
        for member in &of_it {
            self.is_open[*member] = false;
            if of_it.len() > 1 {
                self.component[*member] = Some(node);
            }
        }
    }
}
