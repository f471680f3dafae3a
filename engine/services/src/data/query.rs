//! The `query` module: how statements would run, and those that do.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{
    CallContext, Empty, Permissions, Principal, ServiceError, ServiceResult, Timestamp, async_trait,
};
use rustydb_contract_core::access::{SYSTEM_ADMIN, SYSTEM_READ};
use rustydb_contract_jobs::Job;
use rustydb_contract_query::errors::QUERY_NOT_FOUND;
use rustydb_contract_query::{
    ActiveQueries, ActiveQuerySnapshot, QueryActiveQueriesInput, QueryCancelInput, QueryExecution,
    QueryExecutionsInput, QueryExplainInput, QueryGetStatusInput, QueryListActiveInput, QueryPlan,
    QueryResultsEvent, QueryResultsInput, QueryRunStatus, QueryService, QuerySlowQueriesInput, QueryStatus,
    QuerySubmitInput, SlowQueryDetected,
};
use rustydb_contract_sql::SqlExecuteQueryInput;
use rustydb_sql::{ExecContext, Progress};

use rustydb_store::tables::MAIN_DATABASE;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::DataEngine;
use super::classifier::single;
use super::errors::{declared, statement_error};
use super::running::{Ending, How, Named, Run, RunChange, given_up_after, percentage};
use super::scope::{Access, Place};
use super::sql::Format;
use crate::jobs::{Count, JobHandle, Unfinished};

#[async_trait]
impl QueryService for DataEngine {
    async fn explain(&self, context: &CallContext, input: QueryExplainInput) -> ServiceResult<QueryPlan> {
        let statement = single(&input.sql).map_err(declared(context))?;
        let place = Place::new(input.database, input.transaction_id);
        let (statement, params) = (&statement, input.params.as_deref().unwrap_or_default());
        let explained = self.answer(context, &place, Access::Read, |scope| async move {
            let ctx = ExecContext::new(&scope.database).with_params(params.to_vec());
            let reader = scope.reader();
            let plan = self
                .inner
                .sql
                .explain(&reader, &ctx, statement, false)
                .await
                .map_err(statement_error)?;
            Ok((
                scope,
                QueryPlan {
                    logical_plan: plan.logical,
                    physical_plan: plan.physical,
                },
            ))
        });
        explained.await.map_err(declared(context))
    }

    async fn submit(&self, context: &CallContext, input: QuerySubmitInput) -> ServiceResult<Job> {
        self.run_in_background(context, input)
            .await
            .map_err(declared(context))
    }

    async fn get_status(
        &self,
        context: &CallContext,
        input: QueryGetStatusInput,
    ) -> ServiceResult<QueryRunStatus> {
        let caller = context.principal();
        if let Some(run) = self.run_of(caller, SYSTEM_READ, &input.query_id) {
            return Ok(self.run_status(&run));
        }
        // It waits, or is about to begin or to end.
        let current_operation = match self.inner.jobs.unfinished(caller, SYSTEM_READ, &input.query_id) {
            Some(Unfinished::Queued) => "queued",
            Some(Unfinished::Running) => "planning",
            None => return Err(no_query(&input.query_id)),
        };
        Ok(QueryRunStatus {
            query_id: input.query_id,
            rows_scanned: 0,
            rows_returned: 0,
            percentage_complete: None,
            current_operation: current_operation.to_owned(),
            elapsed_ms: 0,
        })
    }

    async fn cancel(&self, context: &CallContext, input: QueryCancelInput) -> ServiceResult<Empty> {
        let caller = context.principal();
        // A submitted one is stopped as the job that it is, so that the job counts as cancelled.
        if self
            .inner
            .jobs
            .unfinished(caller, SYSTEM_ADMIN, &input.query_id)
            .is_some()
        {
            self.inner.jobs.stop(caller, &input.query_id).await?;
            return Ok(Empty {});
        }
        let run = self.run_of(caller, SYSTEM_ADMIN, &input.query_id);
        let run = run.ok_or_else(|| no_query(&input.query_id))?;
        run.stop.cancel();
        self.inner.running.ended(&run).await;
        Ok(Empty {})
    }

    async fn list_active(
        &self,
        _: &CallContext,
        input: QueryListActiveInput,
    ) -> ServiceResult<ActiveQueries> {
        let runs = self.inner.running.running();
        let wanted = |run: &&Arc<Run>| {
            input
                .user_filter
                .as_ref()
                .is_none_or(|user| *user == run.username)
        };
        let queries = runs
            .iter()
            .filter(wanted)
            .take(ACTIVE_MAX)
            .map(|run| self.snapshot(run));
        Ok(ActiveQueries {
            queries: queries.collect(),
        })
    }

