//! Files that are not what was written there: it is told, never a wrong value, never a panic; and what is not damaged
//! is read.

use std::sync::Arc;

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::{PAGE_BYTES, PageBuf, bitmap, header};
use rustydb_runtime::disk::simulated::{Fault, SimDisk, Survival};
use rustydb_runtime::disk::{Disk, OpenMode};
use rustydb_runtime::{ManualClock, SeededRng};

use crate::driven::{Driven, History, SPACES};
use crate::random::{Places, open, seed_of};

const PAGES: &str = "kernel/tablespaces/00000/0000.pages";

/// A store that is not open, and what it held.
struct Closed {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    history: History,
}

impl Closed {
    fn new(seed: u64, commits: u64) -> Closed {
        let Driven {
            disk,
            clock,
            kernel,
            history,
            ..
        } = Driven::after(seed, commits);
        drop(kernel);
        Closed { disk, clock, history }
    }

    /// Copies of the disk do not see each other.
    fn image(&self) -> SimDisk {
        self.disk.crash(Survival::Everything)
    }

    /// Opens a damaged store and reads all there is. `damaged` is the space that may not be readable; without one any
    /// may be, and the store as well. What can be read must be right. Whether anything could not.
    fn check(&self, disk: &SimDisk, damaged: Option<u64>, context: &str) -> bool {
        let kernel = match open(disk, &self.clock) {
            Ok(kernel) => kernel,
            Err(error) => {
                assert!(damaged.is_none(), "{context}: {error}");
                check_typed(&error, context);
                return true;
            }
        };
        let newest = self.history.newest();
        assert_eq!(kernel.newest(), newest.newest, "{context}: newest commit");
        let mut told = false;
        for space in SPACES {
            if let Err(error) = self.read(&kernel, space, context) {
                check_typed(&error, context);
                assert!(
                    damaged.is_none_or(|damaged| damaged == space),
                    "{context}: space {space} is not readable: {error}"
                );
                told = true;
            }
        }
        told |= self.read_log(&kernel, context);
        match kernel.check() {
            Ok(report) => told |= !report.findings.is_empty(),
            Err(error) => {
                check_typed(&error, context);
                told = true;
            }
        }
        told
    }

