//! Queries: planned, run, and turned into rows.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use futures::StreamExt;
use rustydb_store::tables::TxnReader;
use rustydb_store::types::TableDef;
use serde_json::Value as Json;
use tokio::sync::mpsc;

use crate::cells::json_column;
use crate::columns::{Column, type_name};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Result, SqlError};
use crate::failure::from_datafusion;
use crate::parse::{Locator, ParsedStatement};
use crate::planner::{Scope, external};
use crate::progress::Progress;
use crate::refuse::refuse_unsupported;
use crate::rewrite::visible;
use crate::workers::Interrupt;
use crate::yielding::stoppable;

/// JSON rows take more memory than Arrow's; what a value costs beside its text.
const JSON_VALUE_BYTES: usize = 48;

impl SqlEngine {
    /// Plans and runs a prepared query.
    pub(crate) async fn select(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        query: Query,
        locator: Option<Locator<'_>>,
    ) -> Result<StatementResult> {
        let state = self.session.state();
        let scope = Scope::new(&state, reader, &ctx.database);
        let plan = scope
            .plan(query)
            .map_err(|error| from_datafusion(error, locator))?;
        drop(scope);
        self.rows(state, ctx, plan, locator).await
    }

    /// Runs a plan and collects its rows as JSON, up to the limits.
    pub(crate) async fn rows(
        &self,
        state: SessionState,
        ctx: &ExecContext,
        plan: LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<StatementResult> {
        let limits = ResultLimits {
            rows: self.rows_max(ctx)?,
            rows_largest: self.config.rows_max,
            cut: ctx.row_limit.is_some(),
            memory_bytes: self.config.memory_bytes_max,
        };
        let task = self.session.task(&state, limits.memory_bytes);
        let progress = ctx.progress.clone();
        let run = |interrupt| async move {
            let stream = stream(&state, &plan, task, &interrupt, progress.as_deref()).await?;
            collect_rows(stream, &limits, progress.as_deref()).await
        };
        let outcome = self.workers.run(run).await;
        outcome.map_err(|error| memory_named(from_datafusion(error, locator), limits.memory_bytes))
    }

    /// Runs a query and hands its rows out in pages, as they are made and taken; the first page comes even without rows.
    /// Of any size: nothing is kept but the page under way. Dropping the call stops the query, and so does the
    /// receiver's end.
    pub async fn query_pages(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
        pages: mpsc::Sender<ResultPage>,
    ) -> Result<()> {
        refuse_unsupported(statement)?;
        let locator = statement.locator();
        let Statement::Query(query) = statement.ast() else {
            return Err(SqlError::syntax(
                "a query is expected here: SELECT, VALUES or WITH",
                statement.start(),
            ));
        };
        crate::locking::refuse_row_locks(query, locator)?;
        let query = crate::rewrite::prepared(query.as_ref(), &ctx.params, locator.is_long())?;
        let state = self.session.state();
        let scope = Scope::new(&state, reader, &ctx.database);
        let plan = scope
            .plan(query)
            .map_err(|error| from_datafusion(error, Some(locator)))?;
        drop(scope);
        let memory_bytes = self.config.memory_bytes_max;
        let task = self.session.task(&state, memory_bytes);
        let progress = ctx.progress.clone();
        let run = |interrupt| async move {
            let stream = stream(&state, &plan, task, &interrupt, progress.as_deref()).await?;
            send_pages(stream, progress.as_deref(), pages).await
        };
        let outcome = self.workers.run(run).await;
        outcome.map_err(|error| memory_named(from_datafusion(error, Some(locator)), memory_bytes))
    }

    /// Runs a plan and collects its batches, for statements that change rows and reads of our own.
    pub(crate) async fn batches(
        &self,
        state: SessionState,
        plan: LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<Vec<RecordBatch>> {
        let memory_bytes = self.config.memory_bytes_max;
        let task = self.session.task(&state, memory_bytes);
        let run = |interrupt| async move {
            let stream = stream(&state, &plan, task, &interrupt, None).await?;
            collect_batches(stream, memory_bytes).await
        };
        let outcome = self.workers.run(run).await;
        outcome.map_err(|error| memory_named(from_datafusion(error, locator), memory_bytes))
    }

    /// The plan of a prepared query over [`crate::planner::TARGET`].
    pub(crate) fn plan_over(
        &self,
        state: &SessionState,
        reader: &TxnReader,
        ctx: &ExecContext,
        target: Option<&Arc<TableDef>>,
        query: Query,
        locator: Option<Locator<'_>>,
    ) -> Result<LogicalPlan> {
        let mut scope = Scope::new(state, reader, &ctx.database);
        if let Some(target) = target {
            scope = scope.with_target(Arc::clone(target));
        }
        scope.plan(query).map_err(|error| from_datafusion(error, locator))
    }

    pub(crate) fn rows_max(&self, ctx: &ExecContext) -> Result<usize> {
        match ctx.row_limit {
            None => Ok(self.config.rows_default),
            Some(limit) if limit <= self.config.rows_max => Ok(limit),
            Some(limit) => Err(SqlError::ResultTooLarge {
                what: format!("a row limit of {limit}"),
                max: self.config.rows_max as u64,
                unit: "rows",
                remedy: "read in pages".to_owned(),
            }),
        }
    }
}

/// What a result may take.
#[derive(Clone, Copy)]
struct ResultLimits {
    rows: usize,
    /// The largest `rows` that a caller may name.
    rows_largest: usize,
    /// Whether rows beyond `rows` are cut off, instead of making an error.
    cut: bool,
    memory_bytes: usize,
}

/// Begins to run a plan.
async fn stream(
    state: &SessionState,
    plan: &LogicalPlan,
    task: Arc<TaskContext>,
    interrupt: &Interrupt,
    progress: Option<&Progress>,
) -> DfResult<SendableRecordBatchStream> {
    let physical = state.create_physical_plan(plan).await?;
    let physical = stoppable(physical, interrupt)?;
    if let Some(progress) = progress {
        progress.begin(&physical);
    }
    execute_stream(physical, task)
}

/// Rows of a result, as they come.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultPage {
    /// The same on every page.
    pub columns: Arc<[Column]>,
    pub rows: Vec<Vec<Json>>,
}

async fn send_pages(
    mut stream: SendableRecordBatchStream,
    progress: Option<&Progress>,
    pages: mpsc::Sender<ResultPage>,
) -> DfResult<()> {
    let columns: Arc<[Column]> = columns_of(&stream.schema()).into();
    let mut is_first = true;
    loop {
        let batch = stream.next().await.transpose()?;
        let is_last = batch.is_none();
        let mut rows = Vec::new();
        if let Some(batch) = &batch {
            append(&mut rows, batch).map_err(external)?;
        }
        if let Some(progress) = progress {
            progress.returned(rows.len());
        }
        if is_first || !rows.is_empty() {
            let columns = Arc::clone(&columns);
            if pages.send(ResultPage { columns, rows }).await.is_err() {
                return Ok(());
            }
        }
        is_first = false;
        if is_last {
            return Ok(());
        }
    }
}

async fn collect_rows(
    mut stream: SendableRecordBatchStream,
    limits: &ResultLimits,
    progress: Option<&Progress>,
) -> DfResult<StatementResult> {
    let mut result = StatementResult {
        command: "SELECT",
        columns: columns_of(&stream.schema()),
        ..StatementResult::default()
    };
    let mut bytes = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let left = limits.rows - result.rows.len();
        if batch.num_rows() > left && !limits.cut {
            return Err(external(SqlError::ResultTooLarge {
                what: "the number of rows of the result".to_owned(),
                max: limits.rows as u64,
                unit: "rows",
                remedy: format!("add LIMIT, or give a row limit of up to {}", limits.rows_largest),
            }));
        }
        let taken = batch.slice(0, batch.num_rows().min(left));
        bytes += slice_bytes(&taken)? + taken.num_rows() * taken.num_columns() * JSON_VALUE_BYTES;
        if bytes > limits.memory_bytes {
            return Err(external(SqlError::ResultTooLarge {
                what: "the memory of the result".to_owned(),
                max: limits.memory_bytes as u64,
                unit: "bytes",
                remedy: "select fewer rows or columns".to_owned(),
            }));
        }
        append(&mut result.rows, &taken).map_err(external)?;
        if let Some(progress) = progress {
            progress.returned(taken.num_rows());
        }
        if batch.num_rows() > left {
            result.truncated = true;
            break;
        }
    }
    Ok(result)
}

