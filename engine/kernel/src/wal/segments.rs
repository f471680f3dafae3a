//! The files of the log: how it is made and opened, what is known of its segments, and the spares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rustydb_runtime::disk::{Disk, DiskFile, OpenMode};

use super::events::{Listener, WalEvent};
use super::flush::Io;
use super::layout::Layout;
use super::recovery::{open_segment, recover};
use super::segment::{FileName, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::state::State;
use super::stats::{Counters, count};
use super::{Group, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Shared, Wal, WalPosition, WalSetup};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::sync::atomic::AtomicU64;
use crate::sync::{Arc, Condvar, Mutex, RwLock};

/// Bytes written or copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A segment that has a file. Who reads it holds the `Arc`, which keeps the file from being used again.
#[derive(Debug)]
pub(super) struct Segment {
    pub first_ts: Ts,
    pub prev_crc: u32,
    created_at_us: i64,
    pub archived: AtomicBool,
}

impl Segment {
    pub fn new(header: &SegmentHeader) -> Segment {
        Segment {
            first_ts: header.first_ts,
            prev_crc: header.prev_crc,
            created_at_us: header.created_at_us,
            archived: AtomicBool::new(false),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// Groups are still written to it.
    Active,
    /// Complete and durable.
    Finished,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    pub number: u64,
    /// LSN of its first byte.
    pub first_lsn: Lsn,
    /// Newest commit before it.
    pub first_ts: Ts,
    /// Bytes up to the end of the last group written to it; all of a finished one.
    pub bytes_used: u64,
    pub state: SegmentState,
    /// [`Wal::archive`] has copied it, or found its copy, since the log was opened.
    pub archived: bool,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
}

pub(super) fn create(mut setup: WalSetup, after: Ts) -> Result<Shared> {
    let bytes = setup
        .options
        .segment_bytes
        .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
    let layout = Layout {
        segment_bytes: bytes.next_multiple_of(1024),
    };
    setup.options.segment_bytes = layout.segment_bytes;
    let failed = |error| KernelError::io(format!("making the log in {}", setup.folder), &error);
    setup.disk.create_folder(&setup.folder).map_err(failed)?;
    if !setup.disk.list(&setup.folder).map_err(failed)?.is_empty() {
        return Err(KernelError::Io {
            what: format!("making the log in {}", setup.folder),
            reason: "the folder is not empty".to_owned(),
        });
    }
    let header = SegmentHeader {
        segment_bytes: layout.segment_bytes,
        number: 1,
        epoch: setup.epoch,
        first_ts: after,
        prev_crc: 0,
        created_at_us: setup.clock.now_us(),
    };
    make_file(
        setup.disk.as_ref(),
        &setup.folder,
        layout,
        0,
        &header.encode(),
        FileName::Segment(1),
    )?;
    setup.disk.sync_folder(&setup.folder).map_err(failed)?;
    sync_name(setup.disk.as_ref(), &setup.folder).map_err(failed)?;
    let end = WalPosition {
        lsn: Lsn(layout.start(1).0 + SEGMENT_HEADER_BYTES as u64),
        prev_crc: 0,
        ts: after,
    };
    let io = Io {
        number: 1,
        file: open_segment(setup.disk.as_ref(), &setup.folder, 1)?,
    };
    let state = State::new(&setup, layout, end, 1);
    let table = BTreeMap::from([(1, Arc::new(Segment::new(&header)))]);
    Ok(assemble(setup, layout, state, io, table))
}

pub(super) fn open(
    setup: WalSetup,
    from: WalPosition,
    each: &mut dyn FnMut(Group<'_>) -> Result<()>,
) -> Result<Shared> {
    let listener = Listener::default();
    listener.set(setup.events.clone());
    let recovered = recover(&setup, from, each).inspect_err(|error| {
        if let KernelError::CorruptLog { lsn, what } = error {
            listener.tell(|| WalEvent::CorruptionDetected {
                lsn: *lsn,
                what: what.clone(),
            });
        }
    })?;
    let inventory = recovered.inventory;
    let mut state = State::new(&setup, inventory.layout, recovered.end, recovered.number);
    state.spares = inventory.spares;
    state.next_spare = inventory.next_spare;
    let table = inventory
        .segments
        .iter()
        .map(|(number, header)| (*number, Arc::new(Segment::new(header))))
        .collect();
    let io = Io {
        number: recovered.number,
        file: recovered.file,
    };
    Ok(assemble(setup, inventory.layout, state, io, table))
}

fn assemble(
    setup: WalSetup,
    layout: Layout,
    state: State,
    io: Io,
    table: BTreeMap<u64, Arc<Segment>>,
) -> Shared {
    let listener = Listener::default();
    listener.set(setup.events);
    Shared {
        disk: setup.disk,
        clock: setup.clock,
        folder: setup.folder,
        epoch: setup.epoch,
        options: setup.options,
        layout,
        appender: Mutex::new(()),
        durable: AtomicU64::new(state.durable.0),
        told: AtomicU64::new(state.durable.0),
        state: Mutex::new(state),
        role_free: Condvar::new(),
        io: Mutex::new(io),
        table: Mutex::new(table),
        index: Mutex::new(BTreeMap::new()),
        counters: Counters::default(),
        listener,
        on_durable: RwLock::new(None),
    }
}

/// Makes a file of a segment's size that begins with `header` and is zero behind it, and gives it its name once it
/// is durable. The name is not.
pub(super) fn make_file(
    disk: &dyn Disk,
    folder: &str,
    layout: Layout,
    making: u64,
    header: &[u8],
    name: FileName,
) -> Result<()> {
    let temporary = FileName::Making(making).path(folder);
    let filled = || -> std::io::Result<()> {
        let file = disk.open(&temporary, OpenMode::New)?;
        file.allocate(0, layout.segment_bytes)?;
        let zeros = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        while offset < layout.segment_bytes {
            let now = (layout.segment_bytes - offset).min(CHUNK_BYTES as u64);
            file.write_at(&zeros[..now as usize], offset)?;
            offset += now;
        }
        if !header.is_empty() {
            file.write_at(header, 0)?;
        }
        file.sync_data()?;
        disk.rename(&temporary, &name.path(folder))
    };
    filled().map_err(|error| {
        // It takes room, which may be what is wanting. What cannot be removed now goes when the log is opened.
        let _ = disk.remove_file(&temporary);
        KernelError::io(format!("making {}", name.path(folder)), &error)
    })
}

/// Makes the name of `folder`, and of those above it, durable.
pub(super) fn sync_name(disk: &dyn Disk, folder: &str) -> std::io::Result<()> {
    for (at, _) in folder.rmatch_indices('/') {
        disk.sync_folder(&folder[..at])?;
    }
    disk.sync_folder("")
}

/// Copies the first `length` bytes.
pub(super) fn copy_bytes(from: &dyn DiskFile, to: &dyn DiskFile, length: u64) -> std::io::Result<()> {
    let mut bytes = vec![0; CHUNK_BYTES.min(length as usize)];
    let mut offset = 0;
    while offset < length {
        let now = (length - offset).min(bytes.len() as u64) as usize;
        from.read_at(&mut bytes[..now], offset)?;
        to.write_at(&bytes[..now], offset)?;
        offset += now as u64;
    }
    Ok(())
}

impl Shared {
    /// Makes spares until there are `count` of them.
    pub(super) fn make_spares(&self, wanted: u64) -> Result<()> {
        loop {
            let number = {
                let mut state = self.state.lock();
                if state.spares.len() as u64 >= wanted {
                    return Ok(());
                }
                state.next_spare += 1;
                state.next_spare - 1
            };
            make_file(
                self.disk.as_ref(),
                &self.folder,
                self.layout,
                number,
                &[],
                FileName::Spare(number),
            )?;
            count(&self.counters.spares_made, 1);
            self.state.lock().spares.push(number);
        }
    }
}

impl Wal {
    /// The segments of the log, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let (committed, durable) = {
            let state = self.shared.state.lock();
            (state.committed.lsn, state.durable)
        };
        let layout = self.shared.layout;
        let table = self.shared.table.lock();
        let infos = table.iter().map(|(&number, segment)| {
            let finished = layout.start(number + 1) <= durable;
            SegmentInfo {
                number,
                first_lsn: layout.start(number),
                first_ts: segment.first_ts,
                bytes_used: committed
                    .0
                    .saturating_sub(layout.start(number).0)
                    .min(layout.segment_bytes),
                state: if finished {
                    SegmentState::Finished
                } else {
                    SegmentState::Active
                },
                archived: segment.archived.load(Ordering::Acquire),
                created_at_us: segment.created_at_us,
            }
        });
        infos.collect()
    }
}
