//! What the tests of the log share: a log on a simulated disk, and groups that say what they are.

use std::sync::Arc;

use rustydb_runtime::disk::{Disk, SimDisk};
use rustydb_runtime::{ManualClock, SeededRng};

use crate::error::Result;
use crate::ids::{Lsn, Ts};
use crate::wal::{Wal, WalOptions, WalPosition, WalSetup};

pub const FOLDER: &str = "kernel/wal";

pub const SMALL: WalOptions = WalOptions {
    segment_bytes: 64 << 10,
    buffer_bytes_max: 16 << 10,
    spare_segments_max: 2,
};

pub fn setup(disk: &SimDisk, options: WalOptions) -> WalSetup {
    setup_on(Arc::new(disk.clone()), options)
}

pub fn setup_on(disk: Arc<dyn Disk>, options: WalOptions) -> WalSetup {
    WalSetup {
        disk,
        clock: Arc::new(ManualClock::new(1_700_000_000_000_000)),
        folder: FOLDER.to_owned(),
        epoch: 0x5eed_ab1e,
        options,
        events: None,
        progress: Default::default(),
    }
}

/// The seeds of a random test: so many times `range` as RUSTYDB_TEST_SEEDS says, once where it is not set.
pub fn seeds(range: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let times = std::env::var("RUSTYDB_TEST_SEEDS").map_or(1, |times| times.parse().expect("a number"));
    range.start..range.start + (range.end - range.start) * times
}

/// A group as the model keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub lsn: Lsn,
    pub end: Lsn,
    pub ts: Ts,
    pub body: Vec<u8>,
}

pub fn bytes(rng: &SeededRng, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    rustydb_runtime::Rng::fill(rng, &mut body);
    body
}

/// Appends a group in up to three slices.
pub fn append(wal: &Wal, rng: &SeededRng, ts: Ts, length: usize) -> Result<Kept> {
    let body = bytes(rng, length);
    let (a, b) = (
        rng.below(length as u64 + 1) as usize,
        rng.below(length as u64 + 1) as usize,
    );
    let appended = wal.append(
        ts,
        &[&body[..a.min(b)], &body[a.min(b)..a.max(b)], &body[a.max(b)..]],
    )?;
    Ok(Kept {
        lsn: appended.start,
        end: appended.end,
        ts,
        body,
    })
}

/// Sizes of groups: mostly small, some around the size of a fragment's header, some above a segment.
pub fn length(rng: &SeededRng) -> usize {
    let most = match rng.below(20) {
        0 => 1,
        1..=9 => 200,
        10..=15 => 3_000,
        16..=18 => 70_000,
        _ => 400_000,
    };
    rng.below(most + 1) as usize
}

pub fn open(setup: WalSetup, from: WalPosition) -> Result<(Wal, Vec<Kept>)> {
    let mut groups = Vec::new();
    let wal = Wal::open(setup, from, &mut |group| {
        groups.push(Kept {
            lsn: group.lsn,
            end: group.end,
            ts: group.ts,
            body: group.body.to_vec(),
        });
        Ok(())
    })?;
    Ok((wal, groups))
}

/// All that a reader gives behind `after`.
pub fn read_after(wal: &Wal, after: Ts) -> Result<Vec<Kept>> {
    let mut reader = wal.read_after(after)?;
    let mut groups = Vec::new();
    while let Some(group) = reader.next_group()? {
        groups.push(Kept {
            lsn: group.lsn,
            end: group.end,
            ts: group.ts,
            body: group.body.to_vec(),
        });
    }
    Ok(groups)
}
