//! The views of the stream `database.live`.

use std::time::Duration;

use rustydb_contract::stream::Subscription;
use rustydb_contract::{CallContext, ServiceResult};
use rustydb_contract_database::{
    AggregateChange, DatabaseAggregateChangesInput, DatabaseQueryChangesInput, OrderBy, QueryChange,
    SortDirection,
};
use rustydb_sql::rows::OrderColumn;

use super::super::views::database_of;
use super::aggregates::Aggregates;
use super::rows::MatchingRows;
use super::{Pace, live};
use crate::data::DataEngine;
use crate::data::errors::invalid_argument;
use crate::data::filter::row_filter;

/// Rows of an event when the caller names no limit.
const ROWS_DEFAULT: u32 = 100;
/// Seconds between two reads of a result that is not kept, when the caller names none.
const POLL_SECONDS_DEFAULT: u32 = 5;

impl DataEngine {
    pub(in crate::data) async fn watch_query(
        &self,
        context: &CallContext,
        input: DatabaseQueryChangesInput,
    ) -> ServiceResult<Subscription<QueryChange>> {
        let filter = input.where_clause.as_ref();
        let filter = filter
            .map(|filter| row_filter(filter, "where_clause"))
            .transpose()?;
        let question = MatchingRows {
            filter: filter.clone(),
            order: order(input.order_by.unwrap_or_default())?,
            limit: input.limit.unwrap_or(ROWS_DEFAULT) as usize,
        };
        let pace = Pace {
            maintained: Duration::ZERO,
            polled: seconds(input.poll_interval_seconds.unwrap_or(POLL_SECONDS_DEFAULT)),
        };
        live(
            self,
            context,
            database_of(input.database),
            input.table,
            filter,
            question,
            pace,
        )
        .await
    }

    pub(in crate::data) async fn watch_aggregates(
        &self,
        context: &CallContext,
        input: DatabaseAggregateChangesInput,
    ) -> ServiceResult<Subscription<AggregateChange>> {
        let filter = input.where_clause.as_ref();
        let filter = filter
            .map(|filter| row_filter(filter, "where_clause"))
            .transpose()?;
        let question = Aggregates {
            table: input.table.clone(),
            aggregates: input.aggregates,
            filter: filter.clone(),
        };
        let pace = Pace {
            maintained: input.interval_seconds.map_or(Duration::ZERO, seconds),
            polled: seconds(input.interval_seconds.unwrap_or(POLL_SECONDS_DEFAULT)),
        };
        live(
            self,
            context,
            database_of(input.database),
            input.table,
            filter,
            question,
            pace,
        )
        .await
    }
}

fn order(columns: Vec<OrderBy>) -> ServiceResult<Vec<OrderColumn>> {
    let mut order: Vec<OrderColumn> = Vec::with_capacity(columns.len());
    for (at, column) in columns.into_iter().enumerate() {
        let path = format!("order_by.{at}");
        if order.iter().any(|earlier| earlier.column == column.field) {
            let message = format!("{path}.field: column \"{}\" is ordered by already", column.field);
            return Err(invalid_argument(&format!("{path}.field"), message));
        }
        let descending = match column.direction {
            None | Some(SortDirection::Asc) => false,
            Some(SortDirection::Desc) => true,
            Some(SortDirection::Unrecognized(name)) => {
                let message = format!("{path}.direction: there is no direction {name}; use ASC or DESC");
                return Err(invalid_argument(&format!("{path}.direction"), message));
            }
        };
        order.push(OrderColumn {
            column: column.field,
            descending,
        });
    }
    Ok(order)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
