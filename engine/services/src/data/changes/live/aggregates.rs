//! Aggregates over the rows that match, as a live result. Counts and exact sums are kept: a commit adds what a row has
//! after it and takes away what the row had before.

use std::sync::Arc;

use rustydb_contract::{Json, ServiceResult, async_trait};
use rustydb_contract_database::{Aggregate, AggregateChange, AggregateFunction, AggregateValue, LiveMode};
use rustydb_sql::ExecContext;
use rustydb_sql::rows::RowFilter;
use rustydb_store::datum::{datum_from_json, datum_to_json};
use rustydb_store::tables::TxnReader;
use rustydb_store::types::{ColumnType, Datum, Row as Values, TableDef};

use super::super::rows::Changed;
use super::Question;
use crate::data::DataEngine;
use crate::data::errors::{internal, statement_error};
use crate::data::reads::aggregate_query;

/// Digits that a sum of decimals has more than what is summed.
const SUM_DIGITS_MORE: u8 = 10;
const DECIMAL_DIGITS_MAX: u8 = 38;

pub(super) struct Aggregates {
    pub(super) table: String,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) filter: Option<RowFilter>,
}

/// One aggregate that follows the changes.
pub(super) enum KeptValue {
    /// Of the column's values that are not NULL, or of rows.
    Count {
        column: Option<usize>,
        count: i64,
    },
    Sum(KeptSum),
}

pub(super) struct KeptSum {
    column: usize,
    /// Type of the sum.
    data_type: ColumnType,
    /// Values that are not NULL: the sum of none is NULL.
    count: i64,
    /// Decimals by their unscaled integers.
    sum: i128,
}

#[async_trait]
impl Question for Aggregates {
    type Event = AggregateChange;
    type Kept = Vec<KeptValue>;

    async fn read(
        &self,
        engine: &DataEngine,
        reader: &TxnReader,
        table: &Arc<TableDef>,
    ) -> ServiceResult<(AggregateChange, Option<Vec<KeptValue>>)> {
        let kept = self.aggregates.iter().map(|aggregate| empty(table, aggregate));
        let mut kept: Option<Vec<KeptValue>> = kept.collect();
        // A sum is kept with the number of its values, which are asked for behind what is told.
        let counts = kept.iter().flatten().zip(&self.aggregates);
        let counts = counts.filter(|(kept, _)| matches!(kept, KeptValue::Sum(_)));
        let counts = counts.map(|(_, aggregate)| Aggregate {
            function: AggregateFunction::Count,
            field: aggregate.field.clone(),
        });
        let asked: Vec<Aggregate> = self.aggregates.iter().cloned().chain(counts).collect();
        let query = aggregate_query(table, &asked, &[], self.filter.clone())?;
        let ctx = ExecContext::new(&table.database);
        let computed = engine.inner.sql.aggregate_rows(reader, &ctx, table, &query).await;
        let computed = computed.map_err(statement_error)?;
        let mut values = computed.rows.into_iter().next().unwrap_or_default();
        let counts = values.split_off(self.aggregates.len().min(values.len()));
        if let Some(kept) = &mut kept {
            let mut counts = counts.iter();
            for (kept, value) in kept.iter_mut().zip(&values) {
                kept.begin(value, &mut counts)?;
            }
        }
        let mode = match kept {
            Some(_) => LiveMode::Maintained,
            None => LiveMode::Polled,
        };
        Ok((self.told(values, mode), kept))
    }

    fn take(&self, kept: &mut Vec<KeptValue>, changed: &Changed) -> ServiceResult<bool> {
        let before = changed.before.as_ref().filter(|_| changed.matched_before);
        let after = changed.after.as_ref().filter(|_| changed.matched_after);
        let mut adds = |row: &Values, times: i64| kept.iter_mut().all(|value| value.add(row, times));
        Ok(before.is_none_or(|(_, row)| adds(row, -1)) && after.is_none_or(|(_, row)| adds(row, 1)))
    }

    fn event(&self, kept: &Vec<KeptValue>) -> Option<AggregateChange> {
        let values = kept.iter().map(KeptValue::shown).collect::<Option<Vec<_>>>()?;
        Some(self.told(values, LiveMode::Maintained))
    }
}

