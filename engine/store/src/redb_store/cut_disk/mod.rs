//! A disk that remembers every operation, so that a test can cut the power at each of them.
//!
//! A load runs once on a [`CutDisk`]. The disk keeps the order of all writes, changes of length and syncs.
//! Afterwards [`CutDisk::cuts`] walks through every moment of the load; at each one everything up to the last
//! finished sync is on the platter, and of the rest an adversary chooses what survives ([`Survival`]). The
//! test opens each such image and compares it with what had been acknowledged by then:
//!
//! ```text
//! operation   0 write   1 write   2 sync   3 write   4 write   5 sync
//! cut at 4                            ^ durable: 0, 1    unsynced: 3    not issued: 4, 5
//! ```
//!
//! That is the same as killing the load once per operation, because a load can't see a cut coming, and it costs
//! one run instead of thousands. What it does not model: bits that rot, writes that go astray, and a disk
//! that reports a sync that did not happen.

mod image;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;
use rustydb_runtime::SeededRng;

pub use self::image::Image;

/// Disks write sectors of this size whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// What an adversary lets survive of the operations since the last finished sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// None of them.
    Nothing,
    /// All of them: with a cut at every operation, every prefix.
    Everything,
    /// Every second one; which half depends on the cut.
    Alternating,
    /// Of each write a random choice of its 512-byte sectors; changes of length survive.
    Torn,
}

impl Survival {
    pub const ALL: [Survival; 4] = [
        Survival::Nothing,
        Survival::Everything,
        Survival::Alternating,
        Survival::Torn,
    ];
}

/// An operation that a disk is told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Sync,
    Write,
    SetLen,
}

#[derive(Debug, Clone)]
enum Operation {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
    Sync,
}

struct State {
    /// Where the journal begins, all of it durable.
    base: Image,
    /// What a read sees: every operation applied.
    current: Image,
    journal: Vec<Operation>,
    fault: Option<Fault>,
}

/// The disk. Clones are handles of the same one.
#[derive(Clone)]
pub struct CutDisk {
    state: Arc<Mutex<State>>,
}

impl CutDisk {
    /// A disk that holds `image`, durably; [`Image::default`] is an empty one.
    pub fn new(image: Image) -> CutDisk {
        let state = State {
            base: image.clone(),
            current: image,
            journal: Vec::new(),
            fault: None,
        };
        CutDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What a store is opened on.
    pub fn backend(&self) -> CutBackend {
        CutBackend { disk: self.clone() }
    }

    /// Operations issued so far: a cut here loses whatever comes later.
    pub fn position(&self) -> usize {
        self.state.lock().journal.len()
    }

    /// Syncs finished so far.
    pub fn syncs(&self) -> usize {
        let state = self.state.lock();
        state
            .journal
            .iter()
            .filter(|operation| matches!(operation, Operation::Sync))
            .count()
    }

    /// Makes the named operation fail from now on; `None` makes the disk well again.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }

    /// The disk after a cut at this moment.
    pub fn cut_now(&self, survival: Survival) -> Image {
        let last = self
            .cuts()
            .last()
            .expect("a disk can always be cut before its first operation");
        last.image(survival)
    }

    /// Every moment of the disk's life so far, from before the first operation to after the last.
    pub fn cuts(&self) -> Cuts {
        let state = self.state.lock();
        Cuts {
            journal: state.journal.clone(),
            durable: state.base.clone(),
            synced: 0,
            next: 0,
        }
    }
}

/// Iterates over the moments of a disk's life. See [`CutDisk::cuts`].
pub struct Cuts {
    journal: Vec<Operation>,
    durable: Image,
    /// Operations before this one are in `durable`.
    synced: usize,
    next: usize,
}

impl Iterator for Cuts {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let position = self.next;
        if position > self.journal.len() {
            return None;
        }
        self.next += 1;
        if position > 0 && matches!(self.journal[position - 1], Operation::Sync) {
            for operation in &self.journal[self.synced..position] {
                apply(&mut self.durable, operation);
            }
            self.synced = position;
        }
        let unsynced = self.journal[self.synced..position].to_vec();
        Some(Cut {
            position,
            durable: self.durable.clone(),
            unsynced,
        })
    }
}

/// One moment at which the power fails.
pub struct Cut {
    position: usize,
    durable: Image,
    unsynced: Vec<Operation>,
}

