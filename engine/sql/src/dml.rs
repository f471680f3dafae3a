//! INSERT, UPDATE and DELETE.
//!
//! UPDATE and DELETE become a SELECT that yields the keys of the rows to change (and the values to set), run over
//! the state before the statement; the changes are then applied to the transaction in one call. In that SELECT the
//! target table has an invented name, under which alone the hidden key column exists: a subquery that reads the
//! same table, or `SELECT *`, never sees it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Ident, Insert, ObjectName, Query, SelectItem,
    SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};
use rustydb_store::tables::{Relation, TableError, Txn, TxnReader};
use rustydb_store::types::{Row, RowKey, TableDef};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::assign::assign;
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Position, Result, SqlError};
use crate::parse::{Locator, ParsedStatement};
use crate::planner::{TARGET, lookup};
use crate::provider::KEY_COLUMN;
use crate::rewrite::{self, normalized, parts, quoted};
use crate::rows::column_index;

/// The SELECT that finds what a statement changes.
pub(crate) struct Finder {
    pub table: Arc<TableDef>,
    pub query: Query,
    /// Places of the columns that are set, in the order of the query's columns behind the key.
    pub columns: Vec<usize>,
}

impl SqlEngine {
    pub(crate) async fn update(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        let reader = txn.reader();
        let finder = self.update_finder(&reader, ctx, statement)?;
        let batches = self.find(&reader, ctx, &finder, statement).await?;
        let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let count = applied(found, || {
            let rows = self.new_rows(&reader, &finder, &batches)?;
            // A reader that lives would make the first write copy all that is pending.
            drop(reader);
            let count = rows.len() as u64;
            atomically(txn, |txn| txn.update_many(&finder.table, rows).map(|_| ()))?;
            Ok(count)
        })?;
        Ok(StatementResult::done("UPDATE", count))
    }

    pub(crate) async fn delete(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        let reader = txn.reader();
        let finder = self.delete_finder(&reader, ctx, statement)?;
        let batches = self.find(&reader, ctx, &finder, statement).await?;
        let mut seen = HashSet::new();
        let mut keys = keys_of(&batches);
        // USING may match a row several times; it is gone after the first.
        keys.retain(|key| seen.insert(key.clone()));
        drop(reader);
        let count = applied(keys.len(), || {
            atomically(txn, |txn| txn.delete_many(&finder.table, &keys))
        })?;
        Ok(StatementResult::done("DELETE", count))
    }

