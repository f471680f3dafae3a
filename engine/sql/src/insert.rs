//! INSERT, and the defaults of columns.
//!
//! Literals are read straight as the type of their column. Everything else in VALUES is computed, many cells as
//! the columns of one SELECT, so that each cell keeps its own type and volatile functions run once per cell.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Expr, Parens, Query, SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins,
    UnaryOperator, Value,
};
use rustydb_store::datum::{datum_from_json, datum_from_text};
use rustydb_store::tables::{Txn, TxnReader};
use rustydb_store::types::{ColumnType, Datum, Row, TableDef};
use serde_json::{Map, Value as Json};

use crate::assign::{assign, invalid};
use crate::dml::{applied, atomically, cell_name, default_expr, is_default};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Position, Result, SqlError};
use crate::parse::{Locator, ParsedStatement};
use crate::rewrite;

/// Cells computed by one SELECT. Planning is slower than linear in the columns of a projection.
const CELLS_PER_SELECT: usize = 200;

/// Rows with their places among those given.
type Numbered = Vec<(usize, Row)>;

/// A cell whose value is not known yet.
struct Pending {
    row: usize,
    column: usize,
    expr: Expr,
}

impl SqlEngine {
    pub(crate) async fn insert(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        let reader = txn.reader();
        let locator = statement.locator();
        let prepared = rewrite::prepared(statement.ast(), &ctx.params, statement.locator().is_long())?;
        let Statement::Insert(insert) = prepared else {
            return Err(SqlError::Internal("an INSERT changed its kind".to_owned()));
        };
        let (table, columns) = self.insert_target(&reader, ctx, &insert, locator)?;
        let rows = match insert.source.as_deref() {
            None => self.complete(&reader, ctx, &table, &[], vec![Vec::new()]).await?,
            Some(query) => match plain_values(query) {
                Some(rows) => {
                    self.inserted_values(&reader, ctx, &table, &columns, rows, locator)
                        .await?
                }
                None => {
                    let listed = !insert.columns.is_empty();
                    self.inserted_query(&reader, ctx, &table, &columns, listed, query, locator)
                        .await?
                }
            },
        };
        // A reader that lives would make the first write copy all that is pending.
        drop(reader);
        let count = rows.len() as u64;
        applied(rows.len(), || {
            atomically(txn, |txn| txn.insert_many(&table, rows).map(|_| ()))
        })?;
        Ok(StatementResult::done("INSERT", count))
    }

