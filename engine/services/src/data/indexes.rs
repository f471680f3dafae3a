//! The `indexes` module: making, dropping, checking and measuring indexes.
//!
//! An index that a call makes in a transaction of its own, and one that a job makes anew, is built in commits of its
//! own while others write ([`rustydb_store::tables`]). Whoever goes away, or cancels the job, stops that, and what there
//! is of the index is removed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustydb_contract::stream::Subscription;
use rustydb_contract::{CallContext, Empty, ServiceError, ServiceResult, Timestamp, async_trait};
use rustydb_contract_core::errors::WRITE_CONFLICT;
use rustydb_contract_indexes::{
    Index, IndexList, IndexState, IndexStats, IndexVerification, IndexesCreateInput, IndexesDropInput,
    IndexesGetInput, IndexesGetStatsInput, IndexesIndexEventsEvent, IndexesIndexEventsInput,
    IndexesListInput, IndexesRebuildInput, IndexesService, IndexesVerifyInput, RebuiltIndex,
};
use rustydb_contract_jobs::Job;
use rustydb_kernel::page::PAGE_BYTES;
use rustydb_store::tables::{self, BuildProgress, Builder, IndexSpec, PUBLIC_SCHEMA, TableError, TxnReader};
use rustydb_store::types::{self, IndexDef, TableDef};
use tokio_util::sync::CancellationToken;

use super::DataEngine;
use super::definitions::table;
use super::errors::{declared, statement_error, table_error};
use super::index_events::RebuildTold;
use super::scope::{Access, Place};
use crate::failure::kernel_failure;
use crate::identity::blocking::blocking;
use crate::identity::paging;
use crate::jobs::{Count, JobHandle};

/// Name of the list in cursors.
const INDEXES: &str = "indexes";

#[async_trait]
impl IndexesService for DataEngine {
    async fn create(&self, context: &CallContext, input: IndexesCreateInput) -> ServiceResult<Index> {
        self.make_index(context, input).await.map_err(declared(context))
    }

    async fn drop(&self, context: &CallContext, input: IndexesDropInput) -> ServiceResult<Empty> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let name = &input.name;
        let dropped = self.answer(context, &place, Access::Write, |mut scope| async move {
            let database = scope.database.clone();
            scope
                .drop_index(&database, PUBLIC_SCHEMA, name)
                .map_err(table_error)?;
            Ok((scope, Empty {}))
        });
        dropped.await.map_err(declared(context))
    }

    async fn get(&self, context: &CallContext, input: IndexesGetInput) -> ServiceResult<Index> {
        let place = Place::new(input.database, input.transaction_id);
        let found = self.index_of(context, &place, &input.name).await;
        found
            .map(|(_, table, index)| described(&table, &index))
            .map_err(declared(context))
    }

    async fn get_stats(
        &self,
        context: &CallContext,
        input: IndexesGetStatsInput,
    ) -> ServiceResult<IndexStats> {
        let place = Place::new(input.database, input.transaction_id);
        let stats = async {
            let (reader, _, index) = self.index_of(context, &place, &input.name).await?;
            let stats = reader.index_stats(&index).map_err(table_error)?;
            let kernel = Arc::clone(&self.inner.kernel);
            let size = blocking(move || {
                let size = kernel.tree_size(index.space.0);
                size.map_err(|error| kernel_failure(&error))
            });
            // An index that a transaction made is in its write set until the commit.
            Ok::<_, ServiceError>((stats, size.await?.unwrap_or_default()))
        };
        let (stats, size) = stats.await.map_err(declared(context))?;
        let tables::IndexStats { entries, bytes, used } = stats;
        Ok(IndexStats {
            entries,
            size_bytes: bytes,
            height: size.height,
            leaf_pages: size.leaf_pages,
            inner_pages: size.inner_pages,
            disk_bytes: (size.leaf_pages + size.inner_pages) * PAGE_BYTES as u64,
            scans: used.scans,
            rows_read: used.rows_read,
        })
    }

    async fn index_events(
        &self,
        _: &CallContext,
        input: IndexesIndexEventsInput,
    ) -> ServiceResult<Subscription<IndexesIndexEventsEvent>> {
        Ok(self.watch_indexes(input))
    }

    async fn list(&self, context: &CallContext, input: IndexesListInput) -> ServiceResult<IndexList> {
        self.indexes_page(context, input).await.map_err(declared(context))
    }

    async fn rebuild(&self, context: &CallContext, input: IndexesRebuildInput) -> ServiceResult<Job> {
        self.rebuild_in_job(context, input)
            .await
            .map_err(declared(context))
    }

    async fn verify(
        &self,
        context: &CallContext,
        input: IndexesVerifyInput,
    ) -> ServiceResult<IndexVerification> {
        let place = Place::new(input.database, input.transaction_id);
        let found = async {
            let (reader, table, index) = self.index_of(context, &place, &input.name).await?;
            let stop = CancellationToken::new();
            let _gone = stop.clone().drop_guard();
            blocking(move || {
                reader
                    .verify_index(&table, &index, || unless(&stop))
                    .map_err(table_error)
            })
            .await
        };
        let found = found.await.map_err(declared(context))?;
        Ok(IndexVerification {
            sound: found.is_sound(),
            rows: found.rows,
            entries: found.entries,
            missing: found.missing,
            extra: found.extra,
            duplicates: found.duplicates,
        })
    }
}

