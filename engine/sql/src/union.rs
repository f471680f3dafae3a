//! Several queries as one, put together as syntax trees: never by pasting text.

use datafusion::sql::sqlparser::ast::{Query, SetExpr, SetOperator, SetQuantifier, Statement};
use rustydb_store::tables::TxnReader;

use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Position, Result, SqlError};
use crate::failure::from_datafusion;
use crate::parse::{ParsedStatement, parse_one};
use crate::planner::Scope;
use crate::refuse::{SET_OPERANDS_MAX, refuse_unsupported};
use crate::rewrite;

impl SqlEngine {
    /// The rows of all queries, duplicates only with `all`. Each text must be a single query, all with the same number
    /// of columns and sharing the parameters; names are those of the first.
    pub async fn union(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        texts: &[String],
        all: bool,
    ) -> Result<StatementResult> {
        if texts.len() < 2 || texts.len() > SET_OPERANDS_MAX {
            let message = format!(
                "a union takes 2 to {SET_OPERANDS_MAX} queries, not {}",
                texts.len()
            );
            return Err(SqlError::syntax(message, Position::UNKNOWN));
        }
        let mut parsed: Vec<ParsedStatement> = Vec::with_capacity(texts.len());
        let mut queries: Vec<Query> = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let named = |error: SqlError| in_query(number + 1, error);
            let statement = parse_one(text).map_err(named)?;
            refuse_unsupported(&statement).map_err(named)?;
            let Statement::Query(query) = statement.ast() else {
                return Err(named(SqlError::syntax(
                    "a query is expected here, not another statement",
                    statement.start(),
                )));
            };
            crate::locking::refuse_row_locks(query, statement.locator()).map_err(named)?;
            queries.push(crate::stack::deep(true, || query.as_ref().clone()));
            parsed.push(statement);
        }
        crate::stack::deep(true, || rewrite::prepare_all(&mut queries, &ctx.params))?;
        let state = self.session.state();
        let mut columns = None;
        for (number, (statement, query)) in parsed.iter().zip(&queries).enumerate() {
            let named = |error: SqlError| in_query(number + 1, error);
            let scope = Scope::new(&state, reader, &ctx.database);
            let plan = scope
                .plan(query.clone())
                .map_err(|error| named(from_datafusion(error, Some(statement.locator()))))?;
            let found = plan.schema().fields().len();
            let wanted = *columns.get_or_insert(found);
            if found != wanted {
                let message = format!("it has {found} columns, the first query has {wanted}");
                return Err(named(SqlError::syntax(message, statement.start())));
            }
        }
        let set_quantifier = if all {
            SetQuantifier::All
        } else {
            SetQuantifier::None
        };
        let body = queries
            .into_iter()
            .map(|query| SetExpr::Query(Box::new(query)))
            .reduce(|left, right| SetExpr::SetOperation {
                left: Box::new(left),
                op: SetOperator::Union,
                set_quantifier,
                right: Box::new(right),
            })
            .ok_or_else(|| SqlError::Internal("a union of nothing".to_owned()))?;
        self.select(reader, ctx, rewrite::query(body), None).await
    }
}

/// Says which of the texts is meant.
fn in_query(number: usize, error: SqlError) -> SqlError {
    match error {
        SqlError::Syntax { message, at } => SqlError::Syntax {
            message: format!("query {number}: {message}"),
            at,
        },
        SqlError::Unsupported { what, at, remedy } => SqlError::Unsupported {
            what: format!("query {number}: {what}"),
            at,
            remedy,
        },
        other => other,
    }
}
