//! How a statement would run, and how it ran.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::sqlparser::ast::Statement;
use futures::StreamExt;
use rustydb_store::tables::TxnReader;
use serde_json::Value as Json;

use crate::columns::Column;
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Result, SqlError};
use crate::failure::from_datafusion;
use crate::parse::ParsedStatement;
use crate::refuse::refuse_unsupported;
use crate::rewrite;
use crate::select::memory_named;
use crate::yielding::stoppable;

/// One operator of a physical plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanNode {
    /// Operator, such as `FilterExec`.
    pub name: String,
    /// Operator and its arguments in one line.
    pub detail: String,
    /// Rows it gave, when the statement was run.
    pub rows: Option<u64>,
    /// Time spent in it, microseconds, when the statement was run.
    pub elapsed_us: Option<u64>,
    pub children: Vec<PlanNode>,
}

/// A plan, as text and as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The optimised logical plan, one operator a line.
    pub logical: String,
    /// The physical plan, one operator a line, with measurements when the statement was run.
    pub physical: String,
    pub root: PlanNode,
}

impl SqlEngine {
    /// Plans a statement without running it; with `analyze`, runs a query and throws its rows away.
    pub async fn explain(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
        analyze: bool,
    ) -> Result<Explanation> {
        refuse_unsupported(statement)?;
        let locator = Some(statement.locator());
        if analyze && !matches!(statement.ast(), Statement::Query(_)) {
            let what = "analyzing anything but a query";
            return Err(SqlError::unsupported(
                what,
                statement.start(),
                "it would change rows; explain it without",
            ));
        }
        let state = self.session.state();
        let plan = self.explained_plan(reader, ctx, statement, &state)?;
        let memory_bytes = self.config.memory_bytes_max;
        let task = self.session.task(&state, memory_bytes);
        let run = |interrupt| async move {
            let plan = state.optimize(&plan)?;
            let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
            let physical = stoppable(physical, &interrupt)?;
            if analyze {
                let mut stream = execute_stream(Arc::clone(&physical), task)?;
                while let Some(batch) = stream.next().await {
                    batch?;
                }
            }
            Ok(explanation(&plan, &physical, analyze))
        };
        let outcome = self.workers.run(run).await;
        outcome.map_err(|error| memory_named(from_datafusion(error, locator), memory_bytes))
    }

    fn explained_plan(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
        state: &datafusion::execution::SessionState,
    ) -> Result<LogicalPlan> {
        let locator = Some(statement.locator());
        let (target, query) = match statement.ast() {
            Statement::Query(query) => {
                let query = rewrite::prepared(query.as_ref(), &ctx.params, true)?;
                (None, query)
            }
            Statement::Update(_) => {
                let finder = self.update_finder(reader, ctx, statement)?;
                (Some(finder.table), finder.query)
            }
            Statement::Delete(_) => {
                let finder = self.delete_finder(reader, ctx, statement)?;
                (Some(finder.table), finder.query)
            }
            Statement::Insert(_) => {
                let prepared = rewrite::prepared(statement.ast(), &ctx.params, true)?;
                let Statement::Insert(insert) = prepared else {
                    return Err(SqlError::Internal("an INSERT changed its kind".to_owned()));
                };
                self.insert_target(reader, ctx, &insert, statement.locator())?;
                match insert.source {
                    Some(query) => (None, *query),
                    None => {
                        let what = "explaining DEFAULT VALUES";
                        return Err(SqlError::unsupported(
                            what,
                            statement.start(),
                            "there is nothing to plan",
                        ));
                    }
                }
            }
            _ => {
                let what = "explaining this statement";
                return Err(SqlError::unsupported(
                    what,
                    statement.start(),
                    "explain a query, INSERT, UPDATE or DELETE",
                ));
            }
        };
        self.plan_over(state, reader, ctx, target.as_ref(), query, locator)
    }

    /// EXPLAIN as a statement: the plan's lines as rows.
    pub(crate) async fn explain_statement(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        let Statement::Explain {
            analyze,
            statement: inner,
            ..
        } = statement.ast()
        else {
            return Err(SqlError::Internal("EXPLAIN is something else".to_owned()));
        };
        let inner = statement.with_ast(inner.as_ref().clone());
        let explanation = self.explain(reader, ctx, &inner, *analyze).await?;
        let line = |line: &str| vec![Json::String(line.to_owned())];
        Ok(StatementResult {
            command: "EXPLAIN",
            columns: vec![Column {
                name: "QUERY PLAN".to_owned(),
                type_name: "text".to_owned(),
            }],
            rows: explanation.physical.lines().map(line).collect(),
            ..StatementResult::default()
        })
    }
}

fn explanation(plan: &LogicalPlan, physical: &Arc<dyn ExecutionPlan>, analyzed: bool) -> Explanation {
    let shown = if analyzed {
        DisplayableExecutionPlan::with_metrics(physical.as_ref())
    } else {
        DisplayableExecutionPlan::new(physical.as_ref())
    };
    Explanation {
        logical: clean(&plan.display_indent().to_string()),
        physical: clean(&shown.indent(false).to_string()),
        root: node(physical, analyzed),
    }
}

/// Without invented names.
fn clean(text: &str) -> String {
    text.replace("\u{1}key", "(row key)")
        .replace(crate::parse::INTERNAL_MARK, "")
        .trim_end()
        .to_owned()
}

fn node(plan: &Arc<dyn ExecutionPlan>, measured: bool) -> PlanNode {
    let metrics = if measured { plan.metrics() } else { None };
    let detail = DisplayableExecutionPlan::new(plan.as_ref())
        .one_line()
        .to_string();
    let microseconds = |nanoseconds: usize| nanoseconds as u64 / 1_000;
    PlanNode {
        name: plan.name().to_owned(),
        detail: clean(&detail),
        rows: metrics
            .as_ref()
            .and_then(|metrics| metrics.output_rows())
            .map(|rows| rows as u64),
        elapsed_us: metrics
            .as_ref()
            .and_then(|metrics| metrics.elapsed_compute())
            .map(microseconds),
        children: plan
            .children()
            .into_iter()
            .map(|child| node(child, measured))
            .collect(),
    }
}
