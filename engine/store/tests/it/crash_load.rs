//! The load that the crash tests cut: transactions of several keys over spaces that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use rustydb_runtime::{ManualClock, SeededRng};
use rustydb_store::redb_store::cut_disk::{CutDisk, Image, Survival};
use rustydb_store::redb_store::{RedbOptions, RedbStore, TestHooks};
use rustydb_store::seam::{CommitSeq, SpaceId, TableStore, Write, WriteBatch};

use crate::reference::Reference;

/// The time of every commit: crash tests compare content, and time standing still makes runs equal.
pub const NOW_US: i64 = 1_700_000_000_000_000;
const KEYS_PER_CLIENT: u64 = 24;
/// Each client rotates through this many spaces that it drops whole.
const TEMPORARY_SPACES: u64 = 3;
/// A temporary space is dropped every so many batches.
const DROP_EVERY: u64 = 7;

/// What one client of the load writes. Clients share no key, so none of their batches conflicts and each knows
/// the versions of its own.
pub struct Client {
    id: u64,
    rng: SeededRng,
    mine: Reference,
    batches: u64,
}

impl Client {
    pub fn new(id: u64, seed: u64) -> Client {
        let rng = SeededRng::new(seed.wrapping_add(id));
        Client {
            id,
            rng,
            mine: Reference::default(),
            batches: 0,
        }
    }

    fn spaces(id: u64) -> impl Iterator<Item = SpaceId> {
        (0..=TEMPORARY_SPACES).map(move |n| SpaceId(1024 + 16 * id + n))
    }

    /// Several keys, a marker of the batch, and as many log entries as keys; sometimes a space goes.
    fn next_batch(&mut self) -> WriteBatch {
        let batch_no = self.batches;
        self.batches += 1;
        let mut batch = WriteBatch::default();
        let mut write = |space: SpaceId, key: Vec<u8>, value: Option<Vec<u8>>| {
            let expected = self.mine.version(space, &key);
            batch.writes.push(Write {
                space,
                key,
                expected,
                value,
            });
        };
        let base = SpaceId(1024 + 16 * self.id);
        let mut keys = BTreeSet::new();
        for _ in 0..1 + self.rng.below(5) {
            keys.insert(self.rng.below(KEYS_PER_CLIENT));
        }
        let temporary = SpaceId(base.0 + 1 + batch_no / DROP_EVERY % TEMPORARY_SPACES);
        for key in &keys {
            let length = if self.rng.below(20) == 0 {
                6000
            } else {
                8 + self.rng.below(60)
            };
            let value = (self.rng.below(5) > 0).then(|| vec![batch_no as u8; length as usize]);
            write(base, key.to_be_bytes().to_vec(), value);
        }
        write(
            temporary,
            batch_no.to_be_bytes().to_vec(),
            Some(b"marker".to_vec()),
        );
        for key in keys {
            batch
                .log
                .push([batch_no.to_be_bytes(), key.to_be_bytes()].concat());
        }
        if batch_no.is_multiple_of(DROP_EVERY) {
            // The space to be used next: gone before it is filled again.
            batch.dropped_spaces.push(temporary);
        }
        batch
    }

    /// Keeps what the client must know for its next batch.
    fn committed(&mut self, batch: &WriteBatch, position: CommitSeq) {
        self.mine.newest = CommitSeq(position.0 - 1);
        self.mine.commit(batch, NOW_US).expect("clients share no key");
    }
}

/// A finished load: the disk with its journal, and what the store had to keep.
pub struct Load {
    pub disk: CutDisk,
    pub spaces: BTreeSet<SpaceId>,
    /// By position, from 0: the state that the store must show there.
    states: Vec<Reference>,
    /// Operations the disk had seen when each commit was acknowledged, by position from 1.
    acknowledged_at: Vec<usize>,
    /// Commits that can be under way at one time.
    clients: u64,
}

