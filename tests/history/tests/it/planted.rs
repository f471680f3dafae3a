//! Correct histories, each spoilt in one place. The checker must find it, under the right name.

use crate::executors::{Run, serial};
use crate::for_each_seed;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustydb_history::workload::{Options as Shape, Plan, list_append};
use rustydb_history::{History, Key, Kind, Level, Op, Outcome, Position, Transaction, Value, check};
use std::collections::{BTreeMap, HashSet};

/// Spoils a serial history for each seed, and expects `kind` at `level`. Not every history has a place for every
/// defect (`spoil` answers whether it found one), but half of them must.
fn planted(level: Level, kind: Kind, positions: bool, spoil: impl Fn(&mut Spoilt) -> Option<()>) {
    let (mut spoilt, mut seeds) = (0, 0);
    for_each_seed(0..12, |seed| {
        let mut plans = list_append(
            seed,
            Shape {
                keys: 4,
                ..Shape::default()
            },
        );
        let mut all: Vec<Plan> = plans.by_ref().take(200).collect();
        all.extend(plans.final_reads());
        let history = serial(
            Run {
                seed,
                registers: false,
                positions,
                processes: 6,
            },
            all,
        );
        let mut history = Spoilt {
            transactions: history.transactions().to_vec(),
            rng: StdRng::seed_from_u64(seed),
        };
        seeds += 1;
        if spoil(&mut history).is_some() {
            spoilt += 1;
            let history = History::new(history.transactions).unwrap();
            let violation = check(&history, level).expect_err("a defect was planted");
            assert!(violation.has(kind), "{kind} was planted: {violation}");
        }
    });
    assert!(
        spoilt * 2 >= seeds || seeds == 1,
        "{spoilt} of {seeds} histories have a place for it"
    );
}

struct Spoilt {
    transactions: Vec<Transaction>,
    rng: StdRng,
}

/// A read of a list: transaction, operation, key and answer.
type Place = (usize, usize, Key, Vec<Value>);

impl Spoilt {
    fn committed(&self) -> impl Iterator<Item = (usize, &Transaction)> {
        let committed = |t: &Transaction| matches!(t.outcome, Outcome::Committed(_));
        self.transactions
            .iter()
            .enumerate()
            .filter(move |(_, t)| committed(t))
    }

    /// The reads of committed transactions that do not write the key themselves.
    fn reads(&self) -> Vec<Place> {
        let of = |(i, t): (usize, &Transaction)| -> Vec<Place> {
            let place = |(at, op): (usize, &Op)| match op {
                Op::ReadList { key, list } => Some((i, at, *key, list.clone())),
                _ => None,
            };
            let writes = |key| {
                t.ops
                    .iter()
                    .any(|op| op.written().is_some_and(|write| write.0 == key))
            };
            t.ops
                .iter()
                .enumerate()
                .filter_map(place)
                .filter(|place| !writes(place.2))
                .collect()
        };
        self.committed().flat_map(of).collect()
    }

    fn one_read(&mut self, fits: impl Fn(&Spoilt, &Place) -> bool) -> Option<Place> {
        let reads: Vec<Place> = self
            .reads()
            .into_iter()
            .filter(|place| fits(self, place))
            .collect();
        reads.choose(&mut self.rng).cloned()
    }

    fn answer(&mut self, (i, at, key, _): &Place, list: Vec<Value>) -> Option<()> {
        self.transactions[*i].ops[*at] = Op::ReadList { key: *key, list };
        Some(())
    }

    fn longest(&self, key: Key) -> Vec<Value> {
        let reads = self
            .reads()
            .into_iter()
            .filter(|place| place.2 == key)
            .map(|place| place.3);
        reads.max_by_key(Vec::len).unwrap_or_default()
    }

    fn writer(&self, key: Key, value: Value) -> usize {
        let wrote = |t: &Transaction| t.ops.iter().any(|op| op.written() == Some((key, value)));
        self.transactions.iter().position(wrote).unwrap()
    }

    fn values_of(&self, i: usize, key: Key) -> Vec<Value> {
        let written = self.transactions[i].ops.iter().filter_map(Op::written);
        written
            .filter(|write| write.0 == key)
            .map(|write| write.1)
            .collect()
    }

    fn reads_key(&self, i: usize, key: Key) -> bool {
        self.transactions[i]
            .ops
            .iter()
            .any(|op| op.key() == key && op.written().is_none())
    }

