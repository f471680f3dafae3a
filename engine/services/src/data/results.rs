//! Rows of a statement as they are made: the view `query.results`.
//!
//! The work is a future that its reader drives, so it goes on while somebody reads and ends with whoever reads. Rows
//! wait for their reader in two pages at most; the plan waits with them.

use std::sync::Arc;

use futures::stream;
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, Json, ServiceResult, Timestamp};
use rustydb_contract_query::{
    QueryCompleted, QueryError, QueryProgress, QueryResultsEvent, QueryResultsInput, QueryRow,
    QueryRowFormat, QueryRows, QueryStarted,
};
use rustydb_sql::parse::ParsedStatement;
use rustydb_sql::refuse::refuse_unsupported;
use rustydb_sql::{Column, ExecContext, ResultPage};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::DataEngine;
use super::classifier::single;
use super::errors::{parse_error, statement_error};
use super::query::{PROGRESS_EVERY_MS, ticks};
use super::running::{Entered, given_up_after, percentage, unless_stopped};
use super::scope::{Access, Place};
use super::sql::{access, distinct};

/// Pages of rows, or events, that wait to be taken.
const WAITING_MAX: usize = 2;

type Events = mpsc::Sender<QueryResultsEvent>;

/// Nobody takes what is sent any more.
struct Gone;

impl DataEngine {
    /// The statement is sound; what it comes to is told by events.
    pub(super) fn stream_results(
        &self,
        context: &CallContext,
        input: QueryResultsInput,
    ) -> ServiceResult<Subscription<QueryResultsEvent>> {
        let statement = single(&input.sql)?;
        refuse_unsupported(&statement).map_err(parse_error)?;
        let (events, taken) = mpsc::channel(WAITING_MAX);
        let run = ResultsRun {
            engine: self.clone(),
            context: context.clone(),
            statement,
            input,
            events,
        };
        // On a task of its own, so that the statement can be stopped while nobody reads. It ends with its reader.
        let reading = Reading {
            taken,
            _work: AbortOnDropHandle::new(tokio::spawn(run.work())),
        };
        let items = stream::unfold(reading, async |mut reading| {
            let event = reading.taken.recv().await?;
            Some((Ok(Item::event(Timestamp::now(), event)), reading))
        });
        Ok(Subscription::new(None, items))
    }
}

struct Reading {
    taken: mpsc::Receiver<QueryResultsEvent>,
    _work: AbortOnDropHandle<()>,
}

struct ResultsRun {
    engine: DataEngine,
    context: CallContext,
    statement: ParsedStatement,
    input: QueryResultsInput,
    events: Events,
}

impl ResultsRun {
    async fn work(self) {
        let running = &self.engine.inner.running;
        let database = self.input.database.clone();
        let shown = database
            .as_deref()
            .unwrap_or(rustydb_store::tables::MAIN_DATABASE);
        let mut entered = running.begin(&self.context, shown, self.statement.text());
        let started = QueryStarted {
            query_id: entered.run.id.clone(),
            sql: self.statement.text().trim().to_owned(),
        };
        if self
            .events
            .send(QueryResultsEvent::QueryStarted(started))
            .await
            .is_err()
        {
            return;
        }
        let stop = entered.run.stop.clone();
        let run = unless_stopped(stop, self.run(&mut entered));
        let outcome = match self.input.timeout {
            None => run.await,
            Some(ms) => given_up_after(ms, run).await,
        };
        let query_id = entered.run.id.clone();
        let last = match outcome {
            Ok(Err(Gone)) => return,
            Ok(Ok((rows_returned, rows_affected))) => {
                entered.completed(rows_returned, rows_affected);
                QueryResultsEvent::QueryCompleted(QueryCompleted {
                    query_id,
                    rows_returned,
                    rows_affected,
                    elapsed_ms: entered.elapsed_us() / 1_000,
                })
            }
            Err(error) => {
                entered.failed(&error);
                QueryResultsEvent::QueryError(QueryError {
                    query_id,
                    code: error.code().to_owned(),
                    message: error.message().to_owned(),
                })
            }
        };
        drop(entered);
        // Who has gone meanwhile misses nothing that is kept.
        let _ = self.events.send(last).await;
    }

    /// Rows returned and rows affected.
    async fn run(&self, entered: &mut Entered) -> ServiceResult<Result<(u64, u64), Gone>> {
        let place = Place::new(self.input.database.clone(), self.input.transaction_id);
        if self.statement.is_query() {
            return self.query(entered, &place).await;
        }
        let access = access(std::slice::from_ref(&self.statement));
        let result = self
            .engine
            .answer(&self.context, &place, access, async |mut scope| {
                let ctx = self.exec_context(&scope.database, entered);
                let executed = self
                    .engine
                    .inner
                    .sql
                    .execute(&mut scope, &ctx, &self.statement)
                    .await;
                Ok((scope, executed.map_err(statement_error)?))
            })
            .await?;
        let affected = result.rows_affected;
        let page = ResultPage {
            columns: result.columns.into(),
            rows: result.rows,
        };
        let mut rows = Rows::new(self, entered)?;
        let sent = rows.send(page).await?;
        Ok(sent.map(|()| (rows.sent, affected)))
    }

