//! SELECT ... FOR UPDATE and FOR SHARE, LOCK TABLE, and savepoints as statements.
//!
//! A query that locks is of one table, so that each row of its answer is one row of the table. Its keys are found first,
//! by the same query with the key in the place of what is selected, and locked; then the query is run, on the same state.
//! Where a row has changed since that state, the store says so ([`Txn::lock_rows`]): the statement is run again, or fails
//! with a conflict. With SKIP LOCKED the keys are asked for without the limit, and are locked in order until there are
//! enough; the query is then about these rows alone.
//!
//! | mode of LOCK TABLE | lock |
//! |---|---|
//! | ACCESS SHARE, ROW SHARE | IS |
//! | ROW EXCLUSIVE | IX |
//! | SHARE | S |
//! | SHARE ROW EXCLUSIVE, SHARE UPDATE EXCLUSIVE | SIX |
//! | EXCLUSIVE, ACCESS EXCLUSIVE, and none named | X |

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, LimitClause, Lock, LockClause, LockTableMode, LockType, NonBlock, Query,
    SetExpr, Statement, TableFactor, Value,
};
use rustydb_store::locking::{LockMode, TxnLocks};
use rustydb_store::tables::{TableError, Txn};
use rustydb_store::types::{RowKey, TableDef};

use crate::dml::{key_item, keys_of, table_named};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Result, SqlError};
use crate::parse::{Locator, ParsedStatement};
use crate::planner::TARGET;
use crate::provider::KEY_COLUMN;
use crate::rewrite::{self, normalized, quoted};

/// Rows that one query may lock with SKIP LOCKED, whose keys become a part of it.
const SKIPPING_ROWS_MAX: usize = 10_000;

/// A prepared query that locks, taken apart.
struct Locking {
    table: Arc<TableDef>,
    alias: Ident,
    mode: LockMode,
    nonblock: Option<NonBlock>,
    /// Without its locking clause.
    query: Query,
}

impl SqlEngine {
    /// A query with a locking clause.
    pub(crate) async fn locking_query(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
        query: &Query,
    ) -> Result<StatementResult> {
        let locator = statement.locator();
        let reader = txn.reader();
        let prepared = rewrite::prepared(query, &ctx.params, locator.is_long())?;
        let locking = locking(&reader, ctx, prepared, locator)?;
        let keys_wanted = match locking.nonblock {
            Some(NonBlock::SkipLocked) => self.limit_of(ctx, &locking.query, locator)?,
            _ => usize::MAX,
        };
        let state = self.session.state();
        let plan = self.plan_over(
            &state,
            &reader,
            ctx,
            Some(&locking.table),
            key_query(&locking)?,
            Some(locator),
        )?;
        let keys = keys_of(&self.batches(state, plan, Some(locator)).await?);
        drop(reader);
        let table = Arc::clone(&locking.table);
        let query = match locking.nonblock {
            Some(NonBlock::SkipLocked) => {
                let free = skip_locked(txn, &table, keys, locking.mode, keys_wanted)?;
                only_rows(locking, &free)?
            }
            nonblock => {
                let no_wait = nonblock == Some(NonBlock::Nowait);
                waiting(txn, no_wait, |txn| txn.lock_rows(&table, &keys, locking.mode))?;
                locking.query
            }
        };
        let reader = txn.reader();
        let state = self.session.state();
        let plan = self.plan_over(&state, &reader, ctx, Some(&table), query, Some(locator))?;
        self.rows(state, ctx, plan, Some(locator)).await
    }

    /// How many rows a query with SKIP LOCKED may lock.
    fn limit_of(&self, ctx: &ExecContext, query: &Query, locator: Locator<'_>) -> Result<usize> {
        let rows_max = self.rows_max(ctx)?.min(SKIPPING_ROWS_MAX);
        let number = |expr: &Expr| match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => digits.parse::<usize>().ok(),
                _ => None,
            },
            _ => None,
        };
        let limit = match &query.limit_clause {
            None => Some(rows_max),
            Some(LimitClause::LimitOffset {
                limit: Some(limit),
                offset: None,
                limit_by,
            }) if limit_by.is_empty() => number(limit),
            Some(_) => None,
        };
        match limit {
            Some(limit) if query.fetch.is_none() => Ok(limit.min(rows_max)),
            _ => Err(SqlError::unsupported(
                "SKIP LOCKED with this limit",
                locator.find_name("SKIP"),
                "give LIMIT a number, without OFFSET or FETCH",
            )),
        }
    }

    /// LOCK TABLE.
    pub(crate) fn lock_tables(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        lock: &Lock,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        let reader = txn.reader();
        for target in &lock.tables {
            let table = table_named(&reader, &ctx.database, &target.name, statement.locator())?;
            let mode = table_mode(lock.lock_mode.as_ref());
            waiting(txn, lock.nowait, |txn| txn.lock_table(&table, mode))?;
        }
        Ok(StatementResult::done("LOCK TABLE", 0))
    }

    /// SAVEPOINT, RELEASE SAVEPOINT and ROLLBACK TO SAVEPOINT.
    pub(crate) fn savepoint(&self, txn: &mut Txn, statement: &ParsedStatement) -> Result<StatementResult> {
        let done = |command| Ok(StatementResult::done(command, 0));
        match statement.ast() {
            Statement::Savepoint { name } => {
                txn.create_savepoint(&normalized(name))?;
                done("SAVEPOINT")
            }
            Statement::ReleaseSavepoint { name } => {
                txn.release_savepoint(&normalized(name))?;
                done("RELEASE SAVEPOINT")
            }
            Statement::Rollback {
                savepoint: Some(name),
                ..
            } => {
                txn.rollback_to_savepoint(&normalized(name))?;
                done("ROLLBACK TO SAVEPOINT")
            }
            _ => Err(SqlError::Internal("a savepoint changed its kind".to_owned())),
        }
    }
}