impl Cut {
    /// Operations issued before the cut.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Operations issued but not synced: with none, every survival gives the same image.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// What the disk holds when it is switched on again.
    pub fn image(&self, survival: Survival) -> Image {
        let mut image = self.durable.clone();
        let rng = SeededRng::new(self.position as u64);
        for (index, operation) in self.unsynced.iter().enumerate() {
            match survival {
                Survival::Nothing => {}
                Survival::Everything => apply(&mut image, operation),
                Survival::Alternating if (index + self.position).is_multiple_of(2) => {
                    apply(&mut image, operation)
                }
                Survival::Alternating => {}
                Survival::Torn => apply_torn(&mut image, operation, &rng),
            }
        }
        image
    }
}

fn apply(image: &mut Image, operation: &Operation) {
    match operation {
        Operation::Write { offset, data } => image.write_clipped(*offset, data),
        Operation::SetLen(len) => image.set_len(*len),
        Operation::Sync => {}
    }
}

fn apply_torn(image: &mut Image, operation: &Operation, rng: &SeededRng) {
    let Operation::Write { offset, data } = operation else {
        return apply(image, operation);
    };
    let (mut at, mut rest) = (*offset, &data[..]);
    while !rest.is_empty() {
        let sector_end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let (sector, behind) = rest.split_at(rest.len().min((sector_end - at) as usize));
        if rng.below(2) == 0 {
            image.write_clipped(at, sector);
        }
        (at, rest) = (sector_end, behind);
    }
}

/// The seam through which redb uses a [`CutDisk`].
pub struct CutBackend {
    disk: CutDisk,
}

impl std::fmt::Debug for CutBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutBackend")
            .field("operations", &self.disk.position())
            .finish()
    }
}

impl CutBackend {
    fn issue(&self, operation: Operation, fails_on: Fault) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if state.fault == Some(fails_on) {
            return Err(io::Error::other(format!(
                "the disk was told to fail every {fails_on:?}"
            )));
        }
        apply(&mut state.current, &operation);
        state.journal.push(operation);
        Ok(())
    }
}

impl StorageBackend for CutBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().current.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.disk.state.lock().current.read(offset, out) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{} bytes at {offset} reach behind the end", out.len()),
        ))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.issue(Operation::SetLen(len), Fault::SetLen)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.issue(Operation::Sync, Fault::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.issue(
            Operation::Write {
                offset,
                data: data.into(),
            },
            Fault::Write,
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bytes(image: &Image) -> Vec<u8> {
        let mut bytes = vec![0; image.len() as usize];
        assert!(image.read(0, &mut bytes));
        bytes
    }

    /// Length 2, A at 0, sync, B at 0, C at 1: each cut and survival against what is written by hand.
    #[test]
    fn cuts_lose_exactly_what_was_not_synced() {
        let disk = CutDisk::new(Image::default());
        let backend = disk.backend();
        backend.set_len(2).unwrap();
        backend.write(0, b"A").unwrap();
        backend.sync_data().unwrap();
        backend.write(0, b"B").unwrap();
        backend.write(1, b"C").unwrap();
        let mut seen = Vec::new();
        for cut in disk.cuts() {
            let of = |survival| bytes(&cut.image(survival));
            seen.push((
                cut.unsynced(),
                of(Survival::Nothing),
                of(Survival::Everything),
                of(Survival::Alternating),
            ));
        }
        let image = |text: &[u8]| text.to_vec();
        assert_eq!(
            seen,
            [
                (0, image(b""), image(b""), image(b"")),
                (1, image(b""), image(b"\0\0"), image(b"")),
                (2, image(b""), image(b"A\0"), image(b"\0\0")),
                (0, image(b"A\0"), image(b"A\0"), image(b"A\0")),
                (1, image(b"A\0"), image(b"B\0"), image(b"B\0")),
                (2, image(b"A\0"), image(b"BC"), image(b"AC")),
            ]
        );
    }

    #[test]
    fn a_torn_write_keeps_whole_sectors_only() {
        let disk = CutDisk::new(Image::default());
        let backend = disk.backend();
        backend.set_len(64 * 512).unwrap();
        backend.sync_data().unwrap();
        backend.write(0, &[7; 64 * 512]).unwrap();
        let torn = bytes(&disk.cut_now(Survival::Torn));
        let sectors: Vec<&[u8]> = torn.chunks(512).collect();
        assert!(
            sectors
                .iter()
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        assert!(sectors.iter().any(|sector| sector[0] == 7) && sectors.iter().any(|sector| sector[0] == 0));
    }

    #[test]
    fn a_failing_operation_changes_nothing() {
        let disk = CutDisk::new(Image::default());
        let backend = disk.backend();
        backend.set_len(1).unwrap();
        disk.fail(Some(Fault::Write));
        backend.write(0, b"x").unwrap_err();
        backend.sync_data().unwrap();
        disk.fail(None);
        assert_eq!(bytes(&disk.cut_now(Survival::Everything)), b"\0");
    }
}
