//! One segment file: its header and its names. The byte table is in docs/format/log.md.

use super::fragment::{u32_at, u64_at};
use crate::error::{KernelError, Result};
use crate::ids::Ts;

pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// Version of the format of the log.
pub(super) const FORMAT_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"RDBWAL\0\0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub segment_bytes: u64,
    pub number: u64,
    /// Names the store.
    pub epoch: u64,
    /// Commit of the newest group that begins before this segment.
    pub first_ts: Ts,
    /// Checksum of the last fragment before this segment.
    pub prev_crc: u32,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let kib = u32::try_from(self.segment_bytes / 1024).expect("options bound the size of a segment");
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&kib.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_ts.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_at_us.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.prev_crc.to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are no header. Fails with [`KernelError::FormatVersion`] when they are one of another
    /// format.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Option<SegmentHeader>> {
        if bytes[..8] != MAGIC || crc_fast::crc32_iscsi(&bytes[..60]) != u32_at(bytes, 60) {
            return Ok(None);
        }
        let found = u32_at(bytes, 8);
        if found != FORMAT_VERSION {
            return Err(KernelError::FormatVersion {
                found,
                supported: FORMAT_VERSION,
            });
        }
        Ok(Some(SegmentHeader {
            segment_bytes: u64::from(u32_at(bytes, 12)) * 1024,
            number: u64_at(bytes, 16),
            epoch: u64_at(bytes, 24),
            first_ts: Ts(u64_at(bytes, 32)),
            created_at_us: u64_at(bytes, 40) as i64,
            prev_crc: u32_at(bytes, 48),
        }))
    }
}

/// What a file in the folder of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileName {
    /// A segment of the log, by its number.
    Segment(u64),
    /// A file of a segment's size that waits to become one, under a number of its own.
    Spare(u64),
    /// A spare that is being filled with zeros.
    Making(u64),
}

impl FileName {
    pub fn parse(name: &str) -> Option<FileName> {
        let (number, kind) = name.split_once('.')?;
        if number.len() != 16 || number.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let number = u64::from_str_radix(number, 16).ok()?;
        match kind {
            "wal" => Some(FileName::Segment(number)),
            "spare" => Some(FileName::Spare(number)),
            "making" => Some(FileName::Making(number)),
            _ => None,
        }
    }

    pub fn path(self, folder: &str) -> String {
        match self {
            FileName::Segment(number) => format!("{folder}/{number:016x}.wal"),
            FileName::Spare(number) => format!("{folder}/{number:016x}.spare"),
            FileName::Making(number) => format!("{folder}/{number:016x}.making"),
        }
    }
}
