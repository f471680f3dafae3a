//! Typed tables over the store's spaces.

mod ddl;
mod dml;
mod error;
mod reader;
mod spec;
mod txn;

use std::sync::Arc;

use rustydb_runtime::Clock;

pub use error::{Result, TableError};
pub(crate) use error::corrupt;
pub use reader::{Relation, TableStats, TxnReader};
pub use spec::{ColumnSpec, TableSpec, UniqueSpec, ViewSpec};
pub use txn::{CommitOutcome, Mark, TableChanges, Txn};

use crate::seam::TableStore;

/// The database that always exists.
pub const MAIN_DATABASE: &str = "main";
/// The schema that every database has.
pub const PUBLIC_SCHEMA: &str = "public";

/// All tables of one store. A clone is another handle to the same.
#[derive(Clone)]
pub struct Tables {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn TableStore>,
    clock: Arc<dyn Clock>,
}

impl Tables {
    /// Opens the tables of a store; the first time, creates database `main` with schema `public`.
    pub fn open(store: Arc<dyn TableStore>, clock: Arc<dyn Clock>) -> Result<Tables> {
        Ok(Tables { inner: Arc::new(Inner { store, clock }) })
    }

    /// A transaction on the newest durable state.
    pub fn begin(&self) -> Result<Txn> {
        unimplemented!()
    }

    /// A transaction whose every write is refused with [`TableError::ReadOnly`].
    pub fn begin_read_only(&self) -> Result<Txn> {
        unimplemented!()
    }

    pub fn store(&self) -> &Arc<dyn TableStore> {
        &self.inner.store
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }
}
