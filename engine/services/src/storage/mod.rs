//! The `storage` module: tablespaces, pages, the buffer pool and the disk, straight on the kernel.
//!
//! What a page may be used for is the kernel's to say; here inputs become its types, its answers the contract's, and what clients
//! may hold at a time is bounded: pins of pages, and requests in the queue. Each call blocks a thread of its own, for the disk
//! may be asked.

mod errors;
mod io;
mod io_events;
pub(crate) mod page_events;
mod pages;
mod pool;
mod pool_events;
mod records;
mod status;
mod status_changes;
mod tablespaces;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_contract::stream::Subscription;
use rustydb_contract::{Bytes, CallContext, Cursor, Empty, ServiceError, ServiceResult, async_trait};
use rustydb_contract_storage::errors::INVALID_PAGE_IMAGE;
use rustydb_contract_storage::{
    AllocatedPage, BufferConfig, BufferPoolMetrics, BufferPoolStats, CoalescedWrites, CompactedPage, Crc32c,
    DiskList, EvictionStats, FetchedPage, FlushedPage, FlushedPool, InsertedRecord, IoRates, IoStatistics,
    IoStats, LoadedPage, MergeCheck, MergedPages, PageCount, PageData, PageDataList, PageDetail, PageList,
    PagePins, PageRecord, PageSpace, PageVerdict, PrefetchConfig, PrefetchedPages, ProcessedIo, QueuedIo,
    SealedPage, SplitCheck, SplitPage, StagedPages, StorageAllocatePageInput, StorageBufferPoolEventsEvent,
    StorageBufferPoolEventsInput, StorageBufferPoolMetricsInput, StorageCheckPageMergeInput,
    StorageCheckPageSplitInput, StorageCompactPageInput, StorageComputeChecksumInput, StorageCountPagesInput,
    StorageCreateTablespaceInput, StorageDeleteRecordInput, StorageDeleteTablespaceInput,
    StorageFetchPageInput, StorageFlushBufferPoolInput, StorageFlushCoalescedWritesInput,
    StorageFlushPageInput, StorageGetBufferConfigInput, StorageGetBufferPoolStatsInput,
    StorageGetEvictionStatsInput, StorageGetIoStatsInput, StorageGetIopsInput, StorageGetPageFreeSpaceInput,
    StorageGetPageInput, StorageGetPrefetchConfigInput, StorageGetRecordInput, StorageGetStatusInput,
    StorageInsertRecordInput, StorageIoEventsEvent, StorageIoEventsInput, StorageIoStatisticsStreamInput,
    StorageListDisksInput, StorageListPagesInput, StorageListTablespacesInput, StorageLoadPageInput,
    StorageMarkPageDirtyInput, StorageMergePagesInput, StoragePageEventsEvent, StoragePageEventsInput,
    StoragePinPageInput, StoragePrefetchPagesInput, StorageProcessIoQueueInput, StorageReadPageInput,
    StorageReadPagesInput, StorageResetIoStatsInput, StorageResetPageInput, StorageService,
    StorageSplitPageInput, StorageStatus, StorageStatusChange, StorageStorageStatusChangesInput,
    StorageSubmitAsyncReadInput, StorageSubmitAsyncWriteInput, StorageSyncDiskInput, StorageUnpinPageInput,
    StorageUpdateBufferConfigInput, StorageUpdatePageChecksumInput, StorageUpdatePrefetchConfigInput,
    StorageUpdateRecordInput, StorageUpdateTablespaceInput, StorageVerifyPageInput,
    StorageWritePageCoalescedInput, StorageWritePageInput, StorageWritePagesInput, SyncedFiles, Tablespace,
    TablespaceList,
};
use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::{Kernel, RawError};
use rustydb_kernel::page::{PAGE_BYTES, PageBuf};
use rustydb_runtime::Clock;
use rustydb_store::tables::Tables;

use self::errors::{declared, refused};
use self::io_events::IoWatch;
use self::pool_events::PoolWatch;
use self::status::Place;
use self::status_changes::Looked;
use crate::identity::blocking::blocking;
use crate::identity::error::invalid_argument;
use crate::identity::paging;
use crate::samples::Samples;
use crate::taps::Taps;

/// Folder of the log in that of the store.
const WAL_FOLDER: &str = "wal";
/// Lower bits of a page's number, which tell its place in the tablespace.
const PAGE_NUMBER_BITS: u32 = 32;
/// How long requests are counted unless the caller says.
const WINDOW_MS_DEFAULT: u32 = 1_000;

