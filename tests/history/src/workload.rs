//! Transactions for a database under test: plans, which whoever drives it carries out and records.

use crate::history::{Key, Value};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::RangeInclusive;

/// The shape of a workload. Small numbers of hot keys make conflicts; rotation keeps lists short.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keys in use at any time; at least 1.
    pub keys: usize,
    /// Exponent of the Zipf distribution of keys: 0.0 is uniform, at 1.0 the n-th key has an n-th of what the first
    /// has.
    pub skew: f64,
    /// Writes that a key is planned to get before another one takes its place; at least 1.
    pub writes_per_key: u64,
    /// Operations of a transaction.
    pub ops: RangeInclusive<usize>,
    /// The share of reads among operations, from 0.0 to 1.0.
    pub reads: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            keys: 8,
            skew: 0.8,
            writes_per_key: 24,
            ops: 1..=6,
            reads: 0.5,
        }
    }
}

/// What a transaction is to do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    Read {
        key: Key,
    },
    /// Append the value, or write it, as the workload is of lists or registers.
    Write {
        key: Key,
        value: Value,
    },
}

/// An endless sequence of plans. The same seed and options give the same plans.
pub struct Plans {
    rng: StdRng,
    options: Options,
    /// The key at each rank, and how many writes it was given.
    live: Vec<(Key, u64)>,
    keys_begun: u64,
    /// For each rank, the sum of its weight and those before it.
    weights: Vec<f64>,
}

/// Plans for any kind of key: appends to lists and reads of them, or writes and reads of registers. The values of a
/// key are 1, 2, 3 and so on in the order of plans; whether a plan is carried out does not matter.
///
/// # Panics
/// If `options` has no keys, no operations, no writes per key, or a share that is none.
pub fn list_append(seed: u64, options: Options) -> Plans {
    assert!(
        options.keys > 0 && options.writes_per_key > 0,
        "a workload needs keys, and writes to them"
    );
    assert!(
        *options.ops.start() > 0 && !options.ops.is_empty(),
        "a transaction needs operations"
    );
    assert!(
        (0.0..=1.0).contains(&options.reads),
        "{} is no share",
        options.reads
    );
    let weights = (1..=options.keys)
        .scan(0.0, |sum, rank| {
            *sum += (rank as f64).powf(-options.skew);
            Some(*sum)
        })
        .collect();
    let live: Vec<_> = (0..options.keys as u64).map(|key| (Key(key), 0)).collect();
    Plans {
        rng: StdRng::seed_from_u64(seed),
        keys_begun: live.len() as u64,
        options,
        live,
        weights,
    }
}

impl Plans {
    /// Plans that read every key of the plans so far. Run after all others, they make losses visible: without them
    /// the last appends of a key may be read by nobody.
    pub fn final_reads(&self) -> Vec<Plan> {
        let keys: Vec<Key> = (0..self.keys_begun).map(Key).collect();
        keys.chunks(*self.options.ops.end())
            .map(|keys| Plan {
                steps: keys.iter().map(|&key| Step::Read { key }).collect(),
            })
            .collect()
    }

    fn step(&mut self) -> Step {
        let sum = self.weights.last().copied().expect("a workload has keys");
        let drawn = self.rng.random_range(0.0..sum);
        let rank = self.weights.partition_point(|weight| *weight <= drawn);
        if self.rng.random_bool(self.options.reads) {
            return Step::Read {
                key: self.live[rank].0,
            };
        }
        let (key, writes) = &mut self.live[rank];
        *writes += 1;
        let step = Step::Write {
            key: *key,
            value: Value(*writes),
        };
        if *writes == self.options.writes_per_key {
            self.live[rank] = (Key(self.keys_begun), 0);
            self.keys_begun += 1;
        }
        step
    }
}

impl Iterator for Plans {
    type Item = Plan;

    fn next(&mut self) -> Option<Plan> {
        let ops = self.rng.random_range(self.options.ops.clone());
        Some(Plan {
            steps: (0..ops).map(|_| self.step()).collect(),
        })
    }
}
