//! What the data takes, as it changes. Each subscriber remembers what it was told.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{ServiceResult, Timestamp};
use rustydb_contract_storage::{StorageStatus, StorageStatusChange};
use rustydb_kernel::kernel::Kernel;
use rustydb_store::tables::Tables;

use super::status::{Place, status};
use crate::identity::blocking::blocking;
use crate::samples::Samples;

/// Time between two looks when the caller names none.
const INTERVAL_SECONDS_DEFAULT: u32 = 10;

/// What a look needs.
#[derive(Clone)]
pub(super) struct Looked {
    pub kernel: Arc<Kernel>,
    pub tables: Tables,
    pub place: Arc<Place>,
}

impl Looked {
    fn look(&self) -> ServiceResult<StorageStatusChange> {
        status(&self.kernel, &self.tables, &self.place).map(change)
    }
}

/// The numbers now, and from then on others.
pub(super) async fn subscribe(
    samples: &Samples<StorageStatusChange>,
    looked: Looked,
    interval_seconds: Option<u32>,
) -> ServiceResult<Subscription<StorageStatusChange>> {
    let seconds = interval_seconds.unwrap_or(INTERVAL_SECONDS_DEFAULT);
    let first = looked.clone();
    let first = blocking(move || first.look()).await?;
    let item = Item::event(Timestamp::now(), first.clone());
    let mut last = first;
    let changes = samples.subscribe(
        Duration::from_secs(u64::from(seconds)),
        || move || looked.look().map(|found| vec![found]),
        move |found| {
            let differs = *found != last;
            last = found.clone();
            differs.then(|| found.clone())
        },
    );
    let (_, changes) = changes.into_parts();
    let first = stream::once(std::future::ready(Ok(item)));
    Ok(Subscription::new(None, first.chain(changes)))
}

fn change(status: StorageStatus) -> StorageStatusChange {
    StorageStatusChange {
        total_bytes: status.total_bytes,
        used_bytes: status.used_bytes,
        available_bytes: status.available_bytes,
        usage_percent: status.usage_percent,
        data_size: status.rows_bytes,
        index_size: status.indexes_bytes,
        wal_size: status.wal_bytes,
    }
}
