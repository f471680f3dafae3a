//! The `sql` module: statements, batches, unions, views.

use std::sync::Arc;

use rustydb_contract::{CallContext, Empty, Json, ServiceError, ServiceResult, async_trait};
use rustydb_contract_database::View;
use rustydb_contract_sql::errors::{DUPLICATE_COLUMN_NAME, RESULT_TOO_LARGE};
use rustydb_contract_sql::{
    BatchResult, QueryResult, ResultColumn, RowFormat, SqlCreateViewInput, SqlDropViewInput,
    SqlExecuteBatchInput, SqlExecuteQueryInput, SqlExecuteUnionInput, SqlService, SqlTruncateTableInput,
    StatementError, StatementOutcome, TruncatedTable,
};
use rustydb_sql::classify::{StatementClass, classify};
use rustydb_sql::parse::ParsedStatement;
use rustydb_sql::refuse::refuse_unsupported;
use rustydb_sql::{ExecContext, StatementResult};
use rustydb_store::tables::PUBLIC_SCHEMA;

use super::DataEngine;
use super::classifier::single;
use super::definitions::{described_view, table};
use super::errors::{declared, invalid_argument, parse_error, statement_error, table_error, unsupported};
use super::running::{Named, given_up_after, unless_stopped};
use super::scope::{Access, Place, Scope};
use super::versions::as_of;

/// Time for a statement whose caller names none.
const TIMEOUT_MS_DEFAULT: u64 = 30_000;
/// Rows that all results of a batch have together.
const BATCH_ROWS_MAX: usize = 100_000;

#[async_trait]
impl SqlService for DataEngine {
    async fn create_view(&self, context: &CallContext, input: SqlCreateViewInput) -> ServiceResult<View> {
        self.make_view(context, input).await.map_err(declared(context))
    }

    async fn drop_view(&self, context: &CallContext, input: SqlDropViewInput) -> ServiceResult<Empty> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let name = &input.name;
        let dropped = self.answer(context, &place, Access::Write, |mut scope| async move {
            let database = scope.database.clone();
            scope
                .drop_view(&database, PUBLIC_SCHEMA, name)
                .map_err(table_error)?;
            Ok((scope, Empty {}))
        });
        dropped.await.map_err(declared(context))
    }

    async fn execute_batch(
        &self,
        context: &CallContext,
        input: SqlExecuteBatchInput,
    ) -> ServiceResult<BatchResult> {
        self.batch(context, input).await.map_err(declared(context))
    }

    async fn execute_query(
        &self,
        context: &CallContext,
        input: SqlExecuteQueryInput,
    ) -> ServiceResult<QueryResult> {
        let timeout_ms = input.timeout.unwrap_or(TIMEOUT_MS_DEFAULT);
        let result = given_up_after(timeout_ms, self.one_statement(context, input, None)).await;
        result.map_err(declared(context))
    }

    async fn execute_union(
        &self,
        context: &CallContext,
        input: SqlExecuteUnionInput,
    ) -> ServiceResult<QueryResult> {
        self.union(context, input).await.map_err(declared(context))
    }

    async fn truncate_table(
        &self,
        context: &CallContext,
        input: SqlTruncateTableInput,
    ) -> ServiceResult<TruncatedTable> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let name = &input.name;
        let truncated = self.answer(context, &place, Access::Write, |mut scope| async move {
            let database = scope.database.clone();
            table(&scope.reader(), &database, name)?;
            let rows_removed = scope
                .truncate_table(&database, PUBLIC_SCHEMA, name)
                .map_err(table_error)?;
            Ok((scope, TruncatedTable { rows_removed }))
        });
        truncated.await.map_err(declared(context))
    }
}

impl DataEngine {
    /// `named` has the name of the run, where it has one already.
    pub(super) async fn one_statement(
        &self,
        context: &CallContext,
        input: SqlExecuteQueryInput,
        named: Option<Named>,
    ) -> ServiceResult<QueryResult> {
        let statement = single(&input.sql)?;
        let format = Format::of(input.format.as_ref())?;
        let as_of = as_of(input.as_of_lsn, input.as_of_time, input.as_of_snapshot)?;
        if as_of.is_some() && input.transaction_id.is_some() {
            let message =
                "the transaction reads the state that it was begun on; give that to transactions.begin";
            return Err(invalid_argument("transaction_id", message));
        }
        let place = Place {
            as_of,
            ..Place::new(input.database, input.transaction_id)
        };
        let (statement, params, limit) = (&statement, &input.params, input.limit);
        let named = &named;
        self.answer(
            context,
            &place,
            access(std::slice::from_ref(statement)),
            |mut scope| async move {
                let ctx = exec_context(&scope, params.as_deref(), limit).alone(scope.is_own());
                let result = self
                    .statement(context, &mut scope, ctx, statement, format, named.clone())
                    .await?;
                Ok((scope, result))
            },
        )
        .await
    }

