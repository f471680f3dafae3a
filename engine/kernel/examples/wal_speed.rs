//! How fast the log is on the disk of a folder:
//! `cargo run --release -p rustydb-kernel --example wal_speed [folder]`. Takes about 1.5 GB in a new folder below it,
//! which is removed at the end.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rustydb_kernel::error::Result;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::wal::{Wal, WalOptions, WalPosition, WalSetup};
use rustydb_runtime::disk::RealDisk;
use rustydb_runtime::{Clock, SystemClock};

const SECONDS: u64 = 3;
const GROUP_BYTES: usize = 400;

fn setup(folder: &str, name: &str) -> WalSetup {
    WalSetup {
        disk: Arc::new(RealDisk::new(folder)),
        clock: Arc::new(SystemClock::new()),
        folder: format!("{name}/wal"),
        epoch: 1,
        options: WalOptions::default(),
        events: None,
        progress: Default::default(),
    }
}

fn seconds_since(clock: &SystemClock, start_us: u64) -> f64 {
    (clock.now_mono_us() - start_us) as f64 / 1e6
}

/// `threads` commit groups of 400 bytes, each durable before the next of its thread.
fn durable_groups(folder: &str, threads: usize, out: &mut impl Write) -> io::Result<()> {
    let made = Wal::create(setup(folder, &format!("durable{threads}")), Ts(0)).map_err(io::Error::other)?;
    made.prepare().map_err(io::Error::other)?;
    let clock = SystemClock::new();
    let start = clock.now_mono_us();
    let commit = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let body = [7; GROUP_BYTES];
                while clock.now_mono_us() - start < SECONDS * 1_000_000 {
                    let group = {
                        let mut ts = commit.lock().expect("no panic");
                        *ts += 1;
                        made.append(Ts(*ts), &[&body]).expect("append")
                    };
                    made.sync_to(group.end).expect("sync");
                }
            });
        }
    });
    let (stats, seconds) = (made.stats(), seconds_since(&clock, start));
    writeln!(
        out,
        "durable groups of {GROUP_BYTES} bytes, {threads} threads: {:.0}/s, {:.0} syncs/s of {} us on average",
        stats.groups as f64 / seconds,
        stats.syncs as f64 / seconds,
        stats.sync_latency_sum_us / stats.syncs.max(1),
    )
}

/// Appends groups of `bytes` up to `total` and makes them durable once at the end.
fn append(wal: &Wal, bytes: usize, total: usize, what: &str, out: &mut impl Write) -> io::Result<()> {
    let clock = SystemClock::new();
    let body = vec![7; bytes];
    let ts = Ts(wal.position().ts.0 + 1);
    let start = clock.now_mono_us();
    for _ in 0..total / bytes {
        wal.append(ts, &[&body]).map_err(io::Error::other)?;
    }
    let appended = seconds_since(&clock, start);
    wal.flush().map_err(io::Error::other)?;
    let flushed = seconds_since(&clock, start);
    writeln!(
        out,
        "append of {} MB in groups of {bytes} bytes, {what}: {:.0} MB/s, {:.0} MB/s when durable",
        total >> 20,
        (total >> 20) as f64 / appended,
        (total >> 20) as f64 / flushed,
    )
}

fn scan(folder: &str, from: WalPosition, out: &mut impl Write) -> io::Result<()> {
    let clock = SystemClock::new();
    let start = clock.now_mono_us();
    let (mut groups, mut bytes) = (0u64, 0u64);
    let mut each = |group: rustydb_kernel::wal::Group<'_>| -> Result<()> {
        groups += 1;
        bytes += group.body.len() as u64;
        Ok(())
    };
    Wal::open(setup(folder, "append"), from, &mut each).map_err(io::Error::other)?;
    let seconds = seconds_since(&clock, start);
    writeln!(
        out,
        "opening: {groups} groups, {} MB in {seconds:.3} s, {:.0} MB/s",
        bytes >> 20,
        (bytes >> 20) as f64 / seconds,
    )
}

fn main() -> io::Result<()> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = tempfile::tempdir_in(parent)?;
    let folder = &folder.path().display().to_string();
    let out = &mut io::stdout();
    for threads in [1, 8] {
        durable_groups(folder, threads, out)?;
    }
    let wal = Wal::create(setup(folder, "append"), Ts(0)).map_err(io::Error::other)?;
    let from = wal.position();
    append(&wal, 400, 256 << 20, "segments made on the way", out)?;
    append(&wal, 20_000, 256 << 20, "segments made on the way", out)?;
    let end = wal.position();
    drop(wal);
    scan(folder, from, out)?;
    let mut again = setup(folder, "append");
    again.options.spare_segments_max = 64;
    let wal = Wal::open(again, end, &mut |_| Ok(())).map_err(io::Error::other)?;
    wal.truncate_before(end.lsn).map_err(io::Error::other)?;
    append(&wal, 400, 256 << 20, "segments used again", out)?;
    append(&wal, 20_000, 128 << 20, "segments used again", out)?;
    Ok(())
}
