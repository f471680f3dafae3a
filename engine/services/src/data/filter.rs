//! The contract's filters as the engine's.

use rustydb_contract::{Json, Presence, ServiceError, ServiceResult};
use rustydb_contract_database::errors::INVALID_VALUE;
use rustydb_contract_database::{Filter, FilterOperator};
use rustydb_sql::rows::{CompareOp, FILTER_DEPTH_MAX, RowFilter};

use super::errors::invalid_argument;

/// The condition at `path` of the input.
pub(super) fn row_filter(filter: &Filter, path: &str) -> ServiceResult<RowFilter> {
    converted(filter, path, 0)
}

fn converted(filter: &Filter, path: &str, depth: usize) -> ServiceResult<RowFilter> {
    if depth > FILTER_DEPTH_MAX {
        return Err(invalid_argument(
            path,
            format!("{path}: a filter nests at most {FILTER_DEPTH_MAX} levels deep"),
        ));
    }
    let list = |name: &str, parts: &[Filter]| {
        let part = |(at, part): (usize, &Filter)| converted(part, &format!("{path}.{name}.{at}"), depth + 1);
        parts
            .iter()
            .enumerate()
            .map(part)
            .collect::<ServiceResult<Vec<_>>>()
    };
    let joined = filter.and.is_some() || filter.or.is_some() || filter.not.is_some();
    if joined && (filter.operator.is_some() || filter.values.is_some() || !filter.value.is_absent()) {
        return Err(invalid_argument(
            path,
            format!("{path}: operator, value and values go with field alone"),
        ));
    }
    match filter {
        Filter {
            field: Some(field),
            and: None,
            or: None,
            not: None,
            ..
        } => condition(field, filter, path),
        Filter {
            field: None,
            and: Some(parts),
            or: None,
            not: None,
            ..
        } => Ok(RowFilter::And(list("and", parts)?)),
        Filter {
            field: None,
            and: None,
            or: Some(parts),
            not: None,
            ..
        } => Ok(RowFilter::Or(list("or", parts)?)),
        Filter {
            field: None,
            and: None,
            or: None,
            not: Some(inner),
            ..
        } => Ok(RowFilter::Not(Box::new(converted(
            inner,
            &format!("{path}.not"),
            depth + 1,
        )?))),
        _ => Err(invalid_argument(
            path,
            format!("{path}: give exactly one of field, and, or, not"),
        )),
    }
}

fn condition(field: &str, filter: &Filter, path: &str) -> ServiceResult<RowFilter> {
    let column = field.to_owned();
    let refuse = |name: &str, what: &str| {
        let field = format!("{path}.{name}");
        Err(invalid_argument(&field, format!("{field}: {what}")))
    };
    let operator = filter.operator.as_ref().unwrap_or(&FilterOperator::Eq);
    let text = operator.as_str();
    let op = match operator {
        FilterOperator::IsNull => {
            if !filter.value.is_absent() {
                return refuse("value", "IS_NULL takes no value");
            }
            if filter.values.is_some() {
                return refuse("values", "IS_NULL takes no values");
            }
            return Ok(RowFilter::IsNull { column });
        }
        FilterOperator::In => {
            if !filter.value.is_absent() {
                return refuse("value", "IN takes `values`");
            }
            return match &filter.values {
                Some(values) => Ok(RowFilter::In {
                    column,
                    values: values.clone(),
                }),
                None => refuse("values", "IN needs them"),
            };
        }
        FilterOperator::Like => None,
        FilterOperator::Eq => Some(CompareOp::Eq),
        FilterOperator::Ne => Some(CompareOp::Ne),
        FilterOperator::Lt => Some(CompareOp::Lt),
        FilterOperator::Le => Some(CompareOp::Le),
        FilterOperator::Gt => Some(CompareOp::Gt),
        FilterOperator::Ge => Some(CompareOp::Ge),
        FilterOperator::Unrecognized(_) => {
            return refuse("operator", &format!("there is no operator {text}"));
        }
    };
    if filter.values.is_some() {
        return refuse("values", &format!("{text} takes `value`"));
    }
    let value = match &filter.value {
        Presence::Absent => return refuse("value", &format!("{text} needs it")),
        Presence::Null => Json::Null,
        Presence::Value(value) => value.clone(),
    };
    match (op, value) {
        (Some(op), value) => Ok(RowFilter::Compare { column, op, value }),
        (None, Json::String(pattern)) => Ok(RowFilter::Like {
            column,
            pattern,
            ignore_case: false,
        }),
        (None, value) => Err(ServiceError::new(
            &INVALID_VALUE,
            format!("{path}.value: LIKE takes a pattern as text, such as \"A%\", not {value}"),
        )),
    }
}
