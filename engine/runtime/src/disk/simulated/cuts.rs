//! Every moment of a disk's life.

use std::sync::Arc;

use super::durable::{Durable, Survival};
use super::tree::Operation;
use super::{SimDisk, mixed};

/// Iterates over the moments at which the power may fail. See [`SimDisk::cuts`].
#[derive(Debug)]
pub struct Cuts {
    pub(super) journal: Vec<Operation>,
    pub(super) durable: Arc<Durable>,
    /// Operations before the journal began.
    pub(super) before: u64,
    pub(super) next: usize,
    pub(super) seed: u64,
    pub(super) capacity_bytes: Option<u64>,
}

impl Iterator for Cuts {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let position = self.next;
        if position > self.journal.len() {
            return None;
        }
        self.next += 1;
        if position > 0 {
            // Copies nothing when the former cut was dropped.
            Arc::make_mut(&mut self.durable).issue(&self.journal[position - 1]);
        }
        Some(Cut {
            operations: self.before + position as u64,
            durable: Arc::clone(&self.durable),
            seed: self.seed,
            capacity_bytes: self.capacity_bytes,
        })
    }
}

/// A moment at which the power fails.
#[derive(Debug)]
pub struct Cut {
    operations: u64,
    durable: Arc<Durable>,
    seed: u64,
    capacity_bytes: Option<u64>,
}

impl Cut {
    /// Operations issued before it; compare with [`SimDisk::operations`] taken while the load ran.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Operations that may survive or not: with none, every survival gives the same disk.
    pub fn unsynced(&self) -> usize {
        self.durable.unsynced()
    }

    /// What the disk holds when it is switched on again.
    pub fn crash(&self, survival: Survival) -> SimDisk {
        self.crash_with(survival, mixed(self.seed, self.operations))
    }

    /// The same, with what is random drawn from `seed`: other seeds give other survivors.
    pub fn crash_with(&self, survival: Survival, seed: u64) -> SimDisk {
        let tree = self.durable.after_crash(survival, seed);
        SimDisk::holding(tree, seed, self.capacity_bytes)
    }
}
