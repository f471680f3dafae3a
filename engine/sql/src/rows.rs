//! Row operations without SQL text: filters, pages and aggregates as data, run by the same planner.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::common::{Column as ColumnName, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::{avg, count, count_distinct, max, min, sum};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, lit};
use rustydb_store::datum::row_id_text;
use rustydb_store::tables::TxnReader;
use rustydb_store::types::{ColumnType, Datum, RowKey, TableDef};
use serde_json::Value as Json;

use crate::cells::json_column;
use crate::columns::{Column, UTC};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Position, Result, SqlError};
use crate::failure::from_datafusion;
use crate::insert::json_datum;
use crate::provider::{KEY_COLUMN, TableView};

/// Deepest nesting of a filter.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Most conditions of a filter, list members included.
pub const FILTER_TERMS_MAX: usize = 10_000;

/// A limit that no table reaches: planners count rows in signed integers.
const LIMIT_MAX: usize = i32::MAX as usize;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Which rows are meant. Comparing with NULL matches no row, as in SQL; use `IsNull`.
#[derive(Debug, Clone, PartialEq)]
pub enum RowFilter {
    /// All of them; of none, every row.
    And(Vec<RowFilter>),
    /// Any of them; of none, no row.
    Or(Vec<RowFilter>),
    Not(Box<RowFilter>),
    Compare {
        column: String,
        op: CompareOp,
        value: Json,
    },
    /// SQL's pattern: `%` for any text, `_` for one character.
    Like {
        column: String,
        pattern: String,
        ignore_case: bool,
    },
    In {
        column: String,
        values: Vec<Json>,
    },
    IsNull {
        column: String,
    },
}

/// A column to order by. NULLs come last ascending and first descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderColumn {
    pub column: String,
    pub descending: bool,
}

/// Where a page ended: the values of its last row in the order's columns, and that row's key.
#[derive(Debug, Clone, PartialEq)]
pub struct RowCursor {
    pub values: Vec<Json>,
    pub key: RowKey,
}

/// What to read of a table.
#[derive(Debug, Clone, Default)]
pub struct RowQuery {
    pub filter: Option<RowFilter>,
    pub order_by: Vec<OrderColumn>,
    /// Column names; empty means all.
    pub columns: Vec<String>,
    pub limit: usize,
    /// Go on behind this row, under the same order.
    pub after: Option<RowCursor>,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPage {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Json>>,
    /// Row ids as clients see them, one for each row.
    pub ids: Vec<String>,
    /// Present when there are more rows.
    pub next: Option<RowCursor>,
}

/// What to compute over groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

/// One computed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    pub function: AggregateFunction,
    /// `None` stands for `*`, which only `Count` takes.
    pub column: Option<String>,
    pub alias: String,
}

/// Groups and what is computed over them.
#[derive(Debug, Clone, Default)]
pub struct AggregateQuery {
    pub filter: Option<RowFilter>,
    pub group_by: Vec<String>,
    pub aggregates: Vec<Aggregate>,
    /// Columns of the result.
    pub order_by: Vec<OrderColumn>,
}

/// Place of a column.
pub(crate) fn column_index(table: &TableDef, name: &str) -> Result<usize> {
    table.column_index(name).ok_or_else(|| SqlError::ColumnNotFound {
        name: name.to_owned(),
        at: Position::UNKNOWN,
        hint: format!("; table \"{}\" has {}", table.name, table.columns_shown()),
    })
}

