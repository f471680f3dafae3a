//! What of the operations has reached the medium, and what an adversary lets survive of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tree::{NodeId, Operation, Tree};
use crate::SeededRng;

/// What survives of the operations that were not synced when the power fails. Everything random is drawn from the
/// seed of the disk and the number of operations, or from the seed that is given.
///
/// Names of files survive in the order in which they were changed, up to a random one, unless said otherwise: file
/// systems keep a journal of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything: with a cut at every operation, every prefix.
    Everything,
    /// The operations up to a random one, in order, names included. If the next is a write, a part of it, cut at any
    /// byte: more than a disk does that writes sectors whole.
    Prefix,
    /// Every second one of the writes and lengths.
    Alternate,
    /// Of each write a random choice of its sectors of 512 bytes, and of the lengths a random choice.
    Sectors512,
    /// The same with sectors of 4096 bytes.
    Sectors4096,
    /// Lengths and names, but what was written reads as zeros: the file system wrote the length first.
    Zeroed,
}

impl Survival {
    pub const ALL: [Survival; 7] = [
        Survival::Nothing,
        Survival::Everything,
        Survival::Prefix,
        Survival::Alternate,
        Survival::Sectors512,
        Survival::Sectors4096,
        Survival::Zeroed,
    ];
}

/// The medium and the operations on their way to it.
#[derive(Debug, Clone)]
pub(super) struct Durable {
    pub tree: Tree,
    /// Unsynced operations of each file and folder with their number in the order of all.
    pending: BTreeMap<NodeId, Vec<(u64, Operation)>>,
    issued: u64,
}

impl Durable {
    /// Everything in `tree` is durable.
    pub fn new(tree: Tree) -> Durable {
        Durable {
            tree,
            pending: BTreeMap::new(),
            issued: 0,
        }
    }

    pub fn issue(&mut self, operation: &Operation) {
        let number = self.issued;
        self.issued += 1;
        let node = operation.node();
        match operation {
            Operation::Sync { .. } => {
                for (_, operation) in self.pending.remove(&node).unwrap_or_default() {
                    self.tree.apply(&operation);
                }
            }
            Operation::FailedSync { seed, .. } => {
                let rng = SeededRng::new(*seed);
                for (_, operation) in self.pending.remove(&node).unwrap_or_default() {
                    if rng.below(2) == 0 {
                        self.tree.apply(&operation);
                    }
                }
            }
            Operation::Rot {
                file, offset, mask, ..
            } => {
                let image = self.tree.file_mut(*file);
                let mut byte = [0];
                if image.read(*offset, &mut byte) {
                    image.write(*offset, &[byte[0] ^ mask]);
                }
                // Writes on their way carry the byte as it was.
                if let Some(pending) = self.pending.get_mut(&node) {
                    pending.push((number, operation.clone()));
                }
            }
            _ => self
                .pending
                .entry(node)
                .or_default()
                .push((number, operation.clone())),
        }
    }

    /// Drops files and folders that no crash can bring back; `live` are those in use.
    pub fn forget_all_but(&mut self, live: &Tree) {
        let mut keep = self.tree.reachable();
        keep.extend(live.files.keys().chain(live.folders.keys()));
        let pending = self.pending.values().flatten();
        keep.extend(pending.flat_map(|(_, operation)| nodes_of(operation)));
        self.tree.retain(&keep);
        self.pending.retain(|node, _| keep.contains(node));
    }

    /// How many operations may survive or not.
    pub fn unsynced(&self) -> usize {
        self.pending.values().map(Vec::len).sum()
    }

    /// What the disk holds when it is switched on again.
    pub fn after_crash(&self, survival: Survival, seed: u64) -> Tree {
        let mut unsynced: Vec<&(u64, Operation)> = self.pending.values().flatten().collect();
        unsynced.sort_by_key(|(number, _)| *number);
        let mut adversary = Adversary::new(survival, seed, &unsynced);
        let mut tree = self.tree.clone();
        for (_, operation) in unsynced {
            adversary.decide(&mut tree, operation);
        }
        let reachable = tree.reachable();
        tree.retain(&reachable);
        tree
    }
}

/// The file or folder that an operation changes, and the one that it names.
fn nodes_of(operation: &Operation) -> impl Iterator<Item = NodeId> {
    let named = match operation {
        Operation::Names {
            added: Some((_, node)),
            ..
        } => Some(node.id()),
        _ => None,
    };
    std::iter::once(operation.node()).chain(named)
}

struct Adversary {
    survival: Survival,
    rng: SeededRng,
    seen: u64,
    names_seen: u64,
    /// So many of all operations survive, where a prefix does.
    kept: u64,
    names_kept: u64,
    odd: u64,
}

impl Adversary {
    fn new(survival: Survival, seed: u64, unsynced: &[&(u64, Operation)]) -> Adversary {
        let rng = SeededRng::new(seed);
        let names = unsynced.iter().filter(|(_, operation)| is_name(operation));
        Adversary {
            survival,
            seen: 0,
            names_seen: 0,
            kept: rng.below(unsynced.len() as u64 + 1),
            names_kept: rng.below(names.count() as u64 + 1),
            odd: rng.below(2),
            rng,
        }
    }

    /// Applies to `tree` what survives of `operation`, the next in order.
    fn decide(&mut self, tree: &mut Tree, operation: &Operation) {
        let index = self.seen;
        self.seen += 1;
        let keep = match self.survival {
            Survival::Nothing => false,
            Survival::Everything | Survival::Zeroed => true,
            Survival::Prefix => index < self.kept,
            _ if is_name(operation) => {
                self.names_seen += 1;
                self.names_seen <= self.names_kept
            }
            Survival::Alternate => index % 2 == self.odd,
            Survival::Sectors512 | Survival::Sectors4096 => self.rng.below(2) == 0,
        };
        match (self.survival, operation) {
            (Survival::Sectors512, Operation::Write { file, offset, data }) => {
                self.write_sectors(tree, *file, *offset, data, 512);
            }
            (Survival::Sectors4096, Operation::Write { file, offset, data }) => {
                self.write_sectors(tree, *file, *offset, data, 4096);
            }
            (Survival::Zeroed, Operation::Write { file, offset, data }) => {
                tree.file_mut(*file).write(*offset, &vec![0; data.len()]);
            }
            (Survival::Prefix, Operation::Write { file, offset, data }) if index == self.kept => {
                let bytes = self.rng.below(data.len() as u64) as usize;
                tree.file_mut(*file).write(*offset, &data[..bytes]);
            }
            _ if keep => tree.apply(operation),
            _ => {}
        }
    }

    /// Writes of `data` a random choice of sectors. The file becomes as long as the write made it, or as the last
    /// sector that survived.
    fn write_sectors(&self, tree: &mut Tree, file: NodeId, offset: u64, data: &Arc<[u8]>, sector_bytes: u64) {
        let image = tree.file_mut(file);
        let end = offset + data.len() as u64;
        if image.length() < end && self.rng.below(2) == 0 {
            image.set_length(end);
        }
        let (mut at, mut rest) = (offset, &data[..]);
        while !rest.is_empty() {
            let sector_end = (at / sector_bytes + 1) * sector_bytes;
            let (sector, behind) = rest.split_at(rest.len().min((sector_end - at) as usize));
            if self.rng.below(2) == 0 {
                image.write(at, sector);
            }
            (at, rest) = (sector_end, behind);
        }
    }
}

fn is_name(operation: &Operation) -> bool {
    matches!(operation, Operation::Names { .. })
}
