//! What can go wrong with a statement.
//!
//! Every kind stands for one error of the contract; the layer above maps them one to one. Positions are
//! 1-based lines and columns (in characters) of the text that was parsed; 0 means that there is none, as for
//! row operations that came without SQL text.

use std::fmt;

use rustydb_store::error::StoreError;
use rustydb_store::tables::TableError;

/// Answer of everything in this crate.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

/// A place in SQL text: 1-based line and column, or 0 and 0 when unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl Position {
    pub const UNKNOWN: Position = Position { line: 0, column: 0 };

    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, " at line {}, column {}", self.line, self.column)
        } else {
            Ok(())
        }
    }
}

/// Failure of a statement. Nothing of the failed statement is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The text does not parse, or does not make sense as a statement (a column outside GROUP BY, for instance).
    #[error("{message}{at}")]
    Syntax { message: String, at: Position },
    /// Understood, but nothing here acts on it; refusing beats ignoring.
    #[error("{what} is not supported{at}: {remedy}")]
    Unsupported {
        what: String,
        at: Position,
        remedy: String,
    },
    #[error("table or view \"{name}\" does not exist in database \"{database}\"{at}")]
    TableNotFound {
        database: String,
        name: String,
        at: Position,
    },
    #[error("column \"{name}\" does not exist{at}{hint}")]
    ColumnNotFound {
        name: String,
        at: Position,
        hint: String,
    },
    #[error("function \"{name}\" does not exist{at}")]
    FunctionNotFound { name: String, at: Position },
    /// A value is not of the type that its place wants.
    #[error("{message}{at}")]
    TypeMismatch { message: String, at: Position },
    /// A computed value does not fit its type.
    #[error("value out of range: {message}")]
    OutOfRange { message: String },
    #[error("division by zero")]
    DivisionByZero,
    /// `index` counts from 1, as in `$1`; 0 stands for the list as a whole.
    #[error("invalid parameter ${index}: {message}")]
    InvalidParameter { index: usize, message: String },
    #[error("the result has several columns named \"{name}\"; give them aliases or ask for rows as arrays")]
    DuplicateColumnName { name: String },
    #[error("the transaction is read-only; {what} needs one that may write")]
    ReadOnlyTransaction { what: String },
    /// The statement was stopped before its end.
    #[error("the statement was cancelled")]
    Cancelled,
    #[error("{what} exceeds the limit of {max} {unit}; {remedy}")]
    ResultTooLarge {
        what: String,
        max: u64,
        unit: &'static str,
        remedy: String,
    },
    #[error(transparent)]
    Table(TableError),
    /// A defect of the engine, not of the statement.
    #[error("internal error: {0}")]
    Internal(String),
}

impl SqlError {
    pub(crate) fn syntax(message: impl Into<String>, at: Position) -> SqlError {
        SqlError::Syntax {
            message: message.into(),
            at,
        }
    }

    pub(crate) fn unsupported(what: impl Into<String>, at: Position, remedy: impl Into<String>) -> SqlError {
        SqlError::Unsupported {
            what: what.into(),
            at,
            remedy: remedy.into(),
        }
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> SqlError {
        SqlError::TypeMismatch {
            message: message.into(),
            at: Position::UNKNOWN,
        }
    }

    /// Where in the text the error is.
    pub fn position(&self) -> Position {
        match self {
            SqlError::Syntax { at, .. }
            | SqlError::Unsupported { at, .. }
            | SqlError::TableNotFound { at, .. }
            | SqlError::ColumnNotFound { at, .. }
            | SqlError::FunctionNotFound { at, .. }
            | SqlError::TypeMismatch { at, .. } => *at,
            _ => Position::UNKNOWN,
        }
    }

    /// The same error at `at`, unless it already has a place or its kind has none.
    #[must_use]
    pub(crate) fn at(mut self, place: Position) -> SqlError {
        match &mut self {
            SqlError::Syntax { at, .. }
            | SqlError::Unsupported { at, .. }
            | SqlError::TableNotFound { at, .. }
            | SqlError::ColumnNotFound { at, .. }
            | SqlError::FunctionNotFound { at, .. }
            | SqlError::TypeMismatch { at, .. }
                if !at.is_known() =>
            {
                *at = place;
            }
            _ => {}
        }
        self
    }
}

impl From<TableError> for SqlError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::ReadOnly => SqlError::ReadOnlyTransaction {
                what: "the statement".to_owned(),
            },
            other => SqlError::Table(other),
        }
    }
}

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        SqlError::from(TableError::from(error))
    }
}