    /// Runs a statement; a failed one leaves the transaction as it was.
    async fn statement(
        &self,
        context: &CallContext,
        scope: &mut Scope,
        ctx: ExecContext,
        statement: &ParsedStatement,
        format: Format,
        named: Option<Named>,
    ) -> ServiceResult<QueryResult> {
        let begun_us = self.inner.clock.now_mono_us();
        let running = &self.inner.running;
        let mut entered = running.begin_as(named, context, &ctx.database, statement.text());
        let ctx = ctx.with_progress(Arc::clone(&entered.run.progress));
        scope.begin_statement().map_err(table_error)?;
        if let Some(locks) = scope.locks() {
            locks.set_statement(statement.text());
        }
        let work = async {
            let result = self.inner.sql.execute(scope, &ctx, statement).await;
            result.map_err(statement_error)
        };
        let result = unless_stopped(entered.run.stop.clone(), work).await;
        entered.note(&result, |result| (result.rows.len() as u64, result.rows_affected));
        drop(entered);
        self.shown(result?, format, begun_us)
    }

    fn shown(&self, result: StatementResult, format: Format, begun_us: u64) -> ServiceResult<QueryResult> {
        let elapsed_us = self.inner.clock.now_mono_us().saturating_sub(begun_us);
        let row_count = result.rows.len() as u64;
        let names: Vec<&str> = result.columns.iter().map(|column| column.name.as_str()).collect();
        let rows = match format {
            Format::Arrays => result.rows.into_iter().map(Json::Array).collect(),
            Format::Objects => {
                distinct(&names)?;
                let object = |row: Vec<Json>| {
                    Json::Object(names.iter().map(|name| (*name).to_owned()).zip(row).collect())
                };
                result.rows.into_iter().map(object).collect()
            }
        };
        let column = |column: rustydb_sql::Column| ResultColumn {
            name: column.name,
            r#type: column.type_name,
        };
        Ok(QueryResult {
            columns: result.columns.into_iter().map(column).collect(),
            rows,
            row_count,
            rows_affected: result.rows_affected,
            truncated: result.truncated,
            execution_time_ms: elapsed_us as f64 / 1_000.0,
        })
    }

    async fn batch(&self, context: &CallContext, input: SqlExecuteBatchInput) -> ServiceResult<BatchResult> {
        let mut statements = Vec::with_capacity(input.statements.len());
        for (at, text) in input.statements.iter().enumerate() {
            let path = format!("statements.{at}");
            let statement = single(text).map_err(|error| error.in_part(&path))?;
            refuse_unsupported(&statement).map_err(|error| parse_error(error).in_part(&path))?;
            statements.push(statement);
        }
        let own = input.transaction_id.is_none();
        let place = Place::new(input.database, input.transaction_id);
        let atomic = input.atomic.unwrap_or(true);
        let mut outcomes = Outcomes::default();
        if atomic || !own {
            let statements = &statements;
            outcomes = self
                .answer(context, &place, access(statements), |mut scope| async move {
                    let mut outcomes = Outcomes::default();
                    for statement in statements {
                        if atomic && outcomes.failed > 0 {
                            outcomes.not_reached();
                            continue;
                        }
                        let ctx = exec_context(&scope, None, None);
                        let outcome = self
                            .statement(context, &mut scope, ctx, statement, Format::Objects, None)
                            .await;
                        match outcome {
                            Err(error) if scope.wants_another_run() => return Err(error),
                            outcome => outcomes.note(outcome),
                        }
                    }
                    if atomic && outcomes.failed > 0 {
                        scope.undo();
                    }
                    Ok((scope, outcomes))
                })
                .await?;
        } else {
            // A database that is not there is no statement's fault.
            drop(self.scope(context, &place, Access::Read).await?);
            for statement in &statements {
                let outcome = self.answer(
                    context,
                    &place,
                    access(std::slice::from_ref(statement)),
                    |mut scope| async move {
                        let ctx = exec_context(&scope, None, None).alone(true);
                        let result = self
                            .statement(context, &mut scope, ctx, statement, Format::Objects, None)
                            .await?;
                        Ok((scope, result))
                    },
                );
                outcomes.note(outcome.await);
            }
        }
        let committed = own && !(atomic && outcomes.failed > 0);
        let Outcomes {
            list,
            succeeded,
            failed,
            ..
        } = outcomes;
        Ok(BatchResult {
            outcomes: list,
            succeeded,
            failed,
            committed,
        })
    }

