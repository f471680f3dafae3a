//! `SELECT columns FROM t WHERE key = constant` without a planner.
//!
//! Planning a query takes some hundred microseconds, reading a row a few. This matches the syntax tree of the one
//! shape that asks for a row by its whole primary key, and answers `None` for everything else, doubtful cases
//! included: what it answers must be what the planner would have answered.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, TableFactor, UnaryOperator, Value,
};
use rustydb_store::codec::primary_key;
use rustydb_store::datum::datum_to_json;
use rustydb_store::tables::{Relation, TxnReader};
use rustydb_store::types::{ColumnType, Datum, TableDef};

use crate::columns::Column;
use crate::dml::reference;
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::Result;
use crate::planner::lookup;
use crate::rewrite::{normalized, parts, visible};

impl SqlEngine {
    /// The answer to a prepared query, when it asks for one row by its key.
    pub(crate) fn point_read(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        query: &Query,
    ) -> Result<Option<StatementResult>> {
        if self.rows_max(ctx)? == 0 {
            return Ok(None);
        }
        let Some(select) = plain_select(query) else {
            return Ok(None);
        };
        let [from] = select.from.as_slice() else {
            return Ok(None);
        };
        let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = &from.relation
        else {
            return Ok(None);
        };
        if !from.joins.is_empty() || alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
            return Ok(None);
        }
        let names = parts(name);
        // Errors are the planner's to report.
        let Ok(Relation::Table(table)) = lookup(reader, &ctx.database, &reference(&names)) else {
            return Ok(None);
        };
        let qualifier = alias
            .as_ref()
            .map_or_else(|| table.name.clone(), |alias| normalized(&alias.name));
        let Some(columns) = projected(&table, &qualifier, &select.projection) else {
            return Ok(None);
        };
        let Some(condition) = &select.selection else {
            return Ok(None);
        };
        let Some(key) = key_values(&table, &qualifier, condition) else {
            return Ok(None);
        };
        let Some(key) = primary_key(&table, &key) else {
            return Ok(None);
        };
        let shown = |(index, name): &(usize, String)| Column {
            name: name.clone(),
            type_name: table.columns[*index].data_type.to_string(),
        };
        let mut result = StatementResult {
            command: "SELECT",
            columns: columns.iter().map(shown).collect(),
            ..Default::default()
        };
        if let Some(row) = reader.get(&table, &key)? {
            let cell =
                |(index, _): &(usize, String)| datum_to_json(&row[*index], table.columns[*index].data_type);
            result.rows.push(columns.iter().map(cell).collect());
        }
        Ok(Some(result))
    }
}

fn plain_select(query: &Query) -> Option<&Select> {
    if query.with.is_some()
        || query.order_by.is_some()
        || query.limit_clause.is_some()
        || query.fetch.is_some()
    {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let plain =
        !grouped && select.distinct.is_none() && select.having.is_none() && select.named_window.is_empty();
    plain.then_some(select.as_ref())
}

/// Places and names of the result's columns.
fn projected(table: &TableDef, qualifier: &str, items: &[SelectItem]) -> Option<Vec<(usize, String)>> {
    let mut columns = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(_) => {
                columns.extend(
                    table
                        .columns
                        .iter()
                        .enumerate()
                        .map(|(index, column)| (index, column.name.clone())),
                );
            }
            SelectItem::UnnamedExpr(expr) => {
                let index = column(table, qualifier, expr)?;
                columns.push((index, table.columns[index].name.clone()));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                columns.push((
                    column(table, qualifier, expr)?,
                    visible(&normalized(alias)).to_owned(),
                ));
            }
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) => return None,
        }
    }
    Some(columns)
}

fn column(table: &TableDef, qualifier: &str, expr: &Expr) -> Option<usize> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [first, ident] if normalized(first) == qualifier => ident,
            _ => return None,
        },
        _ => return None,
    };
    let name = normalized(ident);
    table.columns.iter().position(|column| column.name == name)
}

/// The values that a conjunction of equalities gives the primary key: each key column once, nothing else.
fn key_values(table: &Arc<TableDef>, qualifier: &str, condition: &Expr) -> Option<Vec<Datum>> {
    let mut values: Vec<Option<Datum>> = vec![None; table.primary_key.len()];
    let mut open = vec![condition];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => open.extend([left.as_ref(), right.as_ref()]),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            } => {
                let (index, constant) =
                    match (column(table, qualifier, left), column(table, qualifier, right)) {
                        (Some(index), None) => (index, right),
                        (None, Some(index)) => (index, left),
                        _ => return None,
                    };
                let place = table.primary_key.iter().position(|key| *key == index)?;
                let value = constant_datum(constant, table.columns[index].data_type)?;
                if values[place].replace(value).is_some() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    values
        .into_iter()
        .collect::<Option<Vec<Datum>>>()
        .filter(|values| !values.is_empty())
}

/// A constant that means the same to the planner as here: whole numbers, text and uuids.
fn constant_datum(expr: &Expr, data_type: ColumnType) -> Option<Datum> {
    let (negative, value) = match expr {
        Expr::Value(value) => (false, &value.value),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            Expr::Value(value) => (true, &value.value),
            _ => return None,
        },
        Expr::Nested(inner) => return constant_datum(inner, data_type),
        _ => return None,
    };
    match (value, data_type) {
        (Value::Number(digits, _), ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8) => {
            let number: i64 = if negative {
                format!("-{digits}")
            } else {
                digits.clone()
            }
            .parse()
            .ok()?;
            match data_type {
                ColumnType::Int2 => i16::try_from(number).ok().map(Datum::Int2),
                ColumnType::Int4 => i32::try_from(number).ok().map(Datum::Int4),
                _ => Some(Datum::Int8(number)),
            }
        }
        (Value::SingleQuotedString(text), ColumnType::Text) if !negative => Some(Datum::Text(text.clone())),
        (Value::SingleQuotedString(text), ColumnType::Uuid) if !negative => uuid::Uuid::try_parse(text)
            .ok()
            .map(|parsed| Datum::Uuid(parsed.into_bytes())),
        _ => None,
    }
}
