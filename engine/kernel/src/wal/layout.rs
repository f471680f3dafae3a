//! Where the bytes of the log lie: arithmetic only, shared by who writes, who reads and who counts segments.

use super::fragment::{FRAGMENT_HEADER_BYTES, padded};
use super::segment::SEGMENT_HEADER_BYTES;
use crate::ids::Lsn;

/// Body bytes of one fragment at most, so that a reader needs little memory whatever the size of a segment.
pub(super) const FRAGMENT_BODY_BYTES_MAX: u64 = 1 << 20;

/// A piece smaller than this is not begun at the end of a segment when the group does not end in it.
const SPLIT_BODY_BYTES_MIN: u64 = 64;

const HEADER: u64 = FRAGMENT_HEADER_BYTES as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub segment_bytes: u64,
}

/// What stands next in the log, given where it ends and how much of a group is still to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The header of a segment.
    SegmentHeader,
    /// Too little is left of the segment for a fragment: so many zeros.
    Filler(u64),
    /// A switch fragment; nothing is in the segment behind it. All that is left of the segment.
    Switch(u64),
    /// A fragment with so many bytes of the group.
    Fragment(u64),
}

impl Layout {
    pub fn number(self, lsn: Lsn) -> u64 {
        lsn.0 / self.segment_bytes
    }

    pub fn offset(self, lsn: Lsn) -> u64 {
        lsn.0 % self.segment_bytes
    }

    pub fn start(self, number: u64) -> Lsn {
        Lsn(number * self.segment_bytes)
    }

    /// Bytes from `lsn` to the end of its segment; the whole segment at its start.
    pub fn room(self, lsn: Lsn) -> u64 {
        self.segment_bytes - self.offset(lsn)
    }

    pub fn next_start(self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0 + self.room(lsn))
    }

    /// Number of the newest segment that holds a byte of a log that ends at `end`, which is never 0.
    pub fn last_number(self, end: Lsn) -> u64 {
        (end.0 - 1) / self.segment_bytes
    }

    /// Whether a mark fits at `end`. It always does behind a fragment that holds bytes of a group: see [`Layout::step`].
    pub fn fits_mark(self, end: Lsn) -> bool {
        self.offset(end) != 0 && self.room(end) >= HEADER
    }

    /// Fragments of groups leave the last 48 bytes of a segment alone, so that a mark or a switch fits behind
    /// each of them.
    pub fn step(self, end: Lsn, left: u64) -> Step {
        if self.offset(end) == 0 {
            return Step::SegmentHeader;
        }
        let room = self.room(end);
        if room < HEADER {
            return Step::Filler(room);
        }
        let usable = room.saturating_sub(2 * HEADER);
        let fits = room >= 2 * HEADER && (padded(left) <= usable || usable >= SPLIT_BODY_BYTES_MIN);
        if !fits {
            return Step::Switch(room);
        }
        Step::Fragment(left.min(usable).min(FRAGMENT_BODY_BYTES_MAX))
    }

    /// Where a group of `left` body bytes ends that is appended at `end`.
    pub fn end_after(self, mut end: Lsn, mut left: u64) -> Lsn {
        loop {
            match self.step(end, left) {
                Step::SegmentHeader => end.0 += SEGMENT_HEADER_BYTES as u64,
                Step::Filler(bytes) | Step::Switch(bytes) => end.0 += bytes,
                Step::Fragment(bytes) => {
                    end.0 += HEADER + padded(bytes);
                    left -= bytes;
                    if left == 0 {
                        return end;
                    }
                }
            }
        }
    }
}
