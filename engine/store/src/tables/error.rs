//! What can go wrong with tables, rows and transactions.

use std::sync::Arc;

use rustydb_kernel::locks::{Deadlock, LockError, LockMode, Resource};

use crate::error::StoreError;
use crate::transactions::{BranchState, EndReason, Xid};
use crate::types::ColumnType;

/// Answer of everything in the table layer.
pub type Result<T, E = TableError> = std::result::Result<T, E>;

/// Failure of the table layer. Names the value and what to do; nothing of the failed statement is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    #[error("database \"{name}\" does not exist")]
    DatabaseNotFound { name: String },
    #[error("database \"{name}\" already exists")]
    DatabaseExists { name: String },
    #[error("database \"{name}\" can't be dropped: it is where every session starts")]
    DatabaseProtected { name: String },
    #[error("schema \"{schema}\" does not exist in database \"{database}\"")]
    SchemaNotFound { database: String, schema: String },
    #[error("table \"{name}\" does not exist in database \"{database}\"")]
    TableNotFound { database: String, name: String },
    /// A table or view has the name; both share one name space.
    #[error("\"{name}\" already exists in database \"{database}\"")]
    TableExists { database: String, name: String },
    #[error("view \"{name}\" does not exist in database \"{database}\"")]
    ViewNotFound { database: String, name: String },
    #[error("index \"{name}\" does not exist in database \"{database}\"")]
    IndexNotFound { database: String, name: String },
    #[error("index \"{name}\" already exists in database \"{database}\"")]
    IndexExists { database: String, name: String },
    /// Somebody else is building it.
    #[error("index \"{name}\" is being built; wait until that is done")]
    IndexBuilding { name: String },
    /// Whoever asked for the index no longer wants it.
    #[error("the build of index \"{name}\" was stopped; nothing of it is left")]
    BuildStopped { name: String },
    #[error("\"{name}\" is a {found}, not a {wanted}")]
    WrongKind {
        name: String,
        found: &'static str,
        wanted: &'static str,
    },
    /// The definition in the caller's hand is not the one this transaction sees; read it again.
    #[error("the definition of table \"{table}\" has changed since it was read; look it up again")]
    StaleDefinition { table: String },
    #[error("column \"{column}\" does not exist in table \"{table}\"")]
    ColumnNotFound { table: String, column: String },
    #[error("table \"{table}\" has no row with the key {key}")]
    RowNotFound { table: String, key: String },
    #[error("the row {key} of table \"{table}\" is to be changed twice by one statement")]
    DuplicateTarget { table: String, key: String },
    #[error("a row of table \"{table}\" has {expected} values, not {found}")]
    ColumnCount {
        table: String,
        expected: usize,
        found: usize,
    },
    #[error("column \"{column}\" of table \"{table}\" must not be null; give a value")]
    NotNullViolation { table: String, column: String },
    #[error(
        "table \"{table}\" already has a row with ({}) = {value}; it would break the constraint \"{constraint}\"",
        columns.join(", ")
    )]
    UniqueViolation {
        table: String,
        constraint: String,
        columns: Vec<String>,
        value: String,
    },
    #[error("{value} is out of range for column \"{column}\" of table \"{table}\", which is {data_type}")]
    OutOfRange {
        table: String,
        column: String,
        value: String,
        data_type: ColumnType,
    },
    #[error("column \"{column}\" of table \"{table}\" is {expected}, the value is {found}")]
    TypeMismatch {
        table: String,
        column: String,
        expected: ColumnType,
        found: &'static str,
    },
    #[error("{value} is not valid for column \"{column}\" of table \"{table}\": {reason}")]
    InvalidValue {
        table: String,
        column: String,
        value: String,
        reason: String,
    },
    #[error("{what} of table \"{table}\" takes {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        table: String,
        what: String,
        bytes: usize,
        bytes_max: usize,
    },
    #[error(
        "the transaction's changes take {bytes} bytes; at most {bytes_max} are allowed: commit in smaller parts"
    )]
    TransactionTooLarge { bytes: usize, bytes_max: usize },
    /// Another transaction committed first; the whole transaction may be tried again.
    #[error("another transaction changed {object} first; try the transaction again")]
    WriteConflict { object: String },
    #[error("the transaction has no savepoint \"{name}\"")]
    SavepointNotFound { name: String },
    #[error("a transaction has at most {max} savepoints; release some")]
    TooManySavepoints { max: usize },
    /// The statement needs a lock that somebody else holds. What it did is undone; see [`crate::locking`].
    #[error("the transaction has to wait for a lock; run the statement again after that")]
    MustWait,
    /// Under read committed: somebody changed {object} since the statement began.
    #[error("{object} has changed since the statement began; run the statement again")]
    RunAgain { object: String },
    #[error(
        "{resource} is locked by {}, and the call is not to wait",
        transactions(held_by)
    )]
    LockNotAvailable { resource: Resource, held_by: Vec<u64> },
    #[error(
        "waited {} ms for a lock on {resource} in mode {mode}; end the transaction that holds it, or set a longer lock time-out",
        timeout_us / 1_000
    )]
    LockTimeout {
        resource: Resource,
        mode: LockMode,
        timeout_us: u64,
    },
    /// It is the victim: it has to be rolled back, and may be run again from its start.
    #[error(
        "transaction {transaction} was rolled back to end a deadlock among {}; run it again",
        members(deadlock)
    )]
    Deadlock {
        transaction: u64,
        deadlock: Arc<Deadlock>,
    },
    /// While a call waited, another one released what it waited with.
    #[error("the locks of transaction {transaction} were released while it waited")]
    LockReleased { transaction: u64 },
    #[error(transparent)]
    Lock(LockError),
    #[error("\"{name}\" is needed by {}; drop or change them first", quoted(dependents))]
    DependentObjects { name: String, dependents: Vec<String> },
    #[error("invalid definition of \"{name}\": {reason}")]
    InvalidDefinition { name: String, reason: String },
    #[error("the transaction is read-only; begin one that may write")]
    ReadOnly,
    #[error("there is no transaction {id}")]
    TransactionNotFound { id: u64 },
    #[error("transaction {id} is no longer active: it {reason}; begin another")]
    TransactionNotActive { id: u64, reason: EndReason },
    /// Only who began a transaction may use it. Outsiders are better told that it is not found.
    #[error("transaction {id} belongs to somebody else")]
    NotOwner { id: u64 },
    #[error("{open} transactions are open {scope}; at most {max} may be: commit or roll back some")]
    TooManyTransactions {
        scope: &'static str,
        open: usize,
        max: usize,
    },
    #[error("a {what} of {value_us} us is outside {min_us}..={max_us}")]
    InvalidTimeout {
        what: &'static str,
        value_us: u64,
        min_us: u64,
        max_us: u64,
    },
    #[error(
        "transaction {id} has been used already; its isolation level can be set before its first call only"
    )]
    IsolationFixed { id: u64 },
    #[error("transaction {id} reads a state of the past, for which there is no isolation to choose")]
    ReadsPast { id: u64 },
    #[error("a branch can't be named so: {reason}")]
    InvalidXid { reason: String },
    /// Of branches that are open or prepared, whoever they belong to.
    #[error("there is a branch {xid} already; resume it, or choose another name")]
    BranchExists { xid: Xid },
    /// It never was, or ended long ago or before a restart, or belongs to somebody else.
    #[error(
        "you have no branch {xid}: it never began, was rolled back before it was prepared, or was resolved; `recover` lists those that are prepared"
    )]
    BranchNotFound { xid: Xid },
    #[error("branch {xid} has ended: it {reason}; start another")]
    BranchEnded { xid: Xid, reason: EndReason },
    /// The call is for a branch in another state.
    #[error("branch {xid} is {state}: {remedy}")]
    BranchState {
        xid: Xid,
        state: BranchState,
        remedy: &'static str,
    },
    /// A call that is for other transactions.
    #[error("transaction {id} is branch {xid} of a distributed transaction and is {state}: {remedy}")]
    IsBranch {
        id: u64,
        xid: Xid,
        state: BranchState,
        remedy: &'static str,
    },
    /// It is idle still.
    #[error(
        "branch {xid} relies on table \"{table}\", whose index \"{index}\" is being built, and can't be prepared; commit it in one phase or roll it back"
    )]
    BranchDuringBuild { xid: Xid, table: String, index: String },
    /// A commit that would change what a prepared branch relies on. Run again it may succeed, once the branch is resolved.
    #[error(
        "{object} is in the hands of transaction {branch}, a branch that is prepared: commit or roll back that branch, and try again"
    )]
    InDoubt { object: String, branch: u64 },
    /// The storage below failed, or its bytes do not decode.
    #[error(transparent)]
    Store(StoreError),
}

impl TableError {
    /// Whether the same transaction, run again from its start, may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            TableError::WriteConflict { .. } | TableError::Deadlock { .. }
        )
    }
}

impl From<StoreError> for TableError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => TableError::WriteConflict {
                object: "the same data".to_owned(),
            },
            other => TableError::Store(other),
        }
    }
}

/// Corruption found while decoding, naming what was read.
pub(crate) fn corrupt(what: impl Into<String>) -> TableError {
    TableError::Store(StoreError::Corrupt(what.into()))
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

fn transactions(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    match ids.as_slice() {
        [] => "nobody any more".to_owned(),
        [id] => format!("transaction {id}"),
        _ => format!("transactions {}", ids.join(", ")),
    }
}

fn members(deadlock: &Deadlock) -> String {
    let ids: Vec<u64> = deadlock.members.iter().map(|member| member.owner.0).collect();
    transactions(&ids)
}
