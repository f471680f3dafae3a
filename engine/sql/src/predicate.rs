//! A filter that is asked about rows in memory, with the meaning it has in a query: it is the same expression, evaluated
//! by the same code.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::common::ToDFSchema;
use datafusion::physical_plan::PhysicalExpr;
use rustydb_store::types::{Row, RowKey, TableDef};

use crate::arrays;
use crate::columns::table_schema;
use crate::engine::SqlEngine;
use crate::error::{Result, SqlError};
use crate::failure::from_datafusion;
use crate::rows::{RowFilter, filter_expr};

/// A filter made for one version of a table's definition.
pub struct RowPredicate {
    table: Arc<TableDef>,
    expr: Arc<dyn PhysicalExpr>,
}

impl SqlEngine {
    /// Fails where the filter names a column that the table has not, or a value that its column cannot have.
    pub fn predicate(&self, table: &Arc<TableDef>, filter: &RowFilter) -> Result<RowPredicate> {
        let schema = table_schema(&table.columns, None)
            .to_dfschema()
            .map_err(|error| from_datafusion(error, None))?;
        let expr = filter_expr(table, filter)?;
        let state = self.session.state();
        let expr = state
            .create_physical_expr(expr, &schema)
            .map_err(|error| from_datafusion(error, None))?;
        Ok(RowPredicate {
            table: Arc::clone(table),
            expr,
        })
    }
}

impl RowPredicate {
    /// Of each row whether it is meant; what is neither true nor false is not.
    pub fn matches(&self, rows: &[(RowKey, Row)]) -> Result<Vec<bool>> {
        let columns = self.table.columns.iter().enumerate();
        let arrays = columns
            .map(|(index, column)| arrays::column(rows, index, column.data_type))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch =
            RecordBatch::try_new_with_options(table_schema(&self.table.columns, None), arrays, &options)
                .map_err(|error| SqlError::Internal(error.to_string()))?;
        let answer = self
            .expr
            .evaluate(&batch)
            .and_then(|value| value.into_array(rows.len()))
            .map_err(|error| from_datafusion(error, None))?;
        let answer = answer
            .as_boolean_opt()
            .ok_or_else(|| SqlError::Internal("a filter is no condition".to_owned()))?;
        Ok(answer.iter().map(|held| held == Some(true)).collect())
    }
}
