//! One history for each anomaly, with all that is to be found in it, and which levels it breaks.

use crate::is_proof;
use crate::text::history;
use rustydb_history::Kind::*;
use rustydb_history::Level::{self, *};
use rustydb_history::{Anomaly, Kind, Options, Scope, check, check_with};

fn all(text: &str, level: Level, options: Options) -> (bool, Vec<Anomaly>) {
    match check_with(&history(text), level, options) {
        Ok(report) => (true, report.admitted),
        Err(violation) => (false, [violation.forbidden, violation.report.admitted].concat()),
    }
}

/// At each level exactly `kinds` are found, and exactly the levels from `first` on are broken.
fn found(text: &str, kinds: &[Kind], first: Option<Level>) {
    let levels = [ReadCommitted, SnapshotIsolation, Serializable, StrictSerializable];
    let first = first.map_or(levels.len(), |first| {
        levels.iter().position(|level| *level == first).unwrap()
    });
    for (i, level) in levels.into_iter().enumerate() {
        let (kept, anomalies) = all(text, level, Options::default());
        let found: Vec<Kind> = anomalies.iter().map(|anomaly| anomaly.kind).collect();
        assert_eq!(found, kinds, "{level}: {text}");
        assert_eq!(kept, i < first, "{level}: {text}");
        anomalies.iter().for_each(is_proof);
    }
}

#[test]
fn g0_is_two_keys_written_in_opposite_orders() {
    let text = "c: a x 1, a y 1
                c: a x 2, a y 2
                c: r x [1 2], r y [2 1]";
    found(text, &[G0], Some(ReadCommitted));
}

#[test]
fn g0_is_a_transaction_between_two_appends_of_another() {
    let text = "c: a x 1, a x 3
                c: a x 2
                c: r x [1 2 3]";
    found(text, &[G0], Some(ReadCommitted));
}

#[test]
fn g1a_is_a_read_of_an_aborted_append_or_write() {
    found("a: a x 1\n c: r x [1]", &[G1a], Some(ReadCommitted));
    found("a: w x 1\n c: g x 1", &[G1a], Some(ReadCommitted));
}

#[test]
fn g1a_is_an_aborted_append_below_a_committed_one() {
    let text = "a: a x 1
                c: a x 2
                c: r x [1 2]";
    found(text, &[G1a], Some(ReadCommitted));
}

#[test]
fn g1b_is_a_read_between_two_writes_of_one_transaction() {
    found("c: a x 1, a x 2\n c: r x [1]", &[G1b], Some(ReadCommitted));
    found("c: w x 1, w x 2\n c: g x 1", &[G1b], Some(ReadCommitted));
}

#[test]
fn g1c_is_two_that_read_each_other() {
    found(
        "c: a x 1, r y [1]\n c: a y 1, r x [1]",
        &[G1c],
        Some(ReadCommitted),
    );
    found("c: w x 1, g y 1\n c: w y 1, g x 1", &[G1c], Some(ReadCommitted));
}

#[test]
fn g_single_is_half_of_what_another_wrote() {
    found(
        "c: r x [], r y [1]\n c: a x 1, a y 1",
        &[GSingle],
        Some(SnapshotIsolation),
    );
    found(
        "c: g x -, g y 1\n c: w x 1, w y 1",
        &[GSingle],
        Some(SnapshotIsolation),
    );
}

#[test]
fn g_single_rests_on_the_commit_order_of_registers_that_nobody_reads() {
    let text = "c@1: w x 1, w y 1
                c@2: w x 2, g y -";
    found(text, &[GSingle], Some(SnapshotIsolation));
}

#[test]
fn lost_update_is_two_that_read_a_version_and_replace_it() {
    let text = "c: r x [], a x 1
                c: r x [], a x 2
                c: r x [1 2]";
    found(text, &[LostUpdate], Some(SnapshotIsolation));
    found(
        "c@1: g x -, w x 1\n c@2: g x -, w x 2",
        &[LostUpdate],
        Some(SnapshotIsolation),
    );
}

#[test]
fn lost_update_needs_no_known_order() {
    found(
        "c: g x -, w x 1\n c: g x -, w x 2",
        &[LostUpdate],
        Some(SnapshotIsolation),
    );
    found(
        "c: r x [], a x 1\n c: r x [], a x 2",
        &[LostUpdate],
        Some(SnapshotIsolation),
    );
}