/// Answers the operations on the store's own parts.
#[derive(Clone)]
pub struct Storage {
    kernel: Arc<Kernel>,
    tables: Tables,
    clock: Arc<dyn Clock>,
    place: Arc<Place>,
    taps: Taps,
    pool_watch: Arc<PoolWatch>,
    io_watch: Arc<IoWatch>,
    status_samples: Arc<Samples<StorageStatusChange>>,
    /// Held while a page is pinned for a client: they have a bound together.
    one_pinner: Arc<Mutex<()>>,
    /// Held while a request is queued: the queue has a bound.
    one_submitter: Arc<Mutex<()>>,
    /// Held while settings change: what one caller leaves out another may be changing.
    one_setter: Arc<Mutex<()>>,
}

impl Storage {
    /// Of the store that lies in the folder `store` of the data directory; `taps` listens to its kernel.
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        taps: Taps,
        tables: Tables,
        clock: Arc<dyn Clock>,
        data_dir: &Path,
        store: &str,
    ) -> Storage {
        // Without a working directory there is no better name than the one given.
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let wal = data_dir.join(store).join(WAL_FOLDER);
        Storage {
            pool_watch: Arc::new(PoolWatch::new(Arc::clone(&kernel))),
            io_watch: Arc::new(IoWatch::new(Arc::clone(&kernel), Arc::clone(&clock))),
            status_samples: Arc::default(),
            kernel,
            tables,
            clock,
            place: Arc::new(Place { data_dir, wal }),
            taps,
            one_pinner: Arc::default(),
            one_submitter: Arc::default(),
            one_setter: Arc::default(),
        }
    }

    /// Does work that may wait for the disk, and answers what the operation may answer.
    async fn on_kernel<T: Send + 'static>(
        &self,
        context: &CallContext,
        work: impl FnOnce(&Kernel) -> ServiceResult<T> + Send + 'static,
    ) -> ServiceResult<T> {
        let kernel = Arc::clone(&self.kernel);
        let outcome = blocking(move || work(&kernel)).await;
        outcome.map_err(|error| declared(context.operation, error))
    }

    /// The same of what has nothing to answer.
    async fn done(
        &self,
        context: &CallContext,
        work: impl FnOnce(&Kernel) -> ServiceResult<()> + Send + 'static,
    ) -> ServiceResult<Empty> {
        self.on_kernel(context, work).await.map(|()| Empty {})
    }
}

#[async_trait]
impl StorageService for Storage {
    async fn allocate_page(
        &self,
        context: &CallContext,
        input: StorageAllocatePageInput,
    ) -> ServiceResult<AllocatedPage> {
        let (one, watch) = (Arc::clone(&self.one_pinner), Arc::clone(&self.pool_watch));
        self.on_kernel(context, move |kernel| {
            let pinned = input.pinned.unwrap_or(false);
            let _one = pinned.then(|| one.lock());
            if pinned {
                pool::check_pins(kernel, None)?;
            }
            let allocated = pages::allocate(kernel, &input)?;
            if pinned {
                watch.pinned(allocated.id, 1);
            }
            Ok(allocated)
        })
        .await
    }

    async fn buffer_pool_events(
        &self,
        _: &CallContext,
        input: StorageBufferPoolEventsInput,
    ) -> ServiceResult<Subscription<StorageBufferPoolEventsEvent>> {
        Ok(self.pool_watch.events(input))
    }

    async fn buffer_pool_metrics(
        &self,
        _: &CallContext,
        input: StorageBufferPoolMetricsInput,
    ) -> ServiceResult<Subscription<BufferPoolMetrics>> {
        Ok(self.pool_watch.metrics(input))
    }

    async fn check_page_merge(
        &self,
        context: &CallContext,
        input: StorageCheckPageMergeInput,
    ) -> ServiceResult<MergeCheck> {
        self.on_kernel(context, move |kernel| {
            pages::check_merge(kernel, input.into, input.from)
        })
        .await
    }

    async fn check_page_split(
        &self,
        context: &CallContext,
        input: StorageCheckPageSplitInput,
    ) -> ServiceResult<SplitCheck> {
        self.on_kernel(context, move |kernel| pages::check_split(kernel, &input))
            .await
    }

