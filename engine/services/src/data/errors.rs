//! The table from the errors of tables and statements to the contract's; below it is that of the store, [`crate::failure`].
//!
//! Messages come from below: they name the value and the remedy already. What is decided here is the code, and
//! whether the caller learns where in the SQL text the fault is. An operation answers only errors that the
//! contract declares for it, so [`declared`] is the last step of every call.

use rustydb_contract::descriptor::OperationDesc;
use rustydb_contract::{CallContext, ErrorDesc, ServiceError};
use rustydb_contract_core::errors::{
    DATABASE_NOT_FOUND, DEADLOCK, LOCK_NOT_AVAILABLE, LOCK_TIMEOUT, STORAGE_FAILURE, TOO_MANY_LOCKS,
    TRANSACTION_NOT_ACTIVE, TRANSACTION_NOT_FOUND, TRANSACTION_READ_ONLY, UNAVAILABLE, WRITE_CONFLICT,
};
use rustydb_contract_database::errors::{
    COLUMN_NOT_FOUND, DATABASE_EXISTS, DATABASE_PROTECTED, DEPENDENT_OBJECTS, INVALID_DEFINITION,
    INVALID_VALUE, NOT_NULL_VIOLATION, ROW_NOT_FOUND, TABLE_EXISTS, TABLE_NOT_FOUND, UNIQUE_VIOLATION,
};
use rustydb_contract_indexes::errors::{INDEX_EXISTS, INDEX_NOT_FOUND};
use rustydb_contract_sql::Position;
use rustydb_contract_sql::errors::{
    DUPLICATE_COLUMN_NAME, INVALID_PARAMETER, INVALID_QUERY, RESULT_TOO_LARGE, SYNTAX_ERROR, UNSUPPORTED,
    VIEW_NOT_FOUND,
};
use rustydb_contract_transactions::errors::{
    ISOLATION_LEVEL_FIXED, LOCK_NOT_FOUND, SAVEPOINT_NOT_FOUND, TOO_MANY_SAVEPOINTS, TOO_MANY_TRANSACTIONS,
};
use rustydb_kernel::locks::LockError;
use rustydb_sql::error::{Position as Place, SqlError};
use rustydb_store::datum::CastError;
use rustydb_store::tables::TableError;

use crate::failure::store_failure;

pub(super) use crate::failure::internal;
pub(super) use crate::identity::error::invalid_argument;

/// Failures of tables and transactions.
pub(crate) fn table_error(error: TableError) -> ServiceError {
    let desc: &'static ErrorDesc = match &error {
        TableError::DatabaseNotFound { .. } => &DATABASE_NOT_FOUND,
        TableError::DatabaseExists { .. } => &DATABASE_EXISTS,
        TableError::DatabaseProtected { .. } => &DATABASE_PROTECTED,
        TableError::SchemaNotFound { .. } | TableError::TableNotFound { .. } => &TABLE_NOT_FOUND,
        TableError::TableExists { .. } => &TABLE_EXISTS,
        TableError::ViewNotFound { .. } => &VIEW_NOT_FOUND,
        TableError::IndexNotFound { .. } => &INDEX_NOT_FOUND,
        TableError::IndexExists { .. } => &INDEX_EXISTS,
        TableError::BuildStopped { .. } => &UNAVAILABLE,
        TableError::WrongKind { wanted, .. } if *wanted == "view" => &VIEW_NOT_FOUND,
        TableError::WrongKind { .. } => &TABLE_NOT_FOUND,
        TableError::ColumnNotFound { .. } => &COLUMN_NOT_FOUND,
        TableError::RowNotFound { .. } => &ROW_NOT_FOUND,
        TableError::DuplicateTarget { .. } => &INVALID_QUERY,
        TableError::NotNullViolation { .. } => &NOT_NULL_VIOLATION,
        TableError::UniqueViolation { .. } => &UNIQUE_VIOLATION,
        TableError::OutOfRange { .. }
        | TableError::TypeMismatch { .. }
        | TableError::InvalidValue { .. }
        | TableError::TooLarge { .. } => &INVALID_VALUE,
        TableError::WriteConflict { .. } | TableError::IndexBuilding { .. } => &WRITE_CONFLICT,
        TableError::DependentObjects { .. } => &DEPENDENT_OBJECTS,
        TableError::InvalidDefinition { .. } => &INVALID_DEFINITION,
        TableError::ReadOnly => &TRANSACTION_READ_ONLY,
        TableError::TransactionNotFound { id } | TableError::NotOwner { id } => {
            // Whose it is, is nobody else's business.
            let message = format!("you have no transaction {id}; begin one with transactions.begin");
            return ServiceError::new(&TRANSACTION_NOT_FOUND, message);
        }
        TableError::TransactionNotActive { .. } => &TRANSACTION_NOT_ACTIVE,
        TableError::TooManyTransactions { .. } => &TOO_MANY_TRANSACTIONS,
        TableError::InvalidTimeout { .. } => {
            return invalid_argument("timeout_ms", error.to_string());
        }
        TableError::IsolationFixed { .. } | TableError::ReadsPast { .. } => &ISOLATION_LEVEL_FIXED,
        TableError::SavepointNotFound { .. } => &SAVEPOINT_NOT_FOUND,
        TableError::TooManySavepoints { .. } => &TOO_MANY_SAVEPOINTS,
        TableError::LockTimeout { .. } => &LOCK_TIMEOUT,
        // Whoever runs a statement waits for what it has to wait for, so that the last ones are not seen from outside.
        TableError::LockNotAvailable { .. } | TableError::MustWait | TableError::LockReleased { .. } => {
            &LOCK_NOT_AVAILABLE
        }
        TableError::RunAgain { .. } => &WRITE_CONFLICT,
        TableError::Deadlock { .. } => &DEADLOCK,
        TableError::Lock(LockError::TooManyLocks { .. }) => &TOO_MANY_LOCKS,
        TableError::Lock(LockError::NotHeld(_)) => &LOCK_NOT_FOUND,
        TableError::Lock(_) => &LOCK_NOT_AVAILABLE,
        TableError::TransactionTooLarge { .. } => &STORAGE_FAILURE,
        TableError::Store(store) => return store_failure(store),
        _ => return internal(&error),
    };
    ServiceError::new(desc, error.to_string())
}

