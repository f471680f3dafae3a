//! Reading rows: one by its key, pages, counts and aggregates.

use rustydb_contract::{CallContext, Json, Map, ServiceError, ServiceResult};
use rustydb_contract_database::errors::ROW_NOT_FOUND;
use rustydb_contract_database::{
    Aggregate, AggregateFunction, AggregateGroup, AggregateGroups, AggregateValue,
    DatabaseAggregateRowsInput, DatabaseCountRowsInput, DatabaseGetRowInput, DatabaseQueryRowsInput, Filter,
    Row, RowCount, RowData, RowPage,
};
use rustydb_sql::rows::{self, AggregateQuery, OrderColumn, RowCursor, RowFilter, RowQuery};
use rustydb_sql::{ExecContext, StatementResult};
use rustydb_store::tables::{MAIN_DATABASE, TxnReader};
use rustydb_store::types::{RowKey, TableDef};
use serde_json::json;

use super::DataEngine;
use super::definitions::table;
use super::errors::{database_not_found, invalid_argument, statement_error, table_error};
use super::filter::row_filter;
use super::scope::{Access, Place};
use super::values::{column_index, row_key, shown};
use crate::identity::paging;

/// Groups answered when the caller names no limit.
const GROUPS_DEFAULT: u32 = 1_000;
/// Bytes of a row's place in its order that a cursor carries.
const CURSOR_KEY_BYTES_MAX: usize = 12_000;

impl DataEngine {
    /// The hot path: no planner, no other thread, no look at the database unless the table is missing.
    pub(super) async fn find_row(
        &self,
        context: &CallContext,
        input: DatabaseGetRowInput,
    ) -> ServiceResult<Row> {
        match input.transaction_id {
            None => {
                let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
                one_row(
                    &txn.reader(),
                    input.database.as_deref().unwrap_or(MAIN_DATABASE),
                    &input.name,
                    &input.id,
                )
            }
            Some(id) => {
                let lease = self.lease(context, id).await?;
                let database = input.database.unwrap_or_else(|| lease.database());
                one_row(&lease.reader(), &database, &input.name, &input.id)
            }
        }
    }

    pub(super) async fn page_of_rows(
        &self,
        context: &CallContext,
        input: DatabaseQueryRowsInput,
    ) -> ServiceResult<RowPage> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Read, |scope| async move {
            let reader = scope.reader();
            let table = table(&reader, &scope.database, &input.name)?;
            let order_by = order(&table, input.order_by.as_deref().unwrap_or_default())?;
            if let Some(columns) = &input.columns {
                distinct(columns, "columns")?;
                for (at, name) in columns.iter().enumerate() {
                    column_index(&table, name, &format!("columns.{at}"))?;
                }
            }
            let list = list_name(&table, &order_by, input.filter.as_ref());
            let after = paging::after(&list, input.after.clone())?;
            let order = order_by.len();
            let query = RowQuery {
                filter: filter(input.filter.as_ref())?,
                order_by,
                columns: input.columns.clone().unwrap_or_default(),
                limit: paging::page_items(input.limit),
                after: after
                    .as_deref()
                    .map(|place| cursor_of(place, order))
                    .transpose()?,
            };
            let ctx = ExecContext::new(&scope.database);
            let page = self
                .inner
                .sql
                .query_rows(&reader, &ctx, &table, &query)
                .await
                .map_err(statement_error)?;
            let next = page.next.as_ref().map(place_of).transpose()?;
            let next = next.map(|place| paging::cursor(&list, &place));
            let columns = &page.columns;
            let row = |(id, values): (String, Vec<Json>)| Row {
                id,
                data: columns
                    .iter()
                    .map(|column| column.name.clone())
                    .zip(values)
                    .collect(),
            };
            let rows = page.ids.into_iter().zip(page.rows).map(row).collect();
            Ok((scope, RowPage { rows, next }))
        })
        .await
    }

    pub(super) async fn number_of_rows(
        &self,
        context: &CallContext,
        input: DatabaseCountRowsInput,
    ) -> ServiceResult<RowCount> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Read, |scope| async move {
            let reader = scope.reader();
            let table = table(&reader, &scope.database, &input.name)?;
            let filter = filter(input.filter.as_ref())?;
            let ctx = ExecContext::new(&scope.database);
            let counted = self
                .inner
                .sql
                .count_rows(&reader, &ctx, &table, filter.as_ref())
                .await;
            let count = counted.map_err(statement_error)?;
            Ok((scope, RowCount { count }))
        })
        .await
    }

    pub(super) async fn aggregated_rows(
        &self,
        context: &CallContext,
        input: DatabaseAggregateRowsInput,
    ) -> ServiceResult<AggregateGroups> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Read, |scope| async move {
            let reader = scope.reader();
            let table = table(&reader, &scope.database, &input.name)?;
            let group_by = input.group_by.as_deref().unwrap_or_default();
            let query = aggregate_query(
                &table,
                &input.aggregates,
                group_by,
                filter(input.filter.as_ref())?,
            )?;
            let limit = input.limit.unwrap_or(GROUPS_DEFAULT);
            let ctx = ExecContext::new(&scope.database).with_row_limit(limit as usize);
            let computed = self.inner.sql.aggregate_rows(&reader, &ctx, &table, &query).await;
            let result = computed.map_err(statement_error)?;
            if result.truncated {
                let message =
                    format!("limit: there are more than {limit} groups; raise it, filter, or group by less");
                return Err(invalid_argument("limit", message));
            }
            Ok((scope, groups(input, result)))
        })
        .await
    }
}