    async fn query(&self, entered: &Entered, place: &Place) -> ServiceResult<Result<(u64, u64), Gone>> {
        let scope = self.engine.scope(&self.context, place, Access::Read).await?;
        let reader = scope.reader();
        let ctx = self.exec_context(&scope.database, entered);
        let (pages, mut made) = mpsc::channel(WAITING_MAX);
        let mut query = Box::pin(
            self.engine
                .inner
                .sql
                .query_pages(&reader, &ctx, &self.statement, pages),
        );
        let mut rows = Rows::new(self, entered)?;
        let mut ticks = ticks(PROGRESS_EVERY_MS);
        // The first tick comes at once, and nothing is to be told of it.
        ticks.tick().await;
        let mut done = false;
        loop {
            tokio::select! {
                biased;
                page = made.recv() => match page {
                    Some(page) => if let Err(Gone) = rows.send(page).await? {
                        return Ok(Err(Gone));
                    },
                    None if done => return Ok(Ok((rows.sent, 0))),
                    // The sender goes with the query, which has its outcome at once.
                    None => { query.await.map_err(statement_error)?; return Ok(Ok((rows.sent, 0))); }
                },
                outcome = &mut query, if !done => {
                    outcome.map_err(statement_error)?;
                    done = true;
                }
                _ = ticks.tick() => {
                    let told = QueryResultsEvent::QueryProgress(progress(entered));
                    if self.events.send(told).await.is_err() {
                        return Ok(Err(Gone));
                    }
                }
            }
        }
    }

    fn exec_context(&self, database: &str, entered: &Entered) -> ExecContext {
        let params = self.input.params.clone().unwrap_or_default();
        ExecContext::new(database)
            .with_params(params)
            .with_progress(Arc::clone(&entered.run.progress))
    }
}

/// Rows on their way to events.
struct Rows<'a> {
    run: &'a ResultsRun,
    query_id: String,
    arrays: bool,
    rows_per_event: Option<usize>,
    sent: u64,
}

impl<'a> Rows<'a> {
    fn new(run: &'a ResultsRun, entered: &Entered) -> ServiceResult<Rows<'a>> {
        Ok(Rows {
            run,
            query_id: entered.run.id.clone(),
            arrays: run.input.format == Some(QueryRowFormat::Arrays),
            rows_per_event: run.input.rows_per_event.map(|rows| rows as usize),
            sent: 0,
        })
    }

    async fn send(&mut self, page: ResultPage) -> ServiceResult<Result<(), Gone>> {
        if !self.arrays {
            let names: Vec<&str> = page.columns.iter().map(|column| column.name.as_str()).collect();
            distinct(&names)?;
        }
        let columns = page.columns;
        let mut rows = page
            .rows
            .into_iter()
            .map(|row| self.shown(&columns, row))
            .collect::<Vec<_>>()
            .into_iter();
        while rows.len() > 0 {
            let row_index = self.sent;
            let query_id = self.query_id.clone();
            let event = match self.rows_per_event {
                None => {
                    let Some(row_data) = rows.next() else { break };
                    self.sent += 1;
                    QueryResultsEvent::QueryRow(QueryRow {
                        query_id,
                        row_index,
                        row_data,
                    })
                }
                Some(many) => {
                    let rows: Vec<Json> = rows.by_ref().take(many).collect();
                    self.sent += rows.len() as u64;
                    QueryResultsEvent::QueryRows(QueryRows {
                        query_id,
                        row_index,
                        rows,
                    })
                }
            };
            if self.run.events.send(event).await.is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }

    fn shown(&self, columns: &[Column], row: Vec<Json>) -> Json {
        if self.arrays {
            return Json::Array(row);
        }
        let names = columns.iter().map(|column| column.name.clone());
        Json::Object(names.zip(row).collect())
    }
}

fn progress(entered: &Entered) -> QueryProgress {
    let now = entered.run.progress.now();
    let elapsed_us = entered.elapsed_us();
    let percentage_complete = percentage(&now);
    let remaining_us = percentage_complete
        .filter(|percent| *percent > 0.0)
        .map(|percent| elapsed_us as f64 * (100.0 - percent) / percent);
    QueryProgress {
        query_id: entered.run.id.clone(),
        rows_scanned: now.rows_scanned,
        rows_returned: now.rows_returned,
        percentage_complete,
        current_operation: now.operation,
        elapsed_ms: elapsed_us / 1_000,
        estimated_remaining_ms: remaining_us.map(|us| (us / 1_000.0) as u64),
    }
}