impl Load {
    /// Runs `clients` at a time, each with `batches`, on a store with the given planted bug or none.
    pub fn run(seed: u64, clients: u64, batches: u64, acknowledge_before_commit: bool) -> Load {
        let disk = CutDisk::new(created());
        let acknowledged: Arc<Mutex<BTreeMap<CommitSeq, usize>>> = Arc::default();
        let hooks = TestHooks {
            on_acknowledge: Some({
                let (disk, acknowledged) = (disk.clone(), Arc::clone(&acknowledged));
                Arc::new(move |position| {
                    let twice = acknowledged.lock().insert(position, disk.position());
                    assert_eq!(twice, None, "{position:?} was acknowledged twice");
                })
            }),
            acknowledge_before_commit,
        };
        let options = RedbOptions {
            hooks,
            ..RedbOptions::default()
        };
        let clock = Arc::new(ManualClock::new(NOW_US));
        let store = RedbStore::open_backend_with(disk.backend(), clock, options).unwrap();
        let mut done: Vec<(CommitSeq, WriteBatch)> = thread::scope(|scope| {
            let running: Vec<_> = (0..clients)
                .map(|id| {
                    scope.spawn({
                        let store = &store;
                        move || run_client(store, Client::new(id, seed), batches)
                    })
                })
                .collect();
            running
                .into_iter()
                .flat_map(|client| client.join().unwrap())
                .collect()
        });
        drop(store);
        done.sort_by_key(|(position, _)| *position);
        let mut states = vec![Reference::default()];
        for (position, batch) in &done {
            let mut next = states.last().unwrap().clone();
            assert_eq!(next.commit(batch, NOW_US), Ok(*position), "positions are dense");
            states.push(next);
        }
        let acknowledged_at = acknowledged.lock().values().copied().collect();
        Load {
            disk,
            spaces: (0..clients).flat_map(Client::spaces).collect(),
            states,
            acknowledged_at,
            clients,
        }
    }

    /// Commits in the load.
    pub fn commits(&self) -> usize {
        self.states.len() - 1
    }

    /// Opens `image`, the disk after a cut behind `operations`, and looks for anything that should not be:
    /// an acknowledged commit that is gone, a commit that is half there, statistics or a log that disagree.
    /// Then cuts the power again while the recovered store is open, and looks once more.
    pub fn check(&self, operations: usize, image: Image) -> Result<CommitSeq, String> {
        let disk = CutDisk::new(image);
        let found = {
            let store = reopen(&disk)?;
            let found = self.check_content(operations, &store)?;
            let again = CutDisk::new(disk.cut_now(Survival::Nothing));
            let twice = self.check_content(operations, &reopen(&again)?)?;
            if twice != found {
                return Err(format!(
                    "recovered to {found:?}, and to {twice:?} when recovered twice"
                ));
            }
            found
        };
        let closed = self.check_content(operations, &reopen(&disk)?)?;
        if closed != found {
            return Err(format!(
                "recovered to {found:?}, but {closed:?} is there after a clean restart"
            ));
        }
        Ok(found)
    }

    fn check_content(&self, operations: usize, store: &RedbStore) -> Result<CommitSeq, String> {
        let found = store.snapshot().map_err(|error| error.to_string())?.seq();
        let acknowledged = self.acknowledged_at.partition_point(|at| *at <= operations) as u64;
        if found.0 < acknowledged {
            return Err(format!(
                "{acknowledged} commits were acknowledged, {found:?} is the newest found"
            ));
        }
        if found.0 > acknowledged + self.clients {
            return Err(format!(
                "{found:?} is there, but only {acknowledged} commits had been answered"
            ));
        }
        let state = self
            .states
            .get(found.0 as usize)
            .ok_or_else(|| format!("{found:?} never happened"))?;
        state.compare_store(store, &self.spaces)?;
        Ok(found)
    }
}

fn run_client(store: &RedbStore, mut client: Client, batches: u64) -> Vec<(CommitSeq, WriteBatch)> {
    let mut done = Vec::new();
    for _ in 0..batches {
        let batch = client.next_batch();
        let position = store.commit(batch.clone()).unwrap();
        client.committed(&batch, position);
        done.push((position, batch));
    }
    done
}

/// A disk with an empty store, closed cleanly: creating one in a file is made safe by its renaming.
fn created() -> Image {
    let disk = CutDisk::new(Image::default());
    drop(reopen(&disk).unwrap());
    disk.cut_now(Survival::Everything)
}

fn reopen(disk: &CutDisk) -> Result<RedbStore, String> {
    let clock = Arc::new(ManualClock::new(NOW_US));
    RedbStore::open_backend(disk.backend(), clock).map_err(|error| format!("does not open: {error}"))
}
