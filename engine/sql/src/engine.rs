//! The engine: one statement in, one result out.
//!
//! A statement runs in the caller's [`Txn`], which is borrowed for as long as the call takes (a
//! `TxnLease` serves as well: both may be held over `await`). Reads go to an immutable reader of it. Writes are
//! first computed as a query over that reader, so that no statement sees its own changes, and then applied in
//! one go; if that fails, the transaction returns to where it was. Dropping the future cancels the statement:
//! nothing is applied before its last `await`. CREATE INDEX in a transaction of its own commits as it goes
//! ([`ExecContext::alone`]), and leaves nothing as well when it is dropped.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Statement;
use rustydb_store::tables::{Txn, TxnReader};
use serde_json::Value as Json;

use crate::columns::Column;
use crate::error::{Result, SqlError};
use crate::locking::{needs_transaction, refuse_row_locks};
use crate::parse::ParsedStatement;
use crate::progress::Progress;
use crate::refuse::refuse_unsupported;
use crate::session::Session;
use crate::workers::Workers;

/// Rows of a result when the caller names no limit.
pub const ROWS_DEFAULT: usize = 10_000;
/// Rows of a result that no limit goes beyond.
pub const ROWS_MAX: usize = 100_000;
/// Memory of one statement when the caller names none.
pub const MEMORY_BYTES_DEFAULT: usize = 256 << 20;

/// How the engine bounds statements.
#[derive(Debug, Clone)]
pub struct SqlConfig {
    /// Rows of a result when the caller names no limit; more than that is an error.
    pub rows_default: usize,
    /// Largest limit that a caller may name.
    pub rows_max: usize,
    /// Memory of one statement: sorts, groups, joins, and the rows of its result.
    pub memory_bytes_max: usize,
    /// Whether a row asked for by its whole key is read without planning. Answers are the same either way.
    pub point_reads: bool,
}

impl Default for SqlConfig {
    fn default() -> Self {
        SqlConfig {
            rows_default: ROWS_DEFAULT,
            rows_max: ROWS_MAX,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            point_reads: true,
        }
    }
}

/// What a statement runs with.
#[derive(Debug, Clone, Default)]
pub struct ExecContext {
    pub database: String,
    /// Values of `$1`, `$2` ...
    pub params: Vec<Json>,
    /// At most so many rows, the result saying whether there are more. Without it a result longer than the
    /// default is an error.
    pub row_limit: Option<usize>,
    /// Where the statement notes how far it is.
    pub progress: Option<Arc<Progress>>,
    /// Whether the transaction is the statement's own: nothing was done in it, and nothing follows. CREATE INDEX then
    /// builds in commits of its own while others write, and leaves the transaction empty.
    pub alone: bool,
}

impl ExecContext {
    pub fn new(database: impl Into<String>) -> ExecContext {
        ExecContext {
            database: database.into(),
            ..ExecContext::default()
        }
    }

    #[must_use]
    pub fn with_params(mut self, params: Vec<Json>) -> ExecContext {
        self.params = params;
        self
    }

    #[must_use]
    pub fn with_progress(mut self, progress: Arc<Progress>) -> ExecContext {
        self.progress = Some(progress);
        self
    }

    #[must_use]
    pub fn alone(mut self, alone: bool) -> ExecContext {
        self.alone = alone;
        self
    }

    #[must_use]
    pub fn with_row_limit(mut self, rows: usize) -> ExecContext {
        self.row_limit = Some(rows);
        self
    }
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatementResult {
    /// What kind of statement it was, such as `SELECT` or `CREATE TABLE`.
    pub command: &'static str,
    /// Empty for statements without rows.
    pub columns: Vec<Column>,
    /// Values in the JSON of the wire, in the order of `columns`.
    pub rows: Vec<Vec<Json>>,
    /// Rows inserted, updated or deleted.
    pub rows_affected: u64,
    /// Whether the caller's limit cut rows off.
    pub truncated: bool,
}

impl StatementResult {
    pub(crate) fn done(command: &'static str, rows_affected: u64) -> StatementResult {
        StatementResult {
            command,
            rows_affected,
            ..StatementResult::default()
        }
    }
}

/// Plans and runs statements. Shared by all sessions; holds no data.
pub struct SqlEngine {
    pub(crate) session: Session,
    pub(crate) workers: Workers,
    pub(crate) config: SqlConfig,
}

impl SqlEngine {
    pub fn new(config: SqlConfig) -> Result<SqlEngine> {
        Ok(SqlEngine {
            session: Session::new()?,
            workers: Workers::new()?,
            config,
        })
    }

    /// Runs one statement. On failure the transaction is as it was before.
    pub async fn execute(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        refuse_unsupported(statement)?;
        if ctx.alone && needs_transaction(statement.ast()) {
            return Err(SqlError::unsupported(
                "this statement outside of a transaction",
                statement.start(),
                "begin one with transactions.begin and give its transaction_id",
            ));
        }
        match statement.ast() {
            Statement::Query(query) if query.locks.is_empty() => {
                self.query(&txn.reader(), ctx, statement).await
            }
            Statement::Explain { .. } => self.explain_statement(&txn.reader(), ctx, statement).await,
            Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
            | Statement::Rollback {
                savepoint: Some(_), ..
            } => self.savepoint(txn, statement),
            _ if txn.is_read_only() => {
                let what = statement
                    .text()
                    .split_whitespace()
                    .next()
                    .unwrap_or("the statement")
                    .to_uppercase();
                Err(SqlError::ReadOnlyTransaction { what })
            }
            Statement::Query(query) => self.locking_query(txn, ctx, statement, query).await,
            Statement::Lock(lock) => self.lock_tables(txn, ctx, lock, statement),
            Statement::Insert(_) => self.insert(txn, ctx, statement).await,
            Statement::Update(_) => self.update(txn, ctx, statement).await,
            Statement::Delete(_) => self.delete(txn, ctx, statement).await,
            _ => self.define(txn, ctx, statement).await,
        }
    }

    /// Runs a query over a reader: for callers that only read and want no transaction of their own.
    pub async fn query(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        refuse_unsupported(statement)?;
        let Statement::Query(query) = statement.ast() else {
            return Err(SqlError::syntax(
                "a query is expected here: SELECT, VALUES or WITH",
                statement.start(),
            ));
        };
        refuse_row_locks(query, statement.locator())?;
        let query = crate::rewrite::prepared(query.as_ref(), &ctx.params, statement.locator().is_long())?;
        if self.config.point_reads
            && let Some(found) = self.point_read(reader, ctx, &query)?
        {
            return Ok(found);
        }
        self.select(reader, ctx, query, Some(statement.locator())).await
    }
}

impl std::fmt::Debug for SqlEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlEngine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
