//! A disk in memory whose power can fail at every operation.
//!
//! A [`SimDisk`] keeps two views: the live one, which reads see, and what has reached the medium. A write goes to the
//! live view and onto a list of its file; a sync of the file moves the list to the medium. Names do the same, per
//! folder. When the power fails, an adversary ([`Survival`]) chooses what of the lists survives:
//!
//! ```text
//! operation   0 make a   1 write a   2 sync folder   3 sync a   4 write a   5 rename a to b
//! crash now       medium: "a" with the first write       either or not: the second write, the new name
//! ```
//!
//! There are two ways to try every moment of a load.
//!
//! - [`SimDisk::record`], run the load once, then walk through [`SimDisk::cuts`]. A load can't see a cut coming, so
//!   that is the same as killing it once per operation, at the price of one run. What a load acknowledged is kept
//!   with [`SimDisk::operations`] at that time, and compared with [`Cut::operations`].
//! - [`SimDisk::stop_at`] lets the power fail while the load runs; then [`SimDisk::crash`]. For loads whose behaviour
//!   after a failure matters.
//!
//! Apart from power, requests fail or are got wrong by [`Fault`]s, bits rot by [`SimDisk::flip_bit`], room ends at
//! [`SimDisk::set_capacity`], and reads wait at a [`ReadGate`].
//!
//! Same seed and same order of calls give the same bytes. What it does not model: time, and disks that report a sync
//! that did not happen. Stricter than usual file systems: making a file durable does not make its name durable, and
//! a rename between folders is two changes of names, so that a crash may leave both, or none when only the old
//! folder was synced.
//!
//! One mutex guards the disk; no call blocks on another, but at a gate.

mod cuts;
mod durable;
mod faults;
mod gate;
mod handle;
mod image;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::cuts::{Cut, Cuts};
pub use self::durable::Survival;
pub use self::faults::{Fault, FaultOn};
pub use self::gate::ReadGate;

use self::durable::Durable;
use self::faults::Outcome;
use self::tree::{Node, NodeId, Operation, Tree};
use crate::SeededRng;

/// The disk. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    rng: SeededRng,
    live: Tree,
    durable: Durable,
    operations: u64,
    reads: u64,
    journal: Option<Journal>,
    stop_at: Option<u64>,
    is_off: bool,
    faults: Vec<Fault>,
    gate: Option<ReadGate>,
    capacity_bytes: Option<u64>,
    /// Open handles of each file; content of a file without a name lives until they are closed.
    handles: BTreeMap<NodeId, u64>,
    /// Handle that holds the lock of a file.
    locks: BTreeMap<NodeId, u64>,
    syncs: BTreeMap<NodeId, Syncs>,
    next_node: NodeId,
    next_handle: u64,
}

#[derive(Debug, Clone)]
struct Journal {
    /// The medium when the journal began.
    base: Durable,
    before: u64,
    operations: Vec<Operation>,
}

/// Syncs of one file or folder that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Syncs {
    pub count: u64,
    /// [`SimDisk::operations`] after the last of them; 0 before the first.
    pub last: u64,
}

