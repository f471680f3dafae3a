//! One fragment: a header of 48 bytes and a piece of a group. The byte table is in docs/format/log.md.

use crc_fast::{CrcAlgorithm, Digest};

use crate::ids::{Lsn, Ts};

pub(super) const FRAGMENT_HEADER_BYTES: usize = 48;

/// What a fragment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A whole group.
    Full = 1,
    First = 2,
    Middle = 3,
    Last = 4,
    /// Nothing; the rest of the segment is unused.
    Switch = 5,
    /// Nothing; it is there to say what is durable.
    Mark = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Full,
            2 => Kind::First,
            3 => Kind::Middle,
            4 => Kind::Last,
            5 => Kind::Switch,
            6 => Kind::Mark,
            _ => return None,
        })
    }

    /// Kind of a piece of a group, given whether it begins and whether it ends it.
    pub fn of_piece(begins: bool, ends: bool) -> Kind {
        match (begins, ends) {
            (true, true) => Kind::Full,
            (true, false) => Kind::First,
            (false, false) => Kind::Middle,
            (false, true) => Kind::Last,
        }
    }
}

/// Bytes that `length` bytes of body take.
pub(super) const fn padded(length: u64) -> u64 {
    length.next_multiple_of(8)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentHeader {
    pub crc: u32,
    /// Bytes of the body, without the padding behind it.
    pub length: u32,
    pub lsn: Lsn,
    pub group: Lsn,
    pub ts: Ts,
    pub durable: Lsn,
    pub prev_crc: u32,
    pub kind: Kind,
}

impl FragmentHeader {
    /// Reads the header that stands at `lsn`, `room` bytes before the end of its segment. `None` when it cannot be
    /// one; whether it is, the checksum says.
    pub fn decode(bytes: &[u8], lsn: Lsn, room: u64) -> Option<FragmentHeader> {
        let header = FragmentHeader {
            crc: u32_at(bytes, 0),
            length: u32_at(bytes, 4),
            lsn: Lsn(u64_at(bytes, 8)),
            group: Lsn(u64_at(bytes, 16)),
            ts: Ts(u64_at(bytes, 24)),
            durable: Lsn(u64_at(bytes, 32)),
            prev_crc: u32_at(bytes, 40),
            kind: Kind::from_byte(bytes[44])?,
        };
        let possible = header.lsn == lsn && header.group <= lsn && header.total_bytes() <= room;
        possible.then_some(header)
    }

    /// Header, body and padding.
    pub fn total_bytes(&self) -> u64 {
        FRAGMENT_HEADER_BYTES as u64 + padded(u64::from(self.length))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.ts.0.to_le_bytes());
        out.extend_from_slice(&self.durable.0.to_le_bytes());
        out.extend_from_slice(&self.prev_crc.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
    }
}

/// Checksums of one store's fragments. The epoch of the store goes in first, so that neither a fragment of another
/// store nor bytes that a user chose pass for one of this store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksum {
    seed: u64,
}

impl Checksum {
    pub fn new(epoch: u64) -> Checksum {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&epoch.to_le_bytes());
        Checksum {
            seed: digest.get_state(),
        }
    }

    /// Of a fragment from behind its checksum to the end of its padding.
    pub fn of(self, bytes: &[u8]) -> u32 {
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, self.seed);
        digest.update(bytes);
        digest.finalize() as u32
    }

    /// Whether `bytes`, a whole fragment, have the checksum that they name.
    pub fn holds(self, bytes: &[u8]) -> bool {
        self.of(&bytes[4..]) == u32_at(bytes, 0)
    }
}

/// Bytes of a group that lie in several slices, handed out piece by piece.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    parts: &'a [&'a [u8]],
    /// Bytes of the first of `parts` that are gone.
    taken: usize,
    left: u64,
}

impl<'a> Pieces<'a> {
    pub fn new(parts: &'a [&'a [u8]]) -> Pieces<'a> {
        Pieces {
            parts,
            taken: 0,
            left: parts.iter().map(|part| part.len() as u64).sum(),
        }
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    fn take_into(&mut self, mut bytes: usize, out: &mut Vec<u8>) {
        self.left -= bytes as u64;
        while bytes > 0 {
            let rest = &self.parts[0][self.taken..];
            let now = rest.len().min(bytes);
            out.extend_from_slice(&rest[..now]);
            bytes -= now;
            self.taken += now;
            if self.taken == self.parts[0].len() {
                self.parts = &self.parts[1..];
                self.taken = 0;
            }
        }
    }
}

/// Appends a fragment with the next `header.length` bytes of `body` to `out` and returns its checksum.
pub(super) fn push_fragment(
    header: FragmentHeader,
    body: &mut Pieces<'_>,
    checksum: Checksum,
    out: &mut Vec<u8>,
) -> u32 {
    let at = out.len();
    header.encode(out);
    body.take_into(header.length as usize, out);
    let end = at + header.total_bytes() as usize;
    out.resize(end, 0);
    let crc = checksum.of(&out[at + 4..]);
    out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    crc
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