    fn read(&self, kernel: &Kernel, space: u64, context: &str) -> Result<(), KernelError> {
        let snapshot = kernel.snapshot();
        let expected = self.history.newest().all(space, snapshot.ts());
        let mut failed = None;
        for (key, ts, value) in &expected {
            match snapshot.get(space, key) {
                Ok(found) => {
                    let found = found.map(|found| (found.ts, found.value));
                    assert!(
                        found == Some((*ts, value.clone())),
                        "{context}: space {space} key {key:?}"
                    );
                }
                Err(error) => failed = Some(error),
            }
        }
        for back in [false, true] {
            let mut found = match back {
                false => snapshot.scan(space, &[], None, usize::MAX)?,
                true => snapshot.scan_back(space, &[], None, usize::MAX)?,
            };
            if back {
                found.reverse();
            }
            let found: Vec<(Vec<u8>, Ts, Vec<u8>)> = found
                .into_iter()
                .map(|(key, version)| (key, version.ts, version.value))
                .collect();
            assert!(found == expected, "{context}: space {space}");
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether a part of the change log is told to be damaged.
    fn read_log(&self, kernel: &Kernel, context: &str) -> bool {
        let model = self.history.newest();
        match kernel.log_after(model.trimmed_to, usize::MAX) {
            Ok(found) => {
                let found: Vec<_> = found
                    .unwrap_or_else(|trimmed| panic!("{context}: trimmed to {trimmed:?}"))
                    .into_iter()
                    .map(|group| (group.ts, group.committed_at_us, group.entries))
                    .collect();
                assert!(found == model.log_after(model.trimmed_to), "{context}: the log");
                false
            }
            Err(error) => {
                check_typed(&error, context);
                true
            }
        }
    }

    /// Pages in use, by their map, with their owners.
    fn pages_in_use(&self) -> Vec<(u32, u64)> {
        let bytes = self.disk.contents()[PAGES].clone().unwrap();
        let page = |number: u32| PageBuf::from_slice(&bytes[number as usize * PAGE_BYTES..][..PAGE_BYTES]);
        let map = page(bitmap::map_page(0)).unwrap();
        (0..(bytes.len() / PAGE_BYTES) as u32)
            .filter(|number| bitmap::get(&map, *number as u16).unwrap())
            .map(|number| (number, header::owner(&page(number).unwrap()[..])))
            .collect()
    }
}

fn check_typed(error: &KernelError, context: &str) {
    assert!(
        matches!(
            error,
            KernelError::CorruptPage { .. }
                | KernelError::CorruptLog { .. }
                | KernelError::CorruptFile { .. }
                | KernelError::FormatVersion { .. }
        ),
        "{context}: {error}"
    );
}

/// The space that a page with this owner belongs to; `None` of the store's own.
fn space_of(owner: u64, kind: Option<header::PageKind>) -> Option<u64> {
    use header::PageKind::{Overflow, TreeInner, TreeLeaf};
    let of_a_tree = matches!(kind, Some(TreeLeaf | TreeInner | Overflow));
    (of_a_tree && SPACES.contains(&owner)).then_some(owner)
}

#[test]
fn a_flipped_bit_of_a_page_is_told_and_isolated() {
    let seed = seed_of("a_flipped_bit_of_a_page", 1);
    let closed = Closed::new(seed, 250);
    let rng = SeededRng::new(seed);
    let bytes = closed.disk.contents()[PAGES].clone().unwrap();
    let pages = closed.pages_in_use();
    let sampled = Places::soak().map_or(60.min(pages.len()), |_| pages.len());
    let mut told = 0;
    for at in 0..sampled {
        let (number, owner) = pages[at * pages.len() / sampled];
        let page = &bytes[number as usize * PAGE_BYTES..][..PAGE_BYTES];
        let bit = rng.below(PAGE_BYTES as u64 * 8);
        let context = format!("RUSTYDB_SEED={seed} page {number} of {owner} bit {bit}");
        let disk = closed.image();
        disk.flip_bit(PAGES, u64::from(number) * PAGE_BYTES as u64 * 8 + bit)
            .unwrap();
        let space = space_of(owner, header::kind(page));
        if closed.check(&disk, space, &context) {
            told += 1;
        } else {
            panic!("{context}: nothing was told");
        }
    }
    eprintln!("{told} of {} pages in use were damaged, and told", pages.len());
}

#[test]
fn a_page_that_landed_elsewhere_is_told_and_isolated() {
    let seed = seed_of("a_page_that_landed_elsewhere", 1);
    let closed = Closed::new(seed, 250);
    let rng = SeededRng::new(seed);
    let bytes = closed.disk.contents()[PAGES].clone().unwrap();
    let pages = closed.pages_in_use();
    for _ in 0..Places::soak().unwrap_or(40) {
        let (from, _) = pages[rng.below(pages.len() as u64) as usize];
        let (to, owner) = pages[rng.below(pages.len() as u64) as usize];
        // A whole page, or half of it at a multiple of 4096.
        let (start, length) = [(0, PAGE_BYTES), (0, 4096), (4096, 4096)][rng.below(3) as usize];
        let context = format!("RUSTYDB_SEED={seed} {length} bytes of page {from} at page {to} + {start}");
        let source = &bytes[from as usize * PAGE_BYTES + start..][..length];
        let target = to as usize * PAGE_BYTES + start;
        if source == &bytes[target..][..length] {
            continue;
        }
        let disk = closed.image();
        let file = disk.open(PAGES, OpenMode::Existing).unwrap();
        file.write_at(source, target as u64).unwrap();
        let space = space_of(owner, header::kind(&bytes[to as usize * PAGE_BYTES..]));
        assert!(
            closed.check(&disk, space, &context),
            "{context}: nothing was told"
        );
    }
}

#[test]
fn a_flipped_bit_of_the_control_file_falls_back_or_is_told() {
    let seed = seed_of("a_flipped_bit_of_the_control_file", 1);
    let rng = SeededRng::new(seed);
    let mut fell_back = 0;
    for commits in [5, 60, 61] {
        let closed = Closed::new(seed + commits, commits);
        for round in 0..Places::soak().unwrap_or(60) {
            // Most of the slots is padding; its beginning holds what counts.
            let within = if round % 3 == 0 { 4096 } else { 112 };
            let bit = (round % 2 * 4096 + rng.below(within)) * 8 + rng.below(8);
            let context = format!("RUSTYDB_SEED={seed} {commits} commits, bit {bit} of the control file");
            let disk = closed.image();
            disk.flip_bit("kernel/control", bit).unwrap();
            fell_back += u64::from(!closed.check(&disk, None, &context));
        }
    }
    assert!(fell_back > 0);
}

#[test]
fn a_flipped_bit_of_the_log_is_told_or_of_no_meaning() {
    let seed = seed_of("a_flipped_bit_of_the_log", 1);
    let rng = SeededRng::new(seed);
    let mut told = 0;
    for commits in [40, 120] {
        let closed = Closed::new(seed + commits, commits);
        let contents = closed.disk.contents();
        let segments: Vec<_> = contents
            .iter()
            .filter(|(path, _)| path.ends_with(".wal"))
            .collect();
        for round in 0..Places::soak().unwrap_or(80) {
            let (path, bytes) = segments[rng.below(segments.len() as u64) as usize];
            let length = bytes.as_ref().unwrap().len() as u64;
            let within = if round % 4 == 0 { 64 } else { length };
            let bit = rng.below(within * 8);
            let context = format!("RUSTYDB_SEED={seed} {commits} commits, bit {bit} of {path}");
            let disk = closed.image();
            disk.flip_bit(path, bit).unwrap();
            told += u64::from(closed.check(&disk, None, &context));
        }
    }
    assert!(told > 0);
}

/// The power failed, so that recovery reads the log: what it can't read and was acknowledged is told. The last flush
/// alone is taken for torn, since nothing says that it was whole.
#[test]
fn a_flipped_bit_of_a_log_that_is_recovered_is_told() {
    let seed = seed_of("a_flipped_bit_of_a_log_that_is_recovered", 1);
    let rng = SeededRng::new(seed);
    let mut told = 0;
    for round in 0..Places::soak().unwrap_or(60) {
        let mut driven = Driven::after(seed + round % 4, 30);
        let mut flushed = vec![driven.kernel.wal().durable().0];
        for _ in 0..12 {
            driven.step().unwrap();
            flushed.push(driven.kernel.wal().durable().0);
        }
        flushed.dedup();
        let before_last = flushed[flushed.len() - 2];
        let disk = driven.disk.crash(Survival::Nothing);
        let segment_bytes = 64 << 10;
        let bit = rng.below((before_last - segment_bytes) * 8) + segment_bytes * 8;
        let path = format!("kernel/wal/{:016x}.wal", bit / 8 / segment_bytes);
        let context = format!("RUSTYDB_SEED={seed} round {round} bit {bit} of the log, {path}");
        // It may have left the log.
        if disk.flip_bit(&path, bit % (segment_bytes * 8)).is_err() {
            continue;
        }
        let closed = Closed {
            disk: disk.clone(),
            clock: Arc::clone(&driven.clock),
            history: std::mem::replace(&mut driven.history, History::new()),
        };
        told += u64::from(closed.check(&disk, None, &context));
    }
    assert!(told > 0);
}

/// A write that lands elsewhere is lost where it belongs, too. No checksum tells that: a page may then be as old as
/// its last write before. It is a page that was there once, so each value is one that its key had once.
#[test]
fn misdirected_writes_never_panic_and_never_invent_a_value() {
    let seed = seed_of("misdirected_writes", 1);
    let rng = SeededRng::new(seed);
    for round in 0..Places::soak().unwrap_or(40) {
        let mut driven = Driven::after(seed + round % 4, 60);
        let nth = rng.below(60);
        let context = format!("RUSTYDB_SEED={seed} round {round} write {nth} is misdirected");
        driven.disk.inject(Fault::misdirect_write(nth).below("kernel"));
        for _ in 0..40 {
            if let Err(error) = driven.step_unread() {
                check_typed(&error, &context);
                break;
            }
        }
        for disk in [
            driven.disk.crash(Survival::Everything),
            driven.disk.crash(Survival::Nothing),
        ] {
            let kernel = match open(&disk, &driven.clock) {
                Ok(kernel) => kernel,
                Err(error) => {
                    check_typed(&error, &context);
                    continue;
                }
            };
            let snapshot = kernel.snapshot();
            for space in SPACES {
                for (key, version) in snapshot.scan(space, &[], None, usize::MAX).unwrap_or_default() {
                    let once = driven
                        .history
                        .newest()
                        .had(space, &key, version.ts, &version.value);
                    assert!(once, "{context}: space {space} key {key:?} {:?}", version.ts);
                }
            }
            if let Err(error) = kernel.check() {
                check_typed(&error, &context);
            }
        }
    }
}
