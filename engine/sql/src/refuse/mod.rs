//! Refuses every clause that nothing here acts on.
//!
//! Parsers accept far more than any engine does, and DataFusion's planner drops some clauses without a word:
//! `FOR UPDATE` takes no lock, `TABLESAMPLE` samples nothing. A statement that means less than it says is worse
//! than an error, so this pass walks the whole syntax tree before planning and lets through only what is known
//! to be acted on.
//!
//! Invariant: every struct and variant that is let through is destructured without `..`. A field that a new
//! parser version adds doesn't compile until somebody decides about it.

mod costly;
mod ddl;
mod dml;
mod expr;
mod locking;
mod query;
mod table;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned, Statement};

use crate::error::{Position, Result, SqlError};
use crate::parse::{Locator, ParsedStatement, start_of};

/// Most tables, subqueries and table functions that one statement may name.
pub const RELATIONS_MAX: usize = 200;
/// The same, with what common table expressions name counted wherever these are named. Without this bound thirty
/// lines could make a billion steps.
pub const RELATIONS_READ_MAX: usize = 1_000;
/// Most UNION, INTERSECT and EXCEPT operands.
pub const SET_OPERANDS_MAX: usize = 500;

/// Deepest nesting of function calls. DataFusion's planning time doubles or worse with each level, and planning
/// can't be interrupted.
pub const CALLS_NESTED_MAX: usize = 8;

/// Fails with [`SqlError::Unsupported`] at the first clause that is not acted on.
pub fn refuse_unsupported(statement: &ParsedStatement) -> Result<()> {
    let mut walk = Walk {
        locator: statement.locator(),
        relations: 0,
        read: 0,
        ctes: Vec::new(),
        operands: 0,
        calls: 0,
    };
    crate::stack::deep(statement.locator().is_long(), || walk.statement(statement.ast()))
}

struct Walk<'a> {
    locator: Locator<'a>,
    relations: usize,
    /// Relations as they will be planned: a common table expression is planned wherever it is named.
    read: usize,
    /// Common table expressions that can be named at the place of the walk, the nearest last, with the relations that
    /// each reads.
    ctes: Vec<(String, usize)>,
    operands: usize,
    /// Function calls around the place of the walk.
    calls: usize,
}

impl Walk<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Query(query) if query.locks.is_empty() => self.query(query),
            Statement::Query(query) => self.locking_query(query),
            Statement::Lock(lock) => self.lock(lock),
            Statement::Savepoint { name: _ } | Statement::ReleaseSavepoint { name: _ } => Ok(()),
            Statement::Rollback {
                chain,
                savepoint: Some(_),
            } => self.no(*chain, self.locator.start(), &["CHAIN"], REMOVE),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::Drop { .. } => self.drop(statement),
            Statement::CreateDatabase { .. } => self.create_database(statement),
            Statement::Explain { .. } => self.explain(statement),
            other => Err(self.whole_statement(other)),
        }
    }

    /// Statements of which nothing is supported, each with what to do instead.
    fn whole_statement(&self, statement: &Statement) -> SqlError {
        let (what, remedy) = match statement {
            Statement::StartTransaction { .. } => {
                ("BEGIN in a statement", "call the operation transactions.begin")
            }
            Statement::Commit { .. } => ("COMMIT in a statement", "call the operation transactions.commit"),
            Statement::Rollback { .. } => (
                "ROLLBACK in a statement",
                "call the operation transactions.rollback",
            ),
            Statement::Set(_) => (
                "SET",
                "there are no session settings; transactions.begin takes the isolation level",
            ),
            Statement::Merge(_) => ("MERGE", "write INSERT, UPDATE and DELETE in one transaction"),
            Statement::AlterTable(_) => ("ALTER TABLE", "call the operation database.replace_table"),
            Statement::CreateSchema { .. } => ("CREATE SCHEMA", "use schema public, or another database"),
            Statement::Grant(_) | Statement::Revoke(_) => {
                ("GRANT and REVOKE", "give users a role with admin operations")
            }
            Statement::Copy { .. } => ("COPY", "use INSERT or the row operations"),
            Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. } => {
                ("PREPARE", "send parameters with the statement")
            }
            _ => ("this statement", "see the SQL reference for what is supported"),
        };
        SqlError::unsupported(what, self.locator.start(), remedy)
    }

    /// Refuses at the first place behind `from` where `words` stand.
    fn no(&self, present: bool, from: Position, words: &[&str], remedy: &str) -> Result<()> {
        self.no_named(present, from, words, &words.join(" "), remedy)
    }

    fn no_named(
        &self,
        present: bool,
        from: Position,
        words: &[&str],
        what: &str,
        remedy: &str,
    ) -> Result<()> {
        if !present {
            return Ok(());
        }
        Err(SqlError::unsupported(
            what,
            self.locator.find(from, words),
            remedy,
        ))
    }

    fn here<T: Spanned>(&self, node: &T) -> Position {
        let at = start_of(node.span());
        if at.is_known() { at } else { self.locator.start() }
    }

    fn ident(&self, ident: &Ident) -> Position {
        let at = start_of(ident.span);
        if at.is_known() { at } else { self.locator.start() }
    }

    /// Only plain identifiers make a name; at most database, schema and name.
    fn name(&self, name: &ObjectName) -> Result<()> {
        let ObjectName(parts) = name;
        for part in parts {
            match part {
                ObjectNamePart::Identifier(_) => {}
                ObjectNamePart::Function(_) => {
                    return Err(SqlError::unsupported(
                        "a computed name",
                        self.here(name),
                        "write the name itself",
                    ));
                }
            }
        }
        if parts.len() > 3 {
            return Err(SqlError::unsupported(
                "a name of more than three parts",
                self.here(name),
                "write database.schema.name or less",
            ));
        }
        Ok(())
    }
}

const REMOVE: &str = "leave the clause out";
/// Of an expression or option, in messages.
const SHOWN_CHARS_MAX: usize = 40;