impl DataEngine {
    async fn make_index(&self, context: &CallContext, input: IndexesCreateInput) -> ServiceResult<Index> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Write, |scope| async move {
            table(&scope.reader(), &scope.database, &input.table)?;
            let spec = IndexSpec {
                database: scope.database.clone(),
                schema: PUBLIC_SCHEMA.to_owned(),
                name: input.name.clone(),
                table: input.table.clone(),
                columns: input.columns.clone(),
                unique: input.unique.unwrap_or(false),
            };
            let database = spec.database.clone();
            if !scope.is_own() {
                return scope
                    .blocking(move |scope| {
                        scope.create_index(&spec).map_err(table_error)?;
                        shown(&scope.reader(), &database, &spec.name)
                    })
                    .await;
            }
            self.inner
                .sql
                .build_index(&scope, spec, None)
                .await
                .map_err(statement_error)?;
            // It was committed behind the back of the call's own transaction.
            let made = shown(&self.newest()?, &database, &input.name)?;
            Ok((scope, made))
        })
        .await
    }

    async fn indexes_page(&self, context: &CallContext, input: IndexesListInput) -> ServiceResult<IndexList> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let scope = self.scope(context, &place, Access::Read).await?;
        let list = serde_json::json!([INDEXES, scope.database, input.table]).to_string();
        let after = paging::after(&list, input.after)?;
        let items_max = paging::page_items(input.limit);
        let reader = scope.reader();
        let tables = match &input.table {
            Some(name) => vec![table(&reader, &scope.database, name)?],
            None => reader.tables(&scope.database).map_err(table_error)?,
        };
        let mut found: Vec<Index> = Vec::new();
        for table in tables.iter().filter(|table| table.schema == PUBLIC_SCHEMA) {
            for index in &table.indexes {
                // Of one that is being rebuilt there are two; the one that serves is shown.
                let serves = table.index(&index.name) == Some(index);
                if serves && after.as_ref().is_none_or(|after| index.name > *after) {
                    found.push(described(table, index));
                }
            }
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found.truncate(items_max + 1);
        let (indexes, next) = paging::page(&list, found, items_max, |index| &index.name);
        Ok(IndexList { indexes, next })
    }

    async fn rebuild_in_job(&self, context: &CallContext, input: IndexesRebuildInput) -> ServiceResult<Job> {
        let place = Place::new(input.database, None);
        let (reader, table, _) = self.index_of(context, &place, &input.name).await?;
        let rows = reader.row_count(&table).map_err(table_error)?;
        drop(reader);
        let first = Count {
            done: 0,
            total: Some(rows),
            message: None,
        };
        let (engine, database, name) = (self.clone(), table.database.clone(), input.name);
        let table_name = table.name.clone();
        let work = async move |job: JobHandle| {
            let (done, total) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(rows)));
            let counts = (Arc::clone(&done), Arc::clone(&total));
            job.meter.follow(move || Count {
                done: counts.0.load(Ordering::Relaxed),
                total: Some(counts.1.load(Ordering::Relaxed)),
                message: None,
            });
            let stop = CancellationToken::new();
            let _gone = stop.clone().drop_guard();
            blocking(move || {
                let mut told = RebuildTold::begin(&engine, &database, &name, &table_name, rows);
                let mut watch = |progress: BuildProgress| {
                    told.progress(progress);
                    done.store(progress.rows, Ordering::Relaxed);
                    // Rows may be added meanwhile.
                    total.store(progress.rows_total.max(progress.rows), Ordering::Relaxed);
                    unless(&stop)
                };
                let by = Builder {
                    origin: None,
                    statement: None,
                    watch: &mut watch,
                };
                let tables = &engine.inner.tables;
                tables
                    .rebuild_index(&database, PUBLIC_SCHEMA, &name, by)
                    .map_err(table_error)?;
                done.store(total.load(Ordering::Relaxed), Ordering::Relaxed);
                let reader = engine.newest()?;
                let (_, index) = found(&reader, &database, &name)?;
                let stats = reader.index_stats(&index).map_err(table_error)?;
                told.completed(stats.entries);
                Ok(RebuiltIndex {
                    entries: stats.entries,
                    size_bytes: stats.bytes,
                })
            })
            .await
        };
        self.inner.jobs.accept(context, first, work).await
    }

    /// An index with its table, and what the call sees of both.
    async fn index_of(
        &self,
        context: &CallContext,
        place: &Place,
        name: &str,
    ) -> ServiceResult<(TxnReader, Arc<TableDef>, IndexDef)> {
        let scope = self.scope(context, place, Access::Read).await?;
        let reader = scope.reader();
        let (table, index) = found(&reader, &scope.database, name)?;
        Ok((reader, table, index))
    }
}

