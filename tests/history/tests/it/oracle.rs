//! Small random histories, of which most are of no level, against a search through all executions of them.
//!
//! A level is defined by what an abstract machine may do, and not by cycles. So a verdict is right if it is the same as
//! that of trying everything the machine could have done.

use crate::{for_each_seed, given_seed, is_proof};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rustydb_history::{History, Key, Level, Moment, Op, Process, Recorder, Transaction, Value, check};
use std::collections::BTreeMap;

type State = BTreeMap<Key, Vec<Value>>;

/// Transactions whose reads are answered with beginnings of the lists as a last transaction sees them, which makes the
/// order of all versions known. The lists are in any order whatever.
fn random_history(rng: &mut StdRng) -> (Vec<Transaction>, State) {
    let keys = rng.random_range(1..=3_u64);
    let count = rng.random_range(2..=4);
    let mut shapes = Vec::new();
    let mut lists: State = BTreeMap::new();
    for _ in 0..count {
        // An append has a value, a read none. A key is read before it is written, and once.
        let mut ops: Vec<(Key, Option<Value>)> = Vec::new();
        for _ in 0..rng.random_range(1..=4) {
            let key = Key(rng.random_range(0..keys));
            let list = lists.entry(key).or_default();
            let used = ops.iter().filter(|(of, _)| *of == key).count();
            if used == 0 && rng.random_bool(0.6) {
                ops.push((key, None));
            } else if used < 2 {
                let value = Value(list.len() as u64 + 1);
                list.push(value);
                ops.push((key, Some(value)));
            }
        }
        shapes.push(ops);
    }
    if rng.random_bool(0.5) {
        lists.values_mut().for_each(|list| list.shuffle(rng));
    }
    let recorder = Recorder::new();
    let mut recordings: Vec<_> = (0..count).map(|i| recorder.begin(Process(i))).collect();
    for (recording, ops) in recordings.iter_mut().zip(shapes) {
        for (key, value) in ops {
            match value {
                Some(value) => recording.append(key, value),
                None => {
                    let upto = rng.random_range(0..=lists[&key].len());
                    recording.read_list(key, lists[&key][..upto].to_vec());
                }
            }
        }
    }
    let mut last = recorder.begin(Process(count));
    lists
        .iter()
        .for_each(|(key, list)| last.read_list(*key, list.clone()));
    last.committed(None);
    recordings
        .into_iter()
        .for_each(|recording| recording.committed(None));
    let mut transactions = recorder.history().unwrap().transactions().to_vec();
    take_any_time(&mut transactions, rng);
    (transactions, lists)
}

/// Gives the transactions beginnings and ends at random, but for the last one, which comes after all others.
fn take_any_time(transactions: &mut [Transaction], rng: &mut StdRng) {
    let mut moments: Vec<u64> = (0..2 * transactions.len() as u64).collect();
    let others = moments.len() - 2;
    moments[..others].shuffle(rng);
    for (transaction, two) in transactions.iter_mut().zip(moments.chunks(2)) {
        (transaction.begin, transaction.end) = (Moment(two[0].min(two[1])), Moment(two[0].max(two[1])));
    }
}

/// What a transaction leaves of the state `at` its reads and writes, if its reads are answered as it says.
fn carry_out(transaction: &Transaction, at: &State) -> Option<State> {
    let mut state = at.clone();
    for op in &transaction.ops {
        match op {
            Op::Append { key, value } => state.entry(*key).or_default().push(*value),
            Op::ReadList { key, list } => {
                if state.get(key).map_or(&[][..], Vec::as_slice) != list {
                    return None;
                }
            }
            other => panic!("{other} is not of lists"),
        }
    }
    Some(state)
}

/// Whether the rest, one after the other in some order, leads from `state` to the end; if `strict`, in an order that
/// has what ended before what began later.
fn has_serial_order(rest: &[&Transaction], state: &State, end: &State, strict: bool) -> bool {
    if rest.is_empty() {
        return lists(state) == lists(end);
    }
    (0..rest.len()).any(|i| {
        let others = [&rest[..i], &rest[i + 1..]].concat();
        let may = !strict || others.iter().all(|other| other.end > rest[i].begin);
        may && carry_out(rest[i], state).is_some_and(|state| has_serial_order(&others, &state, end, strict))
    })
}

fn lists(state: &State) -> State {
    state
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(key, list)| (*key, list.clone()))
        .collect()
}

/// Whether beginnings and commits in some order lead to the end: each transaction reads the state at its beginning, and
/// what it writes has not been written since.
fn has_order_of_snapshots(
    idle: &[&Transaction],
    begun: &[(&Transaction, State)],
    state: &State,
    end: &State,
) -> bool {
    if idle.is_empty() && begun.is_empty() {
        return lists(state) == lists(end);
    }
    let begins = (0..idle.len()).any(|i| {
        let others = [&idle[..i], &idle[i + 1..]].concat();
        let begun = [begun, &[(idle[i], state.clone())]].concat();
        carry_out(idle[i], state).is_some() && has_order_of_snapshots(&others, &begun, state, end)
    });
    begins
        || (0..begun.len()).any(|i| {
            let (transaction, snapshot) = &begun[i];
            let written = || transaction.ops.iter().filter_map(Op::written);
            if written().any(|(key, _)| state.get(&key) != snapshot.get(&key)) {
                return false;
            }
            let mut state = state.clone();
            written().for_each(|(key, value)| state.entry(key).or_default().push(value));
            let others = [&begun[..i], &begun[i + 1..]].concat();
            has_order_of_snapshots(idle, &others, &state, end)
        })
}

#[test]
fn verdicts_are_those_of_trying_all_executions() {
    let mut verdicts: BTreeMap<(bool, bool, bool), usize> = BTreeMap::new();
    for_each_seed(0..10, |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..400 {
            let (transactions, end) = random_history(&mut rng);
            let history = History::new(transactions.clone()).unwrap();
            let writers: Vec<&Transaction> = transactions.iter().take(transactions.len() - 1).collect();
            let start = State::new();
            let snapshots = has_order_of_snapshots(&writers, &[], &start, &end);
            let serial = has_serial_order(&writers, &start, &end, false);
            let strict = has_serial_order(&writers, &start, &end, true);
            for (level, kept) in [
                (Level::SnapshotIsolation, snapshots),
                (Level::Serializable, serial),
                (Level::StrictSerializable, strict),
            ] {
                let verdict = check(&history, level);
                let shown: Vec<String> = transactions.iter().map(Transaction::to_string).collect();
                assert_eq!(
                    verdict.is_ok(),
                    kept,
                    "{level}:\n{}\n{verdict:?}",
                    shown.join("\n")
                );
                let report = verdict.as_ref().unwrap_or_else(|violation| &violation.report);
                report.admitted.iter().for_each(is_proof);
                verdict
                    .err()
                    .iter()
                    .flat_map(|violation| &violation.forbidden)
                    .for_each(is_proof);
            }
            *verdicts.entry((snapshots, serial, strict)).or_default() += 1;
        }
    });
    eprintln!("(snapshots, serializable, strict): {verdicts:?}");
    let seen = [
        (true, true, true),
        (true, true, false),
        (true, false, false),
        (false, false, false),
    ];
    let all = seen.iter().all(|verdict| verdicts.contains_key(verdict));
    assert!(all || given_seed().is_some(), "{verdicts:?}");
}