#[test]
fn lost_update_may_be_of_a_blind_write() {
    let text = "c: r x [], a x 2
                c: a x 1
                c: r x [1 2]";
    found(text, &[LostUpdate], Some(SnapshotIsolation));
}

#[test]
fn g_nonadjacent_is_a_long_fork() {
    let text = "c: a x 1
                c: a y 1
                c: r x [1], r y []
                c: r x [], r y [1]";
    found(text, &[GNonadjacent], Some(SnapshotIsolation));
}

#[test]
fn g2_is_write_skew() {
    found("c: r x [], a y 1\n c: r y [], a x 1", &[G2], Some(Serializable));
    found("c: g x -, w y 1\n c: g y -, w x 1", &[G2], Some(Serializable));
}

#[test]
fn g2_may_have_three_rw() {
    let text = "c: r x [], a y 1
                c: r y [], a z 1
                c: r z [], a x 1";
    found(text, &[G2], Some(Serializable));
}

/// Fekete, O'Neil, O'Neil: "A read-only transaction anomaly under snapshot isolation" (SIGMOD Record 2004).
#[test]
fn g2_may_need_a_transaction_that_only_reads() {
    let text = "c: g x -, g y -, w x 1
                c: g y -, w y 1
                c: g x -, g y 1";
    found(text, &[G2], Some(Serializable));
}

#[test]
fn internal_is_not_seeing_what_one_wrote_or_seeing_what_one_will_write() {
    for text in [
        "c: a x 1, r x []",
        "c: r x [1], a x 1",
        "c: w x 1, g x -",
        "c: g x 1, w x 1",
    ] {
        found(text, &[Internal], Some(ReadCommitted));
    }
    found("c: a x 1, r x [1 2]\n c: a x 2", &[Internal], Some(ReadCommitted));
}

#[test]
fn own_writes_are_not_changes_by_others() {
    found(
        "c: r x [], a x 1, r x [1], a x 2, r x [1 2]\n c: r x [1 2]",
        &[],
        None,
    );
    found("c: g x -, w x 1, g x 1, w x 2, g x 2\n c: g x 2", &[], None);
}

#[test]
fn non_repeatable_read_is_a_second_answer() {
    let kinds = [NonRepeatableRead, GSingle];
    found("c: r x [], r x [1]\n c: a x 1", &kinds, Some(SnapshotIsolation));
    found("c: g x -, g x 1\n c: w x 1", &kinds, Some(SnapshotIsolation));
}

#[test]
fn garbage_read_is_a_value_that_nobody_wrote() {
    found("c: r x [7]", &[GarbageRead], Some(ReadCommitted));
    found("c: g x 7", &[GarbageRead], Some(ReadCommitted));
}

#[test]
fn duplicate_append_is_a_value_twice() {
    found("c: a x 1\n c: r x [1 1]", &[DuplicateAppend], Some(ReadCommitted));
}

#[test]
fn incompatible_order_is_two_lists_under_one_key() {
    let text = "c: a x 1
                c: a x 2
                c: r x [1 2]
                c: r x [2]";
    found(text, &[IncompatibleOrder], Some(ReadCommitted));
}

#[test]
fn incompatible_order_is_not_the_order_in_which_a_transaction_appended() {
    found(
        "c: a x 1, a x 2\n c: r x [2 1]",
        &[IncompatibleOrder, G1b],
        Some(ReadCommitted),
    );
}

#[test]
fn incompatible_order_is_two_writes_each_of_which_followed_the_other() {
    found(
        "c: g x 2, w x 1\n c: g x 1, w x 2",
        &[IncompatibleOrder, G1c],
        Some(ReadCommitted),
    );
}

#[test]
fn commit_order_is_told_one_way_and_shown_the_other_way() {
    let text = "c@2: a x 1
                c@1: a x 2
                c: r x [1 2]";
    found(text, &[CommitOrder], Some(ReadCommitted));
    found("c@1: w x 1\n c@1: w x 2", &[CommitOrder], Some(ReadCommitted));
}

#[test]
fn lost_append_is_one_that_a_later_commit_should_have_found() {
    let text = "c@1: a x 1
                c@2: a x 2
                c: r x [2]";
    found(text, &[LostAppend], Some(ReadCommitted));
}

