//! Random histories of executors that keep a level have nothing but what the level admits.

use crate::executors::{Isolation, Run, serial, versioned};
use crate::{for_each_seed, given_seed, is_proof};
use rustydb_history::workload::{Options as Shape, Plan, list_append};
use rustydb_history::{History, Kind, Level, Options, check, check_with};

const BOTH: [bool; 2] = [false, true];
const STRICT: Options = Options {
    process: true,
    realtime: true,
};

/// Lists and registers, with and without commit positions.
fn runs(seed: u64) -> impl Iterator<Item = Run> {
    BOTH.into_iter().flat_map(move |registers| {
        BOTH.into_iter().map(move |positions| Run {
            seed,
            registers,
            positions,
            processes: 6,
        })
    })
}

fn plans(seed: u64, count: usize) -> Vec<Plan> {
    let mut plans = list_append(
        seed,
        Shape {
            keys: 4,
            ..Shape::default()
        },
    );
    let mut all: Vec<Plan> = plans.by_ref().take(count).collect();
    all.extend(plans.final_reads());
    all
}

fn is_no_trivial_history(history: &History) {
    let report = check(history, Level::ReadCommitted).unwrap();
    assert!(
        report.effective > 60 && report.edges.wr > 30 && report.edges.rw > 20,
        "{report}"
    );
}

#[test]
fn serial_histories_have_no_anomalies() {
    for_each_seed(0..20, |seed| {
        for run in runs(seed) {
            let history = serial(run, plans(seed, 200));
            is_no_trivial_history(&history);
            let report = check(&history, Level::StrictSerializable).unwrap();
            assert!(report.admitted.is_empty(), "{report}");
            assert!(report.unknown > 0 && report.aborted > 0, "{report}");
        }
    });
}

#[test]
fn snapshots_show_write_skew_and_nothing_else() {
    let mut skews = [0; 2];
    for_each_seed(0..20, |seed| {
        for run in runs(seed) {
            let history = versioned(run, Isolation::Snapshot, plans(seed, 200));
            is_no_trivial_history(&history);
            let report = check_with(&history, Level::SnapshotIsolation, STRICT).unwrap();
            assert!(
                report.admitted.iter().all(|anomaly| anomaly.kind == Kind::G2),
                "{report}"
            );
            skews[usize::from(run.registers)] += report.count(Kind::G2);
        }
    });
    assert!(
        skews.iter().all(|&skews| skews > 0) || given_seed().is_some(),
        "{skews:?}"
    );
}

#[test]
fn snapshots_without_refusals_lose_updates() {
    for_each_seed(0..10, |seed| {
        let run = Run {
            seed,
            registers: true,
            positions: true,
            processes: 6,
        };
        let history = versioned(run, Isolation::SnapshotWithoutRefusals, plans(seed, 200));
        let violation = check(&history, Level::SnapshotIsolation).unwrap_err();
        assert!(violation.has(Kind::LostUpdate), "{violation}");
    });
}

#[test]
fn reads_of_what_is_committed_at_the_moment_are_not_snapshots() {
    for_each_seed(0..10, |seed| {
        for run in runs(seed) {
            let history = versioned(run, Isolation::ReadCommitted, plans(seed, 200));
            let report = check_with(&history, Level::ReadCommitted, STRICT).unwrap();
            report.admitted.iter().for_each(is_proof);
            assert!(report.count(Kind::NonRepeatableRead) > 0, "{report}");
            assert!(report.count(Kind::GSingle) > 0, "{report}");
            let violation = check(&history, Level::SnapshotIsolation).unwrap_err();
            assert!(
                violation.has(Kind::LostUpdate) || violation.has(Kind::GSingle),
                "{violation}"
            );
        }
    });
}