    /// Changes all answers for a key.
    fn rewrite(&mut self, of: Key, change: impl Fn(&mut Vec<Value>)) {
        for op in self.transactions.iter_mut().flat_map(|t| &mut t.ops) {
            if let Op::ReadList { key, list } = op
                && *key == of
            {
                change(list);
            }
        }
    }

    fn drop_append(&mut self) -> Option<()> {
        // Neither the first nor the last, of a transaction that did not look at it.
        let (_, _, key, list) = self.one_read(|this, (_, _, key, list)| {
            list.len() > 8 && {
                let writer = this.writer(*key, list[2]);
                this.values_of(writer, *key).len() == 1
                    && !this.reads_key(writer, *key)
                    && this.transactions[writer].effective().is_some()
                    && list[3..]
                        .iter()
                        .any(|&later| this.overtakes(writer, this.writer(*key, later)))
            }
        })?;
        self.rewrite(key, |answer| answer.retain(|value| *value != list[2]));
        Some(())
    }

    fn overtakes(&self, writer: usize, later: usize) -> bool {
        let (writer, later) = (&self.transactions[writer], &self.transactions[later]);
        later.begin > writer.end && writer.position().is_some() == later.position().is_some()
    }
}

#[test]
fn two_appends_swapped_in_one_read() {
    planted(Level::ReadCommitted, Kind::IncompatibleOrder, false, |history| {
        let place = history.one_read(|this, (_, _, key, list)| {
            list.len() > 1
                && this
                    .reads()
                    .iter()
                    .any(|other| other.2 == *key && other.3.len() > list.len())
        })?;
        let mut list = place.3.clone();
        let last = list.len() - 1;
        list.swap(last - 1, last);
        history.answer(&place, list)
    });
}

#[test]
fn a_list_that_forks() {
    planted(Level::ReadCommitted, Kind::IncompatibleOrder, false, |history| {
        let place = history.one_read(|_, place| place.3.len() > 2)?;
        let (at, mut list) = (history.rng.random_range(0..place.3.len() - 1), place.3.clone());
        list.remove(at);
        let longer = history
            .reads()
            .iter()
            .any(|other| other.2 == place.2 && other.3.len() > list.len());
        longer.then(|| history.answer(&place, list))?
    });
}

#[test]
fn an_append_that_vanishes_between_two_positions() {
    planted(Level::ReadCommitted, Kind::LostAppend, true, Spoilt::drop_append);
}

#[test]
fn an_append_that_vanishes_before_one_that_began_later() {
    planted(
        Level::StrictSerializable,
        Kind::LostAppend,
        false,
        Spoilt::drop_append,
    );
}

#[test]
fn the_last_append_vanishes_before_the_final_reads() {
    planted(Level::StrictSerializable, Kind::LostAppend, false, |history| {
        let place = history.one_read(|this, (i, _, key, list)| {
            list.last().is_some_and(|&last| {
                let writer = this.writer(*key, last);
                *list == this.longest(*key)
                    && this.transactions[writer]
                        .effective()
                        .is_some_and(|end| end < this.transactions[*i].begin)
                    && this.values_of(writer, *key).len() == 1
                    && !this.reads_key(writer, *key)
            })
        })?;
        let last = *place.3.last()?;
        history.rewrite(place.2, |answer| answer.retain(|value| *value != last));
        Some(())
    });
}

#[test]
fn an_append_that_is_there_twice() {
    planted(Level::ReadCommitted, Kind::DuplicateAppend, false, |history| {
        let place = history.one_read(|_, place| !place.3.is_empty())?;
        let list = [place.3.clone(), vec![place.3[0]]].concat();
        history.answer(&place, list)
    });
}

#[test]
fn a_value_from_nowhere() {
    planted(Level::ReadCommitted, Kind::GarbageRead, false, |history| {
        let place = history.one_read(|_, _| true)?;
        let list = [place.3.clone(), vec![Value(1_000_000)]].concat();
        history.answer(&place, list)
    });
}

#[test]
fn an_aborted_append_that_is_read() {
    planted(Level::ReadCommitted, Kind::G1a, false, |history| {
        let aborted = history
            .transactions
            .iter()
            .filter(|t| t.outcome == Outcome::Aborted);
        let writes: Vec<_> = aborted
            .flat_map(|t| t.ops.iter().filter_map(Op::written))
            .collect();
        let &(key, value) = writes.choose(&mut history.rng)?;
        let place = history.one_read(|_, place| place.2 == key)?;
        let list = [place.3.clone(), vec![value]].concat();
        history.answer(&place, list)
    });
}

