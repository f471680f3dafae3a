//! The orders that do not come from data: those of processes and of time.

use crate::anomaly::{Edge, Why};
use crate::history::{Moment, Process, Transaction, TxnNo};
use crate::index::Index;
use std::collections::HashMap;

/// From each transaction to the next one of its process. After one of unknown outcome there is no edge: it may take
/// effect at any later time.
pub(crate) fn process_edges(index: &Index) -> Vec<Edge> {
    let mut before: HashMap<Process, usize> = HashMap::new();
    let mut edges = Vec::new();
    for (number, &Transaction { process, .. }) in index.effective_ones() {
        let before = match index.transaction(number).effective() {
            Some(_) => before.insert(process, number),
            None => before.get(&process).copied(),
        };
        edges.extend(before.map(|before| Edge {
            from: TxnNo(before),
            to: TxnNo(number),
            why: Why::Process { process },
        }));
    }
    edges
}

/// From each transaction to those that began after its end, but for what follows from two of these edges.
pub(crate) fn realtime_edges(index: &Index) -> Vec<Edge> {
    let edge = |(from, to): (usize, usize)| {
        let end = index.transaction(from).end;
        let begin = index.transaction(to).begin;
        Edge {
            from: TxnNo(from),
            to: TxnNo(to),
            why: Why::Realtime { end, begin },
        }
    };
    realtime(index.effective_ones()).into_iter().map(edge).collect()
}

/// The pairs of that order. As many for each beginning as there were transactions in progress at one time.
pub(crate) fn realtime<'a>(
    transactions: impl Iterator<Item = (usize, &'a Transaction)>,
) -> Vec<(usize, usize)> {
    let mut events: Vec<(Moment, usize, Option<Moment>)> = Vec::new();
    for (number, transaction) in transactions {
        events.push((transaction.begin, number, None));
        events.extend(
            transaction
                .effective()
                .map(|end| (end, number, Some(transaction.begin))),
        );
    }
    events.sort_unstable();
    let mut pairs = Vec::new();
    // Those that ended, and after whose end nothing has both begun and ended.
    let mut newest: Vec<(usize, Moment)> = Vec::new();
    for (moment, number, begin) in events {
        match begin {
            None => pairs.extend(newest.iter().map(|&(before, _)| (before, number))),
            Some(begin) => {
                newest.retain(|&(_, end)| end > begin);
                newest.push((number, moment));
            }
        }
    }
    pairs
}
