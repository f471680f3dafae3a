//! The buffer pool: what it did, its settings, pins and pages read ahead.

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::POOL_EXHAUSTED;
use rustydb_contract_storage::errors::PAGE_NOT_PINNED;
use rustydb_contract_storage::{
    BufferConfig, BufferPoolStats, EvictionPolicy, EvictionStats, FlushedPool, PagePins, PrefetchConfig,
    PrefetchedPages, StorageUnpinPageInput, StorageUpdateBufferConfigInput, StorageUpdatePrefetchConfigInput,
    TablespacePages,
};
use rustydb_kernel::ids::PageId;
use rustydb_kernel::kernel::{Kernel, RawError};
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_kernel::pool::{PoolCounts, TablespacePages as Counted};
use rustydb_kernel::space::ReadAheadOptions;
use sysinfo::System;

use super::errors::{failed, refused};
use super::{bounded, in_use, indexed, page_id};
use crate::identity::error::{internal, invalid_argument};

/// Of so many frames, one may hold a page that clients pinned: the others are for everybody.
const FRAMES_PER_CLIENT_PIN: usize = 2;
/// Of the memory that is left, this part stays for others when the pool grows.
const MEMORY_KEPT: u64 = 4;
/// Bounds of the share of the frames for pages that came lately, as the pool has them.
const SMALL_QUEUE_PERCENT_MIN: f64 = 0.1;
const SMALL_QUEUE_PERCENT_MAX: f64 = 90.0;

pub(super) fn stats(kernel: &Kernel) -> BufferPoolStats {
    let (info, counts) = (kernel.pool().info(), kernel.pool().counts());
    let reads = counts.hits + counts.misses;
    let of_tablespace = |(id, pages): (_, Counted)| {
        let rustydb_kernel::ids::TablespaceId(id) = id;
        TablespacePages {
            tablespace: u32::from(id),
            pages: pages.resident,
            dirty: pages.dirty,
            pinned: pages.pinned,
        }
    };
    BufferPoolStats {
        size_bytes: (info.frames * PAGE_BYTES) as u64,
        total_pages: info.frames as u64,
        used_pages: info.resident as u64,
        free_pages: info.frames.saturating_sub(info.resident) as u64,
        dirty_pages: info.dirty as u64,
        pinned_pages: info.pinned as u64,
        hits: counts.hits,
        misses: counts.misses,
        hit_ratio: (reads > 0).then(|| counts.hits as f64 / reads as f64),
        evictions: evictions(&counts),
        pages_flushed: counts.pages_flushed,
        tablespaces: kernel
            .pool()
            .tablespaces()
            .into_iter()
            .map(of_tablespace)
            .collect(),
    }
}

/// Pages that left, for whatever reason.
pub(super) fn evictions(counts: &PoolCounts) -> u64 {
    counts.evicted_not_reused + counts.evicted_aged + counts.evicted_resized + counts.evicted_discarded
}

pub(super) fn eviction_stats(kernel: &Kernel) -> EvictionStats {
    let (info, counts) = (kernel.pool().info(), kernel.pool().counts());
    EvictionStats {
        not_reused: counts.evicted_not_reused,
        aged: counts.evicted_aged,
        resized: counts.evicted_resized,
        discarded: counts.evicted_discarded,
        victims_written: counts.evictions_with_write,
        searches: counts.scans,
        frames_scanned: counts.frames_scanned,
        small_queue_pages: info.small_queue as u64,
        main_queue_pages: info.main_queue as u64,
        ghost_queue_pages: info.ghost_queue as u64,
    }
}

/// By a checkpoint, so that the log is not needed for what was written either.
pub(super) fn flush(kernel: &Kernel) -> ServiceResult<FlushedPool> {
    let checkpoint = kernel.checkpoint().map_err(|error| failed(&error))?;
    Ok(FlushedPool {
        pages: checkpoint.pages_written,
        files: checkpoint.files_synced,
    })
}

pub(super) fn config(kernel: &Kernel) -> BufferConfig {
    let settings = kernel.pool().settings();
    let percent = |permille: u64| permille as f64 / 10.0;
    let setting = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    BufferConfig {
        size_bytes: pool_bytes(kernel),
        policy: EvictionPolicy::S3Fifo,
        small_queue_percent: percent(settings.small_queue_permille()),
        flush_interval_ms: setting(settings.flush_interval_ms()),
        flush_pages_max: setting(settings.flush_pages_max()),
        dirty_percent_max: percent(settings.dirty_permille_max()),
    }
}

/// All is checked before anything is changed.
pub(super) fn configure(
    kernel: &Kernel,
    input: &StorageUpdateBufferConfigInput,
) -> ServiceResult<BufferConfig> {
    if let Some(EvictionPolicy::Unrecognized(text)) = &input.policy {
        return Err(invalid_argument(
            "policy",
            format!("policy: {text:?} is not s3_fifo, the only one"),
        ));
    }
    if let Some(percent) = input.small_queue_percent
        && !(SMALL_QUEUE_PERCENT_MIN..=SMALL_QUEUE_PERCENT_MAX).contains(&percent)
    {
        return Err(invalid_argument(
            "small_queue_percent",
            format!(
                "small_queue_percent: {percent} is not from {SMALL_QUEUE_PERCENT_MIN} to {SMALL_QUEUE_PERCENT_MAX}"
            ),
        ));
    }
    if let Some(size_bytes) = input.size_bytes {
        let left_bytes = memory_left_bytes()?;
        let bytes_max = pool_bytes(kernel) + (left_bytes - left_bytes / MEMORY_KEPT);
        if size_bytes > bytes_max {
            let message = format!("size_bytes: {size_bytes} is more than the machine has memory left for");
            return Err(invalid_argument(
                "size_bytes",
                format!("{message}; give {bytes_max} at most, of now {left_bytes} that nobody uses"),
            ));
        }
        kernel
            .set_pool_bytes(size_bytes)
            .map_err(|error| failed(&error))?;
    }
    let settings = kernel.pool().settings();
    let permille = |percent: f64| (percent * 10.0).round() as u64;
    if let Some(percent) = input.small_queue_percent {
        settings.set_small_queue_permille(permille(percent));
    }
    if let Some(interval_ms) = input.flush_interval_ms {
        settings.set_flush_interval_ms(u64::from(interval_ms));
    }
    if let Some(pages) = input.flush_pages_max {
        settings.set_flush_pages_max(u64::from(pages));
    }
    if let Some(percent) = input.dirty_percent_max {
        settings.set_dirty_permille_max(permille(percent));
    }
    Ok(config(kernel))
}

