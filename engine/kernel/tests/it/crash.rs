//! The power fails at every operation of a load; what is found afterwards is a state that the store was in, and not one
//! from before what it acknowledged.

use std::sync::Arc;

use rustydb_kernel::ids::{TablespaceId, Ts};
use rustydb_runtime::disk::simulated::{Cut, Fault, SimDisk, Survival};
use rustydb_runtime::{Clock, ManualClock, SeededRng};

use crate::model::{Act, Model};
use crate::random::{apply, commit, open, random_acts, seed_of};

/// A load that ran on a disk that kept every operation.
struct Load {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    /// The model after each commit, from none on.
    models: Vec<Model>,
    /// Operations of the disk when a commit was acknowledged, and the commit.
    acknowledged: Vec<(u64, Ts)>,
    seed: u64,
}

impl Load {
    /// Up to `batch_max` commits are made before one is waited for, which is for all of them.
    fn run(seed: u64, commits: u64, batch_max: u64) -> Load {
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        disk.record();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let mut model = Model::default();
        let mut load = Load {
            disk,
            clock,
            models: vec![model.clone()],
            acknowledged: Vec::new(),
            seed,
        };
        let kernel = open(&load.disk, &load.clock).unwrap();
        let mut batch_left = 0;
        for _ in 0..commits {
            load.clock.advance_us(1 + rng.below(1000));
            let acts: Vec<Act> = random_acts(&rng, model.newest);
            if model.commit(&acts, load.clock.now_us()).is_some() {
                load.models.push(model.clone());
            }
            let ticket = apply(&kernel, &acts, load.clock.now_us()).unwrap();
            assert_eq!(ticket.ts, model.newest);
            if batch_left > 0 {
                batch_left -= 1;
                continue;
            }
            batch_left = rng.below(batch_max);
            kernel.wait(ticket).unwrap();
            load.acknowledged.push((load.disk.operations(), ticket.ts));
            match rng.below(12) {
                0 => drop(kernel.checkpoint().unwrap()),
                1 => while kernel.step().unwrap() {},
                2 => kernel.tidy_space(rng.below(3)).unwrap(),
                _ => {}
            }
        }
        load
    }

    /// Opens what the crash left and compares it with the model of the commit that it shows.
    fn check(&self, disk: &SimDisk, acknowledged: Ts, context: &str) -> Ts {
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let newest = kernel.newest();
        assert!(
            newest >= acknowledged,
            "{context}: {acknowledged:?} was acknowledged, {newest:?} is there"
        );
        let model = self.models.get(newest.0 as usize);
        let model = model.unwrap_or_else(|| panic!("{context}: {newest:?} was never made"));
        model.check(&kernel, context);
        newest
    }

    fn check_cut(&self, cut: &Cut, survival: Survival) {
        let context = format!("RUSTYDB_SEED={} cut {} {survival:?}", self.seed, cut.operations());
        let acknowledged = self
            .acknowledged
            .iter()
            .rev()
            .find(|(operations, _)| *operations <= cut.operations());
        let acknowledged = acknowledged.map_or(Ts(0), |acknowledged| acknowledged.1);
        let disk = cut.crash(survival);
        let found = self.check(&disk, acknowledged, &context);
        // A second time, and after a crash in the middle of the recovery: the same.
        let again = self.check(
            &disk.crash(Survival::Nothing),
            found,
            &format!("{context}, again"),
        );
        assert_eq!(again, found, "{context}, again");
        let rng = SeededRng::new(self.seed ^ cut.operations());
        let operations = disk.operations();
        if operations > 0 {
            let disk = cut.crash(survival);
            let stop = rng.below(operations);
            disk.stop_at(stop);
            let _ = open(&disk, &self.clock);
            let image = disk.crash(Survival::ALL[rng.below(7) as usize]);
            let context = format!("{context}, recovery cut at {stop}");
            let found_then = self.check(&image, found, &context);
            assert_eq!(found_then, found, "{context}");
            self.go_on(&image, found, rng.below(40), &context);
        }
    }

