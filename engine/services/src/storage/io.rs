//! Requests to the disk: what they took, several pages at once, writes that wait for their neighbours, and the queue.

use crc_fast::{CrcAlgorithm, checksum};
use rustydb_contract::{Bytes, Id64, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_storage::errors::IO_QUEUE_FULL;
use rustydb_contract_storage::{
    CoalescedWrites, Crc32c, IoDirection, IoLatency, IoOutcome, IoPriority, IoRates, IoRequests, IoStats,
    IoSyncs, PageDataList, PageWrite, ProcessedIo, QueuedIo, StagedPages, StorageSubmitAsyncReadInput,
    StorageSubmitAsyncWriteInput, StorageWritePageCoalescedInput, StorageWritePageInput, SyncedFiles,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::PageBuf;
use rustydb_kernel::space::{self, HistogramSnapshot, RequestStats, SpaceStats};

use super::errors::{failed, refused};
use super::pages::{self, checksum_text};
use super::{bounded, image, indexed, page_id};
use crate::identity::error::invalid_argument;

/// Requests that wait for somebody to carry them out.
const REQUESTS_MAX: usize = 256;
/// Requests that one call carries out unless told.
const REQUESTS_DEFAULT: u32 = 64;

pub(super) fn stats(kernel: &Kernel) -> IoStats {
    let stats = kernel.files().stats();
    let kinds = [&stats.reads, &stats.writes, &stats.syncs, &stats.growths];
    IoStats {
        reads: requests(&stats.reads),
        writes: requests(&stats.writes),
        syncs: IoSyncs {
            requests: stats.syncs.requests,
            latency: latency(&stats.syncs.latency),
        },
        failures: kinds.iter().map(|kind| kind.failures).sum(),
        corrupt_pages: stats.corrupt_pages,
        counting_since: Timestamp::from_micros(kernel.files().counting_since_us()),
    }
}

fn requests(stats: &RequestStats) -> IoRequests {
    IoRequests {
        requests: stats.requests,
        bytes: stats.bytes(),
        latency: latency(&stats.latency),
    }
}

/// `None` where nothing was asked for.
fn latency(histogram: &HistogramSnapshot) -> Option<IoLatency> {
    let us = |ns: u64| ns.div_ceil(1_000);
    Some(IoLatency {
        mean_us: us(histogram.mean_ns()?),
        p50_us: us(histogram.quantile_ns(500)?),
        p99_us: us(histogram.quantile_ns(990)?),
        max_us: us(histogram.max_ns()),
    })
}

/// Rates between two looks that lie so far apart. After a reset between them, what was counted since is all that is known.
pub(super) fn rates(before: &SpaceStats, after: &SpaceStats, elapsed_us: u64) -> IoRates {
    let seconds = elapsed_us.max(1) as f64 / 1_000_000.0;
    let rate = |before: &RequestStats, after: &RequestStats| {
        let since = match after.requests < before.requests {
            true => after.requests,
            false => after.requests - before.requests,
        };
        since as f64 / seconds
    };
    IoRates {
        window_ms: elapsed_us as f64 / 1_000.0,
        reads_per_second: rate(&before.reads, &after.reads),
        writes_per_second: rate(&before.writes, &after.writes),
        syncs_per_second: rate(&before.syncs, &after.syncs),
    }
}

pub(super) fn read_pages(kernel: &Kernel, ids: &[u64]) -> ServiceResult<PageDataList> {
    let read = |(index, &id): (usize, &u64)| pages::read(kernel, &indexed("ids", index), id);
    let pages: ServiceResult<Vec<_>> = ids.iter().enumerate().map(read).collect();
    Ok(PageDataList { pages: pages? })
}

pub(super) fn write_page(kernel: &Kernel, input: &StorageWritePageInput) -> ServiceResult<()> {
    let page = (page_id("id", input.id)?, image(&input.data)?);
    kernel.write_pages(vec![page]).map_err(refused)
}

pub(super) fn write_pages(kernel: &Kernel, writes: &[PageWrite]) -> ServiceResult<()> {
    let mut pages: Vec<(PageId, PageBuf)> = Vec::with_capacity(writes.len());
    for (index, write) in writes.iter().enumerate() {
        let field = format!("pages.{index}.id");
        let id = page_id(&field, write.id)?;
        if pages.iter().any(|(other, _)| *other == id) {
            let message = format!("{field}: page {} is written twice; name each page once", write.id);
            return Err(invalid_argument(&field, message));
        }
        pages.push((id, image(&write.data)?));
    }
    kernel.write_pages(pages).map_err(refused)
}

pub(super) fn stage(kernel: &Kernel, input: &StorageWritePageCoalescedInput) -> ServiceResult<StagedPages> {
    let (id, page) = (page_id("id", input.id)?, image(&input.data)?);
    kernel.stage_page(id, page).map_err(refused)?;
    Ok(StagedPages {
        staged: kernel.staged_pages() as u64,
    })
}

pub(super) fn flush_staged(kernel: &Kernel) -> ServiceResult<CoalescedWrites> {
    let staged = kernel.flush_staged().map_err(refused)?;
    Ok(CoalescedWrites {
        pages: staged.pages,
        requests: staged.requests,
    })
}

/// One caller at a time, so that the queue has the bound that it is said to have.
pub(super) fn submit_read(kernel: &Kernel, input: &StorageSubmitAsyncReadInput) -> ServiceResult<QueuedIo> {
    let id = page_id("id", input.id)?;
    let priority = priority(input.priority.as_ref())?;
    check_queue(kernel)?;
    queued(kernel.submit_read(id, priority).map_err(refused)?)
}

/// As [`submit_read`].
pub(super) fn submit_write(kernel: &Kernel, input: &StorageSubmitAsyncWriteInput) -> ServiceResult<QueuedIo> {
    let (id, page) = (page_id("id", input.id)?, image(&input.data)?);
    let priority = priority(input.priority.as_ref())?;
    check_queue(kernel)?;
    queued(kernel.submit_write(id, page, priority).map_err(refused)?)
}

fn queued(request: u64) -> ServiceResult<QueuedIo> {
    Ok(QueuedIo {
        request_id: Id64(request),
    })
}

fn check_queue(kernel: &Kernel) -> ServiceResult<()> {
    let length = kernel.io_queue();
    let waiting = length.reads + length.writes;
    if waiting < REQUESTS_MAX {
        return Ok(());
    }
    let message = format!("{waiting} requests wait, and the queue takes {REQUESTS_MAX}");
    Err(ServiceError::new(
        &IO_QUEUE_FULL,
        format!("{message}; carry some out with storage.process_io_queue"),
    ))
}

fn priority(priority: Option<&IoPriority>) -> ServiceResult<space::IoPriority> {
    Ok(match priority {
        Some(IoPriority::Low) => space::IoPriority::Low,
        None | Some(IoPriority::Normal) => space::IoPriority::Normal,
        Some(IoPriority::High) => space::IoPriority::High,
        Some(IoPriority::Critical) => space::IoPriority::Critical,
        Some(IoPriority::Unrecognized(text)) => {
            let message = format!("priority: {text:?} is not low, normal, high or critical");
            return Err(invalid_argument("priority", message));
        }
    })
}

pub(super) fn process(kernel: &Kernel, requests_max: Option<u32>) -> ServiceResult<ProcessedIo> {
    let requests_max = requests_max.unwrap_or(REQUESTS_DEFAULT);
    let outcomes = kernel.process_io(requests_max as usize).map_err(refused)?;
    let length = kernel.io_queue();
    let shown = outcomes.into_iter().map(|outcome| IoOutcome {
        request_id: Id64(outcome.request),
        id: outcome.page.to_number(),
        direction: match outcome.is_write {
            true => IoDirection::Write,
            false => IoDirection::Read,
        },
        error: outcome.outcome.err().map(|error| error.to_string()),
    });
    Ok(ProcessedIo {
        outcomes: shown.collect(),
        waiting: bounded(length.reads + length.writes),
    })
}

pub(super) fn sync(kernel: &Kernel) -> ServiceResult<SyncedFiles> {
    let files = kernel.sync_files().map_err(|error| failed(&error))?;
    Ok(SyncedFiles { files })
}

pub(super) fn crc32c(data: &Bytes) -> Crc32c {
    // The library gives every checksum as 64 bits; one of 32 bits fills the lower half.
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &data.0) as u32;
    Crc32c {
        crc32c: checksum_text(crc),
    }
}