#[test]
fn a_transaction_of_which_half_is_read() {
    planted(Level::ReadCommitted, Kind::G1b, false, |history| {
        let place = history.one_read(|this, (_, _, key, list)| {
            list.last().is_some_and(|&last| {
                let writer = this.writer(*key, last);
                // A committed writer, so that it still counts when it is not read.
                this.values_of(writer, *key).len() > 1 && this.transactions[writer].effective().is_some()
            })
        })?;
        let list = place.3[..place.3.len() - 1].to_vec();
        history.answer(&place, list)
    });
}

#[test]
fn a_transaction_that_does_not_see_its_own_append() {
    planted(Level::ReadCommitted, Kind::Internal, false, |history| {
        let mut places = Vec::new();
        for (i, t) in history.committed() {
            for (at, op) in t.ops.iter().enumerate() {
                if let Op::ReadList { key, list } = op
                    && t.ops[..at]
                        .iter()
                        .any(|op| op.written().is_some_and(|write| write.0 == *key))
                {
                    places.push((i, at, *key, list.clone()));
                }
            }
        }
        let place = places.choose(&mut history.rng).cloned()?;
        let list = place.3[..place.3.len() - 1].to_vec();
        history.answer(&place, list)
    });
}

#[test]
fn a_key_whose_order_is_reversed_for_two_transactions() {
    planted(Level::ReadCommitted, Kind::G0, false, |history| {
        // Neighbours in one list that both were read in another one; each with one append to the first, unread by it.
        let keys: HashSet<Key> = history.reads().iter().map(|place| place.2).collect();
        let longest: BTreeMap<Key, Vec<Value>> =
            keys.into_iter().map(|key| (key, history.longest(key))).collect();
        let read = |(key, value): &(Key, Value)| longest.get(key).is_some_and(|list| list.contains(value));
        let mut places = Vec::new();
        for (&key, list) in &longest {
            for two in list.windows(2) {
                let writers = [history.writer(key, two[0]), history.writer(key, two[1])];
                let [of_one, of_other] = writers.map(|i| -> HashSet<Key> {
                    let written = history.transactions[i].ops.iter().filter_map(Op::written);
                    written
                        .filter(read)
                        .map(|write| write.0)
                        .filter(|also| *also != key)
                        .collect()
                });
                let single = writers.iter().all(|&i| history.values_of(i, key).len() == 1);
                let looks = writers.iter().any(|&i| history.reads_key(i, key));
                if writers[0] != writers[1] && !of_one.is_disjoint(&of_other) && single && !looks {
                    places.push((key, two[0], two[1]));
                }
            }
        }
        let &(key, one, other) = places.choose(&mut history.rng)?;
        history.rewrite(key, |answer| {
            let at = |wanted| answer.iter().position(|value| *value == wanted);
            match (at(one), at(other)) {
                (Some(a), Some(b)) => answer.swap(a, b),
                (Some(a), None) => answer[a] = other,
                _ => {}
            }
        });
        Some(())
    });
}

#[test]
fn a_read_of_the_past() {
    planted(Level::StrictSerializable, Kind::GSingle, false, |history| {
        let place = history.one_read(|this, (i, _, key, list)| {
            list.last().is_some_and(|&last| {
                let writer = this.writer(*key, last);
                let ended = this.transactions[writer].effective();
                ended.is_some_and(|end| end < this.transactions[*i].begin)
                    && this.values_of(writer, *key).len() == 1
                    && this
                        .reads()
                        .iter()
                        .filter(|other| other.3.contains(&last) && other.2 == *key)
                        .count()
                        > 1
            })
        })?;
        let list = place.3[..place.3.len() - 1].to_vec();
        history.answer(&place, list)
    });
}

#[test]
fn two_commit_positions_swapped() {
    planted(Level::ReadCommitted, Kind::CommitOrder, true, |history| {
        let place = history.one_read(|this, (_, _, key, list)| {
            let positions: Vec<Option<Position>> = list
                .iter()
                .map(|&value| this.transactions[this.writer(*key, value)].position())
                .collect();
            list.len() > 1 && positions.iter().all(Option::is_some) && positions[0] != positions[1]
        })?;
        let (one, other) = (
            history.writer(place.2, place.3[0]),
            history.writer(place.2, place.3[1]),
        );
        let (first, second) = (
            history.transactions[one].outcome,
            history.transactions[other].outcome,
        );
        (
            history.transactions[one].outcome,
            history.transactions[other].outcome,
        ) = (second, first);
        Some(())
    });
}
