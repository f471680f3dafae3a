//! Which part of a table's key order, or of an index, a filter can match.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, Operator};
use rustydb_store::codec::{encode_index_values, encode_key, index_values_range, prefix_end, prefix_range};
use rustydb_store::seam::KeyRange;
use rustydb_store::types::{ColumnType, Datum, IndexDef, IndexState, TableDef};

use crate::provider::KEY_COLUMN;

/// A comparison of a column with a constant. With NULL, it is whether the column is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// Position in the table's columns.
    column: usize,
    operator: Operator,
    value: Datum,
}

/// The comparison that `filter` is, when it bounds the key or an index that is ready.
pub(crate) fn bound_of(table: &TableDef, filter: &Expr) -> Option<Comparison> {
    let found = comparison(table, filter)?;
    let in_key = table.primary_key.contains(&found.column);
    let mut indexes = table.indexes.iter();
    let indexed =
        |index: &IndexDef| index.state == IndexState::Ready && index.columns.contains(&found.column);
    (in_key || indexes.any(indexed)).then_some(found)
}

fn comparison(table: &TableDef, filter: &Expr) -> Option<Comparison> {
    let column_of = |column: &Column| table.column_index(&column.name);
    if let Expr::IsNull(inner) = filter
        && let Expr::Column(column) = inner.as_ref()
    {
        return Some(Comparison {
            column: column_of(column)?,
            operator: Operator::Eq,
            value: Datum::Null,
        });
    }
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
    let column = column_of(column)?;
    Some(Comparison {
        column,
        operator,
        value: key_datum(value, table.columns[column].data_type)?,
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

/// How the values of one order of keys are encoded.
#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    /// As they are; none is NULL.
    Plain,
    /// Each behind a mark, NULLs last.
    Marked,
}

impl Encoding {
    fn encode(self, values: &[Datum]) -> Option<Vec<u8>> {
        match self {
            Encoding::Plain => encode_key(values),
            Encoding::Marked => encode_index_values(values),
        }
    }
}

/// The range of keys that conjoined filters leave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeyBounds {
    pub range: KeyRange,
    /// Whether the range is narrower than the table.
    pub narrowed: bool,
    /// Leading columns that are compared for equality.
    pub equal: usize,
}

impl KeyBounds {
    /// Of the table's own keys.
    pub fn of(table: &TableDef, filters: &[Expr]) -> KeyBounds {
        if let Some(after) = filters.iter().find_map(behind_key) {
            return KeyBounds {
                range: KeyRange {
                    after: Some(after),
                    ..KeyRange::default()
                },
                narrowed: true,
                equal: 0,
            };
        }
        KeyBounds::over(table, &table.primary_key, Encoding::Plain, filters)
    }

    /// Of an index; narrowed to what the filters leave of it.
    pub fn of_index(table: &TableDef, index: &IndexDef, filters: &[Expr]) -> KeyBounds {
        let encoding = match index.unique {
            true => Encoding::Plain,
            false => Encoding::Marked,
        };
        KeyBounds::over(table, &index.columns, encoding, filters)
    }

    fn over(table: &TableDef, columns: &[usize], encoding: Encoding, filters: &[Expr]) -> KeyBounds {
        let bounds: Vec<Comparison> = filters
            .iter()
            .filter_map(|filter| comparison(table, filter))
            // Where NULLs have no place, the filter that wants them decides by itself.
            .filter(|bound| encoding == Encoding::Marked || !bound.value.is_null())
            .collect();
        let mut prefix = Vec::new();
        let mut range = KeyRange::default();
        let mut equal = 0;
        for &column in columns {
            let here = || bounds.iter().filter(move |bound| bound.column == column);
            if let Some(found) = here().find(|bound| bound.operator == Operator::Eq) {
                prefix.push(found.value.clone());
                let Some(key) = encoding.encode(&prefix) else {
                    break;
                };
                range = prefix_range(key);
                equal += 1;
                continue;
            }
            if encoding == Encoding::Marked
                && here().next().is_some()
                && let Some(key) = encoding.encode(&prefix)
            {
                // No comparison is true of a NULL.
                range = index_values_range(&key);
            }
            here().for_each(|bound| narrow(&mut range, &prefix, bound, encoding));
            break;
        }
        KeyBounds {
            narrowed: range != KeyRange::default(),
            range,
            equal,
        }
    }
}

fn narrow(range: &mut KeyRange, prefix: &[Datum], bound: &Comparison, encoding: Encoding) {
    let mut values = prefix.to_vec();
    values.push(bound.value.clone());
    let Some(key) = encoding.encode(&values) else {
        return;
    };
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
