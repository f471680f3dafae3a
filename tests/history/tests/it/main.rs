//! The checker against histories whose anomalies are known: written by hand, made by executors that keep a level,
//! spoilt on purpose; and against a search through all executions, for small ones. Each random test prints its seed; `RUSTYDB_SEED` runs that one alone.

#![allow(clippy::unwrap_used, reason = "a failing test is to say so at once")]

mod executors;
mod golden;
mod inputs;
mod large;
mod levels;
mod oracle;
mod planted;
mod text;

use rustydb_history::{Anomaly, Edge, Kind, Why};
use std::ops::Range;

/// Runs `test` once for each seed, or for `RUSTYDB_SEED` alone, and prints the seed.
fn for_each_seed(seeds: Range<u64>, mut test: impl FnMut(u64)) {
    for seed in given_seed().map_or(seeds, |seed| seed..seed + 1) {
        eprintln!("RUSTYDB_SEED={seed}");
        test(seed);
    }
}

fn given_seed() -> Option<u64> {
    let seed = std::env::var("RUSTYDB_SEED").ok()?;
    Some(seed.parse().expect("RUSTYDB_SEED is a number"))
}

/// A cycle is closed, passes no transaction twice, has the transactions that it shows, and is of the kind that it says.
fn is_proof(anomaly: &Anomaly) {
    let cycle = &anomaly.cycle;
    if cycle.is_empty() {
        return;
    }
    let pairs: Vec<(&Edge, &Edge)> = cycle.iter().zip(cycle.iter().cycle().skip(1)).collect();
    assert!(pairs.iter().all(|(edge, next)| edge.to == next.from), "{anomaly}");
    assert_eq!(anomaly.transactions.len(), cycle.len(), "{anomaly}");

    let rw = cycle.iter().filter(|edge| edge.why.is_rw()).count();
    let wr = cycle
        .iter()
        .filter(|edge| matches!(edge.why, Why::Wr { .. }))
        .count();
    let adjacent = pairs
        .iter()
        .any(|(edge, next)| edge.why.is_rw() && next.why.is_rw());
    let one_key = cycle.iter().all(|edge| edge.why.key() == cycle[0].why.key());
    let is_of_kind = match anomaly.kind {
        Kind::G0 => rw == 0 && wr == 0,
        Kind::G1c => rw == 0 && wr > 0,
        Kind::LostUpdate => rw > 0 && wr == 0 && one_key,
        Kind::GSingle => rw == 1,
        Kind::GNonadjacent => rw > 1 && !adjacent,
        Kind::G2 => rw > 1 && adjacent,
        _ => false,
    };
    assert!(is_of_kind, "{anomaly}");
    assert_eq!(
        cycle.iter().map(|edge| edge.why.scope()).max(),
        Some(anomaly.scope),
        "{anomaly}"
    );
}
