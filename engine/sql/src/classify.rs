//! What a statement would do, for permission checks before anything runs.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, Select, Statement, Visit, Visitor};

/// Kind of effect, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatementClass {
    /// BEGIN, COMMIT and the like: no data.
    Transaction,
    /// Reads rows or plans: `database:read`.
    Read,
    /// Changes rows: `database:write`.
    Write,
    /// Changes definitions or permissions: `database:admin`. Every statement that isn't known counts as this.
    Ddl,
}

/// What a statement would do, were all of it supported.
pub fn classify(statement: &Statement) -> StatementClass {
    match statement {
        // Plans only: what it would change is not changed.
        Statement::Explain { analyze: false, .. } | Statement::ExplainTable { .. } => StatementClass::Read,
        Statement::Explain { statement, .. } => classify(statement),
        other => {
            let mut strongest = Strongest(own_class(other));
            let _ = crate::stack::deep(true, || other.visit(&mut strongest));
            strongest.0
        }
    }
}

fn own_class(statement: &Statement) -> StatementClass {
    match statement {
        Statement::Query(_) => StatementClass::Read,
        Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_)
        | Statement::Lock(_)
        | Statement::Copy { .. } => StatementClass::Write,
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => StatementClass::Transaction,
        _ => StatementClass::Ddl,
    }
}

/// Finds the strongest effect anywhere within, such as DML in a WITH clause.
struct Strongest(StatementClass);

impl Visitor for Strongest {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.0 = self.0.max(own_class(statement));
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        // Row locks need the right to change the rows.
        let class = if query.locks.is_empty() {
            StatementClass::Read
        } else {
            StatementClass::Write
        };
        self.0 = self.0.max(class);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.0 = self.0.max(StatementClass::Ddl);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::StatementClass::{Ddl, Read, Transaction, Write};
    use super::*;
    use crate::parse::parse;

    #[test]
    fn statements_classify_by_what_they_would_do() {
        let cases = [
            ("SELECT 1", Read),
            ("VALUES (1)", Read),
            ("WITH a AS (SELECT 1) SELECT * FROM a", Read),
            ("SELECT 1 FROM t FOR UPDATE", Write),
            ("SELECT a INTO b FROM t", Ddl),
            ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", Write),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Write),
            ("INSERT INTO t VALUES (1)", Write),
            ("UPDATE t SET a = 1", Write),
            ("DELETE FROM t", Write),
            (
                "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
                Write,
            ),
            ("EXPLAIN DELETE FROM t", Read),
            ("EXPLAIN ANALYZE DELETE FROM t", Write),
            ("EXPLAIN ANALYZE SELECT 1", Read),
            ("CREATE TABLE t (a int)", Ddl),
            ("CREATE TABLE t AS SELECT 1", Ddl),
            ("CREATE VIEW v AS SELECT 1", Ddl),
            ("DROP TABLE t", Ddl),
            ("TRUNCATE t", Ddl),
            ("ALTER TABLE t ADD COLUMN a int", Ddl),
            ("GRANT SELECT ON t TO u", Ddl),
            ("SET a = 1", Ddl),
            ("BEGIN", Transaction),
            ("COMMIT", Transaction),
            ("ROLLBACK", Transaction),
            ("SAVEPOINT a", Transaction),
            ("LOCK TABLE t", Write),
        ];
        for (sql, expected) in cases {
            let parsed = parse(sql).unwrap();
            assert_eq!(classify(parsed[0].ast()), expected, "{sql}");
        }
    }
}
