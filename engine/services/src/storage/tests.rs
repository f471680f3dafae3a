//! What the service itself decides: bounds, pages of lists, rates and the codes of errors.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustydb_contract::descriptor::OperationDesc;
use rustydb_contract::{Bytes, CallContext, Interface, ServiceError};
use rustydb_contract_storage::{
    BufferConfig, StorageAllocatePageInput, StorageBufferPoolEventsInput, StorageComputeChecksumInput,
    StorageCreateTablespaceInput, StorageFlushPageInput, StorageGetBufferConfigInput,
    StorageInsertRecordInput, StorageIoEventsInput, StorageListPagesInput, StoragePinPageInput,
    StorageProcessIoQueueInput, StorageService, StorageSubmitAsyncReadInput, StorageUnpinPageInput,
    StorageUpdateBufferConfigInput, StorageUpdatePageChecksumInput, operations,
};
use rustydb_kernel::space::SpaceStats;
use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_store::kernel_store::{KernelOptions, KernelStore};
use rustydb_store::tables::Tables;

use super::{Storage, io};
use crate::taps::Taps;

const STORE: &str = "store";

/// A service on a store of so many frames in the folder.
fn storage(folder: &Path, frames: u64) -> Storage {
    let clock = Arc::new(ManualClock::new(0));
    let options = KernelOptions {
        pool_bytes: frames * 8192,
        ..KernelOptions::default()
    };
    let store = KernelStore::open(folder, STORE, clock.clone(), &SystemRng, options).unwrap();
    let kernel = Arc::clone(store.kernel());
    let tables = Tables::open(Arc::new(store), clock.clone()).unwrap();
    let taps = Taps::new(&kernel);
    Storage::new(kernel, taps, tables, clock, folder, STORE)
}

fn context(operation: &'static OperationDesc) -> CallContext {
    CallContext {
        operation,
        interface: Interface::Rest,
        request_id: Arc::from("test"),
        principal: None,
        credential: Default::default(),
        peer: None,
        connection: None,
        deadline: Instant::now() + Duration::from_secs(300),
    }
}

async fn tablespace(storage: &Storage, name: &str) -> u32 {
    let input = StorageCreateTablespaceInput {
        name: name.to_owned(),
        pages: None,
        pages_max: None,
    };
    let context = context(&operations::CREATE_TABLESPACE);
    storage.create_tablespace(&context, input).await.unwrap().id
}

async fn allocate(storage: &Storage, tablespace: u32, pinned: bool) -> Result<u64, ServiceError> {
    let input = StorageAllocatePageInput {
        tablespace,
        pinned: Some(pinned),
    };
    let context = context(&operations::ALLOCATE_PAGE);
    let made = storage.allocate_page(&context, input).await;
    made.map(|made| made.id)
}

async fn pin(storage: &Storage, page_id: u64) -> Result<u32, ServiceError> {
    let context = context(&operations::PIN_PAGE);
    let pinned = storage.pin_page(&context, StoragePinPageInput { page_id }).await;
    pinned.map(|pinned| pinned.pins)
}

async fn unpin(storage: &Storage, page_id: u64) -> Result<u32, ServiceError> {
    let input = StorageUnpinPageInput { page_id, dirty: None };
    let context = context(&operations::UNPIN_PAGE);
    let unpinned = storage.unpin_page(&context, input).await;
    unpinned.map(|unpinned| unpinned.pins)
}

#[tokio::test]
async fn clients_pin_half_of_the_frames_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 32);
    let id = tablespace(&storage, "pinned").await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.push(allocate(&storage, id, false).await.unwrap());
    }
    for page in &pages[..15] {
        assert_eq!(pin(&storage, *page).await.unwrap(), 1);
    }
    pages.push(allocate(&storage, id, true).await.unwrap());
    assert_eq!(
        pin(&storage, pages[20]).await.unwrap(),
        2,
        "another pin takes no frame"
    );
    for refused in [
        pin(&storage, pages[16]).await.map(u64::from),
        allocate(&storage, id, true).await,
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), "POOL_EXHAUSTED");
        assert!(refused.message().contains("16 pages of 32 frames"), "{refused}");
    }
    assert_eq!(unpin(&storage, pages[3]).await.unwrap(), 0);
    assert_eq!(
        unpin(&storage, pages[3]).await.unwrap_err().code(),
        "PAGE_NOT_PINNED"
    );
    assert_eq!(pin(&storage, pages[16]).await.unwrap(), 1);
    // The others still have frames enough.
    for _ in 0..40 {
        allocate(&storage, id, false).await.unwrap();
    }
}

#[tokio::test]
async fn the_queue_takes_so_many_requests_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let submit = async || {
        let input = StorageSubmitAsyncReadInput {
            id: 0,
            priority: None,
        };
        storage
            .submit_async_read(&context(&operations::SUBMIT_ASYNC_READ), input)
            .await
    };
    let process = async |requests_max| {
        let input = StorageProcessIoQueueInput { requests_max };
        let context = context(&operations::PROCESS_IO_QUEUE);
        storage.process_io_queue(&context, input).await.unwrap()
    };
    for _ in 0..256 {
        submit().await.unwrap();
    }
    let refused = submit().await.unwrap_err();
    assert_eq!(refused.code(), "IO_QUEUE_FULL");
    assert!(refused.message().contains("256"), "{refused}");
    assert_eq!(process(Some(1)).await.waiting, 255);
    submit().await.unwrap();
    let done = process(None).await;
    assert_eq!((done.outcomes.len(), done.waiting), (64, 192));
}

