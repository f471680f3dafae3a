//! The `query` module: how statements would run, and those that do.

use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, ServiceResult, Timestamp, async_trait};
use rustydb_contract_query::{
    ActiveQuerySnapshot, QueryActiveQueriesInput, QueryExecution, QueryExecutionsInput, QueryExplainInput,
    QueryPlan, QueryResultsEvent, QueryResultsInput, QueryService, QuerySlowQueriesInput, QueryStatus,
    SlowQueryDetected,
};
use rustydb_sql::ExecContext;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::DataEngine;
use super::classifier::single;
use super::errors::{declared, statement_error};
use super::running::{Ending, How, Run, RunChange, percentage};
use super::scope::{Access, Place};

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
/// What is slow when the caller does not say.
const THRESHOLD_MS_DEFAULT: u32 = 1_000;

/// The first comes at once. A reader that is slow gets none for the time it was.
pub(super) fn ticks(interval_ms: u32) -> Interval {
    let mut ticks = interval(Duration::from_millis(u64::from(interval_ms)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl DataEngine {
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