impl SqlEngine {
    /// A page of rows in order, ties in key order.
    pub async fn query_rows(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        query: &RowQuery,
    ) -> Result<RowPage> {
        let rows_max = self.rows_max(&ctx.clone().with_row_limit(query.limit))?;
        let wanted: Vec<usize> = if query.columns.is_empty() {
            (0..table.columns.len()).collect()
        } else {
            query
                .columns
                .iter()
                .map(|name| column_index(table, name))
                .collect::<Result<_>>()?
        };
        let order: Vec<(usize, bool)> = query
            .order_by
            .iter()
            .map(|order| Ok((comparable_index(table, &order.column)?, order.descending)))
            .collect::<Result<_>>()?;
        let mut conditions = Vec::new();
        conditions.extend(
            query
                .filter
                .as_ref()
                .map(|filter| filter_expr(table, filter))
                .transpose()?,
        );
        conditions.extend(
            query
                .after
                .as_ref()
                .map(|cursor| behind(table, &order, cursor))
                .transpose()?,
        );
        let sorts = order
            .iter()
            .map(|(index, descending)| {
                Sort::new(column(&table.columns[*index].name), !descending, *descending)
            })
            .chain([Sort::new(column(KEY_COLUMN), true, false)])
            .collect::<Vec<_>>();
        // The order's columns are read too: the cursor is made of them.
        let mut read = wanted.clone();
        read.extend(order.iter().map(|(index, _)| *index));
        let items = read.iter().enumerate().map(|(place, index)| {
            column(&table.columns[*index].name).alias(format!("\u{1}{place}:{}", table.columns[*index].name))
        });
        let plan = scan(table, reader, conditions)
            .and_then(|plan| plan.sort_with_limit(sorts, Some(rows_max + 1)))
            .and_then(|plan| plan.project(items.chain([column(KEY_COLUMN)])))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| from_datafusion(error, None))?;
        let state = self.session.state();
        let batches = self.batches(state, plan, None).await?;
        let mut page = RowPage {
            columns: wanted
                .iter()
                .map(|index| Column {
                    name: table.columns[*index].name.clone(),
                    type_name: table.columns[*index].data_type.to_string(),
                })
                .collect(),
            rows: Vec::new(),
            ids: Vec::new(),
            next: None,
        };
        let mut last: Option<RowCursor> = None;
        for batch in &batches {
            let schema = batch.schema();
            let cells = (0..read.len())
                .map(|place| json_column(batch.column(place), schema.field(place)))
                .collect::<Result<Vec<_>>>()?;
            let keys = batch.column(read.len()).as_binary::<i32>();
            for row in 0..batch.num_rows() {
                if page.rows.len() == rows_max {
                    page.next = last.take();
                    return Ok(page);
                }
                let key = RowKey(keys.value(row).to_vec());
                page.ids
                    .push(row_id_text(table, &key).map_err(|error| SqlError::Internal(error.to_string()))?);
                page.rows.push(
                    cells[..wanted.len()]
                        .iter()
                        .map(|column| column[row].clone())
                        .collect(),
                );
                let values = cells[wanted.len()..]
                    .iter()
                    .map(|column| column[row].clone())
                    .collect();
                last = Some(RowCursor { values, key });
            }
        }
        Ok(page)
    }

    /// How many rows match.
    pub async fn count_rows(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        filter: Option<&RowFilter>,
    ) -> Result<u64> {
        let Some(filter) = filter else {
            return Ok(reader.row_count(table)?);
        };
        let condition = filter_expr(table, filter)?;
        let plan = scan(table, reader, vec![condition])
            .and_then(|plan| plan.aggregate(Vec::<Expr>::new(), [count(lit(1)).alias("count")]))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| from_datafusion(error, None))?;
        let state = self.session.state();
        let result = self.rows(state, ctx, plan, None).await?;
        let count = result.rows.first().and_then(|row| row.first());
        count
            .and_then(Json::as_u64)
            .ok_or_else(|| SqlError::Internal(format!("a count gave {count:?}")))
    }

    /// One row for each group, or one over all rows.
    pub async fn aggregate_rows(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        table: &Arc<TableDef>,
        query: &AggregateQuery,
    ) -> Result<StatementResult> {
        let plan = aggregate_plan(table, reader, query)?;
        let state = self.session.state();
        self.rows(state, ctx, plan, None).await
    }

    /// Keys of the rows that match, in key order; at most `rows_max`.
    pub async fn matching_keys(
        &self,
        reader: &TxnReader,
        table: &Arc<TableDef>,
        filter: Option<&RowFilter>,
        rows_max: usize,
    ) -> Result<Vec<RowKey>> {
        let condition = filter.map(|filter| filter_expr(table, filter)).transpose()?;
        let plan = scan(table, reader, condition.into_iter().collect())
            .and_then(|plan| plan.project([column(KEY_COLUMN)]))
            .and_then(|plan| plan.limit(0, Some(rows_max.min(LIMIT_MAX))))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| from_datafusion(error, None))?;
        let state = self.session.state();
        let mut keys = Vec::new();
        for batch in self.batches(state, plan, None).await? {
            let column = batch.column(0).as_binary::<i32>();
            keys.extend((0..batch.num_rows()).map(|row| RowKey(column.value(row).to_vec())));
        }
        Ok(keys)
    }
}