    async fn union(&self, context: &CallContext, input: SqlExecuteUnionInput) -> ServiceResult<QueryResult> {
        for (at, text) in input.queries.iter().enumerate() {
            let path = format!("queries.{at}");
            let statement = single(text).map_err(|error| error.in_part(&path))?;
            require_query(&statement, "a union combines queries").map_err(|error| error.in_part(&path))?;
        }
        let format = Format::of(input.format.as_ref())?;
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Read, |scope| async move {
            let begun_us = self.inner.clock.now_mono_us();
            let reader = scope.reader();
            let word = if input.all.unwrap_or(false) {
                "\nUNION ALL\n"
            } else {
                "\nUNION\n"
            };
            let text = input.queries.join(word);
            let mut entered = self.inner.running.begin(context, &scope.database, &text);
            let ctx = exec_context(&scope, input.params.as_deref(), input.limit)
                .with_progress(Arc::clone(&entered.run.progress));
            let work = async {
                let all = input.all.unwrap_or(false);
                let combined = self.inner.sql.union(&reader, &ctx, &input.queries, all).await;
                combined.map_err(statement_error)
            };
            let combined = unless_stopped(entered.run.stop.clone(), work).await;
            entered.note(&combined, |result| {
                (result.rows.len() as u64, result.rows_affected)
            });
            drop(entered);
            let result = self.shown(combined?, format, begun_us)?;
            Ok((scope, result))
        })
        .await
    }

    async fn make_view(&self, context: &CallContext, input: SqlCreateViewInput) -> ServiceResult<View> {
        require_query(&single(&input.query)?, "a view is defined by a query")?;
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Write, |mut scope| async move {
            let ctx = ExecContext::new(&scope.database);
            let replace = input.replace.unwrap_or(false);
            let made = self
                .inner
                .sql
                .create_view_of(&mut scope, &ctx, &input.name, &input.query, replace)
                .await
                .map_err(statement_error)?;
            Ok((scope, described_view(&made)))
        })
        .await
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Objects,
    Arrays,
}

impl Format {
    pub(super) fn of(given: Option<&RowFormat>) -> ServiceResult<Format> {
        match given {
            None | Some(RowFormat::Objects) => Ok(Format::Objects),
            Some(RowFormat::Arrays) => Ok(Format::Arrays),
            Some(RowFormat::Unrecognized(name)) => Err(invalid_argument(
                "format",
                format!("format: there is no {name:?}; give objects or arrays"),
            )),
        }
    }
}

/// What a batch came to so far.
#[derive(Default)]
struct Outcomes {
    list: Vec<StatementOutcome>,
    succeeded: u32,
    failed: u32,
    rows: usize,
}

impl Outcomes {
    fn note(&mut self, outcome: ServiceResult<QueryResult>) {
        let index = self.index();
        let outcome = outcome.and_then(|result| {
            self.rows += result.rows.len();
            if self.rows <= BATCH_ROWS_MAX {
                return Ok(result);
            }
            let message =
                format!("the results of a batch have at most {BATCH_ROWS_MAX} rows together; select fewer");
            Err(ServiceError::new(&RESULT_TOO_LARGE, message))
        });
        self.list.push(match outcome {
            Ok(result) => {
                self.succeeded += 1;
                StatementOutcome {
                    index,
                    result: Some(result),
                    error: None,
                }
            }
            Err(error) => {
                self.failed += 1;
                let error = StatementError {
                    code: error.code().to_owned(),
                    message: error.message().to_owned(),
                };
                StatementOutcome {
                    index,
                    result: None,
                    error: Some(error),
                }
            }
        });
    }

    fn not_reached(&mut self) {
        let index = self.index();
        self.list.push(StatementOutcome {
            index,
            result: None,
            error: None,
        });
    }

    fn index(&self) -> u32 {
        u32::try_from(self.list.len()).expect("the contract bounds a batch")
    }
}

/// What the statements need together; plans and queries change nothing.
pub(super) fn access(statements: &[ParsedStatement]) -> Access {
    let reads = |statement: &ParsedStatement| classify(statement.ast()) <= StatementClass::Read;
    if statements.iter().all(reads) {
        Access::Read
    } else {
        Access::Write
    }
}

fn exec_context(scope: &Scope, params: Option<&[Json]>, limit: Option<u32>) -> ExecContext {
    let ctx = ExecContext::new(&scope.database).with_params(params.unwrap_or_default().to_vec());
    match limit {
        Some(limit) => ctx.with_row_limit(limit as usize),
        None => ctx,
    }
}

fn require_query(statement: &ParsedStatement, why: &str) -> ServiceResult<()> {
    if statement.is_query() {
        return Ok(());
    }
    let word = statement
        .text()
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_uppercase();
    Err(unsupported(
        format!("{why}, not by {word}; write a SELECT"),
        statement.start(),
    ))
}

pub(super) fn distinct(names: &[&str]) -> ServiceResult<()> {
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(**name)) {
        None => Ok(()),
        Some(name) => Err(ServiceError::new(
            &DUPLICATE_COLUMN_NAME,
            format!(
                "the result has several columns named \"{name}\"; alias them, or ask for the format `arrays`"
            ),
        )),
    }
}
