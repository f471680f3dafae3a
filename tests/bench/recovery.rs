//! How fast a store that crashed opens again.
//!
//! `cargo bench -p rustydb-store --bench recovery [-- OPTIONS]`. A process fills a store without a checkpoint and ends without
//! closing it; another opens a copy of what it left, once a round, and says how long that took and how much memory. The copy
//! is in the machine's memory and on the disk, so that neither is waited for. The bar is 200 MB of log a second.
//!
//! | option | |
//! |---|---|
//! | `--only small,big,random` | commits of one row of 100 bytes, of one value of 100 kB, of updates of rows at random |
//! | `--log-mb 256` | log to read: as much as a store with the settings that it comes with ever has to |
//! | `--pool-mb 256` | the pool |
//! | `--rounds 5` | |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark asks the machine for the time and says what it finds"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustydb_kernel::error::KernelError;
use rustydb_kernel::kernel::{Kernel, KernelOptions, OpenPhase, OpenProgress, Ticket};
use rustydb_runtime::disk::RealDisk;
use rustydb_runtime::{Clock, SystemClock, SystemRng};
use support::{Args, Random, Samples, print_machine};

const LOADS: [&str; 3] = ["small", "big", "random"];
const SPACE: u64 = 1024;
const NAME: &str = "store";
const SMALL_BYTES: usize = 100;
const BIG_BYTES: usize = 100_000;
/// Rows that are there before the updates.
const ROWS: u64 = 500_000;
const ROWS_A_COMMIT: u64 = 10_000;
/// Commits between two waits: the log is the same as if each had been waited for, but for marks.
const COMMITS_A_WAIT: u64 = 64;
const MIB: u64 = 1 << 20;

fn open(folder: &Path, pool_mb: u64, progress: OpenProgress) -> Kernel {
    let options = KernelOptions {
        pool_bytes: pool_mb * MIB,
        checkpoint_bytes: u64::MAX,
        progress,
        ..KernelOptions::default()
    };
    let disk = Arc::new(RealDisk::new(folder.to_owned()));
    Kernel::open(disk, NAME, Arc::new(SystemClock::new()), &SystemRng, options).unwrap()
}

/// One row set; its value goes into the change log too, as tables do it.
fn put(kernel: &Kernel, keys: impl Iterator<Item = u64>, bytes: usize, random: &mut Random) -> Ticket {
    let made = kernel.commit(SystemClock::new().now_us(), |commit| {
        for key in keys {
            let value: Vec<u8> = (0..bytes.div_ceil(8))
                .flat_map(|_| random.next().to_le_bytes())
                .take(bytes)
                .collect();
            commit.write(SPACE, &key.to_be_bytes(), Some(&value))?;
            commit.log(value);
        }
        Ok::<_, KernelError>(())
    });
    made.unwrap().1
}

/// Makes a store with so much log behind its last checkpoint and ends the process without closing it.
fn fill(folder: &Path, load: &str, log_mb: u64, pool_mb: u64) -> ! {
    let kernel = open(folder, pool_mb, OpenProgress::default());
    let mut random = Random::new(1);
    if load == "random" {
        for first in (0..ROWS).step_by(ROWS_A_COMMIT as usize) {
            let ticket = put(&kernel, first..first + ROWS_A_COMMIT, SMALL_BYTES, &mut random);
            kernel.wait(ticket).unwrap();
        }
    }
    kernel.checkpoint().unwrap();
    let begun = kernel.wal().end();
    let mut next = 0;
    while kernel.wal().end().0 - begun.0 < log_mb * MIB {
        let (key, bytes) = match load {
            "small" => (next, SMALL_BYTES),
            "big" => (next, BIG_BYTES),
            _ => (random.below(ROWS), SMALL_BYTES),
        };
        let ticket = put(&kernel, std::iter::once(key), bytes, &mut random);
        if next % COMMITS_A_WAIT == 0 {
            kernel.wait(ticket).unwrap();
        }
        next += 1;
    }
    kernel.wait_for_all().unwrap();
    exit(0)
}

/// Opens what was left and prints: bytes of log, microseconds to the end of the log and to the open store, KiB of memory at most.
fn recover(folder: &Path, pool_mb: u64) -> ! {
    let progress = OpenProgress::default();
    let (seen, opened) = (progress.clone(), AtomicBool::new(false));
    let begun = Instant::now();
    let (kernel, read, open) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while seen.now().phase < OpenPhase::Writing && !opened.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            begun.elapsed()
        });
        let kernel = open(folder, pool_mb, progress);
        let open = begun.elapsed();
        opened.store(true, Ordering::Relaxed);
        (kernel, watch.join().unwrap(), open)
    });
    let recovery = kernel.recovery();
    let bytes = recovery.end.0 - recovery.redo.0;
    println!("{bytes} {} {} {}", read.as_micros(), open.as_micros(), peak_kib());
    exit(0)
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// The folder as it is, durably.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
            continue;
        }
        fs::copy(entry.path(), &to).unwrap();
        fs::File::options()
            .write(true)
            .open(&to)
            .unwrap()
            .sync_all()
            .unwrap();
    }
}

/// This program once more, in the part that is named; what it printed.
fn part(part: &str, folder: &Path, load: &str, log_mb: u64, pool_mb: u64) -> String {
    let done = Command::new(std::env::current_exe().unwrap())
        .args([
            "--part",
            part,
            "--folder",
            folder.to_str().unwrap(),
            "--only",
            load,
        ])
        .args(["--log-mb", &log_mb.to_string(), "--pool-mb", &pool_mb.to_string()])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{part} of {load}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

fn main() {
    let args = Args::parse(&["only", "log-mb", "pool-mb", "rounds", "part", "folder"]);
    let (log_mb, pool_mb) = (args.number("log-mb", 256), args.number("pool-mb", 256));
    let loads = args.list("only", &LOADS);
    if let (Some(part), Some(folder)) = (args.text("part"), args.text("folder")) {
        match part {
            "fill" => fill(Path::new(folder), &loads[0], log_mb, pool_mb),
            _ => recover(Path::new(folder), pool_mb),
        }
    }
    let rounds = args.number("rounds", 5);
    print_machine();
    println!("{rounds} rounds, about {log_mb} MiB of log each, a pool of {pool_mb} MiB; MB are 10^6 bytes");
    for load in &loads {
        assert!(
            LOADS.contains(&load.as_str()),
            "{load}: there are {}",
            LOADS.join(", ")
        );
        let scratch = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let made = scratch.path().join("made");
        fs::create_dir(&made).unwrap();
        part("fill", &made, load, log_mb, pool_mb);
        let [mut read, mut open, mut peak] = [const { Samples::new() }; 3];
        let mut bytes = 0.0;
        for round in 0..rounds {
            let crashed = scratch.path().join(format!("crashed{round}"));
            copy(&made, &crashed);
            let told = part("recover", &crashed, load, log_mb, pool_mb);
            let told: Vec<f64> = told
                .split_whitespace()
                .map(|word| word.parse().unwrap())
                .collect();
            bytes = told[0];
            read.push(bytes / told[1]);
            open.push(bytes / told[2]);
            peak.push(told[3] / 1024.0);
            fs::remove_dir_all(&crashed).unwrap();
        }
        println!("\n{load}, {:.0} MB of log: median (min to max)", bytes / 1e6);
        println!("  MB/s until all is made again       {}", read.spread(0));
        println!("  MB/s until the store is open       {}", open.spread(0));
        println!("  memory of the process at most, MiB {}", peak.spread(0));
    }
}