fn found(reader: &TxnReader, database: &str, name: &str) -> ServiceResult<(Arc<TableDef>, IndexDef)> {
    let found = reader.index(database, PUBLIC_SCHEMA, name).map_err(table_error)?;
    found.ok_or_else(|| {
        table_error(TableError::IndexNotFound {
            database: database.to_owned(),
            name: name.to_owned(),
        })
    })
}

/// An index that was just made; somebody else may have dropped it since.
fn shown(reader: &TxnReader, database: &str, name: &str) -> ServiceResult<Index> {
    let made = reader.index(database, PUBLIC_SCHEMA, name).map_err(table_error)?;
    let (table, index) = made.ok_or_else(|| {
        let message = format!("index \"{name}\" was made and dropped again by somebody else");
        ServiceError::new(&WRITE_CONFLICT, message)
    })?;
    Ok(described(&table, &index))
}

fn described(table: &TableDef, index: &IndexDef) -> Index {
    Index {
        database: table.database.clone(),
        schema: table.schema.clone(),
        name: index.name.clone(),
        table: table.name.clone(),
        columns: index
            .columns
            .iter()
            .map(|&column| table.columns[column].name.clone())
            .collect(),
        unique: index.unique,
        state: match index.state {
            types::IndexState::Building => IndexState::Building,
            types::IndexState::Ready => IndexState::Ready,
        },
        created_at: Timestamp::from_micros(index.created_at_us),
    }
}

fn unless(stop: &CancellationToken) -> ControlFlow<()> {
    match stop.is_cancelled() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
