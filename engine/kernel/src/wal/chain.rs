//! Follows the log from fragment to fragment and from segment to segment, and puts groups together.

use rustydb_runtime::disk::{DiskFile, ImmutableBytes};

use super::WalPosition;
use super::fragment::{Checksum, FRAGMENT_HEADER_BYTES, FragmentHeader, Kind};
use super::layout::Layout;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::sync::Arc;

/// Bytes read ahead, where there are as many, by who reads the log once from one end to the other.
pub(super) const SCAN_BYTES: u64 = 1 << 20;
/// The same of readers, of which there may be many.
pub(super) const READER_BYTES: u64 = 64 << 10;

/// Where the bytes of a segment come from.
pub(super) enum Source {
    File(Arc<dyn DiskFile>),
    /// A segment that nobody changes any more.
    Map(ImmutableBytes),
}

/// A part of a file in memory, or all of it in a map.
pub(super) struct Window {
    source: Source,
    read_bytes: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Reads at least `read_bytes` at once where there are as many.
    pub fn new(source: Source, read_bytes: u64) -> Window {
        Window {
            source,
            read_bytes,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// `length` bytes from `offset` on, `None` when they end behind `limit`. Reads nothing behind `limit`.
    pub fn get(&mut self, offset: u64, length: u64, limit: u64) -> Result<Option<&[u8]>> {
        if offset + length > limit {
            return Ok(None);
        }
        let file = match &self.source {
            Source::File(file) => file,
            Source::Map(bytes) => return Ok(bytes.get(offset as usize..(offset + length) as usize)),
        };
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length > held {
            let read = length.max(self.read_bytes).min(limit - offset);
            self.bytes.resize(read as usize, 0);
            self.start = offset;
            if let Err(error) = file.read_at(&mut self.bytes, offset) {
                self.bytes.clear();
                return Err(KernelError::io("reading the log", &error));
            }
        }
        let at = (offset - self.start) as usize;
        Ok(Some(&self.bytes[at..at + length as usize]))
    }

    fn held(&self, offset: u64, length: u64) -> &[u8] {
        if let Source::Map(bytes) = &self.source {
            return &bytes[offset as usize..(offset + length) as usize];
        }
        let at = (offset - self.start) as usize;
        &self.bytes[at..at + length as usize]
    }
}

/// Opens the file of a segment; `None` where the log has no such segment.
pub(super) type Opener<'a> = dyn FnMut(u64) -> Result<Option<Source>> + 'a;

pub(super) enum Link {
    /// A valid fragment; [`Chain::body`] is its body.
    Fragment(FragmentHeader),
    /// A valid header of a segment.
    Segment,
    /// No continuation of the log stands here, for this reason.
    Stop(String),
    /// The limit is reached.
    Limit,
}

/// A place in the log and what must stand there.
pub(super) struct Chain {
    layout: Layout,
    checksum: Checksum,
    epoch: u64,
    read_bytes: u64,
    pub at: WalPosition,
    window: Option<(u64, Window)>,
    body: (u64, u64),
}

impl Chain {
    pub fn new(layout: Layout, epoch: u64, at: WalPosition, read_bytes: u64) -> Chain {
        Chain {
            layout,
            read_bytes,
            checksum: Checksum::new(epoch),
            epoch,
            at,
            window: None,
            body: (0, 0),
        }
    }

    /// What stands at the place, which then moves behind it. Nothing from `limit` on is read.
    pub fn next(&mut self, limit: Lsn, open: &mut Opener<'_>) -> Result<Link> {
        if self.at.lsn >= limit {
            return Ok(Link::Limit);
        }
        let room = self.layout.room(self.at.lsn);
        if self.layout.offset(self.at.lsn) != 0 && room < FRAGMENT_HEADER_BYTES as u64 {
            self.at.lsn = self.layout.next_start(self.at.lsn);
            return self.next(limit, open);
        }
        let number = self.layout.number(self.at.lsn);
        let limit_offset = (limit.0 - self.layout.start(number).0).min(self.layout.segment_bytes);
        if self.window.as_ref().is_none_or(|(held, _)| *held != number) {
            let Some(source) = open(number)? else {
                return Ok(Link::Stop(format!("segment {number} is missing")));
            };
            self.window = Some((number, Window::new(source, self.read_bytes)));
        }
        if self.layout.offset(self.at.lsn) == 0 {
            self.segment(number, limit_offset)
        } else {
            self.fragment(room, limit_offset)
        }
    }

    fn window(&mut self) -> &mut Window {
        &mut self.window.as_mut().expect("next opened the segment").1
    }

    fn segment(&mut self, number: u64, limit: u64) -> Result<Link> {
        let (prev_crc, epoch, segment_bytes) = (self.at.prev_crc, self.epoch, self.layout.segment_bytes);
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let Some(read) = self.window().get(0, SEGMENT_HEADER_BYTES as u64, limit)? else {
            return Ok(Link::Stop(format!("the header of segment {number} is cut")));
        };
        bytes.copy_from_slice(read);
        let belongs = SegmentHeader::decode(&bytes)?.is_some_and(|header| {
            header.number == number
                && header.epoch == epoch
                && header.segment_bytes == segment_bytes
                && header.prev_crc == prev_crc
        });
        if !belongs {
            return Ok(Link::Stop(format!("segment {number} has no valid header")));
        }
        self.at.lsn.0 += SEGMENT_HEADER_BYTES as u64;
        Ok(Link::Segment)
    }

    fn fragment(&mut self, room: u64, limit: u64) -> Result<Link> {
        let (at, checksum, offset) = (self.at, self.checksum, self.layout.offset(self.at.lsn));
        let stop = |what: &str| Ok(Link::Stop(what.to_owned()));
        let Some(bytes) = self.window().get(offset, FRAGMENT_HEADER_BYTES as u64, limit)? else {
            return stop("the header of a fragment is cut");
        };
        let Some(header) = FragmentHeader::decode(bytes, at.lsn, room) else {
            return stop("no header of a fragment stands here");
        };
        if header.prev_crc != at.prev_crc || header.ts < at.ts {
            return stop("the fragment does not continue the one before");
        }
        let Some(bytes) = self.window().get(offset, header.total_bytes(), limit)? else {
            return stop("the body of a fragment is cut");
        };
        if !checksum.holds(bytes) {
            return stop("the checksum of a fragment is wrong");
        }
        self.body = (offset + FRAGMENT_HEADER_BYTES as u64, u64::from(header.length));
        self.at.lsn = match header.kind {
            Kind::Switch => self.layout.next_start(at.lsn),
            _ => Lsn(at.lsn.0 + header.total_bytes()),
        };
        self.at.prev_crc = header.crc;
        self.at.ts = header.ts;
        Ok(Link::Fragment(header))
    }

    /// Body of the fragment that [`Chain::next`] found last.
    pub fn body(&self) -> &[u8] {
        let window = self.window.as_ref().map(|(_, window)| window);
        window.map_or(&[], |window| window.held(self.body.0, self.body.1))
    }
}

/// A whole group, without its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Where reading may begin to find this group first.
    pub before: WalPosition,
    pub lsn: Lsn,
    pub end: Lsn,
    pub ts: Ts,
    pub durable: Lsn,
    in_parts: bool,
}

pub(super) enum Next {
    Group(Found),
    Stop(String),
    Limit,
}

/// Puts groups together out of fragments.
pub(super) struct Groups {
    chain: Chain,
    /// Where the group begins whose first fragments were read, and its LSN.
    open: Option<(WalPosition, Lsn)>,
    /// Bytes of that group.
    parts: Vec<u8>,
    /// Behind the last whole group, with the marks and the segment header behind it.
    pub whole: WalPosition,
    /// Whether the rest of a group that began before the place where reading began may still come.
    may_be_inside: bool,
}

impl Groups {
    /// Reads from `at`, the end of a group.
    pub fn scan(layout: Layout, epoch: u64, at: WalPosition) -> Groups {
        Groups::new(Chain::new(layout, epoch, at, SCAN_BYTES), false)
    }

