//! The store against raw redb in one run: what versions, expectations, statistics and the change log cost.
//!
//! `cargo bench -p rustydb-store --bench store`. Both sides hold the same keys and values in one file each on the
//! same disk, with the same cache and durable commits. The store's commit also writes the row's version,
//! the space's statistics and a change-log entry; raw redb writes the row only.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark asks the machine for the time and says what it finds"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use redb::{Database, ReadableDatabase, TableDefinition};
use rustydb_runtime::{SystemClock, SystemRng};
use rustydb_store::kernel_store::{KernelOptions, KernelStore};
use rustydb_store::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use support::{Random, Samples, print_machine, timed};

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const SPACE: SpaceId = SpaceId::FIRST_USER;
const ROWS: u64 = 100_000;
const ROWS_A_COMMIT: u64 = 10_000;
const VALUE: [u8; 100] = [7; 100];
const ROUNDS: usize = 7;
const GETS: u64 = 100_000;
const COMMITS: u64 = 64;
const WRITERS: [u64; 3] = [1, 8, 32];

static NEXT_KEY: AtomicU64 = AtomicU64::new(ROWS);

/// The same length as the store's own row keys, for both sides.
fn redb_key(key: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&SPACE.0.to_be_bytes());
    bytes[8..].copy_from_slice(&key.to_be_bytes());
    bytes
}

fn batch(keys: impl Iterator<Item = u64>) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for key in keys {
        batch.writes.push(Write {
            space: SPACE,
            key: key.to_be_bytes().to_vec(),
            expected: None,
            value: Some(VALUE.to_vec()),
        });
        batch.log.push(VALUE.to_vec());
    }
    batch
}

fn redb_commit(database: &Database, keys: impl Iterator<Item = u64>) {
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(TABLE).unwrap();
        for key in keys {
            table.insert(redb_key(key).as_slice(), VALUE.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// Commits a second of so many callers, one row each.
fn commits(writers: u64, commit: impl Fn(u64) + Sync) -> f64 {
    let ((), taken) = timed(|| {
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    for _ in 0..COMMITS {
                        commit(NEXT_KEY.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
    });
    (writers * COMMITS) as f64 / taken.as_secs_f64()
}

/// Reads a second of random keys.
fn gets(seed: u64, get: impl Fn(u64) -> usize) -> f64 {
    let mut random = Random::new(seed);
    let (bytes, taken) = timed(|| (0..GETS).map(|_| get(random.below(ROWS))).sum::<usize>());
    assert_eq!(bytes, GETS as usize * VALUE.len());
    GETS as f64 / taken.as_secs_f64()
}

fn print(what: &str, ours: &Samples, peer: &Samples) {
    println!("\n{what}, a second: median (min to max)");
    println!("  store         {}", ours.spread(0));
    println!("  raw redb      {}", peer.spread(0));
    println!("  store / redb  {}", ours.over(peer).spread(3));
}

fn main() {
    // Beside the build and not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let options = KernelOptions::default();
    let cache_bytes = options.pool_bytes as usize;
    let clock = Arc::new(SystemClock::new());
    let store = KernelStore::open(folder.path(), "store", clock, &SystemRng, options).unwrap();
    let database = Database::builder()
        .set_cache_size(cache_bytes)
        .create(folder.path().join("redb"))
        .unwrap();
    let [mut ours, mut peer] = [const { Samples::new() }; 2];
    for first in (0..ROWS).step_by(ROWS_A_COMMIT as usize) {
        let rows = || first..first + ROWS_A_COMMIT;
        let rate = |taken: Duration| ROWS_A_COMMIT as f64 / taken.as_secs_f64();
        ours.push(rate(timed(|| store.commit(batch(rows())).unwrap()).1));
        peer.push(rate(timed(|| redb_commit(&database, rows())).1));
    }
    print_machine();
    print(&format!("rows loaded, {ROWS_A_COMMIT} a commit"), &ours, &peer);
    println!(
        "{ROWS} rows of {} bytes, {ROUNDS} rounds, interleaved; a commit returns after its fsync",
        VALUE.len()
    );

    let [mut ours, mut peer] = [const { Samples::new() }; 2];
    let [mut ours_fresh, mut peer_fresh] = [const { Samples::new() }; 2];
    for round in 1..=ROUNDS as u64 {
        let snapshot = store.snapshot().unwrap();
        ours.push(gets(round, |key| {
            snapshot
                .get(SPACE, &key.to_be_bytes())
                .unwrap()
                .unwrap()
                .value
                .len()
        }));
        let transaction = database.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        peer.push(gets(round, |key| {
            table
                .get(redb_key(key).as_slice())
                .unwrap()
                .unwrap()
                .value()
                .to_vec()
                .len()
        }));
        ours_fresh.push(gets(round, |key| {
            let snapshot = store.snapshot().unwrap();
            snapshot
                .get(SPACE, &key.to_be_bytes())
                .unwrap()
                .unwrap()
                .value
                .len()
        }));
        peer_fresh.push(gets(round, |key| {
            let transaction = database.begin_read().unwrap();
            let table = transaction.open_table(TABLE).unwrap();
            table
                .get(redb_key(key).as_slice())
                .unwrap()
                .unwrap()
                .value()
                .to_vec()
                .len()
        }));
    }
    print("point reads in one snapshot", &ours, &peer);
    let [mut ours_scan, mut peer_scan] = [const { Samples::new() }; 2];
    for _ in 0..ROUNDS {
        let rate = |(rows, taken): (usize, Duration)| {
            assert_eq!(rows as u64, ROWS);
            ROWS as f64 / taken.as_secs_f64()
        };
        ours_scan.push(rate(timed(|| {
            let snapshot = store.snapshot().unwrap();
            snapshot
                .scan(SPACE, &KeyRange::default(), usize::MAX)
                .unwrap()
                .len()
        })));
        peer_scan.push(rate(timed(|| {
            let transaction = database.begin_read().unwrap();
            let table = transaction.open_table(TABLE).unwrap();
            let rows = table.range::<&[u8]>(..).unwrap().map(|row| {
                let (key, value) = row.unwrap();
                (key.value().to_vec(), value.value().to_vec())
            });
            rows.collect::<Vec<_>>().len()
        })));
    }
    print("rows scanned", &ours_scan, &peer_scan);
    print("point reads, a snapshot each", &ours_fresh, &peer_fresh);

    for writers in WRITERS {
        let [mut ours, mut peer] = [const { Samples::new() }; 2];
        for _ in 0..ROUNDS {
            ours.push(commits(writers, |key| {
                store.commit(batch(key..key + 1)).unwrap();
            }));
            peer.push(commits(writers, |key| redb_commit(&database, key..key + 1)));
        }
        print(
            &format!("durable commits of one row by {writers} callers"),
            &ours,
            &peer,
        );
    }
}
