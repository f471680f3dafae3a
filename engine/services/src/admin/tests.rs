//! What the server tells of itself moves with what it tells of.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;

use rustydb_contract::Timestamp;
use rustydb_contract_admin::ServerInfo;
use rustydb_runtime::{Clock as _, ManualClock};

use super::ServerFacts;

fn info(clock: &Arc<ManualClock>, folder: &Path) -> ServerInfo {
    ServerFacts::starting(Arc::clone(clock) as _, folder.to_owned())
        .server_info()
        .unwrap()
}

#[test]
fn the_uptime_counts_from_the_start() {
    let (clock, folder) = (
        Arc::new(ManualClock::new(5_000_000)),
        tempfile::tempdir().unwrap(),
    );
    clock.advance_us(123_000_000);
    let facts = ServerFacts::starting(Arc::clone(&clock) as _, folder.path().to_owned());
    for (advance_us, seconds) in [(0, 0), (999_999, 0), (1, 1), (86_400_000_000, 86_401)] {
        clock.advance_us(advance_us);
        let info = facts.server_info().unwrap();
        assert_eq!(info.uptime_seconds, seconds);
        assert_eq!(info.started_at, Timestamp::from_micros(128_000_000));
    }
    assert_eq!(
        info(&clock, folder.path()).started_at,
        Timestamp::from_micros(clock.now_us())
    );
}

#[test]
fn the_data_size_follows_the_files() {
    let (clock, folder) = (Arc::new(ManualClock::new(0)), tempfile::tempdir().unwrap());
    assert_eq!(info(&clock, folder.path()).data_bytes, 0);
    std::fs::write(folder.path().join("store"), vec![1; 5_000]).unwrap();
    assert_eq!(info(&clock, folder.path()).data_bytes, 5_000);
    std::fs::remove_file(folder.path().join("store")).unwrap();
    assert_eq!(info(&clock, folder.path()).data_bytes, 0);
    let facts = ServerFacts::starting(clock, folder.path().join("missing"));
    assert_eq!(facts.server_info().unwrap_err().code(), "INTERNAL");
}

#[test]
fn the_data_directory_is_told_in_full() {
    let clock = Arc::new(ManualClock::new(0));
    let told = info(&clock, Path::new(".")).data_dir;
    assert!(Path::new(&told).is_absolute(), "{told}");
    assert_eq!(Path::new(&told), std::env::current_dir().unwrap());
}

#[test]
fn the_memory_of_the_process_grows_with_what_it_holds() {
    const HELD_BYTES: usize = 128 << 20;
    let (clock, folder) = (Arc::new(ManualClock::new(0)), tempfile::tempdir().unwrap());
    let before = info(&clock, folder.path()).memory_process_bytes;
    let held = std::hint::black_box(vec![1_u8; HELD_BYTES]);
    let after = info(&clock, folder.path()).memory_process_bytes;
    assert_eq!(held[HELD_BYTES - 1], 1);
    // Tests beside this one take and give back a few megabytes.
    let grown = after.saturating_sub(before);
    assert!(
        (HELD_BYTES as u64 / 2..HELD_BYTES as u64 * 2).contains(&grown),
        "{before} -> {after}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_machine_is_the_one_that_the_kernel_describes() {
    let (clock, folder) = (Arc::new(ManualClock::new(0)), tempfile::tempdir().unwrap());
    let info = info(&clock, folder.path());
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total_kib: u64 = meminfo
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(info.memory_total_bytes, total_kib * 1_024);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let pid = status.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
    assert_eq!(info.process_id, pid.trim().parse::<u32>().unwrap());
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed:"))
        .unwrap();
    let allowed: u32 = mask
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(u32::count_ones)
        .sum();
    assert!((1..=allowed).contains(&info.cpus), "{} of {allowed}", info.cpus);
    assert_eq!((info.os.as_str(), info.name.as_str()), ("linux", "RustyDB"));
}