    /// The same for a reader; `may_be_inside` a group whose rest is passed over then.
    pub fn reader(layout: Layout, epoch: u64, at: WalPosition, may_be_inside: bool) -> Groups {
        Groups::new(Chain::new(layout, epoch, at, READER_BYTES), may_be_inside)
    }

    fn new(chain: Chain, may_be_inside: bool) -> Groups {
        Groups {
            whole: chain.at,
            chain,
            open: None,
            parts: Vec::new(),
            may_be_inside,
        }
    }

    pub fn next(&mut self, limit: Lsn, open: &mut Opener<'_>) -> Result<Next> {
        loop {
            let before = self.chain.at;
            match self.chain.next(limit, open)? {
                Link::Stop(what) => return Ok(Next::Stop(what)),
                Link::Limit => return Ok(Next::Limit),
                Link::Segment if self.open.is_none() => self.whole = self.chain.at,
                Link::Segment => {}
                Link::Fragment(header) => match self.fragment(before, header) {
                    Ok(Some(found)) => return Ok(Next::Group(found)),
                    Ok(None) => {}
                    Err(what) => return Ok(Next::Stop(what.to_owned())),
                },
            }
        }
    }

    fn fragment(
        &mut self,
        before: WalPosition,
        header: FragmentHeader,
    ) -> Result<Option<Found>, &'static str> {
        let begins = matches!(header.kind, Kind::Full | Kind::First | Kind::Mark);
        if begins && self.open.is_some() {
            return Err("a group has no end");
        }
        match header.kind {
            Kind::Full => return Ok(Some(self.found(before, &header, false))),
            Kind::First => {
                self.open = Some((before, header.lsn));
                self.parts.clear();
                self.parts.extend_from_slice(self.chain.body());
                self.may_be_inside = false;
            }
            Kind::Middle | Kind::Last => match self.open {
                Some((first, group)) if group == header.group => {
                    self.parts.extend_from_slice(self.chain.body());
                    if header.kind == Kind::Last {
                        self.open = None;
                        return Ok(Some(self.found(first, &header, true)));
                    }
                }
                None if self.may_be_inside => self.whole = self.chain.at,
                _ => return Err("a group has no beginning"),
            },
            Kind::Switch | Kind::Mark if self.open.is_none() => self.whole = self.chain.at,
            Kind::Switch | Kind::Mark => {}
        }
        Ok(None)
    }

    fn found(&mut self, before: WalPosition, end: &FragmentHeader, in_parts: bool) -> Found {
        self.may_be_inside = false;
        self.whole = self.chain.at;
        Found {
            before,
            lsn: end.group,
            end: self.chain.at.lsn,
            ts: end.ts,
            durable: end.durable,
            in_parts,
        }
    }

    /// Bytes of the group that [`Groups::next`] found last.
    pub fn body(&self, found: &Found) -> &[u8] {
        if found.in_parts {
            &self.parts
        } else {
            self.chain.body()
        }
    }
}