    pub(crate) fn update_finder(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<Finder> {
        let prepared = rewrite::prepared(statement.ast(), &ctx.params, statement.locator().is_long())?;
        let Statement::Update(Update {
            table,
            assignments,
            from,
            selection,
            ..
        }) = prepared
        else {
            return Err(SqlError::Internal("an UPDATE changed its kind".to_owned()));
        };
        let locator = statement.locator();
        let (target, factor, alias) = self.target(reader, ctx, &table, locator)?;
        let mut items = vec![key_item(&alias)];
        let mut columns = Vec::new();
        for Assignment {
            target: assigned,
            value,
        } in assignments
        {
            let index = assigned_column(&target, &assigned, locator)?;
            if columns.contains(&index) {
                let name = &target.columns[index].name;
                let message = format!("column \"{name}\" is set twice");
                return Err(SqlError::syntax(message, locator.find_name(name)));
            }
            let value = if is_default(&value) {
                default_expr(&target, index)?
            } else {
                value
            };
            items.push(SelectItem::ExprWithAlias {
                expr: value,
                alias: cell_name(columns.len()),
            });
            columns.push(index);
        }
        let mut tables = vec![TableWithJoins {
            relation: factor,
            joins: Vec::new(),
        }];
        if let Some(UpdateTableFromKind::AfterSet(others)) = from {
            tables.extend(others);
        }
        let query = rewrite::query(SetExpr::Select(Box::new(rewrite::select(
            items, tables, selection,
        ))));
        Ok(Finder {
            table: target,
            query,
            columns,
        })
    }

    pub(crate) fn delete_finder(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<Finder> {
        let prepared = rewrite::prepared(statement.ast(), &ctx.params, statement.locator().is_long())?;
        let Statement::Delete(Delete {
            from: FromTable::WithFromKeyword(from),
            using,
            selection,
            ..
        }) = prepared
        else {
            return Err(SqlError::Internal("a DELETE changed its kind".to_owned()));
        };
        let [table] = from.as_slice() else {
            return Err(SqlError::Internal("a DELETE has one target".to_owned()));
        };
        let (target, factor, alias) = self.target(reader, ctx, table, statement.locator())?;
        let mut tables = vec![TableWithJoins {
            relation: factor,
            joins: Vec::new(),
        }];
        tables.extend(using.unwrap_or_default());
        let select = rewrite::select(vec![key_item(&alias)], tables, selection);
        let query = rewrite::query(SetExpr::Select(Box::new(select)));
        Ok(Finder {
            table: target,
            query,
            columns: Vec::new(),
        })
    }

    async fn find(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        finder: &Finder,
        statement: &ParsedStatement,
    ) -> Result<Vec<RecordBatch>> {
        let state = self.session.state();
        let locator = Some(statement.locator());
        let plan = self.plan_over(
            &state,
            reader,
            ctx,
            Some(&finder.table),
            finder.query.clone(),
            locator,
        )?;
        self.batches(state, plan, locator).await
    }

    /// The rows as they are to be, with the keys that they have now.
    fn new_rows(
        &self,
        reader: &TxnReader,
        finder: &Finder,
        batches: &[RecordBatch],
    ) -> Result<Vec<(RowKey, Row)>> {
        let table = &finder.table;
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        for batch in batches {
            let schema = batch.schema();
            let mut cells = Vec::with_capacity(finder.columns.len());
            for (place, index) in finder.columns.iter().enumerate() {
                let values = assign(
                    batch.column(place + 1),
                    schema.field(place + 1),
                    table,
                    &table.columns[*index],
                )?;
                cells.push(values.into_iter());
            }
            for key in keys_of(std::slice::from_ref(batch)) {
                if !seen.insert(key.clone()) {
                    let message = format!(
                        "FROM matches a row of table \"{}\" more than once; join on a key",
                        table.name
                    );
                    return Err(SqlError::syntax(message, Position::UNKNOWN));
                }
                let mut row = reader.get(table, &key)?.ok_or_else(|| {
                    SqlError::Internal("a scanned row is gone within one snapshot".to_owned())
                })?;
                for (values, index) in cells.iter_mut().zip(&finder.columns) {
                    row[*index] = values
                        .next()
                        .ok_or_else(|| SqlError::Internal("a column is short".to_owned()))?;
                }
                rows.push((key, row));
            }
        }
        Ok(rows)
    }

    /// The table to change, how it stands in FROM, and its alias.
    fn target(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        target: &TableWithJoins,
        locator: Locator<'_>,
    ) -> Result<(Arc<TableDef>, TableFactor, Ident)> {
        let TableFactor::Table { name, alias, .. } = &target.relation else {
            return Err(SqlError::Internal("the target is not a table".to_owned()));
        };
        let table = table_named(reader, &ctx.database, name, locator)?;
        let alias = match alias {
            Some(alias) => alias.name.clone(),
            None => quoted(table.name.clone()),
        };
        Ok((table, rewrite::table_factor(TARGET, alias.clone()), alias))
    }

    pub(crate) fn insert_target(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        insert: &Insert,
        locator: Locator<'_>,
    ) -> Result<(Arc<TableDef>, Vec<usize>)> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::Internal("the target is not a table".to_owned()));
        };
        let table = table_named(reader, &ctx.database, name, locator)?;
        let mut columns = Vec::new();
        for name in &insert.columns {
            let index = column_named(&table, &parts(name), locator)?;
            if columns.contains(&index) {
                let name = &table.columns[index].name;
                let message = format!("column \"{name}\" is named twice");
                return Err(SqlError::syntax(message, locator.find_name(name)));
            }
            columns.push(index);
        }
        if insert.columns.is_empty() {
            columns = (0..table.columns.len()).collect();
        }
        Ok((table, columns))
    }
}

/// Most rows that are changed while the thread's other tasks wait.
const ROWS_BETWEEN_OTHERS_MAX: usize = 1_000;

