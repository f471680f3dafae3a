//! Streams a table, page by page.
//!
//! A page is read synchronously, when it is asked for: pages are bounded, and the stream is wrapped so that it
//! yields to its task between them. Dropping the stream ends the scan.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, Statistics};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use rustydb_store::seam::KeyRange;
use rustydb_store::tables::{ScannedRows, TxnReader};
use rustydb_store::types::{ColumnType, IndexDef, TableDef};

use crate::access::Access;
use crate::arrays;

/// Rows of the first page. Small, since many queries stop at it; each next page is eight times the last.
const FIRST_PAGE_ROWS: usize = 128;
/// Rows of the largest page.
const PAGE_ROWS_MAX: usize = 8_192;
/// A page ends as well behind the row with which the stored rows reach this size: no limit on a statement's memory
/// sees a page before it is made, and an array of text holds no more than 2 GiB.
const PAGE_BYTES_MAX: usize = 8 << 20;

#[derive(Clone)]
pub(crate) struct ScanSpec {
    pub table: Arc<TableDef>,
    pub reader: TxnReader,
    /// Places among the table's columns; the one behind the last is the row key.
    pub columns: Vec<usize>,
    pub access: Access,
    pub limit: Option<usize>,
}

pub(crate) struct TableScanExec {
    spec: ScanSpec,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TableScanExec {
    pub fn new(spec: ScanSpec, table_schema: &SchemaRef) -> DfResult<TableScanExec> {
        let schema = Arc::new(table_schema.project(&spec.columns)?);
        let orderings = match &spec.access {
            Access::Table(_) => key_orderings(&spec, &schema),
            Access::Index { index, .. } => vec![index_ordering(&spec, &schema, index)],
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(
                Arc::clone(&schema),
                orderings.into_iter().filter(|ordering| !ordering.is_empty()),
            ),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(TableScanExec {
            spec,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl TableScanExec {
    /// Rows that there are to read; of a range that was not counted nobody knows.
    pub fn rows_to_read(&self) -> Option<u64> {
        let rows = match &self.spec.access {
            Access::Table(bounds) if bounds.narrowed => return None,
            Access::Table(_) => self.spec.reader.row_count_estimated(&self.spec.table).ok()?,
            Access::Index { entries, .. } => (*entries)? as u64,
        };
        Some(rows.min(self.spec.limit.map_or(u64::MAX, |limit| limit as u64)))
    }
}

/// Rows in key order come by the key itself, and by the leading key columns that are scanned: rows that are equal in
/// these are still in the order of the key.
fn key_orderings(spec: &ScanSpec, schema: &SchemaRef) -> Vec<Vec<PhysicalSortExpr>> {
    let mut sorted = sorted_by(spec, schema, &spec.table.primary_key);
    let key = place_of(spec, spec.table.columns.len()).map(|place| by(schema, place));
    sorted.extend(key.clone());
    [sorted].into_iter().chain(key.map(|key| vec![key])).collect()
}

/// Rows by an index come by its columns, and by their key where all of these are equal.
fn index_ordering(spec: &ScanSpec, schema: &SchemaRef, index: &IndexDef) -> Vec<PhysicalSortExpr> {
    let mut sorted = sorted_by(spec, schema, &index.columns);
    if sorted.len() == index.columns.len() {
        sorted.extend(place_of(spec, spec.table.columns.len()).map(|place| by(schema, place)));
    }
    sorted
}

/// The leading ones of the columns that are scanned. Floats are left out: keys hold -0 and 0 as equal, Arrow does not.
fn sorted_by(spec: &ScanSpec, schema: &SchemaRef, columns: &[usize]) -> Vec<PhysicalSortExpr> {
    let mut sorted = Vec::new();
    for index in columns {
        let float = matches!(
            spec.table.columns[*index].data_type,
            ColumnType::Real | ColumnType::Double
        );
        match place_of(spec, *index).filter(|_| !float) {
            Some(place) => sorted.push(by(schema, place)),
            None => break,
        }
    }
    sorted
}

fn place_of(spec: &ScanSpec, index: usize) -> Option<usize> {
    spec.columns.iter().position(|scanned| *scanned == index)
}

fn by(schema: &SchemaRef, place: usize) -> PhysicalSortExpr {
    let expr: Arc<dyn PhysicalExpr> = Arc::new(ColumnExpr::new(schema.field(place).name(), place));
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    PhysicalSortExpr::new(expr, options)
}

impl fmt::Debug for TableScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScanExec")
            .field("table", &self.spec.table.name)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for TableScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self
            .schema
            .fields()
            .iter()
            .map(|field| shown(field.name()))
            .collect();
        let (name, table, columns) = (self.name(), &self.spec.table.name, columns.join(", "));
        match &self.spec.access {
            Access::Table(bounds) => {
                write!(f, "{name}: table={table}, columns=[{columns}]")?;
                if bounds.narrowed {
                    write!(f, ", key range")?;
                }
            }
            Access::Index { index, bounds, .. } => {
                let index = &index.name;
                write!(f, "{name}: table={table}, index={index}, columns=[{columns}]")?;
                if bounds.equal > 0 {
                    write!(f, ", equal={}", bounds.equal)?;
                }
            }
        }
        match self.spec.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

fn shown(name: &str) -> &str {
    if name == crate::provider::KEY_COLUMN {
        "(row key)"
    } else {
        name
    }
}

impl ExecutionPlan for TableScanExec {
    fn name(&self) -> &'static str {
        match self.spec.access {
            Access::Table(_) => "TableScan",
            Access::Index { .. } => "IndexScan",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let range = match &self.spec.access {
            Access::Table(bounds) | Access::Index { bounds, .. } => bounds.range.clone(),
        };
        let pages = Pages {
            spec: self.spec.clone(),
            schema: Arc::clone(&self.schema),
            done: is_empty(&range),
            range,
            left: self.spec.limit.unwrap_or(usize::MAX),
            page: FIRST_PAGE_ROWS,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let stream = futures::stream::iter(pages);
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        ))))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> DfResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        let (reader, table) = (&self.spec.reader, &self.spec.table);
        // An exact number may be what the query asks for.
        let is_exact =
            matches!((&self.spec.access, self.spec.limit), (Access::Table(bounds), None) if !bounds.narrowed);
        let rows = match is_exact {
            true => reader.row_count(table),
            false => reader.row_count_estimated(table),
        };
        let rows = rows.map_err(external)?;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let most = |rows: usize| rows.min(self.spec.limit.unwrap_or(usize::MAX));
        // Snapshot counts are exact; a range or a limit makes them an upper estimate.
        statistics.num_rows = match (&self.spec.access, self.spec.limit) {
            _ if is_exact => Precision::Exact(rows),
            (Access::Table(_), _) => Precision::Inexact(most(rows)),
            (Access::Index { entries, .. }, _) => Precision::Inexact(most(entries.unwrap_or(rows))),
        };
        Ok(Arc::new(statistics))
    }
}

fn is_empty(range: &KeyRange) -> bool {
    matches!((&range.from, &range.until), (Some(from), Some(until)) if from >= until)
}

fn external(error: rustydb_store::tables::TableError) -> DataFusionError {
    DataFusionError::External(Box::new(crate::error::SqlError::from(error)))
}

struct Pages {
    spec: ScanSpec,
    schema: SchemaRef,
    range: KeyRange,
    left: usize,
    page: usize,
    done: bool,
    metrics: BaselineMetrics,
}

impl Pages {
    fn read(&mut self) -> DfResult<RecordBatch> {
        let table = &self.spec.table;
        let wanted = self.page.min(self.left);
        let stored: Vec<usize> = self
            .spec
            .columns
            .iter()
            .copied()
            .filter(|index| *index < table.columns.len())
            .collect();
        let reader = &self.spec.reader;
        let (ScannedRows { rows, exhausted }, last) = match &self.spec.access {
            Access::Table(_) => {
                let found = reader
                    .scan_columns(table, &self.range, wanted, PAGE_BYTES_MAX, &stored)
                    .map_err(external)?;
                let last = found.rows.last().map(|(key, _)| key.0.clone());
                (found, last)
            }
            Access::Index { index, .. } => {
                let scanned = reader
                    .scan_index(table, index, &self.range, wanted, PAGE_BYTES_MAX, &stored)
                    .map_err(external)?;
                (scanned.found, scanned.last)
            }
        };
        self.done = exhausted || rows.len() == self.left;
        self.left -= rows.len();
        self.page = (self.page * 8).min(PAGE_ROWS_MAX);
        if last.is_some() {
            self.range.after = last;
        }
        let mut next = 0;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.spec.columns.len());
        for index in &self.spec.columns {
            arrays.push(match table.columns.get(*index) {
                Some(column) => {
                    let array = arrays::column(&rows, next, column.data_type);
                    next += 1;
                    array.map_err(|error| DataFusionError::External(Box::new(error)))?
                }
                None => arrays::keys(&rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays,
            &options,
        )?)
    }
}

impl Iterator for Pages {
    type Item = DfResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.left == 0 {
            return None;
        }
        let timer = self.metrics.elapsed_compute().clone();
        let timer = timer.timer();
        let page = self.read();
        timer.done();
        match &page {
            Ok(batch) => self.metrics.record_output(batch.num_rows()),
            Err(_) => self.done = true,
        }
        Some(page)
    }
}
