//! What may be given to the checker, and what makes it: histories, the recorder, the plans.

use rustydb_history::workload::{Options, Plan, Step, list_append};
use rustydb_history::{
    History, Key, Level, Malformed, Moment, Op, Outcome, Process, Recorder, Transaction, Value, check,
};
use std::collections::{HashMap, HashSet};

fn transaction(process: u32, begin: u64, end: u64, ops: Vec<Op>) -> Transaction {
    let (begin, end) = (Moment(begin), Moment(end));
    Transaction {
        process: Process(process),
        begin,
        end,
        outcome: Outcome::Committed(None),
        ops,
    }
}

#[test]
fn histories_that_prove_nothing_are_refused() {
    let (key, value) = (Key(1), Value(1));
    let refused = |transactions: Vec<Transaction>| History::new(transactions).unwrap_err();
    assert_eq!(
        refused(vec![transaction(1, 2, 2, vec![])]),
        Malformed::EndsBeforeItBegins {
            process: Process(1),
            begin: Moment(2),
            end: Moment(2)
        }
    );
    assert_eq!(
        refused(vec![transaction(1, 1, 3, vec![]), transaction(2, 3, 4, vec![])]),
        Malformed::SharedMoment(Moment(3))
    );
    assert_eq!(
        refused(vec![transaction(1, 1, 3, vec![]), transaction(1, 2, 4, vec![])]),
        Malformed::TwoAtOnce {
            process: Process(1),
            begin: Moment(2)
        }
    );
    let append = Op::Append { key, value };
    assert_eq!(
        refused(vec![transaction(1, 1, 2, vec![append.clone(), append.clone()])]),
        Malformed::ValueTwice { key, value }
    );
    let read = Op::ReadRegister { key, value: None };
    assert_eq!(
        refused(vec![transaction(1, 1, 2, vec![append, read])]),
        Malformed::ListAndRegister(key)
    );
}

#[test]
fn an_empty_history_breaks_nothing() {
    let report = check(&History::new(vec![]).unwrap(), Level::StrictSerializable).unwrap();
    assert_eq!(
        (report.effective, report.edges.rw, report.admitted.len()),
        (0, 0, 0)
    );
}

#[test]
fn the_recorder_orders_what_threads_do() {
    let recorder = Recorder::new();
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let recorder = recorder.clone();
            scope.spawn(move || {
                for i in 0..50 {
                    let mut recording = recorder.begin(Process(thread));
                    recording.append(Key(u64::from(thread)), Value(i));
                    recording.committed(None);
                }
            });
        }
    });
    let history = recorder.history().unwrap();
    let moments: HashSet<Moment> = history
        .transactions()
        .iter()
        .flat_map(|t| [t.begin, t.end])
        .collect();
    assert_eq!((history.transactions().len(), moments.len()), (400, 800));
    for process in 0..8 {
        let of = history
            .transactions()
            .iter()
            .filter(|t| t.process == Process(process));
        let values: Vec<u64> = of
            .flat_map(|t| &t.ops)
            .filter_map(Op::written)
            .map(|(_, v)| v.0)
            .collect();
        assert_eq!(values, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_left_open_or_dropped_is_of_unknown_outcome() {
    let recorder = Recorder::new();
    let mut open = recorder.begin(Process(1));
    open.append(Key(1), Value(1));
    drop(recorder.begin(Process(2)));
    let history = recorder.history().unwrap();
    assert!(
        history
            .transactions()
            .iter()
            .all(|t| t.outcome == Outcome::Unknown)
    );
    open.aborted();
    let history = recorder.history().unwrap();
    assert_eq!(history.transactions()[0].outcome, Outcome::Aborted);
}

fn writes(plans: &[Plan]) -> Vec<(Key, Value)> {
    let steps = plans.iter().flat_map(|plan| &plan.steps);
    let written = |step: &Step| match *step {
        Step::Write { key, value } => Some((key, value)),
        Step::Read { .. } => None,
    };
    steps.filter_map(written).collect()
}

#[test]
fn plans_keep_to_their_options_and_their_seed() {
    let options = Options {
        keys: 3,
        writes_per_key: 10,
        ops: 1..=4,
        ..Options::default()
    };
    let mut generator = list_append(9, options.clone());
    let plans: Vec<Plan> = generator.by_ref().take(1_000).collect();
    assert_eq!(
        plans,
        list_append(9, options.clone()).take(1_000).collect::<Vec<_>>()
    );
    assert_ne!(plans, list_append(10, options).take(1_000).collect::<Vec<_>>());
    assert!(plans.iter().all(|plan| (1..=4).contains(&plan.steps.len())));

    let writes = writes(&plans);
    assert_eq!(writes.iter().collect::<HashSet<_>>().len(), writes.len());
    let mut of_key: HashMap<Key, usize> = HashMap::new();
    writes
        .iter()
        .for_each(|(key, _)| *of_key.entry(*key).or_default() += 1);
    assert!(of_key.values().all(|&count| count <= 10));
    assert!(
        of_key.values().filter(|&&count| count < 10).count() <= 3,
        "rotated before it was full"
    );

    let read: HashSet<Step> = generator
        .final_reads()
        .into_iter()
        .flat_map(|plan| plan.steps)
        .collect();
    assert!(of_key.keys().all(|&key| read.contains(&Step::Read { key })));
}

#[test]
fn skew_makes_the_first_key_the_hottest() {
    let options = Options {
        keys: 8,
        skew: 1.0,
        writes_per_key: u64::MAX,
        ..Options::default()
    };
    let plans: Vec<Plan> = list_append(3, options).take(2_000).collect();
    let mut of_key = [0; 8];
    writes(&plans)
        .iter()
        .for_each(|(key, _)| of_key[key.0 as usize] += 1);
    assert!(
        of_key[0] > of_key[1] && of_key[1] > of_key[3] && of_key[3] > of_key[7],
        "{of_key:?}"
    );
}
