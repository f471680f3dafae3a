//! What it costs that somebody listens to the pool, the pages, the disk and the log.
//!
//! `cargo bench -p rustydb-store --bench listeners [-- OPTIONS]`. The listeners do what those of the server do: a hit or a miss
//! is noted, the rest goes to topics, each with a subscriber that takes all. Rounds with and without them alternate; the bar
//! is 2 % of the throughput. A hit of the pool is to take 60 ns at most, and the process to take the pool's memory and 15 % more.
//!
//! | option | |
//! |---|---|
//! | `--rounds 15`, `--sample-ms 400` | pairs of samples, and how long one is |
//! | `--rows 200000`, `--pool-mb 256` | the store |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark asks the machine for the time and says what it finds"
)]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use rustydb_contract::topic::Topic;
use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, KernelEvent, KernelEvents, KernelOptions};
use rustydb_kernel::pool::{PoolEvent, PoolEvents};
use rustydb_kernel::space::{IoEvent, IoEvents};
use rustydb_kernel::wal::{WalEvent, WalEvents};
use rustydb_runtime::disk::RealDisk;
use rustydb_runtime::{Clock, SystemClock, SystemRng};
use support::{Args, Random, Samples, print_machine, timed};

const SPACE: u64 = 1024;
const VALUE: [u8; 100] = [7; 100];
const ROWS_A_COMMIT: u64 = 10_000;
const CALLS: u64 = 64;
const WRITERS: usize = 8;
/// Pages whose hits are timed.
const HIT_PAGES: u64 = 1_000;
const HIT_CALLS: u64 = 2_000_000;
const NOTHING: u64 = u64::MAX;

/// What a topic carries: a number stands for the event's fields.
type Told = (u8, u64);

/// Listens to everything.
struct Listener {
    topic: Arc<Topic<Told>>,
    first_hit: AtomicU64,
    first_miss: AtomicU64,
}

fn note(first: &AtomicU64, page: PageId) {
    if first.load(Ordering::Relaxed) == NOTHING {
        first.store(page.to_number(), Ordering::Relaxed);
    }
}

struct Listening(Arc<Listener>);

impl PoolEvents for Listening {
    fn event(&self, event: PoolEvent) {
        match event {
            PoolEvent::Hit(page) => note(&self.0.first_hit, page),
            PoolEvent::Miss(page) => note(&self.0.first_miss, page),
            PoolEvent::Evicted { page, .. } => self.0.topic.publish(|| (0, page.to_number())),
            PoolEvent::Flushed { page, .. } => self.0.topic.publish(|| (1, page.to_number())),
            _ => {}
        }
    }
}

impl IoEvents for Listener {
    fn event(&self, event: IoEvent) {
        match event {
            IoEvent::Started { page, .. } => self.topic.publish(|| (2, page.to_number())),
            IoEvent::Completed { latency_ns, .. } => self.topic.publish(|| (3, latency_ns)),
            IoEvent::QueueDepth { reads, writes } => self.topic.publish(|| (4, (reads + writes) as u64)),
            _ => {}
        }
    }
}

impl WalEvents for Listener {
    fn event(&self, event: WalEvent) {
        match event {
            WalEvent::Write { bytes, .. } => self.topic.publish(|| (5, bytes)),
            WalEvent::Flush { latency_us, .. } => self.topic.publish(|| (6, latency_us)),
            _ => {}
        }
    }
}

impl KernelEvents for Listener {
    fn event(&self, event: KernelEvent) {
        // What a page's event tells is of another shape for each kind; its size is what matters here.
        self.topic.publish(|| (7, size_of_val(&event) as u64));
    }
}

struct Bench {
    kernel: Arc<Kernel>,
    rows: AtomicU64,
    sample: Duration,
    rounds: u64,
}

impl Bench {
    fn put(&self, keys: impl Iterator<Item = u64>) {
        let made = self.kernel.commit(SystemClock::new().now_us(), |commit| {
            for key in keys {
                commit.write(SPACE, &key.to_be_bytes(), Some(&VALUE))?;
            }
            Ok::<_, KernelError>(())
        });
        self.kernel.wait(made.unwrap().1).unwrap();
    }

    fn listen(&self, listener: Option<&Arc<Listener>>) {
        let kernel = &self.kernel;
        kernel.pool().listen(
            listener.map(|listener| Box::new(Listening(Arc::clone(listener))) as Box<dyn PoolEvents>),
        );
        let io = listener.cloned().map(|listener| listener as Arc<dyn IoEvents>);
        kernel.files().listen(io);
        let wal = listener.cloned().map(|listener| listener as Arc<dyn WalEvents>);
        kernel.wal().set_events(wal);
        kernel.listen(
            listener
                .cloned()
                .map(|listener| listener as Arc<dyn KernelEvents>),
        );
    }