fn aggregate_plan(table: &Arc<TableDef>, reader: &TxnReader, query: &AggregateQuery) -> Result<LogicalPlan> {
    let condition = query
        .filter
        .as_ref()
        .map(|filter| filter_expr(table, filter))
        .transpose()?;
    let mut names: Vec<&str> = Vec::new();
    let mut items = Vec::new();
    let mut groups = Vec::new();
    for name in &query.group_by {
        column_index(table, name)?;
        groups.push(column(name));
        items.push(column(name));
        names.push(name);
    }
    let mut computed = Vec::new();
    for aggregate in &query.aggregates {
        computed.push(aggregate_expr(table, aggregate)?.alias(aggregate.alias.clone()));
        items.push(column(&aggregate.alias));
        names.push(&aggregate.alias);
    }
    if items.is_empty() {
        return Err(SqlError::syntax(
            "an aggregation needs a column to group by or a function",
            Position::UNKNOWN,
        ));
    }
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            return Err(SqlError::DuplicateColumnName {
                name: (*name).to_owned(),
            });
        }
    }
    let known = |name: &str| -> Result<()> {
        if names.contains(&name) {
            return Ok(());
        }
        let hint = format!("; the result has {}", names.join(", "));
        Err(SqlError::ColumnNotFound {
            name: name.to_owned(),
            at: Position::UNKNOWN,
            hint,
        })
    };
    let mut sorts = Vec::new();
    for order in &query.order_by {
        known(&order.column)?;
        sorts.push(Sort::new(
            column(&order.column),
            !order.descending,
            order.descending,
        ));
    }
    let built = || {
        let mut plan = scan(table, reader, condition.into_iter().collect())?
            .aggregate(groups, computed)?
            .project(items)?;
        if !sorts.is_empty() {
            plan = plan.sort(sorts)?;
        }
        plan.build()
    };
    built().map_err(|error| from_datafusion(error, None))
}

fn aggregate_expr(table: &TableDef, aggregate: &Aggregate) -> Result<Expr> {
    let Some(name) = &aggregate.column else {
        return match aggregate.function {
            AggregateFunction::Count => Ok(count(lit(1))),
            _ => Err(SqlError::syntax(
                format!("only COUNT takes *, not \"{}\"", aggregate.alias),
                Position::UNKNOWN,
            )),
        };
    };
    let data_type = table.columns[column_index(table, name)?].data_type;
    let over = column(name);
    let number = matches!(
        data_type,
        ColumnType::Int2
            | ColumnType::Int4
            | ColumnType::Int8
            | ColumnType::Real
            | ColumnType::Double
            | ColumnType::Decimal { .. }
    );
    if matches!(
        aggregate.function,
        AggregateFunction::Sum | AggregateFunction::Avg
    ) && !number
    {
        let message = format!("column \"{name}\" is {data_type}; SUM and AVG take numbers");
        return Err(SqlError::mismatch(message));
    }
    Ok(match aggregate.function {
        AggregateFunction::Count => count(over),
        AggregateFunction::CountDistinct => count_distinct(over),
        AggregateFunction::Sum => sum(over),
        AggregateFunction::Avg => avg(over),
        AggregateFunction::Min => min(over),
        AggregateFunction::Max => max(over),
    })
}