    async fn inserted_values(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        columns: &[usize],
        rows: &[Parens<Vec<Expr>>],
        locator: Locator<'_>,
    ) -> Result<Vec<Row>> {
        let mut pending = Vec::new();
        let mut read: Vec<Row> = Vec::with_capacity(rows.len());
        for (number, Parens { content, .. }) in rows.iter().enumerate() {
            if content.len() != columns.len() {
                return Err(wrong_count(
                    table,
                    columns.len(),
                    content.len(),
                    locator.find(Position::UNKNOWN, &["VALUES"]),
                ));
            }
            let mut row = Vec::with_capacity(content.len());
            for (place, expr) in content.iter().enumerate() {
                let index = columns[place];
                match literal_datum(expr, table, index)? {
                    Some(datum) => row.push(datum),
                    None => {
                        let expr = if is_default(expr) {
                            default_expr(table, index)?
                        } else {
                            expr.clone()
                        };
                        pending.push(Pending {
                            row: number,
                            column: place,
                            expr,
                        });
                        row.push(Datum::Null);
                    }
                }
            }
            read.push(row);
        }
        self.compute(reader, ctx, table, columns, &mut read, pending, Some(locator))
            .await?;
        self.complete(reader, ctx, table, columns, read).await
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one call; a struct would only name them again"
    )]
    async fn inserted_query(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        columns: &[usize],
        listed: bool,
        query: &Query,
        locator: Locator<'_>,
    ) -> Result<Vec<Row>> {
        let state = self.session.state();
        let plan = self.plan_over(&state, reader, ctx, None, query.clone(), Some(locator))?;
        let found = plan.schema().fields().len();
        // Without a list the query may give the first columns only, as in PostgreSQL.
        if found > columns.len() || (listed && found < columns.len()) {
            return Err(wrong_count(
                table,
                columns.len(),
                found,
                locator.find(Position::UNKNOWN, &["SELECT"]),
            ));
        }
        let columns = &columns[..found];
        let mut rows: Vec<Row> = Vec::new();
        for batch in self.batches(state, plan, Some(locator)).await? {
            let start = rows.len();
            rows.resize_with(start + batch.num_rows(), || Vec::with_capacity(columns.len()));
            let schema = batch.schema();
            for (place, index) in columns.iter().enumerate() {
                let values = assign(
                    batch.column(place),
                    schema.field(place),
                    table,
                    &table.columns[*index],
                )?;
                rows[start..]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(row, value)| row.push(value));
            }
        }
        self.complete(reader, ctx, table, columns, rows).await
    }

    /// Computes cells and puts them into their rows.
    #[allow(
        clippy::too_many_arguments,
        reason = "one call; a struct would only name them again"
    )]
    async fn compute(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        columns: &[usize],
        rows: &mut [Row],
        mut pending: Vec<Pending>,
        locator: Option<Locator<'_>>,
    ) -> Result<()> {
        let state = self.session.state();
        while !pending.is_empty() {
            let rest = pending.split_off(pending.len().min(CELLS_PER_SELECT));
            let items = pending
                .iter()
                .enumerate()
                .map(|(place, cell)| SelectItem::ExprWithAlias {
                    expr: cell.expr.clone(),
                    alias: cell_name(place),
                })
                .collect();
            let query = rewrite::query(SetExpr::Select(Box::new(rewrite::select(
                items,
                Vec::new(),
                None,
            ))));
            let plan = self.plan_over(&state, reader, ctx, None, query, locator)?;
            let batches = self.batches(state.clone(), plan, locator).await?;
            let batch = batches
                .iter()
                .find(|batch| batch.num_rows() == 1)
                .ok_or_else(|| SqlError::Internal("computed cells gave no row".to_owned()))?;
            let schema = batch.schema();
            for (place, cell) in pending.iter().enumerate() {
                let column = &table.columns[columns[cell.column]];
                let mut values = assign(batch.column(place), schema.field(place), table, column)?;
                rows[cell.row][cell.column] = values.swap_remove(0);
            }
            pending = rest;
        }
        Ok(())
    }

    /// Rows of `columns` to whole rows: every other column gets its default, evaluated for each row.
    async fn complete(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        columns: &[usize],
        given: Vec<Row>,
    ) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::with_capacity(given.len());
        for values in given {
            let mut row = vec![Datum::Null; table.columns.len()];
            columns
                .iter()
                .zip(values)
                .for_each(|(index, value)| row[*index] = value);
            rows.push(row);
        }
        let missing: Vec<usize> = (0..table.columns.len())
            .filter(|index| !columns.contains(index) && table.columns[*index].default.is_some())
            .collect();
        let mut computed = Vec::new();
        for index in missing {
            let expr = default_expr(table, index)?;
            match literal_datum(&expr, table, index)? {
                Some(datum) => rows.iter_mut().for_each(|row| row[index] = datum.clone()),
                None => computed.push((index, expr)),
            }
        }
        if computed.is_empty() || rows.is_empty() {
            return Ok(rows);
        }
        let state = self.session.state();
        let items = computed
            .iter()
            .enumerate()
            .map(|(place, (_, expr))| SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: cell_name(place),
            })
            .collect();
        let from = vec![TableWithJoins {
            relation: series(rows.len()),
            joins: Vec::new(),
        }];
        let query = rewrite::query(SetExpr::Select(Box::new(rewrite::select(items, from, None))));
        let plan = self.plan_over(&state, reader, ctx, None, query, None)?;
        let mut next = 0;
        for batch in self.batches(state, plan, None).await? {
            let schema = batch.schema();
            for (place, (index, _)) in computed.iter().enumerate() {
                let values = assign(
                    batch.column(place),
                    schema.field(place),
                    table,
                    &table.columns[*index],
                )?;
                rows[next..]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(row, value)| row[*index] = value);
            }
            next += batch.num_rows();
        }
        if next != rows.len() {
            return Err(SqlError::Internal(format!(
                "defaults for {next} of {} rows",
                rows.len()
            )));
        }
        Ok(rows)
    }

    /// Whole rows of JSON objects, missing columns filled with their defaults: for row operations.
    pub async fn rows_from_json(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        objects: &[Map<String, Json>],
    ) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = vec![Vec::new(); objects.len()];
        // Objects may name different columns; those that name the same ones are completed together.
        let mut groups: Vec<(Vec<usize>, Numbered)> = Vec::new();
        for (number, object) in objects.iter().enumerate() {
            let mut cells: Vec<(usize, Datum)> = Vec::with_capacity(object.len());
            for (name, value) in object {
                let index = crate::rows::column_index(table, name)?;
                cells.push((index, json_datum(table, index, value)?));
            }
            cells.sort_by_key(|(index, _)| *index);
            let (columns, values): (Vec<usize>, Row) = cells.into_iter().unzip();
            match groups.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, members)) => members.push((number, values)),
                None => groups.push((columns, vec![(number, values)])),
            }
        }
        for (columns, members) in groups {
            let (numbers, values): (Vec<usize>, Vec<Row>) = members.into_iter().unzip();
            let whole = self.complete(reader, ctx, table, &columns, values).await?;
            numbers
                .into_iter()
                .zip(whole)
                .for_each(|(number, row)| rows[number] = row);
        }
        Ok(rows)
    }

    /// Fails unless `default` is an expression without columns whose value the column takes. Answers the value
    /// when it is a literal.
    pub(crate) async fn check_default(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        index: usize,
    ) -> Result<Option<Datum>> {
        let expr = default_expr(table, index)?;
        if let Some(datum) = literal_datum(&expr, table, index)? {
            return Ok(Some(datum));
        }
        let mut rows = vec![vec![Datum::Null]];
        let pending = vec![Pending {
            row: 0,
            column: 0,
            expr,
        }];
        self.compute(reader, ctx, table, &[index], &mut rows, pending, None)
            .await?;
        Ok(None)
    }
}

