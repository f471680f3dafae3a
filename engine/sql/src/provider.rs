//! A table as DataFusion sees it: pages of a transaction's reader turned into Arrow.
//!
//! Never implements `delete_from`, `update` or `insert_into`: DataFusion's hooks for them lose the WHERE clause of
//! some statements. Changing rows is this crate's own business (`dml`).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use rustydb_store::tables::TxnReader;
use rustydb_store::types::TableDef;

use crate::access::Access;
use crate::columns::table_schema;
use crate::keyrange::{behind_key, bound_of};
use crate::planner::external;
use crate::scan::{ScanSpec, TableScanExec};

/// Name of the hidden column that holds a row's key. The mark keeps it out of users' reach.
pub(crate) const KEY_COLUMN: &str = "\u{1}key";

/// One table at one state of one transaction.
pub(crate) struct TableView {
    table: Arc<TableDef>,
    reader: TxnReader,
    schema: SchemaRef,
}

impl TableView {
    pub fn new(table: Arc<TableDef>, reader: TxnReader) -> TableView {
        let schema = table_schema(&table.columns, None);
        TableView {
            table,
            reader,
            schema,
        }
    }

    /// The same with the row key as last column: for the target of a statement that changes rows.
    pub fn with_key(table: Arc<TableDef>, reader: TxnReader) -> TableView {
        let schema = table_schema(&table.columns, Some(KEY_COLUMN));
        TableView {
            table,
            reader,
            schema,
        }
    }
}

impl fmt::Debug for TableView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableView")
            .field("table", &self.table.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for TableView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let access =
            Access::choose(&self.table, &self.reader, filters).map_err(|error| external(error.into()))?;
        let spec = ScanSpec {
            table: Arc::clone(&self.table),
            reader: self.reader.clone(),
            columns,
            access,
            limit,
        };
        Ok(Arc::new(TableScanExec::new(spec, &self.schema)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        // Inexact: the range is narrowed where it can be, and the filter runs again above the scan.
        let useful = |filter: &&Expr| {
            if bound_of(&self.table, filter).is_some() || behind_key(filter).is_some() {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(useful).collect())
    }
}