    async fn compact_page(
        &self,
        context: &CallContext,
        input: StorageCompactPageInput,
    ) -> ServiceResult<CompactedPage> {
        self.on_kernel(context, move |kernel| pages::compact(kernel, input.id))
            .await
    }

    async fn compute_checksum(
        &self,
        _: &CallContext,
        input: StorageComputeChecksumInput,
    ) -> ServiceResult<Crc32c> {
        Ok(io::crc32c(&input.data))
    }

    async fn count_pages(
        &self,
        context: &CallContext,
        input: StorageCountPagesInput,
    ) -> ServiceResult<PageCount> {
        self.on_kernel(context, move |kernel| pages::count(kernel, input.tablespace))
            .await
    }

    async fn create_tablespace(
        &self,
        context: &CallContext,
        input: StorageCreateTablespaceInput,
    ) -> ServiceResult<Tablespace> {
        self.on_kernel(context, move |kernel| tablespaces::create(kernel, input))
            .await
    }

    async fn delete_record(
        &self,
        context: &CallContext,
        input: StorageDeleteRecordInput,
    ) -> ServiceResult<Empty> {
        self.done(context, move |kernel| {
            records::delete(kernel, input.id, input.slot)
        })
        .await
    }

    async fn delete_tablespace(
        &self,
        context: &CallContext,
        input: StorageDeleteTablespaceInput,
    ) -> ServiceResult<Empty> {
        self.done(context, move |kernel| tablespaces::drop(kernel, input.id))
            .await
    }

    async fn fetch_page(
        &self,
        context: &CallContext,
        input: StorageFetchPageInput,
    ) -> ServiceResult<FetchedPage> {
        self.on_kernel(context, move |kernel| pages::fetch(kernel, input.id))
            .await
    }

    async fn flush_buffer_pool(
        &self,
        context: &CallContext,
        _: StorageFlushBufferPoolInput,
    ) -> ServiceResult<FlushedPool> {
        self.on_kernel(context, pool::flush).await
    }

    async fn flush_coalesced_writes(
        &self,
        context: &CallContext,
        _: StorageFlushCoalescedWritesInput,
    ) -> ServiceResult<CoalescedWrites> {
        self.on_kernel(context, io::flush_staged).await
    }

    async fn flush_page(
        &self,
        context: &CallContext,
        input: StorageFlushPageInput,
    ) -> ServiceResult<FlushedPage> {
        self.on_kernel(context, move |kernel| pages::flush(kernel, input.id))
            .await
    }

    async fn get_buffer_config(
        &self,
        _: &CallContext,
        _: StorageGetBufferConfigInput,
    ) -> ServiceResult<BufferConfig> {
        Ok(pool::config(&self.kernel))
    }

    async fn get_buffer_pool_stats(
        &self,
        context: &CallContext,
        _: StorageGetBufferPoolStatsInput,
    ) -> ServiceResult<BufferPoolStats> {
        self.on_kernel(context, move |kernel| Ok(pool::stats(kernel)))
            .await
    }

    async fn get_eviction_stats(
        &self,
        context: &CallContext,
        _: StorageGetEvictionStatsInput,
    ) -> ServiceResult<EvictionStats> {
        self.on_kernel(context, move |kernel| Ok(pool::eviction_stats(kernel)))
            .await
    }

    async fn get_io_stats(&self, _: &CallContext, _: StorageGetIoStatsInput) -> ServiceResult<IoStats> {
        Ok(io::stats(&self.kernel))
    }

    async fn get_iops(&self, _: &CallContext, input: StorageGetIopsInput) -> ServiceResult<IoRates> {
        let window_ms = input.window_ms.unwrap_or(WINDOW_MS_DEFAULT);
        let look = || (self.kernel.files().stats(), self.clock.now_mono_us());
        let (before, began_us) = look();
        tokio::time::sleep(Duration::from_millis(u64::from(window_ms))).await;
        let (after, ended_us) = look();
        Ok(io::rates(&before, &after, ended_us.saturating_sub(began_us)))
    }

    async fn get_page(&self, context: &CallContext, input: StorageGetPageInput) -> ServiceResult<PageDetail> {
        self.on_kernel(context, move |kernel| pages::get(kernel, input.id))
            .await
    }

    async fn get_page_free_space(
        &self,
        context: &CallContext,
        input: StorageGetPageFreeSpaceInput,
    ) -> ServiceResult<PageSpace> {
        self.on_kernel(context, move |kernel| pages::space(kernel, input.id))
            .await
    }