/// A value given as JSON for a column.
pub(crate) fn json_datum(table: &TableDef, index: usize, value: &Json) -> Result<Datum> {
    let column = &table.columns[index];
    datum_from_json(value, column.data_type).map_err(|error| match value {
        Json::String(text) => invalid(table, column, text, &error.to_string()),
        other => invalid(table, column, &other.to_string(), &error.to_string()),
    })
}

fn wrong_count(table: &TableDef, wanted: usize, found: usize, at: Position) -> SqlError {
    SqlError::syntax(
        format!(
            "INSERT into \"{}\" wants {wanted} values for each row, not {found}",
            table.name
        ),
        at,
    )
}

/// The rows of a query that is nothing but VALUES.
fn plain_values(query: &Query) -> Option<&[Parens<Vec<Expr>>]> {
    match query.body.as_ref() {
        SetExpr::Values(values)
            if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() =>
        {
            Some(&values.rows)
        }
        _ => None,
    }
}

/// A literal as the column's type; `None` for anything that has to be computed.
pub(crate) fn literal_datum(expr: &Expr, table: &TableDef, index: usize) -> Result<Option<Datum>> {
    let column = &table.columns[index];
    let (negative, value) = match expr {
        Expr::Value(value) => (false, &value.value),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            Expr::Value(value) => (true, &value.value),
            _ => return Ok(None),
        },
        Expr::Nested(inner) => return literal_datum(inner, table, index),
        _ => return Ok(None),
    };
    match value {
        Value::Null if !negative => Ok(Some(Datum::Null)),
        Value::Boolean(value) if !negative && column.data_type == ColumnType::Boolean => {
            Ok(Some(Datum::Boolean(*value)))
        }
        Value::SingleQuotedString(text) if !negative => datum_from_text(text, column.data_type)
            .map(Some)
            .map_err(|error| invalid(table, column, text, &error.to_string())),
        Value::Number(digits, _) if is_number(column.data_type) => {
            let text = if negative {
                format!("-{digits}")
            } else {
                digits.clone()
            };
            // What needs rounding or does not fit is computed, and fails there with its own error.
            Ok(datum_from_text(&text, column.data_type).ok())
        }
        _ => Ok(None),
    }
}

fn is_number(data_type: ColumnType) -> bool {
    matches!(
        data_type,
        ColumnType::Int2
            | ColumnType::Int4
            | ColumnType::Int8
            | ColumnType::Real
            | ColumnType::Double
            | ColumnType::Decimal { .. }
    )
}

/// `generate_series(1, rows)`.
fn series(rows: usize) -> TableFactor {
    use datafusion::sql::sqlparser::ast::{
        FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableFunctionArgs,
    };
    let number = |number: usize| {
        let value = Value::Number(number.to_string(), false).with_empty_span();
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))
    };
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("generate_series"))]);
    let alias = TableAlias {
        explicit: true,
        name: rewrite::quoted("\u{1}rows"),
        columns: Vec::new(),
        at: None,
    };
    TableFactor::Table {
        name,
        alias: Some(alias),
        args: Some(TableFunctionArgs {
            args: vec![number(1), number(rows)],
            settings: None,
        }),
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}
