//! States of the past: named snapshots, stored versions of rows, vacuum, and what `as_of_*` inputs mean.

use std::sync::Arc;

use rustydb_contract::{Lsn, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_transactions::{
    MvccReport, NamedSnapshot, NamedSnapshotList, RowVersion, RowVersionList, TransactionsGetMvccStatusInput,
    TransactionsListRowVersionsInput, TransactionsListSnapshotsInput, TransactionsVacuumInput, Vacuumed,
};
use rustydb_kernel::error::KernelError;
use rustydb_kernel::kernel::{self, Kernel, LeafStart, Pruned, VersionCounts, VersionError};
use rustydb_store::error::StoreError;
use rustydb_store::seam::{AsOf, CommitSeq};
use rustydb_store::tables::MAIN_DATABASE;
use rustydb_store::types::TableDef;
use tokio_util::sync::CancellationToken;

use super::DataEngine;
use super::definitions::table;
use super::errors::{database_not_found, invalid_argument, table_error};
use super::values::{row_key, shown};
use crate::failure::{kernel_failure, store_failure};
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Names of the lists in cursors.
const SNAPSHOTS: &str = "named snapshots";
const VERSIONS: &str = "versions of a row";

/// The state that a call asks for; `None` for the newest.
pub(super) fn as_of(
    lsn: Option<Lsn>,
    time: Option<Timestamp>,
    snapshot: Option<String>,
) -> ServiceResult<Option<AsOf>> {
    let asked = [
        lsn.map(|lsn| AsOf::Commit(CommitSeq(lsn.0))),
        time.map(|time| AsOf::Time(time.as_micros())),
        snapshot.map(AsOf::Name),
    ];
    let mut asked = asked.into_iter().flatten();
    match (asked.next(), asked.next()) {
        (first, None) => Ok(first),
        _ => Err(invalid_argument(
            "as_of_lsn",
            "as_of_lsn, as_of_time and as_of_snapshot each name a state; give one of them",
        )),
    }
}

fn version_failure(error: VersionError) -> ServiceError {
    store_failure(&StoreError::from(error))
}

fn described(snapshot: kernel::NamedSnapshot) -> NamedSnapshot {
    NamedSnapshot {
        name: snapshot.name,
        lsn: Lsn(snapshot.ts.0),
        created_at: Timestamp::from_micros(snapshot.created_at_us),
    }
}

impl DataEngine {
    pub(super) async fn mvcc_report(
        &self,
        input: TransactionsGetMvccStatusInput,
    ) -> ServiceResult<MvccReport> {
        let tables = self.tables_of(input.database, input.table.as_deref())?;
        let counts = self
            .each_leaf(
                tables,
                |table| vec![table.space.0],
                Kernel::count_leaf,
                VersionCounts::add,
            )
            .await?;
        let report = self.inner.kernel.versions_report();
        Ok(MvccReport {
            newest_lsn: Lsn(report.newest.0),
            oldest_readable_lsn: Lsn(report.oldest_readable.0),
            oldest_kept_lsn: Lsn(report.oldest_snapshot.map_or(report.oldest_readable.0, |oldest| {
                oldest.0.min(report.oldest_readable.0)
            })),
            retention_ms: report.retention_us / 1_000,
            open_snapshots: report.open_snapshots as u64,
            named_snapshots: report.named_snapshots as u64,
            live_versions: counts.live,
            dead_versions: counts.dead,
            versions_removed: report.pruned.versions,
            bytes_removed: report.pruned.bytes,
        })
    }

    pub(super) async fn vacuumed(&self, input: TransactionsVacuumInput) -> ServiceResult<Vacuumed> {
        let tables = self.tables_of(input.database, input.table.as_deref())?;
        let count = tables.len() as u64;
        let clock = &self.inner.clock;
        let begun_us = clock.now_mono_us();
        let removed = self
            .each_leaf(
                tables,
                |table| table.spaces().map(|space| space.0).collect(),
                Kernel::vacuum_leaf,
                Pruned::add,
            )
            .await?;
        Ok(Vacuumed {
            tables: count,
            versions_removed: removed.versions,
            bytes_removed: removed.bytes,
            duration_ms: clock.now_mono_us().saturating_sub(begun_us) as f64 / 1_000.0,
        })
    }

    pub(super) fn listed_snapshots(
        &self,
        input: TransactionsListSnapshotsInput,
    ) -> ServiceResult<NamedSnapshotList> {
        let after = paging::after(SNAPSHOTS, input.after)?;
        let mut snapshots = self.inner.kernel.named_snapshots();
        snapshots.retain(|snapshot| after.as_ref().is_none_or(|after| snapshot.name > *after));
        let items_max = paging::page_items(input.limit);
        let (snapshots, next) = paging::page(SNAPSHOTS, snapshots, items_max, |snapshot| &snapshot.name);
        Ok(NamedSnapshotList {
            snapshots: snapshots.into_iter().map(described).collect(),
            next,
        })
    }

    pub(super) async fn new_snapshot(&self, name: String) -> ServiceResult<NamedSnapshot> {
        self.on_kernel(move |kernel| {
            kernel
                .create_snapshot(&name)
                .map(described)
                .map_err(version_failure)
        })
        .await
    }

    pub(super) async fn forget_snapshot(&self, name: String) -> ServiceResult<NamedSnapshot> {
        self.on_kernel(move |kernel| {
            kernel
                .drop_snapshot(&name)
                .map(described)
                .map_err(version_failure)
        })
        .await
    }

    pub(super) fn row_versions(
        &self,
        input: TransactionsListRowVersionsInput,
    ) -> ServiceResult<RowVersionList> {
        let tables = self.tables_of(input.database, Some(&input.table))?;
        let [table] = tables.as_slice() else {
            return Err(invalid_argument("table", "table: one is needed"));
        };
        let key = row_key(table, &input.row)?;
        let items_max = paging::page_items(input.limit);
        let after = paging::after(VERSIONS, input.after)?;
        // A cursor of this list holds a number.
        let skipped: usize = after.and_then(|number| number.parse().ok()).unwrap_or(0);
        let found = self
            .inner
            .tables
            .row_versions(table, &key, skipped.saturating_add(items_max + 1))
            .map_err(table_error)?;
        let more = found.len() > skipped + items_max;
        let version = |version: rustydb_store::tables::RowVersion| {
            let data = version.row.map(|row| shown(table, &key, &row)).transpose()?;
            Ok(RowVersion {
                lsn: Lsn(version.seq.0),
                deleted: data.is_none(),
                data: data.map(|row| row.data),
            })
        };
        Ok(RowVersionList {
            versions: found
                .into_iter()
                .skip(skipped)
                .take(items_max)
                .map(version)
                .collect::<ServiceResult<_>>()?,
            next: more.then(|| paging::cursor(VERSIONS, &(skipped + items_max).to_string())),
        })
    }

    /// A table of a database, or all of them, as they are now.
    fn tables_of(&self, database: Option<String>, name: Option<&str>) -> ServiceResult<Vec<Arc<TableDef>>> {
        let database = database.as_deref().unwrap_or(MAIN_DATABASE);
        let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
        if txn.database(database).map_err(table_error)?.is_none() {
            return Err(database_not_found(database));
        }
        let reader = txn.reader();
        match name {
            Some(name) => Ok(vec![table(&reader, database, name)?]),
            None => reader.tables(database).map_err(table_error),
        }
    }

    /// Goes over the leaves of spaces of tables on a blocking thread; given up with the call.
    async fn each_leaf<T, S>(
        &self,
        tables: Vec<Arc<TableDef>>,
        spaces: impl Fn(&TableDef) -> Vec<u64>,
        leaf: impl Fn(&Kernel, u64, &LeafStart) -> Result<(T, Option<LeafStart>), KernelError> + Send + 'static,
        add: impl Fn(&mut S, T) + Send + 'static,
    ) -> ServiceResult<S>
    where
        S: Default + Send + 'static,
    {
        let spaces: Vec<u64> = tables.iter().flat_map(|table| spaces(table)).collect();
        let given_up = CancellationToken::new();
        let _guard = given_up.clone().drop_guard();
        let kernel = Arc::clone(&self.inner.kernel);
        blocking(move || {
            let mut sum = S::default();
            for space in spaces {
                let mut from = Some(Kernel::first_leaf());
                while let Some(at) = from
                    && !given_up.is_cancelled()
                {
                    let (of_leaf, next) =
                        leaf(&kernel, space, &at).map_err(|error| kernel_failure(&error))?;
                    add(&mut sum, of_leaf);
                    from = next;
                }
            }
            Ok(sum)
        })
        .await
    }
}
