//! The end of the log in memory: what is buffered and where it goes. No request to the disk is made here.

use super::fragment::{Checksum, FRAGMENT_HEADER_BYTES, FragmentHeader, Kind, Pieces, push_fragment};
use super::layout::{Layout, Step};
use super::segment::SegmentHeader;
use super::{WalPosition, WalSetup};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};

/// Capacity of a buffer that is kept when it is empty, in bytes.
const IDLE_BUFFER_BYTES_MAX: usize = 8 << 20;

/// Bytes of the log on their way to the disk.
#[derive(Debug)]
pub(super) struct Batch {
    pub start: Lsn,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct State {
    layout: Layout,
    checksum: Checksum,
    epoch: u64,
    /// The bytes of the log up to `tail` that were not yet taken to be written.
    pub buffer: Vec<u8>,
    /// An empty buffer that takes turns with it.
    idle: Vec<u8>,
    /// Where the next fragment goes. Inside a group while a large one is appended.
    tail: WalPosition,
    /// Behind the last whole group.
    pub committed: WalPosition,
    pub durable: Lsn,
    /// What the newest fragment says is durable.
    stamp: Lsn,
    /// Somebody writes or syncs.
    pub busy: bool,
    poison: Option<String>,
    /// Number of the newest segment that has a file.
    pub opened: u64,
    /// Numbers of the spare files. At least as many as segments are begun in `buffer`.
    pub spares: Vec<u64>,
    pub next_spare: u64,
}

/// A group of which a part may be in the buffer.
pub(super) struct Appending<'a> {
    body: Pieces<'a>,
    ts: Ts,
    created_at_us: i64,
    /// Where it begins: the place to read it from, and the LSN of its first fragment.
    begun: Option<(WalPosition, Lsn)>,
}

impl<'a> Appending<'a> {
    pub fn new(body: &'a [&'a [u8]], ts: Ts, created_at_us: i64) -> Appending<'a> {
        Appending {
            body: Pieces::new(body),
            ts,
            created_at_us,
            begun: None,
        }
    }

    pub fn left(&self) -> u64 {
        self.body.left()
    }
}

impl State {
    pub fn new(setup: &WalSetup, layout: Layout, end: WalPosition, opened: u64) -> State {
        State {
            layout,
            checksum: Checksum::new(setup.epoch),
            epoch: setup.epoch,
            buffer: Vec::new(),
            idle: Vec::new(),
            tail: end,
            committed: end,
            durable: end.lsn,
            stamp: end.lsn,
            busy: false,
            poison: None,
            opened,
            spares: Vec::new(),
            next_spare: 0,
        }
    }

    pub fn check(&self) -> Result<()> {
        match &self.poison {
            Some(reason) => Err(KernelError::Poisoned {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Refuses everything from now on. The first reason stays.
    pub fn poison(&mut self, error: &KernelError) {
        self.poison.get_or_insert_with(|| error.to_string());
    }

    /// Where a group of `length` bytes ends that is appended now.
    pub fn end_after(&self, length: u64) -> Lsn {
        self.layout.end_after(self.tail.lsn, length)
    }

    pub fn tail_lsn(&self) -> Lsn {
        self.tail.lsn
    }

    /// Spares that a log up to `end` needs.
    pub fn spares_needed(&self, end: Lsn) -> u64 {
        self.layout.last_number(end).saturating_sub(self.opened)
    }

    /// Adds the next fragment of the group to the buffer, with what has to stand before it. When it was the last, the
    /// group counts as appended, and where it begins and ends is returned.
    pub fn push(&mut self, group: &mut Appending<'_>) -> Option<(WalPosition, Lsn, Lsn)> {
        let before = self.tail;
        loop {
            match self.layout.step(self.tail.lsn, group.left()) {
                Step::SegmentHeader => self.push_segment_header(group.created_at_us),
                Step::Filler(bytes) => self.push_zeros(bytes),
                Step::Switch(bytes) => {
                    self.push_empty(Kind::Switch);
                    self.push_zeros(bytes - FRAGMENT_HEADER_BYTES as u64);
                }
                Step::Fragment(bytes) => {
                    let lsn = self.tail.lsn;
                    let begins = group.begun.is_none();
                    let (first, start) = *group.begun.get_or_insert((before, lsn));
                    let kind = Kind::of_piece(begins, bytes == group.left());
                    self.push_fragment(kind, start, group.ts, bytes, &mut group.body);
                    if group.left() > 0 {
                        return None;
                    }
                    self.committed = self.tail;
                    return Some((first, start, self.tail.lsn));
                }
            }
        }
    }

    fn push_segment_header(&mut self, created_at_us: i64) {
        let header = SegmentHeader {
            segment_bytes: self.layout.segment_bytes,
            number: self.layout.number(self.tail.lsn),
            epoch: self.epoch,
            first_ts: self.tail.ts,
            prev_crc: self.tail.prev_crc,
            created_at_us,
        }
        .encode();
        self.buffer.extend_from_slice(&header);
        self.tail.lsn.0 += header.len() as u64;
    }

    fn push_zeros(&mut self, bytes: u64) {
        self.buffer.resize(self.buffer.len() + bytes as usize, 0);
        self.tail.lsn.0 += bytes;
    }

    fn push_empty(&mut self, kind: Kind) {
        let (lsn, ts) = (self.tail.lsn, self.tail.ts);
        self.push_fragment(kind, lsn, ts, 0, &mut Pieces::new(&[]));
    }

    fn push_fragment(&mut self, kind: Kind, group: Lsn, ts: Ts, length: u64, body: &mut Pieces<'_>) {
        let header = FragmentHeader {
            crc: 0,
            length: length as u32,
            lsn: self.tail.lsn,
            group,
            ts,
            durable: self.durable,
            prev_crc: self.tail.prev_crc,
            kind,
        };
        self.tail.prev_crc = push_fragment(header, body, self.checksum, &mut self.buffer);
        self.tail.lsn.0 += header.total_bytes();
        self.tail.ts = ts;
        self.stamp = self.durable;
    }

    /// Adds a mark if what is durable is not yet in the log. Between groups only.
    pub fn push_mark(&mut self) {
        if self.stamp < self.durable && self.layout.fits_mark(self.tail.lsn) {
            self.push_empty(Kind::Mark);
            self.committed = self.tail;
        }
    }

    /// Adds a switch fragment and takes what is buffered; the log goes on with the next segment. `None` when nothing
    /// is in this segment yet.
    pub fn switch(&mut self) -> Option<Batch> {
        let lsn = self.tail.lsn;
        if self.layout.offset(lsn) <= super::segment::SEGMENT_HEADER_BYTES as u64 {
            return None;
        }
        if self.layout.fits_mark(lsn) {
            self.push_empty(Kind::Switch);
        }
        let batch = self.take();
        self.tail.lsn = self.layout.next_start(lsn);
        self.committed = self.tail;
        Some(batch)
    }

    /// Takes what is buffered to be written.
    pub fn take(&mut self) -> Batch {
        let bytes = std::mem::replace(&mut self.buffer, std::mem::take(&mut self.idle));
        Batch {
            start: Lsn(self.tail.lsn.0 - bytes.len() as u64),
            bytes,
        }
    }

    /// Gives back the buffer of a batch that was written.
    pub fn give_back(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= IDLE_BUFFER_BYTES_MAX {
            bytes.clear();
            self.idle = bytes;
        }
    }
}