/// Place of a column whose values can be compared. Those of json are kept as they were written, and one value can be
/// written in many ways.
fn comparable_index(table: &TableDef, name: &str) -> Result<usize> {
    let index = column_index(table, name)?;
    if table.columns[index].data_type == ColumnType::Json {
        let message = format!("column \"{name}\" is json, which has no order; compare another column");
        return Err(SqlError::mismatch(message));
    }
    Ok(index)
}

/// Names are taken as they are, never folded.
fn column(name: &str) -> Expr {
    Expr::Column(ColumnName::new_unqualified(name))
}

fn scan(
    table: &Arc<TableDef>,
    reader: &TxnReader,
    conditions: Vec<Expr>,
) -> datafusion::common::Result<LogicalPlanBuilder> {
    let view = Arc::new(TableView::with_key(Arc::clone(table), reader.clone()));
    let mut plan = LogicalPlanBuilder::scan(
        datafusion::common::TableReference::bare(table.name.as_str()),
        provider_as_source(view),
        None,
    )?;
    for condition in conditions {
        plan = plan.filter(condition)?;
    }
    Ok(plan)
}

/// A filter over a table's columns as an expression.
pub fn filter_expr(table: &TableDef, filter: &RowFilter) -> Result<Expr> {
    let mut terms = 0;
    convert(filter, 0, &mut terms, &|name, value| match value {
        Some(value) => {
            let index = comparable_index(table, name)?;
            scalar(&json_datum(table, index, value)?, table.columns[index].data_type)
        }
        None => column_index(table, name).map(|_| ScalarValue::Null),
    })
}

type Typed<'a> = dyn Fn(&str, Option<&Json>) -> Result<ScalarValue> + 'a;

fn convert(filter: &RowFilter, depth: usize, terms: &mut usize, typed: &Typed<'_>) -> Result<Expr> {
    *terms += match filter {
        RowFilter::In { values, .. } => values.len(),
        _ => 1,
    };
    let limit = |what: &str, max: usize, unit: &'static str| SqlError::ResultTooLarge {
        what: what.to_owned(),
        max: max as u64,
        unit,
        remedy: "split the filter".to_owned(),
    };
    if depth > FILTER_DEPTH_MAX {
        return Err(limit("the nesting of the filter", FILTER_DEPTH_MAX, "levels"));
    }
    if *terms > FILTER_TERMS_MAX {
        return Err(limit("the filter", FILTER_TERMS_MAX, "conditions"));
    }
    let literal = |scalar: ScalarValue| Expr::Literal(scalar, None);
    Ok(match filter {
        RowFilter::And(parts) => join(parts, depth, terms, typed, Operator::And, true)?,
        RowFilter::Or(parts) => join(parts, depth, terms, typed, Operator::Or, false)?,
        RowFilter::Not(inner) => Expr::Not(Box::new(convert(inner, depth + 1, terms, typed)?)),
        RowFilter::Compare {
            column: name,
            op,
            value,
        } => {
            let value = typed(name, Some(value))?;
            let operator = match op {
                CompareOp::Eq => Operator::Eq,
                CompareOp::Ne => Operator::NotEq,
                CompareOp::Lt => Operator::Lt,
                CompareOp::Le => Operator::LtEq,
                CompareOp::Gt => Operator::Gt,
                CompareOp::Ge => Operator::GtEq,
            };
            binary_expr(column(name), operator, literal(value))
        }
        RowFilter::Like {
            column: name,
            pattern,
            ignore_case,
        } => {
            typed(name, None)?;
            let pattern = Box::new(lit(pattern.clone()));
            let like = datafusion::logical_expr::Like::new(
                false,
                Box::new(column(name)),
                pattern,
                None,
                *ignore_case,
            );
            Expr::Like(like)
        }
        RowFilter::In { column: name, values } => {
            typed(name, None)?;
            if values.is_empty() {
                return Ok(lit(false));
            }
            let list = values
                .iter()
                .map(|value| Ok(literal(typed(name, Some(value))?)))
                .collect::<Result<_>>()?;
            column(name).in_list(list, false)
        }
        RowFilter::IsNull { column: name } => {
            typed(name, None)?;
            column(name).is_null()
        }
    })
}

