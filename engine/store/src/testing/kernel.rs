//! The server's store on a disk in memory.

use std::sync::Arc;

use rustydb_kernel::kernel::KernelOptions;
use rustydb_kernel::wal::WalOptions;
use rustydb_runtime::disk::simulated::SimDisk;
use rustydb_runtime::{Clock, SeededRng};

use crate::error::StoreError;
use crate::kernel_store::KernelStore;

/// A store that forgets everything when dropped.
pub fn kernel_store(clock: Arc<dyn Clock>) -> KernelStore {
    kernel_store_on(&SimDisk::new(1), clock).expect("an empty disk without an end takes a new store")
}

/// The store on `disk`, made there if there is none. Small, so that pages are evicted and segments end; nothing happens
/// but in calls, so that the disk sees the same operations in each run.
pub fn kernel_store_on(disk: &SimDisk, clock: Arc<dyn Clock>) -> Result<KernelStore, StoreError> {
    kernel_store_with(disk, clock, false)
}

/// The same; with `async_commits` it answers those who want that before their commit is durable, and nobody syncs it but who
/// asks for that.
pub fn kernel_store_with(
    disk: &SimDisk,
    clock: Arc<dyn Clock>,
    async_commits: bool,
) -> Result<KernelStore, StoreError> {
    let options = KernelOptions {
        pool_bytes: 256 * 8192,
        wal: WalOptions {
            segment_bytes: 256 << 10,
            ..WalOptions::default()
        },
        background: false,
        async_commits,
        ..KernelOptions::default()
    };
    KernelStore::open_on(
        Arc::new(disk.clone()),
        "store",
        clock,
        &SeededRng::new(1),
        options,
    )
}