    async fn get_prefetch_config(
        &self,
        _: &CallContext,
        _: StorageGetPrefetchConfigInput,
    ) -> ServiceResult<PrefetchConfig> {
        Ok(pool::prefetch_config(&self.kernel))
    }

    async fn get_record(
        &self,
        context: &CallContext,
        input: StorageGetRecordInput,
    ) -> ServiceResult<PageRecord> {
        self.on_kernel(context, move |kernel| records::get(kernel, input.id, input.slot))
            .await
    }

    async fn get_status(
        &self,
        context: &CallContext,
        _: StorageGetStatusInput,
    ) -> ServiceResult<StorageStatus> {
        let (tables, place) = (self.tables.clone(), Arc::clone(&self.place));
        self.on_kernel(context, move |kernel| status::status(kernel, &tables, &place))
            .await
    }

    async fn insert_record(
        &self,
        context: &CallContext,
        input: StorageInsertRecordInput,
    ) -> ServiceResult<InsertedRecord> {
        self.on_kernel(context, move |kernel| records::insert(kernel, &input))
            .await
    }

    async fn io_events(
        &self,
        _: &CallContext,
        input: StorageIoEventsInput,
    ) -> ServiceResult<Subscription<StorageIoEventsEvent>> {
        Ok(self.io_watch.events(input))
    }

    async fn io_statistics_stream(
        &self,
        _: &CallContext,
        input: StorageIoStatisticsStreamInput,
    ) -> ServiceResult<Subscription<IoStatistics>> {
        Ok(self.io_watch.statistics(input))
    }

    async fn list_disks(&self, context: &CallContext, _: StorageListDisksInput) -> ServiceResult<DiskList> {
        let place = Arc::clone(&self.place);
        self.on_kernel(context, move |kernel| status::disks(kernel, &place))
            .await
    }

    async fn list_pages(
        &self,
        context: &CallContext,
        input: StorageListPagesInput,
    ) -> ServiceResult<PageList> {
        self.on_kernel(context, move |kernel| pages::list(kernel, input))
            .await
    }

    async fn list_tablespaces(
        &self,
        context: &CallContext,
        input: StorageListTablespacesInput,
    ) -> ServiceResult<TablespaceList> {
        self.on_kernel(context, move |kernel| tablespaces::list(kernel, input))
            .await
    }

    async fn load_page(
        &self,
        context: &CallContext,
        input: StorageLoadPageInput,
    ) -> ServiceResult<LoadedPage> {
        self.on_kernel(context, move |kernel| pages::load(kernel, &input.data))
            .await
    }

    async fn mark_page_dirty(
        &self,
        context: &CallContext,
        input: StorageMarkPageDirtyInput,
    ) -> ServiceResult<Empty> {
        self.done(context, move |kernel| {
            kernel.touch_page(page_id("id", input.id)?).map_err(refused)
        })
        .await
    }

    async fn merge_pages(
        &self,
        context: &CallContext,
        input: StorageMergePagesInput,
    ) -> ServiceResult<MergedPages> {
        self.on_kernel(context, move |kernel| {
            pages::merge(kernel, input.into, input.from)
        })
        .await
    }

    async fn page_events(
        &self,
        _: &CallContext,
        input: StoragePageEventsInput,
    ) -> ServiceResult<Subscription<StoragePageEventsEvent>> {
        Ok(self.taps.pages.subscribe(move |event| {
            let wanted = lies_in(page_events::page(event), input.tablespace);
            wanted.then(|| event.clone())
        }))
    }

    async fn pin_page(&self, context: &CallContext, input: StoragePinPageInput) -> ServiceResult<PagePins> {
        let (one, watch) = (Arc::clone(&self.one_pinner), Arc::clone(&self.pool_watch));
        self.on_kernel(context, move |kernel| {
            let _one = one.lock();
            let pinned = pool::pin(kernel, input.page_id)?;
            watch.pinned(input.page_id, pinned.pins);
            Ok(pinned)
        })
        .await
    }

    async fn prefetch_pages(
        &self,
        context: &CallContext,
        input: StoragePrefetchPagesInput,
    ) -> ServiceResult<PrefetchedPages> {
        self.on_kernel(context, move |kernel| pool::prefetch(kernel, &input.ids))
            .await
    }