fn one_row(reader: &TxnReader, database: &str, name: &str, id: &str) -> ServiceResult<Row> {
    let table = match table(reader, database, name) {
        Ok(table) => table,
        Err(error) => {
            return Err(match reader.database(database).map_err(table_error)? {
                Some(_) => error,
                None => database_not_found(database),
            });
        }
    };
    let key = row_key(&table, id)?;
    match reader.get(&table, &key).map_err(table_error)? {
        Some(row) => shown(&table, &key, &row),
        None => Err(row_not_found(&table, id)),
    }
}

pub(super) fn row_not_found(table: &TableDef, id: &str) -> ServiceError {
    ServiceError::new(
        &ROW_NOT_FOUND,
        format!("table \"{}\" has no row with the id {id:?}", table.name),
    )
}

pub(super) fn filter(filter: Option<&Filter>) -> ServiceResult<Option<RowFilter>> {
    filter.map(|filter| row_filter(filter, "filter")).transpose()
}

/// Columns to order by; `-` before a name turns it round, unless a column is called that.
fn order(table: &TableDef, names: &[String]) -> ServiceResult<Vec<OrderColumn>> {
    let mut order: Vec<OrderColumn> = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let path = format!("order_by.{at}");
        let (column, descending) = match name.strip_prefix('-') {
            Some(rest) if table.column_index(name).is_none() => (rest, true),
            _ => (name.as_str(), false),
        };
        column_index(table, column, &path)?;
        if order.iter().any(|earlier| earlier.column == column) {
            return Err(invalid_argument(
                &path,
                format!("{path}: column \"{column}\" is ordered by already"),
            ));
        }
        order.push(OrderColumn {
            column: column.to_owned(),
            descending,
        });
    }
    Ok(order)
}

fn distinct(names: &[String], field: &str) -> ServiceResult<()> {
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            let path = format!("{field}.{at}");
            return Err(invalid_argument(
                &path,
                format!("{path}: \"{name}\" is named already; name it once"),
            ));
        }
    }
    Ok(())
}

/// What a cursor is good for: this table as it is defined now, this order, this filter.
pub(super) fn list_name(table: &TableDef, order: &[OrderColumn], filter: Option<&Filter>) -> String {
    let order: Vec<(&str, bool)> = order
        .iter()
        .map(|column| (column.column.as_str(), column.descending))
        .collect();
    json!(["rows", table.id.0, table.schema_version, order, filter]).to_string()
}

