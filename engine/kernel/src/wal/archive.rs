//! Copies of finished segments, for backup and for readers of what left the log.

use std::sync::atomic::Ordering;

use rustydb_runtime::disk::OpenMode;

use super::events::WalEvent;
use super::recovery::open_segment;
use super::segment::SEGMENT_HEADER_BYTES;
use super::segments::{Segment, copy_bytes, sync_name};
use super::stats::count;
use super::{Shared, Wal};
use crate::error::{KernelError, Result};
use crate::sync::Arc;

impl Shared {
    /// Copies a finished segment to `folder`, unless its copy is there.
    fn archive_segment(&self, number: u64, folder: &str) -> Result<String> {
        let path = format!("{folder}/{number:016x}.wal");
        let partial = format!("{path}.part");
        let failed = |error| KernelError::io(format!("archiving segment {number} to {path}"), &error);
        let from = open_segment(self.disk.as_ref(), &self.folder, number)?;
        if let Ok(copy) = self.disk.open(&path, OpenMode::Existing)
            && copy.length().map_err(failed)? == self.layout.segment_bytes
        {
            let (mut ours, mut theirs) = ([0; SEGMENT_HEADER_BYTES], [0; SEGMENT_HEADER_BYTES]);
            from.read_at(&mut ours, 0).map_err(failed)?;
            copy.read_at(&mut theirs, 0).map_err(failed)?;
            if ours == theirs {
                return Ok(path);
            }
        }
        let copied = || -> std::io::Result<()> {
            match self.disk.remove_file(&partial) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let to = self.disk.open(&partial, OpenMode::New)?;
            copy_bytes(from.as_ref(), to.as_ref(), self.layout.segment_bytes)?;
            to.sync_data()?;
            self.disk.rename(&partial, &path)?;
            self.disk.sync_folder(folder)
        };
        copied().map_err(|error| {
            // It takes room, which may be what is wanting; the next attempt removes it if this cannot.
            let _ = self.disk.remove_file(&partial);
            failed(error)
        })?;
        Ok(path)
    }
}

impl Wal {
    /// Copies every finished segment to `folder` on the same disk that has no copy there, and returns their numbers.
    /// The copies are durable.
    ///
    /// # Errors
    /// `DiskFull` and `Io`; the log goes on as before, and the call may be repeated.
    pub fn archive(&self, folder: &str) -> Result<Vec<u64>> {
        let shared = self.shared.as_ref();
        shared
            .disk
            .create_folder(folder)
            .and_then(|()| sync_name(shared.disk.as_ref(), folder))
            .map_err(|error| KernelError::io(format!("making {folder}"), &error))?;
        let durable = self.durable();
        let finished: Vec<(u64, Arc<Segment>)> = {
            let table = shared.table.lock();
            let segments = table
                .iter()
                .map(|(number, segment)| (*number, Arc::clone(segment)));
            segments
                .filter(|(number, _)| shared.layout.start(number + 1) <= durable)
                .collect()
        };
        let mut archived = Vec::new();
        for (number, segment) in finished {
            if segment.archived.load(Ordering::Acquire) {
                continue;
            }
            let path = shared.archive_segment(number, folder)?;
            segment.archived.store(true, Ordering::Release);
            count(&shared.counters.segments_archived, 1);
            shared
                .listener
                .tell(|| WalEvent::SegmentArchived { number, path });
            archived.push(number);
        }
        Ok(archived)
    }
}
