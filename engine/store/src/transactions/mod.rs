//! Explicit transactions that stay open between calls.

use std::fmt;

use crate::seam::CommitSeq;
use crate::tables::{CommitOutcome, Result, TableChanges, Tables, Txn};

/// How an explicit transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    Committed,
    RolledBack,
    TimedOut,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndReason::Committed => "was committed",
            EndReason::RolledBack => "was rolled back",
            EndReason::TimedOut => "was rolled back after being idle too long",
        })
    }
}

/// What a new transaction is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginOptions {
    /// Who may use it: an opaque principal name.
    pub owner: String,
    pub database: String,
    pub read_only: bool,
    /// `None` takes the registry's default.
    pub idle_timeout_us: Option<u64>,
}

/// An open transaction as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionInfo {
    pub id: u64,
    pub owner: String,
    pub database: String,
    pub read_only: bool,
    pub started_at_us: i64,
    /// Start or end of its latest call.
    pub last_used_at_us: i64,
    pub idle_timeout_us: u64,
    pub snapshot_seq: CommitSeq,
    /// Whether a call is running in it now.
    pub in_use: bool,
    pub calls: u64,
    pub changes: Vec<TableChanges>,
}

/// All open explicit transactions.
pub struct TransactionRegistry {}

/// Exclusive use of an open transaction; giving it back is dropping it. `Send`, may be held over `await`.
pub struct TxnLease {}

impl std::ops::Deref for TxnLease {
    type Target = Txn;
    fn deref(&self) -> &Txn {
        unimplemented!()
    }
}

impl std::ops::DerefMut for TxnLease {
    fn deref_mut(&mut self) -> &mut Txn {
        unimplemented!()
    }
}

impl TransactionRegistry {
    pub fn new(tables: Tables) -> TransactionRegistry {
        unimplemented!()
    }
    pub fn begin(&self, options: BeginOptions) -> Result<TransactionInfo> {
        unimplemented!()
    }
    /// Waits for its turn and takes the transaction for one call.
    pub async fn lease(&self, id: u64, owner: &str) -> Result<TxnLease> {
        unimplemented!()
    }
    /// Runs one call in the transaction; blocks the thread while another call runs in the same one.
    pub fn with<R>(&self, id: u64, owner: &str, call: impl FnOnce(&mut Txn) -> R) -> Result<R> {
        unimplemented!()
    }
    /// Commits; blocks until durable. A conflict ends the transaction as rolled back.
    pub fn commit(&self, id: u64, owner: &str) -> Result<CommitOutcome> {
        unimplemented!()
    }
    pub fn rollback(&self, id: u64, owner: &str) -> Result<()> {
        unimplemented!()
    }
    pub fn info(&self, id: u64, owner: &str) -> Result<TransactionInfo> {
        unimplemented!()
    }
    /// Open transactions in order of id; of one owner, or of all.
    pub fn list(&self, owner: Option<&str>) -> Vec<TransactionInfo> {
        unimplemented!()
    }
    /// Rolls back what has been idle too long; answers the ids.
    pub fn sweep(&self) -> Vec<u64> {
        unimplemented!()
    }
}
