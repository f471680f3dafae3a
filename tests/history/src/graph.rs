//! Graphs as such: adjacency, strongly connected components, shortest walks.

/// A directed graph of nodes 0..n in compressed rows.
pub(crate) struct Adjacency {
    starts: Vec<usize>,
    targets: Vec<usize>,
}

impl Adjacency {
    pub fn new(nodes: usize, mut pairs: Vec<(usize, usize)>) -> Adjacency {
        pairs.sort_unstable();
        pairs.dedup();
        let starts = (0..=nodes)
            .map(|node| pairs.partition_point(|&(from, _)| from < node))
            .collect();
        Adjacency {
            starts,
            targets: pairs.into_iter().map(|(_, to)| to).collect(),
        }
    }

    fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    fn next(&self, node: usize, nth: usize) -> Option<usize> {
        self.targets[self.starts[node]..self.starts[node + 1]]
            .get(nth)
            .copied()
    }
}

/// The strongly connected components of a graph.
pub(crate) struct Components {
    /// For each node, the number of its component.
    of: Vec<usize>,
}

const UNSEEN: usize = usize::MAX;

impl Components {
    /// Tarjan, "Depth-first search and linear graph algorithms" (SIAM J. Comput. 1972), in linear time. The path is
    /// a vector: chains of dependencies are as long as histories, and longer than a thread's stack is deep.
    pub fn of(graph: &Adjacency) -> Components {
        let nodes = graph.nodes();
        let mut of = vec![UNSEEN; nodes];
        let mut order = vec![UNSEEN; nodes];
        let mut low = vec![UNSEEN; nodes];
        let (mut seen, mut components) = (0, 0);
        // Nodes without a component yet; and the path to the current node, with the number of its next edge.
        let (mut open, mut path): (Vec<usize>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        for root in 0..nodes {
            if order[root] == UNSEEN {
                path.push((root, 0));
            }
            while let Some((node, nth)) = path.last_mut() {
                let node = *node;
                if *nth == 0 {
                    (order[node], low[node]) = (seen, seen);
                    seen += 1;
                    open.push(node);
                }
                *nth += 1;
                match graph.next(node, *nth - 1) {
                    Some(next) if order[next] == UNSEEN => path.push((next, 0)),
                    Some(next) if of[next] == UNSEEN => low[node] = low[node].min(order[next]),
                    Some(_) => {}
                    None => {
                        path.pop();
                        if let Some(&(parent, _)) = path.last() {
                            low[parent] = low[parent].min(low[node]);
                        }
                        if low[node] == order[node] {
                            let first = open.iter().rposition(|&other| other == node);
                            let first = first.expect("a node is open until its component is closed");
                            open.drain(first..).for_each(|member| of[member] = components);
                            components += 1;
                        }
                    }
                }
            }
        }
        Components { of }
    }

    pub fn same(&self, one: usize, other: usize) -> bool {
        self.of[one] == self.of[other]
    }

    pub fn number(&self, node: usize) -> usize {
        self.of[node]
    }
}

/// Breadth-first search from many starts in turn, without clearing its memory in between.
pub(crate) struct Search {
    /// For each state, the round in which it was reached last.
    round_of: Vec<u32>,
    /// How it was reached: the state before, and the edge.
    from: Vec<(usize, usize)>,
    round: u32,
}

impl Search {
    pub fn new(states: usize) -> Search {
        Search {
            round_of: vec![0; states],
            from: vec![(0, 0); states],
            round: 0,
        }
    }

    /// The edges of a shortest walk from `start` to `goal` that has at most `hops_max` of them. `each` calls back
    /// with the edges that lead on from a state, and the states they lead to.
    pub fn shortest(
        &mut self,
        start: usize,
        goal: usize,
        hops_max: usize,
        each: impl Fn(usize, &mut dyn FnMut(usize, usize)),
    ) -> Option<Vec<usize>> {
        self.round += 1;
        self.round_of[start] = self.round;
        let mut level = vec![start];
        for _ in 0..hops_max {
            let mut beyond = Vec::new();
            for &state in &level {
                each(state, &mut |edge, next| {
                    if self.round_of[next] != self.round {
                        self.round_of[next] = self.round;
                        self.from[next] = (state, edge);
                        beyond.push(next);
                    }
                });
                if self.round_of[goal] == self.round {
                    return Some(self.walk(start, goal));
                }
            }
            if beyond.is_empty() {
                return None;
            }
            level = beyond;
        }
        None
    }

    fn walk(&self, start: usize, goal: usize) -> Vec<usize> {
        let mut edges = Vec::new();
        let mut state = goal;
        while state != start {
            let (before, edge) = self.from[state];
            edges.push(edge);
            state = before;
        }
        edges.reverse();
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_the_sets_that_reach_each_other() {
        // Every graph of four nodes without self-loops, against reachability by Warshall.
        let pairs: Vec<_> = (0..16)
            .map(|i| (i / 4, i % 4))
            .filter(|(from, to)| from != to)
            .collect();
        for mask in 0..1_u32 << pairs.len() {
            let edges: Vec<_> = (0..pairs.len())
                .filter(|i| mask >> i & 1 == 1)
                .map(|i| pairs[i])
                .collect();
            let mut reach = [[false; 4]; 4];
            (0..4).for_each(|node| reach[node][node] = true);
            edges.iter().for_each(|&(from, to)| reach[from][to] = true);
            for (via, from, to) in (0..64).map(|i| (i / 16, i / 4 % 4, i % 4)) {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
            let components = Components::of(&Adjacency::new(4, edges.clone()));
            for (one, other) in (0..16).map(|i| (i / 4, i % 4)) {
                let both = reach[one][other] && reach[other][one];
                assert_eq!(components.same(one, other), both, "{edges:?}: {one} and {other}");
            }
        }
    }

    #[test]
    fn a_path_as_long_as_a_history_does_not_overflow_the_stack() {
        let nodes = 200_000;
        let ring = (0..nodes).map(|node| (node, (node + 1) % nodes)).collect();
        let components = Components::of(&Adjacency::new(nodes, ring));
        assert!((0..nodes).all(|node| components.same(0, node)));
    }
}
