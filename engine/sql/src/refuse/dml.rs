//! INSERT, UPDATE, DELETE and EXPLAIN.

use datafusion::sql::sqlparser::ast::{
    AnalyzeFormat, AnalyzeFormatKind, Assignment, AssignmentTarget, Delete, FromTable, Insert, OnInsert,
    Statement, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};

use super::{REMOVE, Walk};
use crate::error::{Position, Result, SqlError};

const NO_RETURNING: &str = "read the rows with a SELECT in the same transaction";

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<()> {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let at = self.locator.start();
        self.no(
            !optimizer_hints.is_empty(),
            at,
            &["INSERT"],
            "leave optimizer hints out",
        )?;
        self.no_named(
            or.is_some(),
            at,
            &["OR"],
            "INSERT OR",
            "use the operation upsert_row",
        )?;
        self.no(*ignore, at, &["IGNORE"], REMOVE)?;
        self.no(*overwrite, at, &["OVERWRITE"], "write DELETE FROM first")?;
        self.no(*replace_into, at, &["REPLACE"], "use the operation upsert_row")?;
        self.no_named(
            priority.is_some(),
            at,
            &["INSERT"],
            "a priority of INSERT",
            REMOVE,
        )?;
        self.no_named(*has_table_keyword, at, &["TABLE"], "TABLE in INSERT", REMOVE)?;
        match table {
            TableObject::TableName(name) => self.name(name)?,
            TableObject::TableFunction(_) | TableObject::TableQuery(_) => {
                return Err(SqlError::unsupported(
                    "INSERT into anything but a table",
                    at,
                    "name a table",
                ));
            }
        }
        self.no_named(table_alias.is_some(), at, &["AS"], "an alias in INSERT", REMOVE)?;
        columns.iter().try_for_each(|column| self.name(column))?;
        let multi = multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some();
        self.no_named(
            multi,
            at,
            &["INSERT"],
            "INSERT into several tables",
            "write one INSERT for each",
        )?;
        self.no(
            partitioned.is_some() || !after_columns.is_empty(),
            at,
            &["PARTITION"],
            REMOVE,
        )?;
        self.no_named(
            !assignments.is_empty(),
            at,
            &["SET"],
            "SET in INSERT",
            "write VALUES (...)",
        )?;
        if let Some(query) = source {
            self.query(query)?;
        }
        match on {
            None => {}
            Some(OnInsert::OnConflict(_)) => {
                self.no(true, at, &["ON", "CONFLICT"], "use the operation upsert_row")?;
            }
            Some(_) => self.no(true, at, &["ON", "DUPLICATE"], "use the operation upsert_row")?,
        }
        self.no(returning.is_some(), at, &["RETURNING"], NO_RETURNING)?;
        self.no(output.is_some(), at, &["OUTPUT"], NO_RETURNING)?;
        self.no_named(insert_alias.is_some(), at, &["AS"], "an alias in INSERT", REMOVE)?;
        self.no(settings.is_some(), at, &["SETTINGS"], REMOVE)?;
        self.no(format_clause.is_some(), at, &["FORMAT"], REMOVE)
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<()> {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        let at = self.locator.start();
        self.no(
            !optimizer_hints.is_empty(),
            at,
            &["UPDATE"],
            "leave optimizer hints out",
        )?;
        self.no_named(or.is_some(), at, &["OR"], "UPDATE OR", REMOVE)?;
        self.target(table, at)?;
        for Assignment { target, value } in assignments {
            match target {
                AssignmentTarget::ColumnName(name) => self.name(name)?,
                AssignmentTarget::Tuple(_) => {
                    let place = self.locator.find(at, &["("]);
                    return Err(SqlError::unsupported(
                        "SET (a, b) = ...",
                        place,
                        "set each column by itself",
                    ));
                }
            }
            self.expr(value)?;
        }
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(tables)) => self.from(tables)?,
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                self.no_named(true, at, &["FROM"], "FROM before SET", "write it behind SET")?;
            }
        }
        if let Some(condition) = selection {
            self.expr(condition)?;
        }
        self.no(
            !order_by.is_empty(),
            at,
            &["ORDER", "BY"],
            "choose the rows by key",
        )?;
        self.no(
            limit.is_some(),
            at,
            &["LIMIT"],
            "write WHERE key IN (SELECT key ... LIMIT n)",
        )?;
        self.no(returning.is_some(), at, &["RETURNING"], NO_RETURNING)?;
        self.no(output.is_some(), at, &["OUTPUT"], NO_RETURNING)
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<()> {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        let at = self.locator.start();
        self.no(
            !optimizer_hints.is_empty(),
            at,
            &["DELETE"],
            "leave optimizer hints out",
        )?;
        self.no_named(
            !tables.is_empty(),
            at,
            &["FROM"],
            "DELETE of several tables",
            "write one DELETE for each",
        )?;
        let from = match from {
            FromTable::WithFromKeyword(from) => from,
            FromTable::WithoutKeyword(_) => {
                return Err(SqlError::unsupported(
                    "DELETE without FROM",
                    at,
                    "write DELETE FROM",
                ));
            }
        };
        match from.as_slice() {
            [table] => self.target(table, at)?,
            _ => {
                return Err(SqlError::unsupported(
                    "DELETE from several tables",
                    at,
                    "write one DELETE for each",
                ));
            }
        }
        if let Some(using) = using {
            self.from(using)?;
        }
        if let Some(condition) = selection {
            self.expr(condition)?;
        }
        self.no(
            !order_by.is_empty(),
            at,
            &["ORDER", "BY"],
            "choose the rows by key",
        )?;
        self.no(
            limit.is_some(),
            at,
            &["LIMIT"],
            "write WHERE key IN (SELECT key ... LIMIT n)",
        )?;
        self.no(returning.is_some(), at, &["RETURNING"], NO_RETURNING)?;
        self.no(output.is_some(), at, &["OUTPUT"], NO_RETURNING)
    }

    /// The table that rows are changed in: a plain name with an optional alias.
    fn target(&mut self, table: &TableWithJoins, at: Position) -> Result<()> {
        self.table_with_joins(table)?;
        let TableWithJoins { relation, joins } = table;
        self.no_named(
            !joins.is_empty(),
            at,
            &["JOIN"],
            "a join as target",
            "write the others in FROM or USING",
        )?;
        let plain = match relation {
            TableFactor::Table { args, alias, .. } => {
                args.is_none() && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
            }
            _ => false,
        };
        self.no_named(!plain, at, &[], "anything but a table as target", "name a table")
    }

    pub(super) fn explain(&mut self, statement: &Statement) -> Result<()> {
        let Statement::Explain {
            describe_alias: _,
            analyze,
            verbose,
            query_plan,
            estimate,
            statement: inner,
            format,
            options,
        } = statement
        else {
            return Err(self.whole_statement(statement));
        };
        let at = self.locator.start();
        self.no(*verbose, at, &["VERBOSE"], REMOVE)?;
        self.no(*query_plan, at, &["QUERY", "PLAN"], "write EXPLAIN alone")?;
        self.no(*estimate, at, &["ESTIMATE"], REMOVE)?;
        self.no_named(
            options.is_some(),
            at,
            &["("],
            "options of EXPLAIN",
            "write EXPLAIN or EXPLAIN ANALYZE",
        )?;
        let plain = match format {
            None => true,
            Some(AnalyzeFormatKind::Keyword(format) | AnalyzeFormatKind::Assignment(format)) => {
                matches!(format, AnalyzeFormat::TEXT)
            }
        };
        self.no(
            !plain,
            at,
            &["FORMAT"],
            "call the operation query.explain for other formats",
        )?;
        match inner.as_ref() {
            Statement::Query(query) => self.query(query),
            other if *analyze => {
                let what = "EXPLAIN ANALYZE of anything but a query";
                let _ = other;
                Err(SqlError::unsupported(
                    what,
                    at,
                    "it would change rows; write EXPLAIN",
                ))
            }
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => self.statement(inner),
            _ => Err(SqlError::unsupported(
                "EXPLAIN of this statement",
                at,
                "explain a query, INSERT, UPDATE or DELETE",
            )),
        }
    }
}