/// Failures of text that was not run yet.
pub(super) fn parse_error(error: SqlError) -> ServiceError {
    match &error {
        SqlError::Syntax { at, .. } => positioned(&SYNTAX_ERROR, error.to_string(), *at),
        // Too long or too deep to be looked at.
        SqlError::ResultTooLarge { .. } => {
            positioned(&UNSUPPORTED, error.to_string(), Place { line: 1, column: 1 })
        }
        _ => statement_error(error),
    }
}

/// Failures of a statement that parses.
pub(super) fn statement_error(error: SqlError) -> ServiceError {
    let error = match error {
        SqlError::Table(error) => return table_error(error),
        other => other,
    };
    let desc: &'static ErrorDesc = match &error {
        SqlError::Unsupported { at, .. } => return positioned(&UNSUPPORTED, error.to_string(), *at),
        SqlError::TableNotFound { .. } => &TABLE_NOT_FOUND,
        SqlError::ColumnNotFound { .. } => &COLUMN_NOT_FOUND,
        SqlError::Syntax { .. }
        | SqlError::FunctionNotFound { .. }
        | SqlError::TypeMismatch { .. }
        | SqlError::OutOfRange { .. }
        | SqlError::DivisionByZero => &INVALID_QUERY,
        SqlError::InvalidParameter { .. } => &INVALID_PARAMETER,
        SqlError::DuplicateColumnName { .. } => &DUPLICATE_COLUMN_NAME,
        SqlError::ReadOnlyTransaction { .. } => &TRANSACTION_READ_ONLY,
        SqlError::ResultTooLarge { .. } => &RESULT_TOO_LARGE,
        SqlError::Cancelled => &UNAVAILABLE,
        _ => return internal(&error),
    };
    ServiceError::new(desc, error.to_string())
}

fn positioned(desc: &'static ErrorDesc, message: String, at: Place) -> ServiceError {
    let error = ServiceError::new(desc, message);
    if !at.is_known() {
        return error;
    }
    let bounded = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    error.with_details(Position {
        line: bounded(at.line),
        column: bounded(at.column),
    })
}

/// SQL that the engine understands and this place does not take.
pub(super) fn unsupported(message: impl Into<String>, at: Place) -> ServiceError {
    positioned(&UNSUPPORTED, message.into(), at)
}

pub(super) fn syntax(message: impl Into<String>, at: Place) -> ServiceError {
    positioned(&SYNTAX_ERROR, message.into(), at)
}

pub(super) fn database_not_found(name: &str) -> ServiceError {
    table_error(TableError::DatabaseNotFound {
        name: name.to_owned(),
    })
}

/// A value that is not of its column's type; `path` says where in the input it is.
pub(super) fn invalid_value(path: &str, column: &str, error: &CastError) -> ServiceError {
    ServiceError::new(&INVALID_VALUE, format!("{path}: {error} (column \"{column}\")"))
}

/// What an operation that does not declare a code answers instead, best first.
static STAND_INS: &[(&str, &[&ErrorDesc])] = &[
    ("COLUMN_NOT_FOUND", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("DUPLICATE_COLUMN_NAME", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("INVALID_DEFINITION", &[&INVALID_QUERY]),
    ("INVALID_PARAMETER", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("INVALID_QUERY", &[&INVALID_VALUE, &INVALID_DEFINITION]),
    ("INVALID_VALUE", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("RESULT_TOO_LARGE", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("SAVEPOINT_NOT_FOUND", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("SYNTAX_ERROR", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("TABLE_NOT_FOUND", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("TOO_MANY_SAVEPOINTS", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("UNSUPPORTED", &[&INVALID_QUERY, &INVALID_DEFINITION]),
    ("VIEW_NOT_FOUND", &[&TABLE_EXISTS, &TABLE_NOT_FOUND]),
];

/// Makes sure that the operation declares the error.
pub(super) fn declared(context: &CallContext) -> impl Fn(ServiceError) -> ServiceError + use<> {
    let operation: &'static OperationDesc = context.operation;
    move |error| {
        let declares = |code: &str| operation.errors.iter().any(|known| known.code == code);
        let common = rustydb_contract_core::MODULE
            .errors
            .iter()
            .any(|known| known.code == error.code());
        if common || declares(error.code()) {
            return error;
        }
        let known = STAND_INS.iter().find(|(code, _)| *code == error.code());
        match known.and_then(|(_, stand_ins)| stand_ins.iter().find(|stand_in| declares(stand_in.code))) {
            Some(stand_in) => ServiceError::new(stand_in, error.message()),
            None => invalid_argument("", error.message()),
        }
    }
}