    /// What was recovered is worked with: the next commit needs `more` pages than are free in the files.
    fn go_on(&self, disk: &SimDisk, found: Ts, more: u64, context: &str) {
        let mut model = self.models[found.0 as usize].clone();
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let pages = u64::from(kernel.files().pages(TablespaceId::MAIN).unwrap());
        let pages = (pages - kernel.check().unwrap().pages_in_use + more) as usize;
        let context = format!("{context}, and it goes on with {pages} pages");
        let value = vec![found.0 as u8; pages * 8192];
        let acts = [Act::Write(1, b"long".to_vec(), Some(value))];
        model.commit(&acts, self.clock.now_us()).unwrap();
        commit(&kernel, &acts, self.clock.now_us()).unwrap_or_else(|error| panic!("{context}: {error}"));
        kernel
            .checkpoint()
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        drop(kernel);
        let kernel = open(disk, &self.clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        model.check(&kernel, &context);
    }
}

fn cut_everywhere(seed: u64, commits: u64, batch_max: u64) {
    let load = Load::run(seed, commits, batch_max);
    let mut images = 0;
    for cut in load.disk.cuts() {
        for survival in Survival::ALL {
            if survival != Survival::Nothing && cut.unsynced() == 0 {
                continue;
            }
            load.check_cut(&cut, survival);
            images += 1;
        }
    }
    eprintln!(
        "seed {seed}: {} commits, {} operations, {images} images",
        load.models.len() - 1,
        load.disk.operations()
    );
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged_and_keeps_no_half() {
    let seed = seed_of("a_crash_at_any_operation", 1);
    for seed in seed..seed + seeds() {
        cut_everywhere(seed, 60, 1);
    }
}

/// Several committers at a time: none waits for the one before, and one sync makes all of them durable.
#[test]
fn a_crash_among_commits_that_share_a_sync_keeps_a_beginning_of_them() {
    let seed = seed_of("a_crash_among_commits_that_share_a_sync", 101);
    for seed in seed..seed + seeds() {
        cut_everywhere(seed, 60, 6);
    }
}

/// The process ended and not the machine: the recovery reads what no sync made durable, in more pages than it has in memory at a
/// time. The power fails in its midst: of what is lost of the log, no page may tell.
#[test]
fn a_power_failure_in_the_recovery_of_what_was_never_synced_leaves_all_of_it_or_nothing() {
    let seed = seed_of("a_power_failure_in_the_recovery", 201);
    for seed in seed..seed + seeds() {
        let mut stop = 0;
        while recovery_of_unsynced_cut(seed, stop) {
            stop += 1;
        }
        eprintln!("seed {seed}: {stop} operations of the recovery");
    }
}

/// Whether the recovery got as far as that operation.
fn recovery_of_unsynced_cut(seed: u64, stop: u64) -> bool {
    let rows = |value: u8| -> Vec<Act> {
        let row = |key: u64| Act::Write(1, key.to_be_bytes().to_vec(), Some(vec![value; 400]));
        (0..300).map(row).collect()
    };
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let disk = SimDisk::new(seed);
    let mut models = vec![Model::default()];
    let kernel = open(&disk, &clock).unwrap();
    for value in 1..=2 {
        let mut model = models[models.len() - 1].clone();
        model.commit(&rows(value), clock.now_us()).unwrap();
        models.push(model);
        let ticket = apply(&kernel, &rows(value), clock.now_us()).unwrap();
        if value == 1 {
            kernel.wait(ticket).unwrap();
            kernel.checkpoint().unwrap();
        } else {
            disk.inject(Fault::fail_sync(0).forever());
            kernel.wait(ticket).unwrap_err();
        }
    }
    drop(kernel);
    disk.clear_faults();
    disk.stop_at(disk.operations() + stop);
    drop(open(&disk, &clock));
    for survival in Survival::ALL {
        let context = format!("RUSTYDB_SEED={seed} recovery cut at {stop} {survival:?}");
        let kernel = open(&disk.crash(survival), &clock).unwrap_or_else(|error| panic!("{context}: {error}"));
        let newest = kernel.newest();
        assert!(newest >= Ts(1), "{context}: {newest:?}");
        models[newest.0 as usize].check(&kernel, &context);
        assert!(kernel.check().unwrap().findings.is_empty(), "{context}");
    }
    disk.is_off()
}

/// How many loads: `RUSTYDB_CRASH_SEEDS`, or few.
pub fn seeds() -> u64 {
    let given = std::env::var("RUSTYDB_CRASH_SEEDS");
    given.ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}
