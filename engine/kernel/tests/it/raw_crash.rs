//! The power fails at every operation of a load on raw tablespaces. What is found afterwards is the state after the last
//! operation that was acknowledged, or after the one that was under way.

use std::sync::Arc;

use rustydb_runtime::disk::simulated::{Cut, SimDisk, Survival};
use rustydb_runtime::{ManualClock, SeededRng};

use crate::crash::seeds;
use crate::model::Act;
use crate::random::{commit, open, seed_of};
use crate::raw_model::{RawModel, check_rules};

struct Load {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    /// The model after each operation, from none on, and how many operations the disk had seen then.
    models: Vec<(u64, RawModel)>,
    seed: u64,
}

impl Load {
    fn run(seed: u64, operations: u64) -> Load {
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        disk.record();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let kernel = open(&disk, &clock).unwrap();
        let mut model = RawModel::default();
        let mut models = vec![(0, model.clone())];
        for number in 0..operations {
            clock.advance_us(1 + rng.below(1000));
            model.step(&kernel, &rng).unwrap();
            models.push((disk.operations(), model.clone()));
            match rng.below(10) {
                0 => drop(kernel.checkpoint().unwrap()),
                1 => drop(kernel.step().unwrap()),
                2 => {
                    let acts = [Act::Write(1, number.to_be_bytes().to_vec(), Some(vec![7; 300]))];
                    commit(&kernel, &acts, 0).unwrap();
                }
                _ => {}
            }
        }
        Load {
            disk,
            clock,
            models,
            seed,
        }
    }

    /// Opens what the crash left: it is what one of the models from `from` to `to` says. Which.
    fn check(&self, disk: &SimDisk, from: usize, to: usize, context: &str) -> usize {
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = RawModel::of(&kernel).unwrap_or_else(|error| panic!("{context}: {error}"));
        let at = (from..=to).rev().find(|at| self.models[*at].1.is(&found));
        let at = at.unwrap_or_else(|| {
            self.models[from].1.check(&kernel, context);
            unreachable!("the model after {from} was none that fits");
        });
        check_rules(&kernel, context);
        at
    }

    fn check_cut(&self, cut: &Cut, survival: Survival) {
        let context = format!("RUSTYDB_SEED={} cut {} {survival:?}", self.seed, cut.operations());
        let acknowledged = self
            .models
            .iter()
            .rposition(|(seen, _)| *seen <= cut.operations());
        let acknowledged = acknowledged.unwrap();
        let under_way = (acknowledged + 1).min(self.models.len() - 1);
        let disk = cut.crash(survival);
        let found = self.check(&disk, acknowledged, under_way, &context);
        let again = format!("{context}, again");
        self.check(&disk.crash(Survival::Nothing), found, found, &again);
        let rng = SeededRng::new(self.seed ^ cut.operations());
        let operations = disk.operations();
        if operations > 0 {
            let disk = cut.crash(survival);
            let stop = rng.below(operations);
            disk.stop_at(stop);
            let _ = open(&disk, &self.clock);
            let image = disk.crash(Survival::ALL[rng.below(7) as usize]);
            let context = format!("{context}, recovery cut at {stop}");
            self.check(&image, found, found, &context);
            self.go_on(&image, found, &rng, &context);
        }
    }

    /// What was recovered is worked with.
    fn go_on(&self, disk: &SimDisk, found: usize, rng: &SeededRng, context: &str) {
        let context = format!("{context}, and it goes on");
        let mut model = self.models[found].1.clone();
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        for _ in 0..8 {
            let done = model.step(&kernel, rng);
            done.unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        model.check(&kernel, &context);
        drop(kernel);
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        model.check(&kernel, &context);
    }
}

#[test]
fn a_crash_among_raw_operations_keeps_each_wholly_or_not_at_all() {
    let seed = seed_of("a_crash_among_raw_operations", 201);
    for seed in seed..seed + seeds() {
        let load = Load::run(seed, 70);
        let mut images = 0;
        for cut in load.disk.cuts() {
            for survival in Survival::ALL {
                if survival == Survival::Nothing || cut.unsynced() > 0 {
                    load.check_cut(&cut, survival);
                    images += 1;
                }
            }
        }
        eprintln!(
            "seed {seed}: {} operations, {images} images",
            load.disk.operations()
        );
    }
}
