//! The rows that match, as a live result: the first of them in the order asked, and how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustydb_contract::{ServiceResult, async_trait};
use rustydb_contract_database::{LiveMode, QueryChange, Row};
use rustydb_sql::ExecContext;
use rustydb_sql::rows::{OrderColumn, RowFilter, RowQuery};
use rustydb_store::codec::encode_key;
use rustydb_store::tables::TxnReader;
use rustydb_store::types::{ColumnType, Datum, Row as Values, RowKey, TableDef};

use super::super::rows::Changed;
use super::Question;
use crate::data::DataEngine;
use crate::data::errors::{statement_error, table_error};
use crate::data::values::{column_index, row_key, shown};

/// Most rows that are kept of a result.
const KEPT_ROWS_MAX: usize = 1_000;
/// Most bytes of values that are kept of a result.
const KEPT_BYTES_MAX: usize = 4 << 20;

pub(super) struct MatchingRows {
    pub(super) filter: Option<RowFilter>,
    pub(super) order: Vec<OrderColumn>,
    /// Most rows of an event.
    pub(super) limit: usize,
}

/// All rows that match, in the order asked.
pub(super) struct KeptRows {
    table: Arc<TableDef>,
    /// Place of each column of the order, and whether it descends.
    order: Vec<(usize, bool)>,
    rows: BTreeMap<Place, Row>,
    /// Of the values of all rows.
    bytes: usize,
}

/// Sorts as the row does: bytes of the order's columns, then the key.
type Place = (Vec<u8>, RowKey);

#[async_trait]
impl Question for MatchingRows {
    type Event = QueryChange;
    type Kept = KeptRows;

    async fn read(
        &self,
        engine: &DataEngine,
        reader: &TxnReader,
        table: &Arc<TableDef>,
    ) -> ServiceResult<(QueryChange, Option<KeptRows>)> {
        let mut kept = self.empty(table)?;
        let query = RowQuery {
            filter: self.filter.clone(),
            order_by: self.order.clone(),
            limit: if kept.is_some() { KEPT_ROWS_MAX } else { self.limit },
            ..RowQuery::default()
        };
        let (sql, ctx) = (&engine.inner.sql, ExecContext::new(&table.database));
        let page = sql
            .query_rows(reader, &ctx, table, &query)
            .await
            .map_err(statement_error)?;
        if page.next.is_none()
            && let Some(kept) = &mut kept
        {
            for id in &page.ids {
                let key = row_key(table, id)?;
                if let Some(values) = reader.get(table, &key).map_err(table_error)? {
                    kept.put(table, &key, &values)?;
                }
            }
        }
        if let Some(kept) = kept.filter(|kept| page.next.is_none() && kept.fits()) {
            return Ok((self.told(&kept), Some(kept)));
        }
        let counted = sql.count_rows(reader, &ctx, table, self.filter.as_ref()).await;
        let names: Vec<&String> = page.columns.iter().map(|column| &column.name).collect();
        let row = |(id, values): (String, Vec<_>)| Row {
            id,
            data: names.iter().map(|name| (*name).clone()).zip(values).collect(),
        };
        let rows = page.ids.into_iter().zip(page.rows).take(self.limit).map(row);
        let event = QueryChange {
            table: table.name.clone(),
            rows: rows.collect(),
            total_count: counted.map_err(statement_error)?,
            mode: LiveMode::Polled,
        };
        Ok((event, None))
    }

    fn take(&self, kept: &mut KeptRows, changed: &Changed) -> ServiceResult<bool> {
        if let Some((key, values)) = changed.before.as_ref().filter(|_| changed.matched_before) {
            kept.remove(key, values);
        }
        if let Some((key, values)) = changed.after.as_ref().filter(|_| changed.matched_after) {
            kept.put(&changed.table, key, values)?;
        }
        Ok(kept.fits())
    }

    fn event(&self, kept: &KeptRows) -> Option<QueryChange> {
        Some(self.told(kept))
    }
}

impl MatchingRows {
    /// A result without rows; `None` when its order is not that of key bytes.
    fn empty(&self, table: &Arc<TableDef>) -> ServiceResult<Option<KeptRows>> {
        let mut order = Vec::with_capacity(self.order.len());
        for (at, column) in self.order.iter().enumerate() {
            let index = column_index(table, &column.column, &format!("order_by.{at}.field"))?;
            order.push((index, column.descending));
        }
        let has_order = |(index, _): &(usize, bool)| match table.columns[*index].data_type {
            ColumnType::Real | ColumnType::Double | ColumnType::Json => false,
            ColumnType::Boolean
            | ColumnType::Int2
            | ColumnType::Int4
            | ColumnType::Int8
            | ColumnType::Decimal { .. }
            | ColumnType::Text
            | ColumnType::Bytea
            | ColumnType::Uuid
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Timestamptz => true,
        };
        Ok(order.iter().all(has_order).then(|| KeptRows {
            table: Arc::clone(table),
            order,
            rows: BTreeMap::new(),
            bytes: 0,
        }))
    }

    fn told(&self, kept: &KeptRows) -> QueryChange {
        QueryChange {
            table: kept.table.name.clone(),
            rows: kept.rows.values().take(self.limit).cloned().collect(),
            total_count: kept.rows.len() as u64,
            mode: LiveMode::Maintained,
        }
    }
}

impl KeptRows {
    fn put(&mut self, table: &TableDef, key: &RowKey, values: &Values) -> ServiceResult<()> {
        let row = shown(table, key, values)?;
        if self.rows.insert(self.place(key, values), row).is_none() {
            self.bytes += bytes_of(values);
        }
        Ok(())
    }

    fn remove(&mut self, key: &RowKey, values: &Values) {
        if self.rows.remove(&self.place(key, values)).is_some() {
            self.bytes = self.bytes.saturating_sub(bytes_of(values));
        }
    }

    fn fits(&self) -> bool {
        self.rows.len() <= KEPT_ROWS_MAX && self.bytes <= KEPT_BYTES_MAX
    }

    /// NULLs come last ascending and first descending.
    fn place(&self, key: &RowKey, values: &Values) -> Place {
        let mut bytes = Vec::new();
        for (index, descending) in &self.order {
            let from = bytes.len();
            match encode_key(std::slice::from_ref(values.get(*index).unwrap_or(&Datum::Null))) {
                Some(value) => {
                    bytes.push(0);
                    bytes.extend(value);
                }
                None => bytes.push(1),
            }
            if *descending {
                bytes[from..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        (bytes, key.clone())
    }
}

fn bytes_of(values: &Values) -> usize {
    let bytes = |value: &Datum| match value {
        Datum::Text(text) | Datum::Json(text) => text.len(),
        Datum::Bytea(bytes) => bytes.len(),
        _ => size_of::<Datum>(),
    };
    values.iter().map(bytes).sum()
}
