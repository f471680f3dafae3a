//! The body of a group of the log: what a commit tells of itself, and the pages it changed. Bytes:
//! docs/format/kernel.md; those of a page's changes are made by [`crate::page::redo`].

use crate::ids::{PageId, Ts};

const FORMAT: u8 = 1;

/// Sums over a part of the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogTotals {
    pub entries: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl LogTotals {
    pub fn add(&mut self, payload: &[u8]) {
        self.entries += 1;
        self.bytes += payload.len() as u64;
    }

    /// What is behind `before`.
    pub fn since(self, before: LogTotals) -> LogTotals {
        LogTotals {
            entries: self.entries - before.entries,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Up to where the change log is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trim {
    /// Entries of this commit and of all before are gone.
    pub to: Ts,
    /// What they were.
    pub totals: LogTotals,
}

/// A body taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'b> {
    pub committed_at_us: i64,
    pub totals_before: LogTotals,
    pub trim: Option<Trim>,
    /// Payloads of the change log.
    pub entries: Vec<&'b [u8]>,
    /// Pages with their changes.
    pub pages: Vec<(PageId, &'b [u8])>,
}

/// Begins a body; the pages' part goes behind it.
pub fn encode(
    committed_at_us: i64,
    totals_before: LogTotals,
    trim: Option<Trim>,
    entries: &[Vec<u8>],
    target: &mut Vec<u8>,
) {
    target.push(FORMAT);
    target.extend_from_slice(&committed_at_us.to_le_bytes());
    target.extend_from_slice(&totals_before.entries.to_le_bytes());
    target.extend_from_slice(&totals_before.bytes.to_le_bytes());
    let trim = trim.unwrap_or_default();
    for number in [trim.to.0, trim.totals.entries, trim.totals.bytes] {
        target.extend_from_slice(&number.to_le_bytes());
    }
    target.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        target.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        target.extend_from_slice(entry);
    }
}

/// Takes a body apart; `None` when it is none. The pages are left out when `with_pages` is not set.
pub fn decode(body: &[u8], with_pages: bool) -> Option<Changes<'_>> {
    let mut rest = body;
    let mut take = |length: usize| -> Option<&[u8]> {
        let (taken, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(taken)
    };
    if take(1)? != [FORMAT] {
        return None;
    }
    let u64_of = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let u32_of = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    let committed_at_us = u64_of(take(8)?)? as i64;
    let totals_before = LogTotals {
        entries: u64_of(take(8)?)?,
        bytes: u64_of(take(8)?)?,
    };
    let trim = Trim {
        to: Ts(u64_of(take(8)?)?),
        totals: LogTotals {
            entries: u64_of(take(8)?)?,
            bytes: u64_of(take(8)?)?,
        },
    };
    let count = u32_of(take(4)?)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let length = u32_of(take(4)?)?;
        entries.push(take(length as usize)?);
    }
    let mut pages = Vec::new();
    if with_pages {
        let count = u32_of(take(4)?)?;
        for _ in 0..count {
            let id = PageId::from_number(u64_of(take(8)?)?)?;
            let length = u32_of(take(4)?)?;
            pages.push((id, take(length as usize)?));
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(Changes {
        committed_at_us,
        totals_before,
        trim: Some(trim).filter(|trim| trim.to.0 != 0),
        entries,
        pages,
    })
}
