//! Opening a log: finds its end, tells a torn end from damage in the middle, and makes the end fit to be appended to.

use std::collections::{BTreeMap, BTreeSet};

use rustydb_runtime::disk::{Disk, DiskFile, OpenMode};

use super::chain::{Groups, Next, Source, Window};
use super::fragment::{Checksum, FRAGMENT_HEADER_BYTES, FragmentHeader, u64_at};
use super::layout::Layout;
use super::segment::{FileName, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segments::{copy_bytes, make_file};
use super::{Group, WalPosition, WalSetup};
use crate::error::{KernelError, Result};
use crate::ids::Lsn;
use crate::sync::Arc;

/// Bytes looked at in one go behind the end of the log.
const LOOK_BYTES: u64 = 1 << 20;

/// What the folder holds, and what the headers say.
pub(super) struct Inventory {
    pub layout: Layout,
    /// Segments with valid headers.
    pub segments: BTreeMap<u64, SegmentHeader>,
    /// Names of all segments, also of those without a valid header or of another length.
    names: BTreeSet<u64>,
    pub spares: Vec<u64>,
    /// Above each number of a spare that the folder held.
    pub next_spare: u64,
}

pub(super) struct Recovered {
    pub inventory: Inventory,
    pub end: WalPosition,
    /// File of the newest segment, with its number.
    pub file: Arc<dyn DiskFile>,
    pub number: u64,
}

struct Recovery<'a> {
    setup: &'a WalSetup,
    inventory: Inventory,
}

pub(super) fn recover(
    setup: &WalSetup,
    from: WalPosition,
    each: &mut dyn FnMut(Group<'_>) -> Result<()>,
) -> Result<Recovered> {
    let inventory = take_inventory(setup)?;
    let mut recovery = Recovery { setup, inventory };
    recovery.check_beginning(from)?;
    let end = recovery.replay(from, each)?;
    recovery.finish(end)
}

fn take_inventory(setup: &WalSetup) -> Result<Inventory> {
    let disk = setup.disk.as_ref();
    let entries = disk
        .list(&setup.folder)
        .map_err(|error| KernelError::io("listing the folder of the log", &error))?;
    let (mut names, mut segments) = (BTreeSet::new(), BTreeMap::new());
    let (mut spares, mut next_spare) = (Vec::new(), 0);
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        match FileName::parse(&entry.name) {
            Some(FileName::Segment(number)) => {
                names.insert(number);
                if let Some(header) = read_header(setup, number, entry.bytes)? {
                    segments.insert(number, header);
                }
            }
            Some(FileName::Spare(number)) => {
                spares.push((number, entry.bytes));
                next_spare = next_spare.max(number + 1);
            }
            Some(name @ FileName::Making(_)) => remove(setup, name)?,
            None => {}
        }
    }
    let Some(segment_bytes) = segments.values().next().map(|header| header.segment_bytes) else {
        return Err(KernelError::CorruptFile {
            file: setup.folder.clone(),
            what: "the log has no segment with a valid header".to_owned(),
        });
    };
    let (kept, other): (Vec<_>, Vec<_>) = spares.into_iter().partition(|spare| spare.1 == segment_bytes);
    for (number, _) in other {
        remove(setup, FileName::Spare(number))?;
    }
    Ok(Inventory {
        layout: Layout { segment_bytes },
        segments,
        names,
        spares: kept.into_iter().map(|spare| spare.0).collect(),
        next_spare,
    })
}

/// `None` where the file is no segment of its name and length. Fails when it belongs to another store.
fn read_header(setup: &WalSetup, number: u64, bytes: u64) -> Result<Option<SegmentHeader>> {
    if bytes < SEGMENT_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; SEGMENT_HEADER_BYTES];
    open_segment(setup.disk.as_ref(), &setup.folder, number)?
        .read_at(&mut header, 0)
        .map_err(|error| KernelError::io(format!("reading the header of segment {number}"), &error))?;
    let Some(header) = SegmentHeader::decode(&header)? else {
        return Ok(None);
    };
    if header.epoch != setup.epoch {
        return Err(KernelError::CorruptFile {
            file: FileName::Segment(number).path(&setup.folder),
            what: format!(
                "it belongs to the store of epoch {:#x}, not {:#x}",
                header.epoch, setup.epoch
            ),
        });
    }
    Ok((header.number == number && header.segment_bytes == bytes).then_some(header))
}

pub(super) fn open_segment(disk: &dyn Disk, folder: &str, number: u64) -> Result<Arc<dyn DiskFile>> {
    disk.open(&FileName::Segment(number).path(folder), OpenMode::Existing)
        .map_err(|error| KernelError::io(format!("opening segment {number} of the log"), &error))
}

