//! From versions to dependencies: ww, wr and rw, as Adya's chapter 4 defines them.

use crate::anomaly::{Edge, Why};
use crate::history::{TxnNo, Value};
use crate::index::Index;
use crate::versions::Versions;
use std::collections::HashMap;

/// The edges of one key. As many as pairs of versions, and for each read as many as versions come next.
pub(crate) fn edges(index: &Index, versions: &Versions, edges: &mut Vec<Edge>) {
    let key = versions.key;
    let writer = |version: Value| index.writer(key, version);
    let mut push = |from: usize, to: usize, why: Why| {
        if from != to {
            edges.push(Edge {
                from: TxnNo(from),
                to: TxnNo(to),
                why,
            });
        }
    };
    let mut next: HashMap<Option<Value>, Vec<Value>> = HashMap::new();
    for &(version, later) in &versions.next {
        next.entry(version).or_default().push(later);
        if let Some(version) = version {
            push(writer(version), writer(later), Why::Ww { key, version, later });
        }
    }
    for &(reader, version) in &versions.reads {
        if let Some(version) = version {
            push(writer(version), reader, Why::Wr { key, version });
        }
        for &later in next.get(&version).into_iter().flatten() {
            // Of one transaction some appends were read and the others not: it is not its own successor.
            if version.map(writer) != Some(writer(later)) {
                push(reader, writer(later), Why::Rw { key, version, later });
            }
        }
    }
}
