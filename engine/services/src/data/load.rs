//! `database.bulk_load_rows`: rows in batches, each a transaction of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustydb_contract::{CallContext, ServiceError, ServiceResult};
use rustydb_contract_database::errors::{
    COLUMN_NOT_FOUND, INVALID_VALUE, NOT_NULL_VIOLATION, UNIQUE_VIOLATION,
};
use rustydb_contract_database::{
    BulkLoadError, BulkLoadErrorMode, BulkLoadResult, DatabaseBulkLoadRowsInput, RowData,
};
use rustydb_contract_jobs::Job;
use rustydb_store::tables::MAIN_DATABASE;

use super::DataEngine;
use super::definitions::table;
use super::errors::{invalid_argument, table_error};
use super::scope::{Access, Place};
use crate::jobs::{Count, JobHandle};

/// Rows of a batch when the caller names no number.
const BATCH_DEFAULT: u32 = 1_000;
/// Rows that were left out whose errors are answered.
const ERRORS_MAX: usize = 100;

/// Whether the error is about the row, so that another row may do.
fn is_of_a_row(error: &ServiceError) -> bool {
    let of_rows = [
        &COLUMN_NOT_FOUND,
        &INVALID_VALUE,
        &NOT_NULL_VIOLATION,
        &UNIQUE_VIOLATION,
    ];
    of_rows.iter().any(|known| known.code == error.code())
}

impl DataEngine {
    pub(super) async fn load_rows(
        &self,
        context: &CallContext,
        input: DatabaseBulkLoadRowsInput,
    ) -> ServiceResult<Job> {
        let skips = match input.on_error.as_ref().unwrap_or(&BulkLoadErrorMode::Stop) {
            BulkLoadErrorMode::Stop => false,
            BulkLoadErrorMode::Skip => true,
            BulkLoadErrorMode::Unrecognized(name) => {
                let message = format!("on_error: there is no mode {name}; use stop or skip");
                return Err(invalid_argument("on_error", message));
            }
        };
        let database = input.database.as_deref().unwrap_or(MAIN_DATABASE);
        self.require_database(database)?;
        let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
        table(&txn.reader(), database, &input.name)?;
        drop(txn);
        let total = input.rows.len() as u64;
        let first = Count {
            done: 0,
            total: Some(total),
            message: None,
        };
        let load = Load {
            engine: self.clone(),
            // The subscription or request that began it is no longer there when it runs.
            context: CallContext {
                connection: None,
                ..context.clone()
            },
            place: Place::new(input.database, None),
            table: input.name,
            rows: input.rows,
            batch_rows: input.batch_size.unwrap_or(BATCH_DEFAULT) as usize,
            skips,
            seen: Arc::default(),
            result: BulkLoadResult {
                rows_loaded: 0,
                rows_failed: 0,
                batches: 0,
                errors: Vec::new(),
            },
        };
        self.inner.jobs.accept(context, first, |job| load.work(job)).await
    }
}

struct Load {
    engine: DataEngine,
    context: CallContext,
    place: Place,
    table: String,
    rows: Vec<RowData>,
    batch_rows: usize,
    skips: bool,
    /// Rows loaded or left out.
    seen: Arc<AtomicU64>,
    result: BulkLoadResult,
}

impl Load {
    async fn work(mut self, job: JobHandle) -> ServiceResult<BulkLoadResult> {
        let (seen, total) = (Arc::clone(&self.seen), self.rows.len() as u64);
        job.meter.follow(move || Count {
            done: seen.load(Ordering::Relaxed),
            total: Some(total),
            message: None,
        });
        let rows = std::mem::take(&mut self.rows);
        for (number, batch) in rows.chunks(self.batch_rows).enumerate() {
            self.batch(number * self.batch_rows, batch).await?;
        }
        Ok(self.result)
    }

    /// Loads a batch. Where rows that are refused are left out, they are found by halving.
    async fn batch(&mut self, first: usize, batch: &[RowData]) -> ServiceResult<()> {
        let mut parts = vec![(first, batch)];
        while let Some((first, rows)) = parts.pop() {
            match self.insert(first, rows).await {
                Ok(()) => {
                    self.result.rows_loaded += rows.len() as u64;
                    self.result.batches += 1;
                }
                Err(error) if !self.skips || !is_of_a_row(&error) => {
                    let loaded = self.result.rows_loaded;
                    let message = format!("{}; {loaded} rows are loaded", error.message());
                    return Err(ServiceError::new(error.desc(), message));
                }
                Err(error) if rows.len() == 1 => {
                    self.result.rows_failed += 1;
                    if self.result.errors.len() < ERRORS_MAX {
                        self.result.errors.push(BulkLoadError {
                            row: first as u64,
                            code: error.code().to_owned(),
                            message: error.message().to_owned(),
                        });
                    }
                }
                Err(_) => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    parts.push((first + left.len(), right));
                    parts.push((first, left));
                    continue;
                }
            }
            self.seen.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn insert(&self, first: usize, rows: &[RowData]) -> ServiceResult<()> {
        let inserted = self
            .engine
            .answer(&self.context, &self.place, Access::Write, |scope| async move {
                let (scope, _) = self
                    .engine
                    .add_rows(scope, &self.table, rows, "rows", first)
                    .await?;
                Ok((scope, ()))
            });
        inserted.await
    }
}
