//! The kernel against redb, fjall, SQLite and LMDB in one process, on the same disk, with the same promise of durability.
//!
//! `cargo bench -p rustydb-store --bench peers [-- OPTIONS]`. How each store is used is in [`engines`]. Each figure is
//! the median of rounds; in a round every store does the same for the same time, and a ratio is the median of the ratios of
//! rounds. Less than 15 minutes with what is set without options:
//!
//! | option | |
//! |---|---|
//! | `--only load,get,scan,commit,mix,cache,pool` | what is measured |
//! | `--stores kernel,redb,fjall,sqlite,lmdb` | of which stores |
//! | `--rounds 5`, `--sample-ms 500` | how often and how long |
//! | `--rows 200000`, `--value-bytes 100` | of all but the two that follow |
//! | `--cache-bytes`, 10 times the processor's last cache | data of `cache` and `pool`, in rows of 500 bytes with an index |
//! | `--change-log 1` | the kernel tells its change log each row as well, as tables do |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark asks the machine for the time and says what it finds"
)]

mod engines;
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engines::{Engine, NAMES, Row, Setup, second_of};
use support::{Args, Random, Samples, Zipf, last_cache_bytes, print_machine, timed};

const SCENARIOS: [&str; 7] = ["load", "get", "scan", "commit", "mix", "cache", "pool"];
const ROWS_A_COMMIT: u64 = 10_000;
/// Rows of one range scan.
const SCAN_ROWS: usize = 100;
const WRITERS: [usize; 3] = [1, 8, 32];
/// Callers of the mix of reads and writes, and their writes of five.
const MIX_CALLERS: usize = 8;
const MIX_WRITES_OF_5: u64 = 1;
/// What lies in the stores that are larger than a cache.
const LARGE_VALUE_BYTES: usize = 500;
/// What all but the stores larger than their pool may keep in memory.
const CACHE_BYTES: u64 = 1 << 30;
/// Calls between two looks at the clock.
const CALLS: u64 = 64;

struct Run {
    rounds: usize,
    sample: Duration,
    stores: Vec<String>,
    change_log: bool,
}

/// A store and what has been put into it.
struct Contender {
    engine: Box<dyn Engine>,
    /// The key of the next row that is new; all below are there.
    next_key: AtomicU64,
    value_bytes: usize,
}

impl Contender {
    /// `rows` more, in order of their keys; rows a second.
    fn load(&self, rows: u64) -> f64 {
        let mut taken = Duration::ZERO;
        let first = self.next_key.load(Ordering::Relaxed);
        for from in (first..first + rows).step_by(ROWS_A_COMMIT as usize) {
            let until = (from + ROWS_A_COMMIT).min(first + rows);
            let batch: Vec<Row> = (from..until).map(|key| self.row(key, 0)).collect();
            taken += timed(|| self.engine.put(&batch, true)).1;
        }
        self.next_key.store(first + rows, Ordering::Relaxed);
        rows as f64 / taken.as_secs_f64()
    }

    fn row(&self, key: u64, salt: u64) -> Row {
        Row::new(key, salt, self.value_bytes)
    }

    fn rows(&self) -> u64 {
        self.next_key.load(Ordering::Relaxed)
    }

    /// One transaction of one row that is new.
    fn insert_one(&self) {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        self.engine.put(&[self.row(key, 0)], true);
    }

    /// One transaction that changes one row.
    fn update_one(&self, key: u64, salt: u64) {
        self.engine.put(&[self.row(key, salt)], false);
    }
}

impl Run {
    fn open(&self, folder: &Path, cache_bytes: u64, indexed: bool, value_bytes: usize) -> Vec<Contender> {
        let setup = Setup {
            folder,
            cache_bytes,
            indexed,
            change_log: self.change_log,
        };
        let contender = |name: &String| Contender {
            engine: engines::open(name, setup),
            next_key: AtomicU64::new(0),
            value_bytes,
        };
        self.stores.iter().map(contender).collect()
    }

    /// Measures `rate` of each store in each round, and prints it. Each round begins with another store.
    fn compare(&self, what: &str, contenders: &[Contender], rate: impl Fn(&Contender, u64) -> f64) {
        let mut samples = vec![Samples::new(); contenders.len()];
        for round in 0..self.rounds {
            for turn in 0..contenders.len() {
                let at = (round + turn) % contenders.len();
                samples[at].push(rate(&contenders[at], round as u64));
            }
        }
        println!("\n{what}, a second: median (min to max), and the first store over it");
        for (contender, theirs) in contenders.iter().zip(&samples) {
            let (name, ratio) = (contender.engine.name(), samples[0].over(theirs));
            println!("  {name:8} {:36} {}", theirs.spread(0), ratio.spread(2));
        }
    }