    async fn results(
        &self,
        context: &CallContext,
        input: QueryResultsInput,
    ) -> ServiceResult<Subscription<QueryResultsEvent>> {
        self.stream_results(context, input).map_err(declared(context))
    }

    async fn executions(
        &self,
        _: &CallContext,
        input: QueryExecutionsInput,
    ) -> ServiceResult<Subscription<QueryExecution>> {
        let wanted = input.query_id;
        let is_wanted = move |run: &Run| wanted.as_ref().is_none_or(|wanted| *wanted == run.id);
        let of_changes = is_wanted.clone();
        let changes = self
            .inner
            .running
            .changes()
            .subscribe(move |change| match change {
                RunChange::Began(run) => of_changes(run).then(|| execution(run, QueryStatus::Started, 0)),
                RunChange::Ended(run, ending) => of_changes(run).then(|| ended(run, ending)),
            });
        let engine = self.clone();
        let looks = stream::unfold(ticks(PROGRESS_EVERY_MS), move |mut ticks| {
            let engine = engine.clone();
            async move {
                ticks.tick().await;
                Some((engine.inner.running.running(), ticks))
            }
        });
        let engine = self.clone();
        let progress = looks.flat_map(move |runs| {
            let running = runs
                .iter()
                .filter(|run| is_wanted(run))
                .map(|run| engine.under_way(run));
            let items: Vec<_> = running
                .map(|event| Ok(Item::event(Timestamp::now(), event)))
                .collect();
            stream::iter(items)
        });
        let (_, changes) = changes.into_parts();
        Ok(Subscription::new(None, stream::select(changes, progress)))
    }

    async fn active_queries(
        &self,
        _: &CallContext,
        input: QueryActiveQueriesInput,
    ) -> ServiceResult<Subscription<ActiveQuerySnapshot>> {
        let seconds = input
            .refresh_interval_seconds
            .map(|seconds| seconds.saturating_mul(1_000));
        let ticks = ticks(
            input
                .refresh_interval_ms
                .or(seconds)
                .unwrap_or(REFRESH_MS_DEFAULT),
        );
        let user = input.user_filter;
        let engine = self.clone();
        let looks = stream::unfold(ticks, async |mut ticks| {
            ticks.tick().await;
            Some(((), ticks))
        });
        let snapshots = looks.flat_map(move |()| {
            let runs = engine.inner.running.running();
            let wanted = runs
                .iter()
                .filter(|run| user.as_ref().is_none_or(|user| *user == run.username));
            let items: Vec<_> = wanted
                .map(|run| Ok(Item::event(Timestamp::now(), engine.snapshot(run))))
                .collect();
            stream::iter(items)
        });
        Ok(Subscription::new(None, snapshots))
    }

    async fn slow_queries(
        &self,
        _: &CallContext,
        input: QuerySlowQueriesInput,
    ) -> ServiceResult<Subscription<SlowQueryDetected>> {
        let threshold_us = u64::from(input.threshold_ms.unwrap_or(THRESHOLD_MS_DEFAULT)) * 1_000;
        Ok(self
            .inner
            .running
            .changes()
            .subscribe(move |change| match change {
                RunChange::Ended(run, ending) if ending.elapsed_us >= threshold_us => Some(slow(run, ending)),
                _ => None,
            }))
    }
}

/// Time between two words of how far statements are.
pub(super) const PROGRESS_EVERY_MS: u32 = 500;
/// Time between two looks at the statements that run, when the caller names none.
const REFRESH_MS_DEFAULT: u32 = 1_000;
/// Most statements of a list of those that run.
const ACTIVE_MAX: usize = 10_000;
/// Time for a submitted statement that names none: an hour.
const SUBMITTED_MS_DEFAULT: u64 = 60 * 60 * 1_000;
/// Rows kept of a submitted query that names no limit.
const SUBMITTED_ROWS_DEFAULT: u32 = 10_000;
/// What is slow when the caller does not say.
const THRESHOLD_MS_DEFAULT: u32 = 1_000;

