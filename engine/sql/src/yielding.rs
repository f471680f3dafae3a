//! Joins that can be stopped.
//!
//! A join can make rows for as long as it likes from inputs that it has read once, and then no leaf below it is
//! asked, where DataFusion's cooperative scheduling counts. A task that only joins would keep its thread, and
//! neither a deadline nor a cancellation could reach it. So each join counts as well, batch by batch; and since a
//! join whose condition matches nothing makes no batch, its condition asks whether anybody still waits.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};

use crate::workers::Interrupt;

/// Names of DataFusion's joins that can make many batches of one.
const JOINS: &[&str] = &[
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "SortMergeJoinExec",
];

/// The plan, each of its joins yielding between batches and ending when `interrupt` says so.
pub(crate) fn stoppable(
    plan: Arc<dyn ExecutionPlan>,
    interrupt: &Interrupt,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let rewritten = plan.transform_up(|node| {
        if !JOINS.contains(&node.name()) {
            return Ok(Transformed::no(node));
        }
        let join = with_asking_condition(node, interrupt)?;
        Ok(Transformed::yes(
            Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>
        ))
    })?;
    Ok(rewritten.data)
}

/// The join, its condition asking first. Conditions of other kinds of joins see each row of their sorted inputs
/// once, and a join without a condition makes a batch of whatever it matches.
fn with_asking_condition(
    join: Arc<dyn ExecutionPlan>,
    interrupt: &Interrupt,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    if let Some(join) = join.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let asking = asking(filter, interrupt);
        return Ok(Arc::new(
            NestedLoopJoinExecBuilder::from(join)
                .with_filter(Some(asking))
                .build()?,
        ));
    }
    if let Some(join) = join.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        let asking = asking(filter, interrupt);
        return HashJoinExecBuilder::from(join)
            .with_filter(Some(asking))
            .build_exec();
    }
    Ok(join)
}

fn asking(filter: &JoinFilter, interrupt: &Interrupt) -> JoinFilter {
    let condition = Arc::new(Asking {
        inner: Arc::clone(filter.expression()),
        interrupt: interrupt.clone(),
    });
    JoinFilter::new(
        condition,
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    )
}

/// `inner`, as long as anybody waits.
#[derive(Debug, Eq)]
struct Asking {
    inner: Arc<dyn PhysicalExpr>,
    interrupt: Interrupt,
}

// Derived, `==` would move the boxed trait object (rust-lang/rust#78808).
impl PartialEq for Asking {
    fn eq(&self, other: &Asking) -> bool {
        self.inner.eq(&other.inner) && self.interrupt == other.interrupt
    }
}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        self.interrupt.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn return_field(&self, input_schema: &Schema) -> DfResult<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        self.interrupt.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(match children.pop() {
            Some(inner) => Arc::new(Asking {
                inner,
                interrupt: self.interrupt.clone(),
            }),
            None => self,
        })
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