#[tokio::test]
async fn a_list_of_pages_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let id = tablespace(&storage, "listed").await;
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let input = StorageListPagesInput {
            tablespace: Some(id),
            limit: Some(10),
            after,
        };
        let list = storage
            .list_pages(&context(&operations::LIST_PAGES), input)
            .await
            .unwrap();
        assert!(list.pages.len() <= 10);
        found.extend(list.pages.iter().map(|page| page.id));
        after = list.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (0..64).map(|place| u64::from(id) << 32 | place).collect();
    assert_eq!(found, expected);
}

async fn configure(
    storage: &Storage,
    input: StorageUpdateBufferConfigInput,
) -> Result<BufferConfig, ServiceError> {
    storage
        .update_buffer_config(&context(&operations::UPDATE_BUFFER_CONFIG), input)
        .await
}

#[tokio::test]
async fn settings_that_make_no_sense_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let nothing = StorageUpdateBufferConfigInput {
        size_bytes: None,
        policy: None,
        small_queue_percent: None,
        flush_interval_ms: None,
        flush_pages_max: None,
        dirty_percent_max: None,
    };
    let before = configure(&storage, nothing.clone()).await.unwrap();
    let wrong = [
        ("small_queue_percent", Some(0.05), None),
        ("small_queue_percent", Some(90.5), None),
        ("size_bytes", Some(20.0), Some(8 << 40)),
    ];
    for (field, small_queue_percent, size_bytes) in wrong {
        let input = StorageUpdateBufferConfigInput {
            size_bytes,
            small_queue_percent,
            flush_pages_max: Some(9),
            ..nothing.clone()
        };
        let refused = configure(&storage, input).await.unwrap_err();
        assert_eq!(refused.code(), "INVALID_ARGUMENT");
        assert_eq!(refused.details().unwrap()["field"], field);
    }
    let context = context(&operations::GET_BUFFER_CONFIG);
    let after = storage
        .get_buffer_config(&context, StorageGetBufferConfigInput {})
        .await;
    assert_eq!(after.unwrap(), before);
}

#[tokio::test]
async fn a_page_of_no_tablespace_is_a_page_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let number = 7 << 32 | 2;
    let input = StorageInsertRecordInput {
        id: number,
        data: Bytes(b"record".to_vec()),
    };
    let refused = storage
        .insert_record(&context(&operations::INSERT_RECORD), input)
        .await;
    assert_eq!(refused.unwrap_err().code(), "PAGE_NOT_FOUND");
    let id = tablespace(&storage, "small").await;
    let number = u64::from(id) << 32 | 9;
    let refused = pin(&storage, number).await.unwrap_err();
    assert_eq!(refused.code(), "PAGE_NOT_FOUND");
    assert!(refused.message().contains(&number.to_string()), "{refused}");
}

#[tokio::test]
async fn bytes_that_are_no_page_get_no_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let page = {
        let storage = storage(folder.path(), 64);
        let id = tablespace(&storage, "garbled").await;
        let page = allocate(&storage, id, false).await.unwrap();
        let context = context(&operations::FLUSH_PAGE);
        storage
            .flush_page(&context, StorageFlushPageInput { id: page })
            .await
            .unwrap();
        page
    };
    let file = folder.path().join("store/tablespaces/00001/0000.pages");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[2 * 8192..3 * 8192].fill(0xab);
    std::fs::write(&file, bytes).unwrap();
    let storage = storage(folder.path(), 64);
    let input = StorageUpdatePageChecksumInput { id: page };
    let refused = storage
        .update_page_checksum(&context(&operations::UPDATE_PAGE_CHECKSUM), input)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "PAGE_CORRUPT");
    let details = refused.details().unwrap();
    assert_eq!(
        (&details["page_id"], &details["found"]),
        (&page.into(), &"ab".into())
    );
}

#[test]
fn rates_are_per_second_and_survive_a_reset() {
    let at = |reads: u64, writes: u64| {
        let mut stats = SpaceStats::default();
        stats.reads.requests = reads;
        stats.writes.requests = writes;
        stats
    };
    let told = io::rates(&at(10, 5), &at(40, 5), 500_000);
    assert_eq!((told.window_ms, told.reads_per_second), (500.0, 60.0));
    assert_eq!((told.writes_per_second, told.syncs_per_second), (0.0, 0.0));
    let after_reset = io::rates(&at(1000, 5), &at(20, 6), 2_000_000);
    assert_eq!(
        (after_reset.reads_per_second, after_reset.writes_per_second),
        (10.0, 0.5)
    );
}

/// The vectors of RFC 3720, B.4.
#[tokio::test]
async fn checksums_are_those_of_the_standard() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let ascending: Vec<u8> = (0..32).collect();
    for (data, expected) in [
        (vec![0; 32], "8a9136aa"),
        (vec![0xff; 32], "62a8ab43"),
        (ascending, "46dd794e"),
        (Vec::new(), "00000000"),
    ] {
        let input = StorageComputeChecksumInput { data: Bytes(data) };
        let told = storage
            .compute_checksum(&context(&operations::COMPUTE_CHECKSUM), input)
            .await;
        assert_eq!(told.unwrap().crc32c, expected);
    }
}

#[tokio::test]
async fn pool_and_disk_are_listened_to_only_while_somebody_watches() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path(), 64);
    let watch = &storage.pool_watch;
    let input = |interval_ms| StorageBufferPoolEventsInput {
        interval_ms: Some(interval_ms),
        ..Default::default()
    };
    assert!(watch.is_idle());
    let (one, other) = (watch.events(input(20)), watch.events(input(50)));
    drop(one);
    assert!(!watch.is_idle());
    drop(other);
    assert!(watch.is_idle());
    let watch = &storage.io_watch;
    assert!(watch.is_idle());
    let one = watch.events(StorageIoEventsInput::default());
    assert!(!watch.is_idle());
    drop(one);
    assert!(watch.is_idle());
}