impl SimDisk {
    /// An empty disk without an end.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::holding(Tree::new(), seed, None)
    }

    fn holding(tree: Tree, seed: u64, capacity_bytes: Option<u64>) -> SimDisk {
        let last_node = tree.files.keys().chain(tree.folders.keys()).max();
        let state = State {
            seed,
            rng: SeededRng::new(seed),
            next_node: last_node.map_or(1, |last| last + 1),
            durable: Durable::new(tree.clone()),
            live: tree,
            operations: 0,
            reads: 0,
            journal: None,
            stop_at: None,
            is_off: false,
            faults: Vec::new(),
            gate: None,
            capacity_bytes,
            handles: BTreeMap::new(),
            locks: BTreeMap::new(),
            syncs: BTreeMap::new(),
            next_handle: 0,
        };
        SimDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Operations issued so far: files and folders made, renamed or removed (between folders: two), writes, changes
    /// of length, reservations and syncs. A vectored write is one. Refused calls don't count.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Reads so far; a vectored read is one.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// What the disk would hold if the power failed now. This disk goes on. The other one has the same capacity, and
    /// none of the faults.
    pub fn crash(&self, survival: Survival) -> SimDisk {
        let state = self.state.lock();
        let seed = mixed(state.seed, state.operations);
        state.crash_with(survival, seed)
    }

    /// The same, with what is random drawn from `seed`: other seeds give other survivors.
    pub fn crash_with(&self, survival: Survival, seed: u64) -> SimDisk {
        self.state.lock().crash_with(survival, seed)
    }

    /// The power fails when so many operations have been issued and another one is asked for: it and every call after
    /// it fail, reads too, and change nothing.
    pub fn stop_at(&self, operations: u64) {
        self.state.lock().stop_at = Some(operations);
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.state.lock().is_off
    }

    /// Keeps all operations from now on, for [`SimDisk::cuts`]. Forgets what was kept before.
    pub fn record(&self) {
        let mut state = self.state.lock();
        state.journal = Some(Journal {
            base: state.durable.clone(),
            before: state.operations,
            operations: Vec::new(),
        });
    }

    /// Every moment from [`SimDisk::record`] to now. Copies what was recorded: the disk may be used meanwhile.
    ///
    /// # Panics
    /// When nothing was recorded.
    pub fn cuts(&self) -> Cuts {
        let state = self.state.lock();
        let journal = state.journal.clone().expect("record() is called before the load");
        Cuts {
            journal: journal.operations,
            durable: Arc::new(journal.base),
            before: journal.before,
            next: 0,
            seed: state.seed,
            capacity_bytes: state.capacity_bytes,
        }
    }

    /// Lets a request go wrong. Faults add up; each counts requests from now on.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Holds back every read of a file below `path` from now on, until the test lets it pass. In the place of an earlier gate.
    pub fn hold_reads(&self, path: &str) -> ReadGate {
        let gate = ReadGate::new(path);
        self.state.lock().gate = Some(gate.clone());
        gate
    }

    /// Waits where a test holds reads back.
    fn pass_gate(&self, path: &str) {
        let gate = self.state.lock().gate.clone();
        if let Some(gate) = gate {
            gate.pass(path);
        }
    }

    /// The disk is well again; what was lost stays lost.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Turns bit number `bit`, counted from the lowest of the first byte, of the file `path` on the medium. Counts as
    /// an operation.
    pub fn flip_bit(&self, path: &str, bit: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.live.find_file(path)?;
        let (offset, mask) = (bit / 8, 1 << (bit % 8));
        let mut byte = [0];
        if !state.live.files[&file].read(offset, &mut byte) {
            return Err(tree::error(io::ErrorKind::UnexpectedEof, path));
        }
        let value = byte[0] ^ mask;
        state.issue(Operation::Rot {
            file,
            offset,
            mask,
            value,
        })
    }

    /// Room for files: requests that need more fail with `StorageFull`. Files take whole blocks of 4096 bytes, of
    /// what was written or reserved. May be raised and lowered; below what is taken, nothing more fits.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// Room that files take.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().live.used_bytes()
    }

    /// Syncs of the file or folder that has the name `path` now.
    pub fn syncs(&self, path: &str) -> io::Result<Syncs> {
        let state = self.state.lock();
        let node = state.live.find(path)?;
        Ok(state.syncs.get(&node.id()).copied().unwrap_or_default())
    }

    /// Every path with the bytes of its file as reads see them; `None` is a folder.
    pub fn contents(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        self.state.lock().live.contents()
    }
}

impl State {
    fn crash_with(&self, survival: Survival, seed: u64) -> SimDisk {
        let tree = self.durable.after_crash(survival, seed);
        SimDisk::holding(tree, seed, self.capacity_bytes)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off {
            return Err(io::Error::other("the power of the simulated disk has failed"));
        }
        Ok(())
    }

    /// Before a request of a kind: fails it, or says how to get it wrong.
    fn strike(&mut self, on: FaultOn, path: &str) -> io::Result<Outcome> {
        self.check_power()?;
        Ok(faults::strike(&mut self.faults, on, path))
    }

    /// The same for requests that can only fail.
    fn strike_or_fail(&mut self, on: FaultOn, path: &str) -> io::Result<()> {
        match self.strike(on, path)? {
            Outcome::Fail(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Does `operation`, unless the power fails before it.
    fn issue(&mut self, operation: Operation) -> io::Result<()> {
        if self.stop_at.is_some_and(|stop_at| self.operations >= stop_at) {
            self.is_off = true;
        }
        self.check_power()?;
        self.operations += 1;
        self.live.apply(&operation);
        self.durable.issue(&operation);
        if let Operation::Sync { node } = operation {
            let syncs = self.syncs.entry(node).or_default();
            syncs.count += 1;
            syncs.last = self.operations;
        }
        if let Some(journal) = &mut self.journal {
            journal.operations.push(operation);
        }
        Ok(())
    }

    /// Room that is left.
    fn room_bytes(&self) -> u64 {
        self.capacity_bytes.map_or(u64::MAX, |capacity| {
            capacity.saturating_sub(self.live.used_bytes())
        })
    }

    fn new_node(&mut self) -> NodeId {
        self.next_node += 1;
        self.next_node - 1
    }

    /// Forgets the content of a file that has neither a name nor a handle.
    fn drop_if_unused(&mut self, file: NodeId) {
        let named = |names: &BTreeMap<String, Node>| names.values().any(|node| *node == Node::File(file));
        if !self.handles.contains_key(&file) && !self.live.folders.values().any(named) {
            self.live.files.remove(&file);
            self.syncs.remove(&file);
        }
    }
}

/// A seed for the moment after `operations`.
fn mixed(seed: u64, operations: u64) -> u64 {
    SeededRng::new(seed ^ operations.rotate_left(32)).next_u64()
}