    /// Calls a second of one caller.
    fn rate(&self, mut call: impl FnMut()) -> f64 {
        let (begun, mut calls) = (Instant::now(), 0);
        while begun.elapsed() < self.sample {
            (0..CALLS).for_each(|_| call());
            calls += CALLS;
        }
        calls as f64 / begun.elapsed().as_secs_f64()
    }

    /// Calls a second of several callers; each is told its number.
    fn rate_of(&self, callers: usize, call: impl Fn(&mut Random) + Sync, seed: u64) -> f64 {
        let (begun, calls) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            for caller in 0..callers as u64 {
                let (call, calls) = (&call, &calls);
                scope.spawn(move || {
                    let mut random = Random::new(seed * 1000 + caller + 1);
                    while begun.elapsed() < self.sample {
                        call(&mut random);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        calls.into_inner() as f64 / begun.elapsed().as_secs_f64()
    }

    fn gets(&self, what: &str, contenders: &[Contender]) {
        self.compare(what, contenders, |contender, round| {
            let (rows, mut random, mut rate) = (contender.rows(), Random::new(round + 1), 0.0);
            contender.engine.read(&mut |reader| {
                rate = self.rate(|| {
                    let found = reader.get(random.below(rows)).unwrap();
                    assert_eq!(found.len(), contender.value_bytes);
                });
            });
            rate
        });
    }

    fn finds(&self, what: &str, contenders: &[Contender]) {
        self.compare(what, contenders, |contender, round| {
            let (rows, mut random, mut rate) = (contender.rows(), Random::new(round + 1), 0.0);
            contender.engine.read(&mut |reader| {
                rate = self.rate(|| {
                    let found = reader.find(second_of(random.below(rows))).unwrap();
                    assert_eq!(found.len(), contender.value_bytes);
                });
            });
            rate
        });
    }

    fn scans(&self, what: &str, contenders: &[Contender]) {
        self.compare(&format!("{what}, rows"), contenders, |contender, round| {
            let rows = contender.rows() - SCAN_ROWS as u64;
            let (mut random, mut rate) = (Random::new(round + 1), 0.0);
            contender.engine.read(&mut |reader| {
                rate = self.rate(|| {
                    assert_eq!(reader.scan(random.below(rows), SCAN_ROWS), SCAN_ROWS);
                });
            });
            rate * SCAN_ROWS as f64
        });
    }

    fn commits(&self, what: &str, contenders: &[Contender], writers: usize) {
        self.compare(
            &format!("{what}, {writers} callers"),
            contenders,
            |contender, round| self.rate_of(writers, |_| contender.insert_one(), round),
        );
    }

    fn updates(&self, what: &str, contenders: &[Contender]) {
        self.compare(what, contenders, |contender, round| {
            let rows = contender.rows();
            let update = |random: &mut Random| contender.update_one(random.below(rows), random.next());
            self.rate_of(1, update, round)
        });
    }

    fn mix(&self, contenders: &[Contender]) {
        // Keys that all of them have.
        let rows = contenders.iter().map(Contender::rows).min();
        let zipf = Zipf::new(rows.unwrap());
        let what = format!("80 reads to 20 durable updates under zipf 0.99, {MIX_CALLERS} callers");
        self.compare(&what, contenders, |contender, round| {
            let call = |random: &mut Random| {
                let key = zipf.draw(random);
                match random.below(5) < MIX_WRITES_OF_5 {
                    true => contender.update_one(key, random.next()),
                    false => assert!(contender.engine.get(key).is_some()),
                }
            };
            self.rate_of(MIX_CALLERS, call, round)
        });
    }

    /// All that fits into memory by far.
    fn small(&self, folder: &Path, only: &[String], rows: u64, value_bytes: usize) {
        let wanted = |scenario: &str| only.iter().any(|only| only == scenario);
        if !["load", "get", "scan", "commit", "mix"].into_iter().any(wanted) {
            return;
        }
        println!("\n# {rows} rows of {value_bytes} bytes, no index");
        let contenders = self.open(folder, CACHE_BYTES, false, value_bytes);
        let a_round = rows.div_ceil(self.rounds as u64);
        self.compare(
            &format!("rows loaded, {ROWS_A_COMMIT} a commit"),
            &contenders,
            |contender, _| contender.load(a_round),
        );
        settle(&contenders);
        if wanted("get") {
            self.gets("point reads in one snapshot", &contenders);
            self.compare("point reads, a snapshot each", &contenders, |contender, round| {
                let (rows, mut random) = (contender.rows(), Random::new(round + 1));
                self.rate(|| assert!(contender.engine.get(random.below(rows)).is_some()))
            });
        }
        if wanted("scan") {
            self.scans(&format!("ranges of {SCAN_ROWS} rows"), &contenders);
        }
        if wanted("commit") {
            for writers in WRITERS {
                self.commits("durable commits of one new row", &contenders, writers);
            }
        }
        if wanted("mix") {
            self.mix(&contenders);
        }
    }

    /// More data than the processor's cache holds, and then than the pool holds; with an index.
    fn large(&self, folder: &Path, only: &[String], bytes: u64) {
        let wanted = |scenario: &str| only.iter().any(|only| only == scenario);
        if !wanted("cache") && !wanted("pool") {
            return;
        }
        let rows = bytes / LARGE_VALUE_BYTES as u64;
        println!(
            "\n# {} MiB in {rows} rows of {LARGE_VALUE_BYTES} bytes, an index on another column, checksums (but LMDB, SQLite)",
            bytes >> 20
        );
        let mut contenders = self.open(folder, CACHE_BYTES, true, LARGE_VALUE_BYTES);
        let a_round = rows.div_ceil(self.rounds as u64);
        self.compare(
            &format!("rows loaded with their index entries, {ROWS_A_COMMIT} a commit"),
            &contenders,
            |contender, _| contender.load(a_round),
        );
        settle(&contenders);
        if wanted("cache") {
            println!("\n## all of it in memory");
            self.measure_large(&contenders);
        }
        if wanted("pool") {
            let pool_bytes = bytes / 10;
            println!(
                "\n## a pool of {} MiB for all of it (of LMDB, the machine's memory)",
                pool_bytes >> 20
            );
            let keys: Vec<u64> = contenders.iter().map(Contender::rows).collect();
            drop(contenders);
            contenders = self.open(folder, pool_bytes, true, LARGE_VALUE_BYTES);
            for (contender, key) in contenders.iter().zip(keys) {
                contender.next_key.store(key, Ordering::Relaxed);
            }
            self.measure_large(&contenders);
        }
    }

    fn measure_large(&self, contenders: &[Contender]) {
        self.gets("point reads in one snapshot", contenders);
        self.finds("rows found by the index", contenders);
        self.scans(&format!("ranges of {SCAN_ROWS} rows"), contenders);
        self.commits(
            "durable commits of one new row with its index entry",
            contenders,
            1,
        );
        settle(contenders);
        self.updates("durable updates of one random row", contenders);
        settle(contenders);
    }
}

fn settle(contenders: &[Contender]) {
    contenders.iter().for_each(|contender| contender.engine.settle());
}

fn main() {
    let args = Args::parse(&[
        "only",
        "stores",
        "rounds",
        "sample-ms",
        "rows",
        "value-bytes",
        "cache-bytes",
        "change-log",
    ]);
    let run = Run {
        rounds: args.number("rounds", 5) as usize,
        sample: Duration::from_millis(args.number("sample-ms", 500)),
        stores: args.list("stores", &NAMES),
        change_log: args.number("change-log", 0) != 0,
    };
    let only = args.list("only", &SCENARIOS);
    for name in &only {
        assert!(
            SCENARIOS.contains(&name.as_str()),
            "{name}: there are {}",
            SCENARIOS.join(", ")
        );
    }
    let large_bytes = args.number("cache-bytes", 10 * last_cache_bytes());
    let value_bytes = args.number("value-bytes", 100) as usize;
    print_machine();
    println!("{} rounds, {:?} a sample, interleaved", run.rounds, run.sample);
    let ((), taken) = timed(|| {
        // Beside the build and not in /tmp, which may be memory.
        let folder = || tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        run.small(folder().path(), &only, args.number("rows", 200_000), value_bytes);
        run.large(folder().path(), &only, large_bytes);
    });
    println!("\n{} s", taken.as_secs());
}