/// A row's place in the order, as a cursor carries it.
fn place_of(cursor: &RowCursor) -> ServiceResult<String> {
    let key: String = cursor.key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let place = json!([cursor.values, key]).to_string();
    if place.len() > CURSOR_KEY_BYTES_MAX {
        let message = format!(
            "order_by: the values that the page ends at take {} bytes; order by columns of at most {} together",
            place.len(),
            CURSOR_KEY_BYTES_MAX
        );
        return Err(invalid_argument("order_by", message));
    }
    Ok(place)
}

/// `order` is the number of columns that the order has.
fn cursor_of(place: &str, order: usize) -> ServiceResult<RowCursor> {
    let read = || {
        let (values, key): (Vec<Json>, String) = serde_json::from_str(place).ok()?;
        let byte = |at: usize| u8::from_str_radix(key.get(at..at + 2)?, 16).ok();
        let key = (0..key.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        (values.len() == order).then_some(RowCursor {
            values,
            key: RowKey(key),
        })
    };
    read().ok_or_else(|| foreign_cursor("rows"))
}

/// The check of a cursor is no secret: somebody may have made one up.
pub(super) fn foreign_cursor(list: &str) -> ServiceError {
    invalid_argument(
        "after",
        format!("after: not a cursor of this list of {list}; give the `next` of its page before"),
    )
}

pub(super) fn aggregate_query(
    table: &TableDef,
    asked: &[Aggregate],
    group_by: &[String],
    filter: Option<RowFilter>,
) -> ServiceResult<AggregateQuery> {
    distinct(group_by, "group_by")?;
    for (at, name) in group_by.iter().enumerate() {
        column_index(table, name, &format!("group_by.{at}"))?;
    }
    let mut aggregates = Vec::with_capacity(asked.len());
    for (at, aggregate) in asked.iter().enumerate() {
        let function = match &aggregate.function {
            AggregateFunction::Count => rows::AggregateFunction::Count,
            AggregateFunction::CountDistinct => rows::AggregateFunction::CountDistinct,
            AggregateFunction::Sum => rows::AggregateFunction::Sum,
            AggregateFunction::Avg => rows::AggregateFunction::Avg,
            AggregateFunction::Min => rows::AggregateFunction::Min,
            AggregateFunction::Max => rows::AggregateFunction::Max,
            AggregateFunction::Unrecognized(name) => {
                let path = format!("aggregates.{at}.function");
                return Err(invalid_argument(
                    &path,
                    format!("{path}: there is no function {name}"),
                ));
            }
        };
        let path = format!("aggregates.{at}.field");
        let column = if aggregate.field == "*" && table.column_index("*").is_none() {
            if function != rows::AggregateFunction::Count {
                let name = aggregate.function.as_str();
                return Err(invalid_argument(
                    &path,
                    format!("{path}: {name} takes a column; only COUNT takes *"),
                ));
            }
            None
        } else {
            column_index(table, &aggregate.field, &path)?;
            Some(aggregate.field.clone())
        };
        // A name that no column can have: the marker is refused in definitions' text.
        aggregates.push(rows::Aggregate {
            function,
            column,
            alias: format!("\u{1}{at}:aggregate"),
        });
    }
    let order_by = group_by
        .iter()
        .map(|column| OrderColumn {
            column: column.clone(),
            descending: false,
        })
        .collect();
    Ok(AggregateQuery {
        filter,
        group_by: group_by.to_vec(),
        aggregates,
        order_by,
    })
}

/// A row of the result has the group's columns first, then what was computed, in the order asked.
fn groups(input: &DatabaseAggregateRowsInput, result: StatementResult) -> AggregateGroups {
    let names = input.group_by.as_deref().unwrap_or_default();
    let group = |row: Vec<Json>| {
        let mut values = row.into_iter();
        let mut key: RowData = Map::with_capacity(names.len());
        key.extend(names.iter().cloned().zip(values.by_ref()));
        let value = |(aggregate, value): (&Aggregate, Json)| AggregateValue {
            function: aggregate.function.clone(),
            field: aggregate.field.clone(),
            value,
        };
        AggregateGroup {
            key,
            results: input.aggregates.iter().zip(values).map(value).collect(),
        }
    };
    AggregateGroups {
        groups: result.rows.into_iter().map(group).collect(),
    }
}