/// Runs the change of so many rows; of many, while the thread's other tasks go on elsewhere.
pub(crate) fn applied<R>(rows: usize, change: impl FnOnce() -> Result<R>) -> Result<R> {
    let others =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if others && rows > ROWS_BETWEEN_OTHERS_MAX {
        tokio::task::block_in_place(change)
    } else {
        change()
    }
}

/// Runs changes so that all or none of them stay.
pub(crate) fn atomically<R>(
    txn: &mut Txn,
    change: impl FnOnce(&mut Txn) -> Result<R, TableError>,
) -> Result<R> {
    let mark = txn.mark();
    change(txn).map_err(|error| {
        txn.undo_to(&mark);
        SqlError::from(error)
    })
}

/// The table of a name; a view can't be changed.
pub(crate) fn table_named(
    reader: &TxnReader,
    database: &str,
    name: &ObjectName,
    locator: Locator<'_>,
) -> Result<Arc<TableDef>> {
    let parts = parts(name);
    let last = parts.last().map(String::as_str).unwrap_or_default();
    let at = locator.find_name(last);
    match lookup(reader, database, &reference(&parts)).map_err(|error| error.at(at))? {
        Relation::Table(table) => Ok(table),
        Relation::View(view) => {
            let what = format!("changing the view \"{}\"", view.name);
            Err(SqlError::unsupported(what, at, "change the tables it reads"))
        }
    }
}

pub(crate) fn reference(parts: &[String]) -> TableReference {
    match parts {
        [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        _ => TableReference::bare(parts.last().map(String::as_str).unwrap_or_default()),
    }
}

fn column_named(table: &TableDef, parts: &[String], locator: Locator<'_>) -> Result<usize> {
    let name = match parts {
        [name] => name,
        _ => {
            let shown = parts.join(".");
            let at = locator.find_name(parts.first().map(String::as_str).unwrap_or_default());
            return Err(SqlError::unsupported(
                format!("the qualified column {shown} here"),
                at,
                "give its name alone",
            ));
        }
    };
    column_index(table, name).map_err(|error| error.at(locator.find_name(name)))
}

fn assigned_column(table: &TableDef, target: &AssignmentTarget, locator: Locator<'_>) -> Result<usize> {
    match target {
        AssignmentTarget::ColumnName(name) => column_named(table, &parts(name), locator),
        AssignmentTarget::Tuple(_) => Err(SqlError::unsupported(
            "SET (a, b) = ...",
            locator.start(),
            "set each column by itself",
        )),
    }
}

/// Whether a value is the keyword DEFAULT, which the parser takes for a name.
pub(crate) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// The prepared default of a column; NULL when it has none.
pub(crate) fn default_expr(table: &TableDef, index: usize) -> Result<Expr> {
    let Some(text) = &table.columns[index].default else {
        return Ok(rewrite::literal(&serde_json::Value::Null));
    };
    let parsed = crate::parse::parse_one(&format!("SELECT {text}"))?;
    let expr = match parsed.ast() {
        Statement::Query(query) => match query.body.as_select().map(|select| select.projection.as_slice()) {
            Some([SelectItem::UnnamedExpr(expr)]) => Some(expr.clone()),
            _ => None,
        },
        _ => None,
    };
    let expr =
        expr.ok_or_else(|| SqlError::Internal(format!("the default \"{text}\" is not an expression")))?;
    rewrite::prepared(&expr, &[], parsed.locator().is_long())
}

pub(crate) fn key_item(alias: &Ident) -> SelectItem {
    let alias = quoted(normalized(alias));
    SelectItem::ExprWithAlias {
        expr: Expr::CompoundIdentifier(vec![alias, quoted(KEY_COLUMN)]),
        alias: quoted("key"),
    }
}

/// Names of computed cells. Users' names are never among them.
pub(crate) fn cell_name(place: usize) -> Ident {
    quoted(format!("\u{1}cell{place}"))
}

pub(crate) fn keys_of(batches: &[RecordBatch]) -> Vec<RowKey> {
    let mut keys = Vec::new();
    for batch in batches {
        let column = batch.column(0).as_binary::<i32>();
        keys.extend((0..column.len()).map(|row| RowKey(column.value(row).to_vec())));
    }
    keys
}