fn join(
    parts: &[RowFilter],
    depth: usize,
    terms: &mut usize,
    typed: &Typed<'_>,
    operator: Operator,
    empty: bool,
) -> Result<Expr> {
    let parts = parts
        .iter()
        .map(|part| convert(part, depth + 1, terms, typed))
        .collect::<Result<Vec<_>>>()?;
    Ok(balanced(parts, operator).unwrap_or_else(|| lit(empty)))
}

/// A tree as flat as can be: a thousand conditions in a row would nest a thousand deep.
fn balanced(mut parts: Vec<Expr>, operator: Operator) -> Option<Expr> {
    match parts.len() {
        0 | 1 => parts.pop(),
        many => {
            let right = parts.split_off(many / 2);
            Some(binary_expr(
                balanced(parts, operator)?,
                operator,
                balanced(right, operator)?,
            ))
        }
    }
}

/// A stored value as a constant.
fn scalar(datum: &Datum, data_type: ColumnType) -> Result<ScalarValue> {
    Ok(match datum {
        Datum::Null => ScalarValue::try_from(&crate::columns::arrow_type(data_type))
            .map_err(|error| SqlError::Internal(error.to_string()))?,
        Datum::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        Datum::Int2(value) => ScalarValue::Int16(Some(*value)),
        Datum::Int4(value) => ScalarValue::Int32(Some(*value)),
        Datum::Int8(value) => ScalarValue::Int64(Some(*value)),
        // As rows are stored: without the sign of zero.
        Datum::Real(value) => ScalarValue::Float32(Some(*value + 0.0)),
        Datum::Double(value) => ScalarValue::Float64(Some(*value + 0.0)),
        Datum::Decimal(value) => match crate::columns::arrow_type(data_type) {
            datafusion::arrow::datatypes::DataType::Decimal128(precision, scale) => {
                ScalarValue::Decimal128(Some(*value), precision, scale)
            }
            other => {
                return Err(SqlError::Internal(format!(
                    "a decimal in a column of type {other}"
                )));
            }
        },
        Datum::Text(text) | Datum::Json(text) => ScalarValue::Utf8(Some(text.clone())),
        Datum::Bytea(bytes) => ScalarValue::Binary(Some(bytes.clone())),
        Datum::Uuid(bytes) => {
            ScalarValue::Utf8(Some(uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()))
        }
        Datum::Date(days) => ScalarValue::Date32(Some(*days)),
        Datum::Timestamp(micros) => ScalarValue::TimestampMicrosecond(Some(*micros), None),
        Datum::Timestamptz(micros) => ScalarValue::TimestampMicrosecond(Some(*micros), Some(Arc::from(UTC))),
    })
}

/// Rows that come behind the cursor: greater in the first order column, or equal there and greater in the next,
/// and so on down to the key.
fn behind(table: &TableDef, order: &[(usize, bool)], cursor: &RowCursor) -> Result<Expr> {
    if cursor.values.len() != order.len() {
        return Err(SqlError::syntax(
            "the cursor is of another order; start from the first page",
            Position::UNKNOWN,
        ));
    }
    let key = Expr::Literal(ScalarValue::Binary(Some(cursor.key.0.clone())), None);
    let mut condition = column(KEY_COLUMN).gt(key);
    for ((index, descending), value) in order.iter().zip(&cursor.values).rev() {
        let definition = &table.columns[*index];
        let value = json_datum(table, *index, value)?;
        let this = || column(&definition.name);
        let (greater, equal) = if value.is_null() {
            // NULLs are last ascending and first descending.
            let greater = if *descending {
                this().is_not_null()
            } else {
                lit(false)
            };
            (greater, this().is_null())
        } else {
            let literal = Expr::Literal(scalar(&value, definition.data_type)?, None);
            let greater = if *descending {
                this().lt(literal.clone())
            } else {
                this().gt(literal.clone()).or(this().is_null())
            };
            (greater, this().eq(literal))
        };
        condition = greater.or(equal.and(condition));
    }
    Ok(condition)
}
