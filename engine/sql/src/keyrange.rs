//! Which part of a table's key order a filter can match.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, Operator};
use rustydb_store::codec::{encode_key, prefix_end, prefix_range};
use rustydb_store::seam::KeyRange;
use rustydb_store::types::{ColumnType, Datum, TableDef};

use crate::provider::KEY_COLUMN;

/// A comparison of a primary key column with a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    /// Place among the key columns.
    place: usize,
    operator: Operator,
    value: Datum,
}

/// The comparison that `filter` is, when it bounds the key.
pub(crate) fn bound_of(table: &Arc<TableDef>, filter: &Expr) -> Option<Bound> {
    let Expr::BinaryExpr(binary) = filter else {
        return None;
    };
    let (column, operator, value) = match (binary.left.as_ref(), binary.right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, binary.op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, binary.op.swap()?, value),
        _ => return None,
    };
    if !matches!(
        operator,
        Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    ) {
        return None;
    }
    let (place, data_type) = key_place(table, column)?;
    Some(Bound {
        place,
        operator,
        value: key_datum(value, data_type)?,
    })
}

/// The key that a filter wants rows to be behind, as pages of rows do.
pub(crate) fn behind_key(filter: &Expr) -> Option<Vec<u8>> {
    let Expr::BinaryExpr(binary) = filter else {
        return None;
    };
    match (binary.left.as_ref(), binary.op, binary.right.as_ref()) {
        (Expr::Column(column), Operator::Gt, Expr::Literal(ScalarValue::Binary(Some(key)), _))
            if column.name == KEY_COLUMN =>
        {
            Some(key.clone())
        }
        _ => None,
    }
}

fn key_place(table: &TableDef, column: &Column) -> Option<(usize, ColumnType)> {
    let place = table
        .primary_key
        .iter()
        .position(|index| table.columns[*index].name == column.name)?;
    Some((place, table.columns[table.primary_key[place]].data_type))
}

/// The constant in the key's own type; `None` when that would not be exact. Floats are left out: equal ones may
/// differ in bytes.
fn key_datum(value: &ScalarValue, data_type: ColumnType) -> Option<Datum> {
    Some(match (value, data_type) {
        (ScalarValue::Boolean(Some(value)), ColumnType::Boolean) => Datum::Boolean(*value),
        (ScalarValue::Int16(Some(value)), ColumnType::Int2) => Datum::Int2(*value),
        (ScalarValue::Int32(Some(value)), ColumnType::Int4) => Datum::Int4(*value),
        (ScalarValue::Int64(Some(value)), ColumnType::Int8) => Datum::Int8(*value),
        (ScalarValue::Decimal128(Some(value), p, s), ColumnType::Decimal { precision, scale })
            if *p == precision && i16::from(*s) == i16::from(scale) =>
        {
            Datum::Decimal(*value)
        }
        (ScalarValue::Utf8(Some(value)), ColumnType::Text) => Datum::Text(value.clone()),
        (ScalarValue::Utf8(Some(value)), ColumnType::Uuid) => {
            let parsed = uuid::Uuid::try_parse(value).ok()?;
            // Compared as text: only the form that stored values have can match.
            (parsed.hyphenated().to_string() == *value).then(|| Datum::Uuid(parsed.into_bytes()))?
        }
        (ScalarValue::Binary(Some(value)), ColumnType::Bytea) => Datum::Bytea(value.clone()),
        (ScalarValue::Date32(Some(value)), ColumnType::Date) => Datum::Date(*value),
        (ScalarValue::TimestampMicrosecond(Some(value), None), ColumnType::Timestamp) => {
            Datum::Timestamp(*value)
        }
        (ScalarValue::TimestampMicrosecond(Some(value), Some(_)), ColumnType::Timestamptz) => {
            Datum::Timestamptz(*value)
        }
        _ => return None,
    })
}

/// The key range that conjoined filters leave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeyBounds {
    pub range: KeyRange,
    /// Whether the range is narrower than the table.
    pub narrowed: bool,
}

impl KeyBounds {
    pub fn of(table: &Arc<TableDef>, filters: &[Expr]) -> KeyBounds {
        if let Some(after) = filters.iter().find_map(behind_key) {
            return KeyBounds {
                range: KeyRange {
                    after: Some(after),
                    ..KeyRange::default()
                },
                narrowed: true,
            };
        }
        let bounds: Vec<Bound> = filters
            .iter()
            .filter_map(|filter| bound_of(table, filter))
            .collect();
        if bounds.is_empty() {
            return KeyBounds::default();
        }
        let mut prefix = Vec::new();
        let mut range = KeyRange::default();
        for place in 0..table.primary_key.len() {
            let here = || bounds.iter().filter(move |bound| bound.place == place);
            if let Some(equal) = here().find(|bound| bound.operator == Operator::Eq) {
                prefix.push(equal.value.clone());
                let Some(key) = encode_key(&prefix) else { break };
                range = prefix_range(key);
                continue;
            }
            here().for_each(|bound| narrow(&mut range, &prefix, bound));
            break;
        }
        KeyBounds {
            narrowed: range != KeyRange::default(),
            range,
        }
    }
}

fn narrow(range: &mut KeyRange, prefix: &[Datum], bound: &Bound) {
    let mut values = prefix.to_vec();
    values.push(bound.value.clone());
    let Some(key) = encode_key(&values) else { return };
    let behind = || prefix_end(&key);
    let (from, until) = match bound.operator {
        Operator::GtEq => (Some(key.clone()), None),
        // Without a key behind all that start so, nothing can be greater; the filter above decides.
        Operator::Gt => (behind(), None),
        Operator::Lt => (None, Some(key.clone())),
        Operator::LtEq => (None, behind()),
        _ => (None, None),
    };
    if let Some(from) = from {
        range.from = Some(
            range
                .from
                .take()
                .map_or_else(|| from.clone(), |old| old.max(from.clone())),
        );
    }
    if let Some(until) = until {
        range.until = Some(
            range
                .until
                .take()
                .map_or_else(|| until.clone(), |old| old.min(until.clone())),
        );
    }
}
