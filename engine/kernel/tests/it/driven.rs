//! A store that random commits are made on, while its disk fails in ways that a test chooses.

use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::Kernel;
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::disk::simulated::Survival;
use rustydb_runtime::{Clock, ManualClock, SeededRng};

use crate::model::Model;
use crate::random::{apply, open, random_acts};

/// Spaces that random commits write to.
pub const SPACES: std::ops::Range<u64> = 0..3;

/// What a store went through, and what it must hold.
pub struct History {
    /// The model after each commit, from none on.
    pub models: Vec<Model>,
    /// The newest commit that was waited for.
    pub acknowledged: Ts,
}

impl History {
    pub fn new() -> History {
        History {
            models: vec![Model::default()],
            acknowledged: Ts(0),
        }
    }

    pub fn newest(&self) -> &Model {
        self.models.last().unwrap()
    }

    /// Whether the store shows the state after one of its commits, and none from before what it acknowledged.
    pub fn check(&self, kernel: &Kernel, context: &str) {
        let newest = kernel.newest();
        assert!(
            newest >= self.acknowledged,
            "{context}: {:?} was acknowledged, {newest:?} is there",
            self.acknowledged
        );
        let model = self.models.get(newest.0 as usize);
        let model = model.unwrap_or_else(|| panic!("{context}: {newest:?} was never made"));
        model.check(kernel, context);
    }

    /// The same of what a crash now, or a restart of the process alone, leaves.
    pub fn check_after_crashes(&self, disk: &SimDisk, clock: &Arc<ManualClock>, context: &str) {
        for survival in [
            Survival::Everything,
            Survival::Nothing,
            Survival::Prefix,
            Survival::Sectors512,
        ] {
            let context = format!("{context}, then a crash with {survival:?}");
            let image = disk.crash(survival);
            image.set_capacity(None);
            let kernel = open(&image, clock).unwrap_or_else(|error| panic!("{context}: {error}"));
            self.check(&kernel, &context);
        }
    }
}

/// An open store with its history.
pub struct Driven {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub rng: SeededRng,
    pub kernel: Kernel,
    pub history: History,
}

impl Driven {
    pub fn new(seed: u64) -> Driven {
        let disk = SimDisk::new(seed);
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let kernel = open(&disk, &clock).unwrap();
        Driven {
            disk,
            clock,
            rng: SeededRng::new(seed),
            kernel,
            history: History::new(),
        }
    }

    /// A store on which `commits` went well, and that was opened again since: no page is in memory.
    pub fn after(seed: u64, commits: u64) -> Driven {
        let mut driven = Driven::new(seed);
        for _ in 0..commits {
            driven.step().unwrap();
        }
        let Driven {
            disk,
            clock,
            rng,
            kernel,
            history,
        } = driven;
        drop(kernel);
        let kernel = open(&disk, &clock).unwrap();
        Driven {
            disk,
            clock,
            rng,
            kernel,
            history,
        }
    }

    /// Makes a random commit and waits for it, and does some upkeep or reading. After an error that leaves it open
    /// whether the commit was made the history has it, after others it has not.
    pub fn step(&mut self) -> Result<(), KernelError> {
        self.commit()?;
        let space = self.rng.below(SPACES.end);
        match self.rng.below(8) {
            0 => drop(self.kernel.checkpoint()?),
            1 => while self.kernel.step()? {},
            2 => self.kernel.tidy_space(space)?,
            3 => self.read(space)?,
            4 => {
                let trimmed_to = self.history.newest().trimmed_to;
                let found = self.kernel.log_after(trimmed_to, usize::MAX)?.unwrap();
                assert_eq!(found.len(), self.history.newest().log_after(trimmed_to).len());
            }
            _ => {}
        }
        Ok(())
    }

    /// A commit and upkeep, but no reading: on a disk that may give back what it should not.
    pub fn step_unread(&mut self) -> Result<(), KernelError> {
        self.commit()?;
        match self.rng.below(8) {
            0 => self.kernel.checkpoint().map(drop),
            1 => self.kernel.step().map(drop),
            _ => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<(), KernelError> {
        self.clock.advance_us(1 + self.rng.below(1000));
        let mut after = self.history.newest().clone();
        let acts = random_acts(&self.rng, after.newest);
        let changed = after.commit(&acts, self.clock.now_us()).is_some();
        let expected = after.newest;
        match apply(&self.kernel, &acts, self.clock.now_us()) {
            Ok(ticket) => {
                assert_eq!(ticket.ts, expected);
                if changed {
                    self.history.models.push(after);
                }
                self.kernel.wait(ticket)?;
                self.history.acknowledged = ticket.ts;
                Ok(())
            }
            Err(error) => {
                if self.kernel.check_writable().is_err() && changed {
                    self.history.models.push(after);
                }
                Err(error)
            }
        }
    }

    /// Reads a space both ways; what is read must be right.
    pub fn read(&self, space: u64) -> Result<(), KernelError> {
        let snapshot = self.kernel.snapshot();
        let expected = self.history.models[snapshot.ts().0 as usize].all(space, snapshot.ts());
        let up = snapshot.scan(space, &[], None, usize::MAX)?;
        let mut down = snapshot.scan_back(space, &[], None, usize::MAX)?;
        down.reverse();
        for found in [up, down] {
            let found: Vec<_> = found
                .into_iter()
                .map(|(key, version)| (key, version.ts, version.value))
                .collect();
            assert!(found == expected, "space {space} at {:?}", snapshot.ts());
        }
        Ok(())
    }

    /// Whether the store holds the newest state of its history, and is sound.
    pub fn check(&self, context: &str) {
        self.history.newest().check(&self.kernel, context);
    }
}