fn pool_bytes(kernel: &Kernel) -> u64 {
    (kernel.pool().frames() * PAGE_BYTES) as u64
}

/// What the machine still has, or the container if it has less.
fn memory_left_bytes() -> ServiceResult<u64> {
    let untold = || internal("the operating system does not tell how much memory there is");
    let mut system = System::new().map_err(|_| untold())?;
    system.refresh_memory();
    if system.total_memory() == 0 {
        return Err(untold());
    }
    let of_container = system.cgroup_limits().map(|limits| limits.free_memory);
    Ok(system.available_memory().min(of_container.unwrap_or(u64::MAX)))
}

pub(super) fn prefetch_config(kernel: &Kernel) -> PrefetchConfig {
    let options = kernel.read_ahead().options();
    PrefetchConfig {
        enabled: options.is_on,
        sequential_pages_min: options.sequential_pages_min,
        pages_min: options.pages_min,
        pages_max: options.pages_max,
    }
}

/// One caller at a time: what is left out stays as it is.
pub(super) fn configure_prefetch(
    kernel: &Kernel,
    input: &StorageUpdatePrefetchConfigInput,
) -> ServiceResult<PrefetchConfig> {
    let now = kernel.read_ahead().options();
    let options = ReadAheadOptions {
        is_on: input.enabled.unwrap_or(now.is_on),
        sequential_pages_min: input.sequential_pages_min.unwrap_or(now.sequential_pages_min),
        pages_min: input.pages_min.unwrap_or(now.pages_min),
        pages_max: input.pages_max.unwrap_or(now.pages_max),
    };
    if options.pages_max < options.pages_min {
        let (least, most) = (options.pages_min, options.pages_max);
        return Err(invalid_argument(
            "pages_max",
            format!(
                "pages_max: {most} is below pages_min, {least}; give {least} or more, or a lower pages_min"
            ),
        ));
    }
    kernel.read_ahead().set_options(options);
    Ok(prefetch_config(kernel))
}

/// Refuses another page that clients pin when they have as many as they may. One caller at a time.
pub(super) fn check_pins(kernel: &Kernel, page: Option<PageId>) -> ServiceResult<()> {
    let (pins, frames) = (kernel.pool().client_pins(), kernel.pool().frames());
    let is_known = page.is_some_and(|page| pins_of(&pins, page) > 0);
    if is_known || pins.len() < frames / FRAMES_PER_CLIENT_PIN {
        return Ok(());
    }
    let message = format!("clients have pinned {} pages of {frames} frames", pins.len());
    Err(ServiceError::new(
        &POOL_EXHAUSTED,
        format!("{message}; unpin some, or make the pool larger with storage.update_buffer_config"),
    ))
}

/// How often clients have pinned a page, of what the pool tells of all pages.
pub(super) fn pins_of(pins: &[(PageId, u32)], page: PageId) -> u32 {
    let found = pins.binary_search_by_key(&page, |(id, _)| *id);
    found.map_or(0, |at| pins[at].1)
}

pub(super) fn pin(kernel: &Kernel, id: u64) -> ServiceResult<PagePins> {
    let page = page_id("page_id", id)?;
    in_use(kernel, page)?;
    check_pins(kernel, Some(page))?;
    let pins = kernel.pin_page(page).map_err(refused)?;
    Ok(PagePins { pins })
}

/// A page that can't be marked stays pinned.
pub(super) fn unpin(kernel: &Kernel, input: &StorageUnpinPageInput) -> ServiceResult<PagePins> {
    let page = page_id("page_id", input.page_id)?;
    if input.dirty.unwrap_or(false) {
        kernel.touch_page(page).map_err(refused)?;
    }
    if let Some(pins) = kernel.pool().unpin_for_client(page) {
        return Ok(PagePins { pins });
    }
    in_use(kernel, page)?;
    Err(ServiceError::new(
        &PAGE_NOT_PINNED,
        format!(
            "page {} is not pinned; pin it with storage.pin_page first",
            input.page_id
        ),
    ))
}

pub(super) fn prefetch(kernel: &Kernel, ids: &[u64]) -> ServiceResult<PrefetchedPages> {
    let mut pages = Vec::with_capacity(ids.len());
    for (index, &id) in ids.iter().enumerate() {
        let page = page_id(&indexed("ids", index), id)?;
        in_use(kernel, page)?;
        pages.push(page);
    }
    let read = kernel.pool().prefetch(&pages).map_err(RawError::Kernel);
    Ok(PrefetchedPages {
        pages_read: bounded(read.map_err(refused)?),
    })
}