/// What the rows of a batch hold, of buffers that other batches may share.
fn slice_bytes(batch: &RecordBatch) -> DfResult<usize> {
    let bytes = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size());
    Ok(bytes.sum::<std::result::Result<usize, _>>()?)
}

async fn collect_batches(
    mut stream: SendableRecordBatchStream,
    memory_bytes: usize,
) -> DfResult<Vec<RecordBatch>> {
    let (mut batches, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        bytes += slice_bytes(&batch)?;
        if bytes > memory_bytes {
            return Err(external(SqlError::ResultTooLarge {
                what: "the memory of the changed rows".to_owned(),
                max: memory_bytes as u64,
                unit: "bytes",
                remedy: "change fewer rows at once".to_owned(),
            }));
        }
        batches.push(batch);
    }
    Ok(batches)
}

pub(crate) fn memory_named(error: SqlError, memory_bytes: usize) -> SqlError {
    match error {
        SqlError::ResultTooLarge {
            what,
            max: 0,
            unit,
            remedy,
        } => SqlError::ResultTooLarge {
            what,
            max: memory_bytes as u64,
            unit,
            remedy,
        },
        other => other,
    }
}

/// The columns that rows of the schema have.
pub(crate) fn columns_of(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &Arc<datafusion::arrow::datatypes::Field>| Column {
        name: visible(field.name()).to_owned(),
        type_name: type_name(field),
    };
    schema.fields().iter().map(column).collect()
}

fn append(rows: &mut Vec<Vec<Json>>, batch: &RecordBatch) -> Result<()> {
    let start = rows.len();
    rows.resize_with(start + batch.num_rows(), || {
        Vec::with_capacity(batch.num_columns())
    });
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        for (row, value) in rows[start..].iter_mut().zip(json_column(array, field)?) {
            row.push(value);
        }
    }
    Ok(())
}
