//! Random commits against the model.

use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::{Kernel, KernelOptions, Snapshot, Ticket};
use rustydb_kernel::wal::WalOptions;
use rustydb_runtime::disk::SimDisk;
use rustydb_runtime::{Clock, ManualClock, SeededRng};

use crate::model::{Act, Model};

/// A small store, so that everything happens often.
pub fn options() -> KernelOptions {
    KernelOptions {
        pool_bytes: 64 * 8192,
        wal: WalOptions {
            segment_bytes: 64 << 10,
            ..WalOptions::default()
        },
        checkpoint_bytes: 256 << 10,
        background: false,
        ..KernelOptions::default()
    }
}

pub fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Result<Kernel, KernelError> {
    Kernel::open(
        Arc::new(disk.clone()),
        "kernel",
        clock.clone(),
        &SeededRng::new(7),
        options(),
    )
}

/// Makes the commit and waits until it is durable.
pub fn commit(kernel: &Kernel, acts: &[Act], now_us: i64) -> Result<Ts, KernelError> {
    let ticket = apply(kernel, acts, now_us)?;
    kernel.wait(ticket)?;
    Ok(ticket.ts)
}

/// Makes the commit.
pub fn apply(kernel: &Kernel, acts: &[Act], now_us: i64) -> Result<Ticket, KernelError> {
    let ((), ticket) = kernel.commit(now_us, |commit| {
        for act in acts {
            match act {
                Act::Write(space, key, value) => commit.write(*space, key, value.as_deref())?,
                Act::Drop(space) => commit.drop_space(*space)?,
                Act::Log(payload) => commit.log(payload.clone()),
                Act::Trim(to) => commit.trim_log(*to),
            }
        }
        Ok::<(), KernelError>(())
    })?;
    Ok(ticket)
}

/// Keys that begin alike, of all lengths; few, so that versions gather, or many, so that pages split.
pub fn random_key(rng: &SeededRng) -> Vec<u8> {
    match rng.below(4) {
        0 => vec![b'k'; rng.below(30) as usize],
        1 => format!("key{:05}", rng.below(2000)).into_bytes(),
        2 => {
            let mut key = vec![b'p'; rng.below(1530) as usize];
            key.extend(rng.below(5).to_be_bytes());
            key.truncate(1536);
            key
        }
        _ => rng.below(300).to_be_bytes().to_vec(),
    }
}

pub fn random_value(rng: &SeededRng) -> Vec<u8> {
    let length = match rng.below(40) {
        0 => rng.below(40_000),
        1..=5 => rng.below(3000),
        _ => rng.below(150),
    };
    vec![rng.below(256) as u8; length as usize]
}

pub fn random_acts(rng: &SeededRng, newest: Ts) -> Vec<Act> {
    let count = if rng.below(30) == 0 { 200 } else { rng.below(6) };
    (0..count)
        .map(|_| {
            let space = rng.below(3);
            match rng.below(60) {
                0 => Act::Drop(space),
                1 => Act::Trim(Ts(newest.0.saturating_sub(rng.below(40)))),
                2..=6 => Act::Log(random_value(rng)),
                7..=20 => Act::Write(space, random_key(rng), None),
                _ => Act::Write(space, random_key(rng), Some(random_value(rng))),
            }
        })
        .collect()
}

/// A seed from the environment, or one of today's; printed either way.
pub fn seed_of(test: &str, default: u64) -> u64 {
    let seed = std::env::var("RUSTYDB_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(default);
    eprintln!("{test}: RUSTYDB_SEED={seed}");
    seed
}

/// Which requests a test meddles with, ascending: each of the first few, then with growing gaps, so that so many are
/// spread over a load. All of them in a soak, which `RUSTYDB_SOAK` asks for with a number of its own.
pub struct Places {
    rng: SeededRng,
    next: u64,
    given: u64,
    places_max: u64,
}

impl Places {
    pub fn new(seed: u64, places_max: u64) -> Places {
        Places {
            rng: SeededRng::new(seed),
            next: 0,
            given: 0,
            places_max,
        }
    }

    pub fn soak() -> Option<u64> {
        std::env::var("RUSTYDB_SOAK").ok()?.parse().ok()
    }

    pub fn next(&mut self) -> u64 {
        let place = self.next;
        self.given += 1;
        let gap = match Places::soak() {
            Some(_) => 0,
            None => self.given * self.given / self.places_max,
        };
        self.next += 1 + self.rng.below(gap + 1);
        place
    }
}

fn run(seed: u64, steps: u64) {
    let rng = SeededRng::new(seed);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let disk = SimDisk::new(seed);
    let mut model = Model::default();
    let mut kernel = open(&disk, &clock).unwrap();
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    for step in 0..steps {
        clock.advance_us(1 + rng.below(1000));
        let acts = random_acts(&rng, model.newest);
        let before = model.newest;
        let expected = model.commit(&acts, clock.now_us()).unwrap_or(before);
        let got = commit(&kernel, &acts, clock.now_us()).unwrap();
        assert_eq!(got, expected, "seed {seed} step {step}: {acts:?}");
        let context = format!("seed {seed} step {step}");
        match rng.below(40) {
            0 => drop(kernel.checkpoint().unwrap()),
            1 => while kernel.step().unwrap() {},
            2 => kernel.tidy_space(rng.below(3)).unwrap(),
            3 => model.check(&kernel, &context),
            4 | 5 if snapshots.len() < 6 => snapshots.push((kernel.snapshot(), model.clone())),
            6 if !snapshots.is_empty() => {
                let (snapshot, then) = snapshots.swap_remove(rng.below(snapshots.len() as u64) as usize);
                for space in then.spaces() {
                    then.check_space(&snapshot, space, &context);
                }
            }
            7 if rng.below(4) == 0 => {
                snapshots.clear();
                drop(kernel);
                kernel = open(&disk, &clock).unwrap();
                model.check(&kernel, &context);
            }
            _ => {}
        }
    }
    snapshots.clear();
    for space in 0..3 {
        kernel.tidy_space(space).unwrap();
    }
    while kernel.step().unwrap() {}
    model.check(&kernel, &format!("seed {seed} at the end"));
}

#[test]
fn a_store_does_what_its_model_does() {
    let seed = seed_of("a_store_does_what_its_model_does", 1);
    for seed in seed..seed + 6 {
        run(seed, 1500);
    }
}

/// Each commit is seen by whoever was told that it is durable.
#[test]
fn what_was_waited_for_is_visible() {
    let seed = seed_of("what_was_waited_for_is_visible", 3);
    let clock = Arc::new(ManualClock::new(0));
    let kernel = open(&SimDisk::new(seed), &clock).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16_u64 {
            let kernel = &kernel;
            scope.spawn(move || {
                for number in 0..3000_u64 {
                    let key = [writer.to_be_bytes(), (number % 50).to_be_bytes()].concat();
                    let acts = [Act::Write(
                        writer,
                        key.clone(),
                        Some(number.to_be_bytes().to_vec()),
                    )];
                    let ts = commit(kernel, &acts, 0).unwrap();
                    assert!(kernel.newest() >= ts);
                    let found = kernel.snapshot().get(writer, &key).unwrap().unwrap();
                    assert_eq!((found.ts, found.value), (ts, number.to_be_bytes().to_vec()));
                }
            });
        }
    });
}
