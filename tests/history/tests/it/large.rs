//! Histories of the size that a run against a database has. The times are printed, not judged.

use crate::executors::{Isolation, Run, serial, versioned};
use rustydb_history::workload::{Options as Shape, Plan, list_append};
use rustydb_history::{History, Level, check};
use std::time::Instant;

fn plans(count: usize) -> Vec<Plan> {
    let mut plans = list_append(
        5,
        Shape {
            keys: 16,
            ..Shape::default()
        },
    );
    let mut all: Vec<Plan> = plans.by_ref().take(count).collect();
    all.extend(plans.final_reads());
    all
}

fn timed(what: &str, history: &History, level: Level, kept: bool) {
    let started = Instant::now();
    let verdict = check(history, level);
    let elapsed = started.elapsed();
    let report = verdict.as_ref().unwrap_or_else(|violation| &violation.report);
    let count = history.transactions().len();
    eprintln!(
        "{what}, {count} transactions against {level}: {} ms\n  {report}",
        elapsed.as_millis()
    );
    assert_eq!(verdict.is_ok(), kept, "{report}");
}

#[test]
fn five_thousand_transactions_of_each_executor() {
    use Isolation::*;
    for (what, registers) in [("lists", false), ("registers", true)] {
        let run = Run {
            seed: 5,
            registers,
            positions: registers,
            processes: 12,
        };
        let history = serial(run, plans(5_000));
        timed(
            &format!("serial, {what}"),
            &history,
            Level::StrictSerializable,
            true,
        );
        for (name, isolation, kept) in [
            ("snapshots", Snapshot, Level::SnapshotIsolation),
            ("read committed", ReadCommitted, Level::ReadCommitted),
        ] {
            let history = versioned(run, isolation, plans(5_000));
            timed(&format!("{name}, {what}"), &history, kept, true);
            timed(
                &format!("{name}, {what}"),
                &history,
                Level::StrictSerializable,
                false,
            );
        }
    }
    // Nearly all of it is one component.
    let run = Run {
        seed: 5,
        registers: true,
        positions: true,
        processes: 12,
    };
    let history = versioned(run, SnapshotWithoutRefusals, plans(5_000));
    timed("no refusals", &history, Level::SnapshotIsolation, false);
}
