//! The write-ahead log below the tables: its state, and what can be done to it by hand.
//!
//! Positions of commits are the contract's `lsn`; places in the log, in bytes, are numbers.

use std::sync::Arc;
use std::time::Duration;

use rustydb_contract::{Lsn, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_transactions::errors::LSN_NOT_REACHED;
use rustydb_contract_transactions::{
    ArchivedWal, FlushedWal, SwitchedWal, TransactionsListWalSegmentsInput, TruncatedWal, WalCheckpointed,
    WalReplayStatus, WalSegment, WalSegmentList, WalSegmentState, WalStatus,
};
use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::wal::{SegmentInfo, SegmentState};

use super::DataEngine;
use crate::engine::{ARCHIVE_FOLDER, STORE_FOLDER};
use crate::failure::kernel_failure;
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Name of the list in cursors.
const SEGMENTS: &str = "wal_segments";

impl DataEngine {
    /// Runs on a blocking thread, with the kernel.
    pub(super) async fn on_kernel<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Kernel) -> ServiceResult<T> + Send + 'static,
    ) -> ServiceResult<T> {
        let kernel = Arc::clone(&self.inner.kernel);
        blocking(move || work(&kernel)).await
    }

    /// With a window, it is waited for, to tell what is written meanwhile.
    pub(super) async fn wal_status(&self, window_ms: Option<u64>) -> WalStatus {
        let kernel = &self.inner.kernel;
        let bytes_per_second = match window_ms {
            None => None,
            Some(window_ms) => {
                let clock = &self.inner.clock;
                let (begun_us, before) = (clock.now_mono_us(), kernel.wal().stats().written_bytes);
                tokio::time::sleep(Duration::from_millis(window_ms)).await;
                let written = kernel.wal().stats().written_bytes - before;
                let took_us = (clock.now_mono_us() - begun_us).max(1);
                Some((u128::from(written) * 1_000_000 / u128::from(took_us)) as u64)
            }
        };
        let wal = kernel.wal();
        // Ends before beginnings, which follow them.
        let (redo, checkpoint_at_us) = kernel.last_checkpoint();
        let lsn = Lsn(kernel.newest().0);
        let durable = wal.durable();
        let end = wal.end();
        let stats = wal.stats();
        let segments = wal.segments();
        let files = segments.len() as u64 + stats.spares;
        WalStatus {
            lsn,
            oldest_position: segments.first().map_or(0, |oldest| oldest.first_lsn.0),
            redo_position: redo.0,
            durable_position: durable.0,
            end_position: end.0,
            checkpoint_at: Timestamp::from_micros(checkpoint_at_us),
            segments: segments.len() as u64,
            size_bytes: files * wal.segment_bytes(),
            spare_segments: stats.spares,
            bytes_written: stats.written_bytes,
            writes: stats.writes,
            syncs: stats.syncs,
            avg_sync_ms: match stats.syncs {
                0 => 0.0,
                syncs => stats.sync_latency_sum_us as f64 / syncs as f64 / 1_000.0,
            },
            bytes_per_second,
        }
    }

    pub(super) fn wal_segments(
        &self,
        input: TransactionsListWalSegmentsInput,
    ) -> ServiceResult<WalSegmentList> {
        let after = paging::after(SEGMENTS, input.after)?;
        // A cursor of this list holds a number.
        let after: u64 = after.and_then(|number| number.parse().ok()).unwrap_or(0);
        let items_max = paging::page_items(input.limit);
        let mut found = self.inner.kernel.wal().segments();
        found.retain(|segment| segment.number > after);
        let next = match found.len() > items_max {
            true => Some(paging::cursor(SEGMENTS, &found[items_max - 1].number.to_string())),
            false => None,
        };
        found.truncate(items_max);
        Ok(WalSegmentList {
            segments: found.into_iter().map(described).collect(),
            next,
        })
    }

    pub(super) async fn flushed_wal(&self) -> ServiceResult<FlushedWal> {
        self.on_kernel(|kernel| {
            kernel.wait_for_all().map_err(|error| kernel_failure(&error))?;
            Ok(FlushedWal {
                lsn: Lsn(kernel.newest().0),
                durable_position: kernel.wal().durable().0,
            })
        })
        .await
    }

    pub(super) async fn checkpoint(&self) -> ServiceResult<WalCheckpointed> {
        let clock = Arc::clone(&self.inner.clock);
        self.on_kernel(move |kernel| {
            let begun_us = clock.now_mono_us();
            let done = kernel.checkpoint().map_err(|error| kernel_failure(&error))?;
            Ok(WalCheckpointed {
                redo_position: done.redo.0,
                pages_written: done.pages_written,
                files_synced: done.files_synced,
                duration_ms: (clock.now_mono_us() - begun_us) as f64 / 1_000.0,
            })
        })
        .await
    }

    pub(super) async fn archived_wal(&self) -> ServiceResult<ArchivedWal> {
        self.on_kernel(|kernel| {
            let folder = format!("{STORE_FOLDER}/{ARCHIVE_FOLDER}");
            let segments = kernel
                .wal()
                .archive(&folder)
                .map_err(|error| kernel_failure(&error))?;
            Ok(ArchivedWal { segments, folder })
        })
        .await
    }

    pub(super) async fn truncated_wal(&self, before: Option<Lsn>) -> ServiceResult<TruncatedWal> {
        let now_us = self.inner.clock.now_us();
        self.on_kernel(move |kernel| {
            if let Some(before) = before {
                let newest = Lsn(kernel.newest().0);
                if before.0 > newest.0 {
                    let message = format!("there is no commit {before} yet; the newest is {newest}");
                    return Err(ServiceError::new(&LSN_NOT_REACHED, message));
                }
                let to = Ts(before.0.saturating_sub(1));
                let trimmed = kernel.commit(now_us, |commit| {
                    commit.trim_log(to);
                    Ok::<_, KernelError>(())
                });
                let ((), ticket) = trimmed.map_err(|error| kernel_failure(&error))?;
                kernel.wait(ticket).map_err(|error| kernel_failure(&error))?;
            }
            let done = kernel.checkpoint().map_err(|error| kernel_failure(&error))?;
            let oldest = kernel
                .wal()
                .segments()
                .first()
                .map_or(0, |oldest| oldest.first_lsn.0);
            Ok(TruncatedWal {
                trimmed_to: Lsn(kernel.log_extent().trimmed_to.0),
                segments_removed: done.truncated.removed,
                segments_recycled: done.truncated.recycled,
                oldest_position: oldest,
            })
        })
        .await
    }

    pub(super) async fn switched_wal(&self) -> ServiceResult<SwitchedWal> {
        self.on_kernel(|kernel| {
            let wal = kernel.wal();
            wal.switch_segment().map_err(|error| kernel_failure(&error))?;
            // Segment n holds the bytes from n times the size of one on.
            let number = wal.end().0 / wal.segment_bytes();
            Ok(SwitchedWal {
                number,
                first_position: number * wal.segment_bytes(),
            })
        })
        .await
    }

    pub(super) fn wal_replay(&self) -> WalReplayStatus {
        let replay = self.inner.kernel.recovery();
        WalReplayStatus {
            began_at: Timestamp::from_micros(replay.began_at_us),
            duration_ms: replay.duration_us as f64 / 1_000.0,
            redo_position: replay.redo.0,
            end_position: replay.end.0,
            groups: replay.groups,
            pages: replay.pages,
        }
    }
}

fn described(segment: SegmentInfo) -> WalSegment {
    WalSegment {
        number: segment.number,
        first_position: segment.first_lsn.0,
        lsn: Lsn(segment.first_ts.0),
        bytes_used: segment.bytes_used,
        state: match segment.state {
            SegmentState::Active => WalSegmentState::Active,
            SegmentState::Finished => WalSegmentState::Finished,
        },
        archived: segment.archived,
        created_at: Timestamp::from_micros(segment.created_at_us),
    }
}
