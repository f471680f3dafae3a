//! Queries: planned, run, and turned into rows.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::sqlparser::ast::Query;
use futures::StreamExt;
use rustydb_store::tables::TxnReader;
use rustydb_store::types::TableDef;
use serde_json::Value as Json;

use crate::cells::json_column;
use crate::columns::{Column, type_name};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Result, SqlError};
use crate::failure::from_datafusion;
use crate::parse::Locator;
use crate::planner::Scope;
use crate::rewrite::visible;
use crate::stack::deep_polls;

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
        self.rows(&state, ctx, &plan, locator).await
    }

    /// Runs a plan and collects its rows as JSON, up to the limits.
    pub(crate) async fn rows(
        &self,
        state: &SessionState,
        ctx: &ExecContext,
        plan: &LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<StatementResult> {
        deep_polls(self.rows_here(state, ctx, plan, locator)).await
    }

    async fn rows_here(
        &self,
        state: &SessionState,
        ctx: &ExecContext,
        plan: &LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<StatementResult> {
        let failed = |error| from_datafusion(error, locator);
        let physical = state.create_physical_plan(plan).await.map_err(failed)?;
        let columns = columns_of(&physical.schema());
        let memory_bytes = self.memory_bytes(ctx);
        let task = self.session.task(state, memory_bytes);
        let mut stream = execute_stream(physical, task).map_err(failed)?;
        let rows_max = self.rows_max(ctx)?;
        let mut result = StatementResult {
            command: "SELECT",
            columns,
            ..StatementResult::default()
        };
        let mut bytes = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| memory_named(failed(error), memory_bytes))?;
            let left = rows_max - result.rows.len();
            if batch.num_rows() > left && ctx.row_limit.is_none() {
                return Err(SqlError::ResultTooLarge {
                    what: "the number of rows of the result".to_owned(),
                    max: rows_max as u64,
                    unit: "rows",
                    remedy: format!("add LIMIT, or give a row limit of up to {}", self.config.rows_max),
                });
            }
            let taken = batch.slice(0, batch.num_rows().min(left));
            bytes += taken
                .get_array_memory_size()
                .min(taken.num_rows().saturating_mul(1 << 16))
                + taken.num_rows() * taken.num_columns() * JSON_VALUE_BYTES;
            if bytes > memory_bytes {
                return Err(SqlError::ResultTooLarge {
                    what: "the memory of the result".to_owned(),
                    max: memory_bytes as u64,
                    unit: "bytes",
                    remedy: "select fewer rows or columns".to_owned(),
                });
            }
            append(&mut result.rows, &taken)?;
            if batch.num_rows() > left {
                result.truncated = true;
                break;
            }
        }
        Ok(result)
    }

    /// Runs a plan and collects its batches, for statements that change rows. `rows_max` bounds them.
    pub(crate) async fn batches(
        &self,
        state: &SessionState,
        ctx: &ExecContext,
        plan: &LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<Vec<RecordBatch>> {
        deep_polls(self.batches_here(state, ctx, plan, locator)).await
    }

    async fn batches_here(
        &self,
        state: &SessionState,
        ctx: &ExecContext,
        plan: &LogicalPlan,
        locator: Option<Locator<'_>>,
    ) -> Result<Vec<RecordBatch>> {
        let failed = |error| from_datafusion(error, locator);
        let physical = state.create_physical_plan(plan).await.map_err(failed)?;
        let memory_bytes = self.memory_bytes(ctx);
        let task = self.session.task(state, memory_bytes);
        let mut stream = execute_stream(physical, task).map_err(failed)?;
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| memory_named(failed(error), memory_bytes))?;
            bytes += batch.get_array_memory_size();
            if bytes > memory_bytes {
                return Err(SqlError::ResultTooLarge {
                    what: "the memory of the changed rows".to_owned(),
                    max: memory_bytes as u64,
                    unit: "bytes",
                    remedy: "change fewer rows at once".to_owned(),
                });
            }
            batches.push(batch);
        }
        Ok(batches)
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

fn memory_named(error: SqlError, memory_bytes: usize) -> SqlError {
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