    async fn process_io_queue(
        &self,
        context: &CallContext,
        input: StorageProcessIoQueueInput,
    ) -> ServiceResult<ProcessedIo> {
        self.on_kernel(context, move |kernel| io::process(kernel, input.requests_max))
            .await
    }

    async fn read_page(&self, context: &CallContext, input: StorageReadPageInput) -> ServiceResult<PageData> {
        self.on_kernel(context, move |kernel| pages::read(kernel, "id", input.id))
            .await
    }

    async fn read_pages(
        &self,
        context: &CallContext,
        input: StorageReadPagesInput,
    ) -> ServiceResult<PageDataList> {
        self.on_kernel(context, move |kernel| io::read_pages(kernel, &input.ids))
            .await
    }

    async fn reset_io_stats(&self, _: &CallContext, _: StorageResetIoStatsInput) -> ServiceResult<Empty> {
        self.kernel.files().reset_stats();
        Ok(Empty {})
    }

    async fn reset_page(&self, context: &CallContext, input: StorageResetPageInput) -> ServiceResult<Empty> {
        self.done(context, move |kernel| {
            kernel.reset_page(page_id("id", input.id)?).map_err(refused)
        })
        .await
    }

    async fn split_page(
        &self,
        context: &CallContext,
        input: StorageSplitPageInput,
    ) -> ServiceResult<SplitPage> {
        self.on_kernel(context, move |kernel| pages::split(kernel, input.id))
            .await
    }

    async fn storage_status_changes(
        &self,
        context: &CallContext,
        input: StorageStorageStatusChangesInput,
    ) -> ServiceResult<Subscription<StorageStatusChange>> {
        let looked = Looked {
            kernel: Arc::clone(&self.kernel),
            tables: self.tables.clone(),
            place: Arc::clone(&self.place),
        };
        status_changes::subscribe(&self.status_samples, looked, input.interval_seconds)
            .await
            .map_err(|error| declared(context.operation, error))
    }

    async fn submit_async_read(
        &self,
        context: &CallContext,
        input: StorageSubmitAsyncReadInput,
    ) -> ServiceResult<QueuedIo> {
        let one = Arc::clone(&self.one_submitter);
        self.on_kernel(context, move |kernel| {
            let _one = one.lock();
            io::submit_read(kernel, &input)
        })
        .await
    }

    async fn submit_async_write(
        &self,
        context: &CallContext,
        input: StorageSubmitAsyncWriteInput,
    ) -> ServiceResult<QueuedIo> {
        let one = Arc::clone(&self.one_submitter);
        self.on_kernel(context, move |kernel| {
            let _one = one.lock();
            io::submit_write(kernel, &input)
        })
        .await
    }

    async fn sync_disk(&self, context: &CallContext, _: StorageSyncDiskInput) -> ServiceResult<SyncedFiles> {
        self.on_kernel(context, io::sync).await
    }

    async fn unpin_page(
        &self,
        context: &CallContext,
        input: StorageUnpinPageInput,
    ) -> ServiceResult<PagePins> {
        let watch = Arc::clone(&self.pool_watch);
        self.on_kernel(context, move |kernel| {
            let unpinned = pool::unpin(kernel, &input)?;
            watch.unpinned(input.page_id, unpinned.pins);
            Ok(unpinned)
        })
        .await
    }

    async fn update_buffer_config(
        &self,
        context: &CallContext,
        input: StorageUpdateBufferConfigInput,
    ) -> ServiceResult<BufferConfig> {
        let one = Arc::clone(&self.one_setter);
        self.on_kernel(context, move |kernel| {
            let _one = one.lock();
            pool::configure(kernel, &input)
        })
        .await
    }

    async fn update_page_checksum(
        &self,
        context: &CallContext,
        input: StorageUpdatePageChecksumInput,
    ) -> ServiceResult<SealedPage> {
        self.on_kernel(context, move |kernel| pages::reseal(kernel, input.id))
            .await
    }

    async fn update_prefetch_config(
        &self,
        context: &CallContext,
        input: StorageUpdatePrefetchConfigInput,
    ) -> ServiceResult<PrefetchConfig> {
        let one = Arc::clone(&self.one_setter);
        self.on_kernel(context, move |kernel| {
            let _one = one.lock();
            pool::configure_prefetch(kernel, &input)
        })
        .await
    }