impl Aggregates {
    fn told(&self, values: Vec<Json>, mode: LiveMode) -> AggregateChange {
        let value = |(aggregate, value): (&Aggregate, Json)| AggregateValue {
            function: aggregate.function.clone(),
            field: aggregate.field.clone(),
            value,
        };
        AggregateChange {
            table: self.table.clone(),
            results: self.aggregates.iter().zip(values).map(value).collect(),
            mode,
        }
    }
}

/// The aggregate over no rows; `None` when it can't be kept, or is none of the table's, which the read finds.
fn empty(table: &TableDef, aggregate: &Aggregate) -> Option<KeptValue> {
    let column = table.column_index(&aggregate.field);
    match &aggregate.function {
        AggregateFunction::Count => Some(KeptValue::Count { column, count: 0 }),
        AggregateFunction::Sum => {
            let column = column?;
            let data_type = match table.columns[column].data_type {
                ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => ColumnType::Int8,
                ColumnType::Decimal { precision, scale } => ColumnType::Decimal {
                    precision: (precision + SUM_DIGITS_MORE).min(DECIMAL_DIGITS_MAX),
                    scale,
                },
                _ => return None,
            };
            Some(KeptValue::Sum(KeptSum {
                column,
                data_type,
                count: 0,
                sum: 0,
            }))
        }
        AggregateFunction::CountDistinct
        | AggregateFunction::Avg
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::Unrecognized(_) => None,
    }
}

impl KeptValue {
    /// Takes over what a read computed. `counts` has the number of values of each sum that is still to come.
    fn begin<'a>(&mut self, value: &Json, counts: &mut impl Iterator<Item = &'a Json>) -> ServiceResult<()> {
        match self {
            KeptValue::Count { count, .. } => *count = whole(value)?,
            KeptValue::Sum(sum) => {
                sum.count = whole(counts.next().unwrap_or(&Json::Null))?;
                let datum = datum_from_json(value, sum.data_type).map_err(|error| internal(&error))?;
                sum.sum = amount(&datum).unwrap_or(0);
            }
        }
        Ok(())
    }

    /// `false` when a sum is out of range on its way.
    fn add(&mut self, row: &Values, times: i64) -> bool {
        match self {
            KeptValue::Count { column, count } => {
                let is_counted =
                    column.is_none_or(|column| row.get(column).is_some_and(|value| *value != Datum::Null));
                if is_counted {
                    *count += times;
                }
            }
            KeptValue::Sum(sum) => {
                if let Some(amount) = row.get(sum.column).and_then(amount) {
                    let added = amount
                        .checked_mul(i128::from(times))
                        .and_then(|amount| sum.sum.checked_add(amount));
                    let Some(added) = added else { return false };
                    sum.sum = added;
                    sum.count += times;
                }
            }
        }
        true
    }

    /// `None` when a sum has more digits than its type.
    fn shown(&self) -> Option<Json> {
        match self {
            KeptValue::Count { count, .. } => Some(Json::from(*count)),
            KeptValue::Sum(KeptSum { count: 0, .. }) => Some(Json::Null),
            KeptValue::Sum(KeptSum { data_type, sum, .. }) => {
                let datum = match data_type {
                    ColumnType::Decimal { precision, .. } => {
                        let fits = sum.unsigned_abs() < 10_u128.pow(u32::from(*precision));
                        fits.then_some(Datum::Decimal(*sum))
                    }
                    _ => i64::try_from(*sum).ok().map(Datum::Int8),
                };
                datum.map(|datum| datum_to_json(&datum, *data_type))
            }
        }
    }
}

/// The value of an integer or decimal.
fn amount(datum: &Datum) -> Option<i128> {
    match datum {
        Datum::Int2(value) => Some(i128::from(*value)),
        Datum::Int4(value) => Some(i128::from(*value)),
        Datum::Int8(value) => Some(i128::from(*value)),
        Datum::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn whole(value: &Json) -> ServiceResult<i64> {
    match datum_from_json(value, ColumnType::Int8) {
        Ok(Datum::Int8(value)) => Ok(value),
        Ok(_) => Ok(0),
        Err(error) => Err(internal(&error)),
    }
}