fn remove(setup: &WalSetup, name: FileName) -> Result<()> {
    let path = name.path(&setup.folder);
    setup
        .disk
        .remove_file(&path)
        .map_err(|error| KernelError::io(format!("removing {path}"), &error))
}

impl Recovery<'_> {
    /// The segments up to that of `from` were durable when `from` was noted, so they must be whole. Of those below
    /// a gap the removal was cut by a crash: it is completed.
    fn check_beginning(&mut self, from: WalPosition) -> Result<()> {
        let layout = self.inventory.layout;
        let mut newest = layout.number(from.lsn);
        if layout.offset(from.lsn) == 0 && !self.inventory.names.contains(&newest) {
            newest = newest.saturating_sub(1);
        }
        if !self.inventory.names.contains(&newest) {
            return Err(KernelError::CorruptLog {
                lsn: from.lsn,
                what: format!("segment {newest}, with which recovery begins, is missing"),
            });
        }
        let mut first = newest;
        while first > 0 && self.inventory.names.contains(&(first - 1)) {
            first -= 1;
        }
        for number in std::mem::take(&mut self.inventory.names) {
            if number < first {
                remove(self.setup, FileName::Segment(number))?;
                self.inventory.segments.remove(&number);
                continue;
            }
            self.inventory.names.insert(number);
            let durable = layout.start(number) < from.lsn;
            if durable && !self.inventory.segments.contains_key(&number) {
                return Err(KernelError::CorruptLog {
                    lsn: layout.start(number),
                    what: format!("segment {number} has no valid header or is not as long as it says"),
                });
            }
        }
        Ok(())
    }

    /// Gives every whole group to `each` and returns where the log ends.
    fn replay(
        &self,
        from: WalPosition,
        each: &mut dyn FnMut(Group<'_>) -> Result<()>,
    ) -> Result<WalPosition> {
        let layout = self.inventory.layout;
        let mut groups = Groups::scan(layout, self.setup.epoch, from);
        let progress = &self.setup.progress;
        let newest = self.inventory.segments.keys().next_back();
        let end_max = newest.map_or(0, |newest| layout.start(newest + 1).0);
        progress.begin(end_max.saturating_sub(from.lsn.0));
        let mut open = |number: u64| -> Result<Option<Source>> {
            if !self.inventory.segments.contains_key(&number) {
                return Ok(None);
            }
            let file = open_segment(self.setup.disk.as_ref(), &self.setup.folder, number)?;
            Ok(Some(Source::File(file)))
        };
        let why = loop {
            match groups.next(Lsn(u64::MAX), &mut open)? {
                Next::Group(found) => {
                    each(Group {
                        lsn: found.lsn,
                        end: found.end,
                        ts: found.ts,
                        durable: found.durable,
                        body: groups.body(&found),
                    })?;
                    progress.reach(found.end.0 - from.lsn.0);
                }
                Next::Stop(why) => break why,
                Next::Limit => break "the log is full".to_owned(),
            }
        };
        self.check_end(groups.whole.lsn, &why)?;
        progress.end(groups.whole.lsn.0 - from.lsn.0);
        Ok(groups.whole)
    }

    /// Fails when what stands behind `end` says that more than that was durable.
    fn check_end(&self, end: Lsn, why: &str) -> Result<()> {
        let mut found = None;
        self.look_behind(end, &mut |at, header| {
            if header.is_some_and(|header| header.durable > end) {
                found = header.map(|header| (at, header.durable));
            }
            found.is_none()
        })?;
        let Some((at, durable)) = found else {
            return Ok(());
        };
        Err(KernelError::CorruptLog {
            lsn: end,
            what: format!("{why}, but the fragment at {at} says that all up to {durable} was durable"),
        })
    }

    /// Calls `each` for every place from `end` on where the LSN of a fragment stands, with the header if a valid
    /// fragment does, until it returns `false`.
    fn look_behind(&self, end: Lsn, each: &mut dyn FnMut(Lsn, Option<FragmentHeader>) -> bool) -> Result<()> {
        let layout = self.inventory.layout;
        for &number in self.inventory.names.range(layout.number(end)..) {
            let path = FileName::Segment(number).path(&self.setup.folder);
            let file = open_segment(self.setup.disk.as_ref(), &self.setup.folder, number)?;
            let length = file
                .length()
                .map_err(|error| KernelError::io(format!("length of {path}"), &error))?
                .min(layout.segment_bytes);
            let start = layout.start(number);
            let from = end.0.saturating_sub(start.0).max(SEGMENT_HEADER_BYTES as u64);
            if !self.look_through(start, from, length, file, each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn look_through(
        &self,
        start: Lsn,
        from: u64,
        length: u64,
        file: Arc<dyn DiskFile>,
        each: &mut dyn FnMut(Lsn, Option<FragmentHeader>) -> bool,
    ) -> Result<bool> {
        let checksum = Checksum::new(self.setup.epoch);
        let (mut words, mut bodies) = (
            Window::new(Source::File(file.clone()), LOOK_BYTES),
            Window::new(Source::File(file), LOOK_BYTES),
        );
        let mut offset = from;
        while offset + FRAGMENT_HEADER_BYTES as u64 <= length {
            // An overlap of a header, so that each place sees its LSN in one of the pieces.
            let piece = LOOK_BYTES.min(length - offset);
            let Some(bytes) = words.get(offset, piece, length)? else {
                break;
            };
            let mut hits = Vec::new();
            for at in (0..bytes.len().saturating_sub(FRAGMENT_HEADER_BYTES - 1)).step_by(8) {
                let lsn = start.0 + offset + at as u64;
                if u64_at(bytes, at + 8) == lsn {
                    let room = length - offset - at as u64;
                    hits.push((
                        lsn,
                        FragmentHeader::decode(&bytes[at..at + FRAGMENT_HEADER_BYTES], Lsn(lsn), room),
                    ));
                }
            }
            for (lsn, header) in hits {
                let valid = match header {
                    Some(header) => bodies
                        .get(lsn - start.0, header.total_bytes(), length)?
                        .is_some_and(|bytes| checksum.holds(bytes)),
                    None => false,
                };
                if !each(Lsn(lsn), header.filter(|_| valid)) {
                    return Ok(false);
                }
            }
            offset += piece - (FRAGMENT_HEADER_BYTES as u64 - 8);
        }
        Ok(true)
    }

    /// Makes the end of the log fit to be appended to: all before it is durable, and no fragment of an earlier life
    /// stands behind it.
    ///
    /// The newest segment is copied to a spare that takes its place. What was read of it may be in the machine's memory
    /// only, taken for clean after a sync that failed, so that syncing it once more would do nothing; and writing it
    /// again in place could lose, at a crash, what was acknowledged. The segments before were synced before it was
    /// begun.
    fn finish(mut self, end: WalPosition) -> Result<Recovered> {
        let setup = self.setup;
        let number = self.inventory.layout.last_number(end.lsn);
        for behind in self.inventory.names.split_off(&(number + 1)) {
            remove(setup, FileName::Segment(behind))?;
            self.inventory.segments.remove(&behind);
        }
        match self.renew(number, end.lsn) {
            Err(KernelError::DiskFull { .. }) => self.clear_in_place(number, end.lsn)?,
            done => done?,
        }
        setup
            .disk
            .sync_folder(&setup.folder)
            .map_err(|error| KernelError::io("sync of the folder of the log", &error))?;
        let file = open_segment(setup.disk.as_ref(), &setup.folder, number)?;
        Ok(Recovered {
            inventory: self.inventory,
            end,
            file,
            number,
        })
    }

    fn renew(&mut self, number: u64, end: Lsn) -> Result<()> {
        let setup = self.setup;
        let spare = match self.inventory.spares.pop() {
            Some(spare) => FileName::Spare(spare),
            None => {
                let making = self.inventory.next_spare;
                self.inventory.next_spare += 1;
                let name = FileName::Spare(making);
                make_file(
                    setup.disk.as_ref(),
                    &setup.folder,
                    self.inventory.layout,
                    making,
                    &[],
                    name,
                )?;
                name
            }
        }
        .path(&setup.folder);
        let path = FileName::Segment(number).path(&setup.folder);
        let from = open_segment(setup.disk.as_ref(), &setup.folder, number)?;
        let copy = || -> std::io::Result<()> {
            let to = setup.disk.open(&spare, OpenMode::Existing)?;
            copy_bytes(
                from.as_ref(),
                to.as_ref(),
                end.0 - self.inventory.layout.start(number).0,
            )?;
            to.sync_data()?;
            setup.disk.rename(&spare, &path)
        };
        copy().map_err(|error| KernelError::io(format!("renewing {path}"), &error))
    }

    /// What is left to do when the disk has no room for a copy: keeps the log usable on a full disk, but trusts that
    /// the machine still knows what it has not written.
    fn clear_in_place(&self, number: u64, end: Lsn) -> Result<()> {
        let file = open_segment(self.setup.disk.as_ref(), &self.setup.folder, number)?;
        let mut stale = Vec::new();
        self.look_behind(end, &mut |at, _| {
            stale.push(self.inventory.layout.offset(at));
            true
        })?;
        let clear = || -> std::io::Result<()> {
            for offset in stale {
                file.write_at(&[0; FRAGMENT_HEADER_BYTES], offset)?;
            }
            file.sync_data()
        };
        clear().map_err(|error| KernelError::io("clearing the end of the log", &error))
    }
}