    async fn update_record(
        &self,
        context: &CallContext,
        input: StorageUpdateRecordInput,
    ) -> ServiceResult<Empty> {
        self.done(context, move |kernel| records::update(kernel, &input))
            .await
    }

    async fn update_tablespace(
        &self,
        context: &CallContext,
        input: StorageUpdateTablespaceInput,
    ) -> ServiceResult<Tablespace> {
        self.on_kernel(context, move |kernel| tablespaces::update(kernel, input))
            .await
    }

    async fn verify_page(
        &self,
        context: &CallContext,
        input: StorageVerifyPageInput,
    ) -> ServiceResult<PageVerdict> {
        self.on_kernel(context, move |kernel| pages::verify(kernel, input.id))
            .await
    }

    async fn write_page(&self, context: &CallContext, input: StorageWritePageInput) -> ServiceResult<Empty> {
        self.done(context, move |kernel| io::write_page(kernel, &input))
            .await
    }

    async fn write_page_coalesced(
        &self,
        context: &CallContext,
        input: StorageWritePageCoalescedInput,
    ) -> ServiceResult<StagedPages> {
        self.on_kernel(context, move |kernel| io::stage(kernel, &input))
            .await
    }

    async fn write_pages(
        &self,
        context: &CallContext,
        input: StorageWritePagesInput,
    ) -> ServiceResult<Empty> {
        self.done(context, move |kernel| io::write_pages(kernel, &input.pages))
            .await
    }
}

/// Whether the page lies in the tablespace, if one is asked for.
fn lies_in(page: u64, tablespace: Option<u32>) -> bool {
    tablespace.is_none_or(|wanted| page >> PAGE_NUMBER_BITS == u64::from(wanted))
}

/// The page of a number that a client gave.
fn page_id(field: &str, number: u64) -> ServiceResult<PageId> {
    PageId::from_number(number).ok_or_else(|| {
        let message = format!("{field}: {number} is no number of a page; those are below 281474976710656");
        invalid_argument(field, message)
    })
}

fn tablespace_id(field: &str, number: u32) -> ServiceResult<TablespaceId> {
    u16::try_from(number).map(TablespaceId).map_err(|_| {
        let message = format!(
            "{field}: {number} is no number of a tablespace; those are up to {}",
            u16::MAX
        );
        invalid_argument(field, message)
    })
}

/// The bytes of a page that a client gave.
fn image(data: &Bytes) -> ServiceResult<PageBuf> {
    PageBuf::from_slice(&data.0).ok_or_else(|| {
        let message = format!("an image has {PAGE_BYTES} bytes, and this one {}", data.0.len());
        ServiceError::new(
            &INVALID_PAGE_IMAGE,
            format!("{message}; give all of a page, as storage.read_page answers it"),
        )
    })
}

/// Refuses a page that is not in use.
fn in_use(kernel: &Kernel, page: PageId) -> ServiceResult<()> {
    let listed = kernel
        .list_pages(page.tablespace(), page.number(), 1)
        .map_err(refused)?;
    match listed.first() {
        Some(found) if found.in_use => Ok(()),
        _ => Err(refused(RawError::PageNotFound(page))),
    }
}

/// Path of an item of a list in the input.
fn indexed(field: &str, index: usize) -> String {
    format!("{field}.{index}")
}

/// A count of what one page or one call holds.
fn bounded(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// A page of a list whose items are in the order of numbers.
struct Numbered<T> {
    items: Vec<T>,
    next: Option<Cursor>,
}

/// `items` gives up to so many items from a number on, each with its own.
fn page_of_numbers<T>(
    list: &str,
    limit: Option<u32>,
    after: Option<Cursor>,
    items: impl FnOnce(u32, usize) -> ServiceResult<Vec<(u32, T)>>,
) -> ServiceResult<Numbered<T>> {
    let from = match paging::after(list, after)? {
        None => Some(0),
        Some(key) => key.parse::<u32>().ok().and_then(|last| last.checked_add(1)),
    };
    let items_max = paging::page_items(limit);
    let mut found = match from {
        Some(from) => items(from, items_max + 1)?,
        None => Vec::new(),
    };
    let more = found.len() > items_max;
    found.truncate(items_max);
    let last = found.last().filter(|_| more).map(|(number, _)| *number);
    Ok(Numbered {
        items: found.into_iter().map(|(_, item)| item).collect(),
        next: last.map(|last| paging::cursor(list, &last.to_string())),
    })
}