/// The first comes at once. A reader that is slow gets none for the time it was.
pub(super) fn ticks(interval_ms: u32) -> Interval {
    let mut ticks = interval(Duration::from_millis(u64::from(interval_ms)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl DataEngine {
    async fn run_in_background(&self, context: &CallContext, input: QuerySubmitInput) -> ServiceResult<Job> {
        // What is no statement is refused at once.
        single(&input.sql)?;
        Format::of(input.format.as_ref())?;
        self.require_database(input.database.as_deref().unwrap_or(MAIN_DATABASE))?;
        let engine = self.clone();
        let context_of_job = CallContext {
            connection: None,
            ..context.clone()
        };
        let work = async move |job: JobHandle| {
            let progress = Arc::<Progress>::default();
            let counted = Arc::clone(&progress);
            job.meter.follow(move || {
                let now = counted.now();
                Count {
                    done: now.rows_scanned,
                    total: now.rows_to_scan,
                    message: Some(now.operation),
                }
            });
            let named = Named { id: job.id, progress };
            let statement = SqlExecuteQueryInput {
                sql: input.sql,
                params: input.params,
                timeout: None,
                format: input.format,
                limit: Some(input.limit.unwrap_or(SUBMITTED_ROWS_DEFAULT)),
                as_of_lsn: None,
                as_of_time: None,
                as_of_snapshot: None,
                database: input.database,
                transaction_id: None,
            };
            let run = engine.one_statement(&context_of_job, statement, Some(named));
            given_up_after(input.timeout.unwrap_or(SUBMITTED_MS_DEFAULT), run).await
        };
        self.inner.jobs.accept(context, Count::default(), work).await
    }

    /// The statement, if it runs and is the caller's, or the caller may see all.
    fn run_of(&self, caller: &Principal, all: Permissions, id: &str) -> Option<Arc<Run>> {
        let run = self.inner.running.by_id(id)?;
        (run.user_id == caller.user_id || caller.permissions.contains(all)).then_some(run)
    }

    fn run_status(&self, run: &Run) -> QueryRunStatus {
        let now = run.progress.now();
        QueryRunStatus {
            query_id: run.id.clone(),
            rows_scanned: now.rows_scanned,
            rows_returned: now.rows_returned,
            percentage_complete: percentage(&now),
            current_operation: now.operation,
            elapsed_ms: self.inner.running.elapsed_us(run) / 1_000,
        }
    }

    fn under_way(&self, run: &Run) -> QueryExecution {
        let now = run.progress.now();
        QueryExecution {
            progress_percent: percentage(&now),
            message: Some(now.operation),
            ..execution(run, QueryStatus::Running, self.inner.running.elapsed_us(run))
        }
    }

    fn snapshot(&self, run: &Run) -> ActiveQuerySnapshot {
        let now = run.progress.now();
        ActiveQuerySnapshot {
            query_id: run.id.clone(),
            session_id: run.session_id.clone(),
            username: run.username.clone(),
            sql_text: run.text.clone(),
            state: now.operation,
            duration_ms: self.inner.running.elapsed_us(run) / 1_000,
            rows_processed: now.rows_scanned,
        }
    }
}

fn no_query(id: &str) -> ServiceError {
    let message =
        format!("no statement of yours with the id {id:?} runs; jobs.get has what a submitted one came to");
    ServiceError::new(&QUERY_NOT_FOUND, message)
}

fn execution(run: &Run, status: QueryStatus, elapsed_us: u64) -> QueryExecution {
    QueryExecution {
        query_id: run.id.clone(),
        status,
        progress_percent: None,
        rows_affected: None,
        elapsed_ms: elapsed_us / 1_000,
        message: None,
    }
}

fn ended(run: &Run, ending: &Ending) -> QueryExecution {
    let told = |status| execution(run, status, ending.elapsed_us);
    match &ending.how {
        How::Completed { rows_affected, .. } => QueryExecution {
            progress_percent: Some(100.0),
            rows_affected: Some(*rows_affected),
            ..told(QueryStatus::Completed)
        },
        How::Failed(error) => QueryExecution {
            message: Some(error.message().to_owned()),
            ..told(QueryStatus::Failed)
        },
        How::Cancelled => told(QueryStatus::Cancelled),
    }
}

fn slow(run: &Run, ending: &Ending) -> SlowQueryDetected {
    let rows_returned = match &ending.how {
        How::Completed { rows_returned, .. } => *rows_returned,
        How::Failed(_) | How::Cancelled => run.progress.now().rows_returned,
    };
    SlowQueryDetected {
        query_id: run.id.clone(),
        sql_text: run.text.clone(),
        execution_time_ms: ending.elapsed_us / 1_000,
        username: run.username.clone(),
        database: run.database.clone(),
        rows_returned,
        start_time: Timestamp::from_micros(run.started_at_us),
        end_time: Timestamp::from_micros(ending.ended_at_us),
    }
}