#[test]
fn lost_append_is_one_of_which_the_same_transaction_appended_more() {
    found("c: a x 1, a x 2\n c: r x [2]", &[LostAppend], Some(ReadCommitted));
}

#[test]
fn lost_append_is_one_that_a_later_read_should_have_found_if_time_counts() {
    let text = "c (p1 1..2): a x 1
                c (p2 3..4): r x []";
    let (kept, anomalies) = all(text, StrictSerializable, Options::default());
    assert_eq!((kept, anomalies[0].kind, anomalies.len()), (false, LostAppend, 1));
    assert!(check(&history(text), Serializable).unwrap().admitted.is_empty());
}

#[test]
fn a_read_of_the_past_breaks_only_what_speaks_of_time() {
    let text = "c (p1 1..2): a x 1
                c (p2 3..4): r x []
                c (p3 5..6): r x [1]";
    assert!(check(&history(text), Serializable).unwrap().admitted.is_empty());
    for (level, realtime) in [(StrictSerializable, false), (SnapshotIsolation, true)] {
        let (kept, anomalies) = all(
            text,
            level,
            Options {
                realtime,
                process: false,
            },
        );
        assert!(!kept);
        assert_eq!(
            (anomalies[0].kind, anomalies[0].scope, anomalies.len()),
            (GSingle, Scope::Realtime, 1)
        );
    }
}

#[test]
fn a_process_that_forgets_breaks_only_what_speaks_of_processes() {
    let text = "c (p1 1..2): a x 1
                c (p1 3..4): r x []
                c (p3 5..6): r x [1]";
    assert!(
        check(&history(text), SnapshotIsolation)
            .unwrap()
            .admitted
            .is_empty()
    );
    let (kept, anomalies) = all(
        text,
        SnapshotIsolation,
        Options {
            process: true,
            realtime: false,
        },
    );
    assert!(!kept);
    assert_eq!(
        (anomalies[0].kind, anomalies[0].scope, anomalies.len()),
        (GSingle, Scope::Process, 1)
    );
}

#[test]
fn time_orders_writes_of_registers_if_it_counts() {
    let text = "c (p1 1..2): w x 1
                c (p2 3..4): w x 2
                c (p3 5..6): g x 1";
    assert!(check(&history(text), Serializable).unwrap().admitted.is_empty());
    let (kept, anomalies) = all(text, StrictSerializable, Options::default());
    assert_eq!((kept, anomalies[0].kind, anomalies.len()), (false, GSingle, 1));
}

#[test]
fn unknown_counts_if_one_that_counts_saw_it() {
    found("u: a x 1\n c: r x []", &[], None);
    found("u: r x [7]", &[], None);
    found("u: a x 1, r y []\n u: a y 1, r x []", &[], None);
    // The second is seen by the third, and so the first, which the second saw.
    let text = "u: a x 1, a z 1
                u: r x [1], a y 1
                c: r y [1], r z []";
    found(text, &[GSingle], Some(SnapshotIsolation));
}

#[test]
fn unknown_may_take_effect_after_it_was_given_up() {
    let text = "u (p1 1..2): a x 1
                c (p1 3..4): r x []
                c (p1 5..6): r x [1]";
    found(text, &[], None);
}

#[test]
fn what_is_aborted_is_not_judged_by_what_it_read() {
    found("a: r x [7], r y [1 1]", &[], None);
}

#[test]
fn the_smallest_cycle_of_a_component_is_the_witness() {
    let text = "c: r x [], a y 1, r p [], a s 1
                c: r y [], a z 1
                c: r z [], a x 1
                c: r q [], a p 1
                c: r v [], a q 1
                c: r s [], a v 1";
    let report = check(&history(text), SnapshotIsolation).unwrap();
    let lengths: Vec<usize> = report
        .admitted
        .iter()
        .map(|anomaly| anomaly.cycle.len())
        .collect();
    assert_eq!(lengths, [3], "{report}");
}

#[test]
fn components_that_are_apart_are_told_apart() {
    let text = "c: r a [], a b 1
                c: r b [], a a 1
                c: r x [], a y 1
                c: r y [], a x 1";
    assert_eq!(check(&history(text), SnapshotIsolation).unwrap().count(G2), 2);
}
