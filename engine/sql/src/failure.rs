//! DataFusion's errors as this crate's.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use rustydb_store::error::{CorruptPage, StoreError};
use rustydb_store::tables::TableError;

use crate::error::{Position, SqlError};
use crate::parse::{INTERNAL_MARK, Locator, located};

/// Of a value, in messages.
pub(crate) const VALUE_CHARS_MAX: usize = 80;

/// At most `chars_max` characters of `text`, marked when cut: for messages.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}...", &text[..cut]),
    }
}

/// The error, with a place in the statement's text when `locator` can tell one.
pub(crate) fn from_datafusion(error: DataFusionError, locator: Option<Locator<'_>>) -> SqlError {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = span.map(|span| Position {
        line: span.start.line,
        column: span.start.column,
    });
    let converted = convert(error, locator);
    let known = place
        .filter(|place| place.is_known())
        .or_else(|| locator.map(|locator| locator.start()));
    match known {
        Some(place) => converted.at(place),
        None => converted,
    }
}

fn convert(error: DataFusionError, locator: Option<Locator<'_>>) -> SqlError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            convert(*inner, locator)
        }
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => convert(first, locator),
            None => SqlError::Internal("an empty list of errors".to_owned()),
        },
        DataFusionError::Shared(inner) => match inner.find_root() {
            DataFusionError::ResourcesExhausted(message) => too_large(message),
            // Of an error that several readers share no copy can be made, but of this one.
            root => match corrupt_page(root) {
                Some(page) => SqlError::from(StoreError::CorruptPage(page)),
                None => from_message(root.strip_backtrace(), locator),
            },
        },
        DataFusionError::External(inner) => match inner.downcast::<SqlError>() {
            Ok(own) => *own,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => convert(*inner, locator),
                Err(other) => SqlError::Internal(other.to_string()),
            },
        },
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::SQL(inner, _) => match *inner {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => located(&message),
            ParserError::RecursionLimitExceeded => {
                SqlError::syntax("the statement nests too deeply", Position::UNKNOWN)
            }
        },
        DataFusionError::SchemaError(inner, _) => from_schema(*inner, locator),
        // Subqueries that could not be turned into joins are all that is left at this stage.
        DataFusionError::NotImplemented(message)
            if message.contains("does not support logical expression") =>
        {
            SqlError::unsupported(
                "this use of a subquery",
                Position::UNKNOWN,
                "compare its columns with outer ones by = only, use IN and EXISTS only in conditions of WHERE, or \
                 write a join",
            )
        }
        DataFusionError::NotImplemented(message) => SqlError::unsupported(
            clean(&message),
            Position::UNKNOWN,
            "write the statement in another way",
        ),
        DataFusionError::ResourcesExhausted(message) => too_large(&message),
        DataFusionError::ExecutionJoin(inner) if inner.is_cancelled() => SqlError::Cancelled,
        DataFusionError::Plan(message)
        | DataFusionError::Execution(message)
        | DataFusionError::Configuration(message) => from_message(message, locator),
        other => SqlError::Internal(other.strip_backtrace()),
    }
}

/// What of a page is wrong, where that is the error.
fn corrupt_page(error: &DataFusionError) -> Option<CorruptPage> {
    let DataFusionError::External(inner) = error else {
        return None;
    };
    match inner.downcast_ref() {
        Some(SqlError::Table(TableError::Store(StoreError::CorruptPage(page)))) => Some(*page),
        _ => None,
    }
}

fn too_large(message: &str) -> SqlError {
    // "... with top memory consumers ... Error: Failed to allocate additional 1.0 MB ..." says nothing to a user.
    let _ = message;
    SqlError::ResultTooLarge {
        what: "the memory of the statement".to_owned(),
        max: 0,
        unit: "bytes",
        remedy: "select fewer rows or columns, or sort and group less at once".to_owned(),
    }
}

fn from_arrow(error: ArrowError) -> SqlError {
    match error {
        ArrowError::DivideByZero => SqlError::DivisionByZero,
        ArrowError::ArithmeticOverflow(message) => SqlError::OutOfRange {
            message: clean(&message),
        },
        ArrowError::CastError(message) if is_overflow(&message) => SqlError::OutOfRange {
            message: clean(&message),
        },
        ArrowError::CastError(message) | ArrowError::ParseError(message) => {
            SqlError::mismatch(clean(&message))
        }
        ArrowError::InvalidArgumentError(message) if is_overflow(&message) => SqlError::OutOfRange {
            message: clean(&message),
        },
        ArrowError::InvalidArgumentError(message) | ArrowError::ComputeError(message) => {
            SqlError::mismatch(clean(&message))
        }
        ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
            Ok(inner) => convert(*inner, None),
            Err(inner) => match inner.downcast::<SqlError>() {
                Ok(own) => *own,
                Err(other) => SqlError::Internal(other.to_string()),
            },
        },
        other => SqlError::Internal(other.to_string()),
    }
}

fn is_overflow(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "overflow",
        "out of range",
        "too large to store",
        "too small to store",
        "can't cast value",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

fn from_schema(error: SchemaError, locator: Option<Locator<'_>>) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let own = start_of_span(&field);
            let at = if own.is_known() {
                own
            } else {
                locator.map_or(Position::UNKNOWN, |locator| locator.find_name(&field.name))
            };
            let mut known: Vec<String> = valid_fields.into_iter().map(|column| column.name).collect();
            known.retain(|name| !name.starts_with(INTERNAL_MARK));
            known.truncate(8);
            let hint = if known.is_empty() {
                String::new()
            } else {
                format!("; there are {}", known.join(", "))
            };
            SqlError::ColumnNotFound {
                name: field.name.clone(),
                at,
                hint,
            }
        }
        SchemaError::AmbiguousReference { field } => {
            let at = locator.map_or(Position::UNKNOWN, |locator| locator.find_name(&field.name));
            SqlError::syntax(
                format!("column \"{}\" is ambiguous; say of which table", field.name),
                at,
            )
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError::DuplicateColumnName { name: clean(&name) }
        }
    }
}

fn start_of_span(column: &datafusion::common::Column) -> Position {
    column.spans.first().map_or(Position::UNKNOWN, |span| Position {
        line: span.start.line,
        column: span.start.column,
    })
}

/// Messages are all that some errors carry.
fn from_message(message: String, locator: Option<Locator<'_>>) -> SqlError {
    let text = clean(&message);
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or_default().to_owned();
        let at = locator.map_or(Position::UNKNOWN, |locator| locator.find_name(&name));
        return SqlError::FunctionNotFound { name, at };
    }
    if lower.contains("divide by zero") {
        return SqlError::DivisionByZero;
    }
    if is_overflow(&lower) {
        return SqlError::OutOfRange { message: text };
    }
    let mismatch = [
        "coerce",
        "cannot cast",
        "can't be evaluated because there isn't a common type",
        "cannot infer common",
    ];
    if mismatch.iter().any(|sign| lower.contains(sign)) || lower.contains("unsupported cast") {
        return SqlError::mismatch(text);
    }
    SqlError::syntax(text, Position::UNKNOWN)
}

/// Without the marks of invented names and without the lists of candidates that span many lines.
fn clean(message: &str) -> String {
    let first: String = message.lines().next().unwrap_or_default().to_owned();
    let first = first
        .replace("\u{1}target", "the target")
        .replace(INTERNAL_MARK, "");
    let mut text = first.trim().to_owned();
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "type_coercion",
        "caused by",
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = rest.trim().to_owned();
        }
    }
    if text.is_empty() {
        "the statement can't be planned".to_owned()
    } else {
        text
    }
}
