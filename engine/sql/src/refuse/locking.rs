//! Locking clauses and LOCK TABLE.

use datafusion::sql::sqlparser::ast::{
    GroupByExpr, Lock, LockClause, LockTableTarget, Query, SetExpr, TableFactor,
};

use super::{REMOVE, Walk};
use crate::error::{Result, SqlError};

impl Walk<'_> {
    /// The outermost query, with a locking clause: each row of its answer must be a row of one table.
    pub(super) fn locking_query(&mut self, query: &Query) -> Result<()> {
        let at = self.here(query);
        let [
            LockClause {
                lock_type: _,
                of,
                nonblock: _,
            },
        ] = query.locks.as_slice()
        else {
            return Err(SqlError::unsupported(
                "several locking clauses",
                self.locator.find(at, &["FOR"]),
                "write one",
            ));
        };
        self.no(
            of.is_some(),
            at,
            &["OF"],
            "leave it out: the query is of one table",
        )?;
        let plain = match query.body.as_ref() {
            SetExpr::Select(select) if query.with.is_none() => {
                let grouped = match &select.group_by {
                    GroupByExpr::All(_) => true,
                    GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
                };
                let one_table = match select.from.as_slice() {
                    [from] => {
                        from.joins.is_empty()
                            && matches!(from.relation, TableFactor::Table { args: None, .. })
                    }
                    _ => false,
                };
                one_table && !grouped && select.distinct.is_none() && select.having.is_none()
            }
            _ => false,
        };
        if !plain {
            return Err(SqlError::unsupported(
                "a locking clause with joins, groups, DISTINCT, WITH or UNION",
                self.locator.find(at, &["FOR"]),
                "lock the rows of one table by a query of their own",
            ));
        }
        let mut unlocked = query.clone();
        unlocked.locks.clear();
        self.query(&unlocked)
    }

    pub(super) fn lock(&mut self, lock: &Lock) -> Result<()> {
        let Lock {
            tables,
            lock_mode: _,
            nowait: _,
        } = lock;
        let start = self.locator.start();
        for target in tables {
            let LockTableTarget {
                name,
                only,
                has_asterisk,
            } = target;
            self.no(*only, start, &["ONLY"], REMOVE)?;
            self.no(*has_asterisk, start, &["*"], REMOVE)?;
            self.name(name)?;
        }
        Ok(())
    }
}
