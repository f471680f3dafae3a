//! How far a statement is, read from the metrics of its operators while they run.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::physical_plan::ExecutionPlan;

use crate::scan::TableScanExec;

/// Given to a statement with its [`ExecContext`](crate::ExecContext); anybody may look at it meanwhile.
#[derive(Default)]
pub struct Progress {
    plan: OnceLock<Arc<dyn ExecutionPlan>>,
    rows_returned: AtomicU64,
}

/// How far a statement is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressNow {
    /// Rows read of tables so far, by all scans together.
    pub rows_scanned: u64,
    /// Rows that the scans would read to their ends, where that is known; a limit above them may stop them earlier.
    pub rows_to_scan: Option<u64>,
    /// Rows handed to the caller.
    pub rows_returned: u64,
    /// The operator nearest to the result that has made rows, `planning` before there are operators.
    pub operation: String,
}

impl Progress {
    pub(crate) fn begin(&self, plan: &Arc<dyn ExecutionPlan>) {
        // A statement has one plan that makes its rows; those of its parts come after it.
        let _ = self.plan.set(Arc::clone(plan));
    }

    pub(crate) fn returned(&self, rows: usize) {
        self.rows_returned.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn now(&self) -> ProgressNow {
        let mut now = ProgressNow {
            rows_scanned: 0,
            rows_to_scan: None,
            rows_returned: self.rows_returned.load(Ordering::Relaxed),
            operation: "planning".to_owned(),
        };
        if let Some(plan) = self.plan.get() {
            add_scans(plan, &mut now);
            now.operation = nearest_active(plan).unwrap_or_else(|| plan.name()).to_owned();
        }
        now
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.now()).finish()
    }
}

fn add_scans(plan: &Arc<dyn ExecutionPlan>, now: &mut ProgressNow) {
    if let Some(scan) = plan.downcast_ref::<TableScanExec>() {
        now.rows_scanned += rows_made(plan);
        if let Some(rows) = scan.rows_to_read() {
            now.rows_to_scan = Some(now.rows_to_scan.unwrap_or(0) + rows);
        }
    }
    for child in plan.children() {
        add_scans(child, now);
    }
}

/// Breadth first from the result.
fn nearest_active(plan: &Arc<dyn ExecutionPlan>) -> Option<&str> {
    let mut level = vec![plan];
    while !level.is_empty() {
        if let Some(active) = level.iter().find(|node| rows_made(node) > 0) {
            return Some(active.name());
        }
        level = level.into_iter().flat_map(|node| node.children()).collect();
    }
    None
}

fn rows_made(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let rows = plan.metrics().and_then(|metrics| metrics.output_rows());
    rows.map_or(0, |rows| rows as u64)
}
