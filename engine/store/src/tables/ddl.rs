//! Creating, replacing and dropping databases, tables and views.

use std::sync::Arc;

use crate::tables::{Result, TableSpec, Txn, ViewSpec};
use crate::types::{DatabaseDef, TableDef, ViewDef};

impl Txn {
    pub fn create_database(&mut self, name: &str) -> Result<DatabaseDef> {
        unimplemented!()
    }
    /// Drops a database with all it holds. `main` can't be dropped.
    pub fn drop_database(&mut self, name: &str) -> Result<()> {
        unimplemented!()
    }
    pub fn create_table(&mut self, spec: TableSpec) -> Result<Arc<TableDef>> {
        unimplemented!()
    }
    /// Refused with `DependentObjects` while views read the table.
    pub fn drop_table(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        unimplemented!()
    }
    /// Gives an existing table the definition of `spec` and converts its rows.
    pub fn replace_table(&mut self, spec: TableSpec) -> Result<Arc<TableDef>> {
        unimplemented!()
    }
    /// Removes all rows at once; answers how many this transaction saw.
    pub fn truncate_table(&mut self, database: &str, schema: &str, name: &str) -> Result<u64> {
        unimplemented!()
    }
    /// With `replace`, an existing view of the name gets the new definition.
    pub fn create_view(&mut self, spec: ViewSpec, replace: bool) -> Result<Arc<ViewDef>> {
        unimplemented!()
    }
    /// Refused with `DependentObjects` while other views read it.
    pub fn drop_view(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        unimplemented!()
    }
}