    /// Calls a second of each caller together.
    fn rate(&self, callers: usize, call: impl Fn(&mut Random) + Sync, seed: u64) -> f64 {
        let (begun, calls) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            for caller in 0..callers as u64 {
                let (call, calls) = (&call, &calls);
                scope.spawn(move || {
                    let mut random = Random::new(seed * 1000 + caller + 1);
                    while begun.elapsed() < self.sample {
                        (0..CALLS).for_each(|_| call(&mut random));
                        calls.fetch_add(CALLS, Ordering::Relaxed);
                    }
                });
            }
        });
        calls.into_inner() as f64 / begun.elapsed().as_secs_f64()
    }

    fn compare(&self, what: &str, listener: &Arc<Listener>, rate: impl Fn(u64) -> f64) {
        let [mut heard, mut alone] = [const { Samples::new() }; 2];
        rate(0);
        for round in 1..=self.rounds {
            // The first of a pair is now the one, now the other.
            for turn in 0..2 {
                let listens = (round + turn) % 2 == 0;
                self.listen(listens.then_some(listener));
                let sample = rate(round);
                match listens {
                    true => heard.push(sample),
                    false => alone.push(sample),
                }
            }
        }
        self.listen(None);
        println!("\n{what}, a second: median (min to max)");
        println!("  nobody listens   {}", alone.spread(0));
        println!("  somebody listens {}", heard.spread(0));
        println!("  ratio            {}", heard.over(&alone).spread(3));
    }
}

/// Nanoseconds of a hit of pages that are in the pool.
fn hit_ns(kernel: &Kernel, rounds: u64) -> Samples {
    let (pool, mut samples) = (kernel.pool(), Samples::new());
    let resident = pool.resident_pages();
    let pages: Vec<PageId> = resident
        .iter()
        .map(|frame| frame.page)
        .filter(|page| page.tablespace() == TablespaceId::MAIN)
        .take(HIT_PAGES as usize)
        .collect();
    for round in 0..rounds {
        let mut random = Random::new(round + 1);
        let ((), taken) = timed(|| {
            for _ in 0..HIT_CALLS {
                let page = pages[random.below(pages.len() as u64) as usize];
                black_box(pool.read(page, |view| view.word(1)).unwrap());
            }
        });
        samples.push(taken.as_nanos() as f64 / HIT_CALLS as f64);
    }
    samples
}

/// MiB of memory that the process has now.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let now = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    now.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

fn main() {
    let args = Args::parse(&["rounds", "sample-ms", "rows", "pool-mb"]);
    let (rounds, pool_mb) = (args.number("rounds", 15), args.number("pool-mb", 256));
    print_machine();
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let disk = Arc::new(RealDisk::new(folder.path().to_owned()));
    let options = KernelOptions {
        pool_bytes: pool_mb << 20,
        ..KernelOptions::default()
    };
    let before_mib = resident_mib();
    let kernel = Kernel::open(disk, "store", Arc::new(SystemClock::new()), &SystemRng, options);
    let bench = Bench {
        kernel: Arc::new(kernel.unwrap()),
        rows: AtomicU64::new(args.number("rows", 200_000)),
        sample: Duration::from_millis(args.number("sample-ms", 400)),
        rounds,
    };
    let rows = bench.rows.load(Ordering::Relaxed);
    for first in (0..rows).step_by(ROWS_A_COMMIT as usize) {
        bench.put(first..(first + ROWS_A_COMMIT).min(rows));
    }
    println!(
        "{rounds} rounds, {:?} a sample, interleaved; {rows} rows",
        bench.sample
    );
    println!(
        "\na hit of the pool, ns, {HIT_PAGES} pages: {}",
        hit_ns(&bench.kernel, rounds).spread(1)
    );

    let listener = Arc::new(Listener {
        topic: Topic::new(),
        first_hit: AtomicU64::new(NOTHING),
        first_miss: AtomicU64::new(NOTHING),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (_, mut told) = listener.topic.subscribe(|told| Some(*told)).into_parts();
    runtime.spawn(async move { while told.next().await.is_some() {} });

    let kernel = Arc::clone(&bench.kernel);
    let snapshot = kernel.snapshot();
    bench.compare("point reads in one snapshot", &listener, |round| {
        let get = |random: &mut Random| {
            let key = random.below(rows).to_be_bytes();
            black_box(snapshot.get(SPACE, &key).unwrap().unwrap());
        };
        bench.rate(1, get, round)
    });
    drop(snapshot);
    let next = || bench.rows.fetch_add(1, Ordering::Relaxed);
    for writers in [1, WRITERS] {
        bench.compare(
            &format!("durable commits of one row, {writers} callers"),
            &listener,
            |round| bench.rate(writers, |_| bench.put(std::iter::once(next())), round),
        );
    }
    bench.compare("rows of commits of 1,000 rows", &listener, |round| {
        let load = |_: &mut Random| {
            let first = bench.rows.fetch_add(1_000, Ordering::Relaxed);
            bench.put(first..first + 1_000);
        };
        let (begun, mut commits) = (Instant::now(), 0);
        while begun.elapsed() < bench.sample {
            load(&mut Random::new(round));
            commits += 1;
        }
        f64::from(commits) * 1_000.0 / begun.elapsed().as_secs_f64()
    });
    let (held_mib, pool_mib) = (resident_mib() - before_mib, pool_mb as f64);
    println!(
        "\nmemory of the store after all of it: {held_mib:.0} MiB, {:.3} of its pool",
        held_mib / pool_mib
    );
}
