//! Whether segments that nobody changes any more are what was written: the finished ones of the log, and copies of some in an
//! archive. Their files are read through maps.

use std::collections::BTreeMap;

use super::chain::{Chain, Link, Source};
use super::layout::Layout;
use super::segment::{FileName, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segments::Segment;
use super::{Shared, Wal, WalPosition};
use crate::error::{KernelError, Result};
use crate::sync::Arc;

/// Something in a segment that is not what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, below the root of the disk.
    pub file: String,
    /// Place in it, in bytes.
    pub offset: u64,
    pub what: String,
}

/// What segments hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    pub segments: u64,
    /// Fragments that are whole.
    pub fragments: u64,
    /// Of each segment the first: what follows it can't be told from what an earlier life of the file left.
    pub damages: Vec<Damage>,
}

impl Wal {
    /// Reads the finished segments of the log. They stay in it meanwhile.
    ///
    /// # Errors
    /// `Io`; what is damaged is in the answer.
    pub fn verify(&self) -> Result<Verified> {
        let shared = self.shared.as_ref();
        let durable = self.durable();
        // Whoever has a segment keeps its file from being used again.
        let finished: BTreeMap<u64, Arc<Segment>> = {
            let table = shared.table.lock();
            let segments = table
                .iter()
                .map(|(number, segment)| (*number, Arc::clone(segment)));
            segments
                .filter(|(number, _)| shared.layout.start(number + 1) <= durable)
                .collect()
        };
        shared.verify(&shared.folder, finished.keys().copied())
    }

    /// Reads the copies of segments of this log that [`Wal::archive`] made in `folder`, as many as are there. Where one follows
    /// another they must continue each other.
    ///
    /// # Errors
    /// `Io`; what is damaged is in the answer.
    pub fn verify_archive(&self, folder: &str) -> Result<Verified> {
        let shared = self.shared.as_ref();
        let failed = |error| KernelError::io(format!("listing {folder}"), &error);
        let entries = match shared.disk.list(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Verified::default()),
            entries => entries.map_err(failed)?,
        };
        let mut numbers: Vec<u64> = entries
            .iter()
            .filter(|entry| !entry.is_folder)
            .filter_map(|entry| match FileName::parse(&entry.name) {
                Some(FileName::Segment(number)) => Some(number),
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        shared.verify(folder, numbers.into_iter())
    }
}

impl Shared {
    /// Verifies the segments `numbers`, ascending, of `folder`.
    fn verify(&self, folder: &str, numbers: impl Iterator<Item = u64>) -> Result<Verified> {
        let mut verified = Verified::default();
        let mut before: Option<WalPosition> = None;
        for number in numbers {
            let path = FileName::Segment(number).path(folder);
            let bytes = self
                .disk
                .read_immutable(&path)
                .map_err(|error| KernelError::io(format!("reading {path}"), &error))?;
            verified.segments += 1;
            let damage = |offset: u64, what: String| Damage {
                file: path.clone(),
                offset,
                what,
            };
            let begun = self.begun(number, &bytes);
            let begun = begun.and_then(|begun| match before.take() {
                Some(end) if end.lsn == begun.lsn && end != begun => {
                    Err("it does not continue the segment before".to_owned())
                }
                _ => Ok(begun),
            });
            let read = match begun {
                Ok(begun) => follow(self.layout, self.epoch, begun, Source::Map(bytes))?,
                Err(what) => {
                    verified.damages.push(damage(0, what));
                    continue;
                }
            };
            verified.fragments += read.fragments;
            match read.stopped {
                Some(what) => {
                    let offset = self.layout.offset(read.end.lsn);
                    verified.damages.push(damage(offset, what));
                }
                None => before = Some(read.end),
            }
        }
        Ok(verified)
    }

    /// Where the chain of a segment begins, as its header says; why it can't be the segment of its name otherwise.
    fn begun(&self, number: u64, bytes: &[u8]) -> Result<WalPosition, String> {
        let header = bytes.first_chunk::<SEGMENT_HEADER_BYTES>();
        let header = header.map(SegmentHeader::decode).transpose();
        let header = header
            .map_err(|error| error.to_string())?
            .flatten()
            .ok_or("it has no valid header of a segment")?;
        if header.epoch != self.epoch {
            return Err(format!(
                "it belongs to the store of epoch {:#x}, not {:#x}",
                header.epoch, self.epoch
            ));
        }
        if header.number != number {
            return Err(format!("it is segment {}, not {number}", header.number));
        }
        let wanted = self.layout.segment_bytes;
        if header.segment_bytes != wanted || bytes.len() as u64 != wanted {
            return Err(format!("it is {} bytes long, not {wanted}", bytes.len()));
        }
        Ok(WalPosition {
            lsn: self.layout.start(number),
            prev_crc: header.prev_crc,
            ts: header.first_ts,
        })
    }
}

/// What [`follow`] read.
struct Read {
    fragments: u64,
    /// Behind the last fragment that is whole.
    end: WalPosition,
    /// Why it did not come to the end of the segment.
    stopped: Option<String>,
}

/// Follows the chain from the beginning of a segment to its end.
fn follow(layout: Layout, epoch: u64, begun: WalPosition, segment: Source) -> Result<Read> {
    let end = layout.next_start(begun.lsn);
    let mut chain = Chain::new(layout, epoch, begun, 0);
    let (mut fragments, mut segment) = (0, Some(segment));
    let mut open = |_: u64| Ok(segment.take());
    let stopped = loop {
        match chain.next(end, &mut open)? {
            Link::Fragment(_) => fragments += 1,
            Link::Segment => {}
            Link::Limit => break None,
            Link::Stop(what) => break Some(what),
        }
    };
    Ok(Read {
        fragments,
        end: chain.at,
        stopped,
    })
}