/// Refuses a locking clause where rows are only read.
pub(crate) fn refuse_row_locks(query: &Query, locator: Locator<'_>) -> Result<()> {
    if query.locks.is_empty() {
        return Ok(());
    }
    Err(SqlError::unsupported(
        "FOR UPDATE or FOR SHARE here",
        locator.find_name("FOR"),
        "run the query in a transaction with sql.execute_query",
    ))
}

/// Whether a statement means nothing outside of a transaction of several calls.
pub(crate) fn needs_transaction(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Lock(_)
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
            | Statement::Rollback {
                savepoint: Some(_),
                ..
            }
    )
}

fn locking(
    reader: &rustydb_store::tables::TxnReader,
    ctx: &ExecContext,
    mut query: Query,
    locator: Locator<'_>,
) -> Result<Locking> {
    let clauses = std::mem::take(&mut query.locks);
    let [
        LockClause {
            lock_type, nonblock, ..
        },
    ] = clauses.as_slice()
    else {
        return Err(SqlError::Internal(
            "a locking query has one locking clause".to_owned(),
        ));
    };
    let changed = || SqlError::Internal("a locking query is of one table".to_owned());
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(changed());
    };
    let [from] = select.from.as_mut_slice() else {
        return Err(changed());
    };
    let TableFactor::Table { name, alias, .. } = &from.relation else {
        return Err(changed());
    };
    let table = table_named(reader, &ctx.database, name, locator)?;
    let alias = match alias {
        Some(alias) => alias.name.clone(),
        None => quoted(table.name.clone()),
    };
    from.relation = rewrite::table_factor(TARGET, alias.clone());
    Ok(Locking {
        table,
        alias,
        mode: match lock_type {
            LockType::Update => LockMode::X,
            LockType::Share => LockMode::S,
        },
        nonblock: *nonblock,
        query,
    })
}

/// The keys of the rows that the query answers; of all that it is about, where some may be skipped.
fn key_query(locking: &Locking) -> Result<Query> {
    let mut query = locking.query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(SqlError::Internal("a locking query is a SELECT".to_owned()));
    };
    select.projection = vec![key_item(&locking.alias)];
    if locking.nonblock == Some(NonBlock::SkipLocked) {
        query.limit_clause = None;
    }
    Ok(query)
}

/// The same query about these rows alone.
fn only_rows(locking: Locking, keys: &[RowKey]) -> Result<Query> {
    let mut query = locking.query;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(SqlError::Internal("a locking query is a SELECT".to_owned()));
    };
    let alias = quoted(normalized(&locking.alias));
    let key = Expr::CompoundIdentifier(vec![alias, quoted(KEY_COLUMN)]);
    let hex = |key: &RowKey| key.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let literal = |key: &RowKey| Expr::Value(Value::HexStringLiteral(hex(key)).with_empty_span());
    let among = match keys {
        [] => Expr::Value(Value::Boolean(false).with_empty_span()),
        keys => Expr::InList {
            expr: Box::new(key),
            list: keys.iter().map(literal).collect(),
            negated: false,
        },
    };
    select.selection = Some(match select.selection.take() {
        None => among,
        Some(condition) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(condition))),
            op: BinaryOperator::And,
            right: Box::new(among),
        },
    });
    Ok(query)
}

/// Locks the first of these rows that nobody else has locked, so many of them.
fn skip_locked(
    txn: &mut Txn,
    table: &TableDef,
    keys: Vec<RowKey>,
    mode: LockMode,
    wanted: usize,
) -> Result<Vec<RowKey>> {
    let mut free = Vec::new();
    for key in keys {
        if free.len() == wanted {
            break;
        }
        free.extend(txn.lock_free_rows(table, vec![key], mode)?);
    }
    Ok(free)
}

/// Runs what takes locks, which may be told not to wait for any.
fn waiting<R>(
    txn: &mut Txn,
    no_wait: bool,
    work: impl FnOnce(&mut Txn) -> Result<R, TableError>,
) -> Result<R> {
    let locks: Option<Arc<TxnLocks>> = txn.locks().cloned();
    if let Some(locks) = &locks {
        locks.set_no_wait(no_wait);
    }
    let done = work(txn);
    if let Some(locks) = &locks {
        locks.set_no_wait(false);
    }
    Ok(done?)
}

fn table_mode(mode: Option<&LockTableMode>) -> LockMode {
    match mode {
        Some(LockTableMode::AccessShare | LockTableMode::RowShare) => LockMode::IS,
        Some(LockTableMode::RowExclusive) => LockMode::IX,
        Some(LockTableMode::Share) => LockMode::S,
        Some(LockTableMode::ShareUpdateExclusive | LockTableMode::ShareRowExclusive) => LockMode::SIX,
        Some(LockTableMode::Exclusive | LockTableMode::AccessExclusive) | None => LockMode::X,
    }
}
